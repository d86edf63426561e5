//! Lock, reentrant lock, condition, event, semaphore: who holds what, who waits, in which order. First come, first served:
//! what is released goes to whoever waited longest, and nobody who comes later can take it before. Wakes nobody: what is to be
//! woken is returned.
//!
//! asyncoro's `Lock`, `RLock`, `Condition`, `Event`, `Semaphore`. A condition's lock is reentrant, as there.

use crate::limits;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The numbers are those of the host interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    Lock = 1,
    Reentrant = 2,
    Event = 3,
    Condition = 4,
    Semaphore = 5,
}

/// One that may hold: a coroutine, by its counter.
pub type Holder = u64;

/// One that waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// What came of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    Now,
    /// Look with [`Lock::is_granted`] when woken; give up with [`Lock::withdraw`].
    Waits(Ticket),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("it is not held by this coroutine")]
    NotHeld,
    #[error("it is of another kind: this call is not for it")]
    Kind,
    #[error("it is held {} times, which is the limit (LOCK_DEPTH)", limits::LOCK_DEPTH)]
    TooDeep,
}

/// One of them; `W` wakes one that waits.
#[derive(Debug)]
pub struct Lock<W> {
    kind: Kind,
    /// Units that are free: of a lock one, of a semaphore its count.
    free: u32,
    /// Units that each holds; of a reentrant lock, how often.
    held: BTreeMap<Holder, u32>,
    is_set: bool,
    /// Who waits to acquire, and how often it is to hold it then.
    queue: VecDeque<Waiter<W>>,
    /// Who waits for an event, or for a condition to be notified.
    waiting: VecDeque<Waiter<W>>,
    /// Handed over while nobody looked.
    granted: BTreeSet<Ticket>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: Ticket,
    holder: Holder,
    depth: u32,
    waker: W,
}

impl Kind {
    pub fn from_number(number: u32) -> Option<Kind> {
        [Kind::Lock, Kind::Reentrant, Kind::Event, Kind::Condition, Kind::Semaphore]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }

    fn is_reentrant(self) -> bool {
        matches!(self, Kind::Reentrant | Kind::Condition)
    }
}

