//! `corovan inspect`: what a module offers and asks for, and whether a node would take it. Nothing of it is run or compiled.

use super::exit;
use crate::hostcalls;
use crate::modules::{
    Depth, Error, Examined, FunctionInfo, ImportInfo, Item, KnownImports, ModuleInfo, examine, names,
};
use crate::node::known_imports;
use crate::runtime::engine::{self, Preemption};
use anyhow::Context;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a module offers and asks for.
///
/// Ends with 122, and says why, when no node would take the module.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A WebAssembly module
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = args.file.display().to_string();
    let bytes = read(&args.file).with_context(|| format!("{file} cannot be read"))?;
    let known = host_interface()?;
    let examined = bytes.and_then(|bytes| Ok((ModuleHash::of(&bytes), examine(&bytes, &known, Depth::Full)?)));
    let said = |problems: &[Error]| problems.iter().map(ToString::to_string).collect::<Vec<String>>();
    let (text, problems) = match examined {
        Ok((hash, examined)) if args.json => {
            (json_text(&to_json(&file, hash, &examined, &known)), said(&examined.problems))
        }
        Ok((hash, examined)) => (to_text(&file, hash, &examined, &known), said(&examined.problems)),
        Err(error) if args.json => (json_text(&json!({ "file": file, "problems": [problem(&error)] })), said(&[error])),
        Err(error) => (String::new(), said(&[error])),
    };
    // A reader that has enough is no failure.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::from(exit::BROKEN_PIPE)),
        written => written.context("standard output")?,
    }
    problems.iter().for_each(|problem| eprintln!("corovan: {file}: a node would refuse it: {problem}"));
    Ok(ExitCode::from(if problems.is_empty() { exit::DONE } else { exit::REFUSED }))
}

/// No more than a module may have, however large the file is.
fn read(path: &Path) -> std::io::Result<Result<Vec<u8>, Error>> {
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let limit = limits::MODULE_BYTES as u64;
    if size > limit {
        return Ok(Err(Error::TooLarge { size }));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

/// What a node of this version offers.
fn host_interface() -> anyhow::Result<KnownImports> {
    let engine = engine::build(Preemption::Epoch, engine::MIN_SLOTS)?;
    let linker = hostcalls::linker(&engine)?;
    Ok(known_imports(&engine, &linker)?)
}

fn to_text(file: &str, hash: ModuleHash, examined: &Examined, known: &KnownImports) -> String {
    let info = &examined.info;
    let manifest = info.manifest.as_ref();
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<12}{value}");
    };
    row("file", file);
    row("size", &format!("{} bytes", info.size));
    row("hash", &hash.to_string());
    row("kind", &kind(info));
    let memory = info.memory.map_or_else(
        || "none".to_owned(),
        |memory| {
            format!(
                "{} at the start, {}",
                bytes(memory.min),
                memory.max.map_or("no maximum".into(), |max| format!("at most {}", bytes(max)))
            )
        },
    );
    row("memory", &memory);
    if let Some(wanted) = manifest.and_then(|manifest| manifest.memory) {
        row("", &format!("asks for {}", bytes(wanted)));
    }
    if let Some(table) = info.table {
        row("table", &format!("{} elements", table.min));
    }
    let abi = manifest.and_then(|manifest| manifest.abi);
    let abi = abi.map_or_else(|| "not said".to_owned(), |abi| format!("version {abi}"));
    row("interface", &format!("{abi} (this build has version {})", limits::ABI_VERSION));
    let wants: Vec<String> =
        manifest.map(|manifest| manifest.wants.iter().map(|want| shown(want)).collect()).unwrap_or_default();
    row("wants", &if wants.is_empty() { "no rights".to_owned() } else { wants.join(", ") });
    row("manifest", if manifest.is_some() { "yes" } else { "none" });
    section(&mut out, "functions", functions(info));
    section(&mut out, "imports", imports(info, known));
    out
}

fn section(out: &mut String, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{title}");
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
    }
}

fn kind(info: &ModuleInfo) -> String {
    let mut kinds = Vec::new();
    if info.command {
        kinds.push("command (exports _start)");
    }
    if !info.functions.is_empty() {
        kinds.push("coroutine functions");
    }
    if info.reactor {
        kinds.push("runs _initialize first");
    }
    if info.start {
        kinds.push("has a start function");
    }
    if kinds.is_empty() { "nothing to run".to_owned() } else { kinds.join(", ") }
}

/// One line each, what is said about them side by side.
fn functions(info: &ModuleInfo) -> Vec<String> {
    let heads: Vec<String> = info.functions.iter().map(head).collect();
    let width = heads.iter().map(|head| head.chars().count()).max().unwrap_or_default().min(WIDEST);
    let lines = info.functions.iter().zip(heads).map(|(function, head)| {
        let doc = function.described.as_ref().and_then(|described| described.doc.as_deref()).unwrap_or_default();
        let doc = shown(doc.lines().next().unwrap_or_default());
        let by = if function.exported { "" } else { "(run by _start) " };
        format!("{head:<width$}  {by}{doc}").trim_end().to_owned()
    });
    lines.collect()
}

fn head(function: &FunctionInfo) -> String {
    let name = shown(&function.name);
    let described = function.described.as_ref();
    let Some(params) = described.and_then(|described| described.params.as_ref()) else {
        return format!("{name}: func()");
    };
    let params: Vec<String> = params.iter().map(|param| shown(param)).collect();
    let result = described.and_then(|described| described.result.as_deref()).filter(|result| *result != "()");
    format!(
        "{name}({}){}",
        params.join(", "),
        result.map(|result| format!(" -> {}", shown(result))).unwrap_or_default()
    )
}

