//! The right to answer a request, once.

use crate::cbor::with_cbor;
use crate::error::{Error, check};
use crate::sys;
use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;

/// Answers a request, once: whoever asked waits for it in [`request`](crate::Address::request). It may be kept and used later; when
/// this coroutine ends without using it, the other side gets `closed`.
///
/// `R` is the type of the answer, by which a server cannot answer with another by mistake.
#[must_use = "somebody waits for the answer"]
pub struct Reply<R: ?Sized> {
    number: NonZeroU64,
    answer: PhantomData<fn(&R)>,
}

impl<R: ?Sized> Reply<R> {
    /// Of a message's head; `None` where no reply is awaited.
    pub(super) fn new(number: u64) -> Option<Reply<R>> {
        NonZeroU64::new(number).map(|number| Reply { number, answer: PhantomData })
    }

    /// Answers. Done once, it is done; after `overloaded`, `too-large` and `invalid` nothing was sent, and it may be tried
    /// again.
    ///
    /// # Errors
    /// `gone` when it is no longer awaited, or was given before; `too-large`; `overloaded` when a quota is used up;
    /// `node-lost`; `invalid` for a value without CBOR form. A server that goes on for others does not end for `gone`: see
    /// [`Envelope::answer`](super::Envelope::answer).
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let question = Mailbox::<String, usize>::new().next()?;
    /// if let Some(reply) = question.reply {
    ///     reply.send(&question.value.len())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, value: &R) -> Result<(), Error>
    where
        R: Serialize,
    {
        with_cbor(value, |bytes| self.give(bytes))
    }

    /// Answers with bytes of any kind, for a [`request_bytes`](crate::Address::request_bytes).
    ///
    /// # Errors
    /// As [`send`](Reply::send).
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, receive};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let question = receive(&Filter::any(), None)?;
    /// if let Some(reply) = question.reply {
    ///     reply.send_bytes(&question.bytes)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.give(bytes)
    }

    /// The same for an answer of another type.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, receive};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// if let Some(reply) = receive(&Filter::any(), None)?.reply {
    ///     reply.typed::<str>().send("seen")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed<S: ?Sized>(self) -> Reply<S> {
        Reply { number: self.number, answer: PhantomData }
    }

    fn give(&self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the node reads a slice by its pointer and length.
        check(unsafe { sys::reply(self.number.get(), bytes.as_ptr(), bytes.len()) }).map(drop)
    }
}

impl<R: ?Sized> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.number)
    }
}

impl<R: ?Sized> PartialEq for Reply<R> {
    fn eq(&self, other: &Reply<R>) -> bool {
        self.number == other.number
    }
}

impl<R: ?Sized> Eq for Reply<R> {}
