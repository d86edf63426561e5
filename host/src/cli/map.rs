//! `corovan map`: a function over lines of standard input, as they come; results in their order, or as they end.

use super::at::At;
use super::exit;
use super::run::report;
use crate::config;
use anyhow::{Context, bail};
use corovan_client::core::wire::records::JobLimits;
use corovan_client::{Arguments, Computation, Event, Jobs, Module, Prepare, Spec, SubmitOptions, check_selector};
use corovan_core::limits;
use corovan_core::wire::{ExitRecord, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Run a function for each line of standard input, many at a time, and print a line for each result.
///
/// A line is a JSON array of arguments, or any other JSON value or text as the one argument. Results come in the order of the lines; a
/// job that fails is told on standard error, has `null` for its line, and decides the exit code. Where jobs run is chosen by the node that
/// is asked: wherever there is most room.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  seq 1000 10000 | corovan map --certs certs/dev primes.wasm primes
  corovan map --certs certs/dev --unordered --in-flight 500 job.wasm f < lines")]
pub struct Args {
    /// A WebAssembly module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The coroutine function
    #[arg(value_name = "FUNCTION")]
    function: String,
    #[command(flatten)]
    at_node: At,
    /// Jobs that are open at a time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Print each result as it comes
    #[arg(long)]
    unordered: bool,
    /// Which nodes run them: a name, label=value, memory>=2GiB, several with commas
    #[arg(long, value_name = "NODES", default_value = "any")]
    at: String,
    /// Stop each job so long after it starts
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Linear memory of each job
    #[arg(long, value_name = "SIZE", value_parser = config::value::size)]
    memory: Option<u64>,
}

/// Lines that were read and have no job yet; more wait where they come from.
const READ_AHEAD: usize = 64;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let at = if args.at == "any" { String::new() } else { args.at };
    check_selector(&at)?;
    if args.timeout.is_some_and(|timeout| timeout.is_zero() || timeout > limits::DEADLINE_MAX) {
        bail!("--timeout: more than nothing, and at most {}", humantime::format_duration(limits::DEADLINE_MAX));
    }
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let limits = JobLimits { memory: args.memory, deadline: args.timeout.map(nanos), cpu: None };
    let prepare = Prepare { limits, ..Prepare::function(Module::from_file(&args.file)?, args.function) };
    let code = args.at_node.for_tenant().ask(async |node| {
        let computation = node.open("map").await?;
        let spec = computation.prepare(prepare).await?;
        let mut mapping = Mapping {
            at,
            in_flight: args.in_flight as usize,
            in_order: !args.unordered,
            jobs: Jobs::new(),
            numbers: HashMap::new(),
            early: BTreeMap::new(),
            printed: 0,
            code: exit::DONE,
        };
        mapping.run(&computation, &spec, lines()).await?;
        computation.close().await?;
        Ok(mapping.code)
    })?;
    Ok(ExitCode::from(code))
}

/// Standard input by lines, from a thread of its own: it may have nothing to say for long.
fn lines() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let is_over = line.is_err();
            if sender.blocking_send(line).is_err() || is_over {
                return;
            }
        }
    });
    lines
}

struct Mapping {
    at: String,
    in_flight: usize,
    in_order: bool,
    jobs: Jobs,
    /// Of lines, from 0, by their jobs' keys.
    numbers: HashMap<u64, u64>,
    /// Ends whose turn has not come.
    early: BTreeMap<u64, Arc<ExitRecord>>,
    printed: u64,
    code: u8,
}

impl Mapping {
    async fn run(
        &mut self,
        computation: &Computation,
        spec: &Spec,
        mut lines: mpsc::Receiver<std::io::Result<String>>,
    ) -> anyhow::Result<()> {
        let (mut taken, mut open) = (0, true);
        while open || !self.jobs.is_empty() {
            // In order, those that wait for one before them count as well.
            let room = self.jobs.len() + self.early.len() < self.in_flight;
            tokio::select! {
                line = lines.recv(), if open && room => match line {
                    None => open = false,
                    Some(line) => {
                        let arguments = arguments(&line.context("standard input")?)
                            .with_context(|| format!("line {}", taken + 1))?;
                        let options = SubmitOptions { at: Some(self.at.clone()), ..SubmitOptions::default() };
                        let key = self.jobs.insert(computation.submit(spec, arguments, options).await?);
                        self.numbers.insert(key, taken);
                        taken += 1;
                    }
                },
                Some((key, event, _)) = self.jobs.next_event(), if !self.jobs.is_empty() => {
                    if let Event::Exit(record) = event
                        && let Some(number) = self.numbers.remove(&key)
                    {
                        self.ended(number, record)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, number: u64, record: Arc<ExitRecord>) -> std::io::Result<()> {
        if !self.in_order {
            return self.print(number, &record);
        }
        self.early.insert(number, record);
        while let Some(record) = self.early.remove(&self.printed) {
            self.print(self.printed, &record)?;
            self.printed += 1;
        }
        Ok(())
    }

    fn print(&mut self, number: u64, record: &ExitRecord) -> std::io::Result<()> {
        let code = exit::of_outcome(&record.outcome);
        if code != exit::DONE {
            // The exit code says so as well.
            let _ =
                writeln!(std::io::stderr(), "corovan: line {}: the job {}", number + 1, report::describe(record, None));
            if self.code == exit::DONE {
                self.code = code;
            }
        }
        let value = match &record.outcome {
            Outcome::Finished(_) => report::value_of(&record.outcome),
            _ => serde_json::Value::Null,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{value}")?;
        out.flush()
    }
}

fn arguments(line: &str) -> Result<Arguments, corovan_client::Error> {
    match line.trim_start().starts_with('[') {
        true => Arguments::from_json_text(line),
        false => Arguments::from_words(&[line]),
    }
}
