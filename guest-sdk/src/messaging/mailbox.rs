//! The mailbox of this coroutine as values: messages of one type, and what the node itself has to say, in their order.

use super::message::{self, Message};
use super::{Filter, Kind, Reply};
use crate::address::Address;
use crate::cbor::{from_cbor, from_node};
use crate::error::{Code, Error};
use crate::exit::Exit;
use crate::incoming::Incoming;
use crate::node::Peer;
use crate::swap::SwapRequest;
use crate::sys::MessageHead;
use crate::time::{FOREVER, nanoseconds};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// This coroutine's mailbox, read as messages of type `T` whose answers are of type `R`. There is one mailbox a coroutine:
/// several of these read from the same, each by its own filter.
///
/// ```no_run
/// use corovan_guest::messaging::{Mailbox, Received};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug)]
/// enum Question {
///     Add(i64),
///     Total,
/// }
///
/// #[corovan_guest::coroutine]
/// fn counter() -> Result<(), corovan_guest::Error> {
///     let mailbox = Mailbox::<Question, i64>::new();
///     let mut total = 0;
///     loop {
///         match mailbox.receive()? {
///             Received::Message(question) => {
///                 if let Question::Add(n) = question.value {
///                     total += n;
///                 }
///                 if let Some(reply) = question.reply {
///                     reply.send(&total)?;
///                 }
///             }
///             other => eprintln!("not expected: {other:?}"),
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub struct Mailbox<T, R: ?Sized = ()> {
    filter: Filter,
    values: PhantomData<fn() -> T>,
    answers: PhantomData<fn(&R)>,
}

/// A message of another coroutine, a client or a channel.
#[derive(PartialEq, Eq, Debug)]
pub struct Envelope<T, R: ?Sized = ()> {
    /// What the sender chose.
    pub tag: u64,
    pub sender: Address,
    pub value: T,
    /// Where an answer is awaited.
    pub reply: Option<Reply<R>>,
}

impl<T, R: ?Sized> Envelope<T, R> {
    /// Answers, where an answer is awaited: what a server does at the end of each turn. Nothing is sent, and nothing wrong, for
    /// a message that is no request, or where whoever asked no longer waits: a server goes on for others. Where the value was
    /// moved out of the message, or the answer is given later, use its [`reply`](Envelope::reply).
    ///
    /// # Errors
    /// `too-large`; `overloaded` when a quota is used up, and it may be tried again; `node-lost`; `invalid` for a value
    /// without CBOR form.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    ///
    /// /// Tells how long what it is sent is.
    /// #[corovan_guest::coroutine]
    /// fn lengths() -> Result<(), corovan_guest::Error> {
    ///     let mailbox = Mailbox::<String, usize>::new();
    ///     loop {
    ///         let question = mailbox.next()?;
    ///         question.answer(&question.value.len())?;
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    pub fn answer(&self, value: &R) -> Result<(), Error>
    where
        R: Serialize,
    {
        match self.reply.as_ref().map(|reply| reply.send(value)) {
            Some(Err(error)) if error.code != Code::Gone => Err(error),
            _ => Ok(()),
        }
    }
}

/// What came.
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Received<T, R: ?Sized = ()> {
    /// A message.
    Message(Envelope<T, R>),
    /// A message that is not of type `T`, as it came, and why. It is no error of `receive`: whoever may send to a server
    /// could end it with one.
    Unreadable { message: Message, why: String },
    /// A monitored coroutine ended.
    Exit(Exit),
    /// A timer of one's own, see [`send_after`](crate::time::send_after); [`from_cbor`](crate::from_cbor) reads the bytes.
    Timer { tag: u64, bytes: Vec<u8> },
    /// A name that this coroutine held belongs to another now.
    NameLost(String),
    /// Asked to go on as another function.
    Swap(SwapRequest),
    /// Peers came, changed or went, see [`watch_peers`](crate::node::watch_peers).
    Peers(Vec<Peer>),
    /// A coroutine was made of the service of this name, see [`serve_watched`](crate::services::serve_watched).
    Called { name: String, made: Address },
    /// Of a kind newer than this SDK.
    Other(Message),
}

impl<T: DeserializeOwned, R: ?Sized> Mailbox<T, R> {
    /// Everything in this coroutine's mailbox.
    pub const fn new() -> Mailbox<T, R> {
        Mailbox::filtered(Filter::any())
    }

    /// Only what the filter chooses; the others stay in their place and order.
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
    pub const fn filtered(filter: Filter) -> Mailbox<T, R> {
        Mailbox { filter, values: PhantomData, answers: PhantomData }
    }

