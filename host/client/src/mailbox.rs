//! A client's own coroutine: an address in its computation to which coroutines of any node send, and what it does to them. It is on
//! the node that the client is connected with, and goes with the computation.
//!
//! ```no_run
//! # async fn example(computation: corovan_client::Computation, spec: corovan_client::Spec) -> Result<(), corovan_client::Error> {
//! use corovan_client::{Arguments, SubmitOptions};
//!
//! let mut mailbox = computation.mailbox().await?;
//! // The job is told where to send; its own address comes with its start, or in what it sends.
//! let me = Arguments::of(&(mailbox.address(),))?;
//! let mut job = computation.submit(&spec, me, SubmitOptions::default()).await?;
//! while let Some(message) = mailbox.receive().await {
//!     println!("{} bytes from {}", message.bytes.len(), message.from);
//!     mailbox.remote(message.from).send(0, &b"thanks"[..]).await?;
//! }
//! # let _ = job.result().await;
//! # Ok(()) }
//! ```

use crate::computation::{Computation, Shared, head_too_large};
use crate::error::{Error, printable};
use bytes::{Bytes, BytesMut};
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::wire::exit::{ExitHead, ExitRecord};
use corovan_core::wire::frame::{Frame, Kind};
use corovan_core::wire::mail::{Answered, Mail, MailCall, Mailed};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// The coroutine's mailbox. One for each computation; messages wait in it, and then at the node, until they are received.
#[derive(Debug)]
pub struct Mailbox {
    computation: Computation,
    address: Address,
}

/// Another coroutine, as the client sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    computation: Computation,
    address: Address,
}

/// A message that was received.
#[derive(Debug)]
pub struct Message {
    pub kind: MessageKind,
    pub from: Address,
    pub tag: u64,
    pub bytes: Bytes,
    /// It is a request, and awaits [`Mailbox::reply`].
    reply: u64,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MessageKind {
    /// Somebody sent it.
    Message,
    /// One that is monitored has ended: see [`Message::exit`].
    Exit,
    /// Another of the host interface, by its number.
    Other(u8),
}

/// What a computation knows of its mailbox.
#[derive(Debug)]
pub(crate) struct MailState {
    state: Mutex<State>,
    /// Calls that the node runs at a time.
    calls: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// Bytes of messages that were taken and not credited to the node yet.
    taken: u64,
    waker: Option<Waker>,
    /// Whose bytes are still coming: by number, 0 for a message.
    partial: HashMap<u64, (Partial, BytesMut, usize)>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    last_call: u64,
    over: bool,
    /// The coroutine was terminated; another may be made.
    gone: bool,
}

#[derive(Debug)]
enum Partial {
    Message(Mailed),
    Answer(Answered),
}

type Answer = (Answered, Bytes);

impl Default for MailState {
    fn default() -> MailState {
        MailState { state: Mutex::default(), calls: Arc::new(Semaphore::new(limits::MAIL_CALLS)) }
    }
}

impl Computation {
    /// Its client's own coroutine, made with the first call; whoever is given its address can send to it (asyncoro's client coroutine).
    /// Messages go to whichever of several values receives first. Errors: refused (quota).
    pub async fn mailbox(&self) -> Result<Mailbox, Error> {
        let opened = self.call(Mail { call: MailCall::Open, ..Mail::default() }, Bytes::new()).await?;
        self.0.shared.mail.state.lock().gone = false;
        Ok(Mailbox { address: self.address(&opened)?, computation: self.clone() })
    }

    fn address(&self, bytes: &[u8]) -> Result<Address, Error> {
        let bytes = bytes.try_into().map_err(|_| self.0.shared.peer.protocol("an address of another size"))?;
        Ok(Address::from_bytes(bytes))
    }

