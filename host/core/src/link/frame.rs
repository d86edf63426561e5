//! Frames between nodes: a fixed 64-byte header, then raw payload bytes. Encoded by one copy, decoded mostly by none, safe on
//! any input.
//!
//! ```text
//! 0 len u32 (payload bytes) | 4 kind u8 | 5 flags u8 | 6 zero u16 | 8 grant u32 | 12 zero u32 | 16 call u64 | 24 tag u64
//! 32 to: counter u64, secret u64 | 48 from: counter u64, secret u64 | 64 payload                       all little-endian
//! ```
//! What is zero now may get a meaning; receivers ignore it. A kind with the high bit set may be ignored by a receiver that
//! does not know it; any other unknown kind is a protocol error.

use crate::ids::{Address, NodeId};
use crate::limits;
use bytes::{Buf, Bytes, BytesMut};

/// What a frame is. Numbers are stable; `docs/mesh.md` has the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// To a mailbox, under credit; nobody waits for it.
    Message = 1,
    /// The same; a [`Kind::Delivered`] with the number in `call` is awaited.
    Deliver = 2,
    /// The same; a [`Kind::Reply`] with the number in `call` is awaited.
    Request = 3,
    /// Answers `Deliver`: 0 in `tag` when the mailbox has it, otherwise the code; payload: its detail.
    Delivered = 4,
    /// Answers `Request`; payload: the reply.
    Reply = 5,
    /// Answers `Request` that will have no reply: the code in `tag`; payload: its detail.
    Unanswered = 6,
    /// Whatever else is asked of the other node; payload: a CBOR record, and bytes it speaks of.
    Call = 7,
    /// Answers `Call`: the code in `tag`, or 0; payload: a CBOR record, or the code's detail.
    Answer = 8,
    /// The coroutine `from` ended, of which the monitor `call` was told to tell; payload: the exit record.
    Exit = 9,
    /// The limit of what may be sent to mailbox `from`: messages in `call`, bytes in `tag`, both since the record began.
    Credit = 10,
    /// The sender gives up what it has not used for mailbox `to`: messages sent in `call`, bytes in `tag`.
    CreditReturn = 11,
    /// A computation's grant, under its number of this session; goes ahead of the first frame of a lane that names it, with
    /// that frame's `to` and `from`; payload: the grant.
    Grant = 12,
    /// The session ends: the code in `tag`; payload: its detail.
    Goodbye = 13,
}

/// An address of the session's own end: node and incarnation are known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Local {
    pub counter: u64,
    pub secret: u64,
}

/// Everything of a frame but its payload. What a kind does not use is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub kind: Kind,
    pub flags: u8,
    /// The number under which the computation's grant was shown in this session.
    pub grant: u32,
    /// Numbers what is to be answered.
    pub call: u64,
    pub tag: u64,
    pub to: Local,
    pub from: Local,
}

/// One frame. The payload shares memory with what was read around it: who keeps a small one copies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub header: Header,
    pub payload: Bytes,
}

/// What a stream has next. Both have a number in their lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    Frame(Frame),
    /// A frame of a kind that this version does not know and need not know; so many bytes with its header.
    Ignored(usize),
}

/// Why bytes are not a frame, or a value cannot be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a payload of {len} bytes is over the limit of {max} for {kind:?}")]
    TooLarge { kind: Kind, len: u64, max: usize },
    #[error("frame kind {0} is not known to this version")]
    Kind(u8),
    #[error("a frame of {0} bytes that may be ignored is too large for that")]
    Ignored(u64),
}

/// Bytes before the payload.
pub const HEADER: usize = 64;
/// Lanes of one direction of a session.
pub const LANES: usize = 18;
/// The lane of credit, names, and whatever else goes from node to node.
pub const CONTROL: u8 = 0;
/// The lane of what answers.
pub const REPLIES: u8 = 1;
/// The lanes of what goes from coroutine to coroutine are this and those after it.
pub const FIRST_PAIR: u8 = 2;
/// Flag of [`Kind::Credit`]: the record is closed, a next message is a first contact again.
pub const CLOSED: u8 = 1;
/// Flag of [`Kind::Credit`]: the mailbox is closed or was never there.
pub const GONE: u8 = 2;

