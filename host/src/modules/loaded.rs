//! Modules in memory, ready to make instances: the most recently used, within bounds. What runs keeps its own module.

use super::Loaded;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub struct LoadedModules {
    uses: u64,
    bytes: u64,
    entries: HashMap<ModuleHash, Entry>,
    order: BTreeMap<u64, ModuleHash>,
}

struct Entry {
    module: Arc<Loaded>,
    bytes: u64,
    used: u64,
}

impl LoadedModules {
    pub fn get(&mut self, hash: &ModuleHash) -> Option<Arc<Loaded>> {
        let entry = self.entries.get_mut(hash)?;
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, *hash);
        Some(Arc::clone(&entry.module))
    }

    /// `bytes`: of its native code and declarations. One that is too large for the bounds is not kept. What goes is handed
    /// back, to be dropped when no lock is held: unmapping code takes a while.
    pub fn insert(&mut self, module: Arc<Loaded>, bytes: u64) -> Vec<Arc<Loaded>> {
        self.uses += 1;
        let hash = module.hash;
        let mut out = Vec::new();
        if let Some(old) = self.entries.insert(hash, Entry { module, bytes, used: self.uses }) {
            self.order.remove(&old.used);
            self.bytes -= old.bytes;
            out.push(old.module);
        }
        self.order.insert(self.uses, hash);
        self.bytes += bytes;
        while self.entries.len() > limits::LOADED_MODULES || self.bytes > limits::LOADED_BYTES {
            let oldest = self.order.pop_first().and_then(|(_, hash)| self.entries.remove(&hash));
            let Some(oldest) = oldest else { break };
            self.bytes -= oldest.bytes;
            out.push(oldest.module);
        }
        out
    }
}
