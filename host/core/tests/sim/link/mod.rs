//! Two ends of a link over connections that are cut, delayed, torn and made again, one end restarted at times.
//!
//! After each step: within a session no duplicate, no reordering, no gap; nothing arrives that was told not to; no credit
//! exceeded; unacknowledged bytes within their bound; a monitor fires once. When all is quiet: everything given back.

mod end;
mod inbound;
mod inbox;
mod net;
mod oracle;
pub mod random;
mod sender;

use crate::seeds;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::frame::Local;
use corovan_core::sync::mailbox::Bounds;
use end::{End, Ground};
use net::{Event, MS, Net};
use oracle::{Monitor, Oracle};
use random::Random;
use sender::Sender;

/// Runs in the test command.
const SEEDS: u64 = 300;
const SENDERS: usize = 4;
const MAILBOXES: usize = 3;

#[test]
fn what_a_session_promises_holds_over_any_connections() {
    let (mut runs, mut sum) = (0, [0; 7]);
    seeds::each(SEEDS, |seed| {
        let counts = World::new(seed).run();
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        runs += 1;
    });
    let [messages, resumed, ended, duplicates, full, waited, returned] = sum;
    println!(
        "{messages} messages, {resumed} resumptions, {ended} ends of sessions, {duplicates} frames again, \
         {full} times no room in a lane, {waited} times no credit, {returned} credits returned"
    );
    assert!(runs == 1 || sum.iter().all(|count| *count > 0), "something never happened: {sum:?}");
}

