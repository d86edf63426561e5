//! `corovan logs`: what a durable job said, from its beginning or from where one was, also when it is over.

use super::shown::{clock, resolve};
use crate::cli::at::At;
use crate::cli::exit;
use crate::cli::run::escape::Escaper;
use corovan_client::{Durable, DurableEvent, EventKind, Ulid};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Print what a durable job printed and logged, from its beginning.
///
/// Its output goes to where it sent it; log lines, and what its home did with it, go to standard error. What is not kept any more is said.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan logs 01k --certs certs/dev
  corovan logs -f 01k --certs certs/dev --from 100     from event 100 on, until the job has ended")]
pub struct Args {
    /// A durable job's id, or the beginning of one
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    at: At,
    /// Go on until it has ended
    #[arg(long, short)]
    follow: bool,
    /// From this event on; they are counted from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: u64,
    /// One JSON object a line and event, with its number
    #[arg(long)]
    json: bool,
    /// Do not escape control characters on a terminal
    #[arg(long)]
    raw: bool,
}

/// Where it goes, and how.
pub struct Sink {
    json: bool,
    escapers: [Option<Escaper>; 2],
    /// The last byte of standard output.
    pub last: u8,
}

const LEVELS: [&str; 5] = ["error", "warning", "info", "debug", "trace"];

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { job, at, follow, from, json, raw } = args;
    at.for_tenant().ask(async |node| {
        let durable = node.durable();
        let job = resolve(&durable, &job).await?;
        print(&durable, job, (from, follow), &mut Sink::new(json, raw)).await
    })?;
    Ok(ExitCode::from(exit::DONE))
}

pub async fn print(durable: &Durable, job: Ulid, (from, follow): (u64, bool), sink: &mut Sink) -> anyhow::Result<()> {
    let mut events = durable.events(job, from, follow).await?;
    while let Some(event) = events.next().await? {
        sink.event(event)?;
    }
    Ok(())
}

impl Sink {
    pub fn new(json: bool, raw: bool) -> Sink {
        let terminals = [std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        let escapers = terminals.map(|is| (is && !raw).then(Escaper::default));
        Sink { json, escapers, last: b'\n' }
    }

    fn event(&mut self, event: DurableEvent) -> std::io::Result<()> {
        if self.json {
            return writeln!(std::io::stdout().lock(), "{}", to_json(&event));
        }
        match event {
            DurableEvent::Said { kind: EventKind::Stdout, bytes, .. } => self.write(0, &bytes),
            DurableEvent::Said { kind: EventKind::Stderr, bytes, .. } => self.write(1, &bytes),
            DurableEvent::Said { kind, bytes, .. } => {
                let (word, text) = words(kind, &bytes);
                self.write(1, format!("{word}: {}\n", crate::cli::run::escape::text(&text)).as_bytes())
            }
            DurableEvent::Gap { first, last } => {
                self.write(1, format!("corovan: events {first} to {last} are not kept any more\n").as_bytes())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, stream: usize, bytes: &[u8]) -> std::io::Result<()> {
        let escaped = self.escapers[stream].as_mut().map(|escaper| escaper.escape(bytes));
        let bytes = escaped.as_deref().unwrap_or(bytes);
        if stream == 0 {
            self.last = bytes.last().copied().unwrap_or(self.last);
            let mut out = std::io::stdout().lock();
            out.write_all(bytes)?;
            return out.flush();
        }
        std::io::stderr().lock().write_all(bytes)
    }
}

/// Of what is no output.
fn words(kind: EventKind, bytes: &[u8]) -> (&'static str, String) {
    match (kind, bytes.split_first()) {
        (EventKind::Log, Some((level, text))) => {
            let level = LEVELS.get(usize::from(*level).wrapping_sub(1)).unwrap_or(&"log");
            (level, String::from_utf8_lossy(text).into_owned())
        }
        _ => ("corovan", String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn to_json(event: &DurableEvent) -> Value {
    match event {
        DurableEvent::Said { sequence, at, kind, bytes } => {
            let mut value = json!({ "sequence": sequence, "at": clock(*at) });
            let more = match kind {
                EventKind::Stdout | EventKind::Stderr => {
                    let event = if *kind == EventKind::Stdout { "stdout" } else { "stderr" };
                    match std::str::from_utf8(bytes) {
                        Ok(text) => json!({ "event": event, "text": text }),
                        Err(_) => json!({ "event": event, "bytes": bytes[..] }),
                    }
                }
                _ => {
                    let (word, text) = words(*kind, bytes);
                    let event = if *kind == EventKind::Log { "log" } else { "note" };
                    json!({ "event": event, "level": word, "text": text })
                }
            };
            if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
                value.extend(more);
            }
            value
        }
        DurableEvent::Gap { first, last } => json!({ "event": "gap", "first": first, "last": last }),
        _ => Value::Null,
    }
}
