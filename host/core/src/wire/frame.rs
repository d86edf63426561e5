//! Frames: a fixed 16-byte header, a CBOR head, raw payload bytes. One decoder for every stream, safe on any input.
//!
//! ```text
//! 0       4      6          8            16          16+head_len           16+len
//! | len u32 | kind u16 | head_len u16 | id u64 | head (CBOR) | payload (raw bytes) |      all little-endian
//! ```
//! `len` counts what follows the header. `id` is a job, spec or blob number, 0 where there is none. A kind with the
//! high bit set may be ignored by a receiver that does not know it; any other unknown kind is a protocol error.

use crate::limits;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a frame is. Numbers are stable; `docs/protocol.md` has the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Kind {
    /// client: first frame of a control stream ([`super::records::Open`]).
    Open = 1,
    /// client: module, function, limits under a spec number ([`super::records::Prepare`]).
    Prepare = 2,
    /// client: run a spec once ([`super::records::Submit`]); payload: arguments.
    Submit = 3,
    /// client: end a job ([`super::records::Cancel`]).
    Cancel = 4,
    /// client: may send so many more output bytes of a job ([`super::records::Credit`]).
    Credit = 5,
    /// client: no more submits on this stream; the computation ends with its last job.
    Close = 6,
    /// client: first frame of a stream: which nodes are in the mesh? ([`super::nodes::ListNodes`])
    ListNodes = 7,
    /// client: first frame of a stream: join the mesh of another node ([`super::nodes::AskPeer`]).
    AskPeer = 8,
    /// client: other nodes for the computation from now on ([`super::jobs::Allocate`]).
    Allocate = 9,
    /// client: first frame of a stream: which jobs are there, or why is one where it is? ([`super::jobs::AskJobs`])
    AskJobs = 10,
    /// client: first frame of a stream: take no new work, or take it again ([`super::nodes::Drain`]).
    Drain = 11,
    /// client: first frame of a stream: something about durable jobs ([`super::durable::AskDurable`]); payload: their ids, 16 bytes each.
    AskDurable = 12,
    /// client: its coroutine does something ([`super::mail::Mail`]); payload: the bytes; `id` names the call that is answered.
    Mail = 13,
    /// client: payload is more of the bytes of the `Mail` frame before it.
    MailPart = 14,
    /// node: answer to `Open` ([`super::records::Opened`]).
    Opened = 64,
    /// node: the bytes of this spec's module are wanted.
    NeedModule = 65,
    /// node: the spec can be run.
    Prepared = 66,
    /// node: the spec cannot be run ([`super::records::Refused`]).
    Refused = 67,
    /// node: the job has a permit and an address ([`super::records::Started`]).
    Started = 68,
    /// node: progress ([`super::records::Progress`]); only the latest of a job is kept.
    Progress = 69,
    /// node: payload is the job's standard output.
    Stdout = 70,
    /// node: payload is the job's standard error.
    Stderr = 71,
    /// node: a line the job logged ([`super::records::Log`]).
    Log = 72,
    /// node: how the job ended ([`super::exit::ExitHead`]); payload: the value.
    Exit = 73,
    /// node: the stream ends, and why ([`super::records::Closed`]).
    Closed = 74,
    /// node: one node of the mesh, as it is now ([`super::nodes::NodeInfo`]).
    NodeInfo = 75,
    /// node: all nodes have been told; what follows has changed.
    NodesTold = 76,
    /// node: a node was chosen for the job ([`super::records::Placed`]).
    Placed = 77,
    /// node: the job waits for a node ([`super::jobs::Queued`]).
    Queued = 78,
    /// node: one open job ([`super::jobs::JobInfo`]).
    JobInfo = 79,
    /// node: the job is on disk and will end ([`super::durable::Accepted`]): the last of it on its control stream.
    Accepted = 80,
    /// node: a durable job ([`super::durable::DurableInfo`]); `id` counts the ids that were asked about, from 0.
    DurableInfo = 81,
    /// node: something that a durable job said ([`super::durable::Event`]); payload: the bytes.
    Event = 82,
    /// node: events that were asked for and are not kept any more ([`super::durable::Gap`]).
    Gap = 83,
    /// node: payload is more of the value of the `Exit` frame before it.
    Part = 84,
    /// node: a message has come for the client's coroutine ([`super::mail::Mailed`]); payload: the bytes.
    Mailed = 85,
    /// node: what became of call `id` ([`super::mail::Answered`]); payload: what it gives.
    Answered = 86,
    /// either: first frame of a one-way stream ([`super::records::Blob`]); raw bytes follow to the end of the stream.
    Blob = 128,
}

/// One frame, its parts still undecoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub kind: Kind,
    pub id: u64,
    pub head: Bytes,
    pub payload: Bytes,
}

