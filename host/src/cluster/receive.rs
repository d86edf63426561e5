//! What other nodes send: messages go into mailboxes, calls are done and answered. A node speaks for a tenant only under a grant
//! of that tenant's; what it may not do is denied, what no honest node does ends the session.

use super::channels;
use super::grants::Grants;
use super::hosting::Hosting;
use super::joins::{self, Joins};
use super::link::{Fault, Granted, Inbox, Session};
use super::mesh::Handle;
use super::names;
use super::remote::{CUT, EXPIRED};
use super::values;
use crate::runtime::ports::{Ask, Replier};
use crate::runtime::services::Told as ServiceTold;
use crate::runtime::{Arrival, Arrived, Followed, Following, Group, Refusal, Runtime, Settles};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::call::{self, Call, Spawn};
use corovan_core::link::credit::Amount;
use corovan_core::link::frame::{Frame, Header, Kind};
use corovan_core::tenancy::grant::Right;
use corovan_core::text::cut;
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Takes what other nodes send to this one.
pub struct Receiver {
    runtime: Weak<Runtime>,
    grants: Arc<dyn Grants>,
    names: Handle,
    hosting: Hosting,
    joins: Option<Arc<dyn Joins>>,
}

impl Receiver {
    pub fn new(runtime: &Arc<Runtime>, grants: Arc<dyn Grants>, names: Handle, hosting: Hosting) -> Receiver {
        Receiver { runtime: Arc::downgrade(runtime), grants, names, hosting, joins: None }
    }

    /// The same of a node that issues certificates.
    pub fn with_joins(self, joins: Option<Arc<dyn Joins>>) -> Receiver {
        Receiver { joins, ..self }
    }

    /// What a call asks, for a tenant. `None`: it is answered later, or not at all.
    fn serve(
        &self,
        runtime: &Arc<Runtime>,
        session: &Arc<Session>,
        (header, granted): (&Header, &Arc<Granted>),
        (call, bytes): (Call, Bytes),
    ) -> Result<Option<Result<Bytes, Refusal>>, Fault> {
        let to = header.to.at(runtime.node, runtime.incarnation);
        let ask = match call {
            Call::Monitor => {
                monitor(runtime, session, header, granted, to)?;
                return Ok(None);
            }
            Call::Terminate { by, reason } => {
                Ask::Terminate { by: cut(by, limits::TEXT_BYTES), reason: cut(reason, limits::TEXT_BYTES) }
            }
            Call::Interrupt { reason } => Ask::Interrupt { reason: cut(reason, limits::TEXT_BYTES) },
            Call::Resume => Ask::Resume { bytes: Bytes::copy_from_slice(&bytes) },
            Call::Status => Ask::Status,
            Call::Value { monitor, offset } => {
                return Ok(Some(values::part(runtime, session, (&granted.tenant, &to), (monitor, offset))));
            }
            Call::Arguments { over, offset } => {
                return Ok(Some(values::part_of_arguments(session, over, offset)));
            }
            Call::Input { over, end } => {
                self.hosting.input(session, header.call, (over, end), bytes);
                return Ok(None);
            }
            Call::Spawn(spawn) => {
                let (spawn, told) = match offered(runtime, granted, spawn) {
                    Ok(spawn) => spawn,
                    Err(refusal) => return Ok(Some(Err(refusal))),
                };
                self.hosting.spawn(session, header, granted, (spawn, told), bytes)?;
                return Ok(None);
            }
            Call::Module { hash, offset } => {
                self.hosting.module((session, header.call), granted, (hash, offset));
                return Ok(None);
            }
            Call::Swap { module, function } => {
                self.hosting.swap(runtime, session, (header, granted), (module, function));
                return Ok(None);
            }
            Call::Said(said) => {
                self.hosting.said(session, header, said, bytes);
                return Ok(None);
            }
            Call::Channel(call) => {
                let is = |group: &Group| self.grants.of(group).is_some_and(|grant| grant == granted.bytes);
                channels::serve(runtime, session, (header, granted), &is, (call, bytes))?;
                return Ok(None);
            }
            Call::Demonitor | Call::Cancel { .. } | Call::Names | Call::Abandon | Call::Join | Call::Unknown => {
                let text = "this node does not know that call";
                return Ok(Some(Err(Refusal::new(Code::Unsupported, text))));
            }
        };
        Ok(Some(runtime.serve_ask(&granted.tenant, &to, ask)))
    }
}

