//! What a module declares: its functions, imports, memory and manifest; and which of it a job may start.

use super::error::Error;
use super::names::{nearest, quote};
use corovan_core::job::manifest;
pub use corovan_core::job::manifest::Manifest;
use std::collections::HashMap;
use std::fmt;
use wasmtime::wasmparser::{FuncType, ValType};

/// Everything that is known of a module without compiling it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ModuleInfo {
    /// Bytes of the module.
    pub size: u64,
    /// Coroutine functions: exported ones, then those that only the manifest names and `_start` runs.
    pub functions: Vec<FunctionInfo>,
    /// Exports a `_start` that can be run.
    pub command: bool,
    /// Exports an `_initialize`, to be run before a function.
    pub reactor: bool,
    /// Has a start function, which runs when an instance is made.
    pub start: bool,
    pub memory: Option<Memory>,
    pub table: Option<Table>,
    pub imports: Vec<ImportInfo>,
    pub manifest: Option<Manifest>,
    /// All exports by name, as the answer to whoever names one that cannot be run.
    pub exports: HashMap<String, Item>,
}

/// A function that a job can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionInfo {
    pub name: String,
    /// `false`: `_start` runs it, and learns its name from `entry`.
    pub exported: bool,
    /// What the manifest says of it.
    pub described: Option<manifest::Function>,
}

/// In bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    pub min: u64,
    pub max: Option<u64>,
}

/// In elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    pub min: u64,
    pub max: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportInfo {
    pub module: String,
    pub name: String,
    /// Only functions can be given.
    pub item: Item,
}

/// What is imported or exported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Function(Signature),
    /// `memory`, `table`, `global` or `tag`.
    Other(&'static str),
}

/// A function's parameters and results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Signature {
    pub params: Vec<ValueType>,
    pub results: Vec<ValueType>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    I32,
    I64,
    F32,
    F64,
    V128,
    /// A function, host value or object; none of the host interface has one.
    Reference,
}

/// What a job starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// This export.
    Export(String),
    /// `_start`, with the name it gets from `entry`.
    Start { entry: Option<String> },
}

impl ModuleInfo {
    /// What to start for a job that names this function, or none.
    pub fn entry(&self, function: Option<&str>) -> Result<Entry, Error> {
        let Some(name) = function else {
            let no_command = || Error::NoCommand { functions: self.names(None) };
            return self.command.then_some(Entry::Start { entry: None }).ok_or_else(no_command);
        };
        match (name, self.exports.get(name)) {
            (START, Some(Item::Function(_))) if self.command => Ok(Entry::Start { entry: None }),
            (INITIALIZE, Some(Item::Function(_))) => Err(Error::Initialize { functions: self.names(None) }),
            (_, Some(Item::Function(signature))) if signature.is_coroutine() => Ok(Entry::Export(name.to_owned())),
            (_, Some(Item::Function(signature))) => Err(Error::NotACoroutine {
                name: name.to_owned(),
                signature: signature.clone(),
                functions: self.names(Some(name)),
            }),
            (_, Some(Item::Other(kind))) => {
                Err(Error::NotAFunction { name: name.to_owned(), kind, functions: self.names(Some(name)) })
            }
            (_, None) if self.command && self.functions.iter().any(|function| function.name == name) => {
                Ok(Entry::Start { entry: Some(name.to_owned()) })
            }
            (_, None) => Err(self.unknown(name)),
        }
    }

    /// Puts together what can be run, out of exports and manifest.
    pub(super) fn find_functions(&mut self, exported: &[String]) {
        let callable = |name: &str| self.is_callable(name);
        let described = |name: &str| self.manifest.as_ref().and_then(|manifest| manifest.function(name)).cloned();
        let public = exported.iter().filter(|name| callable(name)).filter_map(|name| {
            let described = described(name);
            // What begins with `_` is a toolchain's own, unless the manifest says otherwise.
            (described.is_some() || !name.starts_with('_')).then(|| FunctionInfo {
                name: name.clone(),
                exported: true,
                described,
            })
        });
        let mut functions: Vec<FunctionInfo> =
            public.filter(|function| function.name != START && function.name != INITIALIZE).collect();
        let command = callable(START);
        if command {
            let listed = self.manifest.iter().flat_map(|manifest| &manifest.functions);
            let run_by_start = listed.filter(|function| !self.exports.contains_key(&function.name));
            functions.extend(run_by_start.map(|function| FunctionInfo {
                name: function.name.clone(),
                exported: false,
                described: Some(function.clone()),
            }));
        }
        self.reactor = callable(INITIALIZE);
        self.command = command;
        self.functions = functions;
    }

