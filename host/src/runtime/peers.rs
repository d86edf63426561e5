//! Other nodes as coroutines are told of them: the list, and messages when it changes (asyncoro's `peer_status`). A coroutine that
//! does not read has one such message, with the latest of each peer.

use super::control::Control;
use super::launch::Runtime;
use super::message::{self, Filter, Kind, Payload};
use super::refusal::Refusal;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::wire::node_id;
use corovan_core::wire::nodes::NodeState;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// A node as guests see it: its CBOR form is part of the host interface.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Peer {
    #[serde(serialize_with = "node_id::serialize")]
    pub node: NodeId,
    pub name: String,
    /// By its name: `alive`, `failed` or `left`.
    #[serde(serialize_with = "state_name")]
    pub state: NodeState,
    /// Counts its starts; another than before means that all that was there has ended.
    pub incarnation: u32,
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    /// Bytes that its coroutines may have.
    pub memory: u64,
    pub version: String,
    /// It takes no new work.
    pub draining: bool,
}

/// Those that this node knows of, and who is told.
#[derive(Default)]
pub struct Peers(Mutex<State>);

#[derive(Default)]
struct State {
    me: Option<Arc<Peer>>,
    peers: BTreeMap<NodeId, Arc<Peer>>,
    watchers: Vec<Watcher>,
}

/// A coroutine that is told.
struct Watcher {
    control: Weak<Control>,
    /// What it has not read, as far as is known.
    news: BTreeMap<NodeId, Arc<Peer>>,
    /// Some of it is not even in its mailbox.
    owed: bool,
}

impl Runtime {
    /// Peers that have come, changed or gone, this node itself among them.
    pub fn peers_changed(&self, changed: Vec<Peer>) {
        let mut state = self.peers.0.lock();
        let State { me, peers, watchers } = &mut *state;
        let mut news = Vec::new();
        for peer in changed.into_iter().map(Arc::new) {
            if peer.node == self.node {
                *me = Some(peer);
                continue;
            }
            match peer.state {
                NodeState::Alive => peers.insert(peer.node, Arc::clone(&peer)),
                _ => peers.remove(&peer.node),
            };
            news.push(peer);
        }
        if news.is_empty() {
            return;
        }
        watchers.retain_mut(|watcher| watcher.tell(self, &news));
    }

    /// Whether a coroutine is told of peers; first of all that are there. Errors: overloaded.
    pub(crate) fn watch_peers(&self, control: &Arc<Control>, watch: bool) -> Result<(), Refusal> {
        let mut state = self.peers.0.lock();
        let State { peers, watchers, .. } = &mut *state;
        let is_me = |watcher: &Watcher| std::ptr::eq(watcher.control.as_ptr(), Arc::as_ptr(control));
        if !watch {
            watchers.retain(|watcher| !is_me(watcher));
            return Ok(());
        }
        if watchers.iter().any(is_me) {
            return Ok(());
        }
        watchers.retain(|watcher| watcher.control.strong_count() > 0);
        if watchers.len() >= limits::PEER_WATCHERS {
            let most = limits::PEER_WATCHERS;
            let text = format!("{most} coroutines of this node watch the peers, which is the limit (PEER_WATCHERS)");
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let watcher = Watcher { control: Arc::downgrade(control), news: peers.clone(), owed: false };
        // The first comes at once, also where there is nobody yet.
        watcher.post(self, control)?;
        watchers.push(watcher);
        Ok(())
    }

    /// All that are there but for this node, as a CBOR array.
    pub(crate) fn peers(&self) -> Bytes {
        cbor(&self.peers.0.lock().peers.values().map(|peer| &**peer).collect::<Vec<_>>())
    }

    /// The node that an address is on, in CBOR. Errors: not-found.
    pub(crate) fn node_of(&self, address: &Address) -> Result<Bytes, Refusal> {
        if address.node == self.node {
            return Ok(self.location());
        }
        let not_found = || Refusal::new(Code::NotFound, format!("node {} is not among the peers", address.node));
        self.peers.0.lock().peers.get(&address.node).map(|peer| cbor(&**peer)).ok_or_else(not_found)
    }

    /// This node, in CBOR.
    pub(crate) fn location(&self) -> Bytes {
        match &self.peers.0.lock().me {
            Some(me) => cbor(&**me),
            // It has no name, and nobody to tell it to.
            None => cbor(&Peer::unnamed(self)),
        }
    }
}

impl Peer {
    fn unnamed(runtime: &Runtime) -> Peer {
        Peer {
            node: runtime.node,
            name: String::new(),
            state: NodeState::Alive,
            incarnation: runtime.incarnation,
            labels: BTreeMap::new(),
            cores: 0,
            memory: 0,
            version: String::new(),
            draining: false,
        }
    }
}

impl Watcher {
    /// Tells it of these, and of what it has not read. `false`: it has ended.
    fn tell(&mut self, runtime: &Runtime, news: &[Arc<Peer>]) -> bool {
        let Some(control) = self.control.upgrade() else { return false };
        let Some(unread) = take_unread(&control) else { return false };
        if !unread && !self.owed {
            self.news.clear();
        }
        self.news.extend(news.iter().map(|peer| (peer.node, Arc::clone(peer))));
        // What finds no room comes with the next change.
        self.owed = self.post(runtime, &control).is_err();
        true
    }

    /// What it has not read, in as few messages as it fits in; one also where there is nothing. Errors: overloaded, gone.
    fn post(&self, runtime: &Runtime, control: &Control) -> Result<(), Refusal> {
        let news: Vec<&Peer> = self.news.values().map(|peer| &**peer).collect();
        let parts = news.chunks(limits::PEER_NOTICE).chain(news.is_empty().then_some(&news[..]));
        for notice in parts.map(cbor) {
            let mut promised = runtime.promise(control)?;
            promised.held.grow(notice.len() as u64)?;
            let sender = Address { node: runtime.node, ..Address::default() };
            control.push_reserved(message::notice(Kind::Peers, sender, Payload::from(notice), promised.keep()));
        }
        Ok(())
    }
}

/// Takes back messages about peers that were not read: whether there were any. `None`: it has ended.
fn take_unread(control: &Control) -> Option<bool> {
    let filter = Filter { kind: Some(Kind::Peers), ..Filter::default() };
    let (mut wakers, mut unread) = (Vec::new(), false);
    {
        let mut post = control.post.lock();
        if post.mailbox.is_closed() {
            return None;
        }
        while let Some(place) = post.mailbox.find(&filter) {
            unread = true;
            let taken = post.take(place, |letter| std::mem::take(&mut letter.body.payload));
            wakers.extend(taken.into_iter().flat_map(|(_, wakers)| wakers));
        }
    }
    wakers.into_iter().for_each(Waker::wake);
    Some(unread)
}

fn cbor<T: Serialize + ?Sized>(value: &T) -> Bytes {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes.into()
}

fn state_name<S: serde::Serializer>(state: &NodeState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}
