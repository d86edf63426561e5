//! Coming to a channel and leaving it, for coroutines and channels of this node: what they come to is here, or stands here for
//! a channel of another node.

use super::channel::{Channel, Role, To, release};
use super::edges::{self, Reserved};
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use crate::runtime::tenant::Tenant;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::subscriptions::Terms;
use corovan_core::sync::channel::walk::{Claim, Refused};
use std::sync::Arc;
use std::task::Waker;

/// What became of one who came.
enum Added {
    New(News),
    /// It was there and has new terms now; who waits for its room looks at them.
    Changed(Vec<Waker>),
    /// Whether it may be is to be asked of other nodes.
    Elsewhere,
}

/// Who is to be told that there are more.
struct News {
    audience: Vec<Waker>,
    above: Vec<Arc<Channel>>,
}

/// A subscription that is taken back when dropped.
struct Undo<'a> {
    tenant: &'a Arc<Tenant>,
    runtime: &'a Arc<Runtime>,
    channel: Address,
    subscriber: Address,
    kept: bool,
}

impl Runtime {
    /// Subscribes one of this node. Errors: gone, denied, overloaded, cycle, second-path, retry, node-lost.
    pub(super) async fn subscribe_here(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        channel: &Address,
        subscriber: Address,
        to: To,
        terms: Terms,
    ) -> Result<(), Refusal> {
        if channel.node == self.node {
            let channel = self.channel_of(tenant, channel)?;
            return self.attach(tenant, &channel, subscriber, to, terms).await.map(drop);
        }
        let (Some(group), Some(program)) = (to.group(), to.program()) else { return Err(Refusal::gone(subscriber)) };
        let coming = self.stand_in(tenant, channel, program)?;
        coming.begin(&group).await?;
        let is_new = self.attach(tenant, &coming.stand_in, subscriber, to, terms).await?;
        let mut undo = Undo { tenant, runtime: self, channel: *channel, subscriber, kept: !is_new };
        coming.settle().await?;
        undo.kept = true;
        Ok(())
    }

    /// Ends a subscription of one of this node. Errors: gone, not-found.
    pub(super) fn unsubscribe_here(
        &self,
        tenant: &Arc<Tenant>,
        channel: &Address,
        subscriber: &Address,
    ) -> Result<(), Refusal> {
        let known = Channel::known(tenant, channel);
        if known.is_none() && channel.node == self.node {
            return Err(Refusal::gone(format!("channel {channel}")));
        }
        if known.as_ref().is_some_and(|known| known.unsubscribe(subscriber)) {
            return Ok(());
        }
        let name = known.map_or(channel.to_string(), |known| format!("{:?}", known.name));
        Err(Refusal::new(Code::NotFound, format!("{subscriber} is not subscribed to channel {name}")))
    }

    /// `true`: it was not there before.
    async fn attach(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        channel: &Arc<Channel>,
        subscriber: Address,
        to: To,
        terms: Terms,
    ) -> Result<bool, Refusal> {
        let added = match channel.add(self, tenant, subscriber, to.clone(), terms, None)? {
            Added::Elsewhere => {
                let To::Channel(child) = &to else { return Err(Refusal::gone(subscriber)) };
                let reserved: Reserved = edges::reserve(self, tenant, channel, child).await?;
                let added = channel.add(self, tenant, subscriber, to, terms, Some(reserved.claim()))?;
                reserved.keep();
                added
            }
            added => added,
        };
        Ok(match added {
            Added::New(News { audience, above }) => {
                audience.into_iter().for_each(Waker::wake);
                above.iter().for_each(|above| above.announce());
                true
            }
            Added::Changed(waits) => {
                waits.into_iter().for_each(Waker::wake);
                false
            }
            Added::Elsewhere => return Err(channel.refusal(&subscriber, Refused::Retry)),
        })
    }
}

