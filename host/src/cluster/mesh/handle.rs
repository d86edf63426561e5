//! What others of this node ask of membership and names: cheap to clone, from any thread, never waits.

use crate::runtime::Refusal;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::directory::message::{Message, Name};
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::membership::member::{About, Member};
use corovan_core::membership::watch::Change;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::{Notify, oneshot};

/// The members as they are now.
pub type Members = Arc<BTreeMap<NodeId, Member>>;

/// Asks the thread of membership and names.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    commands: SyncSender<Command>,
    side: Mutex<Side>,
    members: Mutex<Members>,
    tokens: AtomicU64,
    dropped: AtomicU64,
    is_over: AtomicBool,
    over: Notify,
}

/// Told of each change of the members, in order, on the thread of membership: must not block.
pub trait Follower: Send + Sync {
    fn changed(&self, change: &Change);
}

/// What the thread does next.
pub(super) enum Command {
    Datagram {
        from: SocketAddr,
        proven: NodeId,
        bytes: Bytes,
    },
    Announce(SocketAddr),
    ForgetSeed(SocketAddr),
    Update(Box<About>),
    /// A dial-out member is to be asked to dial this node.
    CallBack(NodeId),
    Follow(Arc<dyn Follower>),
    Names {
        from: NodeId,
        message: Box<Message>,
    },
    Register {
        token: u64,
        name: Name,
        holder: Address,
        deadline: u64,
        told: oneshot::Sender<Result<(), Code>>,
    },
    Unregister {
        name: Name,
        holder: Address,
    },
    Locate {
        token: u64,
        name: Name,
        wait: bool,
        deadline: u64,
        told: oneshot::Sender<Result<Address, Code>>,
    },
    /// There is something at the side.
    Look,
    /// Says good-bye and ends.
    Leave(oneshot::Sender<()>),
}

/// What must not be lost where the queue is full. Bounded by what it ends: names held, calls not answered.
#[derive(Default)]
pub(super) struct Side {
    pub forgotten: Vec<Address>,
    pub withdrawn: Vec<u64>,
}

impl Handle {
    pub(super) fn new() -> (Handle, Receiver<Command>) {
        let (commands, receiver) = sync_channel(limits::MESH_COMMANDS);
        let (side, members) = (Mutex::default(), Mutex::default());
        let (is_over, over) = (AtomicBool::new(false), Notify::new());
        let (tokens, dropped) = (AtomicU64::new(1), AtomicU64::new(0));
        (Handle(Arc::new(Inner { commands, side, members, tokens, dropped, is_over, over })), receiver)
    }

    /// All members, this node among them.
    pub fn members(&self) -> Members {
        Arc::clone(&self.0.members.lock())
    }

    /// A way into the mesh: asked now, and again while alone.
    pub fn announce(&self, seed: SocketAddr) -> bool {
        self.send(Command::Announce(seed))
    }

    /// It is no way into the mesh any more.
    pub fn forget_seed(&self, seed: SocketAddr) -> bool {
        self.send(Command::ForgetSeed(seed))
    }

    /// Says something else of this node from now on.
    pub fn update(&self, about: About) -> bool {
        self.send(Command::Update(Box::new(about)))
    }

    /// Tells of all that are there, then of each change.
    pub fn follow(&self, follower: Arc<dyn Follower>) -> bool {
        self.send(Command::Follow(follower))
    }

    /// A datagram of another node has come; dropped where too many wait, as the network would.
    pub fn datagram(&self, from: SocketAddr, proven: NodeId, bytes: Bytes) {
        if !self.send(Command::Datagram { from, proven, bytes }) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has a dial-out member asked to dial this node; asked again where that is dropped.
    pub fn call_back(&self, node: NodeId) {
        self.send(Command::CallBack(node));
    }

    /// Datagrams that were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// What another node says about names; asked again when it is dropped here.
    pub fn names(&self, from: NodeId, message: Message) {
        self.send(Command::Names { from, message: Box::new(message) });
    }

    /// Gives a name to a coroutine or channel of this node. `deadline` on the node's clock. Errors: taken, overloaded, timeout.
    pub async fn register(&self, name: Name, holder: Address, deadline: u64) -> Result<(), Refusal> {
        let (told, answer) = oneshot::channel();
        let text = name.name.clone();
        let call = self.call();
        self.begin(Command::Register { token: call.token, name, holder, deadline, told })?;
        let code = match answer.await {
            Ok(Ok(())) => {
                call.settled();
                return Ok(());
            }
            Ok(Err(code)) => code,
            Err(_) => Code::ShuttingDown,
        };
        call.settled();
        Err(Refusal::new(
            code,
            match code {
                Code::Taken => format!("name {text:?}: it belongs to another"),
                Code::Timeout => format!("name {text:?}: its home did not answer in time"),
                _ => format!("name {text:?}: {code}"),
            },
        ))
    }

    /// Gives it back.
    pub fn unregister(&self, name: Name, holder: Address) {
        if !self.send(Command::Unregister { name, holder }) {
            // All names of the holder: those that it still has it registers again.
            tracing::warn!(%holder, "a name was not given back: the node's queue for names is full");
        }
    }

    /// A coroutine or channel has ended: its names are free.
    pub fn forget(&self, holder: Address) {
        self.0.side.lock().forgotten.push(holder);
        self.send(Command::Look);
    }

    /// Looks for a name's holder. Errors: not-found, timeout, overloaded.
    pub async fn locate(&self, name: Name, wait: bool, deadline: u64) -> Result<Address, Refusal> {
        let (told, answer) = oneshot::channel();
        let text = name.name.clone();
        let call = self.call();
        self.begin(Command::Locate { token: call.token, name, wait, deadline, told })?;
        let found = answer.await.unwrap_or(Err(Code::ShuttingDown));
        call.settled();
        found.map_err(|code| match code {
            Code::NotFound | Code::Timeout => Refusal::timeout(&format!("nobody has the name {text:?}")),
            code => Refusal::new(code, format!("name {text:?}: {code}")),
        })
    }

    /// Says good-bye to all; resolves when that is said.
    pub async fn leave(&self) {
        let (said, done) = oneshot::channel();
        if self.send(Command::Leave(said)) {
            let _ = done.await;
        }
    }

    /// Membership has ended on this node.
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }

    /// Resolves when it has.
    pub async fn over(&self) {
        let over = self.0.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        if !self.is_over() {
            over.await;
        }
    }

    pub(super) fn set_over(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.over.notify_waiters();
    }

    pub(super) fn set_members(&self, members: Members) {
        *self.0.members.lock() = members;
    }

    pub(super) fn take_side(&self) -> Side {
        std::mem::take(&mut *self.0.side.lock())
    }

    fn begin(&self, command: Command) -> Result<(), Refusal> {
        if self.send(command) {
            return Ok(());
        }
        let text = "too many calls about names wait on this node (MESH_COMMANDS)";
        Err(Refusal::new(Code::Overloaded, text))
    }

    fn send(&self, command: Command) -> bool {
        match self.0.commands.try_send(command) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    fn call(&self) -> Call {
        Call { token: self.0.tokens.fetch_add(1, Ordering::Relaxed), handle: Some(self.clone()) }
    }
}

/// A call about names that is under way; withdrawn when dropped.
struct Call {
    token: u64,
    handle: Option<Handle>,
}

impl Call {
    fn settled(mut self) {
        self.handle = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.0.side.lock().withdrawn.push(self.token);
            handle.send(Command::Look);
        }
    }
}
