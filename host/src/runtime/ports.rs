//! What a coroutine needs from outside its worker, as small traits over owned values: a runtime can live in another
//! process, and fakes of these test host calls without a network.

use super::abroad::Ear;
use super::group::Group;
use super::launch::Program;
use super::refusal::Refusal;
use super::stdio::{Input, Output};
use bytes::Bytes;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::link::call::Command;
use corovan_core::link::channel::ChannelCall;
use corovan_core::tenancy::quota::Permit;
use corovan_core::wire::ExitRecord;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Follows one coroutine. Called on worker threads: must not block.
pub trait Observer: Send + Sync {
    /// It waits for a node; so many of its kind are before it, with itself.
    fn queued(&self, _position: u32) {}
    /// This node was chosen to run it, and why; `started` may follow, from there.
    fn placed(&self, _node: NodeId, _name: &str, _why: &str) {}
    /// Who is asked before it goes to a node that was chosen; `None`: nobody.
    fn gate(&self) -> Option<&dyn Gate> {
        None
    }
    /// It has an instance and is about to run.
    fn started(&self, address: Address);
    /// `done` of `total` (0: unknown), with a text; only the latest counts.
    fn progress(&self, done: u64, total: u64, text: String);
    /// Level 1 (error) to 5 (trace).
    fn log(&self, level: u8, text: String);
    /// Where its output goes.
    fn output(&self) -> &Output;
    /// [`Observer::output`] is no longer empty.
    fn output_ready(&self);
    /// Called exactly once, after everything the coroutine held has been given back.
    fn ended(&self, record: &Arc<ExitRecord>);
    /// Who follows a coroutine that this one makes.
    fn child(&self, daemon: bool) -> Arc<dyn Observer>;
    /// Its exit record is kept for a while, for whoever asks. Not for those that the node makes for itself: they would push
    /// out the records of others.
    fn is_recorded(&self) -> bool {
        true
    }
    /// What CPU time all of its job has used, in nanoseconds, where that is limited. Before `ended`.
    fn used(&self, _: u64) {}
    /// A coroutine that it made on another node has ended.
    fn ended_abroad(&self, _: &ExitRecord) {}
    /// It has become a daemon, or is none any more.
    fn set_daemon(&self, daemon: bool);
}

/// Notes that a job begins before it does.
pub trait Gate: Send + Sync {
    /// A node was chosen: `go` has it go there, now or later. Never called, the job stays where it is until it is cancelled.
    fn begin(&self, node: NodeId, name: &str, go: Box<dyn FnOnce() + Send>);
    /// That node has refused it, and certainly never ran it: it goes elsewhere, or waits.
    fn never_ran(&self);
}

/// Makes programs, and finds room for coroutines that coroutines make.
pub trait Spawn: Send + Sync {
    /// A function of a module that this computation's tenant has here. Errors: need-module, bad-module, unknown-function,
    /// shutting-down.
    fn program(&self, group: &Arc<Group>, module: ModuleHash, function: &str)
    -> Pending<Result<Arc<Program>, Refusal>>;
    /// Room for one more coroutine, which its observer's `ended` gives back. Errors: overloaded, shutting-down.
    fn admit(&self, group: &Group) -> Result<(), Refusal>;
    /// The room is not needed: the coroutine was not made.
    fn give_back(&self, group: &Group);
}