const PAIR_BITS: u32 = 4;
const MAY_IGNORE: u8 = 0x80;
/// Room made for a frame before its bytes are there.
const AHEAD: usize = 64 << 10;

/// The lane of what goes from one coroutine to another: always the same for two, so that what one sees of another keeps
/// its order; several, so that a lost packet delays few.
pub fn lane_of(from: Local, to: Local) -> u8 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = [from.counter, from.secret, to.counter, to.secret]
        .into_iter()
        .fold(0u64, |mixed, part| (mixed.rotate_left(5) ^ part).wrapping_mul(ODD));
    FIRST_PAIR + (mixed >> (64 - PAIR_BITS)) as u8
}

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::Message,
        Kind::Deliver,
        Kind::Request,
        Kind::Delivered,
        Kind::Reply,
        Kind::Unanswered,
        Kind::Call,
        Kind::Answer,
        Kind::Exit,
        Kind::Credit,
        Kind::CreditReturn,
        Kind::Grant,
        Kind::Goodbye,
    ];

    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// The most bytes that its payload may have.
    pub fn payload_max(self) -> usize {
        match self {
            Kind::Message | Kind::Deliver | Kind::Request | Kind::Reply => limits::MESSAGE_BYTES,
            // A message through a channel, with a record about it.
            Kind::Call | Kind::Answer => limits::FRAME_HEAD + limits::MESSAGE_BYTES,
            Kind::Exit => limits::FRAME_BODY,
            Kind::Grant => limits::FRAME_HEAD,
            Kind::Delivered | Kind::Unanswered | Kind::Goodbye => limits::TEXT_BYTES,
            Kind::Credit | Kind::CreditReturn => 0,
        }
    }

    /// Goes into a mailbox, and so needs credit for it.
    pub fn needs_credit(self) -> bool {
        matches!(self, Kind::Message | Kind::Deliver | Kind::Request)
    }

    /// Begins something; the others end or answer what was bounded when it began, so that their lane takes more of them.
    pub fn begins(self) -> bool {
        self.needs_credit() || self == Kind::Call
    }
}

impl Local {
    /// The whole address, on a session's end.
    pub fn at(self, node: NodeId, incarnation: u32) -> Address {
        Address { node, incarnation, counter: self.counter, secret: self.secret }
    }
}

impl From<Address> for Local {
    fn from(address: Address) -> Local {
        Local { counter: address.counter, secret: address.secret }
    }
}

impl Header {
    /// All zero but the kind.
    pub fn new(kind: Kind) -> Header {
        Header { kind, flags: 0, grant: 0, call: 0, tag: 0, to: Local::default(), from: Local::default() }
    }

    /// The lane it goes in. A call or grant between two coroutines keeps its place among their messages.
    pub fn lane(&self) -> u8 {
        match self.kind {
            Kind::Delivered | Kind::Reply | Kind::Unanswered | Kind::Answer => REPLIES,
            Kind::Credit | Kind::CreditReturn | Kind::Goodbye => CONTROL,
            Kind::Call | Kind::Grant if self.to.counter == 0 || self.from.counter == 0 => CONTROL,
            _ => lane_of(self.from, self.to),
        }
    }

    /// The header's bytes, of a frame with so many bytes of payload.
    pub fn to_bytes(&self, len: u32) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(&len.to_le_bytes());
        out[4] = self.kind as u8;
        out[5] = self.flags;
        out[8..12].copy_from_slice(&self.grant.to_le_bytes());
        let numbers = [self.call, self.tag, self.to.counter, self.to.secret, self.from.counter, self.from.secret];
        for (place, number) in out[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        out
    }
}

