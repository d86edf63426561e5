//! Messages: from mailbox to mailbox, in order for each pair, at most once, never in part.
//!
//! A message is any value serde knows, with a tag (0 where none is given) and its sender's address. [`Address`] sends;
//! a [`Mailbox`] receives values of one type and, in the same order, what the node has to tell. For bytes as they are there
//! are [`Address::send_bytes`] and [`receive`].
//!
//! ```no_run
//! use corovan_guest::messaging::{Mailbox, Received};
//!
//! /// Adds what it is sent, until its parent has ended or a minute was quiet.
//! #[corovan_guest::coroutine]
//! fn adder(parent: corovan_guest::Address) -> Result<u64, corovan_guest::Error> {
//!     parent.monitor()?;
//!     let (mailbox, mut sum) = (Mailbox::<u64>::new(), 0);
//!     loop {
//!         match mailbox.receive()? {
//!             Received::Message(message) => sum += message.value,
//!             Received::Exit(_) => return Ok(sum),
//!             _ => {}
//!         }
//!     }
//! }
//! # fn main() {}
//! ```

use crate::address::Address;
use crate::error::{Code, Error, check};
use crate::exit::Exit;
use crate::swap::SwapRequest;
use crate::time::nanoseconds;
use crate::{parts, sys, values};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// Sending; each of these waits while the receiver's mailbox has no room. `None` waits for ever, zero not at all.
///
/// # Errors
/// `gone` (it has ended), `denied` (another tenant's), `overloaded` (no room and no time, or one's own full mailbox),
/// `too-large` (over 1 MiB), `timeout`, `node-lost`, `interrupted`. After `gone`, `denied`, `overloaded`, `too-large` it was
/// certainly not sent.
impl Address {
    /// Sends a value with tag 0.
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
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// const URGENT: u64 = 1;
    /// server.send_tagged(URGENT, "stop", Some(Duration::from_secs(1)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_tagged<T: Serialize + ?Sized>(
        &self,
        tag: u64,
        value: &T,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.send_bytes(tag, &encode(value)?, timeout)
    }

    /// Sends bytes as they are.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.send_bytes(0, b"ping", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(&self, tag: u64, bytes: &[u8], timeout: Option<Duration>) -> Result<(), Error> {
        let (to, timeout) = (self.as_bytes().as_ptr(), wait_time(timeout));
        // SAFETY: the pointers are those of an address and a slice, which the node only reads.
        check(unsafe { sys::send(to, tag, bytes.as_ptr(), bytes.len(), timeout) }).map(drop)
    }

    /// Sends a value, and waits until it is in the receiver's mailbox, wherever that is.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// server.deliver(0, "started", Some(Duration::from_secs(5)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deliver<T: Serialize + ?Sized>(&self, tag: u64, value: &T, timeout: Option<Duration>) -> Result<(), Error> {
        let (bytes, to, timeout) = (encode(value)?, self.as_bytes().as_ptr(), wait_time(timeout));
        // SAFETY: the pointers are those of an address and a slice, which the node only reads.
        check(unsafe { sys::deliver(to, tag, bytes.as_ptr(), bytes.len(), timeout) }).map(drop)
    }

    /// Sends a value and waits for the answer: the receiver gives it with [`Reply::send`].
    ///
    /// # Errors
    /// As above, and `closed`: it was received, and will not be answered; `invalid`: the answer is of another type.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let calculator = corovan_guest::self_address();
    /// let sum: i64 = calculator.request(&("add", 2, 3), Some(Duration::from_secs(1)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<Q: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        value: &Q,
        timeout: Option<Duration>,
    ) -> Result<R, Error> {
        let answer = self.request_bytes(0, &encode(value)?, timeout)?;
        decode(&answer)
    }

    /// The same with a tag and bytes as they are.
    ///
    /// # Errors
    /// As [`Address::request`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// let answer: Vec<u8> = server.request_bytes(0, b"time?", None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_bytes(&self, tag: u64, bytes: &[u8], timeout: Option<Duration>) -> Result<Vec<u8>, Error> {
        let (to, timeout) = (self.as_bytes().as_ptr(), wait_time(timeout));
        let (mut header, mut buffer) = (sys::Header::default(), Vec::with_capacity(parts::FIRST_TRY));
        let (buf, cap) = (buffer.as_mut_ptr(), buffer.capacity());
        // SAFETY: the pointers are those of an address, a slice, a header and a buffer of `cap` bytes.
        let size =
            check(unsafe { sys::request(to, tag, bytes.as_ptr(), bytes.len(), timeout, &raw mut header, buf, cap) })?;
        parts::fill(buffer, size, header.token)
    }
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// From a coroutine or client.
    Message,
    /// A monitored coroutine ended.
    Exit,
    /// A timer of one's own.
    Timer,
    /// A name was lost to another holder.
    NameLost,
    /// A hot swap is asked for.
    Swap,
    /// The nodes of the mesh changed.
    Peers,
    /// What a later version sends.
    Unknown(u32),
}

