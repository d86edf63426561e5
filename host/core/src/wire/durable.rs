//! Records about durable jobs: how one is to be kept and tried, what may be asked about them, and what is told.

use super::jobs::{JobState, JobWhy};
use crate::ids::{ComputationId, ModuleHash};
use crate::ulid::Ulid;
use serde::{Deserialize, Serialize};

/// What makes a job a durable one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Keep {
    /// The same key of the same tenant again is the same job, as long as that is kept.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "crate::wire::is_default")]
    pub retry: Retry,
}

/// When a job that ended is tried again, and how often. As it is by default it runs at most once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all; 0 as 1.
    #[serde(rename = "n", default, skip_serializing_if = "crate::wire::is_default")]
    pub attempts: u32,
    /// Its node was lost.
    #[serde(rename = "l", default, skip_serializing_if = "crate::wire::is_default")]
    pub node_loss: bool,
    /// It trapped, failed (a panic is one), or ran out of memory.
    #[serde(rename = "t", default, skip_serializing_if = "crate::wire::is_default")]
    pub trap: bool,
    /// It exited with any code but 0.
    #[serde(rename = "e", default, skip_serializing_if = "crate::wire::is_default")]
    pub any_exit: bool,
    /// It exited with one of these codes.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<u32>,
    /// Nanoseconds before the second attempt; twice as much before each further one, with jitter of half of it.
    #[serde(rename = "w", default, skip_serializing_if = "crate::wire::is_default")]
    pub wait: u64,
    /// And so much at most; 0: as the home has it.
    #[serde(rename = "m", default, skip_serializing_if = "crate::wire::is_default")]
    pub most: u64,
    /// After the loss of its node, it may begin again before the other attempt has certainly ended.
    #[serde(rename = "o", default, skip_serializing_if = "crate::wire::is_default")]
    pub overlap: bool,
}

/// Job `frame.id` is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Accepted {
    #[serde(rename = "j")]
    pub job: Ulid,
    /// It was there already, under its key.
    #[serde(rename = "k", default, skip_serializing_if = "crate::wire::is_default")]
    pub known: bool,
}

/// First frame of a stream. What is asked about ids is answered for each of them under its place in the payload (`frame.id`);
/// a `Refused` frame is the answer for one of which it cannot be done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AskDurable {
    #[serde(rename = "q")]
    pub ask: DurableAsk,
    /// Find: the beginning of an id.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// List: only those after this one.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Ulid>,
    /// List: only those that have not ended.
    #[serde(rename = "o", default, skip_serializing_if = "crate::wire::is_default")]
    pub open: bool,
    /// Events: from this number on.
    #[serde(rename = "f", default, skip_serializing_if = "crate::wire::is_default")]
    pub from: u64,
    /// Results and events: wait until the job has ended.
    #[serde(rename = "w", default, skip_serializing_if = "crate::wire::is_default")]
    pub wait: bool,
    /// Cancel: why.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is asked. Numbers are stable; one of a later version reads as [`DurableAsk::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum DurableAsk {
    #[default]
    Unknown = 0,
    /// A page of the tenant's jobs, oldest first, as `DurableInfo`.
    List = 1,
    /// The jobs that a prefix stands for, as `DurableInfo`; of many the first.
    Find = 2,
    /// How they ended, as `Exit` and `Part`.
    Results = 3,
    /// What one said, as `Event` and `Gap`.
    Events = 4,
    /// They are to end.
    Cancel = 5,
    /// Their exits have been taken: nothing of them is kept any more.
    Acknowledge = 6,
    /// The same again as new jobs, as `Accepted`.
    Again = 7,
    /// Where they are and why, as `DurableInfo`.
    Why = 8,
}

/// A durable job as its home knows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DurableInfo {
    pub job: Ulid,
    #[serde(default)]
    pub tenant: String,
    #[serde(default)]
    pub computation: ComputationId,
    /// What its client calls the computation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    pub module: ModuleHash,
    #[serde(default)]
    pub function: String,
    pub state: JobState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Absent: at its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The node of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How many there were.
    #[serde(default)]
    pub attempts: u32,
    /// Nanoseconds since 1970: when it was accepted, when it ended, and before which time it is not tried again.
    #[serde(default)]
    pub accepted: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// One word for how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Somebody wants it to end, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// The latest attempts, where it was asked why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<JobWhy>,
}

/// One attempt at a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(rename = "n", default)]
    pub number: u32,
    #[serde(rename = "a", default)]
    pub node: String,
    #[serde(rename = "s", default)]
    pub since: u64,
    /// When it was over, and why there was another, or how it ended.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub over: Option<u64>,
    #[serde(rename = "w", default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Something that a job said, numbered from 1.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "n")]
    pub sequence: u64,
    #[serde(rename = "k")]
    pub kind: u8,
    /// Nanoseconds since 1970.
    #[serde(rename = "t", default)]
    pub at: u64,
}

/// What an event's bytes are. Numbers are stable; those of later versions are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EventKind {
    Stdout = 1,
    Stderr = 2,
    /// A level (1 to 5), and the text.
    Log = 3,
    /// What its home did with it, in words.
    Note = 4,
}

/// First and last of the events that are not kept any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Gap {
    #[serde(rename = "f")]
    pub first: u64,
    #[serde(rename = "l")]
    pub last: u64,
}

impl EventKind {
    pub fn from_number(number: u8) -> Option<EventKind> {
        [EventKind::Stdout, EventKind::Stderr, EventKind::Log, EventKind::Note]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// The ids in a payload; `None` where it is none.
pub fn ids(payload: &[u8]) -> Option<Vec<Ulid>> {
    let (ids, rest) = payload.as_chunks::<{ Ulid::SIZE }>();
    rest.is_empty().then(|| ids.iter().map(|id| Ulid(u128::from_be_bytes(*id))).collect())
}

impl Serialize for DurableAsk {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for DurableAsk {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match u8::deserialize(d)? {
            1 => DurableAsk::List,
            2 => DurableAsk::Find,
            3 => DurableAsk::Results,
            4 => DurableAsk::Events,
            5 => DurableAsk::Cancel,
            6 => DurableAsk::Acknowledge,
            7 => DurableAsk::Again,
            8 => DurableAsk::Why,
            _ => DurableAsk::Unknown,
        })
    }
}
