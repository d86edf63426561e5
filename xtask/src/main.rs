//! The project's own chores: `cargo xtask demo | test | jobs | bench | soak`. Each sets up what it needs on a fresh Debian or
//! Ubuntu, says what it does, does nothing twice, and fails with advice.

mod bench;
mod children;
mod cmd;
mod demo;
mod gate;
mod jobs;
mod repo;
mod setup;
mod soak;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repo::Repo;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Corovan's own chores", version)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Start two nodes on loopback, run ten sleeping jobs on them, show that they slept side by side
    Demo(demo::Options),
    /// The whole gate, as CI runs it: format, lints, jobs, tests, docs, licences
    Test(gate::Options),
    /// Build every job into target/jobs/NAME.wasm, installing the guest toolchains where they are missing
    Jobs(jobs::Options),
    /// Run the benchmarks and print them as a table, with machine and date
    Bench(bench::Options),
    /// Run the simulations with thousands of seeds, for as long as wanted
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = Repo::find().and_then(|repo| match args.chore {
        Chore::Demo(options) => demo::run(&repo, &options),
        Chore::Test(options) => gate::run(&repo, &options),
        Chore::Jobs(options) => jobs::run(&repo, &options),
        Chore::Bench(options) => bench::run(&repo, &options),
        Chore::Soak(options) => soak::run(&repo, &options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
