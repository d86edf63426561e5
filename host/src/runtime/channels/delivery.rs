//! One message of one channel, from its turn to all who are subscribed at that moment. First those get it who hold nobody;
//! then whoever holds the publisher is waited for.

use super::channel::{Channel, Subscribed, To};
use super::hold;
use super::message::{Message, Post, Way};
use super::pump::{self, Rest};
use super::transform;
use super::turn::Turn;
use crate::runtime::control::Control;
use crate::runtime::mail::FOREVER;
use crate::runtime::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::channel::subscriptions::Snapshot;
use corovan_core::sync::channel::turn::Posted;
use corovan_core::sync::mailbox::Drop;
use corovan_core::tenancy::quota::Resource;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

/// See [the module](self).
pub(super) struct Delivery {
    message: Message,
    to: Snapshot<To>,
    /// Those that are to be waited for.
    held: Vec<Arc<Subscribed>>,
    /// The first that kept it from one who would have waited.
    refusal: Option<Refusal>,
}

/// Lets others run every so often.
#[derive(Default)]
pub(super) struct Pace(usize);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A whole delivery: the transform, then all subscribers. Errors: invalid, overloaded, gone (the transform; nobody has it),
/// timeout, interrupted (some may have it).
pub(super) fn forward<'a>(turn: &'a Turn, message: Message, way: &'a mut Way<'_>) -> Boxed<'a, Result<(), Refusal>> {
    Box::pin(async move {
        let Some(message) = transform::apply(turn, message, way).await? else { return Ok(()) };
        let mut delivery = Delivery::new(&turn.channel, message);
        delivery.pass(turn, &mut Pace::default()).await;
        delivery.serve_held(turn, way).await
    })
}

impl Delivery {
    fn new(channel: &Channel, message: Message) -> Delivery {
        let to = channel.state.lock().subscriptions.snapshot();
        Delivery { message, to, held: Vec::new(), refusal: None }
    }

