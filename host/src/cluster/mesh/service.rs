//! The loop of membership and names: takes what comes and what is due, and passes on what the state machines say.

use super::handle::{Command, Follower, Handle};
use crate::cluster::link::Place;
use crate::runtime::Clock;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::directory::message::{Message, Name};
use corovan_core::directory::{self, Directory};
use corovan_core::ids::{Address, NodeId};
use corovan_core::membership::member::{About, Invalid, Member};
use corovan_core::membership::presence::Presence;
use corovan_core::membership::swim::{self, Swim, Unconnected};
use corovan_core::membership::watch::Change;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What it begins with.
pub struct Config {
    pub me: Presence,
    pub about: About,
    /// The cluster's name.
    pub cluster: String,
    pub seed: u64,
    pub clock: Arc<dyn Clock>,
}

/// Carries what is said to other nodes. Called on the thread of membership: must not block.
pub trait Carrier: Send + Sync {
    /// A datagram to whoever is there; `node`, where that is known. It may be lost.
    fn datagram(&self, to: SocketAddr, node: Option<NodeId>, bytes: Bytes, unconnected: Unconnected);
    /// Where a node is from now on.
    fn place(&self, node: NodeId, place: Place);
    /// Whether a connection with a node stays though nobody uses it.
    fn keep(&self, node: NodeId, keeps: bool);
    /// A member wants this node, which is dial-out, to dial it.
    fn call_back(&self, node: NodeId);
    /// Something about names, over the link; dropped where there is none.
    fn names(&self, to: NodeId, message: Message);
    /// An older registration of another node has won: the holder is to be told.
    fn name_lost(&self, name: &Name, holder: &Address);
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("what this node says of itself is not possible: {0}")]
    About(#[from] Invalid),
}

/// One node's membership and names.
pub struct Service {
    swim: Swim,
    directory: Directory,
    clock: Arc<dyn Clock>,
    handle: Handle,
    commands: Receiver<Command>,
    carrier: Arc<dyn Carrier>,
    followers: Vec<Arc<dyn Follower>>,
    members: BTreeMap<NodeId, Member>,
    registers: HashMap<u64, oneshot::Sender<Result<(), Code>>>,
    locates: HashMap<u64, oneshot::Sender<Result<Address, Code>>>,
}

impl Service {
    /// Alone, until it is announced somewhere or another announces itself here.
    pub fn new(config: Config, carrier: Arc<dyn Carrier>) -> Result<(Service, Handle), Error> {
        let Config { me, about, cluster, seed, clock } = config;
        let swim = Swim::new(clock.now(), me, about.clone(), &cluster, seed)?;
        let directory = Directory::new(&me);
        let (handle, commands) = Handle::new();
        let myself = Member { presence: me, about: Some(Arc::new(about)) };
        let members = BTreeMap::from([(me.node, myself)]);
        handle.set_members(Arc::new(members.clone()));
        let service = Service {
            swim,
            directory,
            clock,
            handle: handle.clone(),
            commands,
            carrier,
            followers: Vec::new(),
            members,
            registers: HashMap::new(),
            locates: HashMap::new(),
        };
        Ok((service, handle))
    }

    /// The thread's life: until all handles are gone, or it has left.
    pub fn run(mut self) {
        self.work();
        self.handle.set_over();
    }