struct World {
    ends: [End; 2],
    g: Ground,
    /// How long there is work and things go wrong.
    until: u64,
    working: bool,
    /// How often something goes wrong, at most.
    chaos: u64,
    slow: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let longest_delay = [MS, 5 * MS, 40 * MS][random.below(3) as usize];
        let until = random.between(2, 8) * 1_000 * MS;
        let chaos = [300, 1_500, 4_000][random.below(3) as usize] * MS;
        let slow = [2, 20, 100][random.below(3) as usize] * MS;
        let nodes = if random.chance(50) { [1, 2] } else { [2, 1] }.map(|byte| NodeId([byte; 12]));
        // In some runs much is on its way: mailboxes have room, and lanes have none.
        let heavy = random.chance(10);
        let (messages, bytes, large) = if heavy { (1_000, 8 << 20, 3) } else { (60, 400 << 10, 60) };
        let bounds = Bounds { messages, bytes, reserved: 0 };
        let g = Ground { net: Net::new(longest_delay), random, oracle: Oracle::default(), next: 0, bounds, large };
        let ends = [0, 1].map(|id| End::new(id, nodes[id], nodes[1 - id], 1));
        let mut world = World { ends, g, until, working: true, chaos, slow };
        (0..2).for_each(|end| world.populate(end));
        world.g.net.at(world.chaos, Event::Chaos);
        world
    }

    fn run(mut self) -> [u64; 7] {
        self.events(self.until);
        // Things get better, and what waits goes on; nothing new begins.
        self.working = false;
        self.g.net.held_up = [0; 2];
        self.g.net.parted = 0;
        self.events(self.until + 30_000 * MS);
        self.assert_quiet();
        for end in 0..2 {
            let counters: Vec<u64> = self.ends[end].mailboxes.keys().copied().collect();
            counters.into_iter().for_each(|counter| self.ends[end].exits(&mut self.g, counter));
            self.ends[end].turn(&mut self.g);
        }
        self.events(self.until + 150_000 * MS);
        self.g.oracle.settled();
        for end in &self.ends {
            assert!(end.session.is_none() && end.contact.live().is_none(), "an unused connection is closed");
        }
        let it = &self.g.oracle;
        [it.messages.len() as u64, it.resumed, it.ended, it.duplicates, it.full, it.waited, it.returned]
    }

    fn events(&mut self, until: u64) {
        let (mut time, mut at_once) = (0, 0);
        while let Some(event) = self.g.net.next(until) {
            at_once = if self.g.net.now == time { at_once + 1 } else { 0 };
            time = self.g.net.now;
            assert!(at_once < 20_000, "time stands still");
            let (g, ends) = (&mut self.g, &mut self.ends);
            let end = match event {
                Event::Dialled { connection, by, stands } => {
                    ends[by].dialled(g, connection, stands);
                    by
                }
                Event::Bytes { connection, to, stream, bytes } => {
                    if let Some(bytes) = g.net.arrives(connection, to, stream, bytes, &mut g.random) {
                        ends[to].bytes(g, connection, stream, bytes);
                    }
                    to
                }
                Event::Lost { connection, at } => {
                    if g.net.lost(connection, at) {
                        ends[at].lost(g, connection);
                    }
                    at
                }
                Event::Wake { end } => end,
                Event::Sender { end, sender, step } => {
                    if ends[end].senders.get(sender).is_some_and(|sender| sender.step == step) {
                        ends[end].sender(g, sender, self.working);
                    }
                    end
                }
                Event::Reader { end, mailbox } => {
                    self.read(end, mailbox);
                    end
                }
                Event::Chaos => {
                    self.chaos();
                    continue;
                }
            };
            self.ends[end].turn(&mut self.g);
        }
    }

    fn populate(&mut self, end: usize) {
        (0..MAILBOXES).for_each(|_| self.mailbox(end));
        self.ends[end].senders = (0..SENDERS).map(|_| Sender::default()).collect();
        for sender in 0..SENDERS {
            self.g.net.at(self.g.net.now + MS, Event::Sender { end, sender, step: 0 });
        }
    }

    fn mailbox(&mut self, end: usize) {
        self.g.next += 1;
        let local = Local { counter: self.g.next, secret: self.g.random.below(1 << 60) };
        self.ends[end].mailboxes.insert(local.counter, (local, end::Inbox::new(self.g.bounds)));
        self.g.oracle.mailboxes[end].push(local);
        self.g.net.at(self.g.net.now, Event::Reader { end, mailbox: local.counter });
    }

    fn read(&mut self, end: usize, mailbox: u64) {
        if !self.ends[end].mailboxes.contains_key(&mailbox) {
            return;
        }
        if self.working && self.g.random.below(1_000) < 3 {
            self.ends[end].exits(&mut self.g, mailbox);
            self.mailbox(end);
            return;
        }
        let letters = self.g.random.below(12);
        (0..letters).for_each(|_| self.ends[end].read(&mut self.g, mailbox));
        let idle = !self.working && self.ends[end].mailboxes[&mailbox].1.is_empty();
        let time = if idle { 500 * MS } else { self.g.random.between(MS, 3 * self.slow) };
        self.g.net.at(self.g.net.now + time, Event::Reader { end, mailbox });
    }

    fn chaos(&mut self) {
        if !self.working {
            return;
        }
        let (now, either) = (self.g.net.now, self.g.random.below(2) as usize);
        let a_while = self.g.random.below(5_000) * MS;
        let g = &mut self.g;
        match g.random.below(20) {
            0..8 => g.net.cut([true; 2], &mut g.random),
            8..11 => g.net.cut([either == 0, either == 1], &mut g.random),
            11..14 => g.net.held_up[either] = now + a_while,
            14..16 => g.net.parted = now + a_while,
            16 => (g.net.parted, g.net.held_up) = (now + a_while, [now + a_while; 2]),
            17 => self.restart(either),
            _ => {}
        }
        let time = self.g.random.between(MS, 2 * self.chaos);
        self.g.net.at(now + time, Event::Chaos);
    }

    fn restart(&mut self, at: usize) {
        let peer = self.ends[1 - at].node;
        let old = &mut self.ends[at];
        old.crash(&mut self.g);
        for monitor in old.session.iter_mut().flat_map(|session| session.monitors.end()) {
            self.g.oracle.monitors[monitor] = Monitor::Void;
        }
        self.ends[at] = End::new(at, old.node, peer, old.incarnation + 1);
        self.populate(at);
    }

    /// All was given back, everybody went on.
    fn assert_quiet(&self) {
        for end in &self.ends {
            assert!(end.is_idle(), "a sender waits for ever at {}", end.id);
            let Some(session) = &end.session else { continue };
            assert_eq!(session.out.iter().map(|lane| lane.held()).sum::<usize>(), 0, "all is acknowledged");
            assert_eq!((session.borrower.len(), session.borrower.waiting()), (0, 0), "credit is returned");
            assert_eq!(session.borrower.allowance(), limits::FIRST_CONTACT_ALLOWANCE);
            assert_eq!((session.lender.len(), session.lender.unsettled()), (0, 0), "and taken back");
            assert_eq!((session.calls.len(), session.want_room.len()), (0, 0));
            let other = self.ends[1 - end.id].session.as_ref();
            assert_eq!(Some(session.monitors.len()), other.map(|other| other.watched.len()));
        }
    }
}