/// Which messages to receive; what is not chosen stays, in its order.
///
/// ```no_run
/// use corovan_guest::messaging::{Filter, receive};
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// # let server = corovan_guest::self_address();
/// let answer = receive(&Filter::any().tag(7).sender(server), None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    tag: Option<u64>,
    kind: Option<Kind>,
    sender: Option<Address>,
}

/// A message as it came.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    pub tag: u64,
    pub sender: Address,
    pub bytes: Vec<u8>,
    /// There where the sender waits for an answer.
    pub reply: Option<Reply>,
}

/// The right to answer a request, once. Kept as long as one likes; the requester learns `closed` when this coroutine has
/// ended without an answer.
#[derive(Debug)]
pub struct Reply(u64);

/// Receives values of one type. There is one mailbox a coroutine: several of these read from the same.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox<T> {
    filter: Filter,
    of: PhantomData<fn() -> T>,
}

/// A message, or what the node has to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received<T> {
    Message(Envelope<T>),
    /// A coroutine that this one monitors has ended.
    Exit(Exit),
    /// A timer to oneself: see [`crate::time::send_after`].
    Timer {
        tag: u64,
        bytes: Vec<u8>,
    },
    /// Another has the name now.
    NameLost(String),
    /// Another coroutine asks this one to go on as another function.
    Swap(SwapRequest),
    /// Something of a later version.
    Other(Message),
}

/// A value with what came with it.
#[derive(Debug)]
pub struct Envelope<T> {
    pub value: T,
    pub tag: u64,
    pub sender: Address,
    /// There where the sender waits for an answer.
    pub reply: Option<Reply>,
}

/// The oldest message that the filter takes. `None` waits for ever, zero only looks.
///
/// # Errors
/// `timeout`; `interrupted`, once; `overloaded`: the mailbox is full and nothing in it is chosen.
///
/// ```no_run
/// use corovan_guest::messaging::{Filter, receive};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let message = receive(&Filter::any(), Some(Duration::from_secs(5)))?;
/// println!("{} bytes from {}", message.bytes.len(), message.sender);
/// # Ok(())
/// # }
/// ```
pub fn receive(filter: &Filter, timeout: Option<Duration>) -> Result<Message, Error> {
    let raw = filter.raw();
    let filter = if *filter == Filter::any() { std::ptr::null() } else { &raw const raw };
    let (mut header, mut buffer) = (sys::Header::default(), Vec::with_capacity(parts::FIRST_TRY));
    let (buf, cap) = (buffer.as_mut_ptr(), buffer.capacity());
    // SAFETY: the pointers are null or those of a filter, a header and a buffer of `cap` bytes.
    let size = check(unsafe { sys::receive(wait_time(timeout), filter, &raw mut header, buf, cap) })?;
    Ok(Message {
        kind: Kind::from_number(header.kind),
        tag: header.tag,
        sender: Address::from_bytes(header.sender),
        bytes: parts::fill(buffer, size, header.token)?,
        reply: (header.reply != 0).then_some(Reply(header.reply)),
    })
}

impl Filter {
    /// Takes every message.
    pub const fn any() -> Filter {
        Filter { tag: None, kind: None, sender: None }
    }

    /// Takes messages with this tag.
    pub const fn tag(mut self, tag: u64) -> Filter {
        self.tag = Some(tag);
        self
    }

    /// Takes messages of this kind.
    pub const fn kind(mut self, kind: Kind) -> Filter {
        self.kind = Some(kind);
        self
    }

    /// Takes messages from this sender.
    pub const fn sender(mut self, sender: Address) -> Filter {
        self.sender = Some(sender);
        self
    }

    pub(crate) fn raw(&self) -> sys::Filter {
        let mut raw = sys::Filter { size: size_of::<sys::Filter>() as u32, ..sys::Filter::default() };
        if let Some(tag) = self.tag {
            raw.by |= sys::Filter::BY_TAG;
            raw.tag = tag;
        }
        if let Some(kind) = self.kind {
            raw.by |= sys::Filter::BY_KIND;
            raw.kind = kind.number();
        }
        if let Some(sender) = self.sender {
            raw.by |= sys::Filter::BY_SENDER;
            raw.sender = *sender.as_bytes();
        }
        raw
    }
}