    /// Whether there is anything a job could start; if not, what it exports instead.
    pub(super) fn check_runnable(&self) -> Result<(), Error> {
        let hidden = |(name, export): (&String, &Item)| match export {
            Item::Function(signature) => signature.is_coroutine() && name != INITIALIZE,
            Item::Other(_) => false,
        };
        if self.command || self.exports.iter().any(hidden) {
            return Ok(());
        }
        let mut exports: Vec<String> = self
            .exports
            .iter()
            .filter_map(|(name, export)| match export {
                Item::Function(signature) => Some(format!("{} ({signature})", quote(name))),
                Item::Other(_) => None,
            })
            .collect();
        exports.sort();
        Err(Error::NothingToRun { exports })
    }

    fn is_callable(&self, name: &str) -> bool {
        matches!(self.exports.get(name), Some(Item::Function(signature)) if signature.is_coroutine())
    }

    fn unknown(&self, name: &str) -> Error {
        // Whoever misspells an export that cannot be run is still best told of that one.
        let candidates = self.functions.iter().map(|function| function.name.as_str());
        let near = nearest(name, candidates).or_else(|| nearest(name, self.exports.keys().map(String::as_str)));
        Error::NoFunction {
            name: name.to_owned(),
            nearest: near.map(str::to_owned),
            functions: self.names(near.or(Some(name))),
        }
    }

    /// The functions' names, the likeliest first.
    fn names(&self, like: Option<&str>) -> Vec<String> {
        let mut names: Vec<String> = self.functions.iter().map(|function| function.name.clone()).collect();
        if names.is_empty() && !self.command {
            let hidden = self.exports.keys().filter(|name| name.as_str() != INITIALIZE && self.is_callable(name));
            names = hidden.cloned().collect();
            names.sort();
        }
        if let Some(like) = like {
            names.sort_by_key(|name| name != like);
        }
        names
    }
}

impl Signature {
    pub fn of(ty: &wasmtime::FuncType) -> Signature {
        let value = |ty: wasmtime::ValType| match ty {
            wasmtime::ValType::I32 => ValueType::I32,
            wasmtime::ValType::I64 => ValueType::I64,
            wasmtime::ValType::F32 => ValueType::F32,
            wasmtime::ValType::F64 => ValueType::F64,
            wasmtime::ValType::V128 => ValueType::V128,
            wasmtime::ValType::Ref(_) => ValueType::Reference,
        };
        Signature { params: ty.params().map(value).collect(), results: ty.results().map(value).collect() }
    }

    pub(super) fn parsed(ty: &FuncType) -> Signature {
        let value = |ty: &ValType| match ty {
            ValType::I32 => ValueType::I32,
            ValType::I64 => ValueType::I64,
            ValType::F32 => ValueType::F32,
            ValType::F64 => ValueType::F64,
            ValType::V128 => ValueType::V128,
            ValType::Ref(_) => ValueType::Reference,
        };
        Signature { params: ty.params().iter().map(value).collect(), results: ty.results().iter().map(value).collect() }
    }

    /// Neither parameters nor results.
    pub fn is_coroutine(&self) -> bool {
        self.params.is_empty() && self.results.is_empty()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "func({})", Values(&self.params))?;
        match self.results.as_slice() {
            [] => Ok(()),
            [one] => write!(f, " -> {one}"),
            several => write!(f, " -> ({})", Values(several)),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::I32 => "i32",
            ValueType::I64 => "i64",
            ValueType::F32 => "f32",
            ValueType::F64 => "f64",
            ValueType::V128 => "v128",
            ValueType::Reference => "ref",
        })
    }
}

/// Separated by commas; a function may have a thousand of them, so only the first are shown.
struct Values<'a>(&'a [ValueType]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().take(SHOWN_VALUES).enumerate() {
            write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
        }
        match self.0.len().checked_sub(SHOWN_VALUES) {
            Some(more @ 1..) => write!(f, ", and {more} more"),
            _ => Ok(()),
        }
    }
}

pub(super) const START: &str = "_start";
pub(super) const INITIALIZE: &str = "_initialize";
const SHOWN_VALUES: usize = 16;
