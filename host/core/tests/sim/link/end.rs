//! One node as the link sees it: connections, the session and its parts put together as a host would, and mailboxes.

use super::net::{Event, FIRST, MS, Net};
use super::oracle::{Ident, Oracle};
use super::random::Random;
use super::sender::Sender;
use bytes::{Bytes, BytesMut};
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::calls::{Pending, Watched};
use corovan_core::link::contact::Contact;
use corovan_core::link::credit::{self, Borrower, Grant, Lender};
use corovan_core::link::frame::{Decoder, Header, LANES, Local};
use corovan_core::link::lane::{Incoming, Mark, Outgoing, Stream};
use corovan_core::link::pulse::{Action, Pulse};
use corovan_core::link::session::Hello;
use corovan_core::sync::mailbox::{Bounds, Mailbox};
use std::collections::BTreeMap;

/// What both ends share: not part of what is tested.
pub struct Ground {
    pub net: Net,
    pub random: Random,
    pub oracle: Oracle,
    pub next: u64,
    /// Of each mailbox.
    pub bounds: Bounds,
    /// One of so many messages is large.
    pub large: u64,
}

pub struct End {
    pub id: usize,
    pub node: NodeId,
    pub incarnation: u32,
    pub contact: Contact,
    pub session: Option<Session>,
    pub connections: BTreeMap<u64, Open>,
    dialling: Option<u64>,
    dial_at: u64,
    flush_at: Option<u64>,
    /// Nothing is written before: frames gather in their lanes.
    write_at: u64,
    wake_at: u64,
    pub mailboxes: BTreeMap<u64, (Local, Inbox)>,
    pub senders: Vec<Sender>,
}

pub type Inbox = Mailbox<(), Waiting>;

/// A message from the other node that waits for room: its session, and the call to be answered.
#[derive(Clone, Copy)]
pub struct Waiting {
    pub object: u64,
    pub header: Header,
    pub size: usize,
}

pub struct Session {
    pub object: u64,
    pub ident: Option<Ident>,
    pub out: [Outgoing; LANES],
    pub inc: [Incoming; LANES],
    pub borrower: Borrower<usize>,
    pub lender: Lender,
    pub calls: Pending<usize>,
    pub monitors: Pending<usize>,
    pub watched: Watched<Local>,
    pub watchers: BTreeMap<u64, Vec<u64>>,
    pub pulse: Pulse,
    /// Senders that wait for room in a lane.
    pub want_room: Vec<usize>,
    /// What the other was told it may send, for comparison.
    pub limits: BTreeMap<Local, credit::Amount>,
    pub arrived: BTreeMap<Local, credit::Amount>,
}

/// A connection as this end sees it.
#[derive(Default)]
pub struct Open {
    pub own: bool,
    /// The session it carries.
    pub object: Option<u64>,
    pub first: BytesMut,
    pub greeted: bool,
    begun: [bool; LANES],
    pub lanes: [Inbound; LANES],
    /// Came before the hello.
    pub early: Vec<(u8, Bytes)>,
}

#[derive(Default)]
pub struct Inbound {
    pub prefix: BytesMut,
    pub stream: Option<(Stream, Decoder)>,
}

impl Session {
    fn new(object: u64, now: u64) -> Session {
        Session {
            object,
            ident: None,
            out: Default::default(),
            inc: Default::default(),
            borrower: Borrower::new(),
            lender: Lender::new(),
            calls: Pending::calls(),
            monitors: Pending::monitors(),
            watched: Watched::new(),
            watchers: BTreeMap::new(),
            pulse: Pulse::new(now),
            want_room: Vec::new(),
            limits: BTreeMap::new(),
            arrived: BTreeMap::new(),
        }
    }

    /// The frame's lane takes it for certain: room was asked for, or it ends what was bounded when it began.
    pub fn push(&mut self, g: &mut Ground, end: usize, header: Header, payload: &[u8]) {
        let number = self.out[usize::from(header.lane())].push(&header, &[payload]).unwrap();
        g.oracle.pushed(end, self.object, number, header);
    }

