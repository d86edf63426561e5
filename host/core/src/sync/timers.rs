//! A timer queue: what is due when. A million entries cost a million tree nodes and no operating-system timer.

use std::collections::BTreeMap;

/// Names a timer until it fires or is cancelled; never reused within its queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerId {
    deadline: u64,
    number: u64,
}

/// Values ordered by deadline (nanoseconds on the owner's clock); equal deadlines fire in order of insertion.
#[derive(Debug)]
pub struct TimerQueue<T> {
    entries: BTreeMap<TimerId, T>,
    next_number: u64,
}

impl<T> TimerQueue<T> {
    pub fn insert(&mut self, deadline: u64, value: T) -> TimerId {
        let id = TimerId { deadline, number: self.next_number };
        self.next_number += 1;
        self.entries.insert(id, value);
        id
    }

    /// Takes the value back; `None` if the timer has fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.entries.remove(&id)
    }

    /// The oldest entry whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<T> {
        let first = self.entries.first_entry()?;
        (first.key().deadline <= now).then(|| first.remove())
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(id, _)| id.deadline)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Default for TimerQueue<T> {
    fn default() -> Self {
        TimerQueue { entries: BTreeMap::new(), next_number: 0 }
    }
}

/// A queue beside a plain list, both driven by the same bytes, three an operation; panics where they differ. For the fuzz
/// target and for proptest alike.
pub fn drive(bytes: &[u8]) {
    let mut queue = TimerQueue::default();
    let mut model: Vec<(u64, usize)> = Vec::new();
    let mut ids = Vec::new();
    let mut now = 0_u64;
    for op in bytes.chunks_exact(3) {
        let number = u64::from(u16::from_be_bytes([op[1], op[2]]));
        match op[0] % 4 {
            0 | 1 => {
                // Now and then one that is due at the end of time, or was due before.
                let deadline = match op[0] >> 5 {
                    7 => u64::MAX,
                    6 => now.saturating_sub(number),
                    _ => now.saturating_add(number % 1_000),
                };
                let value = ids.len();
                ids.push(queue.insert(deadline, value));
                model.push((deadline, value));
            }
            2 => {
                let Some(value) = usize::try_from(number).ok().filter(|_| !ids.is_empty()).map(|n| n % ids.len())
                else {
                    continue;
                };
                let at = model.iter().position(|(_, other)| *other == value);
                assert_eq!(queue.cancel(ids[value]), at.map(|at| model.remove(at).1), "once, and only what is there");
            }
            _ => {
                now = now.saturating_add(if op[0] >> 2 == 63 { u64::MAX } else { number % 100 });
                model.sort_unstable();
                let due = model.partition_point(|(deadline, _)| *deadline <= now);
                let expected: Vec<usize> = model.drain(..due).map(|(_, value)| value).collect();
                let fired: Vec<usize> = std::iter::from_fn(|| queue.pop_due(now)).collect();
                assert_eq!(fired, expected, "in order of deadline, then of insertion");
            }
        }
        assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(queue.next_deadline(), model.iter().map(|(deadline, _)| *deadline).min());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn timers_fire_once_in_order_of_deadline_then_insertion(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            super::drive(&bytes);
        }
    }
}
