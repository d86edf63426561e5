//! The demo: two node processes on loopback with a fresh development CA, and ten jobs that sleep for a random time, as
//! in the tutorial Corovan grew from. It ends with a check: the total is about the longest sleep, not the sum.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::children::{Interrupt, Running};
use crate::cmd::{Cmd, headline, say};
use crate::jobs;
use crate::repo::Repo;
use crate::setup::rust;

/// The size of the demo.
#[derive(Args)]
pub struct Options {
    /// Sleep this many times as long; 0.1 makes it quick
    #[arg(long, value_name = "F", default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// How many jobs
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    jobs: u32,
}

/// Builds, starts, runs, checks and ends everything.
pub fn run(repo: &Repo, options: &Options) -> Result<()> {
    headline("building");
    rust::c_compiler()?;
    jobs::run(repo, &jobs::Options { only: vec![JOB.to_string()], ..Default::default() })?;
    let module = repo.jobs()?.join(format!("{JOB}.wasm"));
    let programs = Programs::build(repo)?;

    let stop = Interrupt::catch()?;
    let folder = tempfile::Builder::new().prefix("corovan-demo-").tempdir().context("no temporary folder")?;
    let certs = folder.path();
    headline("a development CA, and certificates for two nodes and a tenant");
    for args in [&["init"][..], &["node", "a"], &["node", "b"], &["tenant", TENANT]] {
        Cmd::new(&programs.corovan).arg("cert").args(args).arg("--dir").arg(certs).quiet().read()?;
        stop.check()?;
    }
    say(&format!("in {}, removed at the end", certs.display()));

    headline("two nodes");
    let mut nodes = Vec::new();
    let mut addresses = Vec::new();
    for name in ["a", "b"] {
        let mut node = programs.start_node(name, certs)?;
        let address = node.wait_for("listening on ", &stop, NODE_START)?;
        say(&format!("node {name} listens on {address}"));
        addresses.push(address);
        nodes.push(node);
    }

    headline(&format!("{} jobs of {JOB}", options.jobs));
    let begin = Instant::now();
    let mut client = programs.start_client(options, certs, &addresses, &module)?;
    let mut report = Report::default();
    while let Some(line) = client.next_line(&stop, begin + limit(options))? {
        println!("{line}");
        report.add_line(&line);
    }
    let status = client.wait(Duration::from_secs(10))?;
    report.total = begin.elapsed().as_secs_f64();
    if !status.success() {
        let logs: Vec<String> = nodes.iter().map(Running::last_words).collect();
        bail!("the client failed ({status}){}", logs.concat());
    }

    headline("ending the nodes");
    for node in nodes {
        say(&node.stop()?);
    }
    drop(folder);
    println!("\n{}", report.verdict(options.jobs)?);
    Ok(())
}

/// What the demo runs.
struct Programs {
    corovan: PathBuf,
    client: PathBuf,
}

impl Programs {
    /// The development build: our code builds quickly, its dependencies are optimised in it all the same.
    fn build(repo: &Repo) -> Result<Programs> {
        let messages = Cmd::cargo()
            .dir(repo.root())
            .args(["build", "-p", "corovan", "-p", "corovan-examples", "--bins", "--examples"])
            .arg("--message-format=json-render-diagnostics")
            .read()?;
        let program = |name: &str| {
            executable(&messages, name).with_context(|| format!("the workspace has no program {name} any more"))
        };
        Ok(Programs { corovan: program("corovan")?, client: program(CLIENT)? })
    }

    fn start_node(&self, name: &str, certs: &Path) -> Result<Running> {
        let mut command = Command::new(&self.corovan);
        command.args(["node", "--listen", "127.0.0.1:0", "--name", name, "--data"]).arg(certs.join(name));
        command.arg("--certs").arg(certs);
        Running::in_background(&format!("node {name}"), command, &certs.join(format!("{name}.log")))
    }

    fn start_client(&self, options: &Options, certs: &Path, nodes: &[String], module: &Path) -> Result<Running> {
        let mut command = Command::new(&self.client);
        command.arg("--certs").arg(certs).args(["--tenant", TENANT]);
        for node in nodes {
            command.args(["--node", node]);
        }
        command.args(["--jobs", &options.jobs.to_string(), "--scale", &options.scale.to_string()]);
        command.arg("--module").arg(module);
        Running::in_foreground(CLIENT, command)
    }
}

