//! Turns by weight among those who wait: start-time fair queueing (Goyal, Vin, Cheng 1996), where each job that is started
//! costs one over the weight. Who comes back from having nothing starts where the others are: idleness is not saved up, and
//! what was used is not forgotten.

use std::collections::{BTreeSet, HashMap};

/// Members by number; those that wait, in the order in which they are served. All but iterating costs the logarithm of how
/// many wait.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Virtual time, then who has waited longest since its last turn.
    order: BTreeSet<(u64, u64, u32)>,
    members: HashMap<u32, Member>,
    /// Members that are gone and had used more than others, until these have caught up: leaving and coming back wins nothing.
    parted: BTreeSet<(u64, u32)>,
    /// What all have reached: the virtual time at which the latest turn began.
    floor: u64,
    clock: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    time: u64,
    stamp: u64,
    waits: bool,
}

/// What one job costs whoever has this weight, in virtual time. 2^40 jobs of the least weight fit.
pub(super) fn cost(weight: u32) -> u64 {
    TURN / u64::from(weight.clamp(1, MAX_WEIGHT))
}

/// A job of weight 1. Divisible by the usual weights, and large beside the largest.
const TURN: u64 = 1 << 24;
/// A share ten thousand times as large is for ever.
pub const MAX_WEIGHT: u32 = 1_000_000;

impl Turns {
    /// It has something waiting.
    pub fn wait(&mut self, id: u32) {
        if let Some((first, ..)) = self.order.first() {
            self.floor = self.floor.max(*first);
        }
        let floor = self.floor;
        if let Some(member) = self.members.get(&id) {
            self.parted.remove(&(member.time, id));
        }
        let member = self.members.entry(id).or_insert(Member { time: floor, stamp: 0, waits: false });
        if !member.waits {
            self.clock += 1;
            *member = Member { time: member.time.max(floor), stamp: self.clock, waits: true };
            self.order.insert((member.time, member.stamp, id));
        }
    }

    /// It has nothing waiting any more.
    pub fn rest(&mut self, id: u32) {
        if let Some(member) = self.members.get_mut(&id)
            && member.waits
        {
            member.waits = false;
            self.order.remove(&(member.time, member.stamp, id));
        }
    }

    /// It will not come back; its number may be given to another.
    pub fn remove(&mut self, id: u32) {
        self.rest(id);
        self.members.remove(&id);
    }

    /// It may come back, under the same number.
    pub fn part(&mut self, id: u32) {
        self.rest(id);
        if let Some(member) = self.members.get(&id) {
            self.parted.insert((member.time, id));
        }
        while let Some((time, id)) = self.parted.first().copied().filter(|(time, _)| *time <= self.floor) {
            self.parted.remove(&(time, id));
            self.members.remove(&id);
        }
    }

    /// Whose turn it is.
    pub fn next(&self) -> Option<u32> {
        self.order.first().map(|(.., id)| *id)
    }

    /// A job of it has started, by its turn or elsewhere.
    pub fn charge(&mut self, id: u32, cost: u64) {
        let first = self.next() == Some(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.waits {
            self.order.remove(&(member.time, member.stamp, id));
        }
        if first {
            self.floor = self.floor.max(member.time);
        }
        self.clock += 1;
        let parted = self.parted.remove(&(member.time, id));
        member.time = member.time.max(self.floor).saturating_add(cost);
        member.stamp = self.clock;
        if parted {
            self.parted.insert((member.time, id));
        }
        if member.waits {
            self.order.insert((member.time, member.stamp, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(turns: &mut Turns, weights: &[u32], times: usize) -> Vec<usize> {
        let mut served = vec![0; weights.len()];
        for _ in 0..times {
            let id = turns.next().unwrap();
            served[id as usize] += 1;
            turns.charge(id, cost(weights[id as usize]));
        }
        served
    }

    #[test]
    fn turns_follow_the_weights() {
        for (weights, expected) in
            [(vec![100, 100], vec![500, 500]), (vec![100, 300, 600], vec![100, 300, 600]), (vec![1, 999], vec![1, 999])]
        {
            let mut turns = Turns::default();
            (0..weights.len()).for_each(|id| turns.wait(id as u32));
            let served = serve(&mut turns, &weights, expected.iter().sum());
            for (served, expected) in served.iter().zip(&expected) {
                assert!(served.abs_diff(*expected) <= 1, "{served} {expected}");
            }
        }
    }

    #[test]
    fn idleness_is_not_saved_up_and_debts_are_kept() {
        let mut turns = Turns::default();
        let weights = [100, 100];
        turns.wait(0);
        turns.wait(1);
        turns.rest(1);
        serve(&mut turns, &weights, 1_000);
        turns.wait(1);
        assert_eq!(serve(&mut turns, &weights, 10), [5, 5]);
        // One that leaves after each turn, and comes back at once, gets no more by that.
        let mut served = [0, 0];
        for _ in 0..1_000 {
            let id = turns.next().unwrap();
            served[id as usize] += 1;
            turns.charge(id, cost(100));
            if id == 1 {
                turns.part(1);
                turns.wait(1);
            }
        }
        assert!(served[1] <= 501, "{served:?}");
        // Nor is it forgotten while it uses the same nodes by another way.
        turns.charge(1, cost(1));
        turns.part(1);
        turns.charge(1, cost(1));
        turns.wait(1);
        assert_eq!(serve(&mut turns, &weights, 50), [50, 0]);
        turns.part(0);
        turns.part(1);
        assert!(turns.parted.len() == turns.members.len() && turns.next().is_none());
    }
}
