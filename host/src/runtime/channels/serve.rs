//! What other nodes ask about channels and subscribers of this one.

use super::channel::{Channel, To};
use super::errand::{self, For};
use super::publish;
use super::stand_in::at_most;
use crate::runtime::control::{Control, Waits};
use crate::runtime::group::Group;
use crate::runtime::launch::Runtime;
use crate::runtime::mail::{bounded, check_size};
use crate::runtime::message::Payload;
use crate::runtime::ports::{Answers, Guard, Told};
use crate::runtime::refusal::Refusal;
use crate::runtime::registry::Resident;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::subscriptions::Terms;
use corovan_core::tenancy::quota::Resource;
use std::sync::Arc;

/// Who asks: the tenant, and whether the computation that it speaks for is this one.
pub struct Caller<'a> {
    pub tenant: &'a Arc<Tenant>,
    pub is: &'a dyn Fn(&Group) -> bool,
    /// For whom on its node, and what is asked about.
    pub from: Address,
    pub to: Address,
}

impl Runtime {
    /// Has a channel's messages go to another node, until the result is dropped; `over` is told when the channel has ended.
    /// Errors: gone, denied, overloaded, node-lost.
    pub fn serve_branch(self: &Arc<Self>, caller: &Caller<'_>, over: Told) -> Result<Guard, Refusal> {
        self.branch(caller.tenant, &caller.to, caller.from, over)
    }

    /// Does what is asked, now or later.
    pub fn serve_channel(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        call: ChannelCall,
        (tag, bytes): (u64, Bytes),
        answers: Box<dyn Answers>,
    ) {
        let outcome = match call {
            ChannelCall::Send { wait } => return self.serve_send(caller, None, wait, (tag, bytes), answers),
            ChannelCall::Deliver { n, wait } => return self.serve_send(caller, Some(n), wait, (tag, bytes), answers),
            ChannelCall::Carry { hops, wait } => {
                return self.carried(caller.tenant, (&caller.to, &caller.from), (tag, hops, bytes), wait, answers);
            }
            ChannelCall::Subscribe { channel, cap, policy, wait } => {
                return self.serve_subscribe(caller, channel, (Terms::new(cap, policy), wait), answers);
            }
            ChannelCall::Unsubscribe { channel } => {
                self.unsubscribe_here(caller.tenant, &channel, &caller.to).map(|()| Bytes::new())
            }
            ChannelCall::Consent => self.owned(caller, super::HOLDING).map(|_| Bytes::new()),
            ChannelCall::Close => self.owned(caller, super::CLOSING).map(|channel| {
                self.end_channel(caller.tenant, &channel);
                Bytes::new()
            }),
            ChannelCall::Leaves { number, leaves, holds } => {
                let about = (&caller.to, &caller.from);
                self.branch_has(caller.tenant, about, (number, leaves, holds)).map(|()| Bytes::new())
            }
            ChannelCall::Reserve { .. } | ChannelCall::Commit { .. } | ChannelCall::Abort { .. } => {
                self.serve_claim(caller, call)
            }
            ChannelCall::Cut { child } => {
                self.serve_cut(caller, &child);
                Ok(Bytes::new())
            }
            ChannelCall::Neighbours { up } => self.serve_neighbours(caller, up),
            ChannelCall::Branch | ChannelCall::Unknown => {
                Err(Refusal::new(Code::Unsupported, "this node does not know that call about channels"))
            }
        };
        answers.answer(outcome);
    }

    /// The subscription of a child on the asking node has ended.
    fn serve_cut(&self, caller: &Caller<'_>, child: &Address) {
        let mut book = caller.tenant.channels.book.lock();
        if child.node == caller.from.node {
            book.graph.forget_edge(&caller.to, child);
        }
    }

    /// A channel of this node and tenant. Errors: gone, denied.
    pub(super) fn channel_of(&self, tenant: &Arc<Tenant>, address: &Address) -> Result<Arc<Channel>, Refusal> {
        let is_here = address.node == self.node && address.incarnation == self.incarnation;
        match self.registry.get(address).filter(|_| is_here) {
            Some(Resident::Channel(channel)) if channel.is_of(tenant) => Ok(channel),
            Some(other) if !other.is_of(tenant) => Err(self.denied(tenant, address)),
            _ => Err(Refusal::gone(format!("channel {address}"))),
        }
    }

