//! A run queue that is fair between tenants: whoever has used the least CPU for its weight goes next, however many
//! coroutines it has ready. One queue a worker; the shares are common to all workers, so fairness holds for the node.
//!
//! Start-time fair queueing by virtual runtime, as in Linux's CFS (Molnár 2007), between tenants instead of threads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One tenant's account of CPU time, shared by all workers.
#[derive(Debug)]
pub struct Share {
    /// Dense small number; queues index by it.
    id: u32,
    weight: u32,
    /// Nanoseconds of CPU time, scaled by `DEFAULT_WEIGHT / weight`.
    virtual_runtime: AtomicU64,
    /// Nanoseconds of CPU time.
    cpu: AtomicU64,
}

/// Ready items of one worker, by tenant.
#[derive(Debug)]
pub struct FairQueue<T> {
    lanes: Vec<Lane<T>>,
    /// Lanes with items, but for the current one, by virtual runtime. Keys may be stale: runtimes only grow, so a stale key is a lower
    /// bound and is refreshed when it comes to the top.
    waiting: BinaryHeap<Reverse<(u64, u64, u32)>>,
    current: Option<u32>,
    sequence: u64,
    len: usize,
}

#[derive(Debug)]
struct Lane<T> {
    share: Option<Arc<Share>>,
    items: VecDeque<T>,
    active: bool,
}

/// A tenant's place in one queue, until the next pop.
#[derive(Clone, Copy, Debug)]
pub struct LaneId(usize);

/// Weight of a tenant for which none is configured.
pub const DEFAULT_WEIGHT: u32 = 100;
/// A tenant that was idle is owed at most this much (virtual nanoseconds) against those that ran meanwhile.
pub const MAX_LAG: u64 = 50_000_000;

impl Share {
    pub fn new(id: u32, weight: u32) -> Share {
        Share { id, weight: weight.max(1), virtual_runtime: AtomicU64::new(0), cpu: AtomicU64::new(0) }
    }

    /// Accounts for `spent` nanoseconds; at least one, so that a run on a standing clock still counts as a turn.
    pub fn charge(&self, spent: u64) {
        self.cpu.fetch_add(spent, Ordering::Relaxed);
        let spent = spent.max(1);
        // Most tenants have the usual weight, and a division of 128 bits costs more than all else here.
        let scaled = match self.weight {
            DEFAULT_WEIGHT => spent,
            weight => {
                let scaled = u128::from(spent) * u128::from(DEFAULT_WEIGHT) / u128::from(weight);
                u64::try_from(scaled).unwrap_or(u64::MAX).max(1)
            }
        };
        self.virtual_runtime.fetch_add(scaled, Ordering::Relaxed);
    }

    /// Nanoseconds of CPU time used so far.
    pub fn cpu(&self) -> u64 {
        self.cpu.load(Ordering::Relaxed)
    }

    pub fn weight(&self) -> u32 {
        self.weight
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    fn virtual_runtime(&self) -> u64 {
        self.virtual_runtime.load(Ordering::Relaxed)
    }
}

impl<T> FairQueue<T> {
    /// Adds a ready item of a tenant. `floor` is what all queues have reached, raised by [`FairQueue::pop`]: a tenant that comes back
    /// from idleness starts there, less [`MAX_LAG`], and cannot cash in the time it did not use.
    pub fn push(&mut self, share: &Arc<Share>, item: T, floor: &AtomicU64) {
        let lane = self.open(share, floor);
        self.put(lane, item);
    }

    /// Adds a ready item to the lane that [`FairQueue::open`] gave for its tenant, under the same lock.
    pub fn put(&mut self, lane: LaneId, item: T) {
        self.lanes[lane.0].items.push_back(item);
        self.len += 1;
    }

    /// The lane for a ready item of a tenant; for items that know their tenant and would have to be asked while they move.
    pub fn open(&mut self, share: &Arc<Share>, floor: &AtomicU64) -> LaneId {
        let id = share.id as usize;
        if id >= self.lanes.len() {
            self.lanes.resize_with(id + 1, || Lane { share: None, items: VecDeque::new(), active: false });
        }
        let lane = &mut self.lanes[id];
        if !lane.active {
            lane.active = true;
            // A share number is given to another tenant only when its former owner has nothing queued, so this is the moment to look.
            if lane.share.as_ref().is_none_or(|known| !Arc::ptr_eq(known, share)) {
                lane.share = Some(Arc::clone(share));
            }
            let start = floor.load(Ordering::Relaxed).saturating_sub(MAX_LAG);
            let key = share.virtual_runtime.fetch_max(start, Ordering::Relaxed).max(start);
            self.sequence += 1;
            self.waiting.push(Reverse((key, self.sequence, share.id)));
        }
        LaneId(id)
    }

