//! One channel: its subscribers, whose turn it is, and what was dropped.

use super::branch::Link;
use super::message::{Message, Post};
use super::stand_in::StandIn;
use super::transform::Transform;
use crate::runtime::control::Control;
use crate::runtime::group::Group;
use crate::runtime::launch::Program;
use crate::runtime::refusal::Refusal;
use crate::runtime::tenant::Tenant;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::channel::subscriptions::{Subscription, Subscriptions};
use corovan_core::sync::channel::turn::Turn;
use corovan_core::tenancy::quota::Permit;
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// What it does is in the promise of this file.
pub struct Channel {
    /// Of a stand-in: of what it stands for.
    pub address: Address,
    /// Where it is found on this node.
    pub(super) at: Address,
    pub(super) role: Role,
    pub name: String,
    tenant: Weak<Tenant>,
    owner: Weak<Group>,
    /// What made it; for the pump, which is a task as coroutines are and so has a program.
    pub(super) program: Arc<Program>,
    pub(super) state: Mutex<State>,
    pub(super) counts: Counts,
}

#[derive(Debug)]
pub(super) struct State {
    pub subscriptions: Subscriptions<To>,
    pub turn: Turn<Waker, Post>,
    pub transform: Option<Arc<Transform>>,
    pub closed: bool,
    /// It has been given names, so that they are looked for at its end.
    pub named: bool,
    /// What the tenant is charged for the channel and its subscriptions.
    pub held: Permit,
}

/// What a channel is to its node.
pub(super) enum Role {
    /// It is here.
    Own,
    /// It is here too, and this is what leads to those who are subscribed on one other node.
    Branch(Arc<Link>),
    /// It is on another node: this takes its messages for all who are subscribed here.
    StandIn(StandIn),
}

/// Where a subscription leads.
#[derive(Clone)]
pub(super) enum To {
    Coroutine(Arc<Control>),
    Channel(Arc<Channel>),
    /// To another node; of a branch only.
    Node(Arc<Link>),
}

/// A subscription of this node.
pub(super) type Subscribed = Subscription<To>;

#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Messages that came through too many channels.
    pub far: AtomicU64,
    /// Messages that the transform did not send on, and those that it failed on or could not see.
    pub withheld: AtomicU64,
    pub failed: AtomicU64,
}

/// What is to be known of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub subscribers: usize,
    /// Publishers, and messages of parent channels, that wait for their turn.
    pub waiting: usize,
    /// Messages to its subscribers and what was dropped of them, as far as these are still subscribed.
    pub delivered: u64,
    pub dropped: u64,
    /// Messages that came through more than [`limits::CHANNEL_HOPS`] channels and went no further.
    pub far: u64,
    /// Messages that its transform did not send on, and those that it failed on or could not see.
    pub withheld: u64,
    pub failed: u64,
}

impl Channel {
    pub(super) fn new(address: Address, name: &str, opener: &Control, held: Permit) -> Channel {
        let (tenant, owner) = (Arc::downgrade(&opener.group.tenant), Arc::downgrade(&opener.group));
        Channel::make((address, address), name, (tenant, owner), opener.program(), Role::Own, held)
    }

    /// What leads to another node; it is found nowhere, and messages go through it as if it were not there.
    pub(super) fn branch(of: &Channel, link: Arc<Link>, held: Permit) -> Channel {
        let (owners, program) = ((of.tenant.clone(), of.owner.clone()), Arc::clone(&of.program));
        Channel::make((of.address, of.address), &of.name, owners, program, Role::Branch(link), held)
    }

    /// What stands here for a channel of another node; `program` is that of the first who comes to it.
    pub(super) fn stand_in(
        (of, at): (Address, Address),
        tenant: &Arc<Tenant>,
        program: Arc<Program>,
        stand_in: StandIn,
        held: Permit,
    ) -> Channel {
        let name = format!("{of}");
        Channel::make((of, at), &name, (Arc::downgrade(tenant), Weak::new()), program, Role::StandIn(stand_in), held)
    }

    fn make(
        (address, at): (Address, Address),
        name: &str,
        (tenant, owner): (Weak<Tenant>, Weak<Group>),
        program: Arc<Program>,
        role: Role,
        held: Permit,
    ) -> Channel {
        Channel {
            address,
            at,
            role,
            name: name.to_owned(),
            tenant,
            owner,
            program,
            state: Mutex::new(State {
                subscriptions: Subscriptions::default(),
                turn: Turn::default(),
                transform: None,
                closed: false,
                named: false,
                held,
            }),
            counts: Counts::default(),
        }
    }

    pub fn figures(&self) -> Figures {
        let mut state = self.state.lock();
        let snapshot = state.subscriptions.snapshot();
        let counts: Vec<_> = snapshot.iter().map(|subscription| subscription.counts()).collect();
        Figures {
            subscribers: snapshot.len(),
            waiting: state.turn.len(),
            delivered: counts.iter().map(|(delivered, _)| delivered).sum(),
            dropped: counts.iter().map(|(_, dropped)| dropped).sum(),
            far: self.counts.far.load(Ordering::Relaxed),
            withheld: self.counts.withheld.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
        }
    }

    /// Messages that a subscriber was given, and those that were dropped.
    pub fn counts_of(&self, subscriber: &Address) -> Option<(u64, u64)> {
        self.state.lock().subscriptions.get(subscriber).map(|subscription| subscription.counts())
    }

    /// This tenant's?
    pub fn is_of(&self, tenant: &Arc<Tenant>) -> bool {
        std::ptr::eq(self.tenant.as_ptr(), Arc::as_ptr(tenant))
    }

