//! What `corovan run` was asked to do, checked before anything is connected.

use crate::config;
use anyhow::{Context, bail};
use corovan_client::core::wire::records::JobLimits;
use corovan_client::{Arguments, Module, Prepare, check_address, check_selector};
use corovan_core::limits;
use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Run jobs and follow them to their end.
///
/// Without --node, a node is started in this process. Each argument is read as JSON, and taken as a string where it is
/// not JSON. A single job's result is the last line of standard output.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "corovan run [OPTIONS] FILE [FUNCTION ARGS...]\n       corovan run [OPTIONS] FILE -- ARGV...",
    after_help = "\
Examples:
  corovan run job.wasm rcoro_proc 1.5
  corovan run job.wasm rcoro_proc 1.5 --count 10 --timeout 2s
  corovan run job.wasm add -1 2                    negative numbers need no --
  corovan run job.wasm greet --args-file jobs.txt  one job a line, each a JSON array of arguments
  corovan run program.wasm -- --verbose file < in > out"
)]
pub struct Args {
    /// A WebAssembly module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The coroutine function and its arguments; without one the module's `_start` runs
    #[arg(value_name = "FUNCTION ARGS", allow_negative_numbers = true)]
    call: Vec<String>,
    /// Command-line arguments of a WASI program
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<String>,
    /// A running node; several share the jobs
    #[arg(long = "node", value_name = "HOST:PORT")]
    nodes: Vec<String>,
    /// Directory with ca.crt and tenant-NAME.crt and .key, as `corovan cert` makes it
    #[arg(long, value_name = "DIR", env = "COROVAN_CERTS")]
    certs: Option<PathBuf>,
    /// Which tenant's certificate, where there are several
    #[arg(long, value_name = "NAME", env = "COROVAN_TENANT")]
    tenant: Option<String>,
    /// Have the node in this process join a mesh at this node; may be given several times. Needs --certs
    #[arg(long = "peer", value_name = "HOST:PORT", conflicts_with = "nodes")]
    peers: Vec<String>,
    /// Where the node in this process listens, so that others can join it. Needs --certs
    #[arg(long, value_name = "IP:PORT", conflicts_with = "nodes")]
    bind: Option<SocketAddr>,
    /// Have it join the nodes of its cluster on the local network. Needs --certs
    #[arg(long, conflicts_with = "nodes")]
    discover: bool,
    /// Data directory of the node in this process (default: a cache of yours)
    #[arg(long, value_name = "DIR", conflicts_with = "nodes")]
    data: Option<PathBuf>,
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
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
    /// Only output and results
    #[arg(long, short)]
    quiet: bool,
    /// Do not escape control characters of jobs' output on a terminal
    #[arg(long)]
    raw: bool,
}

/// Checked options.
pub struct Plan {
    pub prepare: Prepare,
    pub nodes: Vec<String>,
    pub certs: Option<PathBuf>,
    pub tenant: Option<String>,
    pub data: Option<PathBuf>,
    /// The mesh that the node in this process joins, and where it listens.
    pub mesh: Option<config::Mesh>,
    pub bind: Option<SocketAddr>,
    /// How many jobs.
    pub jobs: u64,
    pub stdin: bool,
    /// Which node of the mesh is to run them.
    pub at: Option<String>,
    pub json: bool,
    pub quiet: bool,
    pub raw: bool,
    /// One for each job, or one for all of them.
    each: Vec<JobArguments>,
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

impl Args {
    pub fn plan(self) -> anyhow::Result<Plan> {
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
        for peer in &self.peers {
            check_address(peer).context("--peer")?;
        }
        let mesh = config::Mesh { peers: self.peers, discover: self.discover, ..config::Mesh::default() };
        let mesh = Some(mesh).filter(|mesh| mesh.discover || !mesh.peers.is_empty() || self.bind.is_some());
        if mesh.is_some() && self.certs.is_none() {
            bail!(
                "--peer, --discover and --bind need --certs DIR (or COROVAN_CERTS): the directory of the cluster, with your tenant's \
                 certificate and either its ca.key or a node's certificate; for a development node, DATA/dev-ca"
            );
        }
        let one = |values| JobArguments { values, argv: self.argv.clone() };
        let each = match (&self.args_json, &self.args_file) {
            (Some(text), _) => vec![one(Arguments::from_json_text(text).context("--args-json")?)],
            (None, Some(file)) => read_jobs(file)?.into_iter().map(one).collect(),
            (None, None) => vec![one(Arguments::from_words(words)?)],
        };
        let jobs = if self.args_file.is_some() { each.len() as u64 } else { self.count };
        let reads_stdin = self.args_file.as_ref().is_some_and(|file| file.as_os_str() == "-");
        let prepare = Prepare {
            module: Module::from_file(&self.file)?,
            function,
            limits: JobLimits { memory: self.memory, deadline: self.timeout.map(nanos), cpu: self.cpu.map(nanos) },
            env: self.env.iter().map(|entry| environment(entry)).collect::<anyhow::Result<_>>()?,
            terminals: if jobs == 1 { terminals() } else { 0 },
        };
        Ok(Plan {
            prepare,
            nodes: self.nodes,
            certs: self.certs,
            tenant: self.tenant,
            data: self.data,
            mesh,
            bind: self.bind,
            jobs,
            stdin: jobs == 1 && !reads_stdin,
            at: self.at,
            json: self.json,
            quiet: self.quiet,
            raw: self.raw,
            each,
        })
    }
}

/// A selector; empty for any node.
fn at(text: &str) -> Result<String, corovan_client::Error> {
    let at = if text == ANY { "" } else { text };
    check_selector(at).map(|()| at.to_owned())
}

impl Plan {
    /// The arguments of each job.
    pub fn arguments(&self) -> Box<dyn Iterator<Item = JobArguments> + Send + '_> {
        match &self.each[..] {
            [one] => Box::new((0..self.jobs).map(|_| one.clone())),
            many => Box::new(many.iter().cloned()),
        }
    }
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

/// Which of our standard streams are terminals, as bits 0 to 2.
fn terminals() -> u8 {
    let bits = [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    bits.iter().enumerate().map(|(bit, is)| u8::from(*is) << bit).sum()
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
