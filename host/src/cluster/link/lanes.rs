//! One lane of a session on its way out: frames, answers that found no room yet, and who waits for some.

use bytes::Bytes;
use corovan_core::limits;
use corovan_core::link::frame::{self, Header};
use corovan_core::link::lane::{self, Chunk, Outgoing, Refused, Violation};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use tokio::sync::Notify;

/// One lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub out: Mutex<Out>,
    /// There is something to be written.
    pub work: Notify,
}

/// What a lane holds, under its lock.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub frames: Outgoing,
    /// Answers beyond what the lane holds; the other node asked for them all. Nothing that begins something passes them.
    later: VecDeque<(Header, Bytes)>,
    later_bytes: usize,
    /// Who waits for room.
    waiting: BTreeMap<u64, Waker>,
    next: u64,
    /// The connection that takes frames; what another took would be lost with it.
    connection: u64,
    ended: bool,
}

/// Why an answer is not kept: the session cannot go on without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it takes no answers: {LATER} bytes of them wait")]
pub(super) struct TooMany;

/// Bytes of answers that are kept for a node that does not take them, with their heads: the end of each of `LINK_MONITORS`
/// coroutines fits, told in short.
const LATER: usize = limits::LANE_BYTES * 12;
/// Beyond so many of these, what is large is told in short, and what may be refused is.
const JAMMED: usize = limits::LANE_BYTES * 2;

impl Out {
    /// Whether a frame of this size that begins something would be taken now.
    pub fn has_room(&mut self, header: &Header, size: usize) -> bool {
        self.later.is_empty() && self.frames.has_room(header.kind, size)
    }

    /// The other node is so slow to take answers that only what must be told should be.
    pub fn is_jammed(&self) -> bool {
        self.later_bytes > JAMMED
    }

    /// Appends a frame for which there is room; `true` when the lane had nothing to write before.
    pub fn push(&mut self, header: &Header, parts: &[&[u8]]) -> Result<bool, Refused> {
        let idle = !self.frames.is_ready();
        self.frames.push(header, parts).map(|_| idle)
    }

    /// Appends what answers or ends something, at once or when there is room.
    pub fn answer(&mut self, header: Header, payload: &[u8]) -> Result<bool, TooMany> {
        if self.ended {
            return Ok(false);
        }
        if self.later.is_empty() {
            match self.push(&header, &[payload]) {
                Ok(idle) => return Ok(idle),
                Err(Refused::Full) => {}
                // Larger than its kind may be: nobody makes one.
                Err(Refused::Frame(_)) => return Err(TooMany),
            }
        }
        self.later_bytes += frame::HEADER + payload.len();
        if self.later_bytes > LATER {
            return Err(TooMany);
        }
        self.later.push_back((header, Bytes::copy_from_slice(payload)));
        Ok(false)
    }

    /// The next frames for this connection, as long as it is the one in use.
    pub fn take(&mut self, connection: u64) -> Option<Chunk> {
        if connection == self.connection { self.frames.take() } else { None }
    }

    /// This connection takes frames from now on.
    pub fn adopt(&mut self, connection: u64) {
        self.connection = connection;
    }

    /// The other side has all up to this number. Whom to wake, and whether there is more to write.
    pub fn acknowledge(&mut self, upto: u64) -> Result<(Vec<Waker>, bool), Violation> {
        let roomy = self.frames.acknowledge(upto)?;
        Ok(self.refill(roomy))
    }

    /// A new connection of the same session: see [`Outgoing::resume`].
    pub fn resume(&mut self, received: u64) -> Result<Vec<Waker>, Violation> {
        let roomy = self.frames.resume(received)?;
        Ok(self.refill(roomy).0)
    }

    fn refill(&mut self, roomy: bool) -> (Vec<Waker>, bool) {
        let mut more = false;
        while let Some((header, payload)) = self.later.front() {
            if self.frames.push(header, &[payload]).is_err() {
                return (Vec::new(), more);
            }
            more = true;
            self.later_bytes -= frame::HEADER + payload.len();
            self.later.pop_front();
        }
        let woken = if roomy || more { std::mem::take(&mut self.waiting).into_values().collect() } else { Vec::new() };
        (woken, more)
    }

    /// Waits for room; the number takes it back. A number given before stands for the same one.
    pub fn wait(&mut self, number: Option<u64>, waker: Waker) -> u64 {
        let number = number.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.waiting.insert(number, waker);
        number
    }

    pub fn withdraw(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    /// Something is not acknowledged, or waits.
    pub fn is_busy(&self) -> bool {
        self.frames.held() > 0 || !self.later.is_empty() || !self.waiting.is_empty()
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing goes any more: who waited for room.
    pub fn end(&mut self) -> Vec<Waker> {
        let ended = std::mem::replace(self, Out { ended: true, ..Out::default() });
        ended.waiting.into_values().collect()
    }
}

impl From<lane::Violation> for super::Fault {
    fn from(violation: lane::Violation) -> Self {
        super::Fault(violation.to_string())
    }
}

impl From<TooMany> for super::Fault {
    fn from(many: TooMany) -> Self {
        super::Fault(many.to_string())
    }
}
