//! The locks of a computation on this node: shared by name, held by coroutines, released when they end.

use super::control::{Control, Waits};
use super::mail::Patience;
use super::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::sync::lock::{Acquired, Kind, Lock, Refused, Ticket};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

/// A computation's locks by name; one is there as long as a coroutine has it open.
#[derive(Debug, Default)]
pub struct Locks {
    by_name: Mutex<HashMap<String, Weak<Shared>>>,
}

/// A lock of any kind.
#[derive(Debug)]
struct Shared {
    name: String,
    kind: Kind,
    state: Mutex<Lock<Waker>>,
}

/// What a coroutine has open, by handle.
#[derive(Debug, Default)]
pub struct Handles {
    last: u32,
    open: BTreeMap<u32, Handle>,
}

/// An open lock; dropped, what its coroutine holds of it is released.
#[derive(Debug)]
struct Handle(Access);

/// A lock as one coroutine sees it.
#[derive(Clone, Debug)]
pub struct Access {
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl Handles {
    /// Makes or finds a lock. Errors: invalid (of another kind), overloaded.
    pub fn open(&mut self, control: &Arc<Control>, kind: Kind, name: String, count: u32) -> Result<u32, Refusal> {
        if let Some((number, handle)) = self.open.iter().find(|(_, handle)| handle.0.shared.name == name) {
            return handle.0.check_kind(kind).map(|()| *number);
        }
        if self.open.len() >= limits::COROUTINE_HANDLES {
            let text =
                format!("{} handles are open, which is the limit (COROUTINE_HANDLES)", limits::COROUTINE_HANDLES);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let shared = control.group.locks.find(kind, name, count)?;
        let access = Access { shared, control: Arc::clone(control) };
        access.check_kind(kind)?;
        // Not used again while open, also after four billion of them.
        self.last = (1..)
            .map(|step| self.last.wrapping_add(step))
            .find(|next| *next > 0 && !self.open.contains_key(next))
            .unwrap_or(1);
        self.open.insert(self.last, Handle(access));
        Ok(self.last)
    }

    /// `None`: it was never given, or is closed.
    pub fn get(&self, number: u32) -> Option<Access> {
        self.open.get(&number).map(|handle| handle.0.clone())
    }

    /// `false`: it was never given, or is closed.
    pub fn close(&mut self, number: u32) -> bool {
        self.open.remove(&number).is_some()
    }
}

impl Locks {
    /// Locks that are there.
    pub fn len(&self) -> usize {
        self.by_name.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, kind: Kind, name: String, count: u32) -> Result<Arc<Shared>, Refusal> {
        let mut by_name = self.by_name.lock();
        if let Some(shared) = by_name.get(&name).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        if by_name.len() >= limits::COMPUTATION_LOCKS {
            by_name.retain(|_, shared| shared.strong_count() > 0);
        }
        if by_name.len() >= limits::COMPUTATION_LOCKS {
            let text = format!("{} locks are open, which is the limit (COMPUTATION_LOCKS)", limits::COMPUTATION_LOCKS);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let shared = Arc::new(Shared { name: name.clone(), kind, state: Mutex::new(Lock::new(kind, count)) });
        by_name.insert(name, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl Access {
    /// Takes it, first come, first served. Errors: timeout, interrupted, invalid, overloaded.
    pub async fn acquire(&self, patience: Patience) -> Result<(), Refusal> {
        self.wait_for(patience, false, |state, holder, waker| {
            state.acquire(holder, || waker.clone()).map(|acquired| (acquired, Vec::new()))
        })
        .await
    }

    /// Waits for an event, or for a condition to be notified, which is held again afterwards, whatever comes of it. Errors:
    /// timeout, interrupted, not-held, invalid.
    pub async fn wait(&self, patience: Patience) -> Result<(), Refusal> {
        let is_held_again = self.shared.kind == Kind::Condition;
        self.wait_for(patience, is_held_again, |state, holder, waker| state.wait(holder, || waker.clone())).await
    }

    /// Errors: not-held, invalid.
    pub fn release(&self) -> Result<(), Refusal> {
        let woken = self.shared.state.lock().release(self.holder());
        self.wake(woken)
    }

    /// Errors: not-held, invalid.
    pub fn notify(&self, n: u32) -> Result<u32, Refusal> {
        let notified = self.shared.state.lock().notify(self.holder(), n);
        let (count, woken) = notified.map_err(|refused| self.refuse(refused))?;
        woken.into_iter().for_each(Waker::wake);
        Ok(count)
    }

    /// Errors: invalid.
    pub fn set(&self) -> Result<(), Refusal> {
        let woken = self.shared.state.lock().set();
        self.wake(woken)
    }

    /// Errors: invalid.
    pub fn clear(&self) -> Result<(), Refusal> {
        let cleared = self.shared.state.lock().clear();
        cleared.map_err(|refused| self.refuse(refused))
    }

    /// Errors: invalid.
    pub fn is_set(&self) -> Result<bool, Refusal> {
        let is_set = self.shared.state.lock().is_set();
        is_set.map_err(|refused| self.refuse(refused))
    }

    /// Begins to wait, and waits until that is granted. `is_held_again`: who gives up waits until it is held again.
    async fn wait_for(
        &self,
        mut patience: Patience,
        is_held_again: bool,
        begin: impl FnOnce(&mut Lock<Waker>, u64, &Waker) -> Result<(Acquired, Vec<Waker>), Refused>,
    ) -> Result<(), Refusal> {
        let (mut begin, mut doing, mut given_up) = (Some(begin), None, None);
        let mut waiting = Waiting { access: self, ticket: None };
        std::future::poll_fn(|cx| {
            if let Some(begin) = begin.take() {
                if let Some(reason) = self.control.take_interrupt() {
                    return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
                }
                let begun = begin(&mut self.shared.state.lock(), self.holder(), cx.waker());
                let (acquired, woken) = begun.map_err(|refused| self.refuse(refused))?;
                woken.into_iter().for_each(Waker::wake);
                match acquired {
                    Acquired::Now => return Poll::Ready(Ok(())),
                    Acquired::Waits(ticket) => waiting.ticket = Some(ticket),
                }
            }
            let Some(ticket) = waiting.ticket else { return Poll::Ready(Ok(())) };
            if self.shared.state.lock().is_granted(ticket) {
                waiting.ticket = None;
                return Poll::Ready(given_up.take().map_or(Ok(()), Err));
            }
            if doing.is_none() {
                doing = Some(self.control.waits(Waits::Lock));
            }
            if given_up.is_none() {
                given_up = match self.control.take_interrupt() {
                    Some(reason) => Some(Refusal::new(Code::Interrupted, reason)),
                    None if patience.poll(cx).is_ready() => {
                        Some(Refusal::timeout("it was not released, set or notified in time"))
                    }
                    None => return Poll::Pending,
                };
                if is_held_again {
                    let (is_to_come, woken) = self.shared.state.lock().expire(ticket);
                    woken.into_iter().for_each(Waker::wake);
                    if is_to_come {
                        return Poll::Pending;
                    }
                    self.shared.state.lock().is_granted(ticket);
                    waiting.ticket = None;
                }
                return Poll::Ready(given_up.take().map_or(Ok(()), Err));
            }
            Poll::Pending
        })
        .await
    }

    fn check_kind(&self, kind: Kind) -> Result<(), Refusal> {
        if self.shared.kind == kind {
            return Ok(());
        }
        let text = format!("{:?} is a {:?}, not a {kind:?}", self.shared.name, self.shared.kind);
        Err(Refusal::new(Code::Invalid, text))
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
        Refusal::new(code, format!("{:?} ({:?}): {refused}", self.shared.name, self.shared.kind))
    }

    fn holder(&self) -> u64 {
        self.control.address.counter
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Access { shared, control } = &self.0;
        let woken = shared.state.lock().end(control.address.counter);
        woken.into_iter().for_each(Waker::wake);
        let mut by_name = control.group.locks.by_name.lock();
        // This one is the last that has it open: the table itself only looks on.
        if Arc::strong_count(shared) == 1 {
            by_name.remove(&shared.name);
        }
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
            let woken = self.access.shared.state.lock().withdraw(self.access.holder(), ticket);
            woken.into_iter().for_each(Waker::wake);
        }
    }
}
