//! How a coroutine ended: one record, the same for monitors, joiners and clients. A failure, a termination and a normal
//! return are three different outcomes.

use crate::code::Code;
use crate::ids::{Address, ModuleHash, NodeId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything known about an ended coroutine.
#[derive(Clone, PartialEq, Debug)]
pub struct ExitRecord {
    pub address: Address,
    pub module: ModuleHash,
    pub function: Arc<str>,
    pub attempt: u32,
    pub outcome: Outcome,
    pub usage: Usage,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Returned; the value given to `finish`, one CBOR item, empty if there was none.
    Finished(Bytes),
    /// A WASI program called `proc_exit`, or returned from `_start` (0).
    Exited(u32),
    /// The guest called `fail` (a Rust panic has kind `panic`).
    Failed { kind: String, text: String },
    /// WebAssembly trapped; `kind` is wasmtime's word for it or `host-call` with the rule that was broken.
    Trapped { kind: String, backtrace: String },
    /// A refused `memory.grow`, then a trap; or no room for its memory.
    OutOfMemory { limit: u64 },
    /// The CPU budget was used up (nanoseconds).
    OutOfBudget { limit: u64 },
    /// The wall deadline passed (nanoseconds).
    Deadline { limit: u64 },
    /// Terminated: by whom, why, and the value if it still gave one.
    Terminated { by: String, reason: String, value: Option<Bytes> },
    /// Its node cannot be reached any more; it may still run there.
    NodeLost(NodeId),
    /// It never ran.
    Refused { code: Code, why: String },
}

/// What a coroutine used. Times in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub cpu: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub wall: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub memory_peak: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub messages_in: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub messages_out: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub bytes_in: u64,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub bytes_out: u64,
}

/// The head of an `Exit` frame: the record without the value, which is the frame's payload. Outcomes are numbered, so
/// that new ones are additions; an unknown number reads as `failed("unknown-outcome")`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExitHead {
    pub address: Address,
    pub module: ModuleHash,
    pub function: String,
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub attempt: u32,
    pub outcome: u16,
    /// Exit code, limit, or code number.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub number: u64,
    /// Kind, or by whom.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::node_id::option")]
    pub node: Option<NodeId>,
    /// The value is there, in the payload or, if `blob` says so, on a stream of its own with so many bytes.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub value: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<u64>,
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    pub usage: Usage,
}

impl Usage {
    fn is_zero(&self) -> bool {
        *self == Usage::default()
    }
}

impl Outcome {
    /// The stable word for it, as `semantics` names it.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Finished(_) => "finished",
            Outcome::Exited(_) => "exited",
            Outcome::Failed { .. } => "failed",
            Outcome::Trapped { .. } => "trapped",
            Outcome::OutOfMemory { .. } => "out-of-memory",
            Outcome::OutOfBudget { .. } => "out-of-budget",
            Outcome::Deadline { .. } => "deadline",
            Outcome::Terminated { .. } => "terminated",
            Outcome::NodeLost(_) => "node-lost",
            Outcome::Refused { .. } => "refused",
        }
    }

    /// All names, in the order of their numbers.
    pub const NAMES: [&str; 10] = [
        "finished",
        "exited",
        "failed",
        "trapped",
        "out-of-memory",
        "out-of-budget",
        "deadline",
        "terminated",
        "node-lost",
        "refused",
    ];

    /// Neither returned nor exited with code 0.
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Outcome::Finished(_) | Outcome::Exited(0))
    }

    /// Bytes of its texts and its value: what it takes beside the record that it is in.
    pub fn size(&self) -> usize {
        let text = match self {
            Outcome::Failed { kind, text } => kind.len() + text.len(),
            Outcome::Trapped { kind, backtrace } => kind.len() + backtrace.len(),
            Outcome::Terminated { by, reason, .. } => by.len() + reason.len(),
            Outcome::Refused { why, .. } => why.len(),
            _ => 0,
        };
        text + self.value().map_or(0, Bytes::len)
    }

    /// The value it gave, if any.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Outcome::Finished(value) => Some(value),
            Outcome::Terminated { value, .. } => value.as_ref(),
            _ => None,
        }
    }
}

