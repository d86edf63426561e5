//! What a module declares: functions, imports, memory, manifest; and which of its functions a job can run.

use super::Error;
use corovan_core::job::manifest::Manifest;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Parameters and results of a function, as text: `(i32, i64) -> i32`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature(String);

/// What the host offers to modules, for checking imports without a linker.
#[derive(Clone, Debug, Default)]
pub struct KnownImports {
    functions: HashMap<String, HashMap<String, Signature>>,
}

/// Read from the module's bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct ModuleInfo {
    pub size: u64,
    pub functions: Vec<FunctionInfo>,
    /// Exports that are not functions.
    pub other_exports: Vec<(String, &'static str)>,
    /// Exports `_start`.
    pub command: bool,
    /// Exports `_initialize`.
    pub reactor: bool,
    pub memory: Option<MemoryInfo>,
    pub imports: Vec<ImportInfo>,
    pub manifest: Option<Manifest>,
}

/// An exported function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionInfo {
    pub name: String,
    pub signature: Signature,
}

/// Bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryInfo {
    pub min: u64,
    pub max: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportInfo {
    pub module: String,
    pub name: String,
    /// `None`: not a function.
    pub signature: Option<Signature>,
}

/// What a job calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// This export.
    Export(String),
    /// `_start`, which reads from `entry()` what to run.
    Start { entry: Option<String> },
}

pub(super) const START: &str = "_start";
pub(super) const INITIALIZE: &str = "_initialize";

impl Signature {
    pub fn of(ty: &wasmtime::FuncType) -> Signature {
        Signature::new(ty.params(), ty.results())
    }

    pub(super) fn new<P: fmt::Display, R: fmt::Display>(
        params: impl Iterator<Item = P>,
        results: impl Iterator<Item = R>,
    ) -> Signature {
        let list = |types: Vec<String>| types.join(", ");
        let params = list(params.map(|ty| ty.to_string()).collect());
        let results: Vec<String> = results.map(|ty| ty.to_string()).collect();
        Signature(match results.len() {
            0 => format!("({params})"),
            1 => format!("({params}) -> {}", results[0]),
            _ => format!("({params}) -> ({})", list(results)),
        })
    }

    /// Takes and returns nothing: what a coroutine function must be.
    pub fn is_empty(&self) -> bool {
        self.0 == "()"
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KnownImports {
    /// From a linker's list of module, name, signature.
    pub fn new(list: Vec<(String, String, Signature)>) -> KnownImports {
        let mut known = KnownImports::default();
        for (module, name, signature) in list {
            known.functions.entry(module).or_default().insert(name, signature);
        }
        known
    }

    /// What is wrong with an import, if anything.
    pub fn fault(&self, import: &ImportInfo) -> Option<String> {
        let ImportInfo { module, name, signature } = import;
        let Some(signature) = signature else {
            return Some(format!(
                "{module}.{name}: only functions can be imported; a job has memory and tables of its own"
            ));
        };
        match self.functions.get(module).and_then(|functions| functions.get(name)) {
            Some(known) if known == signature => None,
            Some(known) => Some(format!("{module}.{name}: imported as {signature}, but it is {known}")),
            None => Some(match self.nearest(module, name) {
                Some(near) => format!("{module}.{name}: no such function here; the nearest is {near}"),
                None => format!("{module}.{name}: no such function here"),
            }),
        }
    }

    /// The known function whose name is most like this one, of the same module first.
    fn nearest(&self, module: &str, name: &str) -> Option<String> {
        let all = self.functions.iter().flat_map(|(m, functions)| functions.keys().map(move |n| (m, n)));
        let likeness = |m: &str, n: &str| strsim::jaro_winkler(n, name) + if m == module { 0.2 } else { 0.0 };
        let scored = all.map(|(m, n)| (likeness(m, n), m, n));
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.2.cmp(a.2)))?;
        (best.0 > LIKE).then(|| format!("{}.{}", best.1, best.2))
    }
}

/// Names less alike than this are not worth proposing.
const LIKE: f64 = 0.75;
/// Names listed in an error.
const LISTED: usize = 20;

impl ModuleInfo {
    /// What to call for this function name, or for none.
    pub fn entry(&self, function: Option<&str>) -> Result<Entry, Error> {
        let Some(name) = function else {
            if self.command {
                return Ok(Entry::Start { entry: None });
            }
            return Err(Error::NoStart { functions: self.listed() });
        };
        if name == START && self.command {
            return Ok(Entry::Start { entry: None });
        }
        let declared = self.manifest.iter().flat_map(|manifest| &manifest.functions).any(|f| f.name == name);
        match self.functions.iter().find(|function| function.name == name) {
            Some(function) if function.signature.is_empty() && name != INITIALIZE => Ok(Entry::Export(name.to_owned())),
            Some(function) => Err(Error::Signature {
                name: name.to_owned(),
                signature: function.signature.to_string(),
                functions: self.listed(),
            }),
            None if declared && self.command => Ok(Entry::Start { entry: Some(name.to_owned()) }),
            None => match self.other_exports.iter().find(|(export, _)| export == name) {
                Some((_, kind)) => Err(Error::NotAFunction { name: name.to_owned(), kind, functions: self.listed() }),
                None => Err(Error::UnknownFunction { name: name.to_owned(), functions: self.nearest_first(name) }),
            },
        }
    }

    /// Names of all functions a job can run.
    pub fn runnable(&self) -> Vec<&str> {
        let declared = self.manifest.iter().flat_map(|manifest| &manifest.functions);
        let declared = declared.map(|function| &function.name[..]).filter(|name| self.command || self.exports(name));
        let exported = self.functions.iter().filter(|function| function.signature.is_empty());
        let exported = exported.map(|function| &function.name[..]).filter(|name| !HIDDEN.contains(name));
        let mut seen = HashSet::new();
        declared.chain(exported).filter(|name| seen.insert(*name)).collect()
    }

    fn exports(&self, name: &str) -> bool {
        self.functions.iter().any(|function| function.name == name)
    }

    fn listed(&self) -> String {
        list(self.runnable(), self.command)
    }

    fn nearest_first(&self, name: &str) -> String {
        let mut names = self.runnable();
        names.sort_by(|a, b| strsim::jaro_winkler(b, name).total_cmp(&strsim::jaro_winkler(a, name)));
        list(names, self.command)
    }
}

/// Exports that toolchains add and nobody calls.
const HIDDEN: [&str; 4] = [START, INITIALIZE, "__wasm_call_ctors", "__wasm_call_dtors"];

fn list(names: Vec<&str>, command: bool) -> String {
    if names.is_empty() {
        let hint = if command { ", since it is a WASI program: give its arguments after `--`" } else { "" };
        return format!("none{hint}");
    }
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    names[..names.len().min(LISTED)].join(", ") + &more
}
