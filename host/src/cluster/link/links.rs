//! All links of a node. Cheap to share; made by the composition root, which gives it connections that other nodes have made.

use super::connection;
use super::dial::Dials;
use super::peer::{Peer, Place, Reach};
use super::session::{Inbox, Session};
use super::supervise;
use crate::net::{Connection, Endpoint};
use crate::runtime::Clock;
use crate::tasks::{TaskKind, Tasks, becomes};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::frame::{Header, Kind};
use corovan_core::membership::swim::Unconnected;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What it is made of.
pub struct Config {
    pub node: NodeId,
    pub incarnation: u32,
    pub endpoint: Endpoint,
    pub clock: Arc<dyn Clock>,
    pub tasks: Tasks,
    /// It dials, and accepts no connections of other nodes.
    pub dial_out: bool,
}

/// The links of a node; cheap to clone.
#[derive(Clone)]
pub struct Links(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub config: Config,
    inbox: OnceLock<Arc<dyn Inbox>>,
    datagrams: OnceLock<Arc<dyn Datagrams>>,
    peers: RwLock<HashMap<NodeId, Arc<Peer>>>,
    pub dials: Mutex<Dials>,
    next: AtomicU64,
}

/// The links of a node as seen by what they hold themselves; cheap to clone.
#[derive(Clone)]
pub struct Peers(Weak<Inner>);

/// Takes datagrams of membership. Must not block.
pub trait Datagrams: Send + Sync {
    /// `proven`: who the connection's certificate names.
    fn datagram(&self, from: SocketAddr, proven: NodeId, bytes: Bytes);
    /// A node that accepts no connections is to be asked for one. That may be lost.
    fn call_back(&self, node: NodeId);
}

/// Why there is no session with a node and none begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoWay {
    #[error("no node {0} is known to this one")]
    Unknown(NodeId),
    #[error("node {0} accepts no connections and neither does this one (--dial-out), so neither can reach the other")]
    BothDialOut(NodeId),
}

impl Links {
    /// Nothing is dialled or accepted before [`Links::open`].
    pub fn new(config: Config) -> Links {
        let (inbox, datagrams) = (OnceLock::new(), OnceLock::new());
        let (peers, dials, next) = (RwLock::default(), Mutex::default(), AtomicU64::new(1));
        Links(Arc::new(Inner { config, inbox, datagrams, peers, dials, next }))
    }

    /// Who takes what comes from other nodes, from now on.
    pub fn open(&self, inbox: Arc<dyn Inbox>, datagrams: Arc<dyn Datagrams>) {
        // Once is enough; a second time is a mistake of the composition root that changes nothing.
        let _ = (self.0.inbox.set(inbox), self.0.datagrams.set(datagrams));
    }

    pub fn node(&self) -> NodeId {
        self.0.config.node
    }

    /// The session with a node; one that begins when a connection stands, if there is none.
    pub fn session(&self, node: NodeId) -> Result<Arc<Session>, NoWay> {
        let unknown = NoWay::Unknown(node);
        let peer = self.0.peers.read().get(&node).map(Arc::clone).ok_or(unknown)?;
        if let Some(session) = peer.held() {
            return Ok(session);
        }
        if peer.reach().ok_or(unknown)? == Reach::Asked && self.is_dial_out() {
            return Err(NoWay::BothDialOut(node));
        }
        let session = self.session_of(&peer).ok_or(unknown)?;
        self.reach(&peer);
        Ok(session)
    }

    /// Begins to make a connection; `false`: there is no way to.
    pub(super) fn reach(&self, peer: &Arc<Peer>) -> bool {
        match peer.reach() {
            Some(Reach::Dialled(address)) => self.dial(address),
            Some(Reach::Asked) if !self.is_dial_out() => {
                if peer.is_asked(self.0.config.clock.now()) {
                    self.0.datagrams.get().into_iter().for_each(|datagrams| datagrams.call_back(peer.node));
                }
            }
            _ => return false,
        }
        true
    }

    /// It dials, and accepts no connections.
    pub fn is_dial_out(&self) -> bool {
        self.0.config.dial_out
    }

    /// Where membership says that a node is.
    pub fn place(&self, node: NodeId, place: Place) {
        if let Some(peer) = self.peer(node).filter(|_| node != self.node()) {
            peer.place(place);
        }
    }

    /// Whether a connection with a node stays though nobody uses it.
    pub fn keep(&self, node: NodeId, keeps: bool) {
        if let Some(peer) = self.peer(node) {
            peer.state.lock().kept = keeps;
        }
    }

    /// A member has no connection with this node and wants it to make one: it is dialled where membership says that it is.
    pub fn call_back(&self, node: NodeId) {
        let Some(peer) = self.0.peers.read().get(&node).map(Arc::clone) else { return };
        if let Some(Reach::Dialled(address)) = peer.reach().filter(|_| peer.is_unconnected()) {
            tracing::debug!(peer = %node, %address, "dialled as this member has asked");
            self.dial(address);
        }
    }

    /// Sends a datagram to whoever is at this address, over the connection with `node` where there is one. It may be lost.
    pub fn datagram(&self, to: SocketAddr, node: Option<NodeId>, bytes: Bytes, unconnected: Unconnected) {
        let peer = match node {
            Some(node) => self.peer(node),
            // A seed, or a node that has not said yet who it is.
            None => self.connected().into_iter().find(|peer| peer.is_at(to)),
        };
        if let Some(connection) = peer.as_ref().and_then(|peer| peer.live()) {
            // Too large or closing: lost, as datagrams are.
            let _ = connection.quic.send_datagram(bytes);
            return;
        }
        match (unconnected, peer) {
            (Unconnected::Drop, _) => {}
            (Unconnected::Pass { to, node, bytes }, _) => {
                self.datagram(to, Some(node), bytes.into(), Unconnected::Dial);
            }
            (Unconnected::Dial, Some(peer)) => {
                peer.keep(bytes);
                // From outside, if it has said how; what it said first is where it listens.
                self.dial(peer.placed().unwrap_or(to));
            }
            (Unconnected::Dial, None) => self.dial_with(to, Some(bytes)),
        }
    }

