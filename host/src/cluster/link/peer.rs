//! One other node as this one knows it: its session, its connections, where it is. A lock around
//! `corovan_core::link::contact`, which decides.

use super::session::{Fault, Session};
use crate::net::Connection;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::contact::{Contact, Refused};
use corovan_core::link::frame::LANES;
use corovan_core::link::session::{Decision, Hello};
use corovan_core::tenancy::rate::Rate;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

#[derive(Debug)]
pub(super) struct Peer {
    pub node: NodeId,
    pub state: Mutex<State>,
    /// One hello at a time: what it ends has ended before what it begins is used.
    adopting: Mutex<()>,
    /// Connections that it has made, and whose hello has not come yet.
    greeting: AtomicUsize,
    datagrams: Mutex<Rate>,
}

/// One of those, until dropped.
pub(super) struct Greeting<'a>(&'a AtomicUsize);

#[derive(Debug)]
pub(super) struct State {
    contact: Contact,
    session: Option<Arc<Session>>,
    /// Those whose hellos are under way, and the one in use.
    connections: HashMap<u64, Connection>,
    /// Where membership says it is, and where it was seen last.
    pub placed: Option<SocketAddr>,
    pub seen: Option<SocketAddr>,
    /// It accepts no connections: it is asked to make one, and was last at this time.
    dial_out: bool,
    asked: Option<u64>,
    /// A connection with it stays though nobody uses it.
    pub kept: bool,
    /// Datagrams for a connection that is being made.
    pending: VecDeque<Bytes>,
    /// When the connection in use was used last by anything.
    pub used: u64,
}

/// A connection that is in use now.
pub(super) struct Adopted {
    pub session: Arc<Session>,
    /// To be sent, where the peer dialled.
    pub answer: Option<Hello>,
    pub pending: VecDeque<Bytes>,
}

/// Where membership says that a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    At(SocketAddr),
    /// It cannot be dialled, and dials where it is asked to.
    DialOut,
    /// It is no member.
    Gone,
}

/// How a connection with a node is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    Dialled(SocketAddr),
    Asked,
}

/// Datagrams that wait for a connection; the network may lose more than that as well.
pub(super) const PENDING: usize = 16;

impl Peer {
    pub fn new(me: NodeId, incarnation: u32, node: NodeId) -> Peer {
        let contact = Contact::new(me, incarnation, node);
        let state = State {
            contact,
            session: None,
            connections: HashMap::new(),
            placed: None,
            seen: None,
            dial_out: false,
            asked: None,
            kept: false,
            pending: VecDeque::new(),
            used: 0,
        };
        let interval = limits::PEER_DATAGRAM_INTERVAL.as_nanos() as u64;
        let datagrams = Mutex::new(Rate::new(interval, limits::PEER_DATAGRAM_BURST));
        Peer { node, state: Mutex::new(state), adopting: Mutex::new(()), greeting: AtomicUsize::new(0), datagrams }
    }

    /// It has sent a datagram. `false`: more than it may, and this one is lost.
    pub fn sends_datagram(&self, now: u64) -> bool {
        self.datagrams.lock().take(now)
    }

