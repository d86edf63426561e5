//! Which durable jobs wait on disk, and whose turn it is to be taken in hand: tenants by turns, each in order, and each with so many
//! in hand at most. Those that are to wait for a time come back when it is over. No I/O and no clock.

use corovan_core::limits;
use corovan_store::JobId;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Of all tenants. A job that waits takes its id.
#[derive(Debug, Default)]
pub struct Queue {
    lanes: HashMap<Arc<str>, Lane>,
    /// Tenants with jobs that wait and room for one.
    turns: VecDeque<Arc<str>>,
    /// Until when, and whose.
    delayed: BTreeSet<(u64, JobId, Arc<str>)>,
    /// Tenants that have no turn until a time.
    paused: BTreeSet<(u64, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<JobId>,
    in_hand: usize,
    bytes: usize,
    in_turn: bool,
    paused: bool,
}

impl Lane {
    fn has_room(&self) -> bool {
        !self.paused && self.in_hand < limits::DURABLE_IN_HAND && self.bytes < limits::DURABLE_IN_HAND_BYTES
    }
}

impl Queue {
    /// It waits from now on, behind those of its tenant.
    pub fn push(&mut self, tenant: &Arc<str>, job: JobId) {
        self.lanes.entry(Arc::clone(tenant)).or_default().waiting.push_back(job);
        self.line_up(tenant);
    }

    /// It waits until a time.
    pub fn delay(&mut self, tenant: &Arc<str>, job: JobId, until: u64) {
        self.delayed.insert((until, job, Arc::clone(tenant)));
    }

    /// One of its jobs was refused for want of what all of them need: until a time no other is tried.
    pub fn pause(&mut self, tenant: &Arc<str>, until: u64) {
        let lane = self.lanes.entry(Arc::clone(tenant)).or_default();
        if !std::mem::replace(&mut lane.paused, true) {
            self.paused.insert((until, Arc::clone(tenant)));
        }
        if std::mem::take(&mut lane.in_turn) {
            self.turns.retain(|turn| turn != tenant);
        }
    }

