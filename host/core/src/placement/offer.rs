//! What a node offers: what it says of itself and of what is free there, whether it can be reached, and what this home has
//! started and ended there since it said so.

use super::selector::Wants;
use crate::ids::{ModuleHash, NodeId};
use crate::limits;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// A node as it is known now. A later one of the same node takes its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    pub node: NodeId,
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    /// Bytes that coroutines may have, and bytes of disk for them.
    pub memory: u64,
    pub disk: u64,
    /// Jobs that it runs at once, of anyone.
    pub slots: u32,
    /// What was free of all that when it said so, of anyone.
    pub free: Free,
    pub draining: bool,
    pub contact: Contact,
}

/// Whether this home can give it work.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Contact {
    #[default]
    Reached,
    /// Not just now.
    Unreachable,
    /// It and this home accept no connections, so they cannot connect.
    BothDialOut,
}

/// What is free.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Free {
    pub slots: u32,
    pub cores: u32,
    pub memory: u64,
    pub disk: u64,
}

/// Of an offer, what running jobs does not change.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    pub node: NodeId,
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    pub memory: u64,
    pub disk: u64,
    pub slots: u32,
    pub draining: bool,
    pub contact: Contact,
    /// Each address with and without its port, as text: selectors are asked more often than addresses change.
    texts: Vec<String>,
}

/// A node, and this home's part in what runs there.
#[derive(Debug)]
pub(super) struct Node {
    pub id: NodeId,
    /// `None`: it went, and jobs that were placed there have not been told to have ended.
    pub facts: Option<Facts>,
    free: Free,
    /// Own jobs there, and what they were placed for.
    own: u32,
    own_memory: u64,
    /// The same, started less ended, since `free` was said.
    since: i64,
    since_memory: i64,
    /// It has refused a job: it is taken to be full until this home's next job there ends, or it is asked again.
    pub held: bool,
    /// Modules that it is known to have or was sent for, latest first.
    modules: VecDeque<ModuleHash>,
    /// Pools that it may be used for, as numbers.
    pub pools: Vec<u32>,
}

impl Offer {
    /// A node of which nothing is known but that it can be reached; for `..`.
    pub fn new(node: NodeId) -> Offer {
        Offer {
            node,
            name: String::new(),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            cores: 0,
            memory: 0,
            disk: 0,
            slots: 0,
            free: Free::default(),
            draining: false,
            contact: Contact::Reached,
        }
    }

    /// The same with nothing running there.
    #[must_use]
    pub fn all_free(mut self) -> Offer {
        self.free = Free { slots: self.slots, cores: self.cores, memory: self.memory, disk: self.disk };
        self
    }
}

impl Facts {
    pub fn of(offer: &Offer) -> Facts {
        let texts = offer.addresses.iter().flat_map(|address| [address.ip().to_string(), address.to_string()]);
        Facts {
            node: offer.node,
            name: offer.name.clone(),
            addresses: offer.addresses.clone(),
            labels: offer.labels.clone(),
            cores: offer.cores,
            memory: offer.memory,
            disk: offer.disk,
            slots: offer.slots,
            draining: offer.draining,
            contact: offer.contact,
            texts: texts.collect(),
        }
    }