impl<W> Lock<W> {
    /// `count`: of a semaphore.
    pub fn new(kind: Kind, count: u32) -> Self {
        Lock {
            kind,
            free: if kind == Kind::Semaphore { count } else { 1 },
            held: BTreeMap::new(),
            is_set: false,
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            granted: BTreeSet::new(),
            next_ticket: 0,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes it, or queues. `waker` is asked for only then.
    pub fn acquire(&mut self, holder: Holder, waker: impl FnOnce() -> W) -> Result<Acquired, Refused> {
        if self.kind == Kind::Event {
            return Err(Refused::Kind);
        }
        if self.kind.is_reentrant()
            && let Some(depth) = self.held.get_mut(&holder)
        {
            if *depth >= limits::LOCK_DEPTH {
                return Err(Refused::TooDeep);
            }
            *depth += 1;
            return Ok(Acquired::Now);
        }
        if self.free > 0 && self.queue.is_empty() {
            self.take(holder, 1);
            return Ok(Acquired::Now);
        }
        let ticket = self.ticket();
        self.queue.push_back(Waiter { ticket, holder, depth: 1, waker: waker() });
        Ok(Acquired::Waits(ticket))
    }

    /// Gives it back once; whom to wake.
    pub fn release(&mut self, holder: Holder) -> Result<Vec<W>, Refused> {
        if self.kind == Kind::Event {
            return Err(Refused::Kind);
        }
        let depth = self.held.get_mut(&holder).ok_or(Refused::NotHeld)?;
        *depth -= 1;
        let is_last = *depth == 0;
        if is_last {
            self.held.remove(&holder);
        }
        if is_last || self.kind == Kind::Semaphore {
            self.free += 1;
        }
        Ok(self.hand_over())
    }

    /// Waits for an event, or gives a condition up and waits for its notification; whom to wake then.
    pub fn wait(&mut self, holder: Holder, waker: impl FnOnce() -> W) -> Result<(Acquired, Vec<W>), Refused> {
        let depth = match self.kind {
            Kind::Event if self.is_set => return Ok((Acquired::Now, Vec::new())),
            Kind::Event => 0,
            Kind::Condition => self.held.remove(&holder).ok_or(Refused::NotHeld)?,
            _ => return Err(Refused::Kind),
        };
        let ticket = self.ticket();
        self.waiting.push_back(Waiter { ticket, holder, depth, waker: waker() });
        let mut woken = Vec::new();
        if depth > 0 {
            self.free += 1;
            woken = self.hand_over();
        }
        Ok((Acquired::Waits(ticket), woken))
    }

    /// Waits for no notification any more. A condition is acquired again all the same, behind those who wait for that
    /// already: `true` when that is still to come, and its ticket goes on. Whom to wake.
    pub fn expire(&mut self, ticket: Ticket) -> (bool, Vec<W>) {
        let Some(at) = self.waiting.iter().position(|waiter| waiter.ticket == ticket) else {
            return (self.queue.iter().any(|waiter| waiter.ticket == ticket), Vec::new());
        };
        let Some(waiter) = self.waiting.remove(at) else { return (false, Vec::new()) };
        if waiter.depth == 0 {
            return (false, Vec::new());
        }
        self.queue.push_back(waiter);
        let woken = self.hand_over();
        (!self.granted.contains(&ticket), woken)
    }

    /// Moves `n` of those who wait for a condition to those who wait to acquire it; how many, and whom to wake.
    pub fn notify(&mut self, holder: Holder, n: u32) -> Result<(u32, Vec<W>), Refused> {
        if self.kind != Kind::Condition {
            return Err(Refused::Kind);
        }
        if !self.held.contains_key(&holder) {
            return Err(Refused::NotHeld);
        }
        let count = self.waiting.len().min(usize::try_from(n).unwrap_or(usize::MAX));
        self.queue.extend(self.waiting.drain(..count));
        // It is held by who notifies, so nobody gets it yet.
        Ok((u32::try_from(count).unwrap_or(u32::MAX), Vec::new()))
    }

    /// Sets an event; whom to wake.
    pub fn set(&mut self) -> Result<Vec<W>, Refused> {
        if self.kind != Kind::Event {
            return Err(Refused::Kind);
        }
        self.is_set = true;
        let woken = std::mem::take(&mut self.waiting);
        self.granted.extend(woken.iter().map(|waiter| waiter.ticket));
        Ok(woken.into_iter().map(|waiter| waiter.waker).collect())
    }

    pub fn clear(&mut self) -> Result<(), Refused> {
        if self.kind != Kind::Event {
            return Err(Refused::Kind);
        }
        self.is_set = false;
        Ok(())
    }

    pub fn is_set(&self) -> Result<bool, Refused> {
        if self.kind == Kind::Event { Ok(self.is_set) } else { Err(Refused::Kind) }
    }

    /// Whether what was waited for has come; asked once, the ticket is used up.
    pub fn is_granted(&mut self, ticket: Ticket) -> bool {
        self.granted.remove(&ticket)
    }

    /// Waits no longer; what was handed over meanwhile goes on to the next. Whom to wake.
    pub fn withdraw(&mut self, holder: Holder, ticket: Ticket) -> Vec<W> {
        self.queue.retain(|waiter| waiter.ticket != ticket);
        self.waiting.retain(|waiter| waiter.ticket != ticket);
        if self.granted.remove(&ticket) && self.kind != Kind::Event {
            if self.kind != Kind::Semaphore {
                return self.end(holder);
            }
            return self.release(holder).unwrap_or_default();
        }
        // Whoever stood behind it may be next.
        self.hand_over()
    }

    /// A holder is gone: all it holds is free. Whom to wake.
    pub fn end(&mut self, holder: Holder) -> Vec<W> {
        if let Some(units) = self.held.remove(&holder) {
            self.free += if self.kind == Kind::Semaphore { units } else { 1 };
        }
        self.hand_over()
    }

    /// How often this one holds it.
    pub fn held_by(&self, holder: Holder) -> u32 {
        self.held.get(&holder).copied().unwrap_or(0)
    }

    fn hand_over(&mut self) -> Vec<W> {
        let mut woken = Vec::new();
        while self.free > 0
            && let Some(next) = self.queue.pop_front()
        {
            self.take(next.holder, next.depth);
            self.granted.insert(next.ticket);
            woken.push(next.waker);
        }
        woken
    }

    fn take(&mut self, holder: Holder, depth: u32) {
        self.free -= 1;
        *self.held.entry(holder).or_default() += depth;
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Acquire(Holder),
        Release(Holder),
        Withdraw(Holder),
        End(Holder),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..4u64).prop_map(Op::Acquire),
            3 => (0..4u64).prop_map(Op::Release),
            1 => (0..4u64).prop_map(Op::Withdraw),
            1 => (0..4u64).prop_map(Op::End),
        ]
    }

