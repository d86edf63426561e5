//! `corovan config`: whether a configuration file is good, and what holds for a node with it, and why.

use super::exit;
use super::flags::{Bad, Flags};
use crate::config::layers::{Effective, Source};
use anyhow::bail;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a node's configuration file, or show what holds.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Check(CheckArgs),
    Show(Box<ShowArgs>),
}

/// Say whether a file is good; every error has its line and column.
#[derive(clap::Args, Debug)]
struct CheckArgs {
    /// The file (default: corovan.toml in the data directory)
    #[arg(env = "COROVAN_CONFIG")]
    file: Option<PathBuf>,
}

/// Show what holds for `corovan node` with this file, the environment and these options, and where each value comes from.
#[derive(clap::Args, Debug)]
struct ShowArgs {
    /// The file (default: corovan.toml in the data directory, if it is there)
    #[arg(env = "COROVAN_CONFIG")]
    file: Option<PathBuf>,
    /// One JSON object, by key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub fn run(args: Args, log: Option<&str>) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check(args) => check(args),
        Command::Show(args) => show(&args, log),
    }
}

fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let file = match args.file {
        Some(file) => file,
        None => match Bad::or(Flags::default().sources(None, None)?.load())?.file {
            Some(file) => file,
            None => bail!("there is no corovan.toml in the data directory: name the file that is to be checked"),
        },
    };
    Bad::or(Effective::of_file(&file))?;
    writeln!(std::io::stdout(), "{}: good", file.display())?;
    Ok(ExitCode::from(exit::DONE))
}

fn show(args: &ShowArgs, log: Option<&str>) -> anyhow::Result<ExitCode> {
    let effective = Bad::or(args.flags.sources(args.file.clone(), log)?.load())?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", to_json(&effective))?;
    } else {
        write!(out, "{}", to_toml(&effective))?;
    }
    Ok(ExitCode::from(exit::DONE))
}

/// A file that says the same, with where each value comes from beside it.
fn to_toml(effective: &Effective) -> String {
    let (mut text, mut table) = (String::new(), "");
    for (key, given) in effective.all() {
        if key.table() != table {
            text.push_str(&format!("{}[{}]\n", if table.is_empty() { "" } else { "\n" }, key.table()));
            table = key.table();
        }
        let (value, source) = effective.shown(key);
        let line = match given {
            Some(_) => format!("{} = {value}", key.name()),
            // A comment of TOML: there is no value that means this.
            None => format!("# {}: {value}", key.name()),
        };
        text.push_str(&format!("{line:<48} # {source}\n"));
    }
    text
}

fn to_json(effective: &Effective) -> Value {
    let entry = |given: Option<&crate::config::layers::Given>| {
        let Some(given) = given else { return json!({"value": null, "source": "default"}) };
        let value = given.value.to_json();
        match &given.source {
            Source::Default => json!({"value": value, "source": "default"}),
            Source::File { file, line, column } => {
                json!({"value": value, "source": "file", "file": &**file, "line": line, "column": column})
            }
            Source::Environment(name) => json!({"value": value, "source": "environment", "variable": name}),
            Source::Flag(name) => json!({"value": value, "source": "flag", "flag": name}),
        }
    };
    Value::Object(effective.all().map(|(key, given)| (key.path.to_owned(), entry(given))).collect::<Map<_, _>>())
}
