//! A message on its way through channels, and how many mailboxes have it.

use super::channel::Subscribed;
use crate::runtime::control::Control;
use crate::runtime::mail::Patience;
use crate::runtime::message::{Kind, Letter, Parcel, Payload};
use crate::runtime::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The payload is shared by all letters made of it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub tag: u64,
    /// The channel that it goes through now. Receivers know it by that, and may choose by it.
    pub through: Address,
    pub payload: Payload,
    /// Channels that it went through after the first.
    pub hops: usize,
    /// Where somebody wants to know who has it.
    pub tally: Option<Arc<Tally>>,
}

/// A message that waits for a channel's turn without its publisher.
#[derive(Debug)]
pub(super) struct Post {
    pub message: Message,
    /// The edge it came over.
    /// `None`: from the channel's own node.
    pub edge: Option<Arc<Subscribed>>,
    pub pending: Option<Pending>,
    /// How long it may wait for those who hold publishers, in nanoseconds.
    pub wait: u64,
    /// Who waits for it on another node.
    pub awaited: Option<Arc<Awaited>>,
    /// What the tenant is charged for its place in the queue.
    pub _held: Permit,
}

/// Counts mailboxes that have a message.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    delivered: usize,
    /// Somebody who holds publishers had no room in time.
    late: bool,
    /// Deliveries that were left to a pump and are not done.
    pending: usize,
    waker: Option<Waker>,
}

/// A delivery that somebody else is to finish.
#[derive(Debug)]
pub(super) struct Pending(Arc<Tally>);

/// Whether anybody on another node still waits for a delivery.
#[derive(Debug, Default)]
pub(super) struct Awaited(Mutex<(bool, Option<Waker>)>);

/// How long, and for whom, a delivery may wait.
pub(super) struct Way<'a> {
    /// `None`: for nobody, so nobody interrupts it.
    pub from: Option<&'a Arc<Control>>,
    awaited: Option<Arc<Awaited>>,
    patience: Patience,
    /// It waits no more.
    pub over: Option<Refusal>,
}

impl Message {
    pub fn letter(&self, via: u64) -> Letter {
        let payload = self.payload.clone();
        let size = payload.len();
        Letter { kind: Kind::Message, tag: self.tag, sender: self.through, via, size, body: Parcel::from(payload) }
    }

    /// As it goes on to a sub-channel; `None` when it has come far enough.
    pub fn further(&self, through: Address) -> Option<Message> {
        let hops = self.hops + 1;
        (hops <= limits::CHANNEL_HOPS).then(|| Message { through, hops, ..self.clone() })
    }

    /// One more mailbox has it.
    pub fn count(&self) {
        self.count_many(1);
    }

    /// So many more.
    pub fn count_many(&self, mailboxes: usize) {
        if let Some(tally) = &self.tally {
            let mut count = tally.0.lock();
            count.delivered = count.delivered.saturating_add(mailboxes);
        }
    }

    /// A part of its delivery is left to somebody else.
    pub fn pending(&self) -> Option<Pending> {
        let tally = self.tally.as_ref()?;
        tally.0.lock().pending += 1;
        Some(Pending(Arc::clone(tally)))
    }
}

impl Tally {
    pub fn delivered(&self) -> usize {
        self.0.lock().delivered
    }

    /// One to be told when all is done, before anything is begun.
    pub fn watched(waker: Waker) -> Arc<Tally> {
        Arc::new(Tally(Mutex::new(Count { waker: Some(waker), ..Count::default() })))
    }

    /// How many have it, and whether somebody who holds publishers had no room in time; `None`: not all is done.
    pub fn outcome(&self) -> Option<(usize, bool)> {
        let count = self.0.lock();
        (count.pending == 0).then_some((count.delivered, count.late))
    }

    /// Not all had room in time.
    pub fn set_late(&self) {
        self.0.lock().late = true;
    }

    /// Waits until all that was left to others is done.
    pub async fn settled(&self, way: &mut Way<'_>) -> Result<(), Refusal> {
        std::future::poll_fn(|cx| {
            {
                let mut count = self.0.lock();
                if count.pending == 0 {
                    return Poll::Ready(Ok(()));
                }
                count.waker = Some(cx.waker().clone());
            }
            way.given_up(cx).map_or(Poll::Pending, |refusal| Poll::Ready(Err(refusal)))
        })
        .await
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let waker = {
            let mut count = self.0.0.lock();
            count.pending -= 1;
            if count.pending == 0 { count.waker.take() } else { None }
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<'a> Way<'a> {
    pub fn new(from: Option<&'a Arc<Control>>, patience: Patience) -> Way<'a> {
        Way { from, awaited: None, patience, over: None }
    }

    /// The same for whoever waits on another node.
    pub fn awaited(awaited: Option<Arc<Awaited>>, patience: Patience) -> Way<'static> {
        Way { from: None, awaited, patience, over: None }
    }

    /// Nanoseconds that it may still wait; `u64::MAX`: for ever.
    pub fn left(&self, now: u64) -> u64 {
        match self.over {
            Some(_) => 0,
            None => self.patience.left(now),
        }
    }

    /// Why it waits no longer, if that is so.
    pub fn given_up(&mut self, cx: &mut Context<'_>) -> Option<Refusal> {
        if self.over.is_none() {
            self.over = match self.from.and_then(|from| from.take_interrupt()) {
                Some(reason) => Some(Refusal::new(Code::Interrupted, reason)),
                None if self.awaited.as_ref().is_some_and(|awaited| awaited.is_over(cx)) => {
                    Some(Refusal::new(Code::Interrupted, "nobody waits for it any more"))
                }
                None if self.patience.poll(cx).is_ready() => Some(Refusal::timeout(LATE)),
                None => None,
            };
        }
        self.over.clone()
    }

    /// It does not wait at all.
    pub fn is_hasty(&self) -> bool {
        self.patience.is_none()
    }

    /// It would wait for itself.
    pub fn is_of(&self, control: &Arc<Control>) -> bool {
        self.from.is_some_and(|from| Arc::ptr_eq(from, control))
    }
}

impl Awaited {
    /// Nobody waits any more.
    pub fn abandon(&self) {
        let waker = {
            let (over, waker) = &mut *self.0.lock();
            *over = true;
            waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_over(&self, cx: &Context<'_>) -> bool {
        let (over, waker) = &mut *self.0.lock();
        if !*over {
            *waker = Some(cx.waker().clone());
        }
        *over
    }
}

pub(super) const LATE: &str = "not all had room in time: the message went to those that did, and to no other";
