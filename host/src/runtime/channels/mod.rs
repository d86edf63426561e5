//! The channels of a tenant on this node. A publisher delivers its message itself, while it has the channel's turn: when
//! `send` returns, the message is in the mailboxes, or was dropped by a subscriber's own terms and counted.
//!
//! Locks are taken in this order: a tenant's book, a channel's state, a coroutine's ties or mailbox. Nobody is woken under
//! one.

mod branch;
mod channel;
mod delivery;
mod edges;
mod errand;
mod hold;
mod message;
mod publish;
mod pump;
mod remote;
mod serve;
mod stand_in;
mod subscribe;
#[cfg(test)]
mod tests;
mod transform;
mod turn;

use super::control::Control;
use super::group::Group;
use super::launch::Runtime;
use super::refusal::Refusal;
use super::registry::Resident;
use super::tenant::Tenant;
pub use channel::{Channel, Figures};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::audience::Audience;
use corovan_core::sync::channel::graph::Graph;
pub use corovan_core::sync::channel::subscriptions::Terms;
use corovan_core::tenancy::quota::Resource;
use parking_lot::Mutex;
pub use publish::shared;
pub use remote::{deliver, send};
pub use serve::Caller;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
pub use transform::Transform;

/// What only the computation may do that owns a channel.
const HOLDING: &str = "subscribe with hold-publisher, which holds up whoever sends";
const CLOSING: &str = "close it";

/// A tenant's channels.
#[derive(Debug, Default)]
pub struct Channels {
    book: Mutex<Book>,
}

/// What concerns several channels at once.
#[derive(Debug, Default)]
struct Book {
    by_name: BTreeMap<String, Arc<Channel>>,
    /// Those, and what stands here for channels of other nodes.
    by_address: BTreeMap<Address, Arc<Channel>>,
    stand_ins: usize,
    graph: Graph,
    /// Publishers that wait for subscribers.
    audience: Audience<Waker>,
    /// Numbers of subscriptions. Never 0, which is no subscription.
    last_via: u64,
}

impl Channels {
    /// The channel of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Channel>> {
        self.book.lock().by_name.get(name).cloned()
    }

    pub fn len(&self) -> usize {
        self.book.lock().by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Runtime {
    /// Makes or finds the tenant's channel of this name. It belongs to the computation that made it. Errors: overloaded.
    pub fn open_channel(&self, control: &Control, name: &str) -> Result<Address, Refusal> {
        let tenant = &control.group.tenant;
        let mut book = tenant.channels.book.lock();
        if let Some(channel) = book.by_name.get(name) {
            return Ok(channel.address);
        }
        if book.graph.len() >= limits::TENANT_CHANNELS {
            let text = format!(
                "{} channels are open, which is the limit (TENANT_CHANNELS): close some",
                limits::TENANT_CHANNELS
            );
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let held = tenant.ledger.take(Resource::Held, limits::CHANNEL_BYTES + name.len() as u64)?;
        let address = self.new_address();
        let channel = Arc::new(Channel::new(address, name, control, held));
        book.graph.open(address);
        book.by_name.insert(name.to_owned(), Arc::clone(&channel));
        book.by_address.insert(address, Arc::clone(&channel));
        self.registry.insert(address.counter, Resident::Channel(channel));
        Ok(address)
    }

    /// Finds a channel of this node. Errors: gone, denied (another tenant's), node-lost, unsupported (on another node).
    pub fn find_channel(&self, from: &Control, address: &Address) -> Result<Arc<Channel>, Refusal> {
        if address.node != self.node {
            self.away(&from.group, address)?;
            let text = format!("channel {address} is on another node, and this is done where it is");
            return Err(Refusal::new(Code::Unsupported, text));
        }
        let resident = if address.incarnation == self.incarnation { self.registry.get(address) } else { None };
        match resident {
            Some(Resident::Channel(channel)) if channel.is_of(&from.group.tenant) && channel.is_own() => Ok(channel),
            Some(other) if !other.is_of(&from.group.tenant) => Err(self.foreign(from, address)),
            // What is no channel never was there as one.
            _ => Err(Refusal::gone(format!("channel {address}"))),
        }
    }

    /// A computation is over, and its channels with it.
    pub(super) fn close_channels(&self, group: &Arc<Group>) {
        let ended: Vec<_> = {
            let book = group.tenant.channels.book.lock();
            book.by_name.values().filter(|channel| channel.is_owned_by(group)).cloned().collect()
        };
        ended.iter().for_each(|channel| self.end_channel(&group.tenant, channel));
    }

    fn end_channel(&self, tenant: &Arc<Tenant>, channel: &Arc<Channel>) {
        self.registry.remove(channel.address.counter);
        let (audience, parents, above) = {
            let mut book = tenant.channels.book.lock();
            if book.by_address.remove(&channel.address).is_none() {
                return;
            }
            book.by_name.remove(&channel.name);
            let parents: Vec<_> = book.parents(&channel.address).collect();
            for parent in &parents {
                parent.forget_child(&channel.address);
            }
            let above = book.stand_ins_above(&channel.address);
            book.graph.close(&channel.address);
            (book.audience.closed(&channel.address), parents, above)
        };
        audience.into_iter().for_each(Waker::wake);
        for parent in parents.iter().filter(|parent| parent.stands_in().is_some()) {
            parent.tell_up(ChannelCall::Cut { child: channel.address });
        }
        channel.shut();
        above.iter().for_each(|above| above.announce());
    }
}

impl Book {
    /// What stands for channels of other nodes among those whose messages reach this one, and this one.
    fn stand_ins_above(&self, channel: &Address) -> Vec<Arc<Channel>> {
        if self.stand_ins == 0 {
            return Vec::new();
        }
        let above = self.graph.above(channel);
        let known = above.iter().filter_map(|above| self.by_address.get(above));
        known.filter(|above| above.stands_in().is_some()).cloned().collect()
    }

    fn next_via(&mut self) -> u64 {
        self.last_via += 1;
        self.last_via
    }

    fn parents(&self, channel: &Address) -> impl Iterator<Item = Arc<Channel>> + '_ {
        let parents = self.graph.neighbours(channel, corovan_core::sync::channel::walk::Direction::Up);
        parents.filter_map(|(parent, _)| self.by_address.get(&parent).cloned())
    }
}