    /// Gives it to all but those that are to be waited for.
    fn pass<'a>(&'a mut self, turn: &'a Turn, pace: &'a mut Pace) -> Boxed<'a, ()> {
        Box::pin(async move {
            let to = Arc::clone(&self.to);
            // What leads to other nodes first: where one of this node ends the channel as soon as it has the message, they have
            // it too.
            let nodes = to.iter().filter(|subscription| subscription.to.is_branch());
            for subscription in nodes.chain(to.iter().filter(|subscription| !subscription.to.is_branch())) {
                pace.step().await;
                if subscription.is_over() {
                    continue;
                }
                match &subscription.to {
                    To::Coroutine(control) => self.give(subscription, control),
                    To::Channel(child) => self.descend(turn, subscription, child, pace).await,
                    To::Node(link) if link.give_now(subscription, &self.message) => {}
                    To::Node(_) => self.held.push(Arc::clone(subscription)),
                }
            }
        })
    }

    /// Waits for those that hold the publisher, one after the other. Errors: timeout, interrupted.
    pub async fn serve_held(&mut self, turn: &Turn, way: &mut Way<'_>) -> Result<(), Refusal> {
        for subscription in std::mem::take(&mut self.held) {
            let served = match &subscription.to {
                To::Coroutine(control) => hold::give(&subscription, control, &self.message, way).await,
                To::Channel(child) => self.follow(turn, &subscription, child, way).await,
                To::Node(link) => link.give(&subscription, &self.message, way).await,
            };
            if let Err(refusal) = served {
                self.refusal.get_or_insert(refusal);
            }
        }
        self.refusal.take().map_or(Ok(()), Err)
    }

    fn give(&mut self, subscription: &Arc<Subscribed>, control: &Arc<Control>) {
        let terms = subscription.terms();
        let Some(drop) = drop_of(terms.policy) else {
            match hold::try_give(subscription, control, &self.message) {
                Ok(true) => {}
                Ok(false) => self.held.push(Arc::clone(subscription)),
                Err(refusal) => {
                    self.refusal.get_or_insert(refusal);
                }
            }
            return;
        };
        let pushed = control.post.lock().push_via(self.message.letter(subscription.via), terms.cap, drop);
        // A closed mailbox takes nothing, and nothing is dropped: its coroutine has ended.
        if pushed.is_some_and(|pushed| hold::settle(subscription, pushed)) {
            hold::accepted(subscription, &self.message);
        }
    }

    /// Over an edge that holds nobody: at once where the turn of the sub-channel is free and nothing there takes long, else
    /// it is left to a pump.
    async fn descend(&mut self, turn: &Turn, edge: &Arc<Subscribed>, child: &Arc<Channel>, pace: &mut Pace) {
        let Some(message) = child.entered(&self.message) else { return too_far(turn, edge) };
        let terms = edge.terms();
        let Some(drop) = drop_of(terms.policy) else { return self.held.push(Arc::clone(edge)) };
        let (child_turn, is_slow) = {
            let mut state = child.state.lock();
            if state.closed {
                return;
            }
            if !state.turn.try_take() {
                let Ok(held) = state.held.beside(Resource::Held, limits::LETTER_BYTES) else {
                    return edge.count_dropped();
                };
                let (pending, via) = (message.pending(), edge.via);
                let from = Some(Arc::clone(edge));
                let post = Post { message, edge: from, pending, wait: FOREVER, awaited: None, _held: held };
                let posted = state.turn.post(via, post, terms.cap, drop);
                std::mem::drop(state);
                // What was dropped goes here, outside of the lock.
                return if !matches!(posted, Posted::Taken) {
                    edge.count_dropped()
                };
            }
            (Turn { runtime: Arc::clone(&turn.runtime), channel: Arc::clone(child) }, state.transform.is_some())
        };
        edge.count_delivered();
        if is_slow {
            let pending = message.pending();
            return pump::start(child_turn, Rest::Message(message, pending));
        }
        let mut delivery = Delivery::new(child, message);
        delivery.pass(&child_turn, pace).await;
        if !delivery.held.is_empty() {
            let pending = delivery.message.pending();
            pump::start(child_turn, Rest::Delivery(delivery, pending));
        }
    }

    /// Over an edge that holds the publisher.
    async fn follow(
        &self,
        turn: &Turn,
        edge: &Arc<Subscribed>,
        child: &Arc<Channel>,
        way: &mut Way<'_>,
    ) -> Result<(), Refusal> {
        let Some(message) = child.entered(&self.message) else {
            too_far(turn, edge);
            return Ok(());
        };
        let child_turn = match Turn::wait(&turn.runtime, child, Some(edge), way).await {
            Ok(turn) => turn,
            Err(refusal) if refusal.code == Code::Gone => return Ok(()),
            Err(refusal) => {
                edge.count_dropped();
                // Others have it, so it is not the refusal of the whole.
                let code = if refusal.code == Code::Overloaded { Code::Timeout } else { refusal.code };
                return Err(Refusal::new(code, refusal.detail));
            }
        };
        if edge.is_over() {
            return Ok(());
        }
        edge.count_delivered();
        match forward(&child_turn, message, way).await {
            // What went wrong in the sub-channel itself is counted there, and is none of this publisher's business.
            Err(refusal) if way.over.is_some() || refusal.code == Code::Timeout => Err(refusal),
            _ => Ok(()),
        }
    }
}

impl Pace {
    async fn step(&mut self) {
        self.0 += 1;
        if !self.0.is_multiple_of(limits::CHANNEL_BATCH) {
            return;
        }
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// What is dropped where there is no room; `None`: the publisher waits.
pub(super) fn drop_of(policy: Policy) -> Option<Drop> {
    match policy {
        Policy::DropOldest => Some(Drop::Oldest),
        Policy::DropNewest => Some(Drop::Newest),
        Policy::HoldPublisher => None,
    }
}

fn too_far(turn: &Turn, edge: &Subscribed) {
    edge.count_dropped();
    turn.channel.counts.far.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(channel = %turn.channel.address, hops = limits::CHANNEL_HOPS, "a message went no further: too many channels");
}
