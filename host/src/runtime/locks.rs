//! The locks of a computation on this node: shared by name, held by coroutines, released when they end.

use super::control::{Control, Waits};
use super::mail::Patience;
use super::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::sync::lock::{Acquired, Fate, GivenUp, Kind, Lock, Refused, Ticket};
use corovan_core::tenancy::quota::{Permit, Resource};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

/// A computation's locks by name; one is there as long as a coroutine has it open.
#[derive(Debug, Default)]
pub struct Locks {
    by_name: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    shared: Arc<Shared>,
    /// Coroutines that have it open.
    openers: usize,
}

/// A lock of any kind.
#[derive(Debug)]
struct Shared {
    name: String,
    kind: Kind,
    state: Mutex<Lock<Waker>>,
}

/// What a coroutine has open, by handle. Each opening gives a handle of its own: whoever opened may close, and takes nothing
/// from others of the same coroutine who opened the same lock.
#[derive(Debug, Default)]
pub struct Handles {
    last: u32,
    open: BTreeMap<u32, Access>,
    by_name: HashMap<String, Weak<Opened>>,
    /// What the handles and their locks take.
    held: Option<Permit>,
}

/// A lock as one coroutine sees it.
#[derive(Clone, Debug)]
pub struct Access(Arc<Opened>);

