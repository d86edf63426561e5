//! One node as the link sees it: connections, the session and its parts put together as a host would, and mailboxes.

use super::net::{Event, FIRST, MS, Net};
use super::oracle::{Ident, Oracle};
use super::random::Random;
use super::sender::Sender;
use bytes::{Bytes, BytesMut};
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::link::calls::{Pending, Watched};
use corovan_core::link::contact::{Contact, Refused};
use corovan_core::link::credit::{self, Borrower, Grant, Lender};
use corovan_core::link::frame::{self, Decoded, Decoder, Header, Kind, LANES, Local};
use corovan_core::link::lane::{Incoming, Mark, Outgoing, Stream, Verdict};
use corovan_core::link::pulse::{Action, Pulse};
use corovan_core::link::session::{Decision, Error, Hello};
use corovan_core::sync::mailbox::{self, Bounds, Letter, Mailbox};
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
    connections: BTreeMap<u64, Open>,
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
    object: u64,
    header: Header,
    size: usize,
}

pub struct Session {
    pub object: u64,
    ident: Option<Ident>,
    pub out: [Outgoing; LANES],
    inc: [Incoming; LANES],
    pub borrower: Borrower<usize>,
    pub lender: Lender,
    pub calls: Pending<usize>,
    pub monitors: Pending<usize>,
    pub watched: Watched<Local>,
    watchers: BTreeMap<u64, Vec<u64>>,
    pub pulse: Pulse,
    /// Senders that wait for room in a lane.
    pub want_room: Vec<usize>,
    /// What the other was told it may send, for comparison.
    limits: BTreeMap<Local, credit::Amount>,
    arrived: BTreeMap<Local, credit::Amount>,
}

/// A connection as this end sees it.
#[derive(Default)]
struct Open {
    own: bool,
    /// The session it carries.
    object: Option<u64>,
    first: BytesMut,
    greeted: bool,
    begun: [bool; LANES],
    lanes: [Inbound; LANES],
    /// Came before the hello.
    early: Vec<(u8, Bytes)>,
}

#[derive(Default)]
struct Inbound {
    prefix: BytesMut,
    stream: Option<(Stream, Decoder)>,
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