    pub(in crate::runtime) fn is_owned_by(&self, group: &Arc<Group>) -> bool {
        std::ptr::eq(self.owner.as_ptr(), Arc::as_ptr(group))
    }

    /// Errors: denied.
    pub fn check_owner(&self, control: &Control, what: &str) -> Result<(), Refusal> {
        self.check_owned(|owner| std::ptr::eq(owner, Arc::as_ptr(&control.group)), what)
    }

    /// The same of whoever this says owns what. Errors: denied.
    pub(super) fn check_owned(&self, owns: impl Fn(&Group) -> bool, what: &str) -> Result<(), Refusal> {
        if self.owner.upgrade().is_some_and(|owner| owns(&owner)) {
            return Ok(());
        }
        let text = format!(
            "channel {:?} belongs to the computation that first opened it, and only a coroutine of that one may {what}",
            self.name
        );
        Err(Refusal::new(Code::Denied, text))
    }

    /// `None` when the computation is over. Nobody here owns what stands for a channel of another node: it works for those who
    /// are subscribed, of which this is the computation of one.
    pub(super) fn owner(&self) -> Option<Arc<Group>> {
        if self.stands_in().is_none() {
            return self.owner.upgrade();
        }
        let subscribers = self.state.lock().subscriptions.snapshot();
        subscribers.iter().find_map(|subscription| subscription.to.group())
    }

    /// No stand-in.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.role, Role::Own)
    }

    pub(super) fn stands_in(&self) -> Option<&StandIn> {
        match &self.role {
            Role::StandIn(stand_in) => Some(stand_in),
            _ => None,
        }
    }

    /// Some who are subscribed hold publishers.
    pub(super) fn holds(&self) -> bool {
        let subscribers = self.state.lock().subscriptions.snapshot();
        subscribers.iter().any(|subscription| subscription.terms().policy == Policy::HoldPublisher)
    }

    /// A message as it goes on from here; `None` when it has come far enough.
    pub(super) fn entered(&self, message: &Message) -> Option<Message> {
        match &self.role {
            Role::Branch(_) => Some(message.clone()),
            Role::Own | Role::StandIn(_) => message.further(self.address),
        }
    }

    /// The secret of its address here.
    pub fn secret(&self) -> u64 {
        self.at.secret
    }

    pub fn tenant(&self) -> Option<Arc<Tenant>> {
        self.tenant.upgrade()
    }

    pub(super) fn gone(&self) -> Refusal {
        Refusal::gone(format!("channel {:?}", self.name))
    }

    /// Runs while it cannot close, and looks for its name then. Errors: gone.
    pub(in crate::runtime) fn name(&self, register: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(self.gone());
        }
        state.named = true;
        register()
    }

    /// A subscribed channel has closed.
    pub(super) fn forget_child(&self, child: &Address) {
        let mut state = self.state.lock();
        let removed = state.subscriptions.remove(child);
        if removed.is_some() {
            state.held.shrink(limits::SUBSCRIPTION_BYTES);
        }
        drop(state);
        drop(removed);
    }

    /// Ends it, once it cannot be found any more.
    pub(super) fn shut(&self) {
        let (named, subscriptions, publishers, posts, transform) = {
            let mut state = self.state.lock();
            state.closed = true;
            let amount = state.held.amount();
            state.held.shrink(amount);
            let (publishers, posts) = state.turn.close();
            (state.named, state.subscriptions.clear(), publishers, posts, state.transform.take())
        };
        if let Some(tenant) = self.tenant().filter(|_| named) {
            tenant.names.forget(&self.address);
        }
        publishers.into_iter().for_each(Waker::wake);
        subscriptions.iter().for_each(|subscription| release(subscription));
        drop((posts, transform));
    }
}

/// After a subscription was ended: its coroutine forgets it, and nobody waits for its room; of those who wait for a
/// sub-channel's turn each looks whether it is still to have it.
pub(super) fn release(subscription: &Subscribed) {
    let control = match &subscription.to {
        To::Coroutine(control) => control,
        To::Node(_) => return,
        To::Channel(child) => {
            if let Role::Branch(link) = &child.role {
                return link.finish(child);
            }
            let publishers: Vec<_> = child.state.lock().turn.publishers().cloned().collect();
            return publishers.into_iter().for_each(Waker::wake);
        }
    };
    let forgotten = control.ties.lock().subscriptions.remove(&subscription.via);
    let publisher = control.post.lock().mailbox.let_go(subscription.via);
    publisher.into_iter().for_each(Waker::wake);
    drop(forgotten);
}

impl To {
    /// For whose work it is.
    pub fn group(&self) -> Option<Arc<Group>> {
        match self {
            To::Coroutine(control) => Some(Arc::clone(&control.group)),
            To::Channel(channel) => channel.owner(),
            To::Node(_) => None,
        }
    }

    /// It leads to all who are subscribed on one other node.
    pub fn is_branch(&self) -> bool {
        matches!(self, To::Channel(channel) if matches!(channel.role, Role::Branch(_)))
    }

    pub fn program(&self) -> Option<Arc<Program>> {
        match self {
            To::Coroutine(control) => Some(control.program()),
            To::Channel(channel) => Some(Arc::clone(&channel.program)),
            To::Node(_) => None,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({:?} at {})", self.name, self.address)
    }
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Coroutine(control) => write!(f, "To({})", control.address),
            To::Channel(channel) => write!(f, "To({channel:?})"),
            To::Node(link) => write!(f, "To({link:?})"),
        }
    }
}
