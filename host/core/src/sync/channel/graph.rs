//! Which channel feeds which: at most one way leads from one channel to another, so no message comes round or comes twice.
//!
//! An edge is added in three steps: reserved at both ends, walked ([`Walk`]), committed or aborted. On one node, under one
//! lock, that is [`Graph::connect`].

use super::walk::{Claim, Direction, Refused, Walk};
use crate::ids::{Address, NodeId};
use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

/// The channels of one tenant on one node, and the edges that begin or end there.
#[derive(Debug, Default)]
pub struct Graph {
    channels: BTreeMap<Address, Channel>,
    reserved: BTreeMap<Claim, (Address, Address)>,
    /// Edges of attempts that this node leads and that are not over, also where their claim is gone.
    led: BTreeSet<(Address, Address)>,
    edges: usize,
    next_claim: u64,
}

#[derive(Debug, Default)]
struct Channel {
    /// Who it gets messages from, and who it gives them to; with the claim where the edge is not committed yet.
    parents: BTreeMap<Address, Option<Claim>>,
    children: BTreeMap<Address, Option<Claim>>,
    /// Subscribers that are not channels.
    leaves: usize,
}

impl Graph {
    /// Adds a channel; `false` when there are too many, or it is there.
    pub fn open(&mut self, channel: Address) -> bool {
        if self.channels.len() >= limits::TENANT_CHANNELS || self.channels.contains_key(&channel) {
            return false;
        }
        self.channels.insert(channel, Channel::default());
        true
    }

    /// Takes a channel away with its edges.
    pub fn close(&mut self, channel: &Address) {
        let Some(closed) = self.channels.remove(channel) else { return };
        for parent in closed.parents.keys() {
            self.channels.get_mut(parent).map(|parent| parent.children.remove(channel));
        }
        for child in closed.children.keys() {
            self.channels.get_mut(child).map(|child| child.parents.remove(channel));
        }
        self.edges -= closed.parents.len() + closed.children.len();
        self.reserved.retain(|_, (parent, child)| parent != channel && child != channel);
    }

    /// First step of an attempt that this node leads until [`Graph::end_lead`]. One at a time for each edge: what an older one
    /// takes back at the parent's end would be the newer one's.
    pub fn lead(&mut self, here: NodeId, parent: Address, child: Address) -> Result<Claim, Refused> {
        if self.led.contains(&(parent, child)) {
            return Err(Refused::Retry);
        }
        let claim = self.claim(here);
        self.reserve(claim, parent, child)?;
        self.led.insert((parent, child));
        Ok(claim)
    }

    /// The attempt is over, and has been taken back at the parent's end unless it was committed here.
    pub fn end_lead(&mut self, claim: Claim, parent: Address, child: Address) {
        self.abort(claim);
        self.led.remove(&(parent, child));
    }

    fn claim(&mut self, node: NodeId) -> Claim {
        self.next_claim += 1;
        Claim { number: self.next_claim, node }
    }

    /// All three steps, of channels of this node, as long as no way leads to another. An edge that is there already stays.
    pub fn connect(&mut self, here: NodeId, parent: Address, child: Address) -> Result<(), Refused> {
        if !self.channels.contains_key(&parent) || !self.channels.contains_key(&child) {
            return Err(Refused::Unknown);
        }
        if self.has_edge(&parent, &child) {
            return Ok(());
        }
        let claim = self.claim(here);
        self.reserve(claim, parent, child)?;
        let mut walk = Walk::new(claim, parent, child);
        while let Some(ask) = walk.next_ask() {
            if ask.channel.node != here {
                self.abort(claim);
                return Err(Refused::Elsewhere);
            }
            walk.answer(ask, self.neighbours(&ask.channel, ask.direction()));
        }
        match walk.verdict() {
            Ok(outranked) => {
                for outranked in outranked {
                    self.abort(outranked);
                }
                self.commit(claim)
            }
            Err(refused) => {
                self.abort(claim);
                Err(refused)
            }
        }
    }

    /// First step: nobody else can make this edge meanwhile.
    pub fn reserve(&mut self, claim: Claim, parent: Address, child: Address) -> Result<(), Refused> {
        if parent == child {
            return Err(Refused::Cycle);
        }
        if self.edges >= limits::TENANT_CHANNEL_EDGES {
            return Err(Refused::Full);
        }
        if !self.channels.contains_key(&parent) && !self.channels.contains_key(&child) {
            return Err(Refused::Unknown);
        }
        if self.edge(&parent, &child).is_some() || self.reserved.contains_key(&claim) {
            return Err(Refused::Retry);
        }
        self.set(parent, child, Some(claim));
        self.reserved.insert(claim, (parent, child));
        self.edges += 1;
        Ok(())
    }