    pub fn address_texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl Node {
    pub fn new(offer: &Offer) -> Node {
        Node {
            id: offer.node,
            facts: Some(Facts::of(offer)),
            free: offer.free,
            own: 0,
            own_memory: 0,
            since: 0,
            since_memory: 0,
            held: false,
            modules: VecDeque::new(),
            pools: Vec::new(),
        }
    }

    /// Takes a newer offer; says whether more than what is free has changed.
    pub fn update(&mut self, offer: &Offer) -> bool {
        let facts = Facts::of(offer);
        (self.free, self.since, self.since_memory) = (offer.free, 0, 0);
        let changed = self.facts.as_ref() != Some(&facts);
        self.facts = Some(facts);
        changed
    }

    pub fn started(&mut self, memory: u64, module: Option<ModuleHash>) {
        self.own += 1;
        self.own_memory = self.own_memory.saturating_add(memory);
        self.since += 1;
        self.since_memory = self.since_memory.saturating_add_unsigned(memory);
        if let Some(module) = module {
            self.learned(module);
        }
    }

    pub fn ended(&mut self, memory: u64) {
        self.held = false;
        self.own = self.own.saturating_sub(1);
        self.own_memory = self.own_memory.saturating_sub(memory);
        self.since -= 1;
        self.since_memory = self.since_memory.saturating_sub_unsigned(memory);
    }

    pub fn own(&self) -> u32 {
        self.own
    }

    /// What is free now, as far as this home can know: what was said, moved by what it has started and ended since. An offer
    /// that was on its way while a job was counts that job nowhere, so there is never more than own jobs leave; that others'
    /// jobs came since is found out there, where it is refused.
    pub fn free(&self) -> Free {
        let Some(facts) = &self.facts else { return Free::default() };
        let count = |free: u32, all: u32| {
            let left = i64::from(free).saturating_sub(self.since).clamp(0, i64::from(all.saturating_sub(self.own)));
            u32::try_from(left).unwrap_or(u32::MAX)
        };
        let memory = match u64::try_from(self.since_memory) {
            Ok(more) => self.free.memory.saturating_sub(more),
            Err(_) => self.free.memory.saturating_add(self.since_memory.unsigned_abs()),
        };
        Free {
            slots: count(self.free.slots, facts.slots),
            // A job uses one core at most.
            cores: count(self.free.cores, facts.cores),
            memory: memory.min(facts.memory.saturating_sub(self.own_memory)),
            disk: self.free.disk.min(facts.disk),
        }
    }

    /// Whether one more job with these wants goes there now.
    pub fn has_room(&self, wants: &Wants) -> bool {
        let free = self.free();
        !self.held && free.slots > 0 && wants.fits(&free)
    }

    pub fn has(&self, module: &ModuleHash) -> bool {
        self.modules.contains(module)
    }

    /// Only a hint for the score, so the oldest is forgotten.
    pub fn learned(&mut self, module: ModuleHash) {
        if self.modules.front() == Some(&module) {
            return;
        }
        self.modules.retain(|known| *known != module);
        self.modules.push_front(module);
        self.modules.truncate(limits::PLACEMENT_MODULES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(free_slots: u32, free_memory: u64) -> Offer {
        let offer = Offer { slots: 4, cores: 2, memory: 1_000, ..Offer::new(NodeId([1; 12])) }.all_free();
        Offer { free: Free { slots: free_slots, memory: free_memory, ..offer.free }, ..offer }
    }

    #[test]
    fn own_jobs_count_at_once_and_are_not_counted_twice() {
        let module = Some(ModuleHash([0; 32]));
        let mut node = Node::new(&offer(3, 700));
        node.started(100, module);
        node.started(100, module);
        assert_eq!(node.free(), Free { slots: 1, cores: 0, memory: 500, disk: 0 });
        // It has seen one of the two; own jobs leave two slots and 800 bytes at most.
        assert!(!node.update(&offer(3, 600)), "only what is free has changed");
        assert_eq!(node.free(), Free { slots: 2, cores: 0, memory: 600, disk: 0 });
        node.ended(100);
        assert_eq!(node.free(), Free { slots: 3, cores: 1, memory: 700, disk: 0 });
        node.ended(100);
        assert_eq!(node.free(), Free { slots: 4, cores: 2, memory: 800, disk: 0 });
        node.facts = None;
        assert_eq!(node.free(), Free::default());
    }

    #[test]
    fn modules_are_remembered_latest_first() {
        let mut node = Node::new(&offer(4, 0));
        let module = |number: usize| ModuleHash::of(&number.to_le_bytes());
        (0..=limits::PLACEMENT_MODULES).for_each(|number| node.learned(module(number)));
        assert!(!node.has(&module(0)) && node.has(&module(1)));
        node.learned(module(1));
        node.learned(module(0));
        assert!(node.has(&module(1)) && !node.has(&module(2)));
    }
}
