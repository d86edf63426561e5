//! What can be wrong with a module or its store, each told apart: what is wrong, where, and what to do.

use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::job::manifest;
use corovan_core::limits;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("this is not a WebAssembly module: {0}")]
    NotWasm(&'static str),
    #[error("the module is cut off: it ends at byte {0}, in the middle of something; ship the whole file")]
    Truncated(usize),
    #[error(
        "this is a WebAssembly component; this version runs core modules only, components come later: build for wasm32-wasip1"
    )]
    Component,
    #[error("the module is of WebAssembly binary version {0}; this node knows version 1")]
    Version(u32),
    #[error("the module has {size} bytes, over the limit of {max}", max = limits::MODULE_BYTES)]
    TooLarge { size: usize },
    #[error("the module is not valid at byte {offset:#x}: {message}")]
    Invalid { offset: usize, message: String },
    #[error("the module has {found} {what}, over the limit of {max}")]
    Limit { what: &'static str, found: u64, max: u64 },
    #[error("the module imports what this node does not have:\n  {}", .0.join("\n  "))]
    Imports(Vec<String>),
    #[error("the module has nothing to run: it exports neither _start nor a function that takes and returns nothing")]
    NothingToRun,
    #[error("the module has no _start: name a function to run; it has: {functions}")]
    NoStart { functions: String },
    #[error("the module has no function {name:?}; it has: {functions}")]
    UnknownFunction { name: String, functions: String },
    #[error("{name:?} is exported as a {kind}, not as a function; functions are: {functions}")]
    NotAFunction { name: String, kind: &'static str, functions: String },
    #[error(
        "{name:?} has the signature {signature} and is no coroutine function, which takes and returns nothing (arguments come by \
         `args`, results go by `finish`); coroutine functions are: {functions}"
    )]
    Signature { name: String, signature: String, functions: String },
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error("the bytes that came are module {found}, not {expected} as announced")]
    Hash { expected: ModuleHash, found: ModuleHash },
    #[error("module {0} is not here: ship it")]
    NotShipped(ModuleHash),
    #[error("the module cannot be compiled: {0}")]
    Compile(String),
    #[error("no space is left on the disk of {path}: free some, or give the node another data directory", path = .0.display())]
    NoSpace(PathBuf),
    #[error("{size} bytes do not fit into the node's module store of {limit} bytes")]
    Quota { size: u64, limit: u64 },
    #[error("{path}: {why}", path = path.display())]
    Store { path: PathBuf, why: String },
}

impl Error {
    pub fn code(&self) -> Code {
        match self {
            Error::TooLarge { .. } => Code::TooLarge,
            Error::NoStart { .. }
            | Error::UnknownFunction { .. }
            | Error::NotAFunction { .. }
            | Error::Signature { .. } => Code::UnknownFunction,
            Error::NotShipped(_) => Code::NeedModule,
            Error::NoSpace(_) | Error::Quota { .. } => Code::NoSpace,
            Error::Store { .. } => Code::Internal,
            _ => Code::BadModule,
        }
    }

    /// A file that could not be read or written.
    pub(super) fn io(path: &Path, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace(path.to_owned()),
            _ => Error::Store { path: path.to_owned(), why: error.to_string() },
        }
    }
}
