//! The records in frame heads. CBOR maps with short text keys; absent fields have defaults, unknown ones are ignored.

use super::durable::Keep;
use super::jobs::NodeAllocation;
use crate::code::Code;
use crate::ids::{Address, ModuleHash, NodeId};
use crate::limits;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// First frame of a control stream. `magic` and the two versions keep their place and meaning in every version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Always [`Open::MAGIC`].
    pub magic: String,
    /// Newest and oldest protocol version the client speaks.
    pub newest: u16,
    pub oldest: u16,
    /// The client program's name and version, for logs.
    #[serde(default)]
    pub agent: String,
    /// COSE_Sign1 grant signed with the tenant's key; absent when the tenant itself is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<ByteBuf>,
    /// A name for people, shown in logs and lists.
    #[serde(default)]
    pub label: String,
    /// Which nodes its jobs use that are not for one in particular; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeAllocation>,
    /// Its share of places among its tenant's computations; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Rather the fullest node that has room than the least loaded.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub pack: bool,
}

/// The node takes the computation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// The version both will speak.
    pub version: u16,
    #[serde(with = "super::node_id")]
    pub node: NodeId,
    pub node_name: String,
    #[serde(default)]
    pub agent: String,
    pub computation: u64,
    /// Jobs the client may have open at a time.
    pub jobs: u64,
    /// Random bytes of this node, for proofs of possession.
    #[serde(default)]
    pub nonce: ByteBuf,
}

/// Makes `frame.id` a spec: what to run, under which limits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prepare {
    pub module: ModuleHash,
    /// Bytes of the module, so that one that is too large is refused before it is sent.
    pub size: u64,
    /// `None`: the command `_start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(default)]
    pub limits: JobLimits,
    /// Environment of a WASI program, given by the client: never the node's.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Descriptors 0, 1, 2 are terminals at the client (bit 0, 1, 2).
    #[serde(default)]
    pub terminals: u8,
}

/// What the client asks for; the node's own limits hold as well.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobLimits {
    /// Bytes of linear memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Nanoseconds of wall time from start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Nanoseconds of CPU time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
}

/// Runs a spec once as job `frame.id`. Payload: arguments, a CBOR array, unless `blob`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Submit {
    pub spec: u64,
    /// Command-line arguments of a WASI program, without its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Standard input follows on a stream of its own (`Blob` with [`BlobKind::Stdin`]).
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub stdin: bool,
    /// Arguments follow on a stream of their own, so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<u64>,
    /// Which nodes may run it: a selector (`docs/computations.md`), nothing for any. Absent: the one that takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// It is to last: accepted when it is on disk, and ended whatever becomes of this connection (`Accepted` is the answer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// Ends job `frame.id`: interrupt, grace, hard stop.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Cancel {
    #[serde(default)]
    pub reason: String,
    /// Nanoseconds of grace; absent: the node's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
}

/// The client has consumed `bytes` of output of job `frame.id` since the last one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Credit {
    pub bytes: u32,
}

/// A refusal of a spec.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Refused {
    pub code: Code,
    /// What is wrong, where, and what to do.
    pub text: String,
}

/// The last frame of a control stream. Together with `magic`, `newest` and `oldest` of [`Open`] it keeps its shape in
/// every version: it is how two sides that share no version say so.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Closed {
    /// Absent: the computation was closed and its last job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What is wrong, where, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Newest and oldest protocol version of the sender, given with [`Code::Version`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u16>,
}

/// A node was chosen to run the job, which it may refuse. Told of jobs that say where they are to run (`Submit::at`), before they start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placed {
    #[serde(with = "super::node_id")]
    pub node: NodeId,
    pub name: String,
    /// Counts the attempts at the job, from 1.
    #[serde(default)]
    pub attempt: u32,
    /// For people: why there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The job runs, as this coroutine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Started {
    pub address: Address,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    #[serde(default)]
    pub text: String,
}

/// Level: 1 error, 2 warning, 3 info, 4 debug, 5 trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Log {
    pub level: u8,
    pub text: String,
    /// Lines dropped before this one because the coroutine logged faster than they could be sent.
    #[serde(default)]
    pub dropped: u64,
}

impl Log {
    pub const WARNING: u8 = 2;
    pub const INFO: u8 = 3;
}

/// First frame of a one-way stream; `frame.id` is the spec (module) or job (others).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Blob {
    pub computation: u64,
    pub kind: BlobKind,
    /// Bytes that follow, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BlobKind {
    /// The bytes of a spec's module.
    Module = 1,
    /// A job's arguments.
    Arguments = 2,
    /// A job's standard input.
    Stdin = 3,
    /// A job's result, from the node.
    Value = 4,
}

impl Open {
    pub const MAGIC: &'static str = "corovan";

    /// An `Open` of this build.
    pub fn new(agent: impl Into<String>, label: impl Into<String>) -> Open {
        Open {
            magic: Open::MAGIC.into(),
            newest: limits::PROTOCOL_VERSION,
            oldest: limits::PROTOCOL_VERSION_MIN,
            agent: agent.into(),
            grant: None,
            label: label.into(),
            nodes: Vec::new(),
            weight: None,
            pack: false,
        }
    }

    /// The version to speak with the sender, if there is one.
    pub fn version(&self) -> Option<u16> {
        negotiate((limits::PROTOCOL_VERSION, limits::PROTOCOL_VERSION_MIN), (self.newest, self.oldest))
    }
}

impl Closed {
    /// The computation is over, as the client asked.
    pub fn done() -> Closed {
        Closed::default()
    }

    pub fn because(code: Code, text: impl Into<String>) -> Closed {
        Closed { code: Some(code), text: text.into(), ..Closed::default() }
    }

    /// The two sides share no version.
    pub fn version(text: impl Into<String>) -> Closed {
        Closed {
            newest: Some(limits::PROTOCOL_VERSION),
            oldest: Some(limits::PROTOCOL_VERSION_MIN),
            ..Closed::because(Code::Version, text)
        }
    }
}

/// The version that two sides speak: the newest both know, if they share one.
pub fn negotiate(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let version = ours.0.min(theirs.0);
    (version >= ours.1 && version >= theirs.1).then_some(version)
}

impl Serialize for BlobKind {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for BlobKind {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u8::deserialize(d)? {
            1 => Ok(BlobKind::Module),
            2 => Ok(BlobKind::Arguments),
            3 => Ok(BlobKind::Stdin),
            4 => Ok(BlobKind::Value),
            other => Err(serde::de::Error::custom(format!("blob kind {other} is not known"))),
        }
    }
}
