//! What stands here for a channel of another node: its messages come over the link once, and are shared here by all who are
//! subscribed, under the terms of each. It is there as long as anybody is.

use super::channel::Channel;
use super::message::{Awaited, Message, Post, Tally};
use super::publish;
use super::pump::{self, Rest};
use super::turn::{Turn, drain};
use crate::runtime::arrivals::{Arrival, Arrived, payload};
use crate::runtime::group::Group;
use crate::runtime::launch::{Program, Runtime};
use crate::runtime::mail::FOREVER;
use crate::runtime::ports::{Answers, End, EndFollower, Guard, Way as Road};
use crate::runtime::refusal::Refusal;
use crate::runtime::registry::Resident;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::ChannelCall;
use corovan_core::sync::channel::turn::Posted;
use corovan_core::sync::mailbox::Drop as Dropping;
use corovan_core::tenancy::quota::Resource;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use tokio::sync::OnceCell;

/// What a channel has that stands for another.
pub(super) struct StandIn {
    runtime: Weak<Runtime>,
    /// Those who are about to subscribe: it does not end under them.
    coming: AtomicUsize,
    begun: OnceCell<()>,
    uplink: Mutex<Uplink>,
}

/// What leads to the channel's node.
#[derive(Default)]
struct Uplink {
    road: Option<Arc<dyn Road>>,
    /// Dropped, the other node forgets this one.
    guard: Option<Guard>,
    /// Of what was told last.
    number: u64,
}

/// One who is about to subscribe.
pub(super) struct Coming {
    pub stand_in: Arc<Channel>,
}

/// Is told that the channel has ended, or its node is lost.
struct Over(Weak<Channel>);

/// A message whose count another node waits for.
struct Carried {
    tally: Mutex<Option<Arc<Tally>>>,
    answers: Mutex<Option<Box<dyn Answers>>>,
}

