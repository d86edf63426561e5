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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..1_000u64).prop_map(Op::Insert),
            (0..64usize).prop_map(Op::Cancel),
            (0..100u64).prop_map(Op::Advance),
        ]
    }

    proptest! {
        #[test]
        fn timers_fire_once_in_order_of_deadline_then_insertion(ops in prop::collection::vec(op(), 0..200)) {
            let mut queue = TimerQueue::default();
            let mut model: Vec<(u64, usize)> = Vec::new();
            let (mut ids, mut now, mut next) = (Vec::new(), 0, 0);
            for op in ops {
                match op {
                    Op::Insert(delay) => {
                        ids.push((queue.insert(now + delay, next), next));
                        model.push((now + delay, next));
                        next += 1;
                    }
                    Op::Cancel(i) if !ids.is_empty() => {
                        let (id, value) = ids[i % ids.len()];
                        let at = model.iter().position(|(_, v)| *v == value);
                        prop_assert_eq!(queue.cancel(id), at.map(|at| model.remove(at).1));
                    }
                    Op::Cancel(_) => {}
                    Op::Advance(by) => {
                        now += by;
                        model.sort();
                        while let Some(value) = queue.pop_due(now) {
                            let (deadline, expected) = model.remove(0);
                            prop_assert!(deadline <= now);
                            prop_assert_eq!(value, expected);
                        }
                        prop_assert!(model.first().is_none_or(|(deadline, _)| *deadline > now));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.next_deadline(), model.iter().map(|(d, _)| *d).min());
            }
        }
    }
}