impl ExitRecord {
    /// Splits into what an `Exit` frame carries.
    pub fn to_head(&self) -> (ExitHead, Bytes) {
        let (mut number, mut kind, mut text, mut node) = (0, String::new(), String::new(), None);
        let outcome = match &self.outcome {
            Outcome::Finished(_) => 1,
            Outcome::Exited(code) => {
                number = u64::from(*code);
                2
            }
            Outcome::Failed { kind: k, text: t } => {
                (kind, text) = (k.clone(), t.clone());
                3
            }
            Outcome::Trapped { kind: k, backtrace } => {
                (kind, text) = (k.clone(), backtrace.clone());
                4
            }
            Outcome::OutOfMemory { limit } => {
                number = *limit;
                5
            }
            Outcome::OutOfBudget { limit } => {
                number = *limit;
                6
            }
            Outcome::Deadline { limit } => {
                number = *limit;
                7
            }
            Outcome::Terminated { by, reason, .. } => {
                (kind, text) = (by.clone(), reason.clone());
                8
            }
            Outcome::NodeLost(lost) => {
                node = Some(*lost);
                9
            }
            Outcome::Refused { code, why } => {
                (number, text) = (u64::from(code.number()), why.clone());
                10
            }
        };
        let value = self.outcome.value();
        let head = ExitHead {
            address: self.address,
            module: self.module,
            function: self.function.to_string(),
            attempt: self.attempt,
            outcome,
            number,
            kind,
            text,
            node,
            value: value.is_some(),
            blob: None,
            usage: self.usage,
        };
        (head, value.cloned().unwrap_or_default())
    }

    /// As coroutines read it, in CBOR: the map of [`ExitHead`], with the value in `bytes`, or its size in `left_out` where it
    /// is larger than `most`.
    pub fn to_cbor(&self, most: usize) -> Vec<u8> {
        #[derive(Serialize)]
        struct Told {
            #[serde(flatten)]
            head: ExitHead,
            #[serde(skip_serializing_if = "Option::is_none")]
            bytes: Option<serde_bytes::ByteBuf>,
            #[serde(skip_serializing_if = "Option::is_none")]
            left_out: Option<u64>,
        }
        let (head, value) = self.to_head();
        let fits = value.len() <= most;
        let told = Told {
            bytes: (head.value && fits).then(|| serde_bytes::ByteBuf::from(value.to_vec())),
            left_out: (!fits).then_some(value.len() as u64),
            head,
        };
        let mut cbor = Vec::with_capacity(256 + if fits { value.len() } else { 0 });
        // Writing to memory cannot fail, and all of it has a CBOR form.
        let _ = ciborium::into_writer(&told, &mut cbor);
        cbor
    }

    /// Joins what an `Exit` frame carried.
    pub fn from_head(head: ExitHead, value: Bytes) -> ExitRecord {
        let ExitHead { number, kind, text, .. } = head;
        let outcome = match head.outcome {
            1 => Outcome::Finished(value),
            2 => Outcome::Exited(u32::try_from(number).unwrap_or(u32::MAX)),
            3 => Outcome::Failed { kind, text },
            4 => Outcome::Trapped { kind, backtrace: text },
            5 => Outcome::OutOfMemory { limit: number },
            6 => Outcome::OutOfBudget { limit: number },
            7 => Outcome::Deadline { limit: number },
            8 => Outcome::Terminated { by: kind, reason: text, value: head.value.then_some(value) },
            9 => Outcome::NodeLost(head.node.unwrap_or_default()),
            10 => {
                let code = u16::try_from(number).ok().and_then(Code::from_number).unwrap_or(Code::Internal);
                Outcome::Refused { code, why: text }
            }
            other => Outcome::Failed {
                kind: "unknown-outcome".into(),
                text: format!("outcome {other} is not known to this version: {text}"),
            },
        };
        ExitRecord {
            address: head.address,
            module: head.module,
            function: head.function.into(),
            attempt: head.attempt,
            outcome,
            usage: head.usage,
        }
    }
}
