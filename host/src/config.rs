//! What a node is told at start, parsed and checked: an address, a name, a place for its data, who it is.

use corovan_client::Credentials;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a node needs to know.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Shown to clients.
    pub name: String,
    pub data: PathBuf,
    /// The node's certificate and key, and the CA it trusts.
    pub credentials: Credentials,
    /// Coroutines that may exist at a time; absent: as many as the machine has room for.
    pub slots: Option<u32>,
    /// Worker threads.
    pub workers: usize,
    /// How long what runs may go on when the node is asked to stop.
    pub grace: Duration,
}
