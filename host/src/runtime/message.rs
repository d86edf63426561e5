//! Messages as they lie in mailboxes: what a letter carries, and who is to be told of its answer.

use super::control::Control;
use bytes::Bytes;
pub use corovan_core::sync::mailbox::{Filter, Kind};
use corovan_core::tenancy::quota::Permit;
use std::ops::Deref;
use std::sync::Arc;

/// A message in a mailbox.
pub type Letter = corovan_core::sync::mailbox::Letter<Parcel>;

/// A message's bytes: small ones lie in the letter itself, so that they cost no allocation; larger ones are shared.
#[derive(Clone, Debug)]
pub enum Payload {
    Inline(u8, [u8; INLINE]),
    Shared(Bytes),
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
    requester: Option<Arc<Control>>,
    number: u64,
    /// The request has been received.
    pub read: bool,
}

/// Bytes that a letter holds itself.
pub const INLINE: usize = 64;

impl Payload {
    #[inline]
    pub fn copy(bytes: &[u8]) -> Payload {
        match u8::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= INLINE => {
                let mut inline = [0; INLINE];
                inline[..bytes.len()].copy_from_slice(bytes);
                Payload::Inline(len, inline)
            }
            _ => Payload::Shared(Bytes::copy_from_slice(bytes)),
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
            Payload::Inline(len, bytes) => &bytes[..usize::from(*len)],
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
        ReplyTo { requester: Some(Arc::clone(requester)), number, read: false }
    }

    /// Gives the answer; `false` when it is no longer awaited.
    pub fn answer(mut self, payload: Payload, held: Option<Permit>) -> bool {
        self.requester.take().is_some_and(|requester| requester.answer(self.number, payload, held))
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(requester) = self.requester.take() {
            requester.leave_unanswered(self.number, self.read);
        }
    }
}
