//! What a node is told: at start, parsed and checked, an address, a name, a place for its data, who it is; and what may be
//! told anew while it runs. Where that comes from is in the parts: a file, the environment, the command line.

pub mod file;
pub mod keys;
pub mod layers;
pub mod sources;
pub mod value;

use crate::tenancy::ca::Authority;
use crate::tenancy::kept::Kept;
use corovan_client::Credentials;
use corovan_core::job::hours::Hours;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything a node needs to know.
pub struct Config {
    pub listen: SocketAddr,
    /// Shown to clients.
    pub name: String,
    pub data: PathBuf,
    /// The node's certificate and key, and the CA it trusts.
    pub credentials: Credentials,
    pub enrolment: Enrolment,
    /// Its part in a mesh; absent: it stays alone.
    pub mesh: Option<Mesh>,
    pub offer: Offer,
    /// Coroutines that may exist at a time; absent: as many as the machine has room for.
    pub slots: Option<u32>,
    /// Worker threads.
    pub workers: usize,
    /// Where it tells metrics and status, on loopback; absent: nowhere.
    pub http: Option<SocketAddr>,
    /// How long what runs may go on when the node is asked to stop.
    pub grace: Duration,
}

/// How a node takes part in a mesh.
#[derive(Clone, Default, Debug)]
pub struct Mesh {
    /// Where it asks the way in: `HOST:PORT`.
    pub peers: Vec<String>,
    /// It also looks for nodes of its cluster on the local network, and makes itself known there.
    pub discover: bool,
    /// Where others reach it, if that is not where it listens.
    pub external: Option<SocketAddr>,
    /// It accepts no connections of other nodes.
    pub dial_out: bool,
    /// It passes on what those ask who want to join.
    pub forwards_joins: bool,
    /// Shown to others.
    pub labels: BTreeMap<String, String>,
}

/// What a node has for others, and when; absent: as much as there is.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Offer {
    /// Jobs of other nodes at a time.
    pub jobs: Option<u64>,
    /// Others are told of so many.
    pub cores: Option<u32>,
    /// Bytes that jobs of other nodes may ask for together, and that others are told of.
    pub memory: Option<u64>,
    /// Bytes for modules and native code.
    pub disk: Option<u64>,
    /// When it takes jobs of other nodes; absent: always.
    pub hours: Option<Hours>,
    /// How long those that run may go on outside of its hours; absent: to their end.
    pub end_after: Option<Duration>,
}

/// What may change while a node runs.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Live {
    pub labels: BTreeMap<String, String>,
    pub peers: Vec<String>,
    pub offer: Offer,
}

/// What a node has to do with certificates beyond its own: nothing, by default.
#[derive(Default)]
pub struct Enrolment {
    /// It issues with this CA.
    pub issuer: Option<Arc<Authority>>,
    /// Where it keeps a certificate that it renews itself; absent: somebody else gave it one.
    pub kept: Option<Kept>,
    /// Whom it asks for the next one, `HOST:PORT`, where it does not issue.
    pub ask: Option<String>,
}
