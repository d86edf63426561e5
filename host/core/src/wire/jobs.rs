//! Records about jobs and where they run: what a computation says of the nodes it wants, and what a client is told of its jobs.

use crate::ids::{ComputationId, JobId, ModuleHash, NodeId};
use serde::{Deserialize, Serialize};

/// Which nodes a computation uses, and how many of its jobs each runs at a time; the first that takes a node counts
/// (discoro's `DiscoroNodeAllocate`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NodeAllocation {
    /// A selector (`docs/computations.md`); empty: any node.
    #[serde(rename = "s", default)]
    pub selector: String,
    /// At most so many jobs at a time there; 0: none. Absent: as many as the node takes.
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
}

/// From now on a computation uses these nodes; jobs that are placed stay.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Allocate {
    /// None: any node.
    #[serde(default)]
    pub nodes: Vec<NodeAllocation>,
}

/// The job waits for a node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Queued {
    /// Among jobs of its computation and kind, from 1.
    #[serde(default)]
    pub position: u32,
}

/// First frame of a stream: what is known of jobs of the asker's tenant?
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AskJobs {
    /// Of this computation alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computation: Option<ComputationId>,
    /// This job alone, and why it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// An open job as its home knows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobInfo {
    pub computation: ComputationId,
    pub job: JobId,
    #[serde(default)]
    pub tenant: String,
    /// What its client calls the computation.
    #[serde(default)]
    pub label: String,
    pub module: ModuleHash,
    #[serde(default)]
    pub function: String,
    pub state: JobState,
    /// Where it is to run: its `at`; absent: at its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The node where it is, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Counts the attempts at it, from 1; 0: there was none.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<JobWhy>,
}

/// Why a job is where it is, or what keeps it from each node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobWhy {
    /// In one sentence.
    #[serde(default)]
    pub text: String,
    /// Nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeRefusal>,
    /// Nodes that are not told.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub more: u64,
}

/// The rules by which a node does not take a job, in words. None: it has room, which others get first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NodeRefusal {
    #[serde(with = "super::node_id")]
    pub node: NodeId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub rules: Vec<String>,
}

/// Numbers are stable; one of a later version reads as running.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[repr(u8)]
pub enum JobState {
    /// For its arguments, a node, or a slot there.
    #[default]
    Waiting = 1,
    /// A node has been told to run it, or does.
    Running = 2,
    /// What its client has not taken yet is left of it.
    Ended = 3,
}

impl JobState {
    pub fn name(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Running => "running",
            JobState::Ended => "ended",
        }
    }
}

impl Serialize for JobState {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for JobState {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match u8::deserialize(d)? {
            1 => JobState::Waiting,
            3 => JobState::Ended,
            _ => JobState::Running,
        })
    }
}
