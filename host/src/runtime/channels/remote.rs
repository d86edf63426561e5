//! What coroutines do with channels, wherever these are: one of another node is asked there, and whoever is subscribed is so on
//! the node where it is.

use super::channel::{Channel, To};
use super::publish;
use super::stand_in::at_most;
use crate::runtime::control::{Control, Waits};
use crate::runtime::launch::Runtime;
use crate::runtime::mail::{Patience, bounded};
use crate::runtime::message::Payload;
use crate::runtime::refusal::Refusal;
use crate::runtime::registry::Resident;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::channel::subscriptions::Terms;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Sends to all who are subscribed. Errors: gone, denied, node-lost, overloaded, invalid (the transform failed) - nobody
/// has it; timeout, interrupted - some may have it.
pub async fn send(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    channel: &Address,
    tag: u64,
    payload: Payload,
    patience: Patience,
) -> Result<(), Refusal> {
    if channel.node == runtime.node {
        let channel = runtime.find_channel(control, channel)?;
        return publish::send(runtime, control, channel, (tag, payload), patience).await;
    }
    let call = ChannelCall::Send { wait: patience.left(runtime.clock().now()) };
    control.sent(payload.len());
    runtime.ask_channel(control, channel, (tag, call, payload.into()), patience).await.map(drop)
}

/// Waits for `n` subscribers, sends to all, and waits until their mailboxes have it: how many do. 0: there were not so many
/// in time, and nothing was sent. Errors: as [`send`], but for timeout.
pub async fn deliver(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    channel: &Address,
    n: usize,
    (tag, payload): (u64, Payload),
    patience: Patience,
) -> Result<usize, Refusal> {
    if channel.node == runtime.node {
        let channel = runtime.find_channel(control, channel)?;
        return publish::deliver(runtime, control, channel, n, (tag, payload), patience).await;
    }
    let call = ChannelCall::Deliver { n: n as u64, wait: patience.left(runtime.clock().now()) };
    control.sent(payload.len());
    // That node gives its count when the time is over: what is late is its answer.
    let answer = runtime.ask_channel(control, channel, (tag, call, payload.into()), Patience::Forever).await?;
    let count = answer.first_chunk::<8>().map(|count| u64::from_le_bytes(*count));
    let count = count.ok_or_else(|| Refusal::new(Code::Internal, "the other node did not answer with a count"))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

impl Runtime {
    /// Subscribes a coroutine or channel, or changes the terms of one that is subscribed, within `timeout`. Errors: gone,
    /// denied, overloaded, cycle, second-path, retry, node-lost, timeout, interrupted.
    pub async fn subscribe(
        self: &Arc<Self>,
        caller: &Arc<Control>,
        channel: &Address,
        subscriber: &Address,
        terms: Terms,
        timeout: u64,
    ) -> Result<(), Refusal> {
        let wait = at_most(timeout);
        if channel.node == self.node {
            let channel = self.find_channel(caller, channel)?;
            if terms.policy == Policy::HoldPublisher {
                channel.check_owner(caller, super::HOLDING)?;
            }
        } else if terms.policy == Policy::HoldPublisher {
            let consent = (0, ChannelCall::Consent, Bytes::new());
            self.ask_channel(caller, channel, consent, self.patience(wait)).await?;
        }
        if subscriber.node != self.node {
            let call = ChannelCall::Subscribe {
                channel: *channel,
                cap: u32::try_from(terms.cap).unwrap_or(u32::MAX),
                policy: terms.policy as u32,
                wait,
            };
            let asked = (0, call, Bytes::new());
            return self.ask_channel(caller, subscriber, asked, self.patience(wait)).await.map(drop);
        }
        let to = match self.registry.get(subscriber) {
            Some(Resident::Channel(_)) => To::Channel(self.find_channel(caller, subscriber)?),
            _ => To::Coroutine(self.find_here(caller, subscriber)?),
        };
        let what = "the subscription was not made in time: it may be there all the same";
        let mut subscribing = pin!(self.subscribe_here(&caller.group.tenant, channel, *subscriber, to, terms));
        // What need not wait is not interrupted.
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(subscribing.as_mut().poll(cx))).await {
            return done;
        }
        bounded(caller, Waits::Channel, self.patience(wait), what, subscribing).await?
    }

    /// Ends a subscription. Errors: gone, denied, not-found, node-lost, timeout, interrupted.
    pub async fn unsubscribe(
        self: &Arc<Self>,
        caller: &Arc<Control>,
        channel: &Address,
        subscriber: &Address,
        timeout: u64,
    ) -> Result<(), Refusal> {
        if channel.node == self.node {
            self.find_channel(caller, channel)?;
        }
        if subscriber.node != self.node {
            let asked = (0, ChannelCall::Unsubscribe { channel: *channel }, Bytes::new());
            return self.ask_channel(caller, subscriber, asked, self.patience(at_most(timeout))).await.map(drop);
        }
        if channel.node != self.node && Channel::known(&caller.group.tenant, channel).is_none() {
            // Nobody here is subscribed to it, and it may be that nobody can be.
            self.away(&caller.group, channel)?;
        }
        self.unsubscribe_here(&caller.group.tenant, channel, subscriber)
    }

    /// Ends a channel and all subscriptions to it. Errors: gone, denied (another computation's), node-lost, timeout,
    /// interrupted.
    pub async fn close_channel(self: &Arc<Self>, control: &Arc<Control>, address: &Address) -> Result<(), Refusal> {
        if address.node != self.node {
            let asked = (0, ChannelCall::Close, Bytes::new());
            return self.ask_channel(control, address, asked, self.patience(at_most(u64::MAX))).await.map(drop);
        }
        let channel = self.find_channel(control, address)?;
        channel.check_owner(control, super::CLOSING)?;
        self.end_channel(&control.group.tenant, &channel);
        Ok(())
    }

    /// Asks the node of a channel, or of a subscriber.
    async fn ask_channel(
        &self,
        control: &Control,
        of: &Address,
        (tag, call, bytes): (u64, ChannelCall, Bytes),
        patience: Patience,
    ) -> Result<Bytes, Refusal> {
        let way = self.away(&control.group, of)?;
        let what = "the other node gave no answer in time: it may still be done";
        let answer = way.ask_channel(&control.address, tag, call, bytes);
        let answered = bounded(control, Waits::Channel, patience, what, answer).await?;
        answered.map_err(|refusal| match refusal.code {
            Code::Gone if refusal.detail.is_empty() => Refusal::gone(of),
            _ => refusal,
        })
    }
}

impl Channel {
    /// That of a tenant's on this node, or what stands for it here.
    pub(super) fn known(tenant: &Tenant, channel: &Address) -> Option<Arc<Channel>> {
        tenant.channels.book.lock().by_address.get(channel).cloned()
    }
}
