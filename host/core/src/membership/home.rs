//! Which of the members is home to a name: rendezvous hashing. Nodes that agree on the members agree on the home, and a
//! member that comes or goes moves only the names that are its own.

use super::rng::mix;
use crate::ids::NodeId;
use std::collections::BTreeMap;

/// The members that can be home to names, each with its boot.
#[derive(Clone, Default, Debug)]
pub struct Homes {
    members: BTreeMap<NodeId, u32>,
}

/// A name's place in the hash space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spot(u64);

impl Spot {
    /// The same on every node and in every version.
    pub fn of(tenant: &str, name: &str) -> Spot {
        let mut hasher = blake3::Hasher::new();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes()).update(name.as_bytes());
        Spot(first_word(hasher.finalize().as_bytes()))
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// How much this node wants this spot; the one that wants it most is its home. The id decides between equals.
    pub fn weight(self, node: NodeId) -> (u64, NodeId) {
        let low = first_word(&node.0);
        let high = u64::from(u32::from_le_bytes([node.0[8], node.0[9], node.0[10], node.0[11]]));
        (mix(self.0 ^ mix(low ^ mix(high))), node)
    }
}

impl Homes {
    pub fn insert(&mut self, node: NodeId, incarnation: u32) {
        self.members.insert(node, incarnation);
    }

    pub fn remove(&mut self, node: NodeId) {
        self.members.remove(&node);
    }

    pub fn incarnation(&self, node: NodeId) -> Option<u32> {
        self.members.get(&node).copied()
    }

    /// The home of a spot; `None` without members. A few nanoseconds a member, and no message.
    pub fn home(&self, spot: Spot) -> Option<NodeId> {
        self.members.keys().copied().max_by_key(|node| spot.weight(*node))
    }

    /// The `k` members that want a spot most, the home first: the home when that one goes is the second.
    pub fn top(&self, spot: Spot, k: usize) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.members.keys().copied().collect();
        nodes.sort_by_key(|node| std::cmp::Reverse(spot.weight(*node)));
        nodes.truncate(k);
        nodes
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (NodeId, u32)> + '_ {
        self.members.iter().map(|(node, incarnation)| (*node, *incarnation))
    }
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn homes(ids: &[u64]) -> Homes {
        let mut homes = Homes::default();
        for id in ids {
            homes.insert(node(*id), 1);
        }
        homes
    }

    fn node(id: u64) -> NodeId {
        let mut node = NodeId([7; 12]);
        node.0[..8].copy_from_slice(&id.to_le_bytes());
        node
    }

    proptest! {
        #[test]
        fn who_comes_takes_only_for_itself_and_who_goes_gives_only_its_own(
            mut ids in prop::collection::btree_set(0..1_000u64, 2..40), extra in 1_000..2_000u64,
        ) {
            let all: Vec<u64> = ids.iter().copied().collect();
            let before = homes(&all);
            let gone = all[all.len() / 2];
            ids.remove(&gone);
            let (with, without) = (homes(&[all.clone(), vec![extra]].concat()), homes(&ids.into_iter().collect::<Vec<_>>()));
            for n in 0..200 {
                let spot = Spot::of("a", &n.to_string());
                let home = before.home(spot).unwrap();
                prop_assert!(with.home(spot) == Some(home) || with.home(spot) == Some(node(extra)));
                let top = before.top(spot, 2);
                prop_assert_eq!(top[0], home);
                let then = if home == node(gone) { top[1] } else { home };
                prop_assert_eq!(without.home(spot), Some(then));
            }
        }
    }

    #[test]
    fn names_are_spread_evenly_and_always_to_the_same_place() {
        let homes = homes(&(0..100).collect::<Vec<_>>());
        let mut counts = BTreeMap::new();
        for n in 0..100_000 {
            *counts.entry(homes.home(Spot::of("a", &n.to_string())).unwrap()).or_insert(0) += 1;
        }
        // A fair throw of 1,000 each has a deviation of 32; six of them.
        assert!(counts.values().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(Spot::of("tenant", "name"), Spot(14_932_018_543_098_421_547), "nodes of all versions must agree");
        assert_ne!(Spot::of("ab", "c"), Spot::of("a", "bc"));
        assert_eq!(Homes::default().home(Spot::of("a", "b")), None);
    }
}