    proptest! {
        /// Against a list of who holds (a unit each) and a list of who waits.
        #[test]
        fn units_go_to_whoever_waited_longest(
            kind in prop::sample::select(vec![Kind::Lock, Kind::Reentrant, Kind::Semaphore]),
            count in 0..3u32,
            ops in prop::collection::vec(op(), 0..200),
        ) {
            let mut lock = Lock::new(kind, count);
            let units = if kind == Kind::Semaphore { count as usize } else { 1 };
            let (mut holds, mut waits): (Vec<Holder>, VecDeque<(Holder, Ticket)>) = (vec![], VecDeque::new());
            for op in ops {
                let mut woken = Vec::new();
                match op {
                    // A coroutine that waits does nothing else.
                    Op::Acquire(holder) | Op::Release(holder) if waits.iter().any(|(other, _)| *other == holder) => {}
                    Op::Acquire(holder) => {
                        let again = kind == Kind::Reentrant && holds.contains(&holder);
                        let now = again || holds.len() < units && waits.is_empty();
                        match lock.acquire(holder, || holder).unwrap() {
                            Acquired::Now => { prop_assert!(now); holds.push(holder); }
                            Acquired::Waits(ticket) => { prop_assert!(!now); waits.push_back((holder, ticket)); }
                        }
                    }
                    Op::Release(holder) => match holds.iter().position(|other| *other == holder) {
                        None => prop_assert_eq!(lock.release(holder), Err(Refused::NotHeld)),
                        Some(at) => { holds.remove(at); woken = lock.release(holder).unwrap(); }
                    },
                    Op::Withdraw(holder) => if let Some(at) = waits.iter().position(|(other, _)| *other == holder) {
                        let (_, ticket) = waits.remove(at).unwrap();
                        woken = lock.withdraw(holder, ticket);
                    },
                    Op::End(holder) => if !waits.iter().any(|(other, _)| *other == holder) {
                        holds.retain(|other| *other != holder);
                        woken = lock.end(holder);
                    },
                }
                let reentrant_free = kind != Kind::Reentrant || holds.is_empty();
                let mut expected = Vec::new();
                while reentrant_free && holds.len() < units && let Some((holder, ticket)) = waits.pop_front() {
                    holds.push(holder);
                    expected.push(holder);
                    prop_assert!(lock.is_granted(ticket));
                }
                prop_assert_eq!(woken, expected);
                for holder in 0..4 {
                    prop_assert_eq!(lock.held_by(holder) as usize, holds.iter().filter(|other| **other == holder).count());
                }
                for (_, ticket) in &waits {
                    prop_assert!(!lock.is_granted(*ticket));
                }
            }
        }
    }

    fn waits<W>(acquired: Acquired, _: &Lock<W>) -> Ticket {
        match acquired {
            Acquired::Waits(ticket) => ticket,
            Acquired::Now => panic!("it was to wait"),
        }
    }

    #[test]
    fn a_condition_is_given_up_while_it_is_waited_for_and_held_as_often_afterwards() {
        let mut lock = Lock::new(Kind::Condition, 0);
        assert_eq!(lock.notify(1, 1), Err(Refused::NotHeld));
        assert_eq!(lock.wait(1, || 1).unwrap_err(), Refused::NotHeld);
        for _ in 0..3 {
            assert_eq!(lock.acquire(1, || 1), Ok(Acquired::Now));
        }
        let (first, _) = lock.wait(1, || 1).unwrap();
        let first = waits(first, &lock);
        assert_eq!(lock.acquire(2, || 2), Ok(Acquired::Now));
        assert_eq!(lock.notify(2, u32::MAX), Ok((1, vec![])));
        assert!(!lock.is_granted(first), "it is still held by who notified");
        assert_eq!(lock.release(2), Ok(vec![1]));
        assert!(lock.is_granted(first));
        assert_eq!(lock.held_by(1), 3);
    }

    #[test]
    fn a_condition_that_is_not_notified_in_time_is_acquired_again_all_the_same() {
        let mut lock = Lock::new(Kind::Condition, 0);
        lock.acquire(1, || 1).unwrap();
        let first = waits(lock.wait(1, || 1).unwrap().0, &lock);
        lock.acquire(2, || 2).unwrap();
        assert_eq!(lock.expire(first), (true, vec![]));
        assert_eq!(lock.expire(first), (true, vec![]), "it waits in the queue now");
        assert_eq!(lock.release(2), Ok(vec![1]));
        assert!(lock.is_granted(first));
        let again = waits(lock.wait(1, || 1).unwrap().0, &lock);
        assert_eq!(lock.expire(again), (false, vec![1]), "nobody has it");
        assert!(lock.is_granted(again));
    }

    #[test]
    fn an_event_wakes_all_and_stays_set() {
        let mut event = Lock::new(Kind::Event, 0);
        assert_eq!((event.is_set(), event.acquire(1, || 1)), (Ok(false), Err(Refused::Kind)));
        let tickets: Vec<_> = (0..3).map(|holder| waits(event.wait(holder, || holder).unwrap().0, &event)).collect();
        assert_eq!(event.expire(tickets[1]), (false, vec![]));
        assert_eq!(event.set(), Ok(vec![0, 2]));
        assert!(event.is_granted(tickets[0]) && !event.is_granted(tickets[1]) && event.is_granted(tickets[2]));
        assert_eq!(event.wait(7, || 7).unwrap().0, Acquired::Now);
        event.clear().unwrap();
        assert_eq!(event.is_set(), Ok(false));
        assert_eq!(Lock::<u8>::new(Kind::Lock, 0).set(), Err(Refused::Kind));
    }

    #[test]
    fn a_lock_that_was_handed_to_one_who_gave_up_goes_on_to_the_next() {
        let mut lock = Lock::new(Kind::Lock, 0);
        lock.acquire(1, || 1).unwrap();
        let second = waits(lock.acquire(2, || 2).unwrap(), &lock);
        let third = waits(lock.acquire(3, || 3).unwrap(), &lock);
        assert_eq!(lock.end(1), [2]);
        assert_eq!(lock.withdraw(2, second), [3]);
        assert!(lock.is_granted(third));
    }
}
