//! The mailbox of this coroutine as values: messages of one type, and what the node itself has to say, in their order.

use super::bytes::{self, Message};
use super::{Filter, Kind, Reply};
use crate::address::Address;
use crate::cbor::from_cbor;
use crate::error::{Code, Error};
use crate::exit::Exit;
use crate::incoming::Incoming;
use crate::swap::SwapRequest;
use crate::sys::MessageHead;
use crate::time::timeout;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// This coroutine's mailbox, read as messages of type `T` whose answers are of type `R`. It holds nothing itself: there is
/// one mailbox, and any number of ways to look at it.
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
///                     reply.answer(&total)?;
///                 }
///             }
///             other => eprintln!("not expected: {other:?}"),
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub struct Mailbox<T, R: ?Sized = ()> {
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
    /// The peers changed: the list, in CBOR.
    Peers { bytes: Vec<u8> },
    /// Of a kind newer than this SDK.
    Other(Message),
}

impl<T: DeserializeOwned, R: ?Sized> Mailbox<T, R> {
    /// A way to look at the mailbox.
    pub const fn new() -> Mailbox<T, R> {
        Mailbox { values: PhantomData, answers: PhantomData }
    }

    /// Waits for the oldest message of any kind.
    ///
    /// # Errors
    /// `interrupted`.
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
        self.receive_if(&Filter::ALL, None)
    }

    /// The same for so long; zero only looks.
    ///
    /// # Errors
    /// `timeout`; `interrupted`.
    ///
    /// ```no_run
    /// use corovan_guest::Code;
    /// use corovan_guest::messaging::Mailbox;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// match Mailbox::<String>::new().receive_timeout(Duration::from_millis(10)) {
    ///     Err(error) if error.code == Code::Timeout => println!("nothing"),
    ///     other => println!("{:?}", other?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_timeout(&self, limit: impl Into<Option<Duration>>) -> Result<Received<T, R>, Error> {
        self.receive_if(&Filter::ALL, limit)
    }

    /// The oldest message that the filter chooses; the others stay in their place and order.
    ///
    /// # Errors
    /// `timeout`; `interrupted`; `overloaded` when the mailbox is full and has none that the filter chooses.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, Mailbox};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let urgent = Mailbox::<String>::new().receive_if(&Filter::ALL.tag(1), Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_if(&self, filter: &Filter, limit: impl Into<Option<Duration>>) -> Result<Received<T, R>, Error> {
        let (head, bytes) = bytes::received(filter, timeout(limit))?;
        Ok(read(&head, bytes))
    }

    /// The oldest message of another coroutine, a client or a channel; what the node has to say waits. For programs that
    /// expect nothing else.
    ///
    /// # Errors
    /// `timeout`; `interrupted`; `overloaded` as [`receive_if`](Mailbox::receive_if); `invalid` for a message of another type,
    /// which is lost.
    ///
    /// ```no_run
    /// use corovan_guest::messaging::Mailbox;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let name = Mailbox::<String>::new().message(None)?.value;
    /// # Ok(())
    /// # }
    /// ```
    pub fn message(&self, limit: impl Into<Option<Duration>>) -> Result<Envelope<T, R>, Error> {
        self.message_if(Filter::ALL, limit)
    }

    /// The oldest of those messages that the filter chooses.
    ///
    /// # Errors
    /// As [`message`](Mailbox::message).
    ///
    /// ```no_run
    /// use corovan_guest::messaging::{Filter, Mailbox};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// # let server = corovan_guest::self_address();
    /// let answer = Mailbox::<u64>::new().message_if(Filter::ALL.sender(server), None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn message_if(&self, filter: Filter, limit: impl Into<Option<Duration>>) -> Result<Envelope<T, R>, Error> {
        match self.receive_if(&filter.kind(Kind::Message), limit)? {
            Received::Message(envelope) => Ok(envelope),
            Received::Unreadable { message, why } => {
                Err(Error::new(Code::Invalid, format!("a message of {}: {why}", message.sender)))
            }
            _ => Err(Error::new(Code::Internal, "a message came that the filter had not chosen")),
        }
    }
}

impl<T: DeserializeOwned, R: ?Sized> Default for Mailbox<T, R> {
    fn default() -> Mailbox<T, R> {
        Mailbox::new()
    }
}

fn read<T: DeserializeOwned, R: ?Sized>(head: &MessageHead, bytes: Incoming) -> Received<T, R> {
    let (tag, sender) = (head.tag, Address::from_bytes(head.sender));
    let text = |bytes: &Incoming| String::from_utf8_lossy(bytes.bytes()).into_owned();
    match Kind::from_number(head.kind) {
        Kind::Message => match from_cbor(bytes.bytes()) {
            Ok(value) => Received::Message(Envelope { tag, sender, value, reply: Reply::new(head.reply) }),
            Err(error) => Received::Unreadable { message: bytes::message(head, bytes), why: error.detail },
        },
        Kind::Exit => match from_cbor(bytes.bytes()) {
            Ok(exit) => Received::Exit(exit),
            Err(error) => Received::Unreadable { message: bytes::message(head, bytes), why: error.detail },
        },
        Kind::Timer => Received::Timer { tag, bytes: bytes.into_vec() },
        Kind::NameLost => Received::NameLost(text(&bytes)),
        Kind::Swap => Received::Swap(SwapRequest { function: text(&bytes), by: sender }),
        Kind::Peers => Received::Peers { bytes: bytes.into_vec() },
        Kind::Unknown(_) => Received::Other(bytes::message(head, bytes)),
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
        let swap = SwapRequest { function: "f".into(), by: sender };
        assert_eq!(received(Kind::Swap, 0, b"f"), Received::Swap(swap));
        assert_eq!(received(Kind::Peers, 0, &[2]), Received::Peers { bytes: vec![2] });
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
