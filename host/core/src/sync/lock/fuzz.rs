//! A lock of any kind beside a simple model of it, fed with any bytes; for the fuzz target and for proptest alike. Panics only if
//! lock and model differ, or something is left when all have ended.

use super::{Acquired, Fate, GivenUp, Holder, Kind, Lock, Refused, Ticket};

/// So few coroutines that they meet.
const HOLDERS: usize = 5;

/// Lists of who holds and who waits, searched from the front.
struct Model {
    kind: Kind,
    units: u32,
    is_set: bool,
    held: [u32; HOLDERS],
    /// To acquire, to be notified or set, and who has it but has not looked.
    queue: Vec<Waiter>,
    asleep: Vec<Waiter>,
    granted: Vec<Waiter>,
}

#[derive(Clone, Copy)]
struct Waiter {
    holder: usize,
    depth: u32,
    slept: bool,
    notified: bool,
}

/// The first byte chooses the kind, the second a semaphore's count; then each pair is one coroutine's next step.
pub fn lock(data: &[u8]) {
    let [kind, count, steps @ ..] = data else { return };
    let kind = Kind::from_number(u32::from(*kind) % 5 + 1).unwrap_or(Kind::Lock);
    let count = u32::from(*count) % 3 + 1;
    let mut lock = Lock::new(kind, count);
    let mut model = Model::new(kind, if kind == Kind::Semaphore { count } else { 1 });
    let mut tickets = [None; HOLDERS];
    for step in steps.chunks_exact(2) {
        let (op, holder, n) = (step[0] % 8, usize::from(step[1]) % HOLDERS, u32::from(step[1]) / 64);
        match tickets[holder] {
            Some(ticket) => tickets[holder] = model.one_that_waits(&mut lock, op, holder, ticket),
            None => tickets[holder] = model.one_that_runs(&mut lock, op, holder, n),
        }
        model.compare(&lock);
    }
    for (holder, ticket) in tickets.into_iter().enumerate() {
        model.end(&mut lock, holder, ticket);
        model.compare(&lock);
    }
    assert!(lock.queue.is_empty() && lock.asleep.is_empty() && lock.waits.is_empty() && lock.held.is_empty());
    assert_eq!(lock.free, model.units, "all of it is free when all have ended");
}

impl Model {
    fn new(kind: Kind, units: u32) -> Model {
        let (queue, asleep, granted) = (Vec::new(), Vec::new(), Vec::new());
        Model { kind, units, is_set: false, held: [0; HOLDERS], queue, asleep, granted }
    }

    /// A step of one that waits; its ticket if it still does.
    fn one_that_waits(&mut self, lock: &mut Lock<usize>, op: u8, holder: usize, ticket: Ticket) -> Option<Ticket> {
        match op {
            0..=3 => {
                let fate = lock.fate(ticket);
                assert_eq!(fate, self.fate(holder));
                self.granted.retain(|waiter| waiter.holder != holder);
                (fate != Fate::Granted).then_some(ticket)
            }
            4..=6 => {
                let (given_up, woken) = lock.give_up(ticket);
                let expected = if self.fate(holder) != Fate::Waiting {
                    GivenUp::TooLate
                } else if take(&mut self.queue, holder).is_some() {
                    GivenUp::Over
                } else {
                    let sleeper = take(&mut self.asleep, holder).filter(|_| self.kind == Kind::Condition);
                    self.queue.extend(sleeper.map(|sleeper| Waiter { slept: true, ..sleeper }));
                    if sleeper.is_some() { GivenUp::HoldsAgain } else { GivenUp::Over }
                };
                assert_eq!((given_up, woken), (expected, self.hand_over()));
                (given_up != GivenUp::Over).then_some(ticket)
            }
            _ => {
                self.end(lock, holder, Some(ticket));
                None
            }
        }
    }

