//! The nodes as people are shown them: who is there, who went, since when. Whoever watches is told the latest of each node
//! that has changed since it last looked, and never more than that.

use super::mesh::Follower;
use crate::runtime::{Clock, Peer, Runtime};
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::membership::member::Member;
use corovan_core::membership::view::State;
use corovan_core::membership::watch::Change;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::{oneshot, watch};

/// Follows membership.
pub struct Roster {
    me: NodeId,
    clock: Arc<dyn Clock>,
    state: Mutex<Rows>,
    /// How many changes there were.
    changes: watch::Sender<u64>,
}

/// A node as it was last heard of.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub member: Member,
    pub state: State,
    /// When it came to this state, by this node's clock: nanoseconds since 1970.
    pub since: u64,
}

#[derive(Default)]
struct Rows {
    rows: BTreeMap<NodeId, (u64, Row)>,
    /// The same by their latest change.
    order: BTreeMap<u64, NodeId>,
    gone: usize,
    changes: u64,
}

/// One who looks again and again.
pub struct Watcher {
    roster: Arc<Roster>,
    seen: u64,
    news: watch::Receiver<u64>,
}

impl Roster {
    /// Of this node alone, until it is told of others.
    pub fn new(me: Member, clock: Arc<dyn Clock>) -> Roster {
        let roster = Roster { me: me.presence.node, clock, state: Mutex::default(), changes: watch::Sender::new(0) };
        roster.changed(&Change::Came(me));
        roster
    }

    /// Which of them is this node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// All that are known, by their ids.
    pub fn all(&self) -> Vec<Row> {
        self.state.lock().rows.values().map(|(_, row)| row.clone()).collect()
    }

    /// All that are known, as coroutines are told of them.
    pub fn peers(&self) -> Vec<Peer> {
        self.all().into_iter().map(Row::peer).collect()
    }

    /// Is told of all that are there first.
    pub fn watch(self: &Arc<Self>) -> Watcher {
        Watcher { roster: Arc::clone(self), seen: 0, news: self.changes.subscribe() }
    }
}

impl Row {
    /// As coroutines are told of it: not where it is, which is not everybody's business.
    fn peer(self) -> Peer {
        let about = self.member.about.as_deref().cloned().unwrap_or_default();
        Peer {
            node: self.member.presence.node,
            name: about.name,
            state: self.state.into(),
            incarnation: self.member.presence.incarnation,
            labels: about.labels,
            cores: about.cores,
            memory: about.memory,
            version: about.version,
            draining: about.draining,
        }
    }
}

/// Tells coroutines of the peers, until stopped.
pub async fn tell(roster: Arc<Roster>, runtime: Weak<Runtime>, mut stop: oneshot::Receiver<()>) {
    let mut watcher = roster.watch();
    while let Some(runtime) = runtime.upgrade() {
        runtime.peers_changed(watcher.look().into_iter().map(Row::peer).collect());
        drop(runtime);
        tokio::select! {
            () = watcher.changed() => {}
            _ = &mut stop => break,
        }
    }
}

impl Follower for Roster {
    fn changed(&self, change: &Change) {
        let (member, state) = match change {
            Change::Came(member) | Change::Changed(member) => (member, State::Alive),
            Change::Failed(member) => (member, State::Failed),
            Change::Left(member) => (member, State::Left),
        };
        let changes = self.state.lock().set(member, state, self.clock.unix());
        self.changes.send_replace(changes);
    }
}

impl Rows {
    fn set(&mut self, member: &Member, state: State, now: u64) -> u64 {
        let node = member.presence.node;
        let before = self.remove(node);
        let same = |row: &Row| row.state == state && row.member.presence.incarnation == member.presence.incarnation;
        let since = before.as_ref().filter(|row| same(row)).map_or(now, |row| row.since);
        // What a node says of itself comes a moment after it, and its name is wanted when it is gone, too.
        let about = member.about.clone().or(before.and_then(|row| row.member.about));
        let row = Row { member: Member { presence: member.presence, about }, state, since };
        self.changes += 1;
        self.gone += usize::from(state != State::Alive);
        self.rows.insert(node, (self.changes, row));
        self.order.insert(self.changes, node);
        if self.gone > limits::MESH_GONE {
            self.forget_one();
        }
        self.changes
    }