impl Inbox for Receiver {
    fn message(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault> {
        let Frame { header, payload } = frame;
        let answers = Answers::new(session, &header, payload.len());
        let Some(runtime) = self.runtime.upgrade() else {
            answers.dropped(&Refusal::new(Code::ShuttingDown, "the node is shutting down"));
            return Ok(());
        };
        let granted = session.granted(header.grant)?;
        let granted = match granted.and_then(|granted| granted.gives(Right::Send).map(|()| granted)) {
            Ok(granted) => granted,
            Err(refusal) => {
                answers.dropped(&refusal);
                return Ok(());
            }
        };
        let to = header.to.at(runtime.node, runtime.incarnation);
        let reply = match header.kind {
            Kind::Request => {
                let (session, call) = (Arc::clone(session), header.call);
                Some(Box::new(Replies { session, call, over: AtomicBool::new(false) }) as Box<dyn Replier>)
            }
            _ => None,
        };
        let message =
            Arrived { from: sender(session, &header), tag: header.tag, bytes: payload, hops: header.flags, reply };
        match runtime.arrive(&granted.tenant, &to, message, || Arc::new(answers.clone())) {
            Arrival::Taken(free) => answers.taken(free),
            Arrival::Waits => {}
            Arrival::Dropped(refusal) => answers.dropped(&refusal),
        }
        Ok(())
    }

    fn call(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault> {
        let Frame { header, payload } = frame;
        let answer = |outcome| answer(session, header.call, outcome);
        let (call, bytes) = match call::decode::<Call>(payload) {
            Ok(call) => call,
            Err(error) => {
                answer(Err(Refusal::new(Code::Unsupported, error.to_string())));
                return Ok(());
            }
        };
        match &call {
            Call::Demonitor => {
                session.unwatched(header.call);
                return Ok(());
            }
            // Of what was asked for in this session, whatever right that took; it may have been a service.
            Call::Cancel { by, reason, grace } => {
                self.hosting.cancel(session, header.call, (by, reason), *grace);
                return Ok(());
            }
            Call::Join => {
                joins::serve(self.joins.as_ref(), session, header.call, &bytes);
                return Ok(());
            }
            Call::Abandon => {
                session.abandoned(header.call);
                return Ok(());
            }
            // Whose grants were shown, and not which is named.
            Call::Names => {
                if let Err(why) = names::heard(&self.names, session, &bytes) {
                    tracing::warn!(peer = %session.peer, "what this node says about names is not heard: {why}");
                }
                return Ok(());
            }
            _ => {}
        }
        let Some(runtime) = self.runtime.upgrade() else { return Ok(()) };
        let right = match call {
            // What is offered here is its owner's: whoever may send may call it.
            Call::Spawn(Spawn { service: Some(_), .. }) => Right::Send,
            Call::Spawn(_) => Right::Spawn,
            Call::Module { .. } => Right::Fetch,
            _ => Right::Send,
        };
        let granted = session.granted(header.grant)?;
        let granted = match granted.and_then(|granted| granted.gives(right).map(|()| granted)) {
            Ok(granted) => granted,
            Err(refusal) => {
                match call {
                    Call::Monitor => {
                        let to = header.to.at(runtime.node, runtime.incarnation);
                        tell(session, &header, &runtime.refused(&to, &refusal), 0);
                    }
                    _ => answer(Err(refusal)),
                }
                return Ok(());
            }
        };
        let outcome = self.serve(&runtime, session, (&header, &granted), (call, bytes))?;
        outcome.into_iter().for_each(answer);
        Ok(())
    }

    fn grant(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault> {
        let Frame { header, payload } = frame;
        let hash = *blake3::hash(&payload).as_bytes();
        // It is shown once a lane.
        if let Some(Ok(before)) = session.was_granted(header.grant)
            && before.hash == hash
        {
            return Ok(());
        }
        // Nor is it kept more than once, whatever numbers it has.
        if let Some(known) = session.known_grant(&hash) {
            session.set_granted(header.grant, Ok(known));
            return Ok(());
        }
        let bytes = Bytes::copy_from_slice(&payload);
        let granted = self.grants.verify(&session.peer_name(), &bytes);
        let granted =
            granted.map(|(tenant, grant)| Arc::new(Granted { tenant, grant, hash, bytes })).inspect_err(|refusal| {
                tracing::warn!(peer = %session.peer, "a grant is not good: {refusal}");
            });
        session.set_granted(header.grant, granted);
        Ok(())
    }

    fn ended(&self, session: &Arc<Session>) {
        self.hosting.ended(session);
    }
}

/// Of a service: its module and function, and its owner, who is to be told. Errors: not-found, denied, overloaded.
fn offered(
    runtime: &Arc<Runtime>,
    granted: &Arc<Granted>,
    spawn: Spawn,
) -> Result<(Spawn, Option<ServiceTold>), Refusal> {
    let Some(address) = spawn.service else { return Ok((spawn, None)) };
    let service = runtime.service(&granted.tenant, &address)?;
    let told = service.tell(runtime)?;
    Ok((Spawn { module: service.module, function: service.function.clone(), ..spawn }, told))
}

/// Has the end of a coroutine told to the other node.
fn monitor(
    runtime: &Arc<Runtime>,
    session: &Arc<Session>,
    header: &Header,
    granted: &Arc<Granted>,
    to: Address,
) -> Result<(), Fault> {
    // Of the follower, which may be called before it is known where to stop it.
    let following: Arc<Mutex<Option<Following>>> = Arc::default();
    let stop = Arc::clone(&following);
    let watched = session.watch(header.call, Box::new(move || drop(stop.lock().take())))?;
    if let Err(refused) = watched {
        let refusal = Refusal::new(Code::Overloaded, refused.to_string());
        tell(session, header, &runtime.refused(&to, &refusal), 0);
        return Ok(());
    }
    let (at, about) = (Arc::clone(session), *header);
    let tenant = Arc::clone(&granted.tenant);
    let follower = move |record: &Arc<_>| values::tell(&at, (&about, &tenant), record, 0);
    let over = match runtime.follow_end(&granted.tenant, &to, Box::new(follower)) {
        Ok(Followed::Later(later)) => {
            *following.lock() = Some(later);
            // The session may have ended, and its stop been called, before there was anything to stop.
            if session.has_ended() {
                drop(following.lock().take());
            }
            return Ok(());
        }
        Ok(Followed::Ended(record)) => (record, 0),
        Ok(Followed::Expired(record)) => (record, EXPIRED),
        Err(refusal) => (Arc::new(runtime.refused(&to, &refusal)), 0),
    };
    values::tell(session, (header, &granted.tenant), &over.0, over.1);
    Ok(())
}

/// Tells an end under the monitor's number, in the lane of the two.
pub(super) fn tell(session: &Arc<Session>, monitor: &Header, record: &ExitRecord, flags: u8) {
    let header = exit(monitor);
    // Who watches very many and takes nothing is told of each all the same.
    let brief = session.is_jammed(&header).then(|| brief(record));
    match call::encode_exit(brief.as_ref().unwrap_or(record)) {
        Ok([head, value]) => {
            let cut = record.outcome.value().is_some_and(|whole| whole.len() > value.len());
            let flags = if cut { flags | CUT } else { flags };
            session.answer(Header { flags, ..header }, &[&head[..], &value].concat());
        }
        Err(error) => tracing::error!("an exit record that cannot be told: {error}"),
    }
}

/// The head of the frame that tells it.
pub(super) fn exit(monitor: &Header) -> Header {
    Header { call: monitor.call, to: monitor.from, from: monitor.to, ..Header::new(Kind::Exit) }
}

/// The same end in few bytes.
fn brief(record: &ExitRecord) -> ExitRecord {
    let short = |text: &str| cut(text.to_owned(), BRIEF);
    let outcome = match &record.outcome {
        Outcome::Finished(_) => Outcome::Finished(Bytes::new()),
        Outcome::Failed { kind, text } => Outcome::Failed { kind: short(kind), text: short(text) },
        Outcome::Trapped { kind, .. } => Outcome::Trapped { kind: short(kind), backtrace: String::new() },
        Outcome::Terminated { by, reason, .. } => {
            Outcome::Terminated { by: short(by), reason: short(reason), value: None }
        }
        Outcome::Refused { code, why } => Outcome::Refused { code: *code, why: short(why) },
        other => other.clone(),
    };
    ExitRecord { outcome, ..record.clone() }
}

pub(super) fn answer(session: &Arc<Session>, call: u64, outcome: Result<Bytes, Refusal>) {
    let header = Header { call, ..Header::new(Kind::Answer) };
    let large = match &outcome {
        Ok(bytes) => bytes.len() > BRIEF,
        Err(refusal) => refusal.detail.len() > BRIEF,
    };
    let outcome = match large && session.is_jammed(&header) {
        // As if it had not been asked; what was made by it is ended by whoever hears this.
        true => Err(Refusal::new(outcome.map_or_else(|refusal| refusal.code, |_| Code::Overloaded), "")),
        false => outcome,
    };
    match outcome {
        Ok(bytes) => session.answer(header, &bytes),
        Err(refusal) => session.answer(Header { tag: refusal.code.number().into(), ..header }, detail(&refusal)),
    }
}

/// Bytes of each text that is told where much waits to be told.
const BRIEF: usize = 64;

fn detail(refusal: &Refusal) -> &[u8] {
    let text = &refusal.detail;
    &text.as_bytes()[..text.floor_char_boundary(limits::TEXT_BYTES)]
}

/// Who a frame is from, by the session that it came in.
pub(super) fn sender(session: &Arc<Session>, header: &Header) -> Address {
    // Frames come on connections, and with the first the incarnation is known.
    header.from.at(session.peer, session.incarnation().unwrap_or(0))
}

/// What is said of a message once it is known what became of it.
#[derive(Clone)]
struct Answers {
    session: Arc<Session>,
    header: Header,
    size: usize,
}

impl Answers {
    fn new(session: &Arc<Session>, header: &Header, size: usize) -> Answers {
        Answers { session: Arc::clone(session), header: *header, size }
    }
}

impl Settles for Answers {
    fn taken(&self, (messages, bytes): (usize, usize)) {
        let Answers { session, header, size } = self;
        session.settled(header.to, *size, Amount::new(messages as u64, bytes as u64));
        if header.kind == Kind::Deliver {
            session.answer(Header { call: header.call, ..Header::new(Kind::Delivered) }, &[]);
        }
    }

    fn dropped(&self, why: &Refusal) {
        let Answers { session, header, size } = self;
        session.settled(header.to, *size, Amount::default());
        if why.code == Code::Gone {
            session.gone(header.to);
        }
        let tag = why.code.number().into();
        match header.kind {
            Kind::Deliver => {
                session.answer(Header { call: header.call, tag, ..Header::new(Kind::Delivered) }, detail(why));
            }
            // One that was dropped with its message has been answered so; a second answer finds nobody.
            Kind::Request => {
                session.answer(Header { call: header.call, tag, ..Header::new(Kind::Unanswered) }, detail(why));
            }
            _ => tracing::debug!(peer = %session.peer, "a message was dropped: {why}"),
        }
    }
}

/// Answers a request of the other node, once.
#[derive(Debug)]
struct Replies {
    session: Arc<Session>,
    call: u64,
    over: AtomicBool,
}

impl Replier for Replies {
    fn answer(&self, bytes: &[u8]) -> Result<bool, Refusal> {
        if self.session.has_ended() {
            return Ok(false);
        }
        let header = Header { call: self.call, ..Header::new(Kind::Reply) };
        if !self.session.has_room_for(&header, bytes.len()) {
            let text = "replies to that node wait for it to take them: try again";
            return Err(Refusal::new(Code::Overloaded, text));
        }
        if !self.over.swap(true, Ordering::AcqRel) {
            self.session.answer(header, bytes);
        }
        Ok(true)
    }

    fn unanswered(&self, read: bool) {
        if self.over.swap(true, Ordering::AcqRel) {
            return;
        }
        let (code, text) = match read {
            true => (Code::Closed, "the receiver gave up the request without an answer"),
            false => (Code::Gone, "the receiver ended before it read the request"),
        };
        let header = Header { call: self.call, tag: code.number().into(), ..Header::new(Kind::Unanswered) };
        self.session.answer(header, text.as_bytes());
    }
}
