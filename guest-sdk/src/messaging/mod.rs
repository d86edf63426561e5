//! From mailbox to mailbox. Every coroutine has one, which is bounded and in order: messages of one sender arrive in the
//! order they were sent, at most once, never in part.
//!
//! Values travel as CBOR and are of any type that serde knows; [`bytes`] has the same for bytes of any kind. Every call
//! that can wait takes a limit: a `Duration`, zero to only look, `None` for ever.
//!
//! What a sending call can know: after `gone`, `denied`, `overloaded` and `too-large` it had no effect; after `timeout`,
//! `node-lost` and `interrupted` the message may still arrive, at most once.

pub mod bytes;

mod filter;
mod mailbox;
mod reply;

pub use filter::{Filter, Kind};
pub use mailbox::{Envelope, Mailbox, Received};
pub use reply::Reply;

use crate::address::Address;
use crate::cbor::{from_cbor, with_cbor};
use crate::error::{Error, check};
use crate::sys;
use crate::time::timeout;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Sends a value: done when it is in the mailbox of a coroutine of this node, or on its way to one of another node. Where
/// there is no room, this coroutine waits. `tag` is for the receiver to choose by; 0 where it does not.
///
/// # Errors
/// `gone`; `denied`; `too-large` (1 MiB); `overloaded` for a limit of zero without room, or when it is one's own mailbox that
/// is full; `timeout`; `node-lost`; `interrupted`; `invalid` for a value without CBOR form.
///
/// ```no_run
/// use corovan_guest::messaging;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// messaging::send(server, 0, &("add", 3), None)?;
/// # Ok(())
/// # }
/// ```
pub fn send<T: Serialize + ?Sized>(
    to: Address,
    tag: u64,
    value: &T,
    limit: impl Into<Option<Duration>>,
) -> Result<(), Error> {
    let limit = timeout(limit);
    with_cbor(value, |message| bytes::sent(to, tag, message, limit))
}

/// [`send`] that waits until the message is in the receiver's mailbox, also on another node.
///
/// # Errors
/// As [`send`].
///
/// ```no_run
/// use corovan_guest::messaging;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// messaging::deliver(server, 0, "are you there?", Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn deliver<T: Serialize + ?Sized>(
    to: Address,
    tag: u64,
    value: &T,
    limit: impl Into<Option<Duration>>,
) -> Result<(), Error> {
    let limit = timeout(limit);
    with_cbor(value, |message| bytes::delivered(to, tag, message, limit))
}

/// Sends a value and waits for the [`Reply`] to it. The limit is for both.
///
/// # Errors
/// As [`send`]; `gone` also when the other side has ended, or given up the reply, without an answer; `invalid` also when
/// the answer is not of this type.
///
/// ```no_run
/// use corovan_guest::messaging;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// let sum: i64 = messaging::request(server, 0, &("add", 3), Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
pub fn request<R: DeserializeOwned, Q: Serialize + ?Sized>(
    to: Address,
    tag: u64,
    question: &Q,
    limit: impl Into<Option<Duration>>,
) -> Result<R, Error> {
    let limit = timeout(limit);
    let answer = with_cbor(question, |message| bytes::requested(to, tag, message, limit))?;
    from_cbor(answer.bytes())
}

/// A WASI descriptor that `poll_oneoff` finds readable when there is a message: for event loops that can wait there alone.
///
/// # Errors
/// `unsupported` where the node does not have it.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let descriptor = corovan_guest::messaging::mailbox_fd()?;
/// # Ok(())
/// # }
/// ```
pub fn mailbox_fd() -> Result<u32, Error> {
    // SAFETY: takes nothing.
    check(unsafe { sys::mailbox_fd() }).map(|descriptor| descriptor as u32)
}
