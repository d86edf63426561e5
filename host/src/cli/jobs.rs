//! `corovan ps`: which jobs a node has open. `corovan why`: why one of them is where it is, or what keeps it from each node.

use super::at::At;
use super::{durable, exit};
use crate::modules::names;
use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use corovan_client::{JobInfo, JobWhy, Ulid};
use corovan_core::ids::{ComputationId, JobId};
use corovan_core::placement::HAS_ROOM;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// List the jobs of a node: attached ones as COMPUTATION.JOB, durable ones by their ids.
///
/// A tenant sees its own, an operator all of them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan ps --node 127.0.0.1:4433 --certs certs/dev
  corovan ps --certs certs/dev --json | jq -r 'select(.state == \"waiting\").id'")]
pub struct PsArgs {
    #[command(flatten)]
    at: At,
    /// Also durable jobs that have ended
    #[arg(long, short)]
    all: bool,
    /// One JSON object a line and job
    #[arg(long)]
    json: bool,
}

/// Tell why a job is where it is, or which rule of which node keeps it waiting.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan why 17.3 --node 127.0.0.1:4433 --certs certs/dev")]
pub struct WhyArgs {
    /// COMPUTATION.JOB, or the beginning of a durable job's id, as `corovan ps` shows them
    #[arg(value_name = "JOB", value_parser = id)]
    job: Id,
    #[command(flatten)]
    at: At,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn ps(args: PsArgs) -> anyhow::Result<ExitCode> {
    let (jobs, durable) = args.at.ask(async |node| {
        let jobs = node.jobs(None).await?;
        Ok((jobs, durable::shown::list(&node.durable(), !args.all).await?))
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        jobs.iter().try_for_each(|job| writeln!(out, "{}", to_json(job)))?;
        durable.iter().try_for_each(|job| writeln!(out, "{}", durable::shown::to_json(job)))?;
    } else {
        let mut table = table(&jobs);
        table.add_rows(durable.iter().map(durable::shown::row));
        writeln!(out, "{}", table.set_content_arrangement(ContentArrangement::Dynamic))?;
    }
    Ok(ExitCode::from(exit::DONE))
}

pub fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let info = match args.job {
        Id::Attached(computation, job) => args.at.ask(async |node| Ok(node.why(computation, job).await?))?,
        Id::Durable(prefix) => {
            let info = args.at.ask(async |node| {
                let durable = node.durable();
                let id = durable::shown::resolve(&durable, &prefix).await?;
                Ok(durable.why(id).await?)
            })?;
            match args.json {
                true => writeln!(out, "{}", durable::shown::to_json(&info))?,
                false => write!(out, "{}", durable::shown::told(&info))?,
            }
            return Ok(ExitCode::from(exit::DONE));
        }
    };
    if args.json {
        writeln!(out, "{}", to_json(&info))?;
    } else {
        write!(out, "{}", told(&info))?;
    }
    Ok(ExitCode::from(exit::DONE))
}

fn table(jobs: &[JobInfo]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["JOB", "TENANT", "LABEL", "FUNCTION", "STATE", "AT", "NODE", "ATTEMPT"]);
    for job in jobs {
        let at = job.at.as_deref().map_or("", |at| if at.is_empty() { "any" } else { at });
        table.add_row([
            id_text(job),
            shown(&job.tenant),
            shown(&job.label),
            shown(&job.function),
            job.state.name().into(),
            shown(at),
            shown(job.node.as_deref().unwrap_or_default()),
            job.attempt.to_string(),
        ]);
    }
    table
}

/// For people: one line, and one for each node that does not take it.
fn told(job: &JobInfo) -> String {
    let text = job.why.as_ref().map(|why| shown(&why.text)).unwrap_or_default();
    let place = job.node.as_deref().map(|node| format!(" at {}", shown(node))).unwrap_or_default();
    let (id, function) = (id_text(job), shown(&job.function));
    let lines = vec![format!("job {id} ({function}) is {}{place}: {text}", job.state.name())];
    with_nodes(lines, job.why.as_ref())
}

