//! A coroutine that sends, delivers, watches, waits and gives up, by chance.

use super::end::{End, Ground};
use super::net::{Event, MS};
use super::oracle::{Monitor, Told};
use corovan_core::limits;
use corovan_core::link::credit::{Acquired, Fate, Ticket};
use corovan_core::link::frame::{self, Header, Kind, Local};

#[derive(Default)]
pub struct Sender {
    /// Counts what it did; what was planned for an earlier one is void.
    pub step: u64,
    doing: Doing,
    /// To be sent right after, to the same.
    burst: u64,
    to: Local,
    monitors: Vec<(u64, Header)>,
}

#[derive(Clone, Copy, Default)]
enum Doing {
    #[default]
    Nothing,
    /// Waits for room in the lane.
    Room(Wish, Patience),
    Credit(Wish, Ticket, Patience),
    Answer(Wish, u64, Patience),
}

#[derive(Clone, Copy)]
struct Wish {
    /// In which session.
    object: u64,
    header: Header,
    size: usize,
}

/// When it gives up.
type Patience = u64;

/// Zeros to send.
static BYTES: [u8; limits::MESSAGE_BYTES] = [0; limits::MESSAGE_BYTES];

impl Sender {
    /// The answer of a deliver has come.
    pub fn answered(&mut self, g: &mut Ground, taken: bool) {
        let Doing::Answer(wish, ..) = self.doing else { panic!("nobody waits") };
        g.oracle.told(wish.header.tag, if taken { Told::Delivered } else { Told::CertainlyNot });
        self.doing = Doing::Nothing;
    }
}

impl End {
    /// A sender's turn: `working` while it may begin something.
    pub fn sender(&mut self, g: &mut Ground, at: usize, working: bool) {
        let now = g.net.now;
        self.senders[at].step += 1;
        let doing = std::mem::take(&mut self.senders[at].doing);
        let lost = self.session.as_ref().map(|session| session.object);
        let doing = match doing {
            Doing::Nothing if working => self.begins(g, at),
            Doing::Nothing => Doing::Nothing,
            // Its session has ended.
            Doing::Room(wish, _) | Doing::Credit(wish, ..) | Doing::Answer(wish, ..) if lost != Some(wish.object) => {
                Doing::Nothing
            }
            Doing::Room(wish, patience) => self.with_room(g, at, wish, patience),
            Doing::Credit(wish, ticket, patience) => self.with_ticket(g, at, wish, ticket, patience),
            Doing::Answer(_, call, patience) if now >= patience => {
                let session = self.session.as_mut().unwrap();
                assert_eq!(session.calls.take(call), Some(at));
                Doing::Nothing
            }
            waits => waits,
        };
        self.senders[at].doing = doing;
        self.plan(g, at, working);
    }

    fn plan(&mut self, g: &mut Ground, at: usize, working: bool) {
        let (now, sender) = (g.net.now, &mut self.senders[at]);
        let time = match sender.doing {
            Doing::Nothing if !working => return,
            Doing::Nothing if sender.burst > 0 => now + MS / 100,
            Doing::Nothing => now + g.random.between(MS, 200 * MS),
            Doing::Room(_, patience) | Doing::Credit(.., patience) | Doing::Answer(.., patience) => patience,
        };
        if time != u64::MAX {
            g.net.at(time, Event::Sender { end: self.id, sender: at, step: sender.step });
        }
    }

    fn begins(&mut self, g: &mut Ground, at: usize) -> Doing {
        let known = &g.oracle.mailboxes[1 - self.id];
        let newest = known.len() as u64;
        let to = match self.senders[at].burst {
            0 => known[(newest - 1 - g.random.below(newest.min(6))) as usize],
            _ => self.senders[at].to,
        };
        self.senders[at].to = to;
        let from = Local { counter: at as u64 + 1, secret: self.incarnation.into() };
        if self.senders[at].burst == 0 {
            match g.random.below(20) {
                0 => self.senders[at].burst = g.random.between(5, 60),
                1 | 2 => return self.watches(g, at, to, from),
                3 => return self.gives_up(g, at),
                _ => {}
            }
        }
        self.senders[at].burst = self.senders[at].burst.saturating_sub(1);
        let size = match g.random.below(g.large) {
            0 => g.random.below(limits::MESSAGE_BYTES as u64),
            1..6 => g.random.below(60_000),
            _ => g.random.below(200),
        };
        let kind = if g.random.chance(20) { Kind::Deliver } else { Kind::Message };
        let object = self.session(g).object;
        let header = Header { tag: g.oracle.message(), to, from, ..Header::new(kind) };
        let patience = if g.random.chance(50) { u64::MAX } else { g.net.now + g.random.below(3_000 * MS) };
        self.with_room(g, at, Wish { object, header, size: size as usize }, patience)
    }