impl Channel {
    /// Adds a subscriber; one that is a channel under this claim, if other nodes were asked.
    fn add(
        self: &Arc<Self>,
        runtime: &Runtime,
        tenant: &Arc<Tenant>,
        subscriber: Address,
        to: To,
        terms: Terms,
        claim: Option<Claim>,
    ) -> Result<Added, Refusal> {
        let mut book = tenant.channels.book.lock();
        let mut state = self.state.lock();
        if state.closed {
            return Err(self.gone());
        }
        if let Some(changed) = state.subscriptions.change(&subscriber, terms) {
            drop(state);
            drop(book);
            let To::Coroutine(control) = &changed.to else { return Ok(Added::Changed(Vec::new())) };
            return Ok(Added::Changed(control.post.lock().mailbox.let_go(changed.via).into_iter().collect()));
        }
        if state.subscriptions.is_full() {
            return Err(self.full());
        }
        state.held.grow(limits::SUBSCRIPTION_BYTES)?;
        let via = book.next_via();
        let tied = match &to {
            To::Channel(_) => match claim {
                Some(claim) => book.graph.commit(claim),
                None => book.graph.connect(runtime.node, self.address, subscriber),
            }
            .map_err(Some),
            To::Coroutine(control) => {
                let mut ties = control.ties.lock();
                if ties.ended {
                    Err(None)
                } else {
                    ties.subscriptions.insert(via, Arc::downgrade(self));
                    book.graph.add_leaves(&self.address, 1);
                    Ok(())
                }
            }
            To::Node(_) => Err(None),
        };
        if let Err(refused) = tied {
            state.held.shrink(limits::SUBSCRIPTION_BYTES);
            return match refused {
                Some(Refused::Elsewhere) => Ok(Added::Elsewhere),
                Some(refused) => Err(self.refusal(&subscriber, refused)),
                None => Err(Refusal::gone(subscriber)),
            };
        }
        state.subscriptions.add(via, subscriber, to, terms);
        drop(state);
        let book = &mut *book;
        Ok(Added::New(News {
            audience: book.audience.grown(&book.graph, &self.address),
            above: book.stand_ins_above(&self.address),
        }))
    }

    /// `false`: it is not subscribed.
    pub(in crate::runtime) fn unsubscribe(self: &Arc<Self>, subscriber: &Address) -> bool {
        let Some(tenant) = self.tenant() else { return false };
        let mut book = tenant.channels.book.lock();
        let mut state = self.state.lock();
        let is_branch = |to: &To| matches!(to, To::Channel(child) if matches!(child.role, Role::Branch(_)));
        if state.subscriptions.get(subscriber).is_none_or(|subscription| is_branch(&subscription.to)) {
            return false;
        }
        let Some(removed) = state.subscriptions.remove(subscriber) else { return false };
        state.held.shrink(limits::SUBSCRIPTION_BYTES);
        let is_channel = matches!(removed.to, To::Channel(_));
        match is_channel {
            false => book.graph.remove_leaves(&self.address, 1),
            true => drop(book.graph.disconnect(&self.address, subscriber)),
        }
        let above = book.stand_ins_above(&self.address);
        drop(state);
        drop(book);
        release(&removed);
        if is_channel && self.stands_in().is_some() {
            self.tell_up(ChannelCall::Cut { child: *subscriber });
        }
        above.iter().for_each(|above| above.announce());
        true
    }

    pub(super) fn full(&self) -> Refusal {
        let most = limits::CHANNEL_SUBSCRIBERS;
        let text = format!("channel {:?} has {most} subscribers, which is the limit (CHANNEL_SUBSCRIBERS)", self.name);
        Refusal::new(Code::Overloaded, text)
    }

    /// Why a channel may not be subscribed.
    pub(super) fn refusal(&self, child: &Address, refused: Refused) -> Refusal {
        let parent = &self.name;
        let (code, text) = match refused {
            Refused::Cycle => (Code::Cycle, format!("messages of channel {child} come to {parent:?} already")),
            Refused::SecondPath => {
                let text = format!(
                    "a message would come twice: a way leads already from {parent:?}, or a channel above it, to {child}, or a \
                     channel below it"
                );
                (Code::SecondPath, text)
            }
            Refused::Retry | Refused::Elsewhere => {
                (Code::Retry, "another subscription of channels was in the way".to_owned())
            }
            Refused::Full => {
                let most = limits::TENANT_CHANNEL_EDGES;
                let text = format!(
                    "{most} channels are subscribed to channels, which is the limit (TENANT_CHANNEL_EDGES): end some"
                );
                (Code::Overloaded, text)
            }
            Refused::Unknown => (Code::Gone, format!("channel {child} has ended")),
        };
        Refusal::new(code, text)
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // It may have gone by itself.
            let _ = self.runtime.unsubscribe_here(self.tenant, &self.channel, &self.subscriber);
        }
    }
}