    fn is_busy(&self) -> bool {
        self.out.iter().any(|lane| lane.held() > 0)
            || !(self.calls.is_empty() && self.monitors.is_empty() && self.watched.is_empty())
            || self.borrower.waiting() > 0
    }
}

impl End {
    pub fn new(id: usize, node: NodeId, peer: NodeId, incarnation: u32) -> End {
        End {
            id,
            node,
            incarnation,
            contact: Contact::new(node, incarnation, peer),
            session: None,
            connections: BTreeMap::new(),
            dialling: None,
            dial_at: 0,
            flush_at: None,
            write_at: 0,
            wake_at: u64::MAX,
            mailboxes: BTreeMap::new(),
            senders: Vec::new(),
        }
    }

    /// The session, or one that begins as soon as there is a connection.
    pub fn session(&mut self, g: &mut Ground) -> &mut Session {
        self.session.get_or_insert_with(|| {
            g.next += 1;
            Session::new(g.next, g.net.now)
        })
    }

    pub fn dialled(&mut self, g: &mut Ground, connection: u64, stands: bool) {
        if self.dialling.take_if(|dialling| *dialling == connection).is_none() {
            return;
        }
        self.dial_at = g.net.now + g.random.between(MS, 300 * MS);
        if stands {
            let received = self.received();
            match self.contact.dialled(connection, &received) {
                Some(hello) => {
                    self.connections.insert(connection, Open { own: true, ..Open::default() });
                    self.greet(g, connection, &hello);
                }
                None => g.net.close(connection, self.id, &mut g.random),
            }
        }
    }

    pub fn lost(&mut self, g: &mut Ground, connection: u64) {
        self.connections.remove(&connection);
        if self.contact.lost(connection)
            && let Some(session) = &mut self.session
        {
            session.pulse.disconnected(g.net.now);
        }
    }

    /// Sends, dials, acknowledges, ends: whatever is due.
    pub fn turn(&mut self, g: &mut Ground) {
        self.say(g);
        let now = g.net.now;
        let mut next = [u64::MAX; 4];
        if let Some(session) = &mut self.session {
            let busy = session.is_busy();
            session.pulse.set_busy(now, busy);
            match session.pulse.poll(now) {
                Action::Wait(until) => next[0] = until,
                Action::KeepAlive { answer } => {
                    session.pulse.sent(now);
                    next[0] = now;
                    self.mark(g, Mark::Alive { answer });
                }
                Action::Close => {
                    if let Some(live) = self.contact.live() {
                        g.net.close(live, self.id, &mut g.random);
                        self.lost(g, live);
                    }
                    next[0] = now;
                }
                Action::End => {
                    for connection in self.contact.end() {
                        g.net.close(connection, self.id, &mut g.random);
                        self.connections.remove(&connection);
                    }
                    self.ended(g);
                }
            }
        }
        if let Some(session) = &mut self.session {
            next[1] = session.borrower.next_deadline().unwrap_or(u64::MAX);
            assert!(next[1] > now, "what was due is done");
            // Nothing to be said, nothing to be dialled for.
            let wanted = self.contact.live().is_none() && self.dialling.is_none() && session.is_busy();
            if wanted && now >= self.dial_at {
                self.dialling = Some(g.net.dial(self.id, &mut g.random));
            } else if wanted {
                next[2] = self.dial_at;
            }
        }
        let live = self.contact.live().is_some();
        let write_at = Some(self.write_at).filter(|at| *at > now);
        next[3] = self.flush_at.into_iter().chain(write_at).filter(|_| live).max().unwrap_or(u64::MAX);
        let wake = next.into_iter().min().unwrap_or(u64::MAX);
        if wake != u64::MAX && (wake < self.wake_at || self.wake_at <= now) {
            self.wake_at = wake;
            g.net.at(wake, Event::Wake { end: self.id });
        }
    }

