//! One lane: frames in order, numbered from 1, resent on the session's next connection until acknowledged, and never taken twice.
//!
//! Each end of each lane is a value of its own, to be put under a lock of its own. A frame carries no number: its place on
//! the stream gives it. So a stream begins with the number of its first frame, and frames leave in whole chunks.

use super::frame::{self, Header};
use crate::limits;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// Frames on their way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Frames since the last chunk was cut off.
    open: BytesMut,
    /// Frames cut off so far; those in `open` follow.
    cut: u64,
    /// Frames pushed so far.
    pushed: u64,
    /// Frames that the other side has, as far as is known.
    acknowledged: u64,
    /// Cut off, not wholly acknowledged.
    chunks: VecDeque<Chunk>,
    /// The first of them that the present connection has not been given.
    next: usize,
    /// Bytes of frames in `chunks` and `open`.
    held: usize,
    /// A push has been refused, or would have been, since there was room.
    refused: bool,
}

/// Frames one after the other: what is to be written next on the lane's stream.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The number of its first frame; where a stream begins with this chunk, it begins with this number.
    pub first: u64,
    pub bytes: Bytes,
}

/// Why a frame was not pushed. It never leaves this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// [`Outgoing::acknowledge`] says when to try again.
    #[error("{max} bytes of this lane are on their way to the other node", max = limits::LANE_BYTES)]
    Full,
    #[error(transparent)]
    Frame(#[from] frame::Error),
}

/// What the other side did and may not do. The connection is closed, the session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    #[error("it acknowledges frame {upto}, and {sent} were sent")]
    Unsent { upto: u64, sent: u64 },
    #[error("it has {received} frames, and acknowledged {acknowledged} before")]
    Forgotten { received: u64, acknowledged: u64 },
    #[error("a stream begins with frame {first}, and {received} have been received")]
    Gap { first: u64, received: u64 },
    #[error("{0} is no lane")]
    Lane(u8),
}

/// Frames coming in.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Frames taken so far.
    received: u64,
    /// The highest number that the other side has been told.
    told: u64,
    /// Bytes of frames received since.
    bytes: usize,
}

/// Where one connection's stream of a lane is.
#[derive(Debug)]
pub struct Stream {
    next: u64,
}

/// Whether a frame is to be handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The frame of this number, for the first time.
    New(u64),
    /// Received on an earlier connection: drop it.
    Duplicate,
}

/// A lane and a number: how a lane's stream begins, and how frames are acknowledged on the connection's first stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The number of the first frame that follows, or of the last that was received.
    Lane { lane: u8, number: u64 },
    /// Nothing but a sign of life; wanted in return, or not.
    Alive { answer: bool },
}

impl Outgoing {
    /// Appends a frame, whose payload is these parts one after the other, and says its number. Allocates only where the
    /// buffer has no room. `Full` counts bytes not acknowledged; what [`frame::Kind::begins`] something leaves room for the rest.
    pub fn push(&mut self, header: &Header, parts: &[&[u8]]) -> Result<u64, Refused> {
        let size = frame::size(header.kind, parts)?;
        if !self.has_room(header.kind, size) {
            return Err(Refused::Full);
        }
        if self.open.capacity() - self.open.len() < size {
            // A busy lane takes more at a time.
            self.open.reserve(size.max(self.held.clamp(limits::LANE_BUFFER, limits::LANE_CHUNK)));
        }
        frame::encode(&mut self.open, header, parts)?;
        self.held += size;
        self.pushed += 1;
        if self.open.len() >= limits::LANE_CHUNK {
            self.cut();
        }
        Ok(self.pushed)
    }

    /// A frame of this kind and so many bytes, its header included, would be taken now. If not, [`Outgoing::acknowledge`] says
    /// when to try again, as after a refused push.
    pub fn has_room(&mut self, kind: frame::Kind, size: usize) -> bool {
        let bound = if kind.begins() { limits::LANE_BYTES } else { limits::LANE_BYTES + limits::LANE_ANSWER_BYTES };
        let fits = self.held == 0 || self.held + size <= bound;
        self.refused |= !fits;
        fits
    }

    /// The next frames for the present connection; `None` until more are pushed.
    pub fn take(&mut self) -> Option<Chunk> {
        if self.next == self.chunks.len() && !self.open.is_empty() {
            self.cut();
        }
        let chunk = self.chunks.get(self.next)?.clone();
        self.next += 1;
        Some(chunk)
    }

    /// There is something to [`Outgoing::take`].
    pub fn is_ready(&self) -> bool {
        self.next < self.chunks.len() || !self.open.is_empty()
    }

