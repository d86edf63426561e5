//! The command line: one file a command. Parses, calls the library, prints, chooses the exit code.

mod at;
pub mod cert;
mod config;
mod credentials;
mod durable;
pub mod exit;
mod flags;
mod identity;
mod inspect;
mod jobs;
mod map;
mod node;
mod nodes;
mod reload;
mod run;
mod token;
mod top;
mod what;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Ship WebAssembly coroutines to sandboxed nodes.
#[derive(Parser, Debug)]
#[command(name = "corovan", version = VERSION, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged to standard error, for example info or corovan=debug. Or COROVAN_LOG
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::Args),
    Node(node::Args),
    Nodes(nodes::Args),
    Peer(nodes::PeerArgs),
    Drain(nodes::DrainArgs),
    Undrain(nodes::UndrainArgs),
    Map(map::Args),
    Submit(durable::submit::Args),
    Attach(durable::result::AttachArgs),
    Ps(jobs::PsArgs),
    Top(top::Args),
    Logs(durable::logs::Args),
    Wait(durable::result::WaitArgs),
    Result(durable::result::ResultArgs),
    Cancel(durable::change::CancelArgs),
    Retry(durable::change::RetryArgs),
    Forget(durable::change::ForgetArgs),
    Why(jobs::WhyArgs),
    Config(config::Args),
    Cert(cert::CertArgs),
    Token(token::Args),
    Inspect(inspect::Args),
}

/// What a node logs where nothing else is said.
const NODE_LOG: &str = "info";

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 1, host interface 1, wasmtime 48)");

const EXAMPLES: &str = "\
Examples:
  corovan run job.wasm rcoro_proc 1.5             one job on a node of its own, in this process
  corovan run job.wasm rcoro_proc 1.5 --count 10  ten of them
  corovan run program.wasm -- --flag file < in    a WASI program, as if it ran here
  corovan cert init --dir certs/dev               a CA; then `cert node a` and `cert tenant me`
  corovan node --listen 127.0.0.1:4433 --name a --data data/a --certs certs/dev
  corovan run --node 127.0.0.1:4433 --certs certs/dev job.wasm rcoro_proc 1.5
  corovan token --at 127.0.0.1:4433 --certs certs/dev --node b      lets node b join, with `node --join`
  corovan nodes --certs certs/dev                 the nodes of the mesh
  corovan drain --certs certs/dev                 a node takes no new jobs, until undrain
  corovan submit --certs certs/dev job.wasm rcoro_proc 1.5         a job that lasts: prints its id
  corovan logs -f 01k --certs certs/dev           what it says; wait, result: how it ended
  corovan ps --certs certs/dev                    the jobs that a node has open
  corovan why 17.3 --certs certs/dev              why one of them waits, or is where it is
  corovan config check corovan.toml               whether a node's configuration file is good
  corovan inspect job.wasm                        what a module offers and asks for

Exit codes: 0 done; 1-119 the program's own; 120 a job failed; 121 a job was stopped by a limit;
122 refused; 123 a node cannot be reached or was lost; 124 --timeout; 125 wrong usage or a local
fault; 130 interrupted.";

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let error = advised(error);
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            // A closed standard error leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // The configuration of a node may say something else; it is read later.
    let default = if matches!(cli.command, Command::Node(_)) { NODE_LOG } else { "error" };
    let log = cli.log.as_deref();
    let environment = std::env::var("COROVAN_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = match crate::telemetry::init(log.or(environment.as_deref()).unwrap_or(default)) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("corovan: {}: {error}", if log.is_some() { "--log" } else { "COROVAN_LOG" });
            return ExitCode::from(exit::USAGE);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Node(args) => node::run(args, log, filter),
        Command::Nodes(args) => nodes::run(args),
        Command::Peer(args) => nodes::run_peer(args),
        Command::Drain(args) => nodes::drain(args),
        Command::Undrain(args) => nodes::undrain(args),
        Command::Map(args) => map::run(args),
        Command::Top(args) => top::run(args),
        Command::Attach(args) => durable::result::attach(args),
        Command::Submit(args) => durable::submit::run(args),
        Command::Logs(args) => durable::logs::run(args),
        Command::Wait(args) => durable::result::wait(args),
        Command::Result(args) => durable::result::result(args),
        Command::Cancel(args) => durable::change::cancel(args),
        Command::Retry(args) => durable::change::retry(args),
        Command::Forget(args) => durable::change::forget(args),
        Command::Ps(args) => jobs::ps(args),
        Command::Why(args) => jobs::why(args),
        Command::Config(args) => config::run(args, log),
        Command::Cert(args) => cert::run(args),
        Command::Token(args) => token::run(args),
        Command::Inspect(args) => inspect::run(args),
    };
    outcome.unwrap_or_else(|error| {
        let code = exit::of_error(&error);
        // As in `corovan inspect ... | head`: whoever read it has enough.
        if code != exit::BROKEN_PIPE {
            eprintln!("corovan: {}", message(&error));
        }
        ExitCode::from(code)
    })
}

/// What follows `--` is the argv of a WASI program here, and not an argument of a function, as clap would have it.
fn advised(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument && error.remove(ContextKind::Suggested).is_some() {
        let tip = "a text for the job that begins with '-' is written as JSON: '\"--like-this\"'";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The error and its causes, but for a cause that the text before it has told already.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn the_tip_for_an_unknown_option_is_one_that_works() {
        for (args, also) in [(["--foo", "3"], ""), (["--timout", "3"], "a similar argument exists: '--timeout'")] {
            let words = ["corovan", "run", "job.wasm", "f"].into_iter().chain(args);
            let text = advised(Cli::try_parse_from(words).unwrap_err()).to_string();
            assert!(text.contains("'\"--like-this\"'") && text.contains(also) && !text.contains("'-- --"), "{text}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("port in use").context("cannot listen on a: port in use: choose another").context("node");
        assert_eq!(message(&error), "node: cannot listen on a: port in use: choose another");
        let error = Err::<(), _>(anyhow!("line 1")).context("--args-file").unwrap_err();
        assert_eq!(message(&error), "--args-file: line 1");
    }
}