    /// Waits until all datagrams have gone out that connections have, not long: one that is closed drops those it still has.
    pub async fn datagrams_gone(&self) {
        let kept = |peer: &Arc<Peer>| {
            let room = peer.live().map(|connection| connection.quic.datagram_send_buffer_space());
            room.is_some_and(|room| room < limits::DATAGRAM_BUFFER)
        };
        becomes(|| !self.connected().iter().any(kept), limits::FAREWELL).await;
    }

    /// The node goes: what its sessions still have to say is said, the ends of its coroutines above all, and then good-bye, so
    /// that nobody waits for it. Not for long: a peer that hears nothing finds out by the silence.
    pub async fn say_goodbye(&self) {
        let sessions: Vec<_> = self.connected().iter().filter_map(|peer| peer.held()).collect();
        heard(&sessions).await;
        let goodbye = Header { tag: u64::from(Code::ShuttingDown.number()), ..Header::new(Kind::Goodbye) };
        sessions.iter().for_each(|session| session.answer(goodbye, b"the node is shutting down"));
        heard(&sessions).await;
    }

    /// A connection that another node has made.
    pub async fn accepted(&self, connection: Connection) {
        if self.is_dial_out() {
            let why = "this node accepts no connections of other nodes (--dial-out)";
            tracing::info!(peer = %connection.principal, remote = %connection.quic.remote_address(), "refused: {why}");
            return Connection::refuse(&connection.quic, why);
        }
        connection::serve(self, connection, false).await;
    }

    /// Sessions that are held.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.0.peers.read().values().filter_map(|peer| peer.held()).collect()
    }

    /// Without keeping them.
    pub fn peers(&self) -> Peers {
        Peers(Arc::downgrade(&self.0))
    }

    /// Connections in use.
    pub fn connections(&self) -> usize {
        self.connected().len()
    }

    /// Bytes that the connection in use with this node has sent, with all that QUIC adds. For tests and figures.
    pub fn bytes_sent(&self, node: NodeId) -> u64 {
        let peer = self.0.peers.read().get(&node).cloned();
        peer.and_then(|peer| peer.live()).map_or(0, |connection| connection.quic.stats().udp_tx.bytes)
    }

    /// Closes all connections as if the network had; sessions resume. For tests of what builds on links.
    pub fn break_connections(&self) {
        self.connected().into_iter().filter_map(|peer| peer.live()).for_each(|connection| {
            connection.quic.close(crate::net::close_code(None), b"broken");
        });
    }

    /// Ends all sessions: the node goes.
    pub fn close(&self) {
        let peers: Vec<_> = self.0.peers.read().values().cloned().collect();
        for peer in peers {
            peer.held().into_iter().for_each(|session| peer.end(&session, "the node has shut down"));
        }
    }

    pub(super) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.0.peers.read().get(&node) {
            return Some(Arc::clone(peer));
        }
        let mut peers = self.0.peers.write();
        if peers.len() >= PEERS && !peers.contains_key(&node) {
            // One that holds nothing gives way; its session numbers begin again, under another incarnation or none.
            let idle = peers.iter().find(|(_, peer)| peer.held().is_none() && peer.live().is_none());
            let idle = idle.map(|(node, _)| *node)?;
            peers.remove(&idle);
        }
        let Config { node: me, incarnation, .. } = self.0.config;
        Some(Arc::clone(peers.entry(node).or_insert_with(|| Arc::new(Peer::new(me, incarnation, node)))))
    }

    /// Peers with a connection.
    pub(super) fn connected(&self) -> Vec<Arc<Peer>> {
        self.0.peers.read().values().filter(|peer| peer.live().is_some()).cloned().collect()
    }

    pub(super) fn session_of(&self, peer: &Arc<Peer>) -> Option<Arc<Session>> {
        let fresh = self.make_session(peer.node)?;
        let (session, new) = peer.session(|| fresh);
        if new {
            self.supervise(peer, &session);
        }
        Some(session)
    }

    pub(super) fn make_session(&self, node: NodeId) -> Option<Session> {
        let inbox = self.0.inbox.get()?;
        Some(Session::new(node, Arc::clone(&self.0.config.clock), Arc::clone(inbox)))
    }

    pub(super) fn supervise(&self, peer: &Arc<Peer>, session: &Arc<Session>) {
        let watch = supervise::watch(self.clone(), Arc::clone(peer), Arc::clone(session));
        self.0.config.tasks.spawn(TaskKind::Stream, "peer-session", async move {
            watch.await;
            Ok::<(), Infallible>(())
        });
    }

    pub(super) fn incoming_datagram(&self, from: SocketAddr, proven: NodeId, bytes: Bytes) {
        self.0.datagrams.get().into_iter().for_each(|datagrams| datagrams.datagram(from, proven, bytes.clone()));
    }

    pub(super) fn next_number(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Peers {
    /// Sessions that are held.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.0.upgrade().map(|links| Links(links).sessions()).unwrap_or_default()
    }
}

/// Waits until the others have all that these sessions have sent, or have ended them.
async fn heard(sessions: &[Arc<Session>]) {
    becomes(|| !sessions.iter().any(|session| session.is_speaking()), limits::FAREWELL).await;
}

/// Nodes of which anything is kept: all that membership knows, and some that are not members yet.
const PEERS: usize = limits::MESH_NODES + 64;
