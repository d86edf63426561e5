//! Coming to a channel and leaving it.

use super::channel::{Channel, To, release};
use crate::runtime::control::Control;
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use crate::runtime::registry::Resident;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::channel::subscriptions::Terms;
use corovan_core::sync::channel::walk::Refused;
use std::sync::Arc;
use std::task::Waker;

impl Runtime {
    /// Subscribes a coroutine or channel, or changes the terms of one that is subscribed. Errors: gone, denied, overloaded,
    /// cycle, second-path, node-lost.
    pub fn subscribe(
        &self,
        caller: &Control,
        channel: &Address,
        subscriber: &Address,
        terms: Terms,
    ) -> Result<(), Refusal> {
        let channel = self.find_channel(caller, channel)?;
        if terms.policy == Policy::HoldPublisher {
            channel.check_owner(caller, "subscribe with hold-publisher, which holds up whoever sends")?;
        }
        let to = match self.registry.get(subscriber) {
            Some(Resident::Channel(_)) => To::Channel(self.find_channel(caller, subscriber)?),
            _ => To::Coroutine(self.find_here(caller, subscriber)?),
        };
        let audience = channel.add(*subscriber, to, terms)?;
        audience.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Ends a subscription. Errors: gone, denied, not-found, node-lost.
    pub fn unsubscribe(&self, caller: &Control, channel: &Address, subscriber: &Address) -> Result<(), Refusal> {
        let channel = self.find_channel(caller, channel)?;
        if channel.unsubscribe(subscriber) {
            return Ok(());
        }
        let text = format!("{subscriber} is not subscribed to channel {:?}", channel.name);
        Err(Refusal::new(Code::NotFound, text))
    }
}

impl Channel {
    /// Adds a subscriber: who waited for so many.
    fn add(self: &Arc<Self>, subscriber: Address, to: To, terms: Terms) -> Result<Vec<Waker>, Refusal> {
        let tenant = self.tenant().ok_or_else(|| self.gone())?;
        let mut book = tenant.channels.book.lock();
        let mut state = self.state.lock();
        if state.closed {
            return Err(self.gone());
        }
        if let Some(changed) = state.subscriptions.change(&subscriber, terms) {
            drop(state);
            drop(book);
            let To::Coroutine(control) = &changed.to else { return Ok(Vec::new()) };
            // Whoever waits for its room looks at the new terms.
            return Ok(control.post.lock().mailbox.let_go(changed.via).into_iter().collect());
        }
        if state.subscriptions.is_full() {
            let most = limits::CHANNEL_SUBSCRIBERS;
            let text =
                format!("channel {:?} has {most} subscribers, which is the limit (CHANNEL_SUBSCRIBERS)", self.name);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        state.held.grow(limits::SUBSCRIPTION_BYTES)?;
        let via = book.next_via();
        let tied = match &to {
            To::Channel(child) => {
                book.graph.connect(self.address, child.address).map_err(|refused| self.refusal(child, refused))
            }
            To::Coroutine(control) => {
                let mut ties = control.ties.lock();
                if ties.ended {
                    Err(Refusal::gone(subscriber))
                } else {
                    ties.subscriptions.insert(via, Arc::downgrade(self));
                    book.graph.add_leaf(&self.address);
                    Ok(())
                }
            }
        };
        if let Err(refusal) = tied {
            state.held.shrink(limits::SUBSCRIPTION_BYTES);
            return Err(refusal);
        }
        state.subscriptions.add(via, subscriber, to, terms);
        let book = &mut *book;
        Ok(book.audience.grown(&book.graph, &self.address))
    }

    /// `false`: it is not subscribed.
    pub(in crate::runtime) fn unsubscribe(&self, subscriber: &Address) -> bool {
        let Some(tenant) = self.tenant() else { return false };
        let mut book = tenant.channels.book.lock();
        let mut state = self.state.lock();
        let Some(removed) = state.subscriptions.remove(subscriber) else { return false };
        state.held.shrink(limits::SUBSCRIPTION_BYTES);
        match &removed.to {
            To::Coroutine(_) => book.graph.remove_leaf(&self.address),
            To::Channel(child) => drop(book.graph.disconnect(&self.address, &child.address)),
        }
        drop(state);
        drop(book);
        release(&removed);
        true
    }

    fn refusal(&self, child: &Channel, refused: Refused) -> Refusal {
        let (parent, child) = (&self.name, &child.name);
        let (code, text) = match refused {
            Refused::Cycle => (Code::Cycle, format!("messages of channel {child:?} come to {parent:?} already")),
            Refused::SecondPath => {
                let text = format!(
                    "a message would come twice: a way leads already from {parent:?}, or a channel above it, to {child:?}, or a \
                     channel below it"
                );
                (Code::SecondPath, text)
            }
            Refused::Retry => (Code::Retry, "another subscription of channels was in the way".to_owned()),
            Refused::Full => {
                let most = limits::TENANT_CHANNEL_EDGES;
                let text = format!(
                    "{most} channels are subscribed to channels, which is the limit (TENANT_CHANNEL_EDGES): end some"
                );
                (Code::Overloaded, text)
            }
            Refused::Unknown => (Code::Gone, format!("channel {child:?} has ended")),
        };
        Refusal::new(code, text)
    }
}
