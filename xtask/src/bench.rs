//! Benchmarks as a table with machine and date, and as JSON. The measuring is the host's (`host/benches/rows.rs`, which
//! prints one JSON object a line); a target that is missed is shown, not an error, since a test never asserts on time.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cmd::{Cmd, headline, say};
use crate::repo::Repo;
use crate::setup::{apt, python};

/// What to measure and where to put it.
#[derive(Args)]
pub struct Options {
    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also run the same in other systems, in turn (installed where they are missing), with commas
    #[arg(long = "peer", value_name = "SYSTEM", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Rows of the table of targets (all if none is given)
    rows: Vec<String>,
}

/// A system that the rows are measured beside.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Erlang,
    Ray,
    Dask,
    Pycos,
}

impl Peer {
    /// What PyPI has it as.
    fn library(self) -> Option<(&'static str, python::Library)> {
        match self {
            Peer::Erlang => None,
            Peer::Ray => Some(("ray", python::RAY)),
            Peer::Dask => Some(("dask", python::DASK)),
            Peer::Pycos => Some(("pycos", python::PYCOS)),
        }
    }
}

/// Runs the benchmarks and shows what they measured.
pub fn run(repo: &Repo, options: &Options) -> Result<()> {
    headline("building and measuring (optimised; on a busy machine the figures mean little)");
    let mut rows = Vec::new();
    let mut broken = None;
    let mut cargo = Cmd::cargo();
    if options.peers.contains(&Peer::Erlang) {
        if !Cmd::new("erl").args(["-noshell", "-eval", "halt()."]).quiet().works() {
            apt::install(&["erlang-base"], "to run the same in Erlang")?;
        }
        cargo = cargo.env("COROVAN_BENCH_ERLANG", repo.root().join("host/benches/peers"));
    }
    let python: Vec<(&str, python::Library)> = options.peers.iter().filter_map(|peer| peer.library()).collect();
    if !python.is_empty() {
        let libraries: Vec<python::Library> = python.iter().map(|(_, library)| *library).collect();
        let interpreter = python::libraries(repo, &libraries, "to run the same there")?;
        let names: Vec<&str> = python.iter().map(|(name, _)| *name).collect();
        cargo = cargo
            .env("COROVAN_BENCH_PYTHON", interpreter)
            .env("COROVAN_BENCH_PROGRAMS", repo.root().join("host/benches/peers"))
            .env("COROVAN_BENCH_PEERS", names.join(","));
    }
    cargo
        .dir(repo.root())
        .args(["bench", "-p", "corovan", "--bench", "rows", "--"])
        .args(&options.rows)
        .lines(|line| match serde_json::from_str::<Value>(line) {
            Ok(row) if row.is_object() => {
                let [number, measure, value, ..] = cells(&row);
                say(&format!("row {number}: {measure}: {value}"));
                rows.push(row);
                false
            }
            Err(error) if line.starts_with('{') => {
                broken = Some(format!("{error}: {line}"));
                true
            }
            _ => true,
        })
        .context("the benchmarks did not run to their end")?;
    if let Some(broken) = broken {
        anyhow::bail!("a row of the benchmarks is not JSON: {broken}");
    }
    ensure!(!rows.is_empty(), "the benchmarks measured nothing; is there a row {}?", options.rows.join(", "));

    let machine = Machine::read();
    println!("\n{}\n\n{}", machine.line(), table(&rows));
    if let Some(file) = &options.json {
        let all = json!({ "machine": machine.json(), "date": machine.date, "commit": machine.commit, "rows": rows });
        fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("also in {}", file.display()));
    }
    Ok(())
}

/// Where and when it was measured, without which a figure means nothing.
struct Machine {
    cpu: String,
    cores: usize,
    memory: String,
    kernel: String,
    rustc: String,
    commit: String,
    date: String,
}

impl Machine {
    fn read() -> Machine {
        let field = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
            line.map_or_else(|| "unknown".to_string(), |value| value.trim().to_string())
        };
        let told = |program: &str, args: &[&str]| {
            Cmd::new(program).args(args).answer().unwrap_or_else(|| "unknown".to_string())
        };
        let kib = field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        Machine {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: kib.map_or_else(|| "unknown".to_string(), |kib| format!("{} GiB", (kib + 524_288) / 1_048_576)),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string(),
            rustc: told("rustc", &["--version"]),
            commit: told("git", &["describe", "--always", "--dirty"]),
            date: told("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        }
    }

    fn line(&self) -> String {
        let Machine { cpu, cores, memory, kernel, rustc, commit, date } = self;
        format!("{date}, commit {commit}, {rustc}\n{cpu}, {cores} cores, {memory}, Linux {kernel}")
    }

    fn json(&self) -> Value {
        json!({ "cpu": self.cpu, "cores": self.cores, "memory": self.memory, "kernel": self.kernel, "rustc": self.rustc })
    }
}

/// Columns as wide as their widest cell; also valid Markdown, for a note or an issue.
fn table(rows: &[Value]) -> String {
    let head = ["#", "measure", "value", "baseline", "ratio", "target", "met"].map(String::from);
    let cells: Vec<[String; 7]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        text += &format!("|{}|\n", padded.collect::<Vec<_>>().join("|"));
        if index == 0 {
            let rules = widths.iter().map(|width| "-".repeat(width + 2));
            text += &format!("|{}|\n", rules.collect::<Vec<_>>().join("|"));
        }
    }
    text
}

fn cells(row: &Value) -> [String; 7] {
    let text = |key: &str| match &row[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let unit = text("unit");
    let baseline = match row["baseline"].as_f64() {
        Some(value) => format!("{} {unit} ({})", number(value), text("baseline_name")),
        None => text("baseline_name"),
    };
    let met = match row["met"].as_bool() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        text("row"),
        text("measure"),
        row["value"].as_f64().map_or_else(|| text("value"), |value| format!("{} {unit}", number(value))),
        baseline,
        row["ratio"].as_f64().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        text("target"),
        met.to_string(),
    ]
}

/// Three significant figures at least, thousands apart: `0.0123`, `4.56`, `1,234,567`.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let digits = format!("{size:.0}");
        let grouped: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
        return format!("{}{}", if value < 0.0 { "-" } else { "" }, grouped.join(","));
    }
    match size {
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_value_baseline_and_whether_the_target_is_met() {
        let row = json!({ "row": 1, "measure": "spawn -> finish", "value": 123456.7, "unit": "1/s", "baseline": 200000,
            "baseline_name": "bare wasmtime", "ratio": 0.617, "target": ">= 0.6", "met": true });
        let text = table(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        for cell in ["| 1 ", "123,457 1/s", "200,000 1/s (bare wasmtime)", "0.62", ">= 0.6", "yes"] {
            assert!(lines[2].contains(cell), "{cell} in {text}");
        }
    }

    #[test]
    fn a_row_without_baseline_has_an_empty_cell() {
        let cells = cells(&json!({ "row": "13", "measure": "idle", "value": 41.25, "unit": "MB", "met": false }));
        assert_eq!(cells, ["13", "idle", "41.2 MB", "", "", "", "NO"].map(String::from));
    }

    #[test]
    fn numbers_read_well() {
        let shown = [0.0, 0.01234, 4.561, 45.61, 456.1, 1234567.0, -1234.0].map(number);
        assert_eq!(shown, ["0.00", "0.0123", "4.56", "45.6", "456", "1,234,567", "-1,234"].map(String::from));
    }
}