    fn remove(&mut self, node: NodeId) -> Option<Row> {
        let (change, row) = self.rows.remove(&node)?;
        self.order.remove(&change);
        self.gone -= usize::from(row.state != State::Alive);
        Some(row)
    }

    /// Of those who went, the one that went first.
    fn forget_one(&mut self) {
        let is_gone = |node: &&NodeId| self.rows.get(node).is_some_and(|(_, row)| row.state != State::Alive);
        let oldest = self.order.values().find(is_gone).copied();
        oldest.and_then(|node| self.remove(node));
    }
}

impl Watcher {
    /// The nodes that have changed since the last look, in the order of their changes.
    pub fn look(&mut self) -> Vec<Row> {
        let state = self.roster.state.lock();
        let fresh = state.order.range(self.seen + 1..).filter_map(|(_, node)| state.rows.get(node));
        let rows = fresh.map(|(_, row)| row.clone()).collect();
        self.seen = state.changes;
        rows
    }

    /// Waits until there may be something to see.
    pub async fn changed(&mut self) {
        // The roster lives as long as this: it is held here.
        let _ = self.news.wait_for(|changes| *changes > self.seen).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::VirtualClock;
    use corovan_core::membership::member::About;
    use corovan_core::membership::presence::Presence;

    fn member(n: u32, incarnation: u32, name: Option<&str>) -> Member {
        let mut node = NodeId::default();
        node.0[..4].copy_from_slice(&n.to_be_bytes());
        let about = name.map(|name| Arc::new(About { name: name.into(), ..About::default() }));
        Member { presence: Presence::new(node, incarnation, "10.0.0.1:1".parse().unwrap()), about }
    }

    fn names(rows: &[Row]) -> Vec<(String, State, u64)> {
        let name = |row: &Row| row.member.about.as_ref().map_or(String::new(), |about| about.name.clone());
        rows.iter().map(|row| (name(row), row.state, row.since)).collect()
    }

    #[test]
    fn a_watcher_is_told_the_latest_of_each_node_that_changed_and_when_it_came_to_that() {
        let clock = Arc::new(VirtualClock::new(0));
        let roster = Arc::new(Roster::new(member(1, 1, Some("me")), Arc::clone(&clock) as Arc<dyn Clock>));
        let mut watcher = roster.watch();
        assert_eq!(names(&watcher.look()), [("me".into(), State::Alive, 0)]);
        assert!(watcher.look().is_empty());
        clock.advance_to(5);
        roster.changed(&Change::Came(member(2, 1, None)));
        clock.advance_to(6);
        roster.changed(&Change::Changed(member(2, 1, Some("b"))));
        roster.changed(&Change::Came(member(3, 1, Some("c"))));
        assert_eq!(names(&watcher.look()), [("b".into(), State::Alive, 5), ("c".into(), State::Alive, 6)]);
        clock.advance_to(7);
        roster.changed(&Change::Left(member(3, 1, Some("c"))));
        roster.changed(&Change::Failed(member(2, 1, None)));
        clock.advance_to(9);
        roster.changed(&Change::Came(member(2, 2, None)));
        assert_eq!(names(&watcher.look()), [("c".into(), State::Left, 7), ("b".into(), State::Alive, 9)]);
        assert_eq!(roster.all().len(), 3);
    }

    #[test]
    fn of_those_who_went_as_many_are_remembered_as_the_view_does() {
        let roster = Roster::new(member(0, 1, Some("me")), Arc::new(VirtualClock::new(0)));
        for n in 1..=limits::MESH_GONE as u32 + 3 {
            roster.changed(&Change::Came(member(n, 1, None)));
            roster.changed(&Change::Failed(member(n, 1, None)));
        }
        let all = roster.all();
        assert_eq!((all.len(), all[0].state), (limits::MESH_GONE + 1, State::Alive));
        assert_eq!(all[1].member.presence.node, member(4, 1, None).presence.node, "the first three are forgotten");
    }
}
