//! Tenants and computations as placement sees them: weights, what they have started, and where their jobs may run.

use super::filter::Reach;
use super::queue::Modules;
use super::score::Policy;
use super::selector::Allocation;
use super::turns;
use crate::limits;
use crate::sync::slab_list::SlabList;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What a computation is opened with.
#[derive(Clone, PartialEq, Debug)]
pub struct Opening {
    /// A small number for its tenant, and the tenant's share among tenants; the latest that is said counts.
    pub tenant: u32,
    pub tenant_weight: u32,
    /// Its share among its tenant's computations.
    pub weight: u32,
    /// None: any node.
    pub allocations: Vec<Allocation>,
    /// Names of nodes that its grant gives; `None`: all.
    pub nodes: Option<Vec<String>>,
    pub policy: Policy,
}

#[derive(Debug)]
pub(super) struct Tenant {
    pub weight: u32,
    pub used: Used,
    /// What its computations have reached.
    pub floor: u64,
    pub computations: usize,
    pub classes: usize,
    /// Numbers of its classes without jobs, longest idle first.
    pub idle: SlabList<u32>,
    pub waiting: usize,
}

#[derive(Debug)]
pub(super) struct Computation {
    /// Counts all that are opened.
    pub opened: u64,
    pub tenant: u32,
    pub weight: u32,
    pub policy: Policy,
    pub used: Used,
    pub reach: Arc<Reach>,
    /// Numbers of its classes, by pool; and the one used last.
    pub classes: HashMap<u32, u32>,
    pub latest: Option<u32>,
    pub modules: Modules,
    /// Its jobs by node.
    pub running: HashMap<u32, u32>,
    pub ticket: NonZeroU32,
}

/// Jobs started, by weight; compares those who wait in different pools for the same node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    time: u64,
    stamp: u64,
}

/// The lists of nodes of all open computations; equal ones are one, so that their jobs share pools.
#[derive(Debug, Default)]
pub(super) struct Reaches {
    known: HashMap<Lists, Arc<Reach>>,
    numbers: u64,
}

/// Allocations, and names of nodes.
type Lists = (Vec<Allocation>, Option<Vec<String>>);

/// Who waits in a pool that was full while another was not is owed so many jobs of the usual weight for it.
const LAG: u64 = (1 << 24) / 100 * 4;

impl Used {
    pub fn new(floor: u64) -> Used {
        Used { time: floor, stamp: 0 }
    }

    /// Lower goes first; among equals who has waited longest.
    pub fn key(&self, floor: u64) -> (u64, u64) {
        (self.start(floor), self.stamp)
    }

    /// One job started. Raises what all have reached to where this one was.
    pub fn charge(&mut self, weight: u32, floor: &mut u64, stamp: u64) {
        let start = self.start(*floor);
        *floor = start.max(*floor);
        *self = Used { time: start.saturating_add(turns::cost(weight)), stamp };
    }

    /// Whether it has nothing to remember: a new one would stand as this does.
    pub fn is_even(&self, floor: u64) -> bool {
        self.time <= floor
    }

    fn start(&self, floor: u64) -> u64 {
        self.time.max(floor.saturating_sub(LAG))
    }
}

impl Tenant {
    pub fn new(weight: u32, floor: u64) -> Tenant {
        let idle = SlabList::default();
        Tenant { weight, used: Used::new(floor), floor: 0, computations: 0, classes: 0, idle, waiting: 0 }
    }
}

impl Computation {
    pub fn next_ticket(&mut self) -> NonZeroU32 {
        let ticket = self.ticket;
        self.ticket = ticket.checked_add(1).unwrap_or(NonZeroU32::MIN);
        ticket
    }
}

impl Reaches {
    /// One with limits is not shared: a computation's own jobs at a node are counted for it.
    pub fn intern(&mut self, mut allocations: Vec<Allocation>, mut nodes: Option<Vec<String>>) -> Arc<Reach> {
        allocations.truncate(limits::ALLOCATIONS);
        if let Some(nodes) = &mut nodes {
            nodes.sort_unstable();
            nodes.dedup();
        }
        let key = (allocations, nodes);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        self.numbers += 1;
        let (allocations, nodes) = key.clone();
        let reach = Arc::new(Reach { number: self.numbers, allocations, nodes });
        if !reach.has_limits() {
            self.known.insert(key, Arc::clone(&reach));
        }
        reach
    }

    /// Forgets those that nobody uses any more; called where a computation lets go of one.
    pub fn release(&mut self, reach: Arc<Reach>) {
        // The caller's, and the one in the table; pools have theirs as long as a computation has.
        if Arc::strong_count(&reach) <= 2 {
            self.known.remove(&(reach.allocations.clone(), reach.nodes.clone()));
        }
    }
}
