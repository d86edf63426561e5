//! Lock, reentrant lock, condition, event, semaphore: who holds what, who waits, in which order. First come, first served:
//! what is released goes to whoever waited longest, and nobody who comes later can take it before. Wakes nobody: what is to be
//! woken is returned.
//!
//! asyncoro's `Lock`, `RLock`, `Condition`, `Event`, `Semaphore`. A condition's lock is reentrant, as there. Whoever waits for a
//! condition holds it again afterwards, as often as before and behind those who wait for it already, whether it was notified
//! or gave up. A notification is never lost: one that has been notified can no longer give up, and where it ends before it went
//! on, the next one is notified in its place.

pub mod fuzz;
#[cfg(test)]
mod tests;

use crate::limits;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// What came of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    Now,
    /// Look with [`Lock::fate`] when woken; end with [`Lock::give_up`], or [`Lock::withdraw`].
    Waits(Ticket),
}

/// How far one that waits has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Waiting,
    /// It is about to hold the condition again, and can no longer give up.
    Certain,
    /// It has what it waited for. Told once: the ticket is used up.
    Granted,
}

/// What giving up comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GivenUp {
    /// It waits no longer; the ticket is used up.
    Over,
    /// It waits for the condition to be its own again; the ticket goes on.
    HoldsAgain,
    /// What it waited for has come, or it was notified: as if it had not given up.
    TooLate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("it is not held by this coroutine")]
    NotHeld,
    #[error("this call is not for one of its kind")]
    Kind,
    #[error("it is held {} times, which is the limit (LOCK_DEPTH)", limits::LOCK_DEPTH)]
    TooDeep,
}

/// One of them; `W` wakes one that waits.
#[derive(Debug)]
pub struct Lock<W> {
    kind: Kind,
    /// Units that are free: of a lock one, of a semaphore its count. None while someone is queued.
    free: u32,
    /// Units that each holds; of a reentrant lock, how often.
    held: BTreeMap<Holder, u32>,
    is_set: bool,
    /// Who waits to acquire, by place.
    queue: BTreeMap<u64, Waiter<W>>,
    /// Who waits for an event, or for a condition to be notified.
    asleep: BTreeMap<Ticket, Waiter<W>>,
    waits: HashMap<Ticket, Wait>,
    /// Counts tickets and places.
    last: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: Ticket,
    holder: Holder,
    /// How often it is to hold it.
    depth: u32,
    notified: bool,
    waker: W,
}

/// Where one that waits is to be found.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Asleep,
    /// For the first time, or after it slept.
    Queued {
        place: u64,
        slept: bool,
    },
    Granted {
        holder: Holder,
        depth: u32,
        notified: bool,
    },
}