impl Reply {
    /// Answers with a value.
    ///
    /// # Errors
    /// `gone`: the answer is no longer awaited; `too-large`, `overloaded`.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Mailbox, Received};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// if let Received::Message(question) = Mailbox::<(i64, i64)>::new().receive()?
    ///     && let Some(reply) = question.reply
    /// {
    ///     reply.send(&(question.value.0 + question.value.1))?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        let bytes = encode(value)?;
        self.send_bytes(&bytes)
    }

    /// Answers with bytes as they are.
    ///
    /// # Errors
    /// As [`Reply::send`].
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, receive};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// if let Some(reply) = receive(&Filter::any(), None)?.reply {
    ///     reply.send_bytes(b"pong")?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the pointer is that of a slice, which the node only reads.
        check(unsafe { sys::reply(self.0, bytes.as_ptr(), bytes.len()) }).map(drop)
    }
}

impl<T: DeserializeOwned> Mailbox<T> {
    /// Everything in this coroutine's mailbox.
    pub const fn new() -> Mailbox<T> {
        Mailbox { filter: Filter::any(), of: PhantomData }
    }

    /// Only what the filter takes; the rest stays in its order.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, Mailbox};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// const URGENT: u64 = 1;
    /// let urgent = Mailbox::<String>::filtered(Filter::any().tag(URGENT)).receive()?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn filtered(filter: Filter) -> Mailbox<T> {
        Mailbox { filter, of: PhantomData }
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// As [`receive`], and `invalid`: a message is not of this type; it is consumed, and the detail says what it was.
    pub fn receive(&self) -> Result<Received<T>, Error> {
        Received::from_message(receive(&self.filter, None)?)
    }

    /// Waits for the next, so long; zero only looks. `None` when there was none.
    ///
    /// # Errors
    /// As [`Mailbox::receive`], but for `timeout`.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// while let Some(message) = Mailbox::<String>::new().receive_within(Duration::from_secs(1))? {
    ///     println!("{message:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_within(&self, timeout: Duration) -> Result<Option<Received<T>>, Error> {
        match receive(&self.filter, Some(timeout)) {
            Ok(message) => Received::from_message(message).map(Some),
            Err(error) if error.code == Code::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next value, and passes over what the node has to tell.
    ///
    /// # Errors
    /// As [`Mailbox::receive`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let number: u32 = corovan_guest::messaging::Mailbox::new().next()?.value;
    /// # Ok(())
    /// # }
    /// ```
    pub fn next(&self) -> Result<Envelope<T>, Error> {
        let only = Mailbox::<T>::filtered(self.filter.kind(Kind::Message));
        loop {
            if let Received::Message(envelope) = only.receive()? {
                return Ok(envelope);
            }
        }
    }
}

impl<T: DeserializeOwned> Default for Mailbox<T> {
    fn default() -> Self {
        Mailbox::new()
    }
}

impl<T: DeserializeOwned> Received<T> {
    fn from_message(message: Message) -> Result<Received<T>, Error> {
        let Message { kind, tag, sender, bytes, reply } = message;
        Ok(match kind {
            Kind::Message => Received::Message(Envelope {
                value: decode(&bytes)
                    .map_err(|error| Error::new(error.code, format!("from {sender}: {}", error.detail)))?,
                tag,
                sender,
                reply,
            }),
            Kind::Exit => Received::Exit(Exit::decode(&bytes).map_err(|text| Error::new(Code::Invalid, text))?),
            Kind::Timer => Received::Timer { tag, bytes },
            Kind::NameLost => Received::NameLost(String::from_utf8_lossy(&bytes).into_owned()),
            Kind::Swap => Received::Swap(SwapRequest::new(sender, String::from_utf8_lossy(&bytes).into_owned())),
            Kind::Peers | Kind::Unknown(_) => Received::Other(Message { kind, tag, sender, bytes, reply }),
        })
    }
}

impl Kind {
    fn from_number(number: u32) -> Kind {
        match number {
            0 => Kind::Message,
            1 => Kind::Exit,
            2 => Kind::Timer,
            3 => Kind::NameLost,
            4 => Kind::Swap,
            5 => Kind::Peers,
            other => Kind::Unknown(other),
        }
    }

    fn number(self) -> u32 {
        match self {
            Kind::Message => 0,
            Kind::Exit => 1,
            Kind::Timer => 2,
            Kind::NameLost => 3,
            Kind::Swap => 4,
            Kind::Peers => 5,
            Kind::Unknown(other) => other,
        }
    }
}

/// How the interface takes a time to wait.
pub(crate) fn wait_time(timeout: Option<Duration>) -> u64 {
    timeout.map_or(u64::MAX, nanoseconds)
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    values::encode(value).map_err(|text| Error::new(Code::Invalid, text))
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    values::decode(bytes).map_err(|text| Error::new(Code::Invalid, text))
}

impl<T> Received<T> {
    /// Whether this is the message of that timer, by its tag.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// const TICK: u64 = 1;
    /// if Mailbox::<String>::new().receive()?.is_timer(TICK) {
    ///     println!("tick");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_timer(&self, tag: u64) -> bool {
        matches!(self, Received::Timer { tag: other, .. } if *other == tag)
    }
}
