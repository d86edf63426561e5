//! Records about the nodes of a mesh: what a client asks a node about them, and what it is told.

use crate::ids::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// First frame of a stream: which nodes are there?
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ListNodes {
    /// And whatever changes afterwards, until the client ends the stream.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub watch: bool,
}

/// First frame of a stream: take part in the mesh that a node at this address is in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AskPeer {
    /// `HOST:PORT`, resolved by the node that is asked, again whenever it tries again.
    pub address: String,
}

/// First frame of a stream: the node takes no new work from now on, and what runs goes on; or takes it again.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Drain {
    /// Takes it again.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub undo: bool,
}

/// A node as the one that is asked knows it. What only an operator is told is absent for a tenant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeInfo {
    #[serde(with = "super::node_id")]
    pub node: NodeId,
    /// Empty until it is known.
    #[serde(default)]
    pub name: String,
    pub state: NodeState,
    /// It is the one that was asked.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub asked: bool,
    /// Raised at every start of the node.
    #[serde(default)]
    pub incarnation: u32,
    /// When it came to this state: nanoseconds since 1970, by the clock of the node that is asked.
    #[serde(default)]
    pub since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<NodeDetails>,
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeDetails {
    /// Where it is reached: from outside first, if it says so.
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub cores: u32,
    /// Bytes.
    #[serde(default)]
    pub memory: u64,
    #[serde(default)]
    pub version: String,
    /// It accepts no connections.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub dial_out: bool,
    /// It takes no new work.
    #[serde(default, skip_serializing_if = "crate::wire::is_default")]
    pub draining: bool,
}

/// Numbers are stable; one of a later version reads as failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum NodeState {
    /// Also while others suspect it.
    Alive = 1,
    /// It went without saying so.
    Failed = 2,
    /// It said good-bye.
    Left = 3,
}

impl NodeState {
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Alive => "alive",
            NodeState::Failed => "failed",
            NodeState::Left => "left",
        }
    }
}

impl Serialize for NodeState {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for NodeState {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match u8::deserialize(d)? {
            1 => NodeState::Alive,
            3 => NodeState::Left,
            _ => NodeState::Failed,
        })
    }
}