/// What the client has said. It prints, for each job, `NODE processing SECONDS` and `... finished with SECONDS`.
#[derive(Debug, Default)]
struct Report {
    /// Jobs by the node that took them.
    nodes: BTreeMap<String, u32>,
    finished: Vec<f64>,
    /// How long the client ran, seen from here: with connecting, shipping and compiling.
    total: f64,
}

impl Report {
    fn add_line(&mut self, line: &str) {
        if let Some((node, _)) = line.split_once(" processing ") {
            *self.nodes.entry(node.trim().to_string()).or_default() += 1;
        }
        if let Some((_, result)) = line.split_once(" finished with ") {
            let number = result.split_whitespace().next().unwrap_or_default();
            self.finished.extend(number.parse::<f64>());
        }
    }

    /// The sentence at the end, or what is wrong.
    fn verdict(&self, jobs: u32) -> Result<String> {
        let (finished, processed) = (self.finished.len(), self.nodes.values().sum::<u32>());
        ensure!(finished == jobs as usize, "of {jobs} jobs, {finished} finished with a number");
        ensure!(processed == jobs, "of {jobs} jobs, {processed} were reported as processed by a node");
        ensure!(self.nodes.len() >= 2, "one node did all the work: {:?}", self.nodes);
        let longest = self.finished.iter().copied().fold(0.0, f64::max);
        let sum: f64 = self.finished.iter().sum();
        let allowed = longest + SLACK_SECONDS + longest * SLACK_SHARE;
        let times = format!("total {:.1} s, longest sleep {longest:.1} s, sum of sleeps {sum:.1} s", self.total);
        ensure!(sum > allowed, "{times}: too little sleep to tell side by side from one after another; raise --scale");
        ensure!(
            self.total <= allowed,
            "{times}: the jobs did not sleep side by side (at most {allowed:.1} s expected)"
        );
        let shares: Vec<String> = self.nodes.iter().map(|(node, jobs)| format!("{node}: {jobs}")).collect();
        Ok(format!(
            "{times}.\nThe total is about the longest sleep and not the sum. Jobs by node: {}.",
            shares.join(", ")
        ))
    }
}

/// The program `name` among cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = artifacts.filter(|message| message["target"]["name"] == name);
    programs.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Sleeps are of 5 to 20 seconds; a minute besides is enough for a slow machine.
fn limit(options: &Options) -> Duration {
    Duration::from_secs_f64(60.0 + 20.0 * options.scale)
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=100.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0.01 to 100".to_string()),
    }
}

const JOB: &str = "rcoro_proc";
const CLIENT: &str = "rcoro_client";
const TENANT: &str = "demo";

/// A node compiles nothing to start, but the first start on a machine reads a large program from disk.
const NODE_START: Duration = Duration::from_secs(30);

/// What connecting, shipping and compiling may take on a slow machine, besides the longest sleep.
const SLACK_SECONDS: f64 = 2.0;
const SLACK_SHARE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(total: f64, nodes: &[&str]) -> Report {
        let mut report = Report { total, ..Report::default() };
        for (node, seconds) in nodes.iter().zip([5.0, 20.0, 12.0]) {
            report.add_line(&format!("{node} processing {seconds}"));
            report.add_line(&format!("job on {node} finished with {seconds}"));
        }
        report
    }

    #[test]
    fn sleeping_side_by_side_passes() {
        let text = report(20.6, &["a", "b", "a"]).verdict(3).unwrap();
        assert!(text.contains("total 20.6 s, longest sleep 20.0 s, sum of sleeps 37.0 s"), "{text}");
        assert!(text.contains("a: 2, b: 1"), "{text}");
    }

    #[test]
    fn sleeping_one_after_another_fails() {
        let error = report(37.2, &["a", "b", "a"]).verdict(3).unwrap_err().to_string();
        assert!(error.contains("did not sleep side by side"), "{error}");
    }

    #[test]
    fn a_lost_job_and_an_idle_node_fail() {
        let error = report(20.6, &["a", "b"]).verdict(3).unwrap_err().to_string();
        assert!(error.contains("of 3 jobs, 2 finished"), "{error}");
        let error = report(20.6, &["a", "a", "a"]).verdict(3).unwrap_err().to_string();
        assert!(error.contains("one node did all the work"), "{error}");
    }

    #[test]
    fn a_program_is_found_among_cargos_messages() {
        let messages = "{\"target\":{\"name\":\"corovan\"},\"executable\":null}\n\
                        {\"target\":{\"name\":\"corovan\"},\"executable\":\"/t/corovan\"}\n";
        assert_eq!(executable(messages, "corovan"), Some(PathBuf::from("/t/corovan")));
        assert_eq!(executable(messages, "rcoro_client"), None);
    }
}