    /// The other side has all frames up to this number; `true` when those whose push was refused may try again.
    pub fn acknowledge(&mut self, upto: u64) -> Result<bool, Violation> {
        if upto > self.cut {
            return Err(Violation::Unsent { upto, sent: self.cut });
        }
        self.acknowledged = self.acknowledged.max(upto);
        while let Some(chunk) = self.chunks.front() {
            let after = self.chunks.get(1).map_or(self.cut + 1, |next| next.first);
            if after > upto + 1 {
                break;
            }
            self.held -= chunk.bytes.len();
            self.next = self.next.saturating_sub(1);
            self.chunks.pop_front();
        }
        if self.held == 0 && self.open.capacity() > limits::LANE_BUFFER {
            self.open = BytesMut::new();
        }
        // Not for each frame's worth of room: whoever is woken is to find some.
        let roomy = self.held <= limits::LANE_BYTES / 2;
        Ok(roomy && std::mem::take(&mut self.refused))
    }

    /// A new connection of the same session, on which the other side says that it has received so much: everything after is
    /// taken again, from the beginning of a chunk.
    pub fn resume(&mut self, received: u64) -> Result<bool, Violation> {
        if received < self.acknowledged {
            return Err(Violation::Forgotten { received, acknowledged: self.acknowledged });
        }
        let room = self.acknowledge(received)?;
        self.next = 0;
        Ok(room)
    }

    /// Bytes of frames that are not acknowledged.
    pub fn held(&self) -> usize {
        self.held
    }

    fn cut(&mut self) {
        let bytes = self.open.split().freeze();
        self.chunks.push_back(Chunk { first: self.cut + 1, bytes });
        self.cut = self.pushed;
    }
}

impl Incoming {
    /// A stream of the present connection begins with the frame of this number.
    pub fn begin(&self, first: u64) -> Result<Stream, Violation> {
        // Half of all numbers: no stream is so long that it overflows.
        if first == 0 || first - 1 > self.received || first > u64::MAX / 2 {
            return Err(Violation::Gap { first, received: self.received });
        }
        Ok(Stream { next: first })
    }

    /// The next frame of a stream, of so many bytes with its header. A new one counts as received: it must be handled before
    /// another connection's stream of this lane is asked, so under the same lock or by the same task.
    pub fn accept(&mut self, stream: &mut Stream, size: usize) -> Verdict {
        let number = stream.next;
        stream.next += 1;
        // No stream is ahead: each began at or below the next number, and went through here.
        if number <= self.received {
            // The other side does not know that it came: what it was told of that was lost with an earlier connection.
            self.told = self.told.min(number - 1);
            return Verdict::Duplicate;
        }
        self.received = number;
        self.bytes += size;
        Verdict::New(number)
    }

    /// So much has come that the other side should be told before more is read.
    pub fn is_due(&self) -> bool {
        self.received - self.told >= limits::ACK_FRAMES || self.bytes >= limits::ACK_BYTES
    }

    /// What to acknowledge, when due or when nothing more is there to be read; `None` when the other side was told. To be sent
    /// on the connection in use; if that is lost, the next handshake tells.
    pub fn acknowledge(&mut self) -> Option<u64> {
        if self.received == self.told {
            return None;
        }
        (self.told, self.bytes) = (self.received, 0);
        Some(self.received)
    }

    /// The number of the last frame received, for the handshake of a new connection. It may come to nothing, so that what was
    /// to be acknowledged still is.
    pub fn received(&self) -> u64 {
        self.received
    }
}

impl Mark {
    /// Bytes of a mark.
    pub const SIZE: usize = 9;

    pub fn encode(self, out: &mut BytesMut) {
        let (lane, number) = match self {
            Mark::Lane { lane, number } => (lane, number),
            Mark::Alive { answer } => (ALIVE, answer.into()),
        };
        out.put_u8(lane);
        out.put_u64_le(number);
    }

    /// Takes a mark off the front, or `None` until all of it is there.
    pub fn decode(bytes: &mut BytesMut) -> Result<Option<Mark>, Violation> {
        if bytes.len() < Mark::SIZE {
            return Ok(None);
        }
        let (lane, number) = (bytes.get_u8(), bytes.get_u64_le());
        match lane {
            ALIVE => Ok(Some(Mark::Alive { answer: number == 1 })),
            lane if usize::from(lane) < frame::LANES => Ok(Some(Mark::Lane { lane, number })),
            lane => Err(Violation::Lane(lane)),
        }
    }
}

