//! Which of the nodes that have room: four at random are compared and the best is taken, so that the choice costs the same
//! however many there are, and homes that know the same do not all choose the same.
//!
//! The power of a few random choices (Mitzenmacher 2001): two make the fullest node exponentially less full than one does;
//! four find one that has the module where a quarter have it.

use super::offer::Node;
use crate::membership::rng::SplitMix;
use std::fmt;

/// What a computation prefers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Policy {
    /// The least loaded.
    #[default]
    Spread,
    /// The fullest that has room: others stay free for what is large.
    Pack,
}

/// Why a job is where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason {
    pub policy: Policy,
    /// Nodes that had room for it, and how many of these were compared.
    pub open: u32,
    pub compared: u32,
    /// Slots there that were taken, of how many.
    pub taken: u32,
    pub slots: u32,
    /// It has the module, or it is on its way there.
    pub module: bool,
}

/// How many are compared.
pub(super) const CHOICES: usize = 4;
/// The load of a node with a job for each core, or in each slot where there are fewer.
const FULL: u64 = 1 << 20;
/// Having the module is worth a sixteenth of a node's cores: some fetches are saved where load is about even, and a node is
/// never crowded for it while others are idle.
const MODULE: u64 = FULL / 16;

/// Indices of at most [`CHOICES`] of `len`, all different, at random.
pub(super) fn sample(rng: &mut SplitMix, len: usize) -> impl Iterator<Item = usize> + use<> {
    let count = len.min(CHOICES);
    let mut chosen = [0; CHOICES];
    // Floyd's: as many steps as are chosen.
    for (taken, bound) in (len - count..len).enumerate() {
        let at = rng.below(bound + 1);
        chosen[taken] = if chosen[..taken].contains(&at) { bound } else { at };
    }
    chosen.into_iter().take(count)
}

/// Lower is better. Nodes have slots by the thousand, as most coroutines wait: how busy one is, its cores tell.
pub(super) fn score(policy: Policy, (taken, slots, cores): (u32, u32, u32), module: bool) -> u64 {
    let all = u64::from(slots.max(1));
    let load = match policy {
        Policy::Spread => u64::from(taken) * FULL / all.min(u64::from(cores.max(1))),
        Policy::Pack => FULL - u64::from(taken.min(slots)) * FULL / all,
    };
    if module { load } else { load + MODULE }
}

/// Slots of a node that are taken, and all of them.
pub(super) fn taken(node: &Node) -> (u32, u32) {
    let slots = node.facts.as_ref().map_or(0, |facts| facts.slots);
    (slots.saturating_sub(node.free().slots), slots)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.open, self.policy) {
            (0 | 1, _) => f.write_str("the only node with room")?,
            (open, Policy::Spread) => write!(f, "the least loaded of {} compared, of {open} with room", self.compared)?,
            (open, Policy::Pack) => write!(f, "the fullest of {} compared, of {open} with room", self.compared)?,
        }
        write!(f, ": {} of {} slots were taken", self.taken, self.slots)?;
        if self.module { f.write_str("; it has the module") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_all_different_and_each_index_is_as_likely() {
        let mut rng = SplitMix::new(1);
        for len in 0..10 {
            let mut seen = vec![0; len];
            for _ in 0..1_000 {
                let mut sample: Vec<_> = sample(&mut rng, len).collect();
                sample.iter().for_each(|at| seen[*at] += 1);
                sample.sort_unstable();
                sample.dedup();
                assert_eq!(sample.len(), len.min(CHOICES));
            }
            let expected = 1_000 * len.min(CHOICES) / len.max(1);
            assert!(seen.iter().all(|count: &usize| count.abs_diff(expected) <= 80), "{seen:?}");
        }
    }

    #[test]
    fn scores_in_order() {
        use Policy::{Pack, Spread};
        // Jobs there, slots, cores; whether it has the module.
        for (policy, better, worse) in [
            (Spread, ((1, 10, 10), false), ((2, 10, 10), false)),
            (Spread, ((5, 100, 100), false), ((1, 10, 10), false)),
            (Spread, ((1, 20, 20), true), ((1, 20, 20), false)),
            (Spread, ((2, 100, 100), true), ((0, 100, 100), false)),
            (Spread, ((0, 100, 100), false), ((7, 100, 100), true)),
            // Room for thousands of coroutines is no reason to crowd two cores.
            (Spread, ((0, 9_000, 2), false), ((1, 9_000, 2), true)),
            (Spread, ((40, 9_000, 64), false), ((2, 9_000, 2), false)),
            (Spread, ((200, 9_000, 2), false), ((201, 9_000, 2), false)),
            (Spread, ((0, 16, 0), false), ((1, 16, 0), false)),
            (Pack, ((2, 10, 2), false), ((1, 10, 2), false)),
            (Pack, ((1, 10, 2), true), ((1, 10, 2), false)),
            (Pack, ((9, 10, 2), false), ((1, 10, 2), true)),
            (Spread, ((0, 1, 1), false), ((1, 1, 1), false)),
        ] {
            let score = |(there, module)| score(policy, there, module);
            assert!(score(better) < score(worse), "{policy:?} {better:?} {worse:?}");
        }
    }

    #[test]
    fn reasons_in_words() {
        let reason = Reason { policy: Policy::Spread, open: 10, compared: 4, taken: 3, slots: 16, module: true };
        let text = "the least loaded of 4 compared, of 10 with room: 3 of 16 slots were taken; it has the module";
        assert_eq!(reason.to_string(), text);
        let only = Reason { open: 1, compared: 1, module: false, ..reason };
        assert_eq!(only.to_string(), "the only node with room: 3 of 16 slots were taken");
    }
}
