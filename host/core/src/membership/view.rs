//! The members as this node sees them: who lives, who went and when. Who went is remembered for a while, so that an old
//! datagram of it is known for one.

use super::presence::Presence;
use super::rng::mix;
use crate::ids::NodeId;
use crate::limits;
use crate::wire::nodes::NodeState;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct View {
    entries: BTreeMap<NodeId, Entry>,
    /// Those who went, oldest first.
    gone: BTreeMap<(u64, NodeId), ()>,
    /// A sum over the living of each bucket; views are equal where these are.
    sums: [u64; BUCKETS],
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Entry {
    /// Its latest life.
    pub presence: Presence,
    pub state: State,
    /// When it came to this state (the node's clock).
    pub since: u64,
    /// Of its newest record; 0 without.
    pub serial: u64,
}

/// Suspects are alive until they are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Alive,
    Failed,
    Left,
}

/// As clients and coroutines are told of it.
impl From<State> for NodeState {
    fn from(state: State) -> NodeState {
        match state {
            State::Alive => NodeState::Alive,
            State::Failed => NodeState::Failed,
            State::Left => NodeState::Left,
        }
    }
}

/// Parts that a view is compared in.
pub const BUCKETS: usize = 64;

impl View {
    /// A view that has one node, oneself.
    pub fn new(me: Presence, now: u64) -> View {
        let mut view = View { entries: BTreeMap::new(), gone: BTreeMap::new(), sums: [0; BUCKETS] };
        view.set(me, State::Alive, now);
        view
    }

    pub fn get(&self, node: NodeId) -> Option<&Entry> {
        self.entries.get(&node)
    }

    /// Oneself among them.
    pub fn alive(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.state == State::Alive)
    }

    /// All that is remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn alive_count(&self) -> usize {
        self.entries.len() - self.gone.len()
    }

    pub fn sums(&self) -> &[u64; BUCKETS] {
        &self.sums
    }

    /// Whether a life is over, or was followed by another.
    pub fn is_past(&self, presence: &Presence) -> bool {
        self.get(presence.node).is_some_and(|entry| entry.presence.life() > presence.life())
    }

    pub(super) fn set(&mut self, presence: Presence, state: State, now: u64) {
        self.forget(presence.node);
        let entry = Entry { presence, state, since: now, serial: 0 };
        self.entries.insert(presence.node, entry);
        if state == State::Alive {
            self.add(&entry);
            return;
        }
        self.gone.insert((now, presence.node), ());
        if self.gone.len() > limits::MESH_GONE
            && let Some(((_, oldest), ())) = self.gone.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn set_serial(&mut self, node: NodeId, serial: u64) {
        let Some(mut entry) = self.entries.get(&node).copied() else { return };
        if entry.state == State::Alive {
            self.add(&entry);
            entry.serial = serial;
            self.add(&entry);
        }
        self.entries.insert(node, Entry { serial, ..entry });
    }

    fn forget(&mut self, node: NodeId) {
        let Some(entry) = self.entries.remove(&node) else { return };
        match entry.state {
            State::Alive => self.add(&entry),
            _ => drop(self.gone.remove(&(entry.since, node))),
        }
    }

    /// Exclusive or: the second time takes it away.
    fn add(&mut self, entry: &Entry) {
        let (incarnation, generation) = entry.presence.life();
        let life = u64::from(incarnation) << 32 | u64::from(generation);
        let sum = mix(place(entry.presence.node) ^ mix(life ^ mix(entry.serial)));
        if let Some(bucket) = self.sums.get_mut(bucket(entry.presence.node)) {
            *bucket ^= sum;
        }
    }
}

/// Where a node is compared.
pub(super) fn bucket(node: NodeId) -> usize {
    (place(node) % BUCKETS as u64) as usize
}

fn place(node: NodeId) -> u64 {
    node.0.chunks(4).fold(0, |sum, four| mix(sum ^ four.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(n: u32, incarnation: u32) -> Presence {
        let mut node = NodeId([1; 12]);
        node.0[..4].copy_from_slice(&n.to_le_bytes());
        Presence::new(node, incarnation, "10.0.0.1:1".parse().unwrap())
    }

    #[test]
    fn equal_views_have_equal_sums_however_they_came_about() {
        let mut one = View::new(presence(0, 1), 0);
        let mut other = View::new(presence(2, 3), 7);
        assert_ne!(one.sums(), other.sums());
        one.set(presence(2, 2), State::Alive, 1);
        one.set(presence(2, 2), State::Failed, 2);
        one.set(presence(2, 3), State::Alive, 3);
        one.set(presence(3, 1), State::Left, 4);
        one.set_serial(presence(0, 1).node, 5);
        one.set_serial(presence(0, 1).node, 6);
        other.set(presence(0, 1), State::Alive, 8);
        assert_ne!(one.sums(), other.sums(), "a record is missing");
        other.set_serial(presence(0, 1).node, 6);
        assert_eq!(one.sums(), other.sums());
        assert_eq!((one.alive_count(), other.alive_count()), (2, 2));
        assert!(one.is_past(&presence(2, 2)) && !one.is_past(&presence(2, 3)) && !one.is_past(&presence(9, 1)));
    }

    #[test]
    fn of_those_who_went_the_latest_are_remembered() {
        let mut view = View::new(presence(0, 1), 0);
        for n in 1..=limits::MESH_GONE as u32 + 5 {
            view.set(presence(n, 1), State::Failed, u64::from(n));
        }
        assert_eq!(view.iter().count(), limits::MESH_GONE + 1);
        assert!(view.get(presence(5, 1).node).is_none() && view.get(presence(6, 1).node).is_some());
        assert_eq!(view.alive_count(), 1);
    }
}
