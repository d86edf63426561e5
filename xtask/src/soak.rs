//! What takes longer than a gate may: thousands of seeds of the simulations, for so many minutes, or a million jobs over nodes that are
//! killed. The first seed that fails is said and replayed; without one, how many there were.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::cmd::{Cmd, headline, say};
use crate::repo::Repo;

/// How much of it.
#[derive(Args)]
pub struct Options {
    /// Seeds of each scenario
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: u64,
    /// Go on with that many seeds more until so many minutes are over
    #[arg(long, value_name = "N", default_value_t = 0)]
    minutes: u64,
    /// Instead, so many jobs over three nodes that are killed and started again all the while, and a hundred crashes of a home of durable
    /// jobs: each ends once, with its own result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    jobs: Option<u64>,
    /// Also what is too large for the gate: a thousand nodes
    #[arg(long)]
    large: bool,
}

/// Runs the simulations of links, membership, names and channels, optimised.
pub fn run(repo: &Repo, options: &Options) -> Result<()> {
    let begin = Instant::now();
    if let Some(jobs) = options.jobs {
        return many_jobs(repo, jobs);
    }
    let mut first = 0;
    loop {
        let seeds = first..first + options.seeds;
        headline(&format!(
            "simulations of links, membership, names and channels: seeds {} to {}",
            seeds.start,
            seeds.end - 1
        ));
        let mut cargo = Cmd::cargo()
            .dir(repo.root())
            .env("COROVAN_SEEDS", options.seeds.to_string())
            .env("COROVAN_SEEDS_FROM", first.to_string())
            .args(["test", "--release", "-p", "corovan-core", "--test", "sim", "--"]);
        if options.large {
            cargo = cargo.args(["--include-ignored"]);
        }
        if let Err(error) = cargo.run() {
            bail!("{error}: the line `failed with COROVAN_SEED=N` has the seed; with it set, what happens is printed");
        }
        say(&format!("{} seeds of each scenario, {:.0?} in all", seeds.end, begin.elapsed()));
        if begin.elapsed() >= Duration::from_secs(options.minutes * 60) {
            return Ok(());
        }
        first = seeds.end;
    }
}

/// Jobs over nodes that are killed, and homes that crash; optimised, with what they print.
fn many_jobs(repo: &Repo, jobs: u64) -> Result<()> {
    for (what, test, variable, count) in [
        ("jobs over nodes that are killed", "durable::many", "COROVAN_JOBS", jobs),
        ("crashes of a home of durable jobs", "again_and_again_loses_no_accepted_job", "COROVAN_CRASHES", CRASHES),
    ] {
        headline(&format!("{count} {what}"));
        let arguments = ["test", "--release", "-p", "corovan", "--test", "it", test, "--", "--nocapture"];
        Cmd::cargo().dir(repo.root()).env(variable, count.to_string()).args(arguments).run()?;
    }
    Ok(())
}

const CRASHES: u64 = 100;