    /// First room in the lane, then credit, then the frame: all under one lock in a host.
    fn with_room(&mut self, g: &mut Ground, at: usize, wish: Wish, patience: Patience) -> Doing {
        let now = g.net.now;
        let session = self.session.as_mut().unwrap();
        let lane = &mut session.out[usize::from(wish.header.lane())];
        if !lane.has_room(wish.header.kind, frame::HEADER + wish.size) {
            g.oracle.full += 1;
            if now >= patience {
                g.oracle.told(wish.header.tag, Told::CertainlyNot);
                return Doing::Nothing;
            }
            session.want_room.push(at);
            return Doing::Room(wish, patience);
        }
        match session.borrower.acquire(wish.header.to, wish.size, now, || at) {
            Acquired::Now => self.sends(g, at, wish, patience),
            Acquired::Wait(ticket) => {
                g.oracle.waited += 1;
                Doing::Credit(wish, ticket, patience)
            }
            Acquired::Gone | Acquired::Overloaded => {
                g.oracle.told(wish.header.tag, Told::CertainlyNot);
                Doing::Nothing
            }
            Acquired::Lost => panic!("the session is there"),
        }
    }

    fn with_ticket(&mut self, g: &mut Ground, at: usize, wish: Wish, ticket: Ticket, patience: Patience) -> Doing {
        let session = self.session.as_mut().unwrap();
        let gives_up = g.net.now >= patience;
        if gives_up {
            let woken = session.borrower.withdraw(wish.header.to, ticket);
            g.oracle.told(wish.header.tag, Told::CertainlyNot);
            self.wake(g, woken);
            return Doing::Nothing;
        }
        let lane = &mut session.out[usize::from(wish.header.lane())];
        if !lane.has_room(wish.header.kind, frame::HEADER + wish.size) {
            g.oracle.full += 1;
            session.want_room.push(at);
            return Doing::Credit(wish, ticket, patience);
        }
        match session.borrower.fate(wish.header.to, ticket) {
            Fate::Waiting => Doing::Credit(wish, ticket, patience),
            Fate::Granted => self.sends(g, at, wish, patience),
            Fate::Gone => {
                g.oracle.told(wish.header.tag, Told::CertainlyNot);
                Doing::Nothing
            }
            Fate::Lost => panic!("the session is there"),
        }
    }

    fn sends(&mut self, g: &mut Ground, at: usize, mut wish: Wish, patience: Patience) -> Doing {
        let id = self.id;
        let session = self.session.as_mut().unwrap();
        let deliver = wish.header.kind == Kind::Deliver;
        if deliver {
            wish.header.call = session.calls.begin(at).unwrap();
        }
        session.push(g, id, wish.header, &BYTES[..wish.size]);
        if deliver { Doing::Answer(wish, wish.header.call, patience) } else { Doing::Nothing }
    }

    fn watches(&mut self, g: &mut Ground, at: usize, to: Local, from: Local) -> Doing {
        let id = self.id;
        let monitor = g.oracle.monitors.len();
        let session = self.session(g);
        let header = Header { to, from, ..Header::new(Kind::Call) };
        if session.out[usize::from(header.lane())].has_room(Kind::Call, frame::HEADER) {
            let call = session.monitors.begin(monitor).unwrap();
            g.oracle.monitors.push(Monitor::Watching);
            let header = Header { call, ..header };
            session.push(g, id, header, &[]);
            let object = session.object;
            self.senders[at].monitors.push((object, header));
        }
        Doing::Nothing
    }

    /// Demonitors one, in the lane of the monitor: it must not come first.
    fn gives_up(&mut self, g: &mut Ground, at: usize) -> Doing {
        let (id, Some((object, header))) = (self.id, self.senders[at].monitors.pop()) else { return Doing::Nothing };
        let session = self.session.as_mut().filter(|session| session.object == object);
        if let Some(session) = session
            && let Some(monitor) = session.monitors.take(header.call)
        {
            assert_eq!(g.oracle.monitors[monitor], Monitor::Watching);
            g.oracle.monitors[monitor] = Monitor::GivenUp;
            session.push(g, id, Header { tag: 1, ..header }, &[]);
        }
        Doing::Nothing
    }

    /// Nobody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.senders.iter().all(|sender| matches!(sender.doing, Doing::Nothing))
    }
}