    async fn call(&self, mail: Mail, bytes: Bytes) -> Result<Bytes, Error> {
        if bytes.len() > limits::MESSAGE_BYTES {
            let (size, max) = (bytes.len() as u64, limits::MESSAGE_BYTES as u64);
            return Err(Error::TooLarge { what: "a message", size, max });
        }
        let shared = &self.0.shared;
        let _turn = shared.mail.calls.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        shared.outbox.room().await;
        let answer = shared.mail(mail, &bytes)?;
        let (Answered { code, text, .. }, bytes) = answer.await.map_err(|_| shared.end_error())?;
        match code {
            None => Ok(bytes),
            Some(code) => {
                let node = shared.peer.node.clone();
                Err(Error::Refused { node, code, text: printable(&text) })
            }
        }
    }
}

impl Shared {
    /// Sends a call, and gives what its answer comes by.
    fn mail(&self, mail: Mail, bytes: &Bytes) -> Result<oneshot::Receiver<Answer>, Error> {
        let first = &bytes[..bytes.len().min(limits::INLINE_PAYLOAD)];
        let size = (bytes.len() > first.len()).then_some(bytes.len() as u64);
        let (sender, answer) = oneshot::channel();
        // Held over all parts: the node takes them as they come, and those of another call not between them.
        let mut state = self.mail.state.lock();
        if state.over {
            drop(state);
            return Err(self.end_error());
        }
        state.last_call += 1;
        let id = state.last_call;
        self.outbox.push(Kind::Mail, id, &Mail { size, ..mail }, first).map_err(head_too_large)?;
        for part in bytes.chunks(limits::INLINE_PAYLOAD).skip(1) {
            self.outbox.push_bare(Kind::MailPart, id, part).map_err(head_too_large)?;
        }
        state.answers.insert(id, sender);
        Ok(answer)
    }
}

impl MailState {
    /// One of the node's frames. Errors: why it has no place here.
    pub fn take(&self, id: u64, frame: &Frame) -> Result<(), String> {
        let mut state = self.state.lock();
        let bytes = BytesMut::from(&frame.payload[..]);
        match frame.kind {
            Kind::Mailed => {
                let mailed: Mailed = frame.record().map_err(|error| error.to_string())?;
                let size = mailed.size;
                state.begin(0, Partial::Message(mailed), bytes, size)
            }
            Kind::Answered if id == 0 => {
                state.gone = true;
                state.waker.take().into_iter().for_each(Waker::wake);
                Ok(())
            }
            Kind::Answered => {
                let answered: Answered = frame.record().map_err(|error| error.to_string())?;
                let size = answered.size;
                state.begin(id, Partial::Answer(answered), bytes, size)
            }
            _ => state.more(id, &bytes),
        }
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        let (answers, waker) = {
            let mut state = self.state.lock();
            state.over = true;
            (std::mem::take(&mut state.answers), state.waker.take())
        };
        self.calls.close();
        drop(answers);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn begin(&mut self, id: u64, what: Partial, bytes: BytesMut, size: Option<u64>) -> Result<(), String> {
        let size = size.map_or(bytes.len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
        // A record with a value in it is a little larger than the value.
        if size > limits::MESSAGE_BYTES + limits::FRAME_BODY || size < bytes.len() {
            return Err(format!("a message of {size} bytes"));
        }
        if size == bytes.len() {
            self.whole(id, what, bytes);
            return Ok(());
        }
        match self.partial.insert(id, (what, bytes, size)) {
            None => Ok(()),
            Some(_) => Err("a message began before the one before it was whole".into()),
        }
    }

    fn more(&mut self, id: u64, more: &[u8]) -> Result<(), String> {
        let Some((_, bytes, size)) = self.partial.get_mut(&id) else {
            return Err("a part of a message that did not begin".into());
        };
        bytes.extend_from_slice(more);
        if bytes.len() > *size || more.is_empty() {
            return Err("a message has more bytes than announced".into());
        }
        if bytes.len() == *size
            && let Some((what, bytes, _)) = self.partial.remove(&id)
        {
            self.whole(id, what, bytes);
        }
        Ok(())
    }

    fn whole(&mut self, id: u64, what: Partial, bytes: BytesMut) {
        let bytes = bytes.freeze();
        match what {
            Partial::Message(Mailed { from, tag, kind, reply, .. }) => {
                let kind = match kind {
                    0 => MessageKind::Message,
                    1 => MessageKind::Exit,
                    other => MessageKind::Other(other),
                };
                self.messages.push_back(Message { kind, from, tag, bytes, reply });
                self.waker.take().into_iter().for_each(Waker::wake);
            }
            // One that is not waited for was given up here.
            Partial::Answer(answered) => {
                if let Some(answer) = self.answers.remove(&id) {
                    let _ = answer.send((answered, bytes));
                }
            }
        }
    }
}

impl Mailbox {
    /// Where it is reached, by coroutines and clients of the same tenant.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The next message, in the order in which they came; `None`: the computation has ended, or somebody has terminated this coroutine
    /// (then [`Computation::mailbox`] makes another). Cancel-safe.
    pub async fn receive(&mut self) -> Option<Message> {
        let shared = &self.computation.0.shared;
        let (message, credit) = std::future::poll_fn(|cx| {
            let mut state = shared.mail.state.lock();
            match state.messages.pop_front() {
                Some(message) => {
                    state.taken += message.bytes.len() as u64 + limits::MAIL_MESSAGE;
                    // In steps: a frame for each small message would be as large as the message.
                    let step = state.taken >= limits::MAIL_WINDOW / 4 || state.messages.is_empty();
                    let credit = if step { std::mem::take(&mut state.taken) } else { 0 };
                    Poll::Ready((Some(message), credit))
                }
                None if state.over || state.gone => Poll::Ready((None, 0)),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        if credit > 0 {
            // A computation that has ended needs none.
            let _ = shared.outbox.push(Kind::Mail, 0, &Mail { call: MailCall::Taken, credit, ..Mail::default() }, b"");
        }
        message
    }

    /// Answers a request, once. Errors: refused (gone: it is no longer awaited), value (it was none).
    pub async fn reply(&self, message: &Message, bytes: impl Into<Bytes>) -> Result<(), Error> {
        if message.reply == 0 {
            return Err(Error::Value { what: "a reply", why: "the message is no request".into() });
        }
        let mail = Mail { call: MailCall::Reply, reply: message.reply, ..Mail::default() };
        self.computation.call(mail, bytes.into()).await.map(drop)
    }

    /// The same with any value, in CBOR.
    pub async fn reply_value<T: Serialize + ?Sized>(&self, message: &Message, value: &T) -> Result<(), Error> {
        self.reply(message, encode(value)?).await
    }

    /// A coroutine by its address.
    pub fn remote(&self, address: Address) -> Remote {
        Remote { computation: self.computation.clone(), address }
    }

    /// One message of kind exit comes when that coroutine has ended, or at once if it has (asyncoro's `monitor`).
    pub async fn monitor(&self, address: Address) -> Result<(), Error> {
        self.to(MailCall::Monitor, address).await
    }

    /// It does not any more. Errors: refused (not-found).
    pub async fn demonitor(&self, address: Address) -> Result<(), Error> {
        self.to(MailCall::Demonitor, address).await
    }

    /// The coroutine or channel of this name, anywhere in the mesh; waits until there is one (asyncoro's `locate`). Errors: refused
    /// (timeout).
    pub async fn locate(&self, name: &str, timeout: Duration) -> Result<Remote, Error> {
        let mail = Mail { call: MailCall::Locate, text: name.into(), timeout: Some(nanos(timeout)), ..Mail::default() };
        let found = self.computation.call(mail, Bytes::new()).await?;
        Ok(self.remote(self.computation.address(&found)?))
    }

    /// Gives this mailbox a name. Errors: refused (taken, timeout).
    pub async fn register(&self, name: &str, timeout: Duration) -> Result<(), Error> {
        let timeout = Some(nanos(timeout));
        let mail = Mail { call: MailCall::Register, text: name.into(), timeout, ..Mail::default() };
        self.computation.call(mail, Bytes::new()).await.map(drop)
    }

    /// Gives it back. Errors: refused (not-found).
    pub async fn unregister(&self, name: &str) -> Result<(), Error> {
        let mail = Mail { call: MailCall::Unregister, text: name.into(), ..Mail::default() };
        self.computation.call(mail, Bytes::new()).await.map(drop)
    }

    async fn to(&self, call: MailCall, address: Address) -> Result<(), Error> {
        let mail = Mail { call, to: Some(address), ..Mail::default() };
        self.computation.call(mail, Bytes::new()).await.map(drop)
    }
}

impl Message {
    /// Whether somebody waits for [`Mailbox::reply`].
    pub fn is_request(&self) -> bool {
        self.reply != 0
    }

    /// The value that was sent, in CBOR, as the guest SDK sends it. Errors: value (it is of another shape).
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, Error> {
        crate::value::decode(&self.bytes)
    }

    /// Of kind exit: how the other ended. A value of more than 64 KiB is not in it. Errors: value (it is of another kind).
    pub fn exit(&self) -> Result<ExitRecord, Error> {
        match self.kind {
            MessageKind::Exit => exit_record(&self.bytes),
            _ => Err(Error::Value { what: "an exit", why: "the message is of another kind".into() }),
        }
    }
}

impl Remote {
    pub fn address(&self) -> Address {
        self.address
    }

    /// Sends a message; waits while there is no room for it. Messages to one coroutine come in the order in which these calls
    /// were begun. Errors: refused (gone, denied, node-lost).
    pub async fn send(&self, tag: u64, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.call(MailCall::Send, tag, None, bytes.into()).await.map(drop)
    }

    /// The same with any value, in CBOR, as the guest SDK's typed mailboxes take it.
    pub async fn send_value<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        self.send(0, encode(value)?).await
    }

    /// Asks with any value, and waits for a reply that is one. Errors: as `request`, and value (the reply is of another shape).
    pub async fn request_value<Q: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        value: &Q,
        timeout: Duration,
    ) -> Result<R, Error> {
        crate::value::decode(&self.request(0, encode(value)?, timeout).await?)
    }

    /// As `send`; returns when it is in the other mailbox, and gives up after this time. Errors: as `send`, and timeout.
    pub async fn deliver(&self, tag: u64, bytes: impl Into<Bytes>, timeout: Duration) -> Result<(), Error> {
        self.call(MailCall::Deliver, tag, Some(timeout), bytes.into()).await.map(drop)
    }

    /// Asks, and waits for the reply. Errors: as `send`, timeout, closed (no reply will come).
    pub async fn request(&self, tag: u64, bytes: impl Into<Bytes>, timeout: Duration) -> Result<Bytes, Error> {
        self.call(MailCall::Request, tag, Some(timeout), bytes.into()).await
    }

    /// Waits for its end (asyncoro's `finish`). A value of more than 1 MiB is not in it. Errors: refused (timeout, expired, denied).
    pub async fn join(&self, timeout: Duration) -> Result<ExitRecord, Error> {
        exit_record(&self.call(MailCall::Join, 0, Some(timeout), Bytes::new()).await?)
    }

    /// Its present or next waiting call gives `interrupted` (asyncoro's `throw`).
    pub async fn interrupt(&self, reason: &str) -> Result<(), Error> {
        self.with_text(MailCall::Interrupt, reason, None).await
    }

    /// Interrupt, grace, hard stop; returns when it has ended. Errors: refused (timeout, denied).
    pub async fn terminate(&self, timeout: Duration) -> Result<(), Error> {
        self.call(MailCall::Terminate, 0, Some(timeout), Bytes::new()).await.map(drop)
    }

    /// Ends its suspend, or its next one, with a value.
    pub async fn resume(&self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.call(MailCall::Resume, 0, None, bytes.into()).await.map(drop)
    }

    /// What it does, in CBOR: a map of `state`, `waiting`, `function`, `mailbox` and more.
    pub async fn status(&self, timeout: Duration) -> Result<Bytes, Error> {
        self.call(MailCall::Status, 0, Some(timeout), Bytes::new()).await
    }

    /// Has it go on as another function, of its own module where none is named (asyncoro's `hot_swap`). Errors: refused (swap-failed,
    /// unknown-function, need-module, timeout).
    pub async fn swap(&self, module: Option<ModuleHash>, function: &str, timeout: Duration) -> Result<(), Error> {
        let (text, timeout) = (function.to_owned(), Some(nanos(timeout)));
        let mail = Mail { call: MailCall::Swap, to: Some(self.address), text, module, timeout, ..Mail::default() };
        self.computation.call(mail, Bytes::new()).await.map(drop)
    }

    async fn with_text(&self, call: MailCall, text: &str, timeout: Option<u64>) -> Result<(), Error> {
        let mail = Mail { call, to: Some(self.address), text: text.to_owned(), timeout, ..Mail::default() };
        self.computation.call(mail, Bytes::new()).await.map(drop)
    }

    async fn call(&self, call: MailCall, tag: u64, timeout: Option<Duration>, bytes: Bytes) -> Result<Bytes, Error> {
        let mail = Mail { call, to: Some(self.address), tag, timeout: timeout.map(nanos), ..Mail::default() };
        self.computation.call(mail, bytes).await
    }
}

/// The map of an exit's head, with its value in `bytes`.
fn exit_record(cbor: &[u8]) -> Result<ExitRecord, Error> {
    #[derive(serde::Deserialize)]
    struct Told {
        #[serde(flatten)]
        head: ExitHead,
        #[serde(default)]
        bytes: Option<serde_bytes::ByteBuf>,
    }
    let fault = |error: ciborium::de::Error<std::io::Error>| Error::Value { what: "an exit", why: error.to_string() };
    let told: Told = ciborium::from_reader(cbor).map_err(fault)?;
    let value = told.bytes.map(serde_bytes::ByteBuf::into_vec).unwrap_or_default();
    Ok(ExitRecord::from_head(told.head, value.into()))
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    let fault =
        |error: ciborium::ser::Error<std::io::Error>| Error::Value { what: "a message", why: error.to_string() };
    ciborium::into_writer(value, &mut bytes).map_err(fault)?;
    Ok(bytes.into())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
