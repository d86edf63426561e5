//! A coroutine's mailbox on its node: the state machine, what the tenant is charged for it, and who is woken.

use super::message::{Letter, Parcel};
use corovan_core::limits;
use corovan_core::sync::mailbox::{Bounds, Closed, Drop, Fate, Full, Mailbox, Ticket};
use corovan_core::sync::slab_list::Place;
use corovan_core::tenancy::quota::{Exhausted, Ledger, Permit, Resource};
use std::sync::Arc;
use std::task::Waker;

/// Mailbox, permit and waker, under one lock.
#[derive(Debug)]
pub(super) struct Post {
    pub mailbox: Mailbox<Parcel, Waker>,
    /// Covers what lies in the mailbox, in steps; the first [`limits::MAILBOX_FREE`] bytes are the coroutine's own.
    held: Permit,
    waker: Option<Waker>,
}

/// Why a letter is not taken at once.
#[derive(Debug)]
pub(super) enum Refused {
    /// No room.
    Full,
    Closed,
    /// The receiving tenant's quota.
    Quota(Exhausted),
}

/// What closing left, to be dropped or woken outside of the lock.
#[derive(Debug)]
pub(super) struct Leftovers {
    pub closed: Closed<Parcel, Waker>,
    pub waker: Option<Waker>,
}

/// What became of a letter that came through a subscription.
#[derive(Debug)]
pub(super) struct Pushed {
    pub taken: bool,
    pub receiver: Option<Waker>,
    /// To be dropped outside of the lock.
    pub dropped: Vec<Letter>,
}

impl Post {
    pub fn new(ledger: &Arc<Ledger>) -> Post {
        let bounds = Bounds {
            messages: limits::MAILBOX_MESSAGES,
            bytes: limits::MAILBOX_BYTES,
            reserved: limits::MAILBOX_RESERVED,
        };
        Post { mailbox: Mailbox::new(bounds), held: Permit::nothing(ledger, Resource::Held), waker: None }
    }

    /// An ordinary letter of this size, through this subscription or none, would be taken now, and is charged for.
    #[inline]
    pub fn admits(&mut self, size: usize, via: u64) -> Result<(), Refused> {
        if self.mailbox.is_closed() {
            return Err(Refused::Closed);
        }
        self.cover(charged(size, via)).map_err(Refused::Quota)?;
        if self.mailbox.takes(size) { Ok(()) } else { Err(Refused::Full) }
    }

    /// Takes a letter that was admitted; the receiver's waker if it waits for it.
    pub fn put(&mut self, letter: Letter) -> Option<Waker> {
        let wake = self.mailbox.put(letter);
        self.receiver(wake)
    }

    /// The same, and wakes the receiver. Waking here, under the lock, saves a waker
    /// of its own for each message; the run queue's lock is the only one that is taken by it.
    #[inline]
    pub fn put_and_wake(&mut self, letter: Letter) {
        if self.mailbox.put(letter) {
            self.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Takes a letter: see [`Mailbox::take`].
    #[inline]
    pub fn take<R>(&mut self, place: Place, read: impl FnOnce(&mut Letter) -> R) -> Option<(R, Vec<Waker>)> {
        let taken = self.mailbox.take(place, read)?;
        if self.held.amount() > 0 {
            self.uncover();
        }
        Some(taken)
    }

    /// Takes a letter of a subscription, or drops one of it. `None`: the mailbox is closed. Where the tenant's quota does not
    /// cover one letter more, the letter counts as one that found no room.
    pub fn push_via(&mut self, letter: Letter, cap: usize, drop: Drop) -> Option<Pushed> {
        if self.mailbox.is_closed() {
            return None;
        }
        if self.cover(charged(letter.size, letter.via)).is_err() {
            return Some(Pushed { taken: false, receiver: None, dropped: vec![letter] });
        }
        let via = self.mailbox.push_via(letter, cap, drop);
        Some(Pushed { taken: via.taken, receiver: self.receiver(via.wake), dropped: via.dropped })
    }

    /// Takes a message for which room was promised; it comes back when the mailbox is closed.
    #[expect(
        clippy::result_large_err,
        reason = "a letter that is not taken goes back as it came, without an allocation"
    )]
    pub fn push_reserved(&mut self, letter: Letter) -> Result<Option<Waker>, Full<Parcel>> {
        let wake = self.mailbox.push_reserved(letter)?;
        Ok(self.receiver(wake))
    }

    /// Queues a letter whose sender waits; the receiver's waker if it waits for another.
    pub fn wait(&mut self, letter: Letter, sender: Waker) -> (Ticket, Option<Waker>) {
        let (ticket, wake) = self.mailbox.wait(letter, sender);
        (ticket, self.receiver(wake))
    }

    /// Messages and bytes that a sender could send now.
    pub fn free(&self) -> (usize, usize) {
        match self.mailbox.is_closed() {
            true => (0, 0),
            false => self.mailbox.free(),
        }
    }

    pub fn fate(&self, ticket: Ticket) -> Fate {
        self.mailbox.fate(ticket)
    }

    /// Whom to wake after the receiver was found to wait.
    pub fn receiver(&self, wake: bool) -> Option<Waker> {
        if wake { self.waker.clone() } else { None }
    }

    pub fn set_waker(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    pub fn close(&mut self) -> Leftovers {
        let closed = self.mailbox.close();
        let amount = self.held.amount();
        self.held.shrink(amount);
        Leftovers { closed, waker: self.waker.take() }
    }

    /// Sees to it that one more letter of this size is charged for. Call before any push that is not reserved.
    #[inline]
    pub fn cover(&mut self, size: usize) -> Result<(), Exhausted> {
        let wanted = self.weight() + size as u64 + limits::LETTER_BYTES;
        let covered = limits::MAILBOX_FREE + self.held.amount();
        if wanted > covered {
            self.held.grow((wanted - covered).max(limits::HELD_STEP))?;
        }
        Ok(())
    }

    /// Gives back what an emptier mailbox does not need.
    fn uncover(&mut self) {
        let (wanted, amount) = (self.weight(), self.held.amount());
        if self.mailbox.is_empty() {
            self.held.shrink(amount);
        } else if amount > wanted + 4 * limits::HELD_STEP {
            self.held.shrink(amount - wanted - limits::HELD_STEP);
        }
    }

    fn weight(&self) -> u64 {
        let own = self.mailbox.bytes() - self.mailbox.via_bytes();
        own as u64 + self.mailbox.len() as u64 * limits::LETTER_BYTES
    }
}

/// Bytes that are this mailbox's alone. Those of a channel's message lie in the mailboxes of all subscribers and once in
/// memory, and the message itself carries what is charged for them.
fn charged(size: usize, via: u64) -> usize {
    if via == 0 { size } else { 0 }
}