/// What is known, by module on one line; what is not, one line each.
fn imports(info: &ModuleInfo, known: &KnownImports) -> Vec<String> {
    let mut good: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut bad = Vec::new();
    for import in &info.imports {
        match known.problem(import) {
            None => good.entry(&import.module).or_default().push(shown(&import.name)),
            Some(problem) => bad.push(format!("! {problem}")),
        }
    }
    let good = good.into_iter().map(|(module, mut names)| {
        names.sort();
        format!("{}: {}", shown(module), names.join(", "))
    });
    good.chain(bad).collect()
}

fn to_json(file: &str, hash: ModuleHash, examined: &Examined, known: &KnownImports) -> Value {
    let info = &examined.info;
    let functions: Vec<Value> = info
        .functions
        .iter()
        .map(|function| {
            let said = function.described.as_ref();
            json!({
                "name": function.name,
                "exported": function.exported,
                "params": said.and_then(|said| said.params.as_ref()),
                "result": said.and_then(|said| said.result.as_ref()),
                "doc": said.and_then(|said| said.doc.as_ref()),
            })
        })
        .collect();
    let manifest = info
        .manifest
        .as_ref()
        .map(|manifest| json!({ "abi": manifest.abi, "memory": manifest.memory, "wants": manifest.wants }));
    json!({
        "file": file,
        "size": info.size,
        "hash": hash.to_string(),
        "command": info.command,
        "reactor": info.reactor,
        "start": info.start,
        "memory": info.memory.map(|memory| json!({ "min": memory.min, "max": memory.max })),
        "table": info.table.map(|table| json!({ "min": table.min, "max": table.max })),
        "functions": functions,
        "imports": info.imports.iter().map(|import| import_json(import, known)).collect::<Vec<Value>>(),
        "manifest": manifest,
        "problems": examined.problems.iter().map(problem).collect::<Vec<Value>>(),
    })
}

fn import_json(import: &ImportInfo, known: &KnownImports) -> Value {
    let ty = match &import.item {
        Item::Function(signature) => signature.to_string(),
        Item::Other(kind) => (*kind).to_owned(),
    };
    let problem = known.problem(import).map(|problem| problem.to_string());
    json!({ "module": import.module, "name": import.name, "type": ty, "known": problem.is_none(), "problem": problem })
}

fn problem(error: &Error) -> Value {
    json!({ "code": error.code().name(), "text": error.to_string() })
}

/// Indented, and with every character that could control a terminal written as JSON's own escape.
fn json_text(value: &Value) -> String {
    let mut out = String::new();
    for letter in format!("{value:#}\n").chars() {
        if letter != '\n' && (letter.is_control() || names::invisible(letter)) {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            });
        } else {
            out.push(letter);
        }
    }
    out
}

fn shown(name: &str) -> String {
    names::escape(name, SHOWN_NAME)
}

fn bytes(size: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| size >= *unit) {
        Some((unit, name)) if size.is_multiple_of(*unit) => format!("{} {name}", size / unit),
        Some((unit, name)) => format!("{:.1} {name}", size as f64 / *unit as f64),
        None => format!("{size} bytes"),
    }
}

/// Of a name or a line of documentation.
const SHOWN_NAME: usize = 256;
/// Functions with longer heads do not push everyone's documentation to the right.
const WIDEST: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = r#"(module
        (import "corovan" "finnish" (func (param i32 i32) (result i32)))
        (import "corovan" "args" (func (param i32 i32) (result i32)))
        (memory (export "memory") 17 100)
        (func (export "rcoro_proc"))
        (func (export "evil\1b[2J\c2\9b\e2\80\aetxt"))
        (func (export "_initialize")))"#;

    fn examined(wat: &str) -> (ModuleHash, Examined, KnownImports) {
        let wasm = wat::parse_str(wat).unwrap();
        let known = host_interface().unwrap();
        (ModuleHash::of(&wasm), examine(&wasm, &known, Depth::Full).unwrap(), known)
    }

    #[test]
    fn a_module_is_shown_with_what_is_wrong_and_controls_no_terminal() {
        let (hash, examined, known) = examined(HOSTILE);
        let text = to_text("job.wasm", hash, &examined, &known);
        for line in [
            "file        job.wasm\n",
            &format!("hash        {hash}\n"),
            "kind        coroutine functions, runs _initialize first\n",
            "memory      1.1 MiB at the start, at most 6.2 MiB\n",
            "  rcoro_proc: func()\n",
            "  evil\\u{1b}[2J\\u{9b}\\u{202e}txt: func()\n",
            "  corovan: args\n",
            "  ! `corovan`.`finnish` (func(i32, i32) -> i32) is not known; the nearest is `corovan`.`finish`\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        let json = json_text(&to_json("job.wasm", hash, &examined, &known));
        for text in [&text, &json] {
            assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || names::invisible(c)), "{text:?}");
        }
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["functions"][1]["name"], "evil\u{1b}[2J\u{9b}\u{202e}txt");
        assert_eq!((&value["imports"][0]["known"], &value["imports"][1]["known"]), (&json!(false), &json!(true)));
        assert_eq!(value["problems"][0]["code"], "bad-module");
    }

    #[test]
    fn sizes_are_for_people() {
        for (size, text) in [(0, "0 bytes"), (1 << 16, "64 KiB"), (1_114_112, "1.1 MiB"), (4 << 30, "4 GiB")] {
            assert_eq!(bytes(size), text);
        }
    }
}
