//! What leads from a channel to all who are subscribed on one other node: a channel within, with a queue of its own, whose
//! messages go over the link once however many are behind.

use super::channel::{Channel, Role, Subscribed, To};
use super::message::{LATE, Message, Way};
use super::turn::drain;
use crate::runtime::launch::Runtime;
use crate::runtime::ports::{Guard, Pending, Told, Way as Road};
use crate::runtime::refusal::Refusal;
use crate::runtime::relations;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::channel::subscriptions::Terms;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::Outcome;
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

/// The way to what stands for a channel on another node.
pub(super) struct Link {
    runtime: Weak<Runtime>,
    channel: Weak<Channel>,
    address: Address,
    /// What stands for it.
    to: Address,
    road: Mutex<Arc<dyn Road>>,
    behind: Mutex<Behind>,
    /// Somebody there holds publishers.
    holds: AtomicBool,
    /// The other node, until it is told that the channel has ended.
    over: Mutex<Option<Told>>,
}

/// What the other node said last.
#[derive(Default)]
struct Behind {
    number: u64,
    leaves: usize,
}

/// A branch, until dropped.
struct Branching {
    channel: Weak<Channel>,
    to: Address,
}

impl Runtime {
    /// Has a channel's messages go to what stands for it on another node, until the result is dropped. `over` is told when
    /// the channel ends. Errors: gone, denied, overloaded, node-lost.
    pub(super) fn branch(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        channel: &Address,
        to: Address,
        over: Told,
    ) -> Result<Guard, Refusal> {
        let channel = self.channel_of(tenant, channel)?;
        let owner = channel.owner().ok_or_else(|| channel.gone())?;
        let link = Arc::new(Link {
            runtime: Arc::downgrade(self),
            channel: Arc::downgrade(&channel),
            address: channel.address,
            to,
            road: Mutex::new(self.away(&owner, &to)?),
            behind: Mutex::default(),
            holds: AtomicBool::new(false),
            over: Mutex::new(Some(over)),
        });
        channel.add_branch(tenant, link)?;
        Ok(Box::new(Branching { channel: Arc::downgrade(&channel), to }))
    }

    /// So many mailboxes are behind what stands for the channel there. Errors: gone.
    pub(super) fn branch_has(
        &self,
        tenant: &Arc<Tenant>,
        (channel, to): (&Address, &Address),
        (number, leaves, holds): (u64, u64, bool),
    ) -> Result<(), Refusal> {
        let channel = self.channel_of(tenant, channel)?;
        let leaves = usize::try_from(leaves).unwrap_or(usize::MAX).min(LEAVES_MOST);
        let (audience, above) = {
            let mut book = tenant.channels.book.lock();
            let book = &mut *book;
            let link = channel.link(to).ok_or_else(|| Refusal::gone("what stands for the channel"))?;
            {
                let mut behind = link.behind.lock();
                if behind.number >= number {
                    return Ok(());
                }
                book.graph.remove_leaves(&channel.address, behind.leaves);
                book.graph.add_leaves(&channel.address, leaves);
                *behind = Behind { number, leaves };
            }
            let state = channel.state.lock();
            if let Some(subscription) = state.subscriptions.get(to) {
                link.holds.store(holds, Ordering::Release);
                subscription.set_terms(terms(holds));
            }
            drop(state);
            (book.audience.grown(&book.graph, &channel.address), book.stand_ins_above(&channel.address))
        };
        audience.into_iter().for_each(Waker::wake);
        above.iter().for_each(|above| above.announce());
        Ok(())
    }
}

impl Channel {
    /// What leads to a node.
    pub(super) fn link(&self, to: &Address) -> Option<Arc<Link>> {
        match &self.state.lock().subscriptions.get(to)?.to {
            To::Channel(branch) => match &branch.role {
                Role::Branch(link) => Some(Arc::clone(link)),
                _ => None,
            },
            _ => None,
        }
    }

    fn add_branch(self: &Arc<Self>, tenant: &Arc<Tenant>, link: Arc<Link>) -> Result<(), Refusal> {
        let mut book = tenant.channels.book.lock();
        let mut state = self.state.lock();
        if state.closed {
            return Err(self.gone());
        }
        if state.subscriptions.is_full() {
            return Err(self.full());
        }
        let held: Permit = state.held.beside(Resource::Held, limits::CHANNEL_BYTES)?;
        state.held.grow(limits::SUBSCRIPTION_BYTES)?;
        let (via, inner) = (book.next_via(), book.next_via());
        let to = link.to;
        let branch = Channel::branch(self, Arc::clone(&link), held);
        branch.state.lock().subscriptions.add(inner, to, To::Node(link), terms(false));
        let added = state.subscriptions.add(via, to, To::Channel(Arc::new(branch)), terms(false));
        if !added {
            state.held.shrink(limits::SUBSCRIPTION_BYTES);
            return Err(Refusal::new(Code::Protocol, "what stands for the channel there does so already"));
        }
        Ok(())
    }
}

impl Link {
    /// Without waiting; `false`: it has to be waited for.
    pub fn give_now(&self, subscription: &Subscribed, message: &Message) -> bool {
        if message.tally.is_some() || self.holds.load(Ordering::Acquire) {
            return false;
        }
        let sent = match self.road() {
            Some(road) => road.pass_now(&message.through, hops(message), message.tag, &message.payload),
            None => return true,
        };
        match sent {
            Ok(true) => subscription.count_delivered(),
            Ok(false) => return false,
            // It is about to be no subscriber any more.
            Err(_) => subscription.count_dropped(),
        }
        true
    }