    /// It has made a connection. `None`: it makes connections and says nothing on them.
    pub fn greets(&self) -> Option<Greeting<'_>> {
        let greeting = Greeting(&self.greeting);
        (self.greeting.fetch_add(1, Ordering::AcqRel) < limits::MESH_GREETINGS).then_some(greeting)
    }

    /// The session that is held, or one that begins with the next connection; `true` when it is new.
    pub fn session(&self, make: impl FnOnce() -> Session) -> (Arc<Session>, bool) {
        let mut state = self.state.lock();
        state.forget_ended();
        let mut new = false;
        let session = state.session.get_or_insert_with(|| {
            new = true;
            Arc::new(make())
        });
        (Arc::clone(session), new)
    }

    /// A connection that this node has dialled: the hello to be sent on it. `None`: another is used.
    pub fn dialled(&self, number: u64, connection: &Connection) -> Option<Hello> {
        let mut state = self.state.lock();
        state.forget_ended();
        let received = state.received();
        let hello = state.contact.dialled(number, &received)?;
        state.connections.insert(number, connection.clone());
        Some(hello)
    }

    /// The peer's hello has come: the connection is in use from now on.
    pub fn heard(
        &self,
        (number, connection, own): (u64, &Connection, bool),
        theirs: &Hello,
        make: impl FnOnce() -> Session,
        began: impl FnOnce(&Arc<Session>),
    ) -> Result<Adopted, Refused> {
        let _one = self.adopting.lock();
        let (meeting, ends) = {
            let mut state = self.state.lock();
            state.forget_ended();
            let received = state.received();
            let meeting = state.contact.heard(number, own, theirs, &received).inspect_err(|_| {
                state.connections.remove(&number);
            })?;
            state.connections.insert(number, connection.clone());
            meeting.replaces.into_iter().for_each(|replaced| state.close(&[replaced], "another connection is used"));
            let ends = match meeting.decision {
                Decision::New { ends_old: Some(_), .. } => state.session.take(),
                _ => None,
            };
            (meeting, ends)
        };
        ends.into_iter().for_each(|old| old.end());
        let (session, new) = {
            let mut state = self.state.lock();
            let mut new = false;
            let session = Arc::clone(state.session.get_or_insert_with(|| {
                new = true;
                Arc::new(make())
            }));
            state.seen = Some(connection.quic.remote_address());
            state.used = session.clock.now();
            (session, new)
        };
        session.lanes.iter().for_each(|lane| lane.out.lock().adopt(number));
        // The same on each connection, since the id is a hash of it.
        let _ = session.name.set(connection.principal.name().to_owned());
        session.live.store(number, Ordering::Release);
        match meeting.decision {
            Decision::Resume { .. } => {
                for (lane, received) in session.lanes.iter().zip(&theirs.received) {
                    match lane.out.lock().resume(*received) {
                        Ok(woken) => woken.into_iter().for_each(Waker::wake),
                        Err(violation) => session.fail(&Fault::from(violation)),
                    }
                }
            }
            Decision::New { number, .. } => session.begin(theirs.incarnation, number),
        }
        session.pulse.lock().connected(session.clock.now());
        if new {
            began(&session);
        }
        let pending = std::mem::take(&mut self.state.lock().pending);
        Ok(Adopted { session, answer: meeting.answer, pending })
    }

    /// A connection is no more; `true` if it was the one in use.
    pub fn lost(&self, number: u64) -> bool {
        let mut state = self.state.lock();
        state.connections.remove(&number);
        let live = state.contact.lost(number);
        if live && let Some(session) = &state.session {
            session.pulse.lock().disconnected(session.clock.now());
        }
        live
    }

    /// Ends this session, and closes its connections.
    pub fn end(&self, session: &Arc<Session>, why: &str) {
        {
            let mut state = self.state.lock();
            if state.session.as_ref().is_some_and(|held| Arc::ptr_eq(held, session)) {
                state.session = None;
                let closing = state.contact.end();
                state.close_for(session, &closing, why);
            }
        }
        session.end();
    }

    /// The connection in use, if there is one.
    pub fn live(&self) -> Option<Connection> {
        let state = self.state.lock();
        state.connections.get(&state.contact.live()?).cloned()
    }

    /// It has been seen at this address, or is said to be there.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        let state = self.state.lock();
        state.seen == Some(address) || state.placed == Some(address)
    }

    /// Keeps a datagram for the connection that is being made; the oldest gives way.
    pub fn keep(&self, datagram: Bytes) {
        let mut state = self.state.lock();
        // One may have come into use this very moment.
        if let Some(live) = state.contact.live().and_then(|live| state.connections.get(&live)) {
            let _ = live.quic.send_datagram(datagram);
            return;
        }
        if state.pending.len() >= PENDING {
            state.pending.pop_front();
        }
        state.pending.push_back(datagram);
    }

    /// The session that is held, if there is one.
    pub fn held(&self) -> Option<Arc<Session>> {
        self.state.lock().session.clone().filter(|session| !session.has_ended())
    }

    /// How a connection with it is made.
    pub fn reach(&self) -> Option<Reach> {
        let state = self.state.lock();
        if state.dial_out {
            return Some(Reach::Asked);
        }
        state.placed.or(state.seen).map(Reach::Dialled)
    }

    /// Where membership says that it is.
    pub fn place(&self, place: Place) {
        let mut state = self.state.lock();
        match place {
            Place::At(address) => (state.placed, state.dial_out) = (Some(address), false),
            Place::DialOut => (state.placed, state.dial_out) = (None, true),
            // Where it was seen it may still be; one that only dials does so also when it is no member.
            Place::Gone => state.placed = None,
        }
    }

    /// Where membership says that it can be dialled.
    pub fn placed(&self) -> Option<SocketAddr> {
        self.state.lock().placed
    }

    /// It is to be asked to dial: now, if that was not done just before.
    pub fn is_asked(&self, now: u64) -> bool {
        let mut state = self.state.lock();
        let retry = u64::try_from(limits::CALL_BACK_RETRY.as_nanos()).unwrap_or(u64::MAX);
        let asks = state.asked.is_none_or(|asked| now.saturating_sub(asked) >= retry);
        if asks {
            state.asked = Some(now);
        }
        asks
    }

    /// It says that it has no connection with this node: whether that is so, and there is none here from now on. A question
    /// that was overtaken by its answer costs none.
    pub fn is_unconnected(&self) -> bool {
        if self.live().is_none() {
            return true;
        }
        let fresh = u64::try_from(limits::CALL_BACK_FRESH.as_nanos()).unwrap_or(u64::MAX);
        let silent = self
            .held()
            .is_none_or(|session| session.clock.now().saturating_sub(session.pulse.lock().last_heard()) > fresh);
        if silent {
            self.rest();
        }
        silent
    }

    /// Closes the connection in use, which nobody needs; the session is held for a while.
    pub fn rest(&self) {
        let mut state = self.state.lock();
        if let Some(live) = state.contact.live() {
            state.contact.lost(live);
            state.close(&[live], "nobody uses this connection");
            if let Some(session) = &state.session {
                session.pulse.lock().disconnected(session.clock.now());
            }
        }
    }
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl State {
    /// A session that has ended by what its connection brought, and is about to be taken away.
    fn forget_ended(&mut self) {
        if let Some(session) = self.session.take_if(|session| session.has_ended()) {
            let closing = self.contact.end();
            self.close_for(&session, &closing, "the session has ended");
        }
    }

    fn received(&self) -> [u64; LANES] {
        self.session.as_ref().map_or([0; LANES], |session| session.received())
    }

    /// Closes the connections of a session that has ended; where the other node is at fault, it is told so.
    fn close_for(&mut self, session: &Session, numbers: &[u64], why: &str) {
        match session.fault() {
            Some(fault) => self.close_with(numbers, Some(Code::Protocol), &fault.0),
            None => self.close(numbers, why),
        }
    }

    fn close(&mut self, numbers: &[u64], why: &str) {
        self.close_with(numbers, None, why);
    }

    fn close_with(&mut self, numbers: &[u64], code: Option<Code>, why: &str) {
        for number in numbers {
            if let Some(connection) = self.connections.remove(number) {
                connection.quic.close(crate::net::close_code(code), why.as_bytes());
            }
        }
    }
}

/// So many connections with other nodes at a time.
pub(super) const MOST: usize = limits::MESH_LINKS;