    fn owned(&self, caller: &Caller<'_>, what: &str) -> Result<Arc<Channel>, Refusal> {
        let channel = self.channel_of(caller.tenant, &caller.to)?;
        channel.check_owned(caller.is, what)?;
        Ok(channel)
    }

    fn serve_send(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        n: Option<u64>,
        wait: u64,
        (tag, bytes): (u64, Bytes),
        answers: Box<dyn Answers>,
    ) {
        let begun = (|| {
            check_size(u32::try_from(bytes.len()).unwrap_or(u32::MAX))?;
            let channel = self.channel_of(caller.tenant, &caller.to)?;
            let group = channel.owner().filter(|_| channel.is_own()).ok_or_else(|| channel.gone())?;
            let payload = publish::charged(caller.tenant, Payload::from(bytes))?;
            let held = Some(caller.tenant.ledger.take(Resource::Held, limits::ERRAND_BYTES)?);
            let (program, address) = (Arc::clone(&channel.program), channel.address);
            Ok((channel, For { group, program, address, held }, payload))
        })();
        let (channel, work_for, payload) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return answers.answer(Err(refusal)),
        };
        let runtime = Arc::clone(self);
        errand::start(self, work_for, move |control| {
            stop_when_abandoned(&control, &*answers);
            async move {
                let patience = runtime.patience(wait);
                let outcome = match n {
                    None => {
                        let sent = publish::send(&runtime, &control, channel, (tag, payload), patience).await;
                        sent.map(|()| Bytes::new())
                    }
                    Some(n) => {
                        let n = usize::try_from(n).unwrap_or(usize::MAX);
                        let delivered =
                            publish::deliver(&runtime, &control, channel, n, (tag, payload), patience).await;
                        delivered.map(|count| Bytes::copy_from_slice(&(count as u64).to_le_bytes()))
                    }
                };
                answers.answer(outcome);
            }
        });
    }

    fn serve_subscribe(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        channel: Address,
        (terms, wait): (Option<Terms>, u64),
        answers: Box<dyn Answers>,
    ) {
        let begun = (|| {
            let terms = terms.ok_or_else(|| Refusal::new(Code::Invalid, "a cap or policy that nobody can have"))?;
            let to = match self.registry.get(&caller.to) {
                Some(Resident::Channel(_)) => To::Channel(self.channel_of(caller.tenant, &caller.to)?),
                _ => To::Coroutine(self.resident(caller.tenant, &caller.to)?),
            };
            let gone = || Refusal::gone(caller.to);
            let (group, program) = (to.group().ok_or_else(gone)?, to.program().ok_or_else(gone)?);
            let held = Some(caller.tenant.ledger.take(Resource::Held, limits::ERRAND_BYTES)?);
            Ok((terms, to, For { group, program, address: caller.to, held }))
        })();
        let (terms, to, work_for) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return answers.answer(Err(refusal)),
        };
        let (runtime, tenant, subscriber) = (Arc::clone(self), Arc::clone(caller.tenant), caller.to);
        errand::start(self, work_for, move |control| {
            stop_when_abandoned(&control, &*answers);
            async move {
                let subscribing = runtime.subscribe_here(&tenant, &channel, subscriber, to, terms);
                let what = "the subscription was not made in time: it may be there all the same";
                let patience = runtime.patience(at_most(wait));
                let outcome = bounded(&control, Waits::Channel, patience, what, subscribing).await;
                answers.answer(outcome.and_then(|outcome| outcome).map(|()| Bytes::new()));
            }
        });
    }
}

fn stop_when_abandoned(control: &Arc<Control>, answers: &dyn Answers) {
    let control = Arc::downgrade(control);
    let stop =
        move || control.upgrade().into_iter().for_each(|control| control.interrupt("nobody waits for it any more"));
    answers.on_abandon(Box::new(stop));
}