/// A lock that a coroutine has open; dropped with its last handle, what the coroutine holds of it is released.
#[derive(Debug)]
struct Opened {
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl Handles {
    /// Makes or finds a lock. Errors: invalid (of another kind, or its count), overloaded.
    pub fn open(&mut self, control: &Arc<Control>, kind: Kind, name: String, count: u32) -> Result<u32, Refusal> {
        if self.open.len() >= limits::COROUTINE_HANDLES {
            let text =
                format!("{} handles are open, which is the limit (COROUTINE_HANDLES)", limits::COROUTINE_HANDLES);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        if kind != Kind::Semaphore && count != 0 {
            return Err(Refusal::new(Code::Invalid, format!("only a semaphore has a count: {kind} {name:?} has none")));
        }
        let ledger = &control.group.tenant.ledger;
        self.held.get_or_insert_with(|| Permit::nothing(ledger, Resource::Held)).grow(limits::HANDLE_BYTES)?;
        let opened = self.find(control, kind, name, count).inspect_err(|_| self.give_back())?;
        // Not used again while open, and as late as can be, so that an old one is seen to be closed.
        self.last = self.last % LAST_HANDLE + 1;
        while self.open.contains_key(&self.last) {
            self.last = self.last % LAST_HANDLE + 1;
        }
        self.open.insert(self.last, Access(opened));
        Ok(self.last)
    }

    /// `None`: it was never given, or is closed.
    pub fn get(&self, number: u32) -> Option<Access> {
        self.open.get(&number).cloned()
    }

    /// `false`: it was never given, or is closed.
    pub fn close(&mut self, number: u32) -> bool {
        let Some(Access(opened)) = self.open.remove(&number) else { return false };
        if Arc::strong_count(&opened) == 1 {
            self.by_name.remove(&opened.shared.name);
        }
        self.give_back();
        true
    }

    fn find(&mut self, control: &Arc<Control>, kind: Kind, name: String, count: u32) -> Result<Arc<Opened>, Refusal> {
        if let Some(opened) = self.by_name.get(&name).and_then(Weak::upgrade) {
            opened.shared.check_kind(kind)?;
            return Ok(opened);
        }
        let shared = control.group.locks.open(kind, &name, count)?;
        let opened = Arc::new(Opened { shared, control: Arc::clone(control) });
        self.by_name.insert(name, Arc::downgrade(&opened));
        Ok(opened)
    }

    fn give_back(&mut self) {
        self.held.iter_mut().for_each(|held| held.shrink(limits::HANDLE_BYTES));
    }
}

/// Handles are results of calls, where what is below zero is an error.
const LAST_HANDLE: u32 = i32::MAX as u32;

impl Locks {
    /// Locks that are there.
    pub fn len(&self) -> usize {
        self.by_name.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be closed once.
    fn open(&self, kind: Kind, name: &str, count: u32) -> Result<Arc<Shared>, Refusal> {
        let mut by_name = self.by_name.lock();
        if let Some(entry) = by_name.get_mut(name) {
            entry.shared.check_kind(kind)?;
            entry.openers += 1;
            return Ok(Arc::clone(&entry.shared));
        }
        if kind == Kind::Semaphore && count == 0 {
            let text = format!("there is no semaphore {name:?} yet, and a new one has a count of 1 or more");
            return Err(Refusal::new(Code::Invalid, text));
        }
        if by_name.len() >= limits::COMPUTATION_LOCKS {
            let text = format!("{} locks are open, which is the limit (COMPUTATION_LOCKS)", limits::COMPUTATION_LOCKS);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let shared = Arc::new(Shared { name: name.to_owned(), kind, state: Mutex::new(Lock::new(kind, count)) });
        by_name.insert(name.to_owned(), Entry { shared: Arc::clone(&shared), openers: 1 });
        Ok(shared)
    }

    fn close(&self, name: &str) {
        let mut by_name = self.by_name.lock();
        if let Some(entry) = by_name.get_mut(name) {
            entry.openers -= 1;
            if entry.openers == 0 {
                by_name.remove(name);
            }
        }
    }
}

impl Shared {
    fn check_kind(&self, kind: Kind) -> Result<(), Refusal> {
        if self.kind == kind {
            return Ok(());
        }
        Err(Refusal::new(Code::Invalid, format!("{:?} is there as {}, not as {kind}", self.name, self.kind)))
    }
}

impl Access {
    /// Takes it, first come, first served. Errors: timeout, interrupted, invalid, overloaded.
    pub async fn acquire(&self, patience: Patience) -> Result<(), Refusal> {
        self.wait_for(patience, |state, holder, waker| {
            state.acquire(holder, || waker.clone()).map(|acquired| (acquired, Vec::new()))
        })
        .await
    }

    /// Waits for an event, or for a condition to be notified, which is held again afterwards, whatever comes of it. Errors:
    /// timeout, interrupted, not-held, invalid.
    pub async fn wait(&self, patience: Patience) -> Result<(), Refusal> {
        let Opened { shared, control } = &*self.0;
        // Nobody can have notified it yet, and whoever gives it up may have to wait to hold it again.
        if patience.is_none() && shared.kind == Kind::Condition && shared.state.lock().held_by(self.holder()) > 0 {
            let interrupted = control.take_interrupt().map(|reason| Refusal::new(Code::Interrupted, reason));
            return Err(interrupted.unwrap_or_else(|| self.timeout()));
        }
        self.wait_for(patience, |state, holder, waker| state.wait(holder, || waker.clone())).await
    }

    /// Errors: not-held, invalid.
    pub fn release(&self) -> Result<(), Refusal> {
        let woken = self.0.shared.state.lock().release(self.holder());
        self.wake(woken)
    }

    /// Errors: not-held, invalid.
    pub fn notify(&self, n: u32) -> Result<u32, Refusal> {
        let notified = self.0.shared.state.lock().notify(self.holder(), n);
        notified.map_err(|refused| self.refuse(refused))
    }

    /// Errors: invalid.
    pub fn set(&self) -> Result<(), Refusal> {
        let woken = self.0.shared.state.lock().set();
        self.wake(woken)
    }

    /// Errors: invalid.
    pub fn clear(&self) -> Result<(), Refusal> {
        let cleared = self.0.shared.state.lock().clear();
        cleared.map_err(|refused| self.refuse(refused))
    }

    /// Errors: invalid.
    pub fn is_set(&self) -> Result<bool, Refusal> {
        let is_set = self.0.shared.state.lock().is_set();
        is_set.map_err(|refused| self.refuse(refused))
    }

    /// Begins to wait, and waits until that is granted. Whoever gives up a condition waits until it is held again.
    async fn wait_for(
        &self,
        mut patience: Patience,
        begin: impl FnOnce(&mut Lock<Waker>, u64, &Waker) -> Result<(Acquired, Vec<Waker>), Refused>,
    ) -> Result<(), Refusal> {
        let (control, state) = (&self.0.control, &self.0.shared.state);
        let (mut begin, mut doing, mut outcome) = (Some(begin), None, Ok(()));
        let mut waiting = Waiting { access: self, ticket: None };
        std::future::poll_fn(|cx| {
            if let Some(begin) = begin.take() {
                if let Some(reason) = control.take_interrupt() {
                    return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
                }
                let begun = begin(&mut state.lock(), self.holder(), cx.waker());
                let (acquired, woken) = begun.map_err(|refused| self.refuse(refused))?;
                woken.into_iter().for_each(Waker::wake);
                match acquired {
                    Acquired::Now => return Poll::Ready(Ok(())),
                    Acquired::Waits(ticket) => waiting.ticket = Some(ticket),
                }
            }
            let Some(ticket) = waiting.ticket else { return Poll::Ready(Ok(())) };
            loop {
                let fate = state.lock().fate(ticket);
                match fate {
                    Fate::Waiting => {}
                    Fate::Certain => break,
                    Fate::Granted => {
                        waiting.ticket = None;
                        return Poll::Ready(std::mem::replace(&mut outcome, Ok(())));
                    }
                }
                let interrupt = control.take_interrupt();
                if interrupt.is_none() && patience.poll(cx).is_pending() {
                    break;
                }
                let (given_up, woken) = state.lock().give_up(ticket);
                woken.into_iter().for_each(Waker::wake);
                match (given_up, interrupt) {
                    // It came just now; the interrupt is for the next call.
                    (GivenUp::TooLate, Some(reason)) => control.interrupt(&reason),
                    (GivenUp::TooLate, None) => {}
                    (_, Some(reason)) => outcome = Err(Refusal::new(Code::Interrupted, reason)),
                    (_, None) => outcome = Err(self.timeout()),
                }
                if given_up == GivenUp::Over {
                    waiting.ticket = None;
                    return Poll::Ready(std::mem::replace(&mut outcome, Ok(())));
                }
            }
            if doing.is_none() {
                doing = Some(control.waits(Waits::Lock));
            }
            Poll::Pending
        })
        .await
    }

    fn wake(&self, woken: Result<Vec<Waker>, Refused>) -> Result<(), Refusal> {
        woken.map_err(|refused| self.refuse(refused))?.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn refuse(&self, refused: Refused) -> Refusal {
        let code = match refused {
            Refused::NotHeld => Code::NotHeld,
            Refused::Kind => Code::Invalid,
            Refused::TooDeep => Code::Overloaded,
        };
        Refusal::new(code, format!("{} {:?}: {refused}", self.0.shared.kind, self.0.shared.name))
    }

    fn timeout(&self) -> Refusal {
        let Shared { name, kind, .. } = &*self.0.shared;
        Refusal::new(Code::Timeout, format!("{kind} {name:?} was not released, set or notified in time"))
    }

    fn holder(&self) -> u64 {
        self.0.control.address.counter
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Opened { shared, control } = self;
        let woken = shared.state.lock().end(control.address.counter);
        woken.into_iter().for_each(Waker::wake);
        control.group.locks.close(&shared.name);
    }
}

/// One that waits; withdrawn when dropped.
struct Waiting<'a> {
    access: &'a Access,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let woken = self.access.0.shared.state.lock().withdraw(ticket);
            woken.into_iter().for_each(Waker::wake);
        }
    }
}
