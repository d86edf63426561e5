//! The newest record of each node. foca hands over what arrives with its messages and passes on what was new here.

use super::member::{Invalid, Record};
use super::presence::Presence;
use crate::ids::NodeId;
use crate::limits;
use foca::{BroadcastHandler, Invalidates};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared with the handler that foca owns; never locked for longer than one look.
#[derive(Clone, Default, Debug)]
pub(super) struct Records(Arc<Mutex<Newest>>);

#[derive(Default, Debug)]
struct Newest {
    by_node: BTreeMap<NodeId, Record>,
    /// Nodes whose record changed since the last look.
    changed: Vec<NodeId>,
}

/// A record on its way; a newer one of the same node takes its place.
#[derive(Debug)]
pub(super) struct Key {
    node: NodeId,
    age: (u32, u64),
}

impl Records {
    pub fn get(&self, node: NodeId) -> Option<Record> {
        self.lock().by_node.get(&node).cloned()
    }

    /// Keeps it if it is news.
    pub fn offer(&self, record: Record) -> bool {
        let mut newest = self.lock();
        let known = newest.by_node.get(&record.node);
        let news = known.map_or(newest.by_node.len() < limits::MESH_NODES, |known| known.age() < record.age());
        if news {
            newest.changed.push(record.node);
            newest.by_node.insert(record.node, record);
        }
        news
    }

    pub fn take_changed(&self) -> Vec<NodeId> {
        std::mem::take(&mut self.lock().changed)
    }

    /// Drops the records of nodes that nothing else is known of, when there are many.
    pub fn prune(&self, keep: impl Fn(NodeId) -> bool) {
        let mut newest = self.lock();
        if newest.by_node.len() >= limits::MESH_NODES / 4 * 3 {
            newest.by_node.retain(|node, _| keep(*node));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BroadcastHandler<Presence> for Records {
    type Key = Key;
    type Error = Invalid;

    fn receive_item(&mut self, data: &[u8], _sender: Option<&Presence>) -> Result<Option<Key>, Invalid> {
        let record = Record::parse(data)?;
        let key = Key { node: record.node, age: record.age() };
        Ok(self.offer(record).then_some(key))
    }
}

impl Invalidates for Key {
    fn invalidates(&self, other: &Key) -> bool {
        self.node == other.node && self.age >= other.age
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::member::About;

    #[test]
    fn only_news_are_kept_and_passed_on_and_their_number_is_bounded() {
        let mut records = Records::default();
        let record = |n: u32, incarnation, serial| {
            let mut node = NodeId([0; 12]);
            node.0[..4].copy_from_slice(&n.to_le_bytes());
            Record::new(node, incarnation, serial, About::default()).unwrap()
        };
        let first = record(1, 1, 2);
        assert!(records.receive_item(&first.bytes, None).unwrap().is_some());
        for old in [record(1, 1, 1), record(1, 1, 2), record(1, 0, 9)] {
            assert!(records.receive_item(&old.bytes, None).unwrap().is_none(), "{old:?}");
        }
        assert!(records.offer(record(1, 2, 1)), "a later boot counts anew");
        assert_eq!(records.take_changed(), [first.node, first.node]);
        for n in 2..=limits::MESH_NODES as u32 {
            assert!(records.offer(record(n, 1, 1)));
        }
        assert!(!records.offer(record(9_999, 1, 1)));
        records.prune(|node| node == first.node);
        assert!(records.offer(record(9_999, 1, 1)));
    }
}
