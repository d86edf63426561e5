//! What a coroutine alone sees and no other thread touches: results that did not fit, requests to be answered, and whom
//! it sent to last.

use super::control::Control;
use super::message::ReplyTo;
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
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
}

/// Coroutines of this node it sent to last, so that a partner is found without a lock.
#[derive(Debug, Default)]
pub struct Routes {
    known: [Option<Arc<Control>>; ROUTES],
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
    /// The number to answer by, which is never 0. The oldest is given up when there are too many.
    pub fn open(&mut self, mut reply: ReplyTo) -> u64 {
        reply.read = true;
        if self.open.len() >= limits::OPEN_REPLIES {
            self.open.pop_first();
        }
        self.last += 1;
        self.open.insert(self.last, reply);
        self.last
    }

    pub fn take(&mut self, number: u64) -> Option<ReplyTo> {
        self.open.remove(&number)
    }

    /// The answer could not be sent; it may be tried again.
    pub fn put_back(&mut self, number: u64, reply: ReplyTo) {
        self.open.insert(number, reply);
    }
}

impl Routes {
    /// The coroutine at this address, looked for only if it is not known.
    #[inline]
    pub fn find<E>(
        &mut self,
        address: &Address,
        look: impl FnOnce() -> Result<Arc<Control>, E>,
    ) -> Result<&Arc<Control>, E> {
        let known = &mut self.known[place(address)];
        let control = match known.take().filter(|control| control.address == *address) {
            Some(control) => control,
            None => look()?,
        };
        Ok(known.insert(control))
    }

    /// It has ended: what is left of it goes.
    pub fn forget(&mut self, address: &Address) {
        let known = &mut self.known[place(address)];
        if known.as_ref().is_some_and(|control| control.address == *address) {
            *known = None;
        }
    }
}

fn place(address: &Address) -> usize {
    address.counter as usize % ROUTES
}