    pub fn bytes(&mut self, g: &mut Ground, connection: u64, stream: u8, bytes: Bytes) {
        let open = self.connections.entry(connection).or_default();
        let alive = open.object.is_some() && open.object == self.session.as_ref().map(|session| session.object);
        if open.object.is_some() && !alive {
            return;
        }
        if alive && let Some(session) = &mut self.session {
            session.pulse.heard(g.net.now);
        }
        if stream == FIRST {
            open.first.extend_from_slice(&bytes);
            self.first_stream(g, connection);
        } else if alive {
            self.lane(g, connection, stream, bytes);
        } else {
            open.early.push((stream, bytes));
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
    fn ended(&mut self, g: &mut Ground) {
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

    fn greet(&mut self, g: &mut Ground, connection: u64, hello: &Hello) {
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

    fn received(&mut self) -> [u64; LANES] {
        let session = self.session.as_mut();
        session.map_or([0; LANES], |session| std::array::from_fn(|lane| session.inc[lane].received()))
    }

    fn first_stream(&mut self, g: &mut Ground, connection: u64) {
        while let Some(open) = self.connections.get_mut(&connection) {
            if !open.greeted {
                let Some(hello) = Hello::decode(&mut open.first).unwrap() else { return };
                open.greeted = true;
                self.hello(g, connection, &hello);
                continue;
            }
            let Some(mark) = Mark::decode(&mut open.first).unwrap() else { return };
            let Some(session) = &mut self.session else { return };
            match mark {
                Mark::Lane { lane, number } => {
                    if session.out[usize::from(lane)].acknowledge(number).unwrap() {
                        let woken = std::mem::take(&mut session.want_room);
                        self.wake(g, woken);
                    }
                }
                Mark::Alive { answer: true } => session.pulse.asked(g.net.now),
                Mark::Alive { answer: false } => {}
            }
        }
    }

    fn hello(&mut self, g: &mut Ground, connection: u64, theirs: &Hello) {
        let (own, received) = (self.connections[&connection].own, self.received());
        let meeting = match self.contact.heard(connection, own, theirs, &received) {
            Ok(meeting) => meeting,
            Err(refused) => {
                let honest =
                    matches!(refused, Refused::Lesser | Refused::Stale | Refused::Hello(Error::Incarnation(..)));
                assert!(honest, "{refused}");
                self.connections.remove(&connection);
                g.net.close(connection, self.id, &mut g.random);
                return;
            }
        };
        if let Some(replaced) = meeting.replaces {
            self.connections.remove(&replaced);
            g.net.close(replaced, self.id, &mut g.random);
        }
        if let Some(answer) = &meeting.answer {
            self.greet(g, connection, answer);
        }
        match meeting.decision {
            Decision::Resume { number } => {
                g.oracle.resumed += 1;
                let session = self.session.as_mut().unwrap();
                assert_eq!(session.ident.unwrap().2, number);
                let mut room = false;
                for (lane, received) in session.out.iter_mut().zip(&theirs.received) {
                    room |= lane.resume(*received).unwrap();
                }
                if room {
                    let woken = std::mem::take(&mut session.want_room);
                    self.wake(g, woken);
                }
            }
            Decision::New { number, ends_old } => {
                if ends_old.is_some() {
                    self.ended(g);
                }
                let incarnations = match self.id {
                    0 => (self.incarnation, theirs.incarnation),
                    _ => (theirs.incarnation, self.incarnation),
                };
                let ident = (incarnations.0, incarnations.1, number);
                let id = self.id;
                let session = self.session(g);
                assert_eq!(session.ident.replace(ident), None, "what was held is ended first");
                g.oracle.begun(id, ident, session.object);
            }
        }
        let session = self.session.as_mut().unwrap();
        session.pulse.connected(g.net.now);
        let open = self.connections.get_mut(&connection).unwrap();
        open.object = Some(session.object);
        for (lane, bytes) in std::mem::take(&mut open.early) {
            self.lane(g, connection, lane, bytes);
        }
    }

    fn lane(&mut self, g: &mut Ground, connection: u64, lane: u8, bytes: Bytes) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let session = self.session.as_mut().unwrap();
        let at = usize::from(lane);
        let inbound = &mut open.lanes[at];
        let (stream, decoder) = match &mut inbound.stream {
            Some(begun) => {
                begun.1.feed(bytes);
                begun
            }
            None => {
                inbound.prefix.extend_from_slice(&bytes);
                let Some(mark) = Mark::decode(&mut inbound.prefix).unwrap() else { return };
                let Mark::Lane { lane: named, number } = mark else { panic!("{mark:?}") };
                assert_eq!(named, lane);
                let mut decoder = Decoder::default();
                decoder.feed(std::mem::take(&mut inbound.prefix).freeze());
                inbound.stream.insert((session.inc[at].begin(number).unwrap(), decoder))
            }
        };
        let mut frames = Vec::new();
        while let Some(Decoded::Frame(frame)) = decoder.next().unwrap() {
            match session.inc[at].accept(stream, frame::HEADER + frame.payload.len()) {
                Verdict::New(number) => frames.push((number, frame)),
                Verdict::Duplicate => g.oracle.duplicates += 1,
            }
        }
        let (ident, object) = (session.ident.unwrap(), session.object);
        session.pulse.used(g.net.now);
        for (number, frame) in frames {
            g.oracle.taken(self.id, ident, object, lane, number, &frame.header);
            self.frame(g, frame.header, frame.payload.len());
        }
    }

    fn frame(&mut self, g: &mut Ground, header: Header, size: usize) {
        let now = g.net.now;
        let session = self.session.as_mut().unwrap();
        match header.kind {
            Kind::Message | Kind::Deliver => self.message(g, header, size),
            Kind::Delivered => {
                if let Some(sender) = session.calls.answered(header.call).unwrap() {
                    self.senders[sender].answered(g, header.tag == 0);
                    self.wake(g, vec![sender]);
                }
            }
            Kind::Call if header.tag == 0 => {
                let alive = self.mailboxes.get(&header.to.counter).is_some_and(|(local, _)| *local == header.to);
                match session.watched.watch(header.call, header.to).unwrap() {
                    Ok(()) if alive => session.watchers.entry(header.to.counter).or_default().push(header.call),
                    Ok(()) => self.exit(g, header.call, header.to),
                    Err(refused) => panic!("{refused}"),
                }
            }
            Kind::Call => drop(session.watched.take(header.call)),
            Kind::Exit => {
                if let Some(monitor) = session.monitors.answered(header.call).unwrap() {
                    g.oracle.fired(monitor);
                }
            }
            Kind::Credit => {
                let woken = session.borrower.credited(header.from, Grant::from_header(&header), now).unwrap();
                self.wake(g, woken);
            }
            Kind::CreditReturn => {
                let sent = credit::Amount::new(header.call, header.tag);
                session.lender.returned(header.to, sent).unwrap();
            }
            kind => panic!("{kind:?}"),
        }
    }

    fn message(&mut self, g: &mut Ground, header: Header, size: usize) {
        let session = self.session.as_mut().unwrap();
        g.oracle.arrived(self.id, &header);
        let arrived = session.arrived.entry(header.to).or_default();
        let first = credit::Amount::new(limits::FIRST_CONTACT_MESSAGES, limits::FIRST_CONTACT_BYTES);
        let limit = session.limits.get(&header.to).copied().unwrap_or(first);
        (arrived.messages, arrived.bytes) = (arrived.messages + 1, arrived.bytes + size as u64);
        let within = arrived.messages <= limit.messages && arrived.bytes < limit.bytes + limits::MESSAGE_BYTES as u64;
        assert!(within, "beyond its credit of {limit:?}: {arrived:?}");
        session.lender.arrived(header.to, size).unwrap();
        let sender = Address { counter: header.from.counter, ..Address::default() };
        let letter = Letter { kind: mailbox::Kind::Message, tag: header.tag, sender, via: 0, size, body: () };
        let waiting = Waiting { object: session.object, header, size };
        match self.mailboxes.get_mut(&header.to.counter).filter(|(local, _)| *local == header.to) {
            None => {
                session.lender.settled(header.to, size, credit::Amount::default());
                session.lender.gone(header.to);
                self.delivered(g, &waiting, false);
            }
            Some((_, inbox)) => match inbox.push(letter) {
                Ok(_) => self.accepted(g, waiting),
                Err(mailbox::Full(letter)) => drop(inbox.wait(letter, waiting)),
            },
        }
    }

    /// A message has found room.
    fn accepted(&mut self, g: &mut Ground, waiting: Waiting) {
        g.oracle.accepted(waiting.header.tag);
        let free = self.mailboxes.get(&waiting.header.to.counter).map_or(credit::Amount::default(), |(_, inbox)| {
            let taken = g.bounds.messages.min(inbox.len() + inbox.senders());
            credit::Amount::new((g.bounds.messages - taken) as u64, g.bounds.bytes.saturating_sub(inbox.bytes()) as u64)
        });
        if let Some(session) = self.session.as_mut().filter(|session| session.object == waiting.object) {
            session.lender.settled(waiting.header.to, waiting.size, free);
        }
        self.delivered(g, &waiting, true);
    }

    fn delivered(&mut self, g: &mut Ground, waiting: &Waiting, taken: bool) {
        let session = self.session.as_mut().filter(|session| session.object == waiting.object);
        if let Some(session) = session.filter(|_| waiting.header.kind == Kind::Deliver) {
            let header = Header { call: waiting.header.call, tag: u64::from(!taken), ..Header::new(Kind::Delivered) };
            session.push(g, self.id, header, &[]);
        }
    }

    /// Takes a letter.
    pub fn read(&mut self, g: &mut Ground, counter: u64) {
        let Some((_, inbox)) = self.mailboxes.get_mut(&counter) else { return };
        if let Some(place) = inbox.find(&mailbox::Filter::default())
            && let Some((_, senders)) = inbox.take(place)
        {
            senders.into_iter().for_each(|waiting| self.accepted(g, waiting));
        }
    }

    /// The coroutine of a mailbox ends.
    pub fn exits(&mut self, g: &mut Ground, counter: u64) {
        let Some((local, mut inbox)) = self.mailboxes.remove(&counter) else { return };
        for (_, waiting) in inbox.close().waited {
            if let Some(session) = self.session.as_mut().filter(|session| session.object == waiting.object) {
                session.lender.settled(local, waiting.size, credit::Amount::default());
            }
            self.delivered(g, &waiting, false);
        }
        let Some(session) = &mut self.session else { return };
        session.lender.gone(local);
        let numbers = session.watchers.remove(&counter).unwrap_or_default();
        numbers.into_iter().for_each(|number| self.exit(g, number, local));
    }

    fn exit(&mut self, g: &mut Ground, number: u64, from: Local) {
        let session = self.session.as_mut().unwrap();
        if session.watched.take(number).is_some() {
            session.push(g, self.id, Header { call: number, from, ..Header::new(Kind::Exit) }, &[]);
        }
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