    /// Third step, after a walk that found nothing. `Retry`: the claim had to give way meanwhile, or a channel has closed.
    pub fn commit(&mut self, claim: Claim) -> Result<(), Refused> {
        let (parent, child) = self.reserved.remove(&claim).ok_or(Refused::Retry)?;
        self.set(parent, child, None);
        Ok(())
    }

    /// Third step of a claim that is refused, or has to give way. `false`: it is not reserved, or not any more.
    pub fn abort(&mut self, claim: Claim) -> bool {
        let reserved = self.reserved.remove(&claim);
        if let Some((parent, child)) = &reserved {
            self.cut(parent, child);
        }
        reserved.is_some()
    }

    /// A node is not reached any more: its channels, and claims on them, are no children of this one.
    pub fn forget_node(&mut self, parent: &Address, node: NodeId) {
        let of_node = |child: &&Address| child.node == node;
        let children: Vec<Address> = self
            .channels
            .get(parent)
            .map_or_else(Vec::new, |channel| channel.children.keys().filter(of_node).copied().collect());
        for child in &children {
            self.cut(parent, child);
        }
        self.reserved.retain(|_, (from, to)| from != parent || to.node != node);
    }

    /// Takes a committed edge away; `false` when there is none.
    pub fn disconnect(&mut self, parent: &Address, child: &Address) -> bool {
        let committed = self.has_edge(parent, child);
        if committed {
            self.cut(parent, child);
        }
        committed
    }

    /// Takes an edge away, committed or not.
    pub fn forget_edge(&mut self, parent: &Address, child: &Address) {
        if self.edge(parent, child).is_some() {
            self.cut(parent, child);
            self.reserved.retain(|_, edge| *edge != (*parent, *child));
        }
    }

    /// A committed edge.
    pub fn has_edge(&self, parent: &Address, child: &Address) -> bool {
        self.edge(parent, child) == Some(None)
    }

