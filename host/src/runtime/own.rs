//! What a coroutine alone sees and no other thread touches: results that did not fit, requests to be answered, and whom
//! it sent to last.

use super::control::Control;
use super::message::ReplyTo;
use super::ports::Way;
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::{Ledger, Permit, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Results that are kept until they are taken or dropped.
#[derive(Debug, Default)]
pub struct Tokens {
    last: u64,
    kept: BTreeMap<u64, (Bytes, Permit)>,
}

/// Requests that were received and not answered yet, by the number the guest knows them by.
#[derive(Debug, Default)]
pub struct Replies {
    last: u64,
    open: BTreeMap<u64, ReplyTo>,
    /// What those beyond the first few are charged, in steps: each keeps what is left of a requester that has ended.
    held: Option<Permit>,
}

/// Whom it sent to last, so that a partner is found without a lock.
#[derive(Debug, Default)]
pub struct Routes {
    known: [Option<Route>; ROUTES],
}

/// Where an address leads.
#[derive(Debug)]
pub enum Route {
    Here(Arc<Control>),
    Away(Address, Arc<dyn Way>),
}

const ROUTES: usize = 4;

impl Tokens {
    pub fn is_full(&self) -> bool {
        self.kept.len() >= limits::PENDING_TOKENS
    }

    /// Its token, which is never 0. The caller has seen that there is room.
    pub fn keep(&mut self, bytes: Bytes, held: Permit) -> u64 {
        self.last += 1;
        self.kept.insert(self.last, (bytes, held));
        self.last
    }

    pub fn take(&mut self, token: u64) -> Option<Bytes> {
        self.kept.remove(&token).map(|(bytes, _)| bytes)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Replies {
    /// The number to answer by, which is never 0. The oldest is given up when there are too many, or more than the tenant's
    /// quota covers.
    pub fn open(&mut self, mut reply: ReplyTo, ledger: &Arc<Ledger>) -> u64 {
        reply.read = true;
        if self.open.len() >= limits::OPEN_REPLIES || !self.covers_one_more(ledger) {
            self.open.pop_first();
        }
        self.last += 1;
        self.open.insert(self.last, reply);
        self.last
    }

    pub fn take(&mut self, number: u64) -> Option<ReplyTo> {
        let reply = self.open.remove(&number);
        self.uncover();
        reply
    }

    /// The answer could not be sent; it may be tried again.
    pub fn put_back(&mut self, number: u64, reply: ReplyTo) {
        self.open.insert(number, reply);
    }

    fn covers_one_more(&mut self, ledger: &Arc<Ledger>) -> bool {
        let wanted = (self.open.len() as u64 + 1) * limits::REPLY_BYTES;
        if wanted <= limits::MAILBOX_FREE + self.held.as_ref().map_or(0, Permit::amount) {
            return true;
        }
        let held = self.held.get_or_insert_with(|| Permit::nothing(ledger, Resource::Held));
        held.grow(limits::HELD_STEP).is_ok()
    }

    fn uncover(&mut self) {
        let Some(held) = &mut self.held else { return };
        let wanted = self.open.len() as u64 * limits::REPLY_BYTES;
        if self.open.is_empty() {
            self.held = None;
        } else if held.amount() > wanted + 2 * limits::HELD_STEP {
            held.shrink(limits::HELD_STEP);
        }
    }
}

impl Routes {
    /// The coroutine at this address, looked for only if it is not known.
    #[inline]
    pub fn find<E>(&mut self, address: &Address, look: impl FnOnce() -> Result<Route, E>) -> Result<&Route, E> {
        let known = &mut self.known[place(address)];
        if !known.as_ref().is_some_and(|route| route.leads_to(address)) {
            *known = None;
        }
        match known {
            Some(route) => Ok(route),
            none => Ok(none.insert(look()?)),
        }
    }

    /// It has ended: what is left of it goes.
    pub fn forget(&mut self, address: &Address) {
        let known = &mut self.known[place(address)];
        if known.as_ref().is_some_and(|route| route.leads_to(address)) {
            *known = None;
        }
    }
}

impl Route {
    /// To this address, and still.
    #[inline]
    fn leads_to(&self, address: &Address) -> bool {
        match self {
            Route::Here(control) => control.address == *address,
            Route::Away(known, way) => known == address && !way.is_over(),
        }
    }
}

fn place(address: &Address) -> usize {
    address.counter as usize % ROUTES
}

#[cfg(test)]
mod tests {
    use super::super::blank::blank_controls;
    use super::*;
    use corovan_core::tenancy::quota::Limits;

    fn ledger(held: u64) -> Arc<Ledger> {
        Arc::new(Ledger::new(Limits { coroutines: 0, memory: 0, held, connections: 0 }))
    }

    #[test]
    fn what_requests_keep_of_those_who_asked_is_charged_and_given_back() {
        let (_, controls) = blank_controls(1);
        let ledger = ledger(1 << 30);
        let mut replies = Replies::default();
        let numbers: Vec<_> = (0..1_000).map(|n| replies.open(ReplyTo::new(&controls[0], n), &ledger)).collect();
        let held = ledger.used(Resource::Held);
        assert!(
            (996 * limits::REPLY_BYTES..=1_000 * limits::REPLY_BYTES + limits::HELD_STEP).contains(&held),
            "{held}"
        );
        let (last, others) = numbers.split_last().unwrap();
        others.iter().for_each(|number| drop(replies.take(*number)));
        assert!(ledger.used(Resource::Held) <= 4 * limits::HELD_STEP);
        assert!(replies.take(*last).is_some());
        assert_eq!(ledger.used(Resource::Held), 0);
    }

    #[test]
    fn where_the_quota_covers_no_more_the_oldest_request_is_given_up_for_a_new_one() {
        let (_, controls) = blank_controls(1);
        let ledger = ledger(limits::HELD_STEP);
        let mut replies = Replies::default();
        let numbers: Vec<_> = (0..200).map(|n| replies.open(ReplyTo::new(&controls[0], n), &ledger)).collect();
        let most = ((limits::HELD_STEP + limits::MAILBOX_FREE) / limits::REPLY_BYTES) as usize;
        let open: Vec<_> = numbers.into_iter().filter(|number| replies.take(*number).is_some()).collect();
        assert_eq!(open, (201 - most as u64..=200).collect::<Vec<_>>());
        assert_eq!(ledger.used(Resource::Held), 0);
    }
}