    /// The session is over: all that waits in it learns so.
    pub fn ended(&mut self, g: &mut Ground) {
        let Some(mut session) = self.session.take() else { return };
        g.oracle.ended += 1;
        let mut woken = session.borrower.close();
        woken.extend(session.calls.end());
        woken.append(&mut session.want_room);
        session.monitors.end().into_iter().for_each(|monitor| g.oracle.fired(monitor));
        session.watched.end();
        self.wake(g, woken);
    }

    pub fn wake(&mut self, g: &mut Ground, woken: Vec<usize>) {
        for sender in woken {
            let step = self.senders[sender].step;
            // Not at once, so that it may be too late for one of little patience.
            let late = if g.random.chance(30) { g.random.below(200 * MS) } else { 0 };
            g.net.at(g.net.now + late, Event::Sender { end: self.id, sender, step });
        }
    }

    pub fn greet(&mut self, g: &mut Ground, connection: u64, hello: &Hello) {
        let mut bytes = BytesMut::new();
        hello.encode(&mut bytes).unwrap();
        g.net.send(self.id, connection, FIRST, bytes.freeze(), &mut g.random);
    }

    fn mark(&mut self, g: &mut Ground, mark: Mark) {
        if let Some(live) = self.contact.live() {
            let mut bytes = BytesMut::new();
            mark.encode(&mut bytes);
            g.net.send(self.id, live, FIRST, bytes.freeze(), &mut g.random);
        }
    }

    pub fn received(&mut self) -> [u64; LANES] {
        let session = self.session.as_mut();
        session.map_or([0; LANES], |session| std::array::from_fn(|lane| session.inc[lane].received()))
    }

    /// Credit, chunks, acknowledgements.
    fn say(&mut self, g: &mut Ground) {
        let now = g.net.now;
        let Some(session) = &mut self.session else { return };
        while let Some((mailbox, grant)) = session.lender.poll() {
            match grant {
                Grant::Limit(limit) => drop(session.limits.insert(mailbox, limit)),
                Grant::Closed => {
                    session.limits.remove(&mailbox);
                    session.arrived.remove(&mailbox);
                }
                Grant::Gone => {}
            }
            session.push(g, self.id, grant.header(mailbox), &[]);
        }
        while let Some((mailbox, sent)) = session.borrower.poll(now) {
            g.oracle.returned += 1;
            session.push(g, self.id, credit::return_header(mailbox, sent), &[]);
        }
        for lane in &session.out {
            assert!(lane.held() <= limits::LANE_BYTES + limits::LANE_ANSWER_BYTES, "unacknowledged bytes");
        }
        let Some(live) = self.contact.live().filter(|_| self.write_at <= now) else { return };
        if g.random.chance(20) {
            self.write_at = now + g.random.between(MS / 10, 20 * MS);
        }
        let open = self.connections.get_mut(&live).unwrap();
        for lane in 0..LANES {
            while let Some(chunk) = session.out[lane].take() {
                let mut bytes = BytesMut::new();
                if !std::mem::replace(&mut open.begun[lane], true) {
                    Mark::Lane { lane: lane as u8, number: chunk.first }.encode(&mut bytes);
                }
                bytes.extend_from_slice(&chunk.bytes);
                g.net.send(self.id, live, lane as u8, bytes.freeze(), &mut g.random);
                session.pulse.sent(now);
                session.pulse.used(now);
            }
        }
        let flush = self.flush_at.is_some_and(|at| at <= now) || g.random.chance(30);
        let mut marks = Vec::new();
        for (lane, inc) in session.inc.iter_mut().enumerate() {
            if (flush || inc.is_due())
                && let Some(number) = inc.acknowledge()
            {
                marks.push(Mark::Lane { lane: lane as u8, number });
            }
        }
        self.flush_at = if flush { None } else { Some(self.flush_at.unwrap_or(now + 5 * MS)) };
        marks.into_iter().for_each(|mark| self.mark(g, mark));
    }

    /// All connections of this end, which stops.
    pub fn crash(&mut self, g: &mut Ground) {
        let connections: Vec<u64> = self.connections.keys().copied().collect();
        connections.into_iter().for_each(|connection| g.net.close(connection, self.id, &mut g.random));
    }
}