    /// For [`Walk::answer`]: what a channel of this node is next to. None where it has gone.
    pub fn neighbours(
        &self,
        channel: &Address,
        direction: Direction,
    ) -> impl Iterator<Item = (Address, Option<Claim>)> + '_ {
        let neighbours = self.channels.get(channel).map(|channel| match direction {
            Direction::Up => &channel.parents,
            Direction::Down => &channel.children,
        });
        neighbours.into_iter().flatten().map(|(channel, claim)| (*channel, *claim))
    }

    /// Subscribers that are not channels have come; those of other nodes together.
    pub fn add_leaves(&mut self, channel: &Address, count: usize) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.leaves = channel.leaves.saturating_add(count);
        }
    }

    /// They have gone.
    pub fn remove_leaves(&mut self, channel: &Address, count: usize) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.leaves = channel.leaves.saturating_sub(count);
        }
    }

    /// Mailboxes that a message sent to this channel would go to, across sub-channels: a subscriber of two of them counts
    /// twice.
    pub fn leaves(&self, channel: &Address) -> usize {
        self.count_leaves(channel).0
    }

    /// The same, and how many channels were looked at for it.
    pub fn count_leaves(&self, channel: &Address) -> (usize, usize) {
        let (mut leaves, mut looks) = (0, 0);
        self.visit(channel, Direction::Down, |channel| {
            leaves = self.channels.get(channel).map_or(leaves, |c| c.leaves.saturating_add(leaves));
            looks += 1;
        });
        (leaves, looks)
    }

    /// A channel and those whose messages reach it.
    pub fn above(&self, channel: &Address) -> Vec<Address> {
        let mut above = Vec::new();
        self.visit(channel, Direction::Up, |channel| above.push(*channel));
        above
    }

    pub fn len(&self) -> usize {
        self.channels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Edges, also those that are only reserved.
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// A channel and all in this direction that are within [`limits::CHANNEL_HOPS`], each once: there is one way to each.
    fn visit(&self, channel: &Address, direction: Direction, mut see: impl FnMut(&Address)) {
        let mut next = vec![(*channel, 0)];
        while let Some((channel, hops)) = next.pop() {
            see(&channel);
            if hops < limits::CHANNEL_HOPS {
                let committed = self.neighbours(&channel, direction).filter(|(_, claim)| claim.is_none());
                next.extend(committed.map(|(channel, _)| (channel, hops + 1)));
            }
        }
    }

    /// Either end knows of it; the other may be on another node.
    fn edge(&self, parent: &Address, child: &Address) -> Option<Option<Claim>> {
        let below = self.channels.get(parent).and_then(|parent| parent.children.get(child));
        below.or_else(|| self.channels.get(child)?.parents.get(parent)).copied()
    }

    fn set(&mut self, parent: Address, child: Address, claim: Option<Claim>) {
        self.channels.get_mut(&parent).map(|channel| channel.children.insert(child, claim));
        self.channels.get_mut(&child).map(|channel| channel.parents.insert(parent, claim));
    }

    fn cut(&mut self, parent: &Address, child: &Address) {
        self.channels.get_mut(parent).map(|channel| channel.children.remove(child));
        self.channels.get_mut(child).map(|channel| channel.parents.remove(parent));
        self.edges -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(counter: u64) -> Address {
        Address { counter, ..Address::default() }
    }

    fn graph(channels: u64) -> Graph {
        let mut graph = Graph::default();
        assert!((0..channels).all(|channel| graph.open(address(channel))));
        graph
    }

    #[test]
    fn a_cycle_of_any_length_is_refused() {
        for length in [1, 2, 100] {
            let mut graph = graph(length);
            for channel in 1..length {
                graph.connect(NodeId::default(), address(channel - 1), address(channel)).unwrap();
            }
            assert_eq!(
                graph.connect(NodeId::default(), address(length - 1), address(0)),
                Err(Refused::Cycle),
                "{length}"
            );
            assert_eq!(graph.edges(), length as usize - 1, "nothing is left of it");
        }
    }

    #[test]
    fn a_diamond_is_refused_where_it_closes_and_a_child_may_have_two_parents() {
        let mut graph = graph(5);
        for (parent, child) in [(0, 1), (0, 2), (1, 3), (4, 3)] {
            graph.connect(NodeId::default(), address(parent), address(child)).unwrap();
        }
        assert_eq!(graph.connect(NodeId::default(), address(2), address(3)), Err(Refused::SecondPath));
        assert_eq!(
            graph.connect(NodeId::default(), address(0), address(3)),
            Err(Refused::SecondPath),
            "also an edge past it"
        );
        assert_eq!(graph.connect(NodeId::default(), address(0), address(1)), Ok(()), "which is there already");
        assert_eq!(graph.connect(NodeId::default(), address(0), address(9)), Err(Refused::Unknown));
        assert!(graph.disconnect(&address(1), &address(3)));
        assert!(!graph.disconnect(&address(1), &address(3)));
        assert_eq!(graph.connect(NodeId::default(), address(2), address(3)), Ok(()));
    }

    #[test]
    fn leaves_are_counted_as_far_as_messages_go() {
        let hops = limits::CHANNEL_HOPS as u64;
        let mut graph = graph(hops + 2);
        for channel in 0..hops + 2 {
            graph.add_leaves(&address(channel), 1);
            if channel > 0 {
                graph.connect(NodeId::default(), address(channel - 1), address(channel)).unwrap();
            }
        }
        assert_eq!(graph.leaves(&address(0)), limits::CHANNEL_HOPS + 1);
        assert_eq!(graph.leaves(&address(1)), limits::CHANNEL_HOPS + 1);
        assert_eq!(graph.leaves(&address(hops + 1)), 1);
        assert_eq!(graph.above(&address(hops + 1)).len(), limits::CHANNEL_HOPS + 1);
        graph.remove_leaves(&address(1), 1);
        assert_eq!(graph.leaves(&address(0)), limits::CHANNEL_HOPS);
    }

    #[test]
    fn there_is_a_most_of_channels_and_edges() {
        let mut graph = graph(limits::TENANT_CHANNELS as u64);
        assert!(!graph.open(address(u64::MAX)));
        // Two layers, each of the upper over each of the lower: many edges, and never two ways.
        let width = 101;
        let mut edges = (0..width).flat_map(|upper| (0..width).map(move |lower| (upper, 1_000 + lower)));
        let refused =
            edges.find_map(|(upper, lower)| graph.connect(NodeId::default(), address(upper), address(lower)).err());
        assert_eq!((refused, graph.edges()), (Some(Refused::Full), limits::TENANT_CHANNEL_EDGES));
        graph.close(&address(0));
        assert_eq!(graph.edges(), limits::TENANT_CHANNEL_EDGES - width as usize);
    }

    #[test]
    fn of_two_claims_that_would_close_a_cycle_together_the_lower_one_goes_on() {
        let claim = |number| Claim { number, node: NodeId::default() };
        let walk = |graph: &Graph, claim, parent, child| {
            let mut walk = Walk::new(claim, parent, child);
            while let Some(ask) = walk.next_ask() {
                walk.answer(ask, graph.neighbours(&ask.channel, ask.direction()));
            }
            walk.verdict()
        };
        let mut graph = graph(2);
        let (a, b) = (address(0), address(1));
        graph.reserve(claim(1), a, b).unwrap();
        graph.reserve(claim(2), b, a).unwrap();
        assert_eq!(graph.reserve(claim(3), a, b), Err(Refused::Retry), "another has it");
        assert_eq!(walk(&graph, claim(2), b, a), Err(Refused::Retry));
        let outranked = walk(&graph, claim(1), a, b).unwrap();
        for claim in outranked {
            graph.abort(claim);
        }
        graph.commit(claim(1)).unwrap();
        assert_eq!(graph.commit(claim(2)), Err(Refused::Retry));
        assert_eq!((graph.edges(), graph.has_edge(&a, &b), graph.has_edge(&b, &a)), (1, true, false));
    }
}
