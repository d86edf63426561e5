//! The same in systems written for Python, where `cargo xtask bench --peer` says which, and where their interpreter is.

use super::Row;
use super::erlang::numbers;
use anyhow::Context;
use std::path::PathBuf;
use std::process::Command;

/// The interpreter of an environment that has them, the directory of the programs, and the systems, with commas.
const PYTHON: &str = "COROVAN_BENCH_PYTHON";
const PROGRAMS: &str = "COROVAN_BENCH_PROGRAMS";
const PEERS: &str = "COROVAN_BENCH_PEERS";

/// Jobs one at a time, jobs together, and how many of these at a time: they take a millisecond each and more.
const COUNTS: [&str; 3] = ["500", "5000", "1000"];

/// Rows of ours beside each system that was asked for: one job at a time, and many.
pub fn rows(p50: f64, rate: f64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let peers = std::env::var(PEERS).unwrap_or_default();
    for peer in peers.split(',').filter(|peer| !peer.is_empty()) {
        let python = std::env::var_os(PYTHON).context(PYTHON)?;
        let program = PathBuf::from(std::env::var_os(PROGRAMS).context(PROGRAMS)?).join(format!("{peer}_jobs.py"));
        let said = numbers(Command::new(python).arg(program).args(COUNTS))?;
        let [theirs, rates] = said[..] else { anyhow::bail!("{peer} said {said:?}, not two numbers") };
        let name = match peer {
            "ray" => "Ray, two workers",
            "dask" => "Dask, two workers",
            "pycos" => "pycos, two servers",
            _ => "another system",
        };
        let row = |measure: &str, value, unit, baseline| Row {
            number: "7",
            measure: measure.into(),
            value,
            unit,
            baseline: Some((baseline, name)),
            target: "",
            met: None,
        };
        rows.push(row("attached job, submit -> result, p50", p50, "us", theirs));
        rows.push(row("attached jobs, pipelined, window 1,000", rate, "jobs/s", rates));
    }
    Ok(rows)
}