    /// Does what has come and what is due, without waiting: for whoever drives it by hand, on virtual time. When there is more to
    /// do by the clock; `None`: it has left.
    pub fn turn(&mut self) -> Option<u64> {
        while let Ok(command) = self.commands.try_recv() {
            if !self.take(command) {
                self.handle.set_over();
                return None;
            }
        }
        let wait = self.due()?;
        Some(self.clock.now() + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
    }

    fn work(&mut self) {
        while let Some(wait) = self.due() {
            match self.commands.recv_timeout(wait) {
                Ok(command) => {
                    if !self.take(command) {
                        return;
                    }
                    // What came together is passed on together.
                    while let Ok(command) = self.commands.try_recv() {
                        if !self.take(command) {
                            return;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does what is due; how long until there is more.
    fn due(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        if self.swim.next_deadline().is_some_and(|due| due <= now) {
            self.swim.handle_timer(now);
        }
        if self.directory.next_deadline().is_some_and(|due| due <= now) {
            self.directory.handle_timer(now);
        }
        self.settle();
        let next = [self.swim.next_deadline(), self.directory.next_deadline()].into_iter().flatten().min();
        let wait = next.map_or(LONGEST, |next| Duration::from_nanos(next.saturating_sub(self.clock.now())));
        Some(wait.min(LONGEST))
    }

    /// `false`: that was the last.
    fn take(&mut self, command: Command) -> bool {
        let now = self.clock.now();
        let side = self.handle.take_side();
        side.forgotten.iter().for_each(|holder| self.directory.forget(now, holder));
        for token in side.withdrawn {
            self.directory.withdraw(now, token);
            drop((self.registers.remove(&token), self.locates.remove(&token)));
        }
        match command {
            Command::Datagram { from, proven, bytes } => self.swim.handle_datagram(now, from, Some(proven), &bytes),
            Command::Announce(seed) => {
                if !self.swim.announce(now, seed) {
                    tracing::warn!(%seed, "too many ways into the mesh are known already (MESH_SEEDS): not asked");
                }
            }
            Command::ForgetSeed(seed) => self.swim.forget_seed(seed),
            Command::CallBack(node) => {
                if !self.swim.call_back(node) {
                    tracing::debug!(%node, "not asked to dial: no member is known that could tell it");
                }
            }
            Command::Update(about) => match self.swim.update(now, *about.clone()) {
                Ok(()) => {
                    let me = Member { presence: self.swim.me(), about: Some(Arc::new(*about)) };
                    self.changed(&[Change::Changed(me)]);
                }
                Err(invalid) => tracing::error!("what this node says of itself is not possible: {invalid}"),
            },
            Command::Follow(follower) => {
                for member in self.members.values() {
                    follower.changed(&Change::Came(member.clone()));
                }
                self.followers.push(follower);
            }
            Command::Names { from, message } => self.directory.handle(now, from, *message),
            Command::Register { token, name, holder, deadline, told } => {
                self.registers.insert(token, told);
                let wall = self.clock.unix() / 1_000_000;
                self.directory.register(now, wall, token, name, holder, deadline);
            }
            Command::Unregister { name, holder } => {
                self.directory.unregister(now, &name, &holder);
            }
            Command::Locate { token, name, wait, deadline, told } => {
                self.locates.insert(token, told);
                self.directory.locate(now, token, name, wait, deadline);
            }
            Command::Look => {}
            Command::Leave(said) => {
                // What a node says of itself was possible before.
                let _ = self.swim.leave(now);
                self.settle();
                let _ = said.send(());
                return false;
            }
        }
        self.settle();
        true
    }

    /// Passes on what there is to say.
    fn settle(&mut self) {
        let now = self.clock.now();
        let (mut changes, mut quietly) = (Vec::new(), false);
        while let Some(output) = self.swim.poll_output() {
            match output {
                swim::Output::Send { to, node, bytes, unconnected } => {
                    self.carrier.datagram(to, node, bytes.into(), unconnected);
                }
                swim::Output::Keep(node, keeps) => self.carrier.keep(node, keeps),
                swim::Output::CallBack(node) => self.carrier.call_back(node),
                swim::Output::Rejected(from, why) => tracing::debug!(%from, "a datagram was rejected: {why}"),
                swim::Output::Renewed(me) => {
                    tracing::info!(generation = me.generation, "others had given this node up; it is back");
                    self.directory.renewed(now);
                }
                swim::Output::Joined(member) => {
                    self.carrier.place(member.presence.node, place(&member));
                    self.directory.came(now, &member.presence);
                    changes.push(Change::Came(member));
                }
                swim::Output::Changed(member) => {
                    self.carrier.place(member.presence.node, place(&member));
                    match self.members.get_mut(&member.presence.node) {
                        // Nobody is told that it is reached another way.
                        Some(known) if same_but_gateways(known, &member) => {
                            *known = member;
                            quietly = true;
                        }
                        _ => changes.push(Change::Changed(member)),
                    }
                }
                swim::Output::Failed(member) => {
                    self.directory.went(now, &member.presence);
                    self.carrier.place(member.presence.node, Place::Gone);
                    changes.push(Change::Failed(member));
                }
                swim::Output::Left(member) => {
                    self.directory.went(now, &member.presence);
                    self.carrier.place(member.presence.node, Place::Gone);
                    changes.push(Change::Left(member));
                }
            }
        }
        if !changes.is_empty() || quietly {
            self.changed(&changes);
        }
        while let Some(output) = self.directory.poll_output() {
            match output {
                directory::Output::Send(to, message) => self.carrier.names(to, message),
                directory::Output::Registered(token, outcome) => {
                    // Whoever asked may have given up.
                    let _ = self.registers.remove(&token).map(|told| told.send(outcome));
                }
                directory::Output::Located(token, outcome) => {
                    let _ = self.locates.remove(&token).map(|told| told.send(outcome));
                }
                directory::Output::NameLost(name, holder) => self.carrier.name_lost(&name, &holder),
            }
        }
    }

    fn changed(&mut self, changes: &[Change]) {
        changes.iter().for_each(|change| self.note(change));
        // Who is told of a change sees it.
        self.handle.set_members(Arc::new(self.members.clone()));
        changes.iter().for_each(|change| self.followers.iter().for_each(|follower| follower.changed(change)));
    }

    fn note(&mut self, change: &Change) {
        let word = match change {
            Change::Came(member) => {
                self.members.insert(member.presence.node, member.clone());
                "came"
            }
            Change::Changed(member) => {
                self.members.insert(member.presence.node, member.clone());
                "changed"
            }
            Change::Failed(member) => {
                self.members.remove(&member.presence.node);
                "failed"
            }
            Change::Left(member) => {
                self.members.remove(&member.presence.node);
                "left"
            }
        };
        let (Change::Came(member) | Change::Changed(member) | Change::Failed(member) | Change::Left(member)) = change;
        let name = member.about.as_ref().map_or("", |about| &about.name);
        tracing::info!(node = %member.presence.node, name, address = %member.presence.address, "node {word}");
    }
}

/// Whether what it says differs only in who passes datagrams on to it.
fn same_but_gateways(one: &Member, other: &Member) -> bool {
    let rest = |member: &Member| {
        let about = member.about.as_deref().map(|about| About { gateways: Vec::new(), ..about.clone() });
        (member.presence, member.presence.address, about)
    };
    rest(one) == rest(other)
}

/// Where it can be dialled: from outside, if it says so.
fn place(member: &Member) -> Place {
    if member.presence.dial_out {
        return Place::DialOut;
    }
    let external = member.about.as_ref().and_then(|about| about.external);
    Place::At(external.unwrap_or(member.presence.address))
}

/// Between two looks where nothing is due.
const LONGEST: Duration = Duration::from_secs(1);
