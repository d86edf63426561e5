//! Messages as bytes of any kind: for formats of one's own, for data that is bytes already, and for receivers that do not
//! know what comes. What [`messaging`](super) says of its calls holds for these.

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

/// Sends bytes.
///
/// # Errors
/// As [`messaging::send`](super::send).
///
/// ```no_run
/// use corovan_guest::messaging::bytes;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let viewer = corovan_guest::self_address();
/// bytes::send(viewer, 3, &[0xff, 0xd8, 0xff], None)?;
/// # Ok(())
/// # }
/// ```
pub fn send(to: Address, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    sent(to, tag, bytes, timeout(limit))
}

/// Sends bytes and waits until they are in the receiver's mailbox.
///
/// # Errors
/// As [`messaging::send`](super::send).
///
/// ```no_run
/// use corovan_guest::messaging::bytes;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let viewer = corovan_guest::self_address();
/// bytes::deliver(viewer, 3, b"the last one", None)?;
/// # Ok(())
/// # }
/// ```
pub fn deliver(to: Address, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
    delivered(to, tag, bytes, timeout(limit))
}

/// The oldest message that the filter chooses, of any kind.
///
/// # Errors
/// `timeout`; `interrupted`; `overloaded` when the mailbox is full and has none that the filter chooses.
///
/// ```no_run
/// use corovan_guest::messaging::{Filter, bytes};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let message = bytes::receive(&Filter::ALL.tag(3), Duration::from_secs(1))?;
/// println!("{} bytes from {}", message.bytes.len(), message.sender);
/// # Ok(())
/// # }
/// ```
pub fn receive(filter: &Filter, limit: impl Into<Option<Duration>>) -> Result<Message, Error> {
    let (head, bytes) = received(filter, timeout(limit))?;
    Ok(message(&head, bytes))
}

/// Sends bytes and waits for the answer to them.
///
/// # Errors
/// As [`messaging::request`](super::request).
///
/// ```no_run
/// use corovan_guest::messaging::bytes;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// let answer = bytes::request(server, 0, b"GET /", None)?;
/// # Ok(())
/// # }
/// ```
pub fn request(to: Address, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<Vec<u8>, Error> {
    requested(to, tag, bytes, timeout(limit)).map(Incoming::into_vec)
}

pub(super) fn sent(to: Address, tag: u64, bytes: &[u8], limit: u64) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
    check(unsafe { sys::send(to.as_bytes().as_ptr(), tag, bytes.as_ptr(), bytes.len(), limit) }).map(drop)
}

pub(super) fn delivered(to: Address, tag: u64, bytes: &[u8], limit: u64) -> Result<(), Error> {
    // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
    check(unsafe { sys::deliver(to.as_bytes().as_ptr(), tag, bytes.as_ptr(), bytes.len(), limit) }).map(drop)
}

pub(super) fn requested(to: Address, tag: u64, bytes: &[u8], limit: u64) -> Result<Incoming, Error> {
    let mut head = MessageHead::EMPTY;
    Incoming::get(|buf, cap| {
        let (address, len) = (to.as_bytes().as_ptr(), bytes.len());
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length; `head` has room for the
        // 64 bytes of a head, and `buf` for `cap` bytes.
        let result = unsafe { sys::request(address, tag, bytes.as_ptr(), len, limit, &raw mut head, buf, cap) };
        (result, head.token)
    })
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
