//! Sending: to one's own node or another, with or without waiting for it to arrive or to be answered.
//!
//! What a sending call can know: after `gone`, `denied`, `overloaded` and `too-large` it had no effect; after `timeout`,
//! `node-lost` and `interrupted` the message may still arrive, at most once.

use crate::address::Address;
use crate::cbor::{from_cbor, with_cbor};
use crate::error::{Error, check};
use crate::incoming::Incoming;
use crate::sys::{self, MessageHead};
use crate::time::timeout;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Sending to it. Each call waits while there is no room in its mailbox.
impl Address {
    /// Sends a value with tag 0: done when it is in the mailbox of a coroutine of this node, or on its way to another node.
    ///
    /// # Errors
    /// `gone` (it has ended); `denied` (another tenant's); `too-large` (1 MiB); `overloaded` for one's own full mailbox;
    /// `node-lost`; `interrupted`; `invalid` for a value without CBOR form.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.send(&("add", 7))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        self.send_tagged(0, value, None)
    }

    /// Sends a value with a tag that the receiver can choose by.
    ///
    /// # Errors
    /// As [`send`](Address::send); `timeout`; `overloaded` for a limit of zero without room.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// const URGENT: u64 = 1;
    /// server.send_tagged(URGENT, "stop", Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_tagged<T: Serialize + ?Sized>(
        &self,
        tag: u64,
        value: &T,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        with_cbor(value, |bytes| self.send_bytes(tag, bytes, limit))
    }

    /// Sends bytes of any kind.
    ///
    /// # Errors
    /// As [`send_tagged`](Address::send_tagged).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let viewer = corovan_guest::self_address();
    /// viewer.send_bytes(3, &[0xff, 0xd8, 0xff], None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        let (to, limit) = (self.as_bytes().as_ptr(), timeout(limit));
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
        check(unsafe { sys::send(to, tag, bytes.as_ptr(), bytes.len(), limit) }).map(drop)
    }

    /// Sends a value, and waits until it is in the receiver's mailbox, wherever that is.
    ///
    /// # Errors
    /// As [`send_tagged`](Address::send_tagged).
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.deliver(0, "started", Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliver<T: Serialize + ?Sized>(
        &self,
        tag: u64,
        value: &T,
        limit: impl Into<Option<Duration>>,
    ) -> Result<(), Error> {
        with_cbor(value, |bytes| self.deliver_bytes(tag, bytes, limit))
    }

    /// [`deliver`](Address::deliver) for bytes of any kind.
    ///
    /// # Errors
    /// As [`send_tagged`](Address::send_tagged).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let viewer = corovan_guest::self_address();
    /// viewer.deliver_bytes(3, b"the last one", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliver_bytes(&self, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<(), Error> {
        let (to, limit) = (self.as_bytes().as_ptr(), timeout(limit));
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
        check(unsafe { sys::deliver(to, tag, bytes.as_ptr(), bytes.len(), limit) }).map(drop)
    }

    /// Sends a value with tag 0 and waits for the answer, which comes by a [`Reply`](super::Reply). The limit is for both.
    ///
    /// # Errors
    /// As [`send_tagged`](Address::send_tagged); `closed` when it was received and will not be answered; `invalid` also for an
    /// answer of another type.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let calculator = corovan_guest::self_address();
    /// let sum: i64 = calculator.request(&("add", 2, 3), Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<Q: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        question: &Q,
        limit: impl Into<Option<Duration>>,
    ) -> Result<R, Error> {
        self.request_tagged(0, question, limit)
    }

    /// [`request`](Address::request) with a tag that the receiver can choose by.
    ///
    /// # Errors
    /// As [`request`](Address::request).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let calculator = corovan_guest::self_address();
    /// let total: i64 = calculator.request_tagged(1, "total", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_tagged<Q: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        tag: u64,
        question: &Q,
        limit: impl Into<Option<Duration>>,
    ) -> Result<R, Error> {
        let limit = timeout(limit);
        let answer = with_cbor(question, |bytes| requested(self, tag, bytes, limit))?;
        let wrong = |error: Error| Error::new(error.code, format!("the answer of {self}: {}", error.detail));
        from_cbor(answer.bytes()).map_err(wrong)
    }

    /// The same for bytes of any kind.
    ///
    /// # Errors
    /// As [`request`](Address::request).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// let answer: Vec<u8> = server.request_bytes(0, b"time?", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_bytes(&self, tag: u64, bytes: &[u8], limit: impl Into<Option<Duration>>) -> Result<Vec<u8>, Error> {
        requested(self, tag, bytes, timeout(limit)).map(Incoming::into_vec)
    }
}

fn requested(to: &Address, tag: u64, bytes: &[u8], limit: u64) -> Result<Incoming, Error> {
    let mut head = MessageHead::EMPTY;
    Incoming::get(|buf, cap| {
        let (address, len) = (to.as_bytes().as_ptr(), bytes.len());
        // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length; `head` has room for the
        // 64 bytes of a head, and `buf` for `cap` bytes.
        let result = unsafe { sys::request(address, tag, bytes.as_ptr(), len, limit, &raw mut head, buf, cap) };
        (result, head.token)
    })
}