/// Other nodes.
pub trait Mesh: Send + Sync {
    /// The way to a coroutine or channel of another node, for coroutines of this group. Errors: node-lost (no such node is
    /// known), denied (the group may not), overloaded.
    fn way(&self, group: &Arc<Group>, to: &Address) -> Result<Arc<dyn Way>, Refusal>;
    /// The node of this name, or one that a selector takes (`docs/computations.md`; nothing for any); the present one may be among them.
    /// Errors: node-lost (there is none), invalid.
    fn place(&self, selector: &str) -> Result<NodeId, Refusal>;
    /// What a node that is there is called.
    fn name(&self, node: NodeId) -> Option<String>;
    /// Makes a coroutine on another node. Dropped before it is made, it is ended there at once. `over` is told when it and all
    /// that it made there have ended. Errors: those of a spawn, and node-lost, need-module.
    fn spawn(
        &self,
        group: &Arc<Group>,
        to: NodeId,
        from: &Address,
        what: SpawnAway,
        over: Box<dyn EndFollower>,
    ) -> Pending<Result<Made, Refusal>>;
    /// Has another node run a job of this one, and gives what ends it. `observer` hears what it says, that it has started first; `over`
    /// is told once, last, when it and all that it made there have ended, or what else became of it.
    fn run(
        &self,
        group: &Arc<Group>,
        to: NodeId,
        what: SpawnAway,
        observer: Arc<dyn Observer>,
        over: Box<dyn FnOnce(Became) + Send + Sync>,
    ) -> Arc<dyn Sprout>;
}

/// What became of a job that another node was to run.
#[derive(Debug)]
pub enum Became {
    Ended(ExitRecord),
    /// It certainly never ran.
    Refused(Refusal),
    /// Its node cannot be reached any more: it may have run, and may go on until that node notices.
    Lost(Refusal),
    /// It was ended before it was there, by whom and why.
    Cancelled {
        by: String,
        reason: String,
    },
}

/// A coroutine that another node has made, and what ends it.
pub type Made = (Address, Arc<dyn Sprout>);

/// Is told once how something ended.
pub type Told = Box<dyn FnOnce(&Arc<ExitRecord>) + Send + Sync>;

/// A coroutine that another node is to make.
#[derive(Debug)]
pub struct SpawnAway {
    pub of: SpawnOf,
    pub args: Bytes,
    /// Bytes; 0: as much as the program wants, and at most `most`.
    pub memory: u64,
    pub most: u64,
    /// Nanoseconds that it and what it makes may run.
    pub deadline: u64,
    /// The same of CPU time; `None`: as much as they like.
    pub cpu: Option<u64>,
    /// Its standard input, for jobs ([`Mesh::run`]).
    pub input: Option<Arc<Input>>,
}

/// What another node is to make a coroutine of.
#[derive(Debug)]
pub enum SpawnOf {
    Function(ModuleHash, String),
    /// A WASI program, and how it is started.
    Command(ModuleHash, Command),
    /// What is offered there: its module and function are its owner's.
    Service(Address),
}

/// What ends a coroutine on another node with all that it made there.
pub trait Sprout: Send + Sync {
    fn cancel(&self, by: &str, reason: &str, grace: Duration);
}

/// The names of a mesh. `deadline` is a time of the node's clock.
pub trait Names: Send + Sync {
    /// Gives a name to a coroutine or channel of this node, on behalf of a computation. Errors: taken, overloaded, timeout.
    fn register(&self, group: &Arc<Group>, name: &str, holder: Address, deadline: u64) -> Pending<Result<(), Refusal>>;
    /// Gives it back.
    fn unregister(&self, group: &Group, name: &str, holder: Address);
    /// A holder has ended.
    fn forget(&self, holder: Address);
    /// Finds the holder; with `wait` not before there is one. Errors: timeout, overloaded.
    fn locate(&self, group: &Arc<Group>, name: &str, wait: bool, deadline: u64) -> Pending<Result<Address, Refusal>>;
}

