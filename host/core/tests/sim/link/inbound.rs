//! What comes in at one end: hellos, marks, and frames of each lane, once and in order.

use super::end::{End, Ground};
use super::net::FIRST;
use bytes::Bytes;
use corovan_core::link::contact::Refused;
use corovan_core::link::credit::{self, Grant};
use corovan_core::link::frame::{self, Decoded, Decoder, Header, Kind};
use corovan_core::link::lane::{Mark, Verdict};
use corovan_core::link::session::{Decision, Error, Hello};

impl End {
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
}