    /// Waits for the next, of any kind.
    ///
    /// # Errors
    /// `interrupted`; `overloaded` when the mailbox is full and has none that the filter chooses.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// println!("{:?}", Mailbox::<String>::new().receive()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive(&self) -> Result<Received<T, R>, Error> {
        let (head, bytes) = message::received(&self.filter, FOREVER)?;
        Ok(read(&head, bytes))
    }

    /// Waits for the next so long; zero only looks. `None` when there was none.
    ///
    /// # Errors
    /// As [`receive`](Mailbox::receive).
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// while let Some(received) = Mailbox::<String>::new().receive_within(Duration::from_secs(1))? {
    ///     println!("{received:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_within(&self, limit: Duration) -> Result<Option<Received<T, R>>, Error> {
        match message::received(&self.filter, nanoseconds(limit)) {
            Ok((head, bytes)) => Ok(Some(read(&head, bytes))),
            Err(error) if error.code == Code::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next message of another coroutine, a client or a channel; what the node has to tell stays. For programs
    /// that expect nothing else.
    ///
    /// # Errors
    /// As [`receive`](Mailbox::receive); `invalid` for a message of another type, which is lost.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let number: u32 = corovan_guest::messaging::Mailbox::<_>::new().next()?.value;
    /// # Ok(())
    /// # }
    /// ```
    pub fn next(&self) -> Result<Envelope<T, R>, Error> {
        let (head, bytes) = message::received(&self.messages(), FOREVER)?;
        value(&head, bytes)
    }

    /// The same for so long; zero only looks. `None` when there was none.
    ///
    /// # Errors
    /// As [`next`](Mailbox::next).
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let mailbox = Mailbox::<String>::new();
    /// while let Some(message) = mailbox.next_within(Duration::ZERO)? {
    ///     println!("{}", message.value);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_within(&self, limit: Duration) -> Result<Option<Envelope<T, R>>, Error> {
        match message::received(&self.messages(), nanoseconds(limit)) {
            Ok((head, bytes)) => value(&head, bytes).map(Some),
            Err(error) if error.code == Code::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn messages(&self) -> Filter {
        self.filter.kind(Kind::Message)
    }
}

impl<T: DeserializeOwned, R: ?Sized> Default for Mailbox<T, R> {
    fn default() -> Mailbox<T, R> {
        Mailbox::new()
    }
}

/// A message that can only be one with a value: without the code that reads all other kinds.
fn value<T: DeserializeOwned, R: ?Sized>(head: &MessageHead, bytes: Incoming) -> Result<Envelope<T, R>, Error> {
    let (tag, sender) = (head.tag, Address::from_bytes(head.sender));
    match from_cbor(bytes.bytes()) {
        Ok(value) => Ok(Envelope { tag, sender, value, reply: Reply::new(head.reply) }),
        Err(error) => Err(Error::new(error.code, format!("a message of {sender}: {}", error.detail))),
    }
}

fn read<T: DeserializeOwned, R: ?Sized>(head: &MessageHead, bytes: Incoming) -> Received<T, R> {
    let (tag, sender) = (head.tag, Address::from_bytes(head.sender));
    let text = |bytes: &Incoming| String::from_utf8_lossy(bytes.bytes()).into_owned();
    match Kind::from_number(head.kind) {
        Kind::Message => match from_cbor(bytes.bytes()) {
            Ok(value) => Received::Message(Envelope { tag, sender, value, reply: Reply::new(head.reply) }),
            Err(error) => Received::Unreadable { message: message::message(head, bytes), why: error.detail },
        },
        Kind::Exit => match from_node(bytes.bytes()) {
            Ok(exit) => Received::Exit(exit),
            Err(error) => Received::Unreadable { message: message::message(head, bytes), why: error.detail },
        },
        Kind::Timer => Received::Timer { tag, bytes: bytes.into_vec() },
        Kind::NameLost => Received::NameLost(text(&bytes)),
        Kind::Swap => Received::Swap(SwapRequest { function: text(&bytes), sender }),
        Kind::Peers => match from_node(bytes.bytes()) {
            Ok(peers) => Received::Peers(peers),
            Err(error) => Received::Unreadable { message: message::message(head, bytes), why: error.detail },
        },
        Kind::Called => Received::Called { name: text(&bytes), made: sender },
        Kind::Unknown(_) => Received::Other(message::message(head, bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::to_cbor;

    fn received(kind: Kind, reply: u64, bytes: &[u8]) -> Received<u8, str> {
        read(&MessageHead { kind: kind.number(), tag: 4, reply, ..MessageHead::EMPTY }, Incoming::of(bytes))
    }

    #[test]
    fn every_kind_of_message_is_told_apart() {
        let sender = Address::from_bytes([0; 32]);
        let envelope = |reply| Received::Message(Envelope { tag: 4, sender, value: 42, reply: Reply::new(reply) });
        assert_eq!(received(Kind::Message, 0, &[0x18, 42]), envelope(0));
        assert_eq!(received(Kind::Message, 7, &[0x18, 42]), envelope(7));
        assert_eq!(received(Kind::Timer, 0, &[1]), Received::Timer { tag: 4, bytes: vec![1] });
        assert_eq!(received(Kind::NameLost, 0, b"me"), Received::NameLost("me".into()));
        let swap = SwapRequest { function: "f".into(), sender };
        assert_eq!(received(Kind::Swap, 0, b"f"), Received::Swap(swap));
        assert_eq!(received(Kind::Peers, 0, &[0x80]), Received::Peers(Vec::new()));
        assert!(matches!(received(Kind::Peers, 0, &[2]), Received::Unreadable { .. }));
        assert_eq!(received(Kind::Called, 0, b"f"), Received::Called { name: "f".into(), made: sender });
        assert!(matches!(received(Kind::Unknown(77), 0, &[3]), Received::Other(Message { bytes, .. }) if bytes == [3]));
    }

    #[test]
    fn a_message_of_another_type_is_given_as_it_came_with_the_right_to_answer() {
        let text = to_cbor("no number").unwrap();
        let Received::Unreadable { message, why } = received(Kind::Message, 7, &text) else { panic!("unreadable") };
        assert_eq!((message.bytes, message.tag, message.reply.is_some()), (text, 4, true));
        assert_eq!(why, "expected a whole number from 0 to 255, found \"no number\"");
        assert!(matches!(received(Kind::Exit, 0, &[0x18, 42]), Received::Unreadable { .. }));
    }
}
