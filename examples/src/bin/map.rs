//! One job for each line of standard input, a bounded number in flight, results in the order of the lines. The
//! equivalent of discoro's `run_results(f, iterable)`, with a bound.

use anyhow::{Context, Result, bail, ensure};
use corovan_client::core::wire::{ExitRecord, Outcome};
use corovan_client::{Arguments, ConnectOptions, Credentials, Job, Module, Node, Prepare, SubmitOptions, value};
use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::sync::mpsc;

const USAGE: &str = "\
usage: map --certs DIR --tenant NAME --node HOST:PORT [--node ...] [--in-flight N] FILE FUNCTION < LINES

Each line is the one argument of a job: JSON, or a string where it is not JSON. For example the number of
primes below each of five numbers:

  seq 100 100 500 | map --certs certs/dev --tenant me --node 127.0.0.1:4433 primes.wasm primes";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("map: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let file = |extension: &str| options.certs.join(format!("tenant-{}.{extension}", options.tenant));
    let credentials = Credentials::load(file("crt"), file("key"), options.certs.join("ca.crt"))?;
    let module = Module::from_file(&options.module)?;
    let mut sites = Vec::new();
    for address in &options.nodes {
        let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
        let computation = node.open("map").await?;
        let spec = computation.prepare(Prepare::function(module.clone(), &options.function)).await?;
        sites.push((node, computation, spec));
    }

    // Jobs in the order of their lines. The first is waited for, the others run meanwhile.
    let mut in_flight: VecDeque<Job> = VecDeque::new();
    let mut lines = Some(read_lines());
    let mut turn = sites.iter().cycle();
    let mut printed = 0;
    while lines.is_some() || !in_flight.is_empty() {
        let room = in_flight.len() < options.in_flight;
        tokio::select! {
            line = next_line(&mut lines), if lines.is_some() && room => {
                let Some(line) = line? else {
                    lines = None;
                    continue;
                };
                let (_, computation, spec) = turn.next().context("no node")?;
                let arguments = Arguments::from_words(&[line])?;
                in_flight.push_back(computation.submit(spec, arguments, SubmitOptions::default()).await?);
            }
            record = first_result(&mut in_flight), if !in_flight.is_empty() => {
                let job = in_flight.pop_front();
                if let Some(lost) = job.and_then(|job| job.failure()) {
                    return Err(lost.into());
                }
                printed += 1;
                let text = text_of(&record).with_context(|| format!("line {printed}"))?;
                match writeln!(io::stdout(), "{text}") {
                    // Whoever read our results has enough. The jobs that are left are cancelled when they are dropped.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    written => written?,
                }
            }
        }
    }
    for (node, ..) in &sites {
        node.close().await;
    }
    Ok(())
}

/// Never called on an empty queue: the branch that does is disabled then.
async fn first_result(jobs: &mut VecDeque<Job>) -> std::sync::Arc<ExitRecord> {
    match jobs.front_mut() {
        Some(job) => job.result().await,
        None => std::future::pending().await,
    }
}

fn text_of(record: &ExitRecord) -> Result<String> {
    match &record.outcome {
        Outcome::Finished(bytes) if bytes.is_empty() => Ok("null".into()),
        Outcome::Finished(bytes) => Ok(value::to_json(bytes)?.to_string()),
        Outcome::Failed { kind, text } => bail!("the job failed ({kind}): {text}"),
        other => bail!("the job did not finish: {other:?}"),
    }
}

/// On a thread of its own: a blocked read would keep the connections from answering. The channel is as bounded as the
/// rest, so that a long input is read as fast as it is worked on.
fn read_lines() -> mpsc::Receiver<io::Result<String>> {
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

async fn next_line(lines: &mut Option<mpsc::Receiver<io::Result<String>>>) -> Result<Option<String>> {
    match lines {
        Some(lines) => lines.recv().await.transpose().context("standard input"),
        None => Ok(None),
    }
}

struct Options {
    certs: PathBuf,
    tenant: String,
    nodes: Vec<String>,
    in_flight: usize,
    module: PathBuf,
    function: String,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Options> {
        let (mut certs, mut tenant, mut nodes, mut in_flight, mut rest) = (None, None, Vec::new(), 100, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--certs" => certs = Some(PathBuf::from(value()?)),
                "--tenant" => tenant = Some(value()?),
                "--node" => nodes.push(value()?),
                "--in-flight" => {
                    in_flight = value()?.parse().ok().filter(|n| *n > 0).context("--in-flight: a number above 0")?;
                }
                option if option.starts_with('-') => bail!("unknown option {option}\n{USAGE}"),
                _ => rest.push(word),
            }
        }
        ensure!(!nodes.is_empty(), "--node is missing\n{USAGE}");
        let [module, function] = &rest[..] else { bail!("FILE and FUNCTION are missing\n{USAGE}") };
        Ok(Options {
            certs: certs.with_context(|| format!("--certs is missing\n{USAGE}"))?,
            tenant: tenant.with_context(|| format!("--tenant is missing\n{USAGE}"))?,
            nodes,
            in_flight,
            module: module.into(),
            function: function.clone(),
        })
    }
}
