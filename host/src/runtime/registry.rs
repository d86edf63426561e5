//! Every coroutine and channel of this node by its address: alive, or ended with its record kept. Sharded, so that two
//! coroutines that send to each other meet no lock that all others use.

use super::channels::Channel;
use super::control::Control;
use super::launch::Runtime;
use super::services::Service;
use super::tenant::Tenant;
use corovan_core::ids::Address;
use corovan_core::wire::ExitRecord;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What lives, or lived, at an address.
#[derive(Clone, Debug)]
pub enum Resident {
    Coroutine(Arc<Control>),
    Ended(Arc<Past>),
    /// Until it is closed.
    Channel(Arc<Channel>),
    /// As long as it is offered.
    Service(Arc<Service>),
}

impl Runtime {
    /// One that was never given out before.
    pub(super) fn new_address(&self) -> Address {
        Address {
            node: self.node,
            incarnation: self.incarnation,
            counter: self.registry.next(),
            secret: self.random.number(),
        }
    }
}

impl Resident {
    /// Whether it is this tenant's: nobody else may do anything to it.
    #[inline]
    pub fn is_of(&self, tenant: &Arc<Tenant>) -> bool {
        match self {
            Resident::Coroutine(control) => Arc::ptr_eq(&control.group.tenant, tenant),
            Resident::Ended(past) => Arc::ptr_eq(&past.tenant, tenant),
            Resident::Channel(channel) => channel.is_of(tenant),
            Resident::Service(service) => service.is_of(tenant),
        }
    }
}

/// An ended coroutine.
#[derive(Debug)]
pub struct Past {
    pub record: Arc<ExitRecord>,
    pub tenant: Arc<Tenant>,
}

#[derive(Debug)]
pub struct Registry {
    shards: Vec<RwLock<FxHashMap<u64, Resident>>>,
    /// Addresses given out in this incarnation, and one more: 0 stands for the node itself.
    counter: AtomicU64,
}

/// A power of two, many times the number of workers.
const SHARDS: usize = 64;

impl Registry {
    pub fn new() -> Registry {
        Registry { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), counter: AtomicU64::new(1) }
    }

    /// A number that was never given out before.
    pub fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether this number was ever given out.
    pub fn was_given(&self, counter: u64) -> bool {
        counter < self.counter.load(Ordering::Relaxed)
    }

    pub fn insert(&self, counter: u64, resident: Resident) {
        let before = self.shard(counter).write().insert(counter, resident);
        drop(before);
    }

    pub fn remove(&self, counter: u64) {
        let before = self.shard(counter).write().remove(&counter);
        drop(before);
    }

    /// Who lives at an address whose node and incarnation are ours; an address with another secret is nobody's.
    pub fn get(&self, address: &Address) -> Option<Resident> {
        let resident = self.shard(address.counter).read().get(&address.counter).cloned()?;
        let secret = match &resident {
            Resident::Coroutine(control) => control.address.secret,
            Resident::Ended(past) => past.record.address.secret,
            Resident::Channel(channel) => channel.secret(),
            Resident::Service(service) => service.address.secret,
        };
        (secret == address.secret).then_some(resident)
    }

    /// All living coroutines that are wanted, by the order in which they were made.
    pub fn coroutines(&self, wanted: impl Fn(&Control) -> bool) -> Vec<Arc<Control>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            for resident in shard.read().values() {
                if let Resident::Coroutine(control) = resident
                    && wanted(control)
                {
                    found.push(Arc::clone(control));
                }
            }
        }
        found.sort_unstable_by_key(|control| control.address.counter);
        found
    }

    /// Residents of all kinds.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, counter: u64) -> &RwLock<FxHashMap<u64, Resident>> {
        &self.shards[counter as usize % SHARDS]
    }
}

impl Default for Registry {
    fn default() -> Self {
        Registry::new()
    }
}
