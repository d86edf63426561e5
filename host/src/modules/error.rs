//! Why a module cannot be stored or used: one variant a fact, one message that says what is wrong, where, and what to do.
//! Messages travel to clients: names of guests are escaped and cut, and no path of this machine is in them.

use super::info::Signature;
use super::names::{count, escape, list, quote};
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::job::manifest;
use corovan_core::limits;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Cheap to clone: all who wait for one compile are told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("this is not a WebAssembly module but {looks}: {advice}")]
    NotWasm { looks: String, advice: &'static str },
    #[error(
        "this WebAssembly module is cut off: it ends at byte {has}, within {part}, which goes on to byte {needs}; \
         ship the whole file"
    )]
    Truncated { has: u64, needs: u64, part: String },
    #[error(
        "this is a WebAssembly component, and this node runs core modules; components come later: build a core module \
         (for Rust, target wasm32-wasip1 instead of wasm32-wasip2)"
    )]
    Component,
    #[error(
        "this is WebAssembly of binary version {version} (layer {layer}), and this node knows version 1: use a released toolchain"
    )]
    UnknownVersion { version: u16, layer: u16 },
    #[error(
        "the module has {size} bytes, over the limit of {max}: strip its debug information (wasm-strip, or `strip = true` in \
         the Cargo profile), or build it for size",
        max = limits::MODULE_BYTES
    )]
    TooLarge { size: u64 },
    #[error("the module has {count} {what}, over the limit of {limit}")]
    TooMany { what: &'static str, count: u64, limit: u64 },
    #[error("the module is not valid WebAssembly: {message} (at byte {offset:#x})")]
    Invalid { offset: usize, message: String },
    #[error("the module uses {proposal}, which is not enabled here: {advice} ({message}, at byte {offset:#x})")]
    Proposal { proposal: &'static str, advice: &'static str, offset: usize, message: String },
    #[error("the module is an object file that is not linked yet: link it (wasm-ld, or let clang or cargo link)")]
    NotLinked,
    #[error("{}", imports(.0))]
    Imports(Vec<ImportProblem>),
    #[error(
        "the module starts with {min} bytes of memory, over this node's limit of {max}: build it with a smaller initial memory",
        max = limits::MEMORY_MAX
    )]
    Memory { min: u64 },
    #[error(
        "the module's table starts with {min} elements, over the limit of {max}: it has too many functions that are called \
         by pointer",
        max = limits::TABLE_ELEMENTS
    )]
    Table { min: u64 },
    #[error(
        "the module has nothing to run: neither a coroutine function, which is an export without parameters and results, \
         nor `_start`; {}", exporting(.exports)
    )]
    NothingToRun { exports: Vec<String> },
    #[error("the module's custom section corovan.manifest cannot be read: {0}; build the module again with its SDK")]
    Manifest(#[from] manifest::Error),
    #[error(
        "the module is written for version {wants} of the host interface, and this node has {max}: use a newer node, or an \
         older SDK",
        max = limits::ABI_VERSION
    )]
    Abi { wants: u32 },
    #[error(
        "the module's bytes do not have the announced hash: expected {expected}, and {size} bytes with hash {actual} came; \
         the file may have changed meanwhile: send it again"
    )]
    Hash { expected: ModuleHash, actual: ModuleHash, size: u64 },
    #[error("module {0} is not here: send its bytes")]
    NeedModule(ModuleHash),
    #[error("the module has no function \"{}\"{}; {}", plain(.name), hint(.nearest), has(.functions))]
    NoFunction { name: String, nearest: Option<String>, functions: Vec<String> },
    #[error("\"{}\" is exported as a {kind}, not as a function; {}", plain(.name), has(.functions))]
    NotAFunction { name: String, kind: &'static str, functions: Vec<String> },
    #[error(
        "\"{}\" has the signature {signature} and is no coroutine function, which takes and returns nothing (arguments come \
         by `args`, results go by `finish`; an SDK does both); coroutine functions are: {}", plain(.name), names(.functions)
    )]
    NotACoroutine { name: String, signature: Signature, functions: Vec<String> },
    #[error("`_initialize` prepares an instance and is run before each function; it cannot be run alone; {}", has(.functions))]
    Initialize { functions: Vec<String> },
    #[error("the module has no _start: name a function to run; {}", has(.functions))]
    NoCommand { functions: Vec<String> },
    #[error("the module cannot be compiled for this machine: {0}")]
    Compile(String),
    #[error("the compiler failed on this module; the node's log has the cause")]
    Crashed,
    #[error("the module needs {size} bytes of the node's store, which has {limit} in all")]
    Quota { size: u64, limit: u64 },
    #[error("the node cannot store the module: {}", storing(.0))]
    Store(Arc<io::Error>),
    #[error("{}: {source}", .path.display())]
    Directory { path: PathBuf, source: Arc<io::Error> },
    #[error("{} {why}: native code from there would be run; remove it, and the node makes it anew", .path.display())]
    NotPrivate { path: PathBuf, why: String },
}

