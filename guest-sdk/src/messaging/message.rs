//! Messages as they come: for bytes that are no CBOR, and for receivers that do not know what comes.

use super::{Filter, Kind, Reply};
use crate::Value;
use crate::address::Address;
use crate::error::{Error, check};
use crate::incoming::Incoming;
use crate::sys::{self, MessageHead};
use crate::time::timeout;
use std::time::Duration;

/// A message as it came.
#[derive(PartialEq, Eq, Debug)]
pub struct Message {
    pub kind: Kind,
    /// What the sender chose.
    pub tag: u64,
    pub sender: Address,
    pub bytes: Vec<u8>,
    /// Where an answer is awaited.
    pub reply: Option<Reply<Value>>,
}

/// The oldest message that the filter chooses, of any kind; the others stay in their place and order.
///
/// # Errors
/// `timeout`; `interrupted`; `overloaded` when the mailbox is full and has none that the filter chooses.
///
/// ```no_run
/// use corovan_guest::messaging::{Filter, receive};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let message = receive(&Filter::any().tag(3), Duration::from_secs(1))?;
/// println!("{} bytes from {}", message.bytes.len(), message.sender);
/// # Ok(())
/// # }
/// ```
pub fn receive(filter: &Filter, limit: impl Into<Option<Duration>>) -> Result<Message, Error> {
    let (head, bytes) = received(filter, timeout(limit))?;
    Ok(message(&head, bytes))
}

/// A WASI descriptor that `poll_oneoff` finds readable when a receive of any message would not wait: for event loops that can
/// wait there alone. The same every time.
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

pub(super) fn received(filter: &Filter, limit: u64) -> Result<(MessageHead, Incoming), Error> {
    let filter = filter.raw();
    let filter = filter.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut head = MessageHead::EMPTY;
    let bytes = Incoming::get(|buf, cap| {
        // SAFETY: the filter is null or read as what it is; `head` has room for the 64 bytes of a head, and `buf` for `cap`.
        let result = unsafe { sys::receive(limit, filter, &raw mut head, buf, cap) };
        (result, head.token)
    })?;
    Ok((head, bytes))
}

pub(super) fn message(head: &MessageHead, bytes: Incoming) -> Message {
    Message {
        kind: Kind::from_number(head.kind),
        tag: head.tag,
        sender: Address::from_bytes(head.sender),
        bytes: bytes.into_vec(),
        reply: Reply::new(head.reply),
    }
}
