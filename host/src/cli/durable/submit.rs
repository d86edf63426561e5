//! `corovan submit`: jobs that last. Their ids are printed when they are on the node's disk.

use crate::cli::at::At;
use crate::cli::exit;
use crate::cli::what::{Planned, What};
use anyhow::{Context, bail};
use corovan_client::{Accepting, DurableOptions, Retry};
use corovan_core::limits;
use serde_json::json;
use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Have a node keep jobs on disk and run them to their end, whatever becomes of this command.
///
/// Prints their ids, one a line, when they are on disk. What became of them is asked by these ids, or by the beginning of one: ps, why,
/// logs, wait, result, cancel, retry, forget.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "corovan submit [OPTIONS] --certs DIR FILE [FUNCTION ARGS...]\n       corovan submit [OPTIONS] --certs DIR FILE -- ARGV...",
    after_help = "\
Examples:
  corovan submit --certs certs/dev job.wasm rcoro_proc 1.5
  corovan submit --certs certs/dev job.wasm rcoro_proc 1.5 --at any --attempts 5
  corovan submit --certs certs/dev job.wasm report --args-file jobs.txt --key monthly
  job=$(corovan submit --certs certs/dev job.wasm rcoro_proc 1.5); corovan result --wait $job --certs certs/dev"
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    at_node: At,
    /// Submit each job once, however often this is run: the same key is the same job (of several, KEY.1, KEY.2 and so on)
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Try each job so often in all
    #[arg(long, value_name = "N", default_value_t = 1)]
    attempts: u32,
    /// After what it is tried again: node-loss, trap (also a panic, a failure, too little memory), exit (any code but 0), exit:CODE
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = cause, default_value = "node-loss")]
    retry_on: Vec<Cause>,
    /// Wait so long before the second attempt, twice as long before the third, and so on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1s")]
    retry_wait: Duration,
    /// But not longer than this
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1h")]
    retry_wait_max: Duration,
    /// A name for people, shown by ps
    #[arg(long, value_name = "TEXT", default_value = "submit")]
    label: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    NodeLoss,
    Trap,
    AnyExit,
    Exit(u32),
}

/// Jobs on their way to the node's disk: enough that it commits many at once.
const WINDOW: usize = 4_096;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { what, at_node, key, attempts, retry_on, retry_wait, retry_wait_max, label, json } = args;
    let Planned { prepare, each, at, .. } = what.plan()?;
    let retry = retry(attempts, &retry_on, retry_wait, retry_wait_max)?;
    let many = each.jobs() > 1;
    let print = |accepted: corovan_client::Accepted| -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match json {
            true => writeln!(out, "{}", json!({ "id": accepted.job.to_string(), "known": accepted.known }))?,
            false => writeln!(out, "{}", accepted.job)?,
        }
        Ok(())
    };
    at_node.for_tenant().ask(async |node| {
        let computation = node.open(&label).await?;
        let spec = computation.prepare(prepare).await?;
        let mut waiting: VecDeque<Accepting> = VecDeque::new();
        for (number, job) in each.arguments().enumerate() {
            let key = key.as_ref().map(|key| if many { format!("{key}.{}", number + 1) } else { key.clone() });
            let options = DurableOptions { argv: job.argv, at: at.clone(), key, retry: retry.clone() };
            waiting.push_back(computation.submit_durable(&spec, job.values, options).await?);
            if let Some(oldest) = waiting.pop_front_if(|_| number >= WINDOW) {
                print(oldest.await?)?;
            }
        }
        for accepting in waiting {
            print(accepting.await?)?;
        }
        Ok(computation.close().await?)
    })?;
    Ok(ExitCode::from(exit::DONE))
}

fn retry(attempts: u32, on: &[Cause], wait: Duration, most: Duration) -> anyhow::Result<Retry> {
    if attempts == 0 || attempts > limits::DURABLE_ATTEMPTS {
        bail!("--attempts: 1 to {}", limits::DURABLE_ATTEMPTS);
    }
    if most.is_zero() || most > limits::RETRY_WAIT_MAX {
        bail!(
            "--retry-wait-max: more than nothing, and at most {}",
            humantime::format_duration(limits::RETRY_WAIT_MAX)
        );
    }
    // 0 is the node's default.
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).map(|nanos| nanos.max(1)).context("--retry-wait");
    let exits = on.iter().filter_map(|cause| if let Cause::Exit(code) = cause { Some(*code) } else { None }).collect();
    Ok(Retry {
        attempts: if attempts == 1 { 0 } else { attempts },
        node_loss: attempts > 1 && on.contains(&Cause::NodeLoss),
        trap: on.contains(&Cause::Trap),
        any_exit: on.contains(&Cause::AnyExit),
        exits,
        wait: nanos(wait)?,
        most: nanos(most)?,
        overlap: false,
    })
}

fn cause(text: &str) -> Result<Cause, String> {
    match text {
        "node-loss" => Ok(Cause::NodeLoss),
        "trap" => Ok(Cause::Trap),
        "exit" => Ok(Cause::AnyExit),
        _ => {
            let code = text.strip_prefix("exit:").and_then(|code| code.parse().ok());
            code.map(Cause::Exit).ok_or_else(|| "write node-loss, trap, exit, or exit:CODE".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_and_what_is_none_is_refused() {
        let one = Duration::from_secs(1);
        assert_eq!(cause("exit:75"), Ok(Cause::Exit(75)));
        for wrong in ["", "exits", "exit:", "exit:x", "node"] {
            assert!(cause(wrong).is_err(), "{wrong}");
        }
        let policy = retry(3, &[Cause::NodeLoss, Cause::Exit(75)], one, one).unwrap();
        assert_eq!((policy.attempts, policy.node_loss, policy.exits), (3, true, vec![75]));
        assert!(!retry(1, &[Cause::NodeLoss], one, one).unwrap().node_loss, "what is tried once needs no lease");
        for (attempts, most) in [(0, one), (1_001, one), (2, Duration::ZERO), (2, 2 * limits::RETRY_WAIT_MAX)] {
            assert!(retry(attempts, &[], one, most).is_err());
        }
    }
}