/// What is wrong with one import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportProblem {
    /// There is no such function; perhaps one of a similar name.
    Unknown { module: String, name: String, signature: Signature, nearest: Option<(String, String)> },
    /// The function is there, with another signature.
    Signature { module: String, name: String, wants: Signature, has: Signature },
    /// Only functions can be imported.
    NotAFunction { module: String, name: String, kind: &'static str },
}

impl Error {
    pub fn code(&self) -> Code {
        match self {
            Error::TooLarge { .. } => Code::TooLarge,
            Error::NeedModule(_) => Code::NeedModule,
            Error::NoFunction { .. }
            | Error::NotAFunction { .. }
            | Error::NotACoroutine { .. }
            | Error::Initialize { .. }
            | Error::NoCommand { .. } => Code::UnknownFunction,
            Error::Quota { .. } => Code::NoSpace,
            Error::Store(source) if is_full(source) => Code::NoSpace,
            Error::Crashed | Error::Store(_) | Error::Directory { .. } | Error::NotPrivate { .. } => Code::Internal,
            _ => Code::BadModule,
        }
    }

    /// What a library says of a module, which may quote names of any length.
    pub(super) fn said(message: &str) -> String {
        escape(message, limits::TEXT_BYTES / 4)
    }

    pub(super) fn store(source: io::Error) -> Error {
        Error::Store(Arc::new(source))
    }

    pub(super) fn directory(path: &std::path::Path, source: io::Error) -> Error {
        Error::Directory { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl std::fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportProblem::Unknown { module, name, signature, nearest } => {
                write!(f, "{}.{} ({signature}) is not known", quote(module), quote(name))?;
                if let Some((module, name)) = nearest {
                    write!(f, "; the nearest is {}.{}", quote(module), quote(name))?;
                }
                Ok(())
            }
            ImportProblem::Signature { module, name, wants, has } => {
                write!(f, "{}.{} is a {has} here, and imported as {wants}", quote(module), quote(name))
            }
            ImportProblem::NotAFunction { module, name, kind } => {
                write!(f, "{}.{} is a {kind}", quote(module), quote(name))
            }
        }
    }
}

/// Whether the disk, or a quota on it, has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn storing(error: &io::Error) -> String {
    if is_full(error) {
        return "no space is left on its disk; free some, or give the node another data directory".to_owned();
    }
    // Its kind alone: the rest may name a path, which is the log's business.
    let kind = error.kind();
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("its data directory is not writable ({kind}); its operator can mend that")
        }
        _ => format!("{kind}; its log has more"),
    }
}

fn imports(problems: &[ImportProblem]) -> String {
    let unknown = problems.iter().any(|problem| matches!(problem, ImportProblem::Unknown { .. }));
    let signature = problems.iter().any(|problem| matches!(problem, ImportProblem::Signature { .. }));
    let mut advice = Vec::new();
    if unknown {
        advice.push("a module may import what the host interface and WASI preview 1 have");
    }
    if signature {
        advice.push("build it with headers or an SDK of this version");
    }
    if problems.iter().any(|problem| matches!(problem, ImportProblem::NotAFunction { .. })) {
        advice.push("only functions can be imported (link without --import-memory, --import-table, --shared)");
    }
    let what = count(problems.len(), "import that cannot be given", "imports that cannot be given");
    format!(
        "the module has {what}: {}. {}",
        list(problems.iter().map(ToString::to_string), "; "),
        sentence(&advice.join("; "))
    )
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_deref().map(|name| format!(" (did you mean {}?)", quote(name))).unwrap_or_default()
}

fn plain(name: &str) -> String {
    escape(name, limits::LISTED_NAME)
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { list(names.iter().map(|one| plain(one)), ", ") }
}

fn has(functions: &[String]) -> String {
    match functions {
        // Every other module has something to name.
        [] => "it has: none, since it is a WASI program: give its arguments after `--`".to_owned(),
        some => format!("it has: {}", names(some)),
    }
}

fn exporting(exports: &[String]) -> String {
    match exports {
        [] => "it exports no function at all".to_owned(),
        some => format!("it exports {}", list(some.iter().cloned(), ", ")),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
