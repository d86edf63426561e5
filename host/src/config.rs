//! What a node is told at start, parsed and checked: an address, a name, a place for its data, who it is.

use crate::tenancy::ca::Authority;
use crate::tenancy::kept::Kept;
use corovan_client::Credentials;
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
    /// Coroutines that may exist at a time; absent: as many as the machine has room for.
    pub slots: Option<u32>,
    /// Worker threads.
    pub workers: usize,
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