    /// As soon as there is room on the way; where somebody wants to know, or is to be held, until all there have it. Errors:
    /// timeout, interrupted.
    pub async fn give(&self, subscription: &Subscribed, message: &Message, way: &mut Way<'_>) -> Result<(), Refusal> {
        let (Some(road), Some(runtime)) = (self.road(), self.runtime.upgrade()) else { return Ok(()) };
        let holds = self.holds.load(Ordering::Acquire);
        let bytes = Bytes::from(message.payload.clone());
        let given = if message.tally.is_none() && !holds {
            let passing = road.pass(&message.through, hops(message), message.tag, bytes);
            in_time(way, passing).await.map(|passed| passed.map(|()| false))
        } else {
            let wait = if holds { way.left(runtime.clock().now()) } else { 0 };
            let carry = ChannelCall::Carry { hops: hops(message), wait };
            let carrying = road.ask_channel(&message.through, message.tag, carry, bytes);
            in_time(way, carrying).await.map(|carried| carried.map(|outcome| count(message, &outcome)))
        };
        match given {
            Ok(Ok(late)) => {
                subscription.count_delivered();
                // Who is not to be held had its chance.
                if late && holds { Err(Refusal::timeout(LATE)) } else { Ok(()) }
            }
            Ok(Err(_)) => {
                subscription.count_dropped();
                Ok(())
            }
            Err(refusal) => {
                subscription.count_dropped();
                Err(refusal)
            }
        }
    }

    /// The channel has ended: what was sent before goes there, and then the word that it has.
    pub fn finish(self: &Arc<Self>, branch: &Arc<Channel>) {
        let (link, ending) = (Arc::clone(self), Arc::clone(branch));
        let end = move || {
            ending.shut();
            link.end();
        };
        match self.runtime.upgrade() {
            Some(runtime) => drain(&runtime, branch, branch.owner(), end),
            None => end(),
        }
    }

    fn end(&self) {
        let told = self.over.lock().take();
        let why = Outcome::Refused { code: Code::Gone, why: format!("channel {} has ended", self.address) };
        let record = Arc::new(relations::unknown(&self.address, why));
        told.into_iter().for_each(|told| told(&record));
    }

    /// The way as it is now; `None`: there is none.
    fn road(&self) -> Option<Arc<dyn Road>> {
        let mut road = self.road.lock();
        // What was sent before the channel ended goes by the last way there was.
        let owner = if road.is_over() { self.channel.upgrade().and_then(|channel| channel.owner()) } else { None };
        if let Some(owner) = owner {
            *road = self.runtime.upgrade()?.away(&owner, &self.to).ok()?;
        }
        Some(Arc::clone(&road))
    }
}

impl Drop for Branching {
    fn drop(&mut self) {
        let Some(channel) = self.channel.upgrade() else { return };
        let Some(tenant) = channel.tenant() else { return };
        let (removed, above, _told) = {
            let mut book = tenant.channels.book.lock();
            let Some(link) = channel.link(&self.to) else { return };
            let mut state = channel.state.lock();
            let Some(removed) = state.subscriptions.remove(&self.to) else { return };
            state.held.shrink(limits::SUBSCRIPTION_BYTES);
            drop(state);
            // Whoever asked for its end need not be told of it.
            let told = link.over.lock().take();
            let mut behind = link.behind.lock();
            book.graph.remove_leaves(&channel.address, std::mem::take(&mut behind.leaves));
            behind.number = u64::MAX;
            drop(behind);
            book.graph.forget_node(&channel.address, self.to.node);
            (removed, book.stand_ins_above(&channel.address), told)
        };
        if let To::Channel(branch) = &removed.to {
            branch.shut();
        }
        above.iter().for_each(|above| above.announce());
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.to)
    }
}

/// How many the other node says have it, and whether somebody there had no room in time.
fn count(message: &Message, outcome: &Bytes) -> bool {
    let Some((count, late)) = outcome.split_first_chunk::<8>() else { return false };
    let count = usize::try_from(u64::from_le_bytes(*count)).unwrap_or(usize::MAX);
    message.count_many(count.min(LEAVES_MOST));
    late.first().is_some_and(|late| *late == 1)
}

/// Gives up when the way does. Errors: timeout, interrupted.
async fn in_time<T>(way: &mut Way<'_>, mut call: Pending<T>) -> Result<T, Refusal> {
    std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => way.given_up(cx).map_or(Poll::Pending, |refusal| Poll::Ready(Err(refusal))),
    })
    .await
}

fn hops(message: &Message) -> u8 {
    u8::try_from(message.hops).unwrap_or(u8::MAX)
}

/// A branch is no subscriber of its own: those behind it have theirs.
fn terms(holds: bool) -> Terms {
    let policy = if holds { Policy::HoldPublisher } else { Policy::DropOldest };
    Terms { cap: limits::BRANCH_POSTS, policy }
}

/// What another node may say at most, so that sums stay sums.
const LEAVES_MOST: usize = limits::CHANNEL_SUBSCRIBERS * limits::TENANT_CHANNELS;
