//! Subscribers that hold the publisher: it waits until there is room, first under the subscription's cap, then in the
//! mailbox, where it queues with all others who send there.

use super::channel::Subscribed;
use super::delivery::drop_of;
use super::message::{Message, Way};
use crate::runtime::control::Control;
use crate::runtime::mail::Queued;
use crate::runtime::post::{Pushed, Refused};
use crate::runtime::refusal::Refusal;
use corovan_core::sync::mailbox::{Fate, Ticket};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Waits for room of a subscription; forgotten when dropped.
struct Holding<'a>(&'a Control, u64);

/// Gives it without waiting. `false`: there is no room. Errors: timeout (the tenant's quota; it will not be given).
pub(super) fn try_give(subscription: &Subscribed, control: &Control, message: &Message) -> Result<bool, Refusal> {
    let letter = message.letter(subscription.via);
    let mut post = control.post.lock();
    if post.mailbox.is_closed() {
        return Ok(true);
    }
    if !post.mailbox.has_room_via(subscription.via, subscription.terms().cap, letter.size) {
        return Ok(false);
    }
    match post.admits(letter.size, subscription.via) {
        Ok(()) => {
            let receiver = post.put(letter);
            drop(post);
            receiver.into_iter().for_each(Waker::wake);
            accepted(subscription, message);
            Ok(true)
        }
        Err(Refused::Quota(exhausted)) => {
            drop(post);
            subscription.count_dropped();
            Err(Refusal::timeout(&format!("{} does not have it: {exhausted}", control.address)))
        }
        Err(Refused::Full) => Ok(false),
        Err(Refused::Closed) => Ok(true),
    }
}

/// Waits for room and gives it. Nothing happens where the subscription or its coroutine ends meanwhile. Errors: timeout,
/// interrupted.
pub(super) async fn give(
    subscription: &Subscribed,
    control: &Arc<Control>,
    message: &Message,
    way: &mut Way<'_>,
) -> Result<(), Refusal> {
    let holding = Holding(control, subscription.via);
    let mut queued: Option<Queued<'_>> = None;
    let outcome = std::future::poll_fn(|cx| {
        if let Some(waiting) = &mut queued {
            match waiting.fate() {
                Fate::Accepted => return Poll::Ready(Ok(true)),
                Fate::Refused => return Poll::Ready(Ok(false)),
                Fate::Waiting => {}
            }
            // The subscription has ended, or does not hold the publisher any more.
            if subscription.is_over() || drop_of(subscription.terms().policy).is_some() {
                if !waiting.withdraw() {
                    return Poll::Ready(Ok(true));
                }
                queued = None;
            }
        }
        if queued.is_none() {
            let may_wait = !way.is_of(control) && way.over.is_none();
            match look(subscription, control, message, may_wait.then(|| cx.waker())) {
                Look::Given(taken) => return Poll::Ready(Ok(taken)),
                Look::Refused(refusal) => return Poll::Ready(Err(refusal)),
                Look::Queued(ticket) => queued = Some(Queued::new(control, ticket)),
                Look::Wait => {}
            }
        }
        if way.is_of(control) {
            let text = "the publisher's own mailbox has no room, and it would wait for itself: it does not have it";
            return Poll::Ready(Err(Refusal::timeout(text)));
        }
        let Some(refusal) = way.given_up(cx) else { return Poll::Pending };
        // Between the look and now it may have been taken.
        let withdrawn = queued.take().is_none_or(|mut waiting| waiting.withdraw());
        Poll::Ready(if withdrawn { Err(refusal) } else { Ok(true) })
    })
    .await;
    drop(holding);
    match outcome {
        Ok(true) => accepted(subscription, message),
        Ok(false) => {}
        Err(refusal) => {
            subscription.count_dropped();
            return Err(refusal);
        }
    }
    Ok(())
}

/// What a look at the subscriber's mailbox came to.
enum Look {
    /// It was taken, or is not to be any more.
    Given(bool),
    Refused(Refusal),
    /// It is in the queue of all who send there.
    Queued(Ticket),
    /// The subscription has its fill.
    Wait,
}

/// Gives it if there is room, else registers the waker of one who may wait. All under the mailbox's lock: what ends the
/// subscription, or changes its terms, wakes under it who is registered by then.
fn look(subscription: &Subscribed, control: &Control, message: &Message, waker: Option<&Waker>) -> Look {
    let via = subscription.via;
    let mut post = control.post.lock();
    if subscription.is_over() || post.mailbox.is_closed() {
        return Look::Given(false);
    }
    let terms = subscription.terms();
    if let Some(dropping) = drop_of(terms.policy) {
        // It has thought better of it.
        let pushed = post.push_via(message.letter(via), terms.cap, dropping);
        drop(post);
        return Look::Given(pushed.is_some_and(|pushed| settle(subscription, pushed)));
    }
    if post.mailbox.unread(via) >= terms.cap {
        if let Some(waker) = waker {
            post.mailbox.hold(via, terms.cap, waker.clone());
        }
        return Look::Wait;
    }
    let letter = message.letter(via);
    match post.admits(letter.size, via) {
        Ok(()) => {
            let receiver = post.put(letter);
            drop(post);
            receiver.into_iter().for_each(Waker::wake);
            Look::Given(true)
        }
        Err(Refused::Closed) => Look::Given(false),
        Err(Refused::Quota(exhausted)) => {
            Look::Refused(Refusal::timeout(&format!("{} does not have it: {exhausted}", control.address)))
        }
        Err(Refused::Full) => match waker {
            Some(waker) => {
                // A receiver that wants none of what fills its mailbox learns that it is full.
                let (ticket, receiver) = post.wait(letter, waker.clone());
                // No reading wakes it by this, but the end of the subscription does.
                post.mailbox.hold(via, 0, waker.clone());
                drop(post);
                receiver.into_iter().for_each(Waker::wake);
                Look::Queued(ticket)
            }
            None => Look::Wait,
        },
    }
}

/// Wakes and counts after a push that drops what has no room: whether the message was taken.
pub(super) fn settle(subscription: &Subscribed, pushed: Pushed) -> bool {
    pushed.receiver.into_iter().for_each(Waker::wake);
    pushed.dropped.iter().for_each(|_| subscription.count_dropped());
    pushed.taken
}

pub(super) fn accepted(subscription: &Subscribed, message: &Message) {
    subscription.count_delivered();
    message.count();
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let publisher = self.0.post.lock().mailbox.let_go(self.1);
        drop(publisher);
    }
}
