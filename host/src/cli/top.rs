//! `corovan top`: what a mesh does, again and again.

use super::at::At;
use super::durable::shown;
use super::exit;
use super::jobs::shown as escaped;
use corovan_client::core::wire::nodes::NodeState;
use corovan_client::{JobState, Node};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Show nodes and jobs, and again every two seconds, until interrupted; once, where standard output is no terminal.
///
/// A tenant sees its own jobs, an operator all of them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan top --certs certs/dev")]
pub struct Args {
    #[command(flatten)]
    at: At,
    /// Show it once
    #[arg(long)]
    once: bool,
    /// Look again after so long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "2s")]
    every: Duration,
}

/// Labels and functions that are told apart on one screen.
const ROWS: usize = 20;
/// Home, and clear to the end.
const CLEAR: &str = "\x1b[H\x1b[2J";
const SOONEST: Duration = Duration::from_millis(200);

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { at, once, every } = args;
    let again = !once && std::io::stdout().is_terminal();
    at.ask(async |node| {
        loop {
            let screen = screen(node).await?;
            let mut out = std::io::stdout().lock();
            write!(out, "{}{screen}", if again { CLEAR } else { "" })?;
            out.flush()?;
            drop(out);
            if !again {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(every.max(SOONEST)) => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    })?;
    Ok(ExitCode::from(exit::DONE))
}

/// Jobs by who has them: waiting, running, ended but not taken.
type Counts = BTreeMap<(String, String, String), [usize; 3]>;

async fn screen(node: &Node) -> anyhow::Result<String> {
    let nodes = node.nodes().await?;
    let alive = nodes.iter().filter(|info| info.state == NodeState::Alive);
    let names: Vec<String> = alive.map(|info| escaped(&info.name)).collect();
    let mut counts = Counts::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |who: [&str; 3], state: JobState, place: Option<&str>| {
        let who = (escaped(who[0]), escaped(who[1]), escaped(who[2]));
        counts.entry(who).or_default()[state as usize - 1] += 1;
        if let Some(place) = place.filter(|_| state == JobState::Running) {
            *at.entry(escaped(place)).or_default() += 1;
        }
    };
    for job in node.jobs(None).await? {
        count([&job.tenant, &job.label, &job.function], job.state, job.node.as_deref());
    }
    for job in shown::list(&node.durable(), true).await? {
        count([&job.tenant, &job.label, &job.function], job.state, job.node.as_deref());
    }
    let mut text = format!("{} nodes: {}\n", names.len(), names.join(" "));
    let places: Vec<String> = at.iter().map(|(place, jobs)| format!("{place} {jobs}")).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "running at: {}\n", if places.is_empty() { "none".into() } else { places.join(", ") });
    let _ = writeln!(
        text,
        "{:<16} {:<24} {:<24} {:>9} {:>9} {:>9}",
        "TENANT", "LABEL", "FUNCTION", "WAITING", "RUNNING", "ENDED"
    );
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|(_, jobs)| std::cmp::Reverse(jobs.iter().sum::<usize>()));
    for ((tenant, label, function), [waiting, running, ended]) in rows.iter().take(ROWS) {
        let _ = writeln!(text, "{tenant:<16.16} {label:<24.24} {function:<24.24} {waiting:>9} {running:>9} {ended:>9}");
    }
    if rows.len() > ROWS {
        let _ = writeln!(text, "and {} more", rows.len() - ROWS);
    }
    Ok(text)
}