    /// A step of one that does not wait; its ticket if it now does.
    fn one_that_runs(&mut self, lock: &mut Lock<usize>, op: u8, holder: usize, n: u32) -> Option<Ticket> {
        let name = holder as Holder;
        let holds = self.held[holder] > 0;
        let may = |of_this_kind: bool, holds: bool| match (of_this_kind, holds) {
            (false, _) => Err(Refused::Kind),
            (true, false) => Err(Refused::NotHeld),
            (true, true) => Ok(()),
        };
        match op {
            0..=2 => {
                let acquired = lock.acquire(name, || holder);
                if self.kind == Kind::Event {
                    assert_eq!(acquired, Err(Refused::Kind));
                    return None;
                }
                if self.free() > 0 || (self.is_reentrant() && holds) {
                    self.held[holder] += 1;
                    assert_eq!(acquired, Ok(Acquired::Now));
                    return None;
                }
                self.queue.push(Waiter { holder, depth: 1, slept: false, notified: false });
                ticket(acquired)
            }
            3 => {
                let expected = may(self.kind != Kind::Event, holds);
                self.held[holder] -= u32::from(expected.is_ok());
                assert_eq!(lock.release(name), expected.map(|()| self.hand_over()));
                None
            }
            4 => {
                let is_event = self.kind == Kind::Event;
                let outcome = lock.wait(name, || holder);
                if let Err(refused) = may(is_event || self.kind == Kind::Condition, is_event || holds) {
                    assert_eq!(outcome, Err(refused));
                    return None;
                }
                if is_event && self.is_set {
                    assert_eq!(outcome, Ok((Acquired::Now, vec![])));
                    return None;
                }
                let depth = std::mem::take(&mut self.held[holder]);
                self.asleep.push(Waiter { holder, depth, slept: false, notified: false });
                assert_eq!(outcome.as_ref().map(|(_, woken)| woken), Ok(&self.hand_over()));
                ticket(outcome.map(|(acquired, _)| acquired))
            }
            5 => {
                let expected = may(self.kind == Kind::Condition, holds);
                let n = if n == 3 { u32::MAX } else { n };
                let expected = expected.map(|()| (0..n).take_while(|_| self.notify_first()).count() as u32);
                assert_eq!(lock.notify(name, n), expected);
                None
            }
            6 if self.kind == Kind::Event => {
                self.is_set = n > 0;
                if self.is_set {
                    let woken: Vec<usize> = self.asleep.iter().map(|waiter| waiter.holder).collect();
                    self.granted.append(&mut self.asleep);
                    assert_eq!(lock.set(), Ok(woken));
                } else {
                    assert_eq!(lock.clear(), Ok(()));
                }
                None
            }
            6 => {
                assert_eq!((lock.set(), lock.clear()), (Err(Refused::Kind), Err(Refused::Kind)));
                None
            }
            _ => {
                self.end(lock, holder, None);
                None
            }
        }
    }

    /// A coroutine ends: it waits no longer, then holds nothing.
    fn end(&mut self, lock: &mut Lock<usize>, holder: usize, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            let waited = take(&mut self.queue, holder).or(take(&mut self.asleep, holder));
            let granted = take(&mut self.granted, holder);
            self.held[holder] -= granted.map_or(0, |waiter| waiter.depth * u32::from(self.kind != Kind::Event));
            if waited.or(granted).is_some_and(|waiter| waiter.notified) {
                self.notify_first();
            }
            assert_eq!(lock.withdraw(ticket), self.hand_over());
        }
        self.held[holder] = 0;
        assert_eq!(lock.end(holder as Holder), self.hand_over());
    }

    fn fate(&self, holder: usize) -> Fate {
        let is_in = |list: &[Waiter]| list.iter().any(|waiter| waiter.holder == holder);
        let certain = |waiter: &Waiter| waiter.holder == holder && waiter.slept;
        if is_in(&self.granted) {
            Fate::Granted
        } else if self.queue.iter().any(certain) {
            Fate::Certain
        } else {
            Fate::Waiting
        }
    }

    fn notify_first(&mut self) -> bool {
        if self.asleep.is_empty() {
            return false;
        }
        let first = self.asleep.remove(0);
        self.queue.push(Waiter { slept: true, notified: true, ..first });
        true
    }

    fn hand_over(&mut self) -> Vec<usize> {
        let mut woken = Vec::new();
        while self.free() > 0 && !self.queue.is_empty() {
            let next = self.queue.remove(0);
            self.held[next.holder] += next.depth;
            self.granted.push(next);
            woken.push(next.holder);
        }
        woken
    }

    fn free(&self) -> u32 {
        match self.kind {
            Kind::Semaphore => self.units - self.held.iter().sum::<u32>(),
            _ => u32::from(self.held.iter().all(|held| *held == 0)),
        }
    }

    fn is_reentrant(&self) -> bool {
        matches!(self.kind, Kind::Reentrant | Kind::Condition)
    }

    fn compare(&self, lock: &Lock<usize>) {
        for (holder, held) in self.held.iter().enumerate() {
            assert_eq!(lock.held_by(holder as Holder), *held);
        }
        assert_eq!(lock.is_set().is_ok_and(|is_set| is_set), self.is_set);
        assert_eq!((lock.queue.len(), lock.asleep.len()), (self.queue.len(), self.asleep.len()));
        assert_eq!(lock.waits.len(), self.queue.len() + self.asleep.len() + self.granted.len());
        assert!(lock.free == 0 || lock.queue.is_empty(), "nobody waits for what is free");
    }
}

fn take(list: &mut Vec<Waiter>, holder: usize) -> Option<Waiter> {
    let at = list.iter().position(|waiter| waiter.holder == holder)?;
    Some(list.remove(at))
}

fn ticket(acquired: Result<Acquired, Refused>) -> Option<Ticket> {
    match acquired {
        Ok(Acquired::Waits(ticket)) => Some(ticket),
        other => panic!("it was to wait, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whoever_waited_longest_is_next_and_nothing_is_lost(data in prop::collection::vec(any::<u8>(), 0..300)) {
            super::lock(&data);
        }
    }
}