impl Runtime {
    /// Finds or makes what stands here for a channel of another node. Errors: overloaded.
    pub(super) fn stand_in(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        of: &Address,
        program: Arc<Program>,
    ) -> Result<Coming, Refusal> {
        let mut book = tenant.channels.book.lock();
        if let Some(stand_in) = book.by_address.get(of) {
            let coming = Coming::new(Arc::clone(stand_in));
            drop(book);
            return Ok(coming);
        }
        let held = tenant.ledger.take(Resource::Held, limits::CHANNEL_BYTES)?;
        if !book.graph.open(*of) {
            let text = format!("{} channels are in use, which is the limit (TENANT_CHANNELS)", limits::TENANT_CHANNELS);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let at = self.new_address();
        let role = StandIn {
            runtime: Arc::downgrade(self),
            coming: AtomicUsize::new(0),
            begun: OnceCell::new(),
            uplink: Mutex::default(),
        };
        let stand_in = Arc::new(Channel::stand_in((*of, at), tenant, program, role, held));
        book.by_address.insert(*of, Arc::clone(&stand_in));
        book.stand_ins += 1;
        self.registry.insert(at.counter, Resident::Channel(Arc::clone(&stand_in)));
        let coming = Coming::new(stand_in);
        drop(book);
        Ok(coming)
    }

    /// A message of a channel of another node comes to what stands for it here.
    pub(in crate::runtime) fn arrive_at(&self, tenant: &Arc<Tenant>, to: &Arc<Channel>, message: Arrived) -> Arrival {
        let Arrived { from, tag, bytes, hops, .. } = message;
        match self.take_in(tenant, to, &from, (tag, hops, bytes), None, 0) {
            Ok(room) => Arrival::Taken((room, room.min(1) * limits::MAILBOX_BYTES)),
            Err(refusal) => Arrival::Dropped(refusal),
        }
    }

    /// The same for one of which the other node wants to know who has it. Answered later.
    pub(super) fn carried(
        &self,
        tenant: &Arc<Tenant>,
        (to, from): (&Address, &Address),
        (tag, hops, bytes): (u64, u8, Bytes),
        wait: u64,
        answers: Box<dyn Answers>,
    ) {
        let to = match self.channel_of(tenant, to) {
            Ok(to) => to,
            Err(refusal) => return answers.answer(Err(refusal)),
        };
        let awaited = Arc::new(Awaited::default());
        let stop = Arc::clone(&awaited);
        answers.on_abandon(Box::new(move || stop.abandon()));
        let carried = Arc::new(Carried { tally: Mutex::new(None), answers: Mutex::new(Some(answers)) });
        let tally = Tally::watched(Waker::from(Arc::clone(&carried)));
        *carried.tally.lock() = Some(Arc::clone(&tally));
        if let Err(refusal) = self.take_in(tenant, &to, from, (tag, hops, bytes), Some((tally, awaited)), wait) {
            carried.tally.lock().take();
            let answers = carried.answers.lock().take();
            answers.into_iter().for_each(|answers| answers.answer(Err(refusal.clone())));
        }
    }

    /// Puts it where it waits for its turn: how many more may. Errors: gone, denied, overloaded.
    fn take_in(
        &self,
        tenant: &Arc<Tenant>,
        to: &Arc<Channel>,
        from: &Address,
        (tag, hops, bytes): (u64, u8, Bytes),
        asked: Option<(Arc<Tally>, Arc<Awaited>)>,
        wait: u64,
    ) -> Result<usize, Refusal> {
        // A stand-in's address is known to the channel's node alone, and it speaks for nothing else.
        let role = to.stands_in().filter(|_| to.is_of(tenant) && to.address == *from);
        let runtime = role.and_then(|role| role.runtime.upgrade()).ok_or_else(|| Refusal::gone(from))?;
        let (tally, awaited) = asked.unzip();
        let (room, begins, posted) = {
            let mut state = to.state.lock();
            if state.closed {
                return Err(to.gone());
            }
            let held = state.held.beside(Resource::Held, limits::LETTER_BYTES)?;
            let payload = publish::shared_beside(&state.held, payload(bytes))?;
            let message = Message { tag, through: to.address, payload, hops: usize::from(hops), tally };
            let pending = message.pending();
            let post = Post { message, edge: None, pending, wait, awaited, _held: held };
            let posted = state.turn.post(0, post, limits::BRANCH_POSTS, Dropping::Newest);
            (limits::BRANCH_POSTS.saturating_sub(state.turn.len()), state.turn.try_take(), posted)
        };
        if begins {
            pump::start(Turn { runtime, channel: Arc::clone(to) }, Rest::Nothing);
        }
        if matches!(posted, Posted::Dropped(_)) {
            let text = "those before it wait for subscribers here that hold publishers";
            return Err(Refusal::new(Code::Overloaded, text));
        }
        Ok(room)
    }
}

impl Coming {
    /// Under the book's lock, or of one that is in the book as long as this is there.
    fn new(stand_in: Arc<Channel>) -> Coming {
        if let Some(role) = stand_in.stands_in() {
            role.coming.fetch_add(1, Ordering::AcqRel);
        }
        Coming { stand_in }
    }

    /// Has the channel's node know of it. Errors: gone, denied, overloaded, node-lost.
    pub async fn begin(&self, group: &Arc<Group>) -> Result<(), Refusal> {
        let Some(role) = self.stand_in.stands_in() else { return Ok(()) };
        let Some(runtime) = role.runtime.upgrade() else { return Ok(()) };
        let begin = async || {
            let road = runtime.away(group, &self.stand_in.address)?;
            let guard = road.branch(&self.stand_in.at, Box::new(Over(Arc::downgrade(&self.stand_in)))).await?;
            let mut uplink = role.uplink.lock();
            (uplink.road, uplink.guard) = (Some(road), Some(guard));
            Ok::<(), Refusal>(())
        };
        role.begun.get_or_try_init(begin).await?;
        Ok(())
    }

