//! Ledgers: what a tenant holds of each bounded resource. A permit is moved into what uses the resource and gives it
//! back when dropped, so every ledger returns to zero.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Resource {
    /// Coroutines that exist.
    Coroutines = 0,
    /// Bytes of linear memory.
    Memory = 1,
    /// Bytes kept for the tenant beside its coroutines.
    Held = 2,
    /// Connections that are open.
    Connections = 3,
}

/// Limits by resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub coroutines: u64,
    pub memory: u64,
    pub held: u64,
    pub connections: u64,
}

/// One tenant's ledger on one node.
#[derive(Debug)]
pub struct Ledger {
    limits: [u64; Resource::COUNT],
    used: [AtomicU64; Resource::COUNT],
}

/// Holds `amount` of a resource until dropped.
#[derive(Debug)]
pub struct Permit {
    ledger: Arc<Ledger>,
    resource: Resource,
    amount: u64,
}

/// The quota is used up.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the tenant's quota of {resource} is used up: {used} of {limit} in use, {wanted} more wanted")]
pub struct Exhausted {
    pub resource: Resource,
    pub used: u64,
    pub limit: u64,
    pub wanted: u64,
}

impl Resource {
    pub const COUNT: usize = 4;
    pub const ALL: [Resource; Resource::COUNT] =
        [Resource::Coroutines, Resource::Memory, Resource::Held, Resource::Connections];
}

impl Ledger {
    pub fn new(limits: Limits) -> Ledger {
        let Limits { coroutines, memory, held, connections } = limits;
        Ledger { limits: [coroutines, memory, held, connections], used: Default::default() }
    }

    /// Takes `amount`, or says what is missing.
    pub fn take(self: &Arc<Self>, resource: Resource, amount: u64) -> Result<Permit, Exhausted> {
        self.add(resource, amount)?;
        Ok(Permit { ledger: Arc::clone(self), resource, amount })
    }

    pub fn used(&self, resource: Resource) -> u64 {
        self.used[resource as usize].load(Ordering::Relaxed)
    }

    fn add(&self, resource: Resource, wanted: u64) -> Result<(), Exhausted> {
        let (used, limit) = (&self.used[resource as usize], self.limits[resource as usize]);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(wanted).filter(|sum| *sum <= limit)
        })
        .map(|_| ())
        .map_err(|used| Exhausted { resource, used, limit, wanted })
    }
}

impl Permit {
    /// Holds nothing yet, and may grow.
    pub fn nothing(ledger: &Arc<Ledger>, resource: Resource) -> Permit {
        Permit { ledger: Arc::clone(ledger), resource, amount: 0 }
    }

    /// Holds `amount` more.
    pub fn grow(&mut self, amount: u64) -> Result<(), Exhausted> {
        self.ledger.add(self.resource, amount)?;
        self.amount += amount;
        Ok(())
    }

    /// Gives `amount` back, at most what is held.
    pub fn shrink(&mut self, amount: u64) {
        let amount = amount.min(self.amount);
        self.amount -= amount;
        self.ledger.used[self.resource as usize].fetch_sub(amount, Ordering::Relaxed);
    }

    /// Another resource of the same tenant.
    pub fn beside(&self, resource: Resource, amount: u64) -> Result<Permit, Exhausted> {
        self.ledger.take(resource, amount)
    }

    /// Bytes or pieces held.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.ledger.used[self.resource as usize].fetch_sub(self.amount, Ordering::Relaxed);
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Coroutines => "coroutines",
            Resource::Memory => "memory (bytes)",
            Resource::Held => "held arguments, results and the like (bytes)",
            Resource::Connections => "connections",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_refuses_over_its_limit_and_returns_to_zero() {
        let ledger = Arc::new(Ledger::new(Limits { coroutines: 2, memory: u64::MAX, held: 10, connections: 0 }));
        let one = ledger.take(Resource::Coroutines, 1).unwrap();
        let mut two = ledger.take(Resource::Coroutines, 1).unwrap();
        let refused = ledger.take(Resource::Coroutines, 1).unwrap_err();
        assert_eq!(refused, Exhausted { resource: Resource::Coroutines, used: 2, limit: 2, wanted: 1 });
        assert!(two.grow(1).is_err());
        let mut held = ledger.take(Resource::Held, 9).unwrap();
        held.shrink(4);
        assert_eq!((held.amount(), ledger.used(Resource::Held)), (5, 5));
        held.shrink(100);
        assert_eq!(ledger.used(Resource::Held), 0);
        let memory = held.beside(Resource::Memory, u64::MAX).unwrap();
        assert!(ledger.take(Resource::Memory, 1).is_err(), "no overflow");
        drop((one, two, memory));
        assert!(Resource::ALL.iter().all(|resource| ledger.used(*resource) == 0));
    }
}
