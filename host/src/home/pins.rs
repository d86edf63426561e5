//! Modules of durable jobs that have not ended: they stay in the module store. Counted by tenant, so that one alone cannot fill it.

use crate::dispatch::Refusal;
use crate::modules::{Modules, Pinned};
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How many jobs need each.
type Needed = HashMap<ModuleHash, (u64, Pinned)>;

pub struct Pins {
    modules: Modules,
    tenants: Mutex<HashMap<Arc<str>, Needed>>,
}

impl Pins {
    pub fn new(modules: Modules) -> Pins {
        Pins { modules, tenants: Mutex::default() }
    }

    /// So many more jobs of a tenant need it. Errors: overloaded (they need too many others already).
    pub fn pin(&self, tenant: &Arc<str>, module: ModuleHash, jobs: u64) -> Result<(), Refusal> {
        let mut tenants = self.tenants.lock();
        let pinned = tenants.entry(Arc::clone(tenant)).or_default();
        if let Some((count, _)) = pinned.get_mut(&module) {
            *count += jobs;
            return Ok(());
        }
        if pinned.len() >= limits::DURABLE_MODULES {
            let text = format!(
                "durable jobs of {} modules have not ended, which is the limit: submit this one when some have",
                pinned.len()
            );
            return Err(Refusal::new(Code::Overloaded, text));
        }
        pinned.insert(module, (jobs, self.modules.pin(module)));
        Ok(())
    }

    /// One of them has ended.
    pub fn unpin(&self, tenant: &Arc<str>, module: ModuleHash) {
        let mut tenants = self.tenants.lock();
        let Some(pinned) = tenants.get_mut(tenant) else { return };
        if let Some((count, _)) = pinned.get_mut(&module) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                pinned.remove(&module);
            }
        }
        if pinned.is_empty() {
            tenants.remove(tenant);
        }
    }
}
