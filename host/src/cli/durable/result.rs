//! `corovan result`: how durable jobs ended, and what they gave. `corovan wait`: the same, when they have.

use super::logs::{self, Sink};
use super::shown::resolve_all;
use crate::cli::at::At;
use crate::cli::exit;
use crate::cli::run::report;
use corovan_client::{Durable, Error, Ulid};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::{ExitRecord, Outcome};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Print what durable jobs gave, and end as they did.
///
/// Of one job the value is the last line of standard output; of several one line each. The exit code is that of the first that did not
/// succeed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan result 01k --certs certs/dev
  corovan result --wait --logs 01k --certs certs/dev     what it prints, and then what it gave")]
pub struct ResultArgs {
    /// Durable jobs' ids, or beginnings of them
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    at: At,
    /// Wait until they have ended
    #[arg(long, short)]
    wait: bool,
    /// Before that, all that each of them printed
    #[arg(long, conflicts_with = "json")]
    logs: bool,
    /// One JSON object a line and job
    #[arg(long)]
    json: bool,
}

/// Follow a durable job to its end: what it prints from its beginning, then what it gave; ends as it did. Interrupted, the job goes on.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan attach 01k --certs certs/dev")]
pub struct AttachArgs {
    /// A durable job's id, or the beginning of one
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    at: At,
}

/// Wait until durable jobs have ended, and end as they did; one line each.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan wait 01k5 01k6 --certs certs/dev && echo all of them succeeded")]
pub struct WaitArgs {
    /// Durable jobs' ids, or beginnings of them
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    at: At,
    /// One JSON object a line and job
    #[arg(long)]
    json: bool,
}

/// One job's end, or why it is not told.
type Told = Result<ExitRecord, Error>;

pub fn result(args: ResultArgs) -> anyhow::Result<ExitCode> {
    let ResultArgs { jobs, at, wait, logs, json } = args;
    let one = jobs.len() == 1;
    let code = at.for_tenant().ask(async |node| {
        let durable = node.durable();
        let jobs = resolve_all(&durable, &jobs).await?;
        let mut sink = Sink::new(false, false);
        if logs {
            for job in &jobs {
                logs::print(&durable, *job, (1, wait), &mut sink).await?;
            }
        }
        let mut codes = Codes::default();
        let told = results(&durable, &jobs, wait).await?;
        for (job, told) in jobs.iter().zip(told) {
            codes.note(&told);
            match told {
                told if json => print(&told_json(*job, &told))?,
                Ok(record) if one => value(&record, sink.last)?,
                told => say(*job, &told)?,
            }
        }
        Ok(codes.code())
    })?;
    Ok(ExitCode::from(code))
}

pub fn attach(args: AttachArgs) -> anyhow::Result<ExitCode> {
    let AttachArgs { job, at } = args;
    result(ResultArgs { jobs: vec![job], at, wait: true, logs: true, json: false })
}

pub fn wait(args: WaitArgs) -> anyhow::Result<ExitCode> {
    let WaitArgs { jobs, at, json } = args;
    let code = at.for_tenant().ask(async |node| {
        let durable = node.durable();
        let jobs = resolve_all(&durable, &jobs).await?;
        let mut codes = Codes::default();
        for some in jobs.chunks(limits::DURABLE_ASKED) {
            let mut results = durable.results(some, true).await?;
            // Each as it ends.
            while let Some((at, told)) = results.next().await? {
                let Some(job) = some.get(at) else { continue };
                codes.note(&told);
                if json { print(&told_json(*job, &told)) } else { say(*job, &told) }?;
            }
        }
        Ok(codes.code())
    })?;
    Ok(ExitCode::from(code))
}

/// In the order in which they were asked for.
async fn results(durable: &Durable, jobs: &[Ulid], wait: bool) -> anyhow::Result<Vec<Told>> {
    let mut all: Vec<Option<Told>> = jobs.iter().map(|_| None).collect();
    for (part, some) in jobs.chunks(limits::DURABLE_ASKED).enumerate() {
        let mut results = durable.results(some, wait).await?;
        while let Some((at, told)) = results.next().await? {
            let place = all.get_mut(part * limits::DURABLE_ASKED + at);
            place.into_iter().for_each(|place| *place = Some(told.clone()));
        }
    }
    let untold = || Err(Error::Value { what: "a result", why: "the node told nothing of it".into() });
    Ok(all.into_iter().map(|told| told.unwrap_or_else(untold)).collect())
}

/// The exit code of several.
#[derive(Default)]
struct Codes(Option<u8>);

impl Codes {
    fn note(&mut self, told: &Told) {
        let code = match told {
            Ok(record) => exit::of_outcome(&record.outcome),
            // It has not ended: nothing is wrong, but there is no result.
            Err(Error::Refused { code: Code::Retry, .. }) => exit::TIMEOUT,
            Err(_) => exit::REFUSED,
        };
        if code != exit::DONE {
            self.0.get_or_insert(code);
        }
    }

    fn code(self) -> u8 {
        self.0.unwrap_or(exit::DONE)
    }
}

/// As of a job that was run: its value on standard output, or why there is none on standard error.
fn value(record: &ExitRecord, last: u8) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match &record.outcome {
        Outcome::Finished(value) if value.is_empty() => Ok(()),
        Outcome::Finished(_) => {
            if last != b'\n' {
                writeln!(out)?;
            }
            writeln!(out, "{}", report::value_of(&record.outcome))
        }
        Outcome::Exited(0) => Ok(()),
        _ => {
            // What is said there is said by the exit code as well.
            let _ = writeln!(std::io::stderr(), "corovan: the job {}", report::describe(record, None));
            Ok(())
        }
    }
}

/// One line of several; what is no job's end is the command's own business.
fn say(job: Ulid, told: &Told) -> std::io::Result<()> {
    match told {
        Ok(record) => print(&format!("{job}: {}", report::describe(record, None))),
        Err(error) => {
            // The exit code says so as well.
            let _ = writeln!(std::io::stderr(), "corovan: {error}");
            Ok(())
        }
    }
}

fn told_json(job: Ulid, told: &Told) -> String {
    let mut value = match told {
        Ok(record) => report::to_json(0, "", record, None),
        Err(error) => json!({ "event": "none", "text": error.to_string() }),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.remove("node");
        fields.insert("job".into(), job.to_string().into());
    }
    value.to_string()
}

fn print(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}
