//! sums: a WASI program that knows nothing of Corovan. Reads lines of numbers from standard input, and after each prints their sum and
//! the sum of all so far; ends with standard input.

use std::io::{BufRead, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sums: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut out, mut total) = (std::io::stdout().lock(), 0_i64);
    for line in std::io::stdin().lock().lines() {
        let numbers = line?.split_whitespace().map(str::parse).collect::<Result<Vec<i64>, _>>()?;
        let sum: i64 = numbers.iter().sum();
        total += sum;
        writeln!(out, "{sum} {total}")?;
        out.flush()?;
    }
    Ok(())
}
