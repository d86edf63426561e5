//! Connections between two ends: streams in order, bytes delayed, held up or lost after a cut, which each end notices when it does.

use super::random::Random;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};

pub const MS: u64 = 1_000_000;

/// The connection's first stream; lanes have their own numbers.
pub const FIRST: u8 = 0xff;

pub enum Event {
    /// The handshake of a connection is done, or failed.
    Dialled {
        connection: u64,
        by: usize,
        stands: bool,
    },
    Bytes {
        connection: u64,
        to: usize,
        stream: u8,
        bytes: Bytes,
    },
    /// This end sees that the connection is no more.
    Lost {
        connection: u64,
        at: usize,
    },
    /// A time has come that this end waited for.
    Wake {
        end: usize,
    },
    /// A sender goes on; only if it is still where it was.
    Sender {
        end: usize,
        sender: usize,
        step: u64,
    },
    /// A mailbox is read.
    Reader {
        end: usize,
        mailbox: u64,
    },
    /// Something goes wrong.
    Chaos,
}

pub struct Net {
    pub now: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    connections: Vec<Connection>,
    /// What an end sends is held up until then.
    pub held_up: [u64; 2],
    /// No connection can be made until then.
    pub parted: u64,
    pub longest_delay: u64,
}

#[derive(Default)]
struct Connection {
    open: [bool; 2],
    /// What this end sends is lost from now on.
    cut: [bool; 2],
    /// Streams of which a part came through after the cut.
    torn: HashSet<(usize, u8)>,
    last: HashMap<(usize, u8), u64>,
}

impl Net {
    pub fn new(longest_delay: u64) -> Net {
        let (events, connections) = (BTreeMap::new(), Vec::new());
        Net { now: 0, events, next_event: 0, connections, held_up: [0; 2], parted: 0, longest_delay }
    }

    pub fn at(&mut self, time: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((time.max(self.now), self.next_event), event);
    }

    /// The next thing that happens before a time; the clock is set.
    pub fn next(&mut self, until: u64) -> Option<Event> {
        let first = self.events.first_entry().filter(|first| first.key().0 <= until)?;
        let ((time, _), event) = first.remove_entry();
        self.now = time;
        Some(event)
    }

    pub fn dial(&mut self, by: usize, random: &mut Random) -> u64 {
        let connection = self.connections.len() as u64;
        let stands = self.now >= self.parted;
        let open = if stands { [true; 2] } else { [false; 2] };
        self.connections.push(Connection { open, ..Connection::default() });
        let time = if stands { self.delay(random) * 2 } else { 1_000 * MS };
        self.at(self.now + time, Event::Dialled { connection, by, stands });
        connection
    }

    pub fn send(&mut self, from: usize, connection: u64, stream: u8, bytes: Bytes, random: &mut Random) {
        let soonest = self.now.max(self.held_up[from]) + self.delay(random);
        let it = &mut self.connections[connection as usize];
        if !it.open[from] || it.cut[from] {
            return;
        }
        let last = it.last.entry((from, stream)).or_default();
        *last = soonest.max(*last);
        let time = *last;
        self.at(time, Event::Bytes { connection, to: 1 - from, stream, bytes });
    }

    /// What of sent bytes comes out at the other end.
    pub fn arrives(
        &mut self,
        connection: u64,
        to: usize,
        stream: u8,
        bytes: Bytes,
        random: &mut Random,
    ) -> Option<Bytes> {
        let it = &mut self.connections[connection as usize];
        if !it.open[to] || it.cut[1 - to] && !it.torn.insert((to, stream)) {
            return None;
        }
        let len = if it.cut[1 - to] { random.below(bytes.len() as u64) as usize } else { bytes.len() };
        Some(bytes.slice(..len)).filter(|bytes| !bytes.is_empty())
    }

    /// One end closes, and the other notices.
    pub fn close(&mut self, connection: u64, from: usize, random: &mut Random) {
        let it = &mut self.connections[connection as usize];
        if std::mem::replace(&mut it.open[from], false) {
            let silent = it.cut[from];
            it.cut[from] |= random.chance(50);
            let time = if silent { 2_500 * MS } else { self.delay(random) };
            self.at(self.now + time, Event::Lost { connection, at: 1 - from });
        }
    }

    /// The path is gone, one way or both ways.
    pub fn cut(&mut self, directions: [bool; 2], random: &mut Random) {
        for connection in 0..self.connections.len() as u64 {
            let it = &mut self.connections[connection as usize];
            if it.open == [true; 2] {
                (0..2).for_each(|from| it.cut[from] |= directions[from]);
                for at in 0..2 {
                    let time = random.below(3_500) * MS;
                    self.at(self.now + time, Event::Lost { connection, at });
                }
            }
        }
    }

    /// `false` if it had closed itself.
    pub fn lost(&mut self, connection: u64, at: usize) -> bool {
        std::mem::replace(&mut self.connections[connection as usize].open[at], false)
    }

    fn delay(&self, random: &mut Random) -> u64 {
        random.between(MS / 20, self.longest_delay)
    }
}
