//! Those who wait until a channel has so many subscribers, counted across sub-channels.

use super::graph::Graph;
use crate::ids::Address;
use crate::limits;
use std::collections::BTreeMap;

/// `W` wakes one who waits.
#[derive(Debug)]
pub struct Audience<W> {
    waiting: BTreeMap<(Address, u64), (usize, W)>,
    next: u64,
}

/// One who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat(Address, u64);

impl<W> Audience<W> {
    /// Waits for `n` leaves of a channel.
    pub fn wait(&mut self, channel: Address, n: usize, waker: W) -> Seat {
        self.next += 1;
        self.waiting.insert((channel, self.next), (n, waker));
        Seat(channel, self.next)
    }

    /// Waits no longer.
    pub fn withdraw(&mut self, seat: Seat) {
        self.waiting.remove(&(seat.0, seat.1));
    }

    /// A subscriber has come to this channel: who has now seen enough, or is to count for itself, where that would take
    /// long.
    pub fn grown(&mut self, graph: &Graph, channel: &Address) -> Vec<W> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (mut wake, mut looked) = (Vec::new(), 0);
        for above in graph.above(channel) {
            let range = (above, 0)..=(above, u64::MAX);
            if self.waiting.range(range.clone()).next().is_none() {
                continue;
            }
            let leaves = if looked < limits::TENANT_CHANNELS {
                let (leaves, looks) = graph.count_leaves(&above);
                looked += looks;
                leaves
            } else {
                usize::MAX
            };
            let enough = self.waiting.extract_if(range, |_, (n, _)| *n <= leaves);
            wake.extend(enough.map(|(_, (_, waker))| waker));
        }
        wake
    }

    /// The channel has closed: who waited.
    pub fn closed(&mut self, channel: &Address) -> Vec<W> {
        let range = (*channel, 0)..=(*channel, u64::MAX);
        self.waiting.extract_if(range, |_, _| true).map(|(_, (_, waker))| waker).collect()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<W> Default for Audience<W> {
    fn default() -> Self {
        Audience { waiting: BTreeMap::new(), next: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    fn address(counter: u64) -> Address {
        Address { counter, ..Address::default() }
    }

    #[test]
    fn whoever_waits_is_woken_by_the_subscriber_that_makes_it_enough_wherever_it_comes() {
        let (mut graph, mut audience) = (Graph::default(), Audience::default());
        let (top, below) = (address(1), address(2));
        assert!(graph.open(top) && graph.open(below));
        graph.connect(NodeId::default(), top, below).unwrap();
        audience.wait(top, 2, "two above");
        audience.wait(top, 3, "three above");
        audience.wait(below, 1, "one below");
        let gone = audience.wait(below, 1, "not any more");
        audience.withdraw(gone);
        graph.add_leaves(&top, 1);
        assert!(audience.grown(&graph, &top).is_empty());
        graph.add_leaves(&below, 1);
        let mut woken = audience.grown(&graph, &below);
        woken.sort_unstable();
        assert_eq!(woken, ["one below", "two above"]);
        assert_eq!(audience.closed(&top), ["three above"]);
        assert!(audience.is_empty());
    }

    #[test]
    fn where_very_many_above_wait_and_very_many_are_below_whoever_is_not_counted_for_is_woken() {
        const SIDE: u64 = 4_000;
        let (mut graph, mut audience) = (Graph::default(), Audience::default());
        let middle = address(0);
        assert!((0..=2 * SIDE).all(|channel| graph.open(address(channel))));
        for side in 1..=SIDE {
            graph.connect(NodeId::default(), address(side), middle).unwrap();
            graph.connect(NodeId::default(), middle, address(SIDE + side)).unwrap();
            audience.wait(address(side), 2, side);
        }
        graph.add_leaves(&middle, 1);
        let woken = audience.grown(&graph, &middle);
        // Each count looks at 4,002 channels, and after 10,000 there are no more.
        assert_eq!((woken.len(), audience.len()), (SIDE as usize - 3, 3));
    }
}
