//! `corovan inspect`: what a module offers and what it asks for.

use super::exit;
use crate::hostcalls;
use crate::modules::info::{Entry, KnownImports, ModuleInfo};
use crate::modules::validate;
use crate::node::known_imports;
use crate::runtime::engine::{self, MIN_SLOTS, Preemption};
use anyhow::Context;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show functions, imports, memory, ABI version, manifest and hash of a module.
///
/// Exits with 122 if a node would refuse the module, and says why.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  corovan inspect job.wasm\n  corovan inspect job.wasm --json | jq .functions")]
pub struct Args {
    /// A WebAssembly module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&args.file).with_context(|| args.file.display().to_string())?;
    let engine = engine::build(Preemption::Epoch, MIN_SLOTS)?;
    let linker = hostcalls::linker(&engine).map_err(anyhow::Error::from)?;
    let known = known_imports(&engine, &linker);
    let hash = ModuleHash::of(&bytes);
    let verdict = validate::validate(&bytes, &known);
    let info = match &verdict {
        Ok(info) => info.clone(),
        // Shown all the same where it can be read: which imports are unknown is seen best in the list.
        Err(error) => match validate::inspect(&bytes) {
            Ok(info) => info,
            Err(_) => {
                eprintln!("corovan: {}: {}", args.file.display(), escape(&error.to_string()));
                return Ok(ExitCode::from(exit::REFUSED));
            }
        },
    };
    let text = if args.json { format!("{}\n", to_json(&info, hash, &known)) } else { to_text(&info, hash, &known) };
    std::io::stdout().write_all(text.as_bytes())?;
    match verdict {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("corovan: a node would refuse it: {}", escape(&error.to_string()));
            Ok(ExitCode::from(exit::REFUSED))
        }
    }
}

fn to_text(info: &ModuleInfo, hash: ModuleHash, known: &KnownImports) -> String {
    let mut facts = table();
    facts.add_row(["hash", &hash.to_string()]);
    facts.add_row(["size", &format!("{} bytes", info.size)]);
    let kind = match (info.command, info.reactor) {
        (true, _) => "command (has _start)",
        (false, true) => "reactor (has _initialize)",
        (false, false) => "reactor",
    };
    facts.add_row(["kind", kind]);
    facts.add_row(["memory", &memory(info)]);
    let abi = info.manifest.as_ref().and_then(|manifest| manifest.abi);
    let abi = abi.map_or_else(|| "not stated".to_owned(), |abi| abi.to_string());
    facts.add_row(["host interface", &format!("{abi} (this version has {})", limits::ABI_VERSION)]);
    if let Some(manifest) = &info.manifest {
        let wants = if manifest.wants.is_empty() { "no rights".to_owned() } else { manifest.wants.join(", ") };
        facts.add_row(["wants", &escape(&wants)]);
    }
    let mut functions = table();
    for function in functions_of(info) {
        functions.add_row([function.0, function.1]);
    }
    let mut imports = table();
    for import in &info.imports {
        let signature = import.signature.as_ref().map_or_else(|| "not a function".to_owned(), ToString::to_string);
        let fault = known.fault(import).map_or_else(String::new, |fault| format!("REFUSED: {fault}"));
        imports.add_row([escape(&format!("{}.{}", import.module, import.name)), signature, escape(&fault)]);
    }
    let mut text = String::new();
    for (title, table) in [("", &facts), ("\nfunctions\n", &functions), ("\nimports\n", &imports)] {
        if !table.is_empty() {
            text.push_str(title);
            text.extend(table.lines().map(|line| format!("{}\n", line.trim_end())));
        }
    }
    text
}

/// Name with its parameters, and its first line of documentation.
fn functions_of(info: &ModuleInfo) -> Vec<(String, String)> {
    let declared = info.manifest.iter().flat_map(|manifest| &manifest.functions);
    let describe = |name: &str| match declared.clone().find(|function| function.name == name) {
        Some(function) => {
            let result = function.result.as_deref().map_or_else(String::new, |result| format!(" -> {result}"));
            let doc = function.doc.as_deref().and_then(|doc| doc.trim().lines().next()).unwrap_or_default();
            (escape(&format!("{name}({}){result}", function.params.join(", "))), escape(doc))
        }
        None => (escape(&format!("{name}(...)")), String::new()),
    };
    info.runnable().into_iter().map(describe).collect()
}

fn memory(info: &ModuleInfo) -> String {
    let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
    match info.memory {
        None => "none".to_owned(),
        Some(memory) => {
            let max =
                memory.max.map_or_else(|| "no maximum of its own".to_owned(), |max| format!("at most {}", kib(max)));
            let wants = info.manifest.as_ref().and_then(|manifest| manifest.memory);
            let wants = wants.map_or_else(String::new, |wants| format!(", wants {}", kib(wants)));
            format!("starts with {}, {max}{wants}", kib(memory.min))
        }
    }
}

fn to_json(info: &ModuleInfo, hash: ModuleHash, known: &KnownImports) -> serde_json::Value {
    let declared = info.manifest.iter().flat_map(|manifest| &manifest.functions);
    let functions = info.runnable().into_iter().map(|name| {
        let declared = declared.clone().find(|function| function.name == name);
        let exported = matches!(info.entry(Some(name)), Ok(Entry::Export(_)));
        json!({
            "name": name, "exported": exported,
            "params": declared.map(|function| &function.params),
            "result": declared.and_then(|function| function.result.as_ref()),
            "doc": declared.and_then(|function| function.doc.as_ref()),
        })
    });
    let imports = info.imports.iter().map(|import| {
        json!({
            "module": import.module, "name": import.name, "signature": import.signature.as_ref().map(ToString::to_string),
            "fault": known.fault(import),
        })
    });
    json!({
        "hash": hash.to_string(), "size": info.size, "command": info.command, "reactor": info.reactor,
        "memory": info.memory.map(|memory| json!({ "min": memory.min, "max": memory.max })),
        "abi": info.manifest.as_ref().and_then(|manifest| manifest.abi),
        "wants": info.manifest.as_ref().map(|manifest| &manifest.wants),
        "memory_wanted": info.manifest.as_ref().and_then(|manifest| manifest.memory),
        "functions": functions.collect::<Vec<_>>(), "imports": imports.collect::<Vec<_>>(),
    })
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

/// A module's names are its author's: control characters must not reach the terminal.
fn escape(text: &str) -> String {
    super::run::escape_text(text)
}