    /// The next item: first in, first out within a tenant. Raises `floor` to what this queue has reached.
    pub fn pop(&mut self, floor: &AtomicU64) -> Option<T> {
        loop {
            if let Some(id) = self.current {
                let lane = &mut self.lanes[id as usize];
                let runtime = lane.share.as_ref().map_or(0, |share| share.virtual_runtime());
                if lane.items.is_empty() {
                    lane.active = false;
                    lane.share = None;
                    self.current = None;
                } else if self.waiting.peek().is_none_or(|Reverse((key, ..))| runtime <= *key) {
                    if floor.load(Ordering::Relaxed) < runtime {
                        floor.fetch_max(runtime, Ordering::Relaxed);
                    }
                    self.len -= 1;
                    return lane.items.pop_front();
                } else {
                    self.sequence += 1;
                    self.waiting.push(Reverse((runtime, self.sequence, id)));
                    self.current = None;
                }
            }
            let Reverse((key, _, id)) = self.waiting.pop()?;
            let runtime = self.lanes[id as usize].share.as_ref().map_or(key, |share| share.virtual_runtime());
            if runtime > key && self.waiting.peek().is_some_and(|Reverse((next, ..))| runtime > *next) {
                self.sequence += 1;
                self.waiting.push(Reverse((runtime, self.sequence, id)));
            } else {
                self.current = Some(id);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        FairQueue { lanes: Vec::new(), waiting: BinaryHeap::new(), current: None, sequence: 0, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(weights: &[u32]) -> Vec<Arc<Share>> {
        weights.iter().enumerate().map(|(i, weight)| Arc::new(Share::new(i as u32, *weight))).collect()
    }

    /// Every item runs for `slice` and is ready again; returns the CPU time of each tenant.
    fn run_busy(weights: &[u32], coroutines: &[usize], turns: usize, slice: u64) -> Vec<u64> {
        let (shares, floor, mut queue) = (shares(weights), AtomicU64::new(0), FairQueue::default());
        for (tenant, count) in coroutines.iter().enumerate() {
            (0..*count).for_each(|_| queue.push(&shares[tenant], tenant, &floor));
        }
        for _ in 0..turns {
            let tenant = queue.pop(&floor).unwrap();
            shares[tenant].charge(slice);
            queue.push(&shares[tenant], tenant, &floor);
        }
        shares.iter().map(|share| share.cpu()).collect()
    }

    #[test]
    fn a_tenant_with_ten_thousand_coroutines_gets_no_more_than_one_with_ten() {
        let cpu = run_busy(&[100, 100], &[10_000, 10], 1_000, 10);
        assert!(cpu[0].abs_diff(cpu[1]) <= 10, "{cpu:?}");
    }

    #[test]
    fn cpu_time_follows_the_weights() {
        let cpu = run_busy(&[100, 300, 600], &[5, 5, 5], 10_000, 6_000);
        for (share, expected) in cpu.iter().zip([6_000_000, 18_000_000, 36_000_000u64]) {
            assert!(share.abs_diff(expected) <= 60_000, "{cpu:?}");
        }
    }

    #[test]
    fn idleness_earns_no_more_than_the_lag() {
        let (shares, floor, mut queue) = (shares(&[100, 100]), AtomicU64::new(0), FairQueue::default());
        queue.push(&shares[0], 0, &floor);
        for _ in 0..1_000 {
            let tenant = queue.pop(&floor).unwrap();
            shares[tenant].charge(MAX_LAG / 10);
            queue.push(&shares[tenant], tenant, &floor);
        }
        queue.push(&shares[1], 1, &floor);
        let mut in_a_row = 0;
        while queue.pop(&floor) == Some(1) {
            in_a_row += 1;
            shares[1].charge(MAX_LAG / 10);
            queue.push(&shares[1], 1, &floor);
        }
        assert!((9..=12).contains(&in_a_row), "{in_a_row} turns");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_each_tenant_is_served_in_order(pushes in prop::collection::vec((0..5usize, 0..1_000u64), 0..300)) {
            let (shares, floor, mut queue) = (shares(&[1, 10, 100, 1000, 5000]), AtomicU64::new(0), FairQueue::default());
            let (mut out, mut pushed) = (vec![Vec::new(); 5], vec![Vec::new(); 5]);
            for (i, (tenant, cost)) in pushes.iter().enumerate() {
                queue.push(&shares[*tenant], (*tenant, i), &floor);
                pushed[*tenant].push(i);
                if cost % 3 == 0 {
                    let (tenant, item) = queue.pop(&floor).unwrap();
                    shares[tenant].charge(*cost);
                    out[tenant].push(item);
                }
            }
            while let Some((tenant, item)) = queue.pop(&floor) {
                out[tenant].push(item);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(out, pushed);
        }
    }
}