/// The way to one address of another node, as long as the session with that node lasts. What it gives back may be dropped: what
/// was not sent by then certainly is not. Errors of all: node-lost, gone, denied, overloaded.
pub trait Way: Send + Sync + fmt::Debug {
    /// The session has ended: another way is to be found.
    fn is_over(&self) -> bool;
    /// Sends a message if that needs no waiting; `false`: it does.
    fn send_now(&self, from: &Address, tag: u64, bytes: &[u8]) -> Result<bool, Refusal>;
    /// Sends a message as soon as there is credit for it.
    fn send(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>>;
    /// Sends one and waits until the mailbox has it.
    fn deliver(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>>;
    /// Sends one and waits for its reply. Errors: closed.
    fn request(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<Bytes, Refusal>>;
    /// Asks the other node to do something to it, and waits for what it says.
    fn ask(&self, from: &Address, ask: Ask) -> Pending<Result<Bytes, Refusal>>;
    /// Asks that it go on as another function, of its own module where none is named, and waits until it does. Dropped before,
    /// the other node is told that nobody waits for it.
    fn swap(&self, from: &Address, module: Option<ModuleHash>, function: String) -> Pending<Result<(), Refusal>>;
    /// Sends a message of channel `from`, which came through so many, to what stands for that there, if that needs no waiting;
    /// `false`: it does.
    fn pass_now(&self, from: &Address, hops: u8, tag: u64, bytes: &[u8]) -> Result<bool, Refusal>;
    /// The same as soon as there is credit for it.
    fn pass(&self, from: &Address, hops: u8, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>>;
    /// Asks something about a channel. Dropped before the answer has come, the other node is told that nobody waits for it.
    fn ask_channel(&self, from: &Address, tag: u64, call: ChannelCall, bytes: Bytes)
    -> Pending<Result<Bytes, Refusal>>;
    /// Tells something about one.
    fn tell_channel(&self, from: &Address, call: ChannelCall);
    /// Has `from` stand for the channel here until the result is dropped; `over` is told when the channel has ended.
    fn branch(&self, from: &Address, over: Box<dyn EndFollower>) -> Pending<Result<Guard, Refusal>>;
    /// Waits for its end, whose value is in it however large it is, charged to this permit while it comes. `None`: the node cannot
    /// be reached any more.
    fn join(&self, from: &Address, held: Permit) -> Result<Pending<Result<Option<End>, Refusal>>, Refusal>;
    /// Tells of its end until the result is dropped.
    fn monitor(&self, from: &Address, follower: Box<dyn EndFollower>) -> Result<Guard, Refusal>;
}

/// What lasts until it is dropped.
pub type Guard = Box<dyn Send + Sync>;

/// Answers a call of another node, later. Dropped without, it is answered that it was not done.
pub trait Answers: Send + Sync {
    fn answer(self: Box<Self>, outcome: Result<Bytes, Refusal>);
    /// `stop` is called once when nobody waits for the answer any more, which may be at once; not after it was given.
    fn on_abandon(&self, stop: Box<dyn FnOnce() + Send>);
}

/// What another node is asked to do to one of its coroutines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// `by` and `reason` are texts for the exit record.
    Terminate {
        by: String,
        reason: String,
    },
    Interrupt {
        reason: String,
    },
    Resume {
        bytes: Bytes,
    },
    /// What it does, in CBOR.
    Status,
}

/// Is told once how a coroutine of another node ended.
pub trait EndFollower: Send + Sync {
    /// `None`: the node cannot be reached any more.
    fn ended(self: Box<Self>, end: Option<End>);
    /// Who hears what it says until then, where somebody does.
    fn ear(&self) -> Option<Arc<Ear>> {
        None
    }
    /// What it was given, where that did not go with the question for it.
    fn arguments(&self) -> Option<Bytes> {
        None
    }
}

/// How a coroutine of another node ended.
#[derive(Debug)]
pub struct End {
    pub record: ExitRecord,
    /// Its record is not kept any more, or it was never there: the record says that and nothing else.
    pub expired: bool,
    /// It gave a value that is not in the record.
    pub cut: bool,
}

/// Answers a request that came from another node. Dropped without: no answer will come.
pub trait Replier: Send + Sync + fmt::Debug {
    /// `Ok(false)`: it is no longer awaited. Errors: overloaded (try again).
    fn answer(&self, bytes: &[u8]) -> Result<bool, Refusal>;
    /// None will come: the request was read, or not even that.
    fn unanswered(&self, read: bool);
}

/// What may take a while.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Randomness for addresses and guests; seeded in tests and simulations.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