/// Why bytes are not a frame, or a value cannot be one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a frame of {0} bytes is over the limit of {max}", max = limits::FRAME_BODY)]
    TooLarge(u64),
    #[error("a frame head of {0} bytes is over the limit of {max} or longer than its frame", max = limits::FRAME_HEAD)]
    Head(u64),
    #[error("frame kind {0} is not known to this version")]
    Kind(u16),
    #[error("the head of a {kind:?} frame is not what it should be: {why}")]
    Record { kind: Kind, why: String },
}

pub const HEADER: usize = 16;
const MAY_IGNORE: u16 = 0x8000;

impl Kind {
    const ALL: [Kind; 38] = [
        Kind::Open,
        Kind::Prepare,
        Kind::Submit,
        Kind::Cancel,
        Kind::Credit,
        Kind::Close,
        Kind::ListNodes,
        Kind::AskPeer,
        Kind::Allocate,
        Kind::AskJobs,
        Kind::Drain,
        Kind::AskDurable,
        Kind::Mail,
        Kind::MailPart,
        Kind::Opened,
        Kind::NeedModule,
        Kind::Prepared,
        Kind::Refused,
        Kind::Started,
        Kind::Progress,
        Kind::Stdout,
        Kind::Stderr,
        Kind::Log,
        Kind::Exit,
        Kind::Closed,
        Kind::NodeInfo,
        Kind::NodesTold,
        Kind::Placed,
        Kind::Queued,
        Kind::JobInfo,
        Kind::Accepted,
        Kind::DurableInfo,
        Kind::Event,
        Kind::Gap,
        Kind::Part,
        Kind::Mailed,
        Kind::Answered,
        Kind::Blob,
    ];

    pub fn from_number(number: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u16 == number)
    }
}

impl Frame {
    /// Decodes the head. Trailing bytes and unknown fields are accepted: records grow by addition.
    pub fn record<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode(self.kind, &self.head)
    }
}

/// Appends a frame whose head is a CBOR record.
pub fn encode<T: Serialize>(out: &mut BytesMut, kind: Kind, id: u64, head: &T, payload: &[u8]) -> Result<(), Error> {
    let start = begin(out, kind, id);
    let head_start = out.len();
    if let Err(error) = ciborium::into_writer(head, (&mut *out).writer()) {
        out.truncate(start);
        return Err(Error::Record { kind, why: error.to_string() });
    }
    let head_len = out.len() - head_start;
    finish(out, start, head_len, payload)
}

/// Appends a frame without a head: output and other frames that are only their payload.
pub fn encode_bare(out: &mut BytesMut, kind: Kind, id: u64, payload: &[u8]) -> Result<(), Error> {
    let start = begin(out, kind, id);
    finish(out, start, 0, payload)
}

/// Cuts frames out of a byte stream.
#[derive(Debug, Default)]
pub struct Decoder;

impl Decoder {
    /// Takes one frame off the front of `buf`, or `None` until more bytes are there. After an error the stream is
    /// beyond repair: its frame boundaries are lost.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, Error> {
        loop {
            if buf.len() < HEADER {
                return Ok(None);
            }
            let mut header = &buf[..HEADER];
            let (len, kind, head_len, id) =
                (header.get_u32_le() as usize, header.get_u16_le(), header.get_u16_le() as usize, header.get_u64_le());
            if len > limits::FRAME_BODY {
                return Err(Error::TooLarge(len as u64));
            }
            if head_len > limits::FRAME_HEAD || head_len > len {
                return Err(Error::Head(head_len as u64));
            }
            let known = Kind::from_number(kind);
            if known.is_none() && kind & MAY_IGNORE == 0 {
                return Err(Error::Kind(kind));
            }
            if buf.len() < HEADER + len {
                buf.reserve(HEADER + len - buf.len());
                return Ok(None);
            }
            buf.advance(HEADER);
            let mut body = buf.split_to(len).freeze();
            if let Some(kind) = known {
                let head = body.split_to(head_len);
                return Ok(Some(Frame { kind, id, head, payload: body }));
            }
        }
    }
}

fn begin(out: &mut BytesMut, kind: Kind, id: u64) -> usize {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u16_le(kind as u16);
    out.put_u16_le(0);
    out.put_u64_le(id);
    start
}

fn finish(out: &mut BytesMut, start: usize, head_len: usize, payload: &[u8]) -> Result<(), Error> {
    let len = head_len + payload.len();
    if head_len > limits::FRAME_HEAD || len > limits::FRAME_BODY {
        out.truncate(start);
        return Err(if head_len > limits::FRAME_HEAD {
            Error::Head(head_len as u64)
        } else {
            Error::TooLarge(len as u64)
        });
    }
    out.extend_from_slice(payload);
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
    out[start + 6..start + 8].copy_from_slice(&(head_len as u16).to_le_bytes());
    Ok(())
}

fn decode<T: DeserializeOwned>(kind: Kind, head: &[u8]) -> Result<T, Error> {
    ciborium::de::from_reader_with_recursion_limit(head, limits::CBOR_DEPTH)
        .map_err(|error| Error::Record { kind, why: error.to_string() })
}