    /// Those whose time has come go before others of their tenants, which came later.
    pub fn release(&mut self, now: u64) {
        while self.delayed.first().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, job, tenant)) = self.delayed.pop_first() else { break };
            self.lanes.entry(Arc::clone(&tenant)).or_default().waiting.push_front(job);
            self.line_up(&tenant);
        }
        while self.paused.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, tenant)) = self.paused.pop_first() else { return };
            if let Some(lane) = self.lanes.get_mut(&tenant) {
                lane.paused = false;
            }
            self.line_up(&tenant);
            self.forget(&tenant);
        }
    }

    /// When the next of them comes back.
    pub fn next_due(&self) -> Option<u64> {
        let (delayed, paused) = (self.delayed.first().map(|first| first.0), self.paused.first().map(|first| first.0));
        delayed.into_iter().chain(paused).min()
    }

    /// The next to be taken in hand. It is in hand from here on.
    pub fn take(&mut self) -> Option<(Arc<str>, JobId)> {
        let tenant = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&tenant)?;
        lane.in_turn = false;
        let job = lane.waiting.pop_front()?;
        lane.in_hand += 1;
        self.line_up(&tenant);
        Some((tenant, job))
    }

    /// What one that is in hand takes.
    pub fn holds(&mut self, tenant: &Arc<str>, bytes: usize) {
        self.lanes.entry(Arc::clone(tenant)).or_default().bytes += bytes;
    }

    /// One that was in hand is so no more; what it held.
    pub fn put_down(&mut self, tenant: &Arc<str>, bytes: usize) {
        let Some(lane) = self.lanes.get_mut(tenant) else { return };
        lane.in_hand = lane.in_hand.saturating_sub(1);
        lane.bytes = lane.bytes.saturating_sub(bytes);
        self.line_up(tenant);
        self.forget(tenant);
    }

    fn forget(&mut self, tenant: &Arc<str>) {
        if self.lanes.get(tenant).is_some_and(|lane| lane.in_hand == 0 && lane.waiting.is_empty() && !lane.paused) {
            self.lanes.remove(tenant);
        }
    }

    /// How many of a tenant's wait here without a time.
    pub fn waiting(&self, tenant: &str) -> usize {
        self.lanes.get(tenant).map_or(0, |lane| lane.waiting.len())
    }

    /// How many of all wait here, for a turn or a time.
    pub fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum::<usize>() + self.delayed.len()
    }

    fn line_up(&mut self, tenant: &Arc<str>) {
        let Some(lane) = self.lanes.get_mut(tenant) else { return };
        if !lane.in_turn && !lane.waiting.is_empty() && lane.has_room() {
            lane.in_turn = true;
            self.turns.push_back(Arc::clone(tenant));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn job(number: u128) -> JobId {
        corovan_core::ulid::Ulid(number)
    }

    #[test]
    fn tenants_take_turns_and_one_that_has_enough_in_hand_waits_for_its_own() {
        let (many, one): (Arc<str>, Arc<str>) = ("many".into(), "one".into());
        let mut queue = Queue::default();
        (0..10_000).for_each(|number| queue.push(&many, job(number)));
        assert_eq!(queue.take(), Some((many.clone(), job(0))));
        queue.push(&one, job(20_000));
        assert_eq!(queue.take(), Some((many.clone(), job(1))));
        assert_eq!(queue.take(), Some((one.clone(), job(20_000))), "behind one, not behind ten thousand");
        let taken = std::iter::from_fn(|| queue.take()).count();
        assert_eq!(taken, limits::DURABLE_IN_HAND - 2);
        queue.put_down(&one, 0);
        assert_eq!(queue.take(), None);
        queue.put_down(&many, 0);
        assert_eq!(queue.take(), Some((many.clone(), job(limits::DURABLE_IN_HAND as u128))));
        queue.holds(&many, limits::DURABLE_IN_HAND_BYTES);
        queue.put_down(&many, 0);
        assert_eq!(queue.take(), None, "they are large");
        queue.put_down(&many, limits::DURABLE_IN_HAND_BYTES);
        assert!(queue.take().is_some());
    }

    #[test]
    fn one_that_waits_for_a_time_comes_back_when_it_is_over_and_not_before() {
        let me: Arc<str> = "me".into();
        let mut queue = Queue::default();
        queue.delay(&me, job(1), 10);
        queue.delay(&me, job(2), 5);
        queue.push(&me, job(3));
        assert_eq!(queue.next_due(), Some(5));
        queue.release(5);
        assert_eq!(queue.take(), Some((me.clone(), job(2))));
        assert_eq!(queue.take(), Some((me.clone(), job(3))));
        assert_eq!((queue.take(), queue.next_due()), (None, Some(10)));
        queue.release(10);
        assert_eq!(queue.take(), Some((me, job(1))));
    }

    #[test]
    fn a_tenant_that_was_refused_has_no_turn_for_a_while_and_others_do() {
        let (me, other): (Arc<str>, Arc<str>) = ("me".into(), "other".into());
        let mut queue = Queue::default();
        (0..3).for_each(|number| queue.push(&me, job(number)));
        queue.push(&other, job(9));
        assert_eq!(queue.take(), Some((me.clone(), job(0))));
        queue.pause(&me, 10);
        queue.pause(&me, 20);
        queue.delay(&me, job(0), 10);
        queue.put_down(&me, 0);
        assert_eq!((queue.take(), queue.take()), (Some((other, job(9))), None));
        assert_eq!(queue.next_due(), Some(10));
        queue.release(10);
        assert_eq!((queue.take(), queue.take()), (Some((me.clone(), job(0))), Some((me, job(1)))));
    }

    proptest! {
        #[test]
        fn every_job_is_taken_once_and_nothing_is_left(ops in prop::collection::vec((0..5_u8, 0..4_u8, 0..50_u64), 0..200)) {
            let tenants: Vec<Arc<str>> = (0..4).map(|n| format!("t{n}").into()).collect();
            let (mut queue, mut taken, mut there) = (Queue::default(), HashSet::new(), HashSet::new());
            for (number, (op, tenant, time)) in ops.into_iter().enumerate() {
                let (tenant, id) = (&tenants[usize::from(tenant)], job(number as u128));
                match op {
                    0 => queue.push(tenant, id),
                    1 => queue.delay(tenant, id, time),
                    2 => {
                        queue.pause(tenant, time);
                        continue;
                    }
                    _ => {
                        queue.release(time);
                        if let Some((tenant, id)) = queue.take() {
                            prop_assert!(taken.insert(id));
                            queue.put_down(&tenant, 0);
                        }
                        continue;
                    }
                }
                there.insert(id);
            }
            queue.release(u64::MAX);
            while let Some((tenant, id)) = queue.take() {
                prop_assert!(taken.insert(id));
                queue.put_down(&tenant, 0);
            }
            prop_assert_eq!(taken, there);
            prop_assert!(queue.lanes.is_empty() && queue.turns.is_empty() && queue.delayed.is_empty());
            prop_assert!(queue.paused.is_empty());
        }
    }
}
