//! Where this coroutine is, and which other nodes are there.

use crate::address::Address;
use crate::cbor::from_node;
use crate::coroutine::part;
use crate::error::{Error, check};
use crate::ids::NodeId;
use crate::incoming::Incoming;
use crate::lifecycle::try_read;
use crate::sys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node of the mesh. What a newer node says beside this is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    pub node: NodeId,
    /// What [`Spawn::at`](crate::Spawn::at) takes.
    pub name: String,
    pub state: PeerState,
    /// Counts its starts: another than before means that all that was there has ended.
    #[serde(default)]
    pub incarnation: u32,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub cores: u32,
    /// Bytes that its coroutines may have.
    #[serde(default)]
    pub memory: u64,
    /// Of the node's program.
    #[serde(default)]
    pub version: String,
    /// It takes no new work.
    #[serde(default)]
    pub draining: bool,
}

/// Whether a node is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PeerState {
    Alive,
    /// It was taken for dead. It may come back.
    Failed,
    /// It said that it goes.
    Left,
    #[serde(other)]
    Unknown,
}

/// The node that this coroutine is on.
///
/// # Errors
/// `invalid` when it says what this SDK cannot read.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// println!("at {}", corovan_guest::node::location()?.name);
/// # Ok(())
/// # }
/// ```
pub fn location() -> Result<Peer, Error> {
    from_node(&try_read(|buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, and the node writes no more.
        check(unsafe { sys::location(buf, cap) })
    })?)
}

/// The node that an address is on.
///
/// # Errors
/// `not-found` when it is not there, or not any more; `overloaded` when too many results wait to be taken.
///
/// ```no_run
/// use corovan_guest::{names, node};
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let printer = names::locate("printer", None)?;
/// println!("the printer is at {}", node::of(printer)?.name);
/// # Ok(())
/// # }
/// ```
pub fn of(address: Address) -> Result<Peer, Error> {
    let peer: Incoming = part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part; the address is only read.
        unsafe { sys::node_info(address.as_bytes().as_ptr(), part, buf, cap) }
    })?;
    from_node(peer.bytes())
}

/// The other nodes that are there now.
///
/// # Errors
/// `overloaded` when too many results wait to be taken.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// for peer in corovan_guest::node::peers()? {
///     println!("{} has {} cores", peer.name, peer.cores);
/// }
/// # Ok(())
/// # }
/// ```
pub fn peers() -> Result<Vec<Peer>, Error> {
    let peers: Incoming = part(|part, buf, cap| {
        // SAFETY: `buf` has room for `cap` bytes, `part` for the 16 of a part.
        unsafe { sys::peers(part, buf, cap) }
    })?;
    from_node(peers.bytes())
}

/// From here on [`Received::Peers`](crate::messaging::Received::Peers) comes with those that came, changed or went; first, at once,
/// with all that are there. What is not read yet is put together into one: who reads seldom is told the latest.
///
/// # Errors
/// `overloaded` when too many watch.
///
/// ```no_run
/// use corovan_guest::messaging::{Mailbox, Received};
/// use corovan_guest::node;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// node::watch_peers(true)?;
/// while let Received::Peers(peers) = Mailbox::<()>::new().receive()? {
///     peers.iter().for_each(|peer| println!("{} is {:?}", peer.name, peer.state));
/// }
/// # Ok(())
/// # }
/// ```
pub fn watch_peers(watch: bool) -> Result<(), Error> {
    // SAFETY: a number goes over.
    check(unsafe { sys::watch_peers(u32::from(watch)) }).map(drop)
}
