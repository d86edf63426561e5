//! hello, in Rust: an ordinary WASI command, unmodified by Corovan. Shows argv, environment, stdin, stdout, stderr, sleep
//! and exit code; `hello` in C and Go takes the same options and prints the same lines.
//!
//! ```text
//! hello [--cat] [--sleep MS] [--err TEXT] [--exit N] [anything else is only printed]
//! ```
//! Options act in the order given; `--exit` ends the program.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            // Standard error may be closed; then the exit code has to say it alone.
            let _ = writeln!(io::stderr(), "hello: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    print(&args).map_err(|error| format!("stdout: {error}"))?;

    let mut rest = args.iter();
    while let Some(option) = rest.next() {
        match option.as_str() {
            "--cat" => {
                io::copy(&mut io::stdin(), &mut io::stdout()).map_err(|error| format!("stdin: {error}"))?;
            }
            "--sleep" => std::thread::sleep(Duration::from_millis(number(option, rest.next())?)),
            "--err" => eprintln!("{}", value(option, rest.next())?),
            "--exit" => {
                let code = number(option, rest.next())?;
                // `ExitCode` holds a byte; WASI and Corovan take 32 bits, and this program is there to show them.
                std::process::exit(i32::try_from(code).map_err(|_| format!("{option} {code} is too large"))?);
            }
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(args: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "hello from Rust")?;
    for (i, argument) in args.iter().enumerate() {
        writeln!(out, "arg {}: {argument}", i + 1)?;
    }
    for (name, value) in std::env::vars_os() {
        writeln!(out, "env {}={}", name.to_string_lossy(), value.to_string_lossy())?;
    }
    Ok(())
}

/// What follows an option.
fn value<'a>(option: &str, value: Option<&'a String>) -> Result<&'a str, String> {
    value.map(String::as_str).ok_or_else(|| format!("{option} needs a value"))
}

fn number(option: &str, given: Option<&String>) -> Result<u64, String> {
    let text = value(option, given)?;
    text.parse().map_err(|_| format!("{option} needs a whole number, found {text:?}"))
}
