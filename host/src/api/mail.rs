//! A client's own coroutine in its computation: others send to it, ask it and monitor it by its address, and it does to them what
//! coroutines do. Its calls run here, at most so many at a time; messages go to the client as it takes them.

use super::session::{Error, Session};
use crate::hostcalls::relations;
use crate::runtime::mail::FOREVER;
use crate::runtime::message::{Payload, ReplyTo};
use crate::runtime::{Native, Received, Refusal};
use crate::tasks::TaskKind;
use bytes::{Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::text::cut;
use corovan_core::wire::mail::{Answered, Mail, MailCall, Mailed};
use corovan_core::wire::{Frame, Kind};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Of one session; empty until its client opens it.
#[derive(Default)]
pub(super) struct Mailroom {
    state: Mutex<State>,
    /// The client has taken something.
    taken: Notify,
    /// Whoever gives a large answer waits here for his turn and for room.
    turn: tokio::sync::Mutex<()>,
    over: Mutex<CancellationToken>,
}

#[derive(Default)]
struct State {
    native: Option<Arc<Native>>,
    /// A call whose bytes are still coming, and how many there will be.
    partial: Option<(Call, BytesMut, usize)>,
    /// Bytes that are still coming of one that was refused.
    skipped: usize,
    calls: usize,
    /// Messages that wait for those before them to the same receiver; present while one is being sent.
    lanes: HashMap<Address, VecDeque<(Call, Bytes)>>,
    replies: BTreeMap<u64, ReplyTo>,
    last_reply: u64,
    /// Bytes of messages that the client has been sent and not taken.
    outstanding: u64,
}

/// A call, its number, and what its bytes take of the tenant's share of memory until it is done.
struct Call {
    id: u64,
    mail: Mail,
    held: Option<Permit>,
}

impl Session {
    /// A `Mail` frame.
    pub(super) fn mail(self: &Arc<Self>, frame: &Frame) -> Result<(), Error> {
        let mail: Mail = frame.record()?;
        let size = mail.size.map_or(frame.payload.len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > limits::MESSAGE_BYTES || size < frame.payload.len() {
            return Err(Error::Protocol(format!("a message of {size} bytes (MESSAGE_BYTES)")));
        }
        // A copy: the frame is a part of a larger buffer, which would stay with it.
        let bytes = Bytes::copy_from_slice(&frame.payload);
        let held = match size as u64 > limits::MAILBOX_FREE {
            true => self.tenant().ledger.take(Resource::Held, size as u64).map(Some),
            false => Ok(None),
        };
        // One that cannot be kept is refused when all of it has come.
        let refused = held.as_ref().err().map(|exhausted| Refusal::from(exhausted.clone()));
        let call = Call { id: frame.id, mail, held: held.ok().flatten() };
        if let Some(refusal) = refused {
            self.mailroom.state.lock().skipped = size - bytes.len();
            self.answered(call.id, Err(refusal));
            return Ok(());
        }
        if bytes.len() == size {
            self.call(call, bytes);
            return Ok(());
        }
        let mut state = self.mailroom.state.lock();
        if state.partial.is_some() {
            return Err(Error::Protocol("a message began before the one before it was whole".into()));
        }
        state.partial = Some((call, BytesMut::from(&bytes[..]), size));
        Ok(())
    }

    /// More of one.
    pub(super) fn mail_part(self: &Arc<Self>, frame: &Frame) -> Result<(), Error> {
        let whole = {
            let mut state = self.mailroom.state.lock();
            if state.partial.is_none() && !frame.payload.is_empty() && frame.payload.len() <= state.skipped {
                state.skipped -= frame.payload.len();
                return Ok(());
            }
            match &mut state.partial {
                Some((call, bytes, size))
                    if call.id == frame.id
                        && !frame.payload.is_empty()
                        && bytes.len() + frame.payload.len() <= *size =>
                {
                    bytes.extend_from_slice(&frame.payload);
                    if bytes.len() < *size { None } else { state.partial.take() }
                }
                _ => return Err(Error::Protocol("a part of a message that did not begin, or is whole".into())),
            }
        };
        whole.into_iter().for_each(|(call, bytes, _)| self.call(call, bytes.freeze()));
        Ok(())
    }

    fn call(self: &Arc<Self>, call: Call, bytes: Bytes) {
        let (id, mail) = (call.id, &call.mail);
        match mail.call {
            MailCall::Taken => {
                let mut state = self.mailroom.state.lock();
                state.outstanding = state.outstanding.saturating_sub(mail.credit);
                self.mailroom.taken.notify_one();
            }
            MailCall::Open => {
                let opened = self.open_mail();
                self.answered(id, opened.map(|address| Bytes::copy_from_slice(&address.to_bytes())));
            }
            MailCall::Reply => {
                let outcome = self.reply(mail, bytes);
                self.answered(id, outcome);
            }
            _ => self.begin(call, bytes),
        }
    }

    fn open_mail(self: &Arc<Self>) -> Result<Address, Refusal> {
        if self.client().operator {
            return Err(Refusal::new(Code::Denied, "an operator has no coroutines: use a tenant's certificate"));
        }
        let native = {
            let mut state = self.mailroom.state.lock();
            if let Some(native) = &state.native {
                return Ok(native.address());
            }
            let native = Arc::new(self.client().service.dispatch.runtime().native(&self.group)?);
            state.native = Some(Arc::clone(&native));
            native
        };
        let (session, address) = (Arc::clone(self), native.address());
        self.client().service.tasks.spawn(TaskKind::Stream, "mail", async move {
            let terminated = tokio::select! {
                () = session.deliver(&native) => true,
                () = session.gone() => false,
            };
            // It has ended before its client hears of that, and may want another.
            drop(native);
            session.mailroom.end();
            if terminated {
                let text = "the client's coroutine was terminated".to_owned();
                session.send_with(Kind::Answered, 0, &Answered { code: Some(Code::Gone), text, size: None }, &[]);
            }
            Ok::<(), Infallible>(())
        });
        Ok(address)
    }

    /// Sends what comes for it, as much as the client takes, until it is terminated.
    async fn deliver(&self, native: &Native) {
        loop {
            loop {
                let mut taken = std::pin::pin!(self.mailroom.taken.notified());
                taken.as_mut().enable();
                if self.mailroom.state.lock().outstanding < limits::MAIL_WINDOW {
                    break;
                }
                taken.await;
            }
            self.room().await;
            let Some(received) = std::future::poll_fn(|cx| native.poll_receive(cx)).await else { return };
            tokio::task::consume_budget().await;
            let Received { kind, from, tag, bytes, reply } = received;
            let reply = {
                let mut state = self.mailroom.state.lock();
                state.outstanding += bytes.len() as u64 + limits::MAIL_MESSAGE;
                reply.map_or(0, |reply| state.keep(reply))
            };
            let (first, size) = split(&bytes);
            self.send_with(Kind::Mailed, 0, &Mailed { from, tag, kind: kind as u8, reply, size }, first);
            self.rest(Kind::Part, 0, &bytes);
        }
    }

    fn reply(&self, mail: &Mail, bytes: Bytes) -> Result<Bytes, Refusal> {
        let gone = || Refusal::new(Code::Gone, "the reply is no longer awaited, or was given before");
        let (reply, native) = {
            let mut state = self.mailroom.state.lock();
            (state.replies.remove(&mail.reply).ok_or_else(gone)?, state.native.clone().ok_or_else(gone)?)
        };
        let size = bytes.len();
        let held = match size as u64 > limits::MAILBOX_FREE {
            true => Some(self.tenant().ledger.take(Resource::Held, size as u64)?),
            false => None,
        };
        match reply.answer(Payload::from(bytes), held) {
            Ok(true) => {
                native.control.sent(size);
                Ok(Bytes::new())
            }
            Ok(false) => Err(gone()),
            Err((reply, refusal)) => {
                self.mailroom.state.lock().replies.insert(mail.reply, reply);
                Err(refusal)
            }
        }
    }

    /// A call that may wait.
    fn begin(self: &Arc<Self>, call: Call, bytes: Bytes) {
        let begun = {
            let mut state = self.mailroom.state.lock();
            let room = state.calls < limits::MAIL_CALLS;
            match state.native.clone() {
                None => Err(Refusal::new(Code::NotFound, "the client's mailbox is not open")),
                Some(_) if !room => {
                    let text = format!(
                        "{} calls of this client are on their way, which is the limit (MAIL_CALLS)",
                        state.calls
                    );
                    Err(Refusal::new(Code::Overloaded, text))
                }
                Some(native) => {
                    state.calls += 1;
                    Ok(native)
                }
            }
        };
        let native = match begun {
            Ok(native) => native,
            Err(refusal) => return self.answered(call.id, Err(refusal)),
        };
        let session = Arc::clone(self);
        let tasks = &self.client().service.tasks;
        if let (MailCall::Send | MailCall::Deliver, Some(to)) = (call.mail.call, call.mail.to) {
            {
                let mut state = self.mailroom.state.lock();
                if let Some(lane) = state.lanes.get_mut(&to) {
                    return lane.push_back((call, bytes));
                }
                state.lanes.insert(to, VecDeque::new());
            }
            tasks.spawn(TaskKind::Stream, "mail out", async move {
                session.send_in_order(&native, to, (call, bytes)).await;
                Ok::<(), Infallible>(())
            });
            return;
        }
        let ended = self.mailroom.over.lock().clone();
        tasks.spawn(TaskKind::Stream, "mail call", async move {
            let outcome = tokio::select! {
                outcome = session.run(&native, &call.mail, bytes) => outcome,
                () = ended.cancelled() => Err(over()),
            };
            session.done(call.id, outcome).await;
            drop(call.held);
            Ok::<(), Infallible>(())
        });
    }

    /// Messages to one receiver come there as they were sent.
    async fn send_in_order(&self, native: &Native, to: Address, first: (Call, Bytes)) {
        let ended = self.mailroom.over.lock().clone();
        let mut next = Some(first);
        while let Some((Call { id, mail, held }, bytes)) = next {
            let timeout = mail.timeout.unwrap_or(FOREVER);
            let outcome = tokio::select! {
                outcome = native.send(&to, (mail.tag, bytes), mail.call == MailCall::Deliver, timeout) => outcome,
                () = ended.cancelled() => Err(over()),
            };
            drop(held);
            self.done(id, outcome.map(|()| Bytes::new())).await;
            let mut state = self.mailroom.state.lock();
            next = state.lanes.get_mut(&to).and_then(VecDeque::pop_front);
            if next.is_none() {
                state.lanes.remove(&to);
            }
        }
    }

    /// Any other call. What waits does so as a coroutine of its own, so that one does not hold up another.
    async fn run(&self, native: &Native, mail: &Mail, bytes: Bytes) -> Result<Bytes, Refusal> {
        let runtime = &native.runtime;
        let timeout = mail.timeout.unwrap_or(FOREVER);
        let to = || mail.to.ok_or_else(|| Refusal::new(Code::Invalid, "the call needs an address"));
        let caller = || runtime.native(&self.group);
        let none = |()| Bytes::new();
        match mail.call {
            MailCall::Request => {
                let (caller, to) = (caller()?, to()?);
                caller.call(native.request(&caller, &to, (mail.tag, bytes), timeout)).await
            }
            MailCall::Monitor => runtime.monitor(&native.control, &to()?).map(none),
            MailCall::Demonitor => runtime.demonitor(&native.control, &to()?).map(none),
            MailCall::Join => {
                let (caller, to) = (caller()?, to()?);
                let record = caller.call(runtime.join(&caller.control, &to, runtime.patience(timeout))).await?;
                Ok(record.to_cbor(limits::MESSAGE_BYTES).into())
            }
            MailCall::Interrupt => {
                let (caller, to) = (caller()?, to()?);
                let (reason, patience) = (cut(mail.text.clone(), limits::TEXT_BYTES), runtime.patience(timeout));
                caller.call(relations::interrupt(runtime, &caller.control, &to, reason, patience)).await.map(none)
            }
            MailCall::Terminate => {
                let (caller, to) = (caller()?, to()?);
                let patience = runtime.patience(timeout);
                caller.call(relations::terminate(runtime, &caller.control, &to, patience)).await.map(none)
            }
            MailCall::Resume => {
                let (caller, to) = (caller()?, to()?);
                let patience = runtime.patience(timeout);
                caller.call(relations::resume(runtime, &caller.control, &to, bytes, patience)).await.map(none)
            }
            MailCall::Status => {
                let (caller, to) = (caller()?, to()?);
                caller.call(relations::status(runtime, &caller.control, &to, runtime.patience(timeout))).await
            }
            MailCall::Swap => {
                let (caller, to) = (caller()?, to()?);
                let (module, patience) = (mail.module, runtime.patience(timeout));
                let swap = relations::swap(runtime, &caller.control, &to, module, &mail.text, patience);
                caller.call(swap).await.map(none)
            }
            MailCall::Locate => {
                check_name(&mail.text)?;
                let caller = caller()?;
                let found = caller.call(runtime.locate(&caller.control, &mail.text, timeout)).await?;
                Ok(Bytes::copy_from_slice(&found.to_bytes()))
            }
            MailCall::Register => {
                check_name(&mail.text)?;
                let (caller, holder) = (caller()?, native.address());
                caller.call(runtime.register(&caller.control, &mail.text, &holder, timeout)).await.map(none)
            }
            MailCall::Unregister => runtime.unregister(&native.control, &mail.text).map(none),
            _ => Err(Refusal::new(Code::Unsupported, "this node knows no such call: it is of an earlier version")),
        }
    }

    /// A large answer waits until the client is not behind, and is charged for meanwhile.
    async fn done(&self, id: u64, outcome: Result<Bytes, Refusal>) {
        let size = outcome.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let mut outcome = outcome;
        let mut held = None;
        if size > limits::MAILBOX_FREE {
            match self.tenant().ledger.take(Resource::Held, size) {
                Ok(permit) => held = Some((permit, self.mailroom.turn.lock().await)),
                Err(exhausted) => outcome = Err(exhausted.into()),
            }
            self.room().await;
        }
        self.mailroom.state.lock().calls -= 1;
        self.answered(id, outcome);
        drop(held);
    }

    fn answered(&self, id: u64, outcome: Result<Bytes, Refusal>) {
        match outcome {
            Ok(bytes) => {
                let (first, size) = split(&bytes);
                self.send_with(Kind::Answered, id, &Answered { size, ..Answered::default() }, first);
                self.rest(Kind::Part, id, &bytes);
            }
            Err(Refusal { code, detail }) => {
                let text = cut(detail, limits::TEXT_BYTES);
                self.send_with(Kind::Answered, id, &Answered { code: Some(code), text, size: None }, &[]);
            }
        }
    }

    fn rest(&self, kind: Kind, id: u64, bytes: &Bytes) {
        bytes.chunks(limits::INLINE_PAYLOAD).skip(1).for_each(|part| self.send_bytes(kind, id, part));
    }
}

impl State {
    /// The oldest request is given up for a new one, where there are too many.
    fn keep(&mut self, reply: ReplyTo) -> u64 {
        if self.replies.len() >= limits::MAIL_REPLIES {
            self.replies.pop_first();
        }
        self.last_reply += 1;
        self.replies.insert(self.last_reply, reply);
        self.last_reply
    }
}

impl Mailroom {
    /// It is terminated, or nobody listens any more: whoever asked it something learns that no answer comes.
    fn end(&self) {
        // Another may be opened after it.
        let ended = std::mem::take(&mut *self.over.lock());
        ended.cancel();
        let (native, replies) = {
            let mut state = self.state.lock();
            (state.native.take(), std::mem::take(&mut state.replies))
        };
        drop((native, replies));
    }
}

/// What goes with the frame itself, and all of it where that is more.
fn split(bytes: &Bytes) -> (&[u8], Option<u64>) {
    let first = &bytes[..bytes.len().min(limits::INLINE_PAYLOAD)];
    (first, (bytes.len() > first.len()).then_some(bytes.len() as u64))
}

fn over() -> Refusal {
    Refusal::new(Code::Cancelled, "the computation is being ended")
}

fn check_name(name: &str) -> Result<(), Refusal> {
    match name.len() {
        1..=limits::NAME_BYTES => Ok(()),
        len => Err(Refusal::new(Code::Invalid, format!("a name has 1 to {} bytes, not {len}", limits::NAME_BYTES))),
    }
}
