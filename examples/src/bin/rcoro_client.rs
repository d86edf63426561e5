//! Ten jobs with random sleeps on any number of nodes, followed to their ends. The client of section 7.4 of the asyncoro
//! tutorial, `client_proc`: `run_at` is `submit`, `MonitorException` is the exit record.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use corovan_client::core::wire::Outcome;
use corovan_client::{
    Arguments, Computation, ConnectOptions, Credentials, Error, Event, Jobs, Module, Node, Prepare, Spec,
    SubmitOptions, value,
};

const USAGE: &str = "\
Usage: rcoro_client --certs DIR --tenant NAME --node HOST:PORT [--node ...] --module FILE [options]

  --certs DIR       directory with ca.crt, tenant-NAME.crt and tenant-NAME.key
  --tenant NAME     whose jobs these are
  --node HOST:PORT  a running node; repeat it, and the jobs are spread over all of them
  --module FILE     rcoro_proc.wasm
  --jobs N          how many (10)
  --min SECONDS     shortest sleep (5)
  --max SECONDS     longest sleep (20)
  --scale FACTOR    multiplies both (1)";

/// The tutorial's coroutine function: sleeps, and returns what it was given.
const FUNCTION: &str = "rcoro_proc";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().skip(1).any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("rcoro_client: {error:#}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match client(&options).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rcoro_client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all jobs; gives how many of them failed.
async fn client(options: &Options) -> Result<u32> {
    let begin = Instant::now();
    let sites = connect(options).await?;
    let mut jobs = Jobs::new();
    let mut seconds_of = HashMap::new();
    for number in 0..options.jobs {
        let site = &sites[number as usize % sites.len()];
        let seconds = options.random_sleep()?;
        let job = site.computation.submit(&site.spec, Arguments::of(&(seconds,))?, SubmitOptions::default()).await?;
        seconds_of.insert(jobs.insert(job), (site.computation.node_name().to_owned(), seconds));
    }

    let mut failed = 0;
    loop {
        let next = tokio::select! {
            next = jobs.next_event() => next,
            _ = tokio::signal::ctrl_c() => {
                // The nodes end them now; their exits still come.
                jobs.cancel_all("interrupted");
                continue;
            }
        };
        // The set is empty: all jobs have ended.
        let Some((key, event, ended)) = next else { break };
        let Some((node, seconds)) = seconds_of.get(&key) else { continue };
        match event {
            Event::Started { .. } => println!("{node} processing {seconds:.2}"),
            Event::Exit(record) => match &record.outcome {
                Outcome::Finished(result) => {
                    let result: f64 = value::decode(result)?;
                    println!("Remote coroutine at {node} finished with {result:.2}");
                }
                outcome => {
                    failed += 1;
                    let lost = ended.and_then(|job| job.failure());
                    println!("failed: remote coroutine at {node}, {seconds:.2}: {}", reason(outcome, lost));
                }
            },
            _ => {}
        }
    }
    for site in &sites {
        // A node that was lost has no more to say.
        if site.node.failure().is_none() {
            site.computation.close().await?;
            site.node.close().await;
        }
    }

    let sleeps = seconds_of.values().map(|(_, seconds)| *seconds);
    let (longest, sum) = (sleeps.clone().fold(0.0, f64::max), sleeps.sum::<f64>());
    println!(
        "{} jobs took {:.2} s; longest sleep {longest:.2} s, sum of sleeps {sum:.2} s",
        options.jobs,
        begin.elapsed().as_secs_f64()
    );
    Ok(failed)
}

/// A node with our module ready on it.
struct Site {
    node: Node,
    computation: Computation,
    spec: Spec,
}

async fn connect(options: &Options) -> Result<Vec<Site>> {
    let file = |extension: &str| options.certs.join(format!("tenant-{}.{extension}", options.tenant));
    let credentials = Credentials::load(file("crt"), file("key"), options.certs.join("ca.crt"))?;
    let module = Module::from_file(&options.module)?;
    let mut sites = Vec::new();
    for address in &options.nodes {
        let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
        let computation = node.open("rcoro_client").await?;
        // Sends the module's bytes only if the node does not have them.
        let spec = computation.prepare(Prepare::function(module.clone(), FUNCTION)).await?;
        sites.push(Site { node, computation, spec });
    }
    Ok(sites)
}

/// Why a job did not finish, in words.
fn reason(outcome: &Outcome, lost: Option<Error>) -> String {
    match (outcome, lost) {
        (_, Some(lost)) => lost.to_string(),
        (Outcome::Failed { kind, text }, _) => format!("{kind}: {text}"),
        (Outcome::Trapped { kind, .. }, _) => format!("trapped: {kind}"),
        (Outcome::Terminated { by, reason, .. }, _) => format!("terminated by {by}: {reason}"),
        (Outcome::Refused { why, .. }, _) => format!("refused: {why}"),
        (other, _) => other.name().to_owned(),
    }
}

struct Options {
    certs: PathBuf,
    tenant: String,
    nodes: Vec<String>,
    module: PathBuf,
    jobs: u32,
    min: f64,
    max: f64,
    scale: f64,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Options> {
        let (mut certs, mut tenant, mut module, mut nodes) = (None, None, None, Vec::new());
        let (mut jobs, mut min, mut max, mut scale) = (10, 5.0_f64, 20.0_f64, 1.0_f64);
        while let Some(option) = words.next() {
            let mut value = || words.next().with_context(|| format!("{option} needs a value"));
            match option.as_str() {
                "--certs" => certs = Some(PathBuf::from(value()?)),
                "--tenant" => tenant = Some(value()?),
                "--node" => nodes.push(value()?),
                "--module" => module = Some(PathBuf::from(value()?)),
                "--jobs" => jobs = number(&option, &value()?)?,
                "--min" => min = number(&option, &value()?)?,
                "--max" => max = number(&option, &value()?)?,
                "--scale" => scale = number(&option, &value()?)?,
                other => bail!("unknown option {other:?}"),
            }
        }
        ensure!(!nodes.is_empty(), "--node is missing");
        ensure!(min >= 0.0 && min <= max && max.is_finite(), "--min and --max: a range of seconds from 0 up");
        ensure!(scale > 0.0 && scale.is_finite(), "--scale: a number above 0");
        Ok(Options {
            certs: certs.context("--certs is missing")?,
            tenant: tenant.context("--tenant is missing")?,
            module: module.context("--module is missing")?,
            nodes,
            jobs,
            min,
            max,
            scale,
        })
    }

    /// `random.uniform(min, max)`, in hundredths, so that what is printed is what was sent.
    fn random_sleep(&self) -> Result<f64> {
        let random = getrandom::u64().context("this machine gives no random numbers")?;
        let seconds = (self.min + (self.max - self.min) * (random as f64 / u64::MAX as f64)) * self.scale;
        Ok((seconds * 100.0).round() / 100.0)
    }
}

fn number<T: FromStr>(option: &str, text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("{option} {text}: not a number that fits"))
}
