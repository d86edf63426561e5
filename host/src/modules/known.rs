//! What the host offers to modules, and which of it a module's import meant.

use super::error::ImportProblem;
use super::info::{ImportInfo, Item, Signature};
use super::names::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every function a module may import. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KnownImports {
    /// By module, then by name.
    modules: Arc<BTreeMap<String, BTreeMap<String, Signature>>>,
}

impl KnownImports {
    /// From (module, name, signature).
    pub fn new(list: Vec<(String, String, Signature)>) -> KnownImports {
        let mut modules: BTreeMap<String, BTreeMap<String, Signature>> = BTreeMap::new();
        for (module, name, signature) in list {
            modules.entry(module).or_default().insert(name, signature);
        }
        KnownImports { modules: Arc::new(modules) }
    }

    /// Why this import cannot be given, if it cannot.
    pub fn problem(&self, import: &ImportInfo) -> Option<ImportProblem> {
        let (module, name) = (import.module.clone(), import.name.clone());
        let wants = match &import.item {
            Item::Function(signature) => signature.clone(),
            Item::Other(kind) => return Some(ImportProblem::NotAFunction { module, name, kind }),
        };
        match self.modules.get(&module).and_then(|functions| functions.get(&name)) {
            Some(has) if *has == wants => None,
            Some(has) => Some(ImportProblem::Signature { module, name, wants, has: has.clone() }),
            None => {
                let nearest = self.nearest(&module, &name);
                Some(ImportProblem::Unknown { module, name, signature: wants, nearest })
            }
        }
    }

    /// A similar name of the same module; else the same, or a similar name, of another.
    fn nearest(&self, module: &str, name: &str) -> Option<(String, String)> {
        let found = |(module, name): (&str, &str)| Some((module.to_owned(), name.to_owned()));
        let of = |module: &str| self.modules.get(module).into_iter().flat_map(|names| names.keys().map(String::as_str));
        if let Some(name) = nearest(name, of(module)) {
            return found((module, name));
        }
        let others = || self.modules.keys().map(String::as_str);
        if let Some(same) = others().find(|other| of(other).any(|known| known == name)) {
            return found((same, name));
        }
        // Whoever misspells the module, such as `wasi_snapshot_preview2`, means its functions.
        let best = others().filter_map(|other| Some((other, nearest(name, of(other))?)));
        best.max_by(|a, b| likeness(name, a.1).total_cmp(&likeness(name, b.1))).and_then(found)
    }
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_function_is_looked_for_in_the_module_then_in_others() {
        let list = [("corovan", "sleep"), ("corovan", "finish"), ("wasi_snapshot_preview1", "fd_write")];
        let list = list.map(|(module, name)| (module.to_owned(), name.to_owned(), Signature::default()));
        let known = KnownImports::new(list.into());
        let nearest = |module: &str, name: &str| {
            let item = Item::Function(Signature::default());
            match known.problem(&ImportInfo { module: module.into(), name: name.into(), item }) {
                Some(ImportProblem::Unknown { nearest, .. }) => {
                    nearest.map(|(module, name)| format!("{module}.{name}"))
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(nearest("corovan", "slep").as_deref(), Some("corovan.sleep"));
        assert_eq!(nearest("env", "finish").as_deref(), Some("corovan.finish"));
        assert_eq!(nearest("wasi_unstable", "fd_writ").as_deref(), Some("wasi_snapshot_preview1.fd_write"));
        assert_eq!(nearest("env", "emscripten_memcpy_big"), None);
    }
}