/// And one line for each node that does not take it.
pub(super) fn with_nodes(mut lines: Vec<String>, why: Option<&JobWhy>) -> String {
    for node in why.map(|why| &why.nodes[..]).unwrap_or_default() {
        let name = if node.name.is_empty() { node.node.to_string() } else { shown(&node.name) };
        let rules: Vec<String> = node.rules.iter().map(|rule| shown(rule)).collect();
        let rules = if rules.is_empty() { HAS_ROOM.into() } else { rules.join("; ") };
        lines.push(format!("  {name}: {rules}"));
    }
    if let Some(more) = why.map(|why| why.more).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more nodes"));
    }
    lines.join("\n") + "\n"
}

fn to_json(job: &JobInfo) -> Value {
    let mut value = json!({
        "id": id_text(job), "tenant": job.tenant, "label": job.label, "module": job.module.to_string(),
        "function": job.function, "state": job.state.name(), "at": job.at, "node": job.node, "attempt": job.attempt,
    });
    if let (Some(why), Some(fields)) = (&job.why, value.as_object_mut()) {
        fields.insert("why".into(), why_json(why));
    }
    value
}

pub(super) fn why_json(why: &JobWhy) -> Value {
    let node = |node: &corovan_client::NodeRefusal| json!({ "node": node.node.to_string(), "name": node.name, "rules": node.rules });
    let nodes: Vec<Value> = why.nodes.iter().map(node).collect();
    json!({ "text": why.text, "nodes": nodes, "more": why.more })
}

fn id_text(job: &JobInfo) -> String {
    format!("{}.{}", job.computation, job.job)
}

#[derive(Clone, PartialEq, Debug)]
enum Id {
    Attached(ComputationId, JobId),
    Durable(String),
}

/// `17.3` is job 3 of computation 17; without a point it is the beginning of a durable job's id.
fn id(text: &str) -> anyhow::Result<Id> {
    if Ulid::with_prefix(text).is_ok() && !text.is_empty() {
        return Ok(Id::Durable(text.to_owned()));
    }
    let parts = text
        .split_once('.')
        .and_then(|(computation, job)| Some(Id::Attached(computation.parse().ok()?, job.parse().ok()?)));
    parts.with_context(|| {
        format!("a job is COMPUTATION.JOB, as in 17.3, or the beginning of a durable job's id, not {}", shown(text))
    })
}

pub(super) fn shown(text: &str) -> String {
    names::escape(text, SHOWN)
}

/// Of a text in a table or line.
const SHOWN: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_client::{JobState, NodeRefusal};
    use corovan_core::ids::{ModuleHash, NodeId};

    #[test]
    fn a_job_is_told_in_lines_and_as_an_object_and_its_texts_control_no_terminal() {
        let refusal = |name: &str, rules: &[&str]| NodeRefusal {
            node: NodeId([1; 12]),
            name: name.into(),
            rules: rules.iter().map(ToString::to_string).collect(),
        };
        let nodes = vec![refusal("b", &["full: 2 of 2 slots are taken", "x\u{1b}[2J"]), refusal("", &[])];
        let job = JobInfo {
            computation: 17,
            job: 3,
            tenant: "me".into(),
            label: "l".into(),
            module: ModuleHash([0; 32]),
            function: "f".into(),
            state: JobState::Waiting,
            at: Some("gpu=1".into()),
            node: None,
            attempt: 0,
            why: Some(JobWhy { text: "it waits for a node, the first of its kind".into(), nodes, more: 2 }),
        };
        let text = told(&job);
        assert!(text.starts_with("job 17.3 (f) is waiting: it waits for a node"), "{text}");
        for part in ["  b: full: 2 of 2 slots are taken; x", "it has room, and others go first", "and 2 more nodes"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(table(std::slice::from_ref(&job)).to_string().contains("17.3"));
        let value = to_json(&job);
        assert_eq!((&value["id"], &value["why"]["nodes"][0]["name"]), (&json!("17.3"), &json!("b")));
        assert_eq!(id("17.3").unwrap(), Id::Attached(17, 3));
        assert_eq!(id("01k").unwrap(), Id::Durable("01k".into()));
        for wrong in ["", "17.", ".3", "a.b", "17.3.4", "-1.3", "il"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }
}