/// Room for so many that wait is kept.
const KEPT: usize = 64;

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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Lock => "lock",
            Kind::Reentrant => "reentrant lock",
            Kind::Event => "event",
            Kind::Condition => "condition",
            Kind::Semaphore => "semaphore",
        })
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
            queue: BTreeMap::new(),
            asleep: BTreeMap::new(),
            waits: HashMap::new(),
            last: 0,
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
        if self.free > 0 {
            self.take(holder, 1);
            return Ok(Acquired::Now);
        }
        let ticket = Ticket(self.count());
        self.enqueue(Waiter { ticket, holder, depth: 1, notified: false, waker: waker() }, false);
        Ok(Acquired::Waits(ticket))
    }

    /// Gives it back once; whom to wake.
    pub fn release(&mut self, holder: Holder) -> Result<Vec<W>, Refused> {
        if self.kind == Kind::Event {
            return Err(Refused::Kind);
        }
        if !self.held.contains_key(&holder) {
            return Err(Refused::NotHeld);
        }
        self.give_back(holder, 1);
        Ok(self.hand_over())
    }

    /// Waits for an event, or gives a condition up and waits for its notification; whom to wake then.
    pub fn wait(&mut self, holder: Holder, waker: impl FnOnce() -> W) -> Result<(Acquired, Vec<W>), Refused> {
        let depth = match self.kind {
            Kind::Event if self.is_set => return Ok((Acquired::Now, Vec::new())),
            Kind::Event => 0,
            Kind::Condition => self.held.get(&holder).copied().ok_or(Refused::NotHeld)?,
            _ => return Err(Refused::Kind),
        };
        let ticket = Ticket(self.count());
        self.waits.insert(ticket, Wait::Asleep);
        self.asleep.insert(ticket, Waiter { ticket, holder, depth, notified: false, waker: waker() });
        self.give_back(holder, depth);
        Ok((Acquired::Waits(ticket), self.hand_over()))
    }

    /// Moves `n` of those who wait for a condition to those who wait to acquire it; how many. It is held by who notifies, so
    /// nobody is to be woken yet.
    pub fn notify(&mut self, holder: Holder, n: u32) -> Result<u32, Refused> {
        if self.kind != Kind::Condition {
            return Err(Refused::Kind);
        }
        self.held.get(&holder).ok_or(Refused::NotHeld)?;
        let mut count = 0;
        while count < n && self.notify_first() {
            count += 1;
        }
        Ok(count)
    }

    /// Sets an event; whom to wake.
    pub fn set(&mut self) -> Result<Vec<W>, Refused> {
        if self.kind != Kind::Event {
            return Err(Refused::Kind);
        }
        self.is_set = true;
        let woken = std::mem::take(&mut self.asleep);
        let granted = |waiter: &Waiter<W>| Wait::Granted { holder: waiter.holder, depth: 0, notified: false };
        self.waits.extend(woken.values().map(|waiter| (waiter.ticket, granted(waiter))));
        Ok(woken.into_values().map(|waiter| waiter.waker).collect())
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

    /// How far this one has come. One that does not wait at all is `Waiting`.
    pub fn fate(&mut self, ticket: Ticket) -> Fate {
        match self.waits.get(&ticket) {
            Some(Wait::Granted { .. }) => {
                self.forget(ticket);
                Fate::Granted
            }
            Some(Wait::Queued { slept: true, .. }) => Fate::Certain,
            _ => Fate::Waiting,
        }
    }

    /// Its time is over. Whom to wake.
    pub fn give_up(&mut self, ticket: Ticket) -> (GivenUp, Vec<W>) {
        match self.waits.get(&ticket).copied() {
            Some(Wait::Granted { .. } | Wait::Queued { slept: true, .. }) => (GivenUp::TooLate, Vec::new()),
            Some(Wait::Asleep) if self.kind == Kind::Condition => {
                if let Some(waiter) = self.asleep.remove(&ticket) {
                    self.enqueue(waiter, true);
                }
                (GivenUp::HoldsAgain, self.hand_over())
            }
            Some(_) | None => (GivenUp::Over, self.withdraw(ticket)),
        }
    }

    /// Waits no longer, because it ends; what was handed over meanwhile, or notified, goes on to the next. Whom to wake.
    pub fn withdraw(&mut self, ticket: Ticket) -> Vec<W> {
        let wait = self.waits.get(&ticket).copied();
        self.forget(ticket);
        let notified = match wait {
            None => false,
            Some(Wait::Asleep) => self.asleep.remove(&ticket).is_some_and(|waiter| waiter.notified),
            Some(Wait::Queued { place, .. }) => self.queue.remove(&place).is_some_and(|waiter| waiter.notified),
            Some(Wait::Granted { holder, depth, notified }) => {
                self.give_back(holder, depth);
                notified
            }
        };
        if notified {
            self.notify_first();
        }
        self.hand_over()
    }

    /// A holder is gone: all it holds is free. Whom to wake.
    pub fn end(&mut self, holder: Holder) -> Vec<W> {
        let all = self.held_by(holder);
        self.give_back(holder, all);
        self.hand_over()
    }

    /// How often this one holds it.
    pub fn held_by(&self, holder: Holder) -> u32 {
        self.held.get(&holder).copied().unwrap_or(0)
    }

    fn notify_first(&mut self) -> bool {
        let Some((_, mut waiter)) = self.asleep.pop_first() else { return false };
        waiter.notified = true;
        self.enqueue(waiter, true);
        true
    }

    fn enqueue(&mut self, waiter: Waiter<W>, slept: bool) {
        let place = self.count();
        self.waits.insert(waiter.ticket, Wait::Queued { place, slept });
        self.queue.insert(place, waiter);
    }

    fn hand_over(&mut self) -> Vec<W> {
        let mut woken = Vec::new();
        while self.free > 0
            && let Some((_, next)) = self.queue.pop_first()
        {
            let Waiter { ticket, holder, depth, notified, waker } = next;
            self.take(holder, depth);
            self.waits.insert(ticket, Wait::Granted { holder, depth, notified });
            woken.push(waker);
        }
        woken
    }

    fn take(&mut self, holder: Holder, depth: u32) {
        self.free -= 1;
        *self.held.entry(holder).or_default() += depth;
    }

    /// So many of its units.
    fn give_back(&mut self, holder: Holder, units: u32) {
        let Some(held) = self.held.get_mut(&holder) else { return };
        *held = held.saturating_sub(units);
        let is_last = *held == 0;
        if is_last {
            self.held.remove(&holder);
        }
        if self.kind == Kind::Semaphore {
            self.free += units;
        } else if is_last {
            self.free = 1;
        }
    }

    fn forget(&mut self, ticket: Ticket) {
        self.waits.remove(&ticket);
        // Room for a burst is given back.
        if self.waits.is_empty() && self.waits.capacity() > KEPT {
            self.waits = HashMap::new();
        }
    }

    fn count(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