/// Bytes of a frame with this payload, or why there is none.
pub fn size(kind: Kind, parts: &[&[u8]]) -> Result<usize, Error> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let max = kind.payload_max();
    if len > max { Err(Error::TooLarge { kind, len: len as u64, max }) } else { Ok(HEADER + len) }
}

/// Appends a frame whose payload is these parts, one after the other.
pub fn encode(out: &mut BytesMut, header: &Header, parts: &[&[u8]]) -> Result<(), Error> {
    let size = size(header.kind, parts)?;
    out.reserve(size);
    out.extend_from_slice(&header.to_bytes((size - HEADER) as u32));
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}

/// Cuts frames out of a byte stream that comes in pieces. Frames within one piece are not copied.
#[derive(Debug, Default)]
pub struct Decoder {
    piece: Bytes,
    /// The beginning of a frame whose rest has not come.
    begun: BytesMut,
}

impl Decoder {
    /// Takes the next piece of the stream. To be called when [`Decoder::next`] has no more.
    pub fn feed(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else {
            self.piece = [&self.piece[..], &piece].concat().into();
        }
    }

    /// The next frame, or `None` until more is fed. After an error the stream is beyond repair: its frame boundaries are
    /// lost.
    #[expect(clippy::should_implement_trait, reason = "no iterator: it goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<Decoded>, Error> {
        if !self.begun.is_empty() {
            return self.complete();
        }
        match parse(&self.piece)? {
            None if self.piece.is_empty() => Ok(None),
            Some((header, len)) if self.piece.len() >= HEADER + len => {
                self.piece.advance(HEADER);
                Ok(Some(decoded(header, self.piece.split_to(len))))
            }
            begun => {
                let expected = begun.map_or(HEADER, |(_, len)| HEADER + len);
                self.begun.reserve(expected.min(AHEAD.max(self.piece.len())));
                self.begun.extend_from_slice(&std::mem::take(&mut self.piece));
                Ok(None)
            }
        }
    }

    /// A frame that came in several pieces.
    fn complete(&mut self) -> Result<Option<Decoded>, Error> {
        self.fill(HEADER);
        let Some((header, len)) = parse(&self.begun)? else { return Ok(None) };
        if !self.fill(HEADER + len) {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.begun);
        frame.advance(HEADER);
        Ok(Some(decoded(header, frame.freeze())))
    }

    /// Moves bytes until so many are there; `true` when they are.
    fn fill(&mut self, wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.begun.len()).min(self.piece.len());
        self.begun.extend_from_slice(&self.piece.split_to(missing));
        self.begun.len() >= wanted
    }
}

/// Header and payload length at the front; no header where the kind may be ignored.
fn parse(bytes: &[u8]) -> Result<Option<(Option<Header>, usize)>, Error> {
    let Some(mut header) = bytes.get(..HEADER) else { return Ok(None) };
    let (len, number, flags) = (header.get_u32_le(), header.get_u8(), header.get_u8());
    let Some(kind) = Kind::from_number(number) else {
        return match number & MAY_IGNORE {
            0 => Err(Error::Kind(number)),
            _ if len as usize > limits::FRAME_BODY => Err(Error::Ignored(len.into())),
            _ => Ok(Some((None, len as usize))),
        };
    };
    let max = kind.payload_max();
    if len as usize > max {
        return Err(Error::TooLarge { kind, len: len.into(), max });
    }
    header.advance(2);
    let grant = header.get_u32_le();
    header.advance(4);
    let (call, tag) = (header.get_u64_le(), header.get_u64_le());
    let to = Local { counter: header.get_u64_le(), secret: header.get_u64_le() };
    let from = Local { counter: header.get_u64_le(), secret: header.get_u64_le() };
    Ok(Some((Some(Header { kind, flags, grant, call, tag, to, from }), len as usize)))
}

fn decoded(header: Option<Header>, payload: Bytes) -> Decoded {
    match header {
        Some(header) => Decoded::Frame(Frame { header, payload }),
        None => Decoded::Ignored(HEADER + payload.len()),
    }
}
