//! What is to be run, as `corovan run` and `corovan submit` take it: a module, a function or a program, arguments, limits.

use crate::config;
use anyhow::{Context, bail};
use corovan_client::core::wire::records::JobLimits;
use corovan_client::{Arguments, Module, Prepare, check_selector};
use corovan_core::limits;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub struct What {
    /// A WebAssembly module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The coroutine function and its arguments; without one the module's `_start` runs
    #[arg(value_name = "FUNCTION ARGS", allow_negative_numbers = true)]
    call: Vec<String>,
    /// Command-line arguments of a WASI program
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<String>,
    /// How many jobs with these arguments
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    count: u64,
    /// Arguments as one JSON array
    #[arg(long, value_name = "JSON")]
    args_json: Option<String>,
    /// A file with one job a line: a JSON array of arguments ('-': standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["args_json", "count"])]
    args_file: Option<PathBuf>,
    /// Stop each job so long after it starts, for example 150ms or 2s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// CPU time of each job
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    cpu: Option<Duration>,
    /// Linear memory of each job, for example 64MiB (the default) or 1GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// An environment variable of a WASI program; a NAME alone passes yours on
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Run each job at nodes of the mesh: a name, label=value, memory>=2GiB, several with commas; or any
    #[arg(long, value_name = "NODES", value_parser = at)]
    at: Option<String>,
}

/// The same, checked.
pub struct Planned {
    pub prepare: Prepare,
    pub each: Each,
    /// Which node of the mesh is to run them.
    pub at: Option<String>,
    /// Standard input has been read for it.
    pub reads_stdin: bool,
}

/// The arguments of each job: a list, or so many times the same.
pub struct Each {
    list: Vec<JobArguments>,
    count: u64,
}

#[derive(Clone)]
pub struct JobArguments {
    pub values: Arguments,
    pub argv: Vec<String>,
}

/// `--at` for any node.
const ANY: &str = "any";

/// Bytes of an `--args-file`.
const ARGS_FILE_BYTES: u64 = 1 << 30;

impl What {
    pub fn plan(self) -> anyhow::Result<Planned> {
        let (function, words) = match self.call.split_first() {
            Some((function, words)) => (Some(function.clone()), words),
            None => (None, &[][..]),
        };
        if function.is_some() && !self.argv.is_empty() {
            bail!(
                "give either FUNCTION ARGS or -- ARGV: a coroutine function has no command line; an argument that begins \
                 with - is written as JSON, '\"--like-this\"'"
            );
        }
        if function.is_none() && (self.args_json.is_some() || self.args_file.is_some()) {
            bail!("--args-json and --args-file are arguments of a FUNCTION: name it");
        }
        if !words.is_empty() && (self.args_json.is_some() || self.args_file.is_some()) {
            bail!("give the arguments either after FUNCTION or by --args-json or --args-file");
        }
        if self.timeout.is_some_and(|timeout| timeout > limits::DEADLINE_MAX) {
            bail!("--timeout: at most {}", humantime::format_duration(limits::DEADLINE_MAX));
        }
        if let Some((option, _)) =
            [("--timeout", self.timeout), ("--cpu", self.cpu)].iter().find(|(_, given)| *given == Some(Duration::ZERO))
        {
            bail!("{option}: no job could run in no time");
        }
        let one = |values| JobArguments { values, argv: self.argv.clone() };
        let list = match (&self.args_json, &self.args_file) {
            (Some(text), _) => vec![one(Arguments::from_json_text(text).context("--args-json")?)],
            (None, Some(file)) => read_jobs(file)?.into_iter().map(one).collect(),
            (None, None) => vec![one(Arguments::from_words(words)?)],
        };
        let count = if self.args_file.is_some() { 1 } else { self.count };
        let reads_stdin = self.args_file.as_ref().is_some_and(|file| file.as_os_str() == "-");
        let prepare = Prepare {
            module: Module::from_file(&self.file)?,
            function,
            limits: JobLimits { memory: self.memory, deadline: self.timeout.map(nanos), cpu: self.cpu.map(nanos) },
            env: self.env.iter().map(|entry| environment(entry)).collect::<anyhow::Result<_>>()?,
            terminals: 0,
        };
        Ok(Planned { prepare, each: Each { list, count }, at: self.at, reads_stdin })
    }
}

impl Each {
    pub fn jobs(&self) -> u64 {
        self.list.len() as u64 * self.count
    }

    pub fn arguments(&self) -> Box<dyn Iterator<Item = JobArguments> + Send + '_> {
        match &self.list[..] {
            [one] => Box::new((0..self.count).map(|_| one.clone())),
            many => Box::new(many.iter().cloned()),
        }
    }
}

/// A selector; empty for any node.
fn at(text: &str) -> Result<String, corovan_client::Error> {
    let at = if text == ANY { "" } else { text };
    check_selector(at).map(|()| at.to_owned())
}

fn read_jobs(file: &PathBuf) -> anyhow::Result<Vec<Arguments>> {
    let reading = || format!("--args-file {}", file.display());
    let source: Box<dyn Read> = match file.as_os_str().as_encoded_bytes() {
        b"-" => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).with_context(reading)?),
    };
    let mut text = String::new();
    source.take(ARGS_FILE_BYTES + 1).read_to_string(&mut text).with_context(reading)?;
    if text.len() as u64 > ARGS_FILE_BYTES {
        bail!("{}: more than {ARGS_FILE_BYTES} bytes", reading());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let jobs: Vec<_> = lines
        .map(|(i, line)| Arguments::from_json_text(line).with_context(|| format!("{}, line {}", reading(), i + 1)))
        .collect::<anyhow::Result<_>>()?;
    if jobs.is_empty() {
        bail!("{}: there is no job in it", reading());
    }
    Ok(jobs)
}

fn environment(entry: &str) -> anyhow::Result<(String, String)> {
    match entry.split_once('=') {
        Some(("", _)) => bail!("--env {entry}: the name is missing"),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(entry) {
            Ok(value) => Ok((entry.to_owned(), value)),
            Err(error) => bail!("--env {entry}: {error} here; give a value with {entry}=VALUE"),
        },
    }
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "write a whole number, 1 or more".to_owned())
}

/// Memory of a job.
fn size(text: &str) -> Result<u64, String> {
    let bytes = config::value::size(text)?;
    if bytes > limits::MEMORY_MAX {
        return Err(format!("{text} is over the limit of {} MiB", limits::MEMORY_MAX >> 20));
    }
    Ok(bytes)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_bounded() {
        for (text, bytes) in [("1", 1), ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("2 KiB", 2 << 10), ("3K", 3 << 10)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "2GiB", "1TiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_environment_entry_is_a_pair_or_passes_ours_on() {
        assert_eq!(environment("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert!(environment("=x").is_err());
        assert!(environment("COROVAN_SURELY_NOT_SET").is_err());
    }
}