    /// Tells how many are behind it, and waits until the channel's node knows. Errors: gone, denied, node-lost.
    pub async fn settle(&self) -> Result<(), Refusal> {
        let Some((road, call)) = self.stand_in.behind() else { return Err(self.stand_in.gone()) };
        road.ask_channel(&self.stand_in.at, 0, call, Bytes::new()).await.map(drop)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(role) = self.stand_in.stands_in() {
            role.coming.fetch_sub(1, Ordering::AcqRel);
            self.stand_in.end_if_unused();
        }
    }
}

impl Channel {
    /// Of a stand-in: its channel's node learns how many are behind it.
    pub(super) fn announce(self: &Arc<Self>) {
        if let Some((road, call)) = self.behind() {
            road.tell_channel(&self.at, call);
        }
        self.end_if_unused();
    }

    /// Of a stand-in: tells its channel's node.
    pub(super) fn tell_up(&self, call: ChannelCall) {
        let road = self.stands_in().and_then(|role| role.uplink.lock().road.clone());
        road.into_iter().for_each(|road| road.tell_channel(&self.at, call));
    }

    /// The way to the channel's node, and what is to be told there: numbered in the order in which it was counted.
    fn behind(&self) -> Option<(Arc<dyn Road>, ChannelCall)> {
        let role = self.stands_in()?;
        let mut uplink = role.uplink.lock();
        let road = uplink.road.clone()?;
        let road = match road.is_over() {
            true => role.runtime.upgrade()?.away(&self.owner()?, &self.address).ok()?,
            false => road,
        };
        uplink.road = Some(Arc::clone(&road));
        uplink.number += 1;
        let (number, holds) = (uplink.number, self.holds());
        let leaves = self.tenant()?.channels.book.lock().graph.leaves(&self.address);
        Some((road, ChannelCall::Leaves { number, leaves: leaves as u64, holds }))
    }

    /// Of a stand-in: it goes with the last who is subscribed, or about to be.
    pub(super) fn end_if_unused(&self) {
        let Some(role) = self.stands_in() else { return };
        let unused = || role.coming.load(Ordering::Acquire) == 0 && self.state.lock().subscriptions.is_empty();
        if self.take_out(unused) {
            self.shut();
        }
    }

    /// `false`: it is out, or not to go.
    fn take_out(&self, wanted: impl FnOnce() -> bool) -> bool {
        let (Some(role), Some(tenant)) = (self.stands_in(), self.tenant()) else { return false };
        {
            let mut book = tenant.channels.book.lock();
            let is_there = book.by_address.get(&self.address).is_some_and(|there| std::ptr::eq(&**there, self));
            if !is_there || !wanted() {
                return false;
            }
            book.by_address.remove(&self.address);
            book.graph.close(&self.address);
            book.stand_ins -= 1;
        }
        role.runtime.upgrade().into_iter().for_each(|runtime| runtime.registry.remove(self.at.counter));
        let uplink = std::mem::take(&mut *role.uplink.lock());
        drop(uplink);
        true
    }
}

impl EndFollower for Over {
    fn ended(self: Box<Self>, _: Option<End>) {
        let Some(stand_in) = self.0.upgrade().filter(|stand_in| stand_in.take_out(|| true)) else { return };
        let runtime = stand_in.stands_in().and_then(|role| role.runtime.upgrade());
        let ending = Arc::clone(&stand_in);
        match runtime {
            // What came before goes to those who are subscribed.
            Some(runtime) => drain(&runtime, &stand_in, stand_in.owner(), move || ending.shut()),
            None => stand_in.shut(),
        }
    }
}

impl Wake for Carried {
    fn wake(self: Arc<Self>) {
        let outcome = self.tally.lock().as_ref().and_then(|tally| tally.outcome());
        let Some((delivered, late)) = outcome else { return };
        let Some(answers) = self.answers.lock().take() else { return };
        // What is counted keeps this, and this what is counted.
        let tally = self.tally.lock().take();
        let mut out = [0; 9];
        out[..8].copy_from_slice(&(delivered as u64).to_le_bytes());
        out[8] = u8::from(late);
        answers.answer(Ok(Bytes::copy_from_slice(&out)));
        drop(tally);
    }
}

/// A subscription of a channel of another node may take so long, also where whoever asks would wait for ever.
pub(super) fn at_most(timeout: u64) -> u64 {
    let most = u64::try_from(limits::CHANNEL_CALL.as_nanos()).unwrap_or(FOREVER);
    timeout.min(most)
}
