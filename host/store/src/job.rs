//! A durable job as it is kept: what was accepted, its attempts, its one exit, and what it said.

use crate::JobId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A job to be accepted. Times are nanoseconds since 1970, here and everywhere in this crate.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub tenant: String,
    /// Its computation's number at this home.
    pub computation: u64,
    /// The same key of the same tenant again is the same job, as long as that is kept.
    pub key: Option<String>,
    /// A hash of all that makes it the same job under its key.
    pub digest: [u8; 32],
    /// What is to be run, in a form that is not looked at here.
    pub spec: Bytes,
    /// Its arguments, or what stands for them.
    pub args: Bytes,
    /// Bytes that are set aside for its value, so that there is room for it whatever else is kept then.
    pub reserve: u64,
    pub now: u64,
}

/// What became of a job that was to be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// It is on disk.
    New,
    /// Its key is that of this job, which is the same.
    Known(JobId),
}

/// What became of an end that was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is the job's exit.
    First,
    /// It has another exit, or this is not its present attempt: nothing was changed.
    Superseded,
}

/// How an attempt ended that is the job's end.
#[derive(Clone, PartialEq, Debug)]
pub struct NewExit {
    /// 0: no attempt was made, or none counts.
    pub attempt: u32,
    /// One word, for lists.
    pub outcome: String,
    /// The record without its value, in a form that is not looked at here.
    pub record: Bytes,
    /// The value, or what stands for it.
    pub value: Bytes,
    pub now: u64,
}

/// Where a job is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// For its next attempt, which is not made before this time.
    Waiting {
        not_before: u64,
    },
    /// At this node; if it has a lease, until then at least.
    Running {
        attempt: u32,
        node: String,
        since: u64,
        lease: Option<u64>,
    },
    Ended(Exit),
}

/// A job's one exit; its value is read on its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exit {
    pub at: u64,
    pub attempt: u32,
    pub outcome: String,
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// Bytes of the value.
    pub value: u64,
    /// There was no room for the value, as more was kept than what had been set aside for it.
    pub dropped: bool,
}

/// One that ended without being the job's end, or runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub number: u32,
    pub node: String,
    pub since: u64,
    /// When it ended, and why there was another.
    pub over: Option<(u64, String)>,
}

/// A job without its body and value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobView {
    pub id: JobId,
    pub tenant: String,
    pub computation: u64,
    pub key: Option<String>,
    pub accepted: u64,
    pub state: State,
    /// How many there were, and the latest of them.
    pub attempts: u32,
    pub history: Vec<Attempt>,
    /// Somebody wants it to end, and why.
    pub cancelled: Option<String>,
}

/// Something that a job said, with its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub sequence: u64,
    pub kind: u8,
    pub at: u64,
    pub bytes: Bytes,
}

/// A page of what a job said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Events {
    pub events: Vec<Event>,
    /// These were asked for and are not kept any more: first and last.
    pub gap: Option<(u64, u64)>,
    /// Where the next page begins.
    pub next: u64,
    /// No more will come.
    pub over: bool,
}

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    pub jobs: u64,
    /// With what is set aside for exits and values.
    pub bytes: u64,
}

/// The job that a beginning of an id stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    None,
    One(JobId),
    /// The first of several.
    Many(Vec<JobId>),
}
