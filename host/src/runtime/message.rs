//! Messages as they lie in mailboxes: what a letter carries, and who is to be told of its answer.

use super::control::Control;
use super::ports::Replier;
use super::refusal::Refusal;
use bytes::Bytes;
use corovan_core::ids::Address;
pub use corovan_core::sync::mailbox::{Filter, Kind};
use corovan_core::tenancy::quota::Permit;
use std::ops::Deref;
use std::sync::Arc;

/// A message in a mailbox.
pub type Letter = corovan_core::sync::mailbox::Letter<Parcel>;

/// A message's bytes: small ones lie in the letter itself, so that they cost no allocation; larger ones are shared.
#[derive(Clone, Debug)]
pub enum Payload {
    Inline(Inline),
    Shared(Bytes),
}

/// Laid out as it is copied, sixteen bytes at a time: what was written in one way and is read in another is read only when
/// it has reached memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Inline {
    bytes: [u8; INLINE],
    len: usize,
}

/// What a letter carries beside its key.
#[derive(Debug)]
pub struct Parcel {
    pub payload: Payload,
    pub reply: Option<ReplyTo>,
    /// What the tenant's ledger counts for it, where that is not the mailbox's own count.
    pub held: Option<Permit>,
}

/// The right to answer a request, once. Dropped without an answer, the requester learns that none will come.
#[derive(Debug)]
pub struct ReplyTo {
    requester: Requester,
    /// The request has been received.
    pub read: bool,
}

#[derive(Debug, Default)]
enum Requester {
    Here(Arc<Control>, u64),
    Away(Box<dyn Replier>),
    #[default]
    Answered,
}

/// A message that no coroutine writes, with the room that was promised for it.
pub(super) fn notice(kind: Kind, sender: Address, payload: Payload, held: Permit) -> Letter {
    Letter { kind, tag: 0, sender, via: 0, size: 0, body: Parcel { payload, reply: None, held: Some(held) } }
}

/// Bytes that a letter holds itself.
pub const INLINE: usize = 64;

impl Payload {
    #[inline]
    pub fn copy(bytes: &[u8]) -> Payload {
        let mut inline = Inline { bytes: [0; INLINE], len: bytes.len() };
        match inline.bytes.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Payload::Inline(inline)
            }
            None => Payload::Shared(Bytes::copy_from_slice(bytes)),
        }
    }
}

/// No bytes.
impl Default for Payload {
    fn default() -> Payload {
        Payload::Shared(Bytes::new())
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Payload::Inline(inline) => &inline.bytes[..inline.len],
            Payload::Shared(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        if bytes.len() <= INLINE { Payload::copy(&bytes) } else { Payload::Shared(bytes) }
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Bytes {
        match payload {
            Payload::Inline(..) => Bytes::copy_from_slice(&payload),
            Payload::Shared(bytes) => bytes,
        }
    }
}

impl From<Payload> for Parcel {
    fn from(payload: Payload) -> Parcel {
        Parcel { payload, reply: None, held: None }
    }
}

impl ReplyTo {
    pub(super) fn new(requester: &Arc<Control>, number: u64) -> ReplyTo {
        ReplyTo { requester: Requester::Here(Arc::clone(requester), number), read: false }
    }

    /// Who asked is told in another way.
    pub(super) fn forget(mut self) {
        self.requester = Requester::Answered;
    }

    /// To a coroutine of another node.
    pub fn away(replier: Box<dyn Replier>) -> ReplyTo {
        ReplyTo { requester: Requester::Away(replier), read: false }
    }

    /// Gives the answer; `false` when it is no longer awaited. Refused, it may be tried again. Errors: overloaded.
    pub fn answer(mut self, payload: Payload, held: Option<Permit>) -> Result<bool, (ReplyTo, Refusal)> {
        match std::mem::take(&mut self.requester) {
            Requester::Here(requester, number) => Ok(requester.answer(number, payload, held)),
            Requester::Away(replier) => match replier.answer(&payload) {
                Ok(awaited) => Ok(awaited),
                Err(refusal) => {
                    self.requester = Requester::Away(replier);
                    Err((self, refusal))
                }
            },
            Requester::Answered => Ok(false),
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        match std::mem::take(&mut self.requester) {
            Requester::Here(requester, number) => requester.leave_unanswered(number, self.read),
            Requester::Away(replier) => replier.unanswered(self.read),
            Requester::Answered => {}
        }
    }
}