/// In place of a lane.
const ALIVE: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::frame::{Decoded, Decoder, Kind};
    use super::*;
    use proptest::prelude::*;

    fn header(kind: Kind, tag: u64) -> Header {
        Header { tag, ..Header::new(kind) }
    }

    #[test]
    fn a_lane_is_bounded_and_says_when_there_is_room_again() {
        let mut lane = Outgoing::default();
        let large = vec![0; limits::MESSAGE_BYTES];
        let sent = std::iter::repeat_with(|| lane.push(&header(Kind::Message, 0), &[&large])).take_while(Result::is_ok);
        assert_eq!(sent.count(), 1, "two and their headers are too much");
        assert_eq!(lane.push(&header(Kind::Exit, 0), &[b"notice"]), Ok(2), "what ends something goes on");
        while lane.take().is_some() {}
        assert_eq!(lane.acknowledge(3), Err(Violation::Unsent { upto: 3, sent: 2 }));
        assert_eq!(lane.acknowledge(1), Ok(true));
        assert_eq!(lane.acknowledge(2), Ok(false), "said once");
        assert_eq!(lane.resume(1), Err(Violation::Forgotten { received: 1, acknowledged: 2 }));
        assert_eq!(lane.held(), 0);
    }

    #[test]
    fn a_lane_that_drains_goes_on_in_the_buffer_it_has() {
        let mut lane = Outgoing::default();
        let mut buffers = std::collections::BTreeSet::new();
        for number in 1..=10_000 {
            lane.push(&header(Kind::Message, number), &[b"sixty-four bytes or so"]).unwrap();
            let chunk = lane.take().unwrap();
            buffers.insert(chunk.bytes.as_ptr() as usize / limits::LANE_BUFFER);
            drop(chunk);
            lane.acknowledge(number).unwrap();
        }
        assert!(buffers.len() <= 3, "{} places in memory", buffers.len());
    }

    #[test]
    fn acknowledgements_are_due_after_enough_of_either() {
        let mut lane = Incoming::default();
        let mut stream = lane.begin(1).unwrap();
        assert_eq!((lane.is_due(), lane.acknowledge()), (false, None));
        lane.accept(&mut stream, limits::ACK_BYTES);
        assert_eq!((lane.is_due(), lane.acknowledge(), lane.acknowledge()), (true, Some(1), None));
        for number in 2..limits::ACK_FRAMES + 2 {
            assert_eq!(lane.accept(&mut stream, 64), Verdict::New(number));
        }
        assert_eq!((lane.is_due(), lane.acknowledge()), (true, Some(1 + limits::ACK_FRAMES)));
        for first in [0, limits::ACK_FRAMES + 3, u64::MAX] {
            assert!(lane.begin(first).is_err(), "{first}");
        }
    }

    proptest! {
        /// Each step: push so many frames, take all, let the connection carry part of it, acknowledge or not, cut or not.
        #[test]
        fn frames_come_once_and_in_order_over_any_connections(
            steps in prop::collection::vec((0..40u8, 0..3_000u16, 0..101u8, any::<bool>(), any::<bool>()), 1..40),
        ) {
            let (mut out, mut inc) = (Outgoing::default(), Incoming::default());
            let (mut pushed, mut seen) = (0, 0);
            let mut connection: Option<(Stream, Decoder)> = None;
            for (frames, size, carried, acknowledges, cuts) in steps {
                for _ in 0..frames {
                    let number = out.push(&header(Kind::Message, pushed + 1), &[&vec![0; size.into()][..]]).unwrap();
                    pushed += 1;
                    prop_assert_eq!(number, pushed);
                }
                while let Some(chunk) = out.take() {
                    let (stream, decoder) = match &mut connection {
                        Some(connection) => connection,
                        None => connection.insert((inc.begin(chunk.first).unwrap(), Decoder::default())),
                    };
                    let lost = cuts && carried < 100;
                    let len = if lost { chunk.bytes.len() * usize::from(carried) / 100 } else { chunk.bytes.len() };
                    decoder.feed(chunk.bytes.slice(..len));
                    while let Some(Decoded::Frame(frame)) = decoder.next().unwrap() {
                        if let Verdict::New(number) = inc.accept(stream, 64 + frame.payload.len()) {
                            seen += 1;
                            prop_assert_eq!((number, frame.header.tag), (seen, seen));
                        }
                    }
                    if lost {
                        break;
                    }
                }
                if acknowledges && let Some(upto) = inc.acknowledge() {
                    out.acknowledge(upto).unwrap();
                }
                prop_assert!(out.held() <= limits::LANE_BYTES);
                if cuts {
                    connection = None;
                    out.resume(inc.received()).unwrap();
                }
            }
            out.resume(inc.received()).unwrap();
            let mut connection = None;
            while let Some(chunk) = out.take() {
                let (stream, decoder) = connection.get_or_insert_with(|| (inc.begin(chunk.first).unwrap(), Decoder::default()));
                decoder.feed(chunk.bytes);
                while let Some(Decoded::Frame(_)) = decoder.next().unwrap() {
                    seen += u64::from(inc.accept(stream, 64) != Verdict::Duplicate);
                }
            }
            prop_assert_eq!(seen, pushed);
            out.acknowledge(inc.received()).unwrap();
            prop_assert_eq!(out.held(), 0);
        }
    }
}
