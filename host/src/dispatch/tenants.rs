//! Tenants of a node: each with its ledger and its share of the CPU, made when it first connects.

use crate::runtime::Tenant;
use corovan_core::limits;
use corovan_core::sync::fair_queue::{DEFAULT_WEIGHT, Share};
use corovan_core::tenancy::quota::{Ledger, Limits};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// All tenants that have a connection or a coroutine.
#[derive(Debug, Default)]
pub struct Tenants {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_name: HashMap<String, Weak<Tenant>>,
    /// Index: the share's number. A number is given again only when nothing refers to its share any more.
    shares: Vec<Weak<Share>>,
}

impl Tenants {
    /// The tenant of this name, the same one as long as anything of it is there.
    pub fn get(&self, name: &str) -> Arc<Tenant> {
        let mut state = self.state.lock();
        if let Some(tenant) = state.by_name.get(name).and_then(Weak::upgrade) {
            return tenant;
        }
        state.by_name.retain(|_, tenant| tenant.strong_count() > 0);
        let free = state.shares.iter().position(|share| share.strong_count() == 0);
        let id = free.unwrap_or(state.shares.len());
        let share = Arc::new(Share::new(u32::try_from(id).unwrap_or(u32::MAX), DEFAULT_WEIGHT));
        match free {
            Some(id) => state.shares[id] = Arc::downgrade(&share),
            None => state.shares.push(Arc::downgrade(&share)),
        }
        let quota = Limits {
            coroutines: limits::TENANT_COROUTINES,
            memory: limits::TENANT_MEMORY,
            held: limits::TENANT_HELD_BYTES,
            connections: limits::TENANT_CONNECTIONS,
        };
        let tenant = Arc::new(Tenant::new(name, Arc::new(Ledger::new(quota)), share));
        state.by_name.insert(name.to_owned(), Arc::downgrade(&tenant));
        tenant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_while_it_is_there_and_its_number_is_given_again_afterwards() {
        let tenants = Tenants::default();
        let alice = tenants.get("alice");
        assert!(Arc::ptr_eq(&alice, &tenants.get("alice")));
        let bob = tenants.get("bob");
        assert_eq!((alice.share.id(), bob.share.id()), (0, 1));
        drop(alice);
        assert_eq!(tenants.get("carol").share.id(), 0);
        let share = Arc::clone(&bob.share);
        drop(bob);
        assert_eq!(tenants.get("dave").share.id(), 0, "carol is gone");
        assert_eq!(share.id(), 1);
    }
}
