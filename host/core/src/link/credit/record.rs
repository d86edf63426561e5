//! What a borrower knows of one mailbox, and what its records share: who may send now, what was paid.

use super::{Amount, FIRST, contact_cost};
use crate::limits;
use crate::link::frame::Local;
use std::collections::{BTreeMap, VecDeque};

/// A sender that waits; ordered by when it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(pub(super) u64);

#[derive(Debug)]
pub struct Record<W> {
    pub state: State,
    pub used: Amount,
    pub waiting: VecDeque<(Ticket, usize, W)>,
    /// Paid for by their ticket, not pushed yet.
    pub granted: VecDeque<(Ticket, usize)>,
    pub last_use: u64,
    /// Its place among those the lender may have; `None`: unused so far.
    pub shown: Option<Place>,
    /// Its place among those that want something of the link.
    pub held_up: Option<Place>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The lender has said nothing yet; so much of the allowance is taken.
    Contact {
        taken: u64,
    },
    Open {
        limit: Amount,
    },
    /// The mailbox is closed, and what was granted is not all pushed.
    Gone {
        taken: u64,
    },
    /// Nothing is sent until the lender closes the record.
    Returning {
        taken: u64,
        gone: bool,
    },
}

/// What all records of a link share.
#[derive(Debug)]
pub struct Shared {
    /// Left of what may be sent by first contacts.
    pub allowance: u64,
    /// Records the lender may have, by when each may have become idle.
    pub shown: BTreeMap<Place, Local>,
    /// Mailboxes to which nothing can be sent for want of allowance, or of a record at the lender, the first first.
    pub held_up: BTreeMap<Place, Local>,
    next_place: u64,
}

pub type Place = (u64, u64);

impl<W> Record<W> {
    pub fn new(now: u64) -> Record<W> {
        let (waiting, granted) = (VecDeque::new(), VecDeque::new());
        let (used, state) = (Amount::default(), State::Contact { taken: 0 });
        Record { state, used, waiting, granted, last_use: now, shown: None, held_up: None }
    }

    /// Begins anew, with those who wait.
    pub fn renew(&mut self, now: u64, link: &mut Shared) {
        if let Some(place) = self.shown.take() {
            link.shown.remove(&place);
        }
        (self.state, self.used, self.last_use) = (State::Contact { taken: 0 }, Amount::default(), now);
    }

    pub fn may_send(&self, bytes: usize, link: &Shared) -> bool {
        match self.state {
            State::Contact { .. } => {
                let recorded = self.shown.is_some() || link.shown.len() < limits::LINK_CREDITS;
                self.used.is_within(FIRST) && contact_cost(bytes) <= link.allowance && recorded
            }
            State::Open { limit } => self.used.is_within(limit),
            State::Gone { .. } | State::Returning { .. } => false,
        }
    }

    pub fn pay(&mut self, mailbox: Local, bytes: usize, link: &mut Shared) {
        self.used.add(bytes);
        if let State::Contact { taken } = &mut self.state {
            *taken += contact_cost(bytes);
            link.allowance -= contact_cost(bytes);
        }
        if self.shown.is_none() {
            let place = link.next(self.last_use.saturating_add(IDLE));
            link.shown.insert(place, mailbox);
            self.shown = Some(place);
        }
    }

    pub fn give_back(&mut self, bytes: usize, link: &mut Shared) {
        self.used.sub(bytes);
        // What was paid for after the first contact took nothing.
        if let State::Contact { taken } = &mut self.state {
            *taken -= contact_cost(bytes);
            link.allowance += contact_cost(bytes);
        }
    }

    /// Takes or leaves its place among those that want something of the link.
    pub fn queue_up(&mut self, mailbox: Local, link: &mut Shared) {
        let first_contact = matches!(self.state, State::Contact { .. }) && self.used.is_within(FIRST);
        let wants = first_contact && !self.waiting.is_empty();
        match self.held_up {
            None if wants => {
                let place = link.next(0);
                link.held_up.insert(place, mailbox);
                self.held_up = Some(place);
            }
            Some(place) if !wants => {
                link.held_up.remove(&place);
                self.held_up = None;
            }
            _ => {}
        }
    }

    pub fn find(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, ..)| *ticket).ok()
    }

    /// The bytes that a ticket has paid for.
    pub fn take_granted(&mut self, ticket: Ticket) -> Option<usize> {
        let at = self.granted.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        self.granted.remove(at).map(|(_, bytes)| bytes)
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone { .. } | State::Returning { gone: true, .. })
    }

    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Gone { .. } | State::Returning { .. })
    }

    pub fn taken(&self) -> u64 {
        match self.state {
            State::Contact { taken } | State::Returning { taken, .. } | State::Gone { taken } => taken,
            State::Open { .. } => 0,
        }
    }
}

impl Shared {
    pub fn new() -> Shared {
        let (shown, held_up) = (BTreeMap::new(), BTreeMap::new());
        Shared { allowance: limits::FIRST_CONTACT_ALLOWANCE, shown, held_up, next_place: 0 }
    }

    pub fn next(&mut self, time: u64) -> Place {
        self.next_place += 1;
        (time, self.next_place)
    }
}

/// Nanoseconds.
pub const IDLE: u64 = limits::CREDIT_IDLE.as_nanos() as u64;
