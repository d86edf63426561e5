//! Subscribers that hold the publisher: it waits until there is room, first under the subscription's cap, then in the
//! mailbox, where it queues with all others who send there.

use super::channel::Subscribed;
use super::message::{Message, Way};
use crate::runtime::control::Control;
use crate::runtime::mail::Queued;
use crate::runtime::post::NotTaken;
use crate::runtime::refusal::Refusal;
use corovan_core::sync::channel::Policy;
use corovan_core::sync::mailbox::{Drop as Dropping, Fate};
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
    let taken = post.push(letter);
    drop(post);
    match taken {
        Ok(receiver) => {
            receiver.into_iter().for_each(Waker::wake);
            accepted(subscription, message);
            Ok(true)
        }
        Err(NotTaken::Quota(exhausted)) => {
            subscription.count_dropped();
            Err(Refusal::timeout(&format!("{} does not have it: {exhausted}", control.address)))
        }
        Err(NotTaken::Full(_)) => Ok(false),
        Err(NotTaken::Closed) => Ok(true),
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
    let via = subscription.via;
    let mut holding = None;
    let mut queued: Option<Queued<'_>> = None;
    let outcome = std::future::poll_fn(|cx| {
        if let Some(waiting) = &mut queued {
            match waiting.fate() {
                Fate::Accepted => return Poll::Ready(Ok(true)),
                Fate::Refused => return Poll::Ready(Ok(false)),
                Fate::Waiting => {}
            }
        } else if subscription.is_over() {
            return Poll::Ready(Ok(false));
        } else {
            let mut post = control.post.lock();
            if post.mailbox.is_closed() {
                return Poll::Ready(Ok(false));
            }
            let terms = subscription.terms();
            if terms.policy != Policy::HoldPublisher || post.mailbox.unread(via) < terms.cap {
                if terms.policy != Policy::HoldPublisher {
                    // It has thought better of it.
                    let drop = match terms.policy {
                        Policy::DropOldest => Dropping::Oldest,
                        _ => Dropping::Newest,
                    };
                    let pushed = post.push_via(message.letter(via), terms.cap, drop);
                    std::mem::drop(post);
                    let Some(pushed) = pushed else { return Poll::Ready(Ok(false)) };
                    pushed.receiver.into_iter().for_each(Waker::wake);
                    pushed.dropped.iter().for_each(|_| subscription.count_dropped());
                    return Poll::Ready(Ok(pushed.taken));
                }
                match post.push(message.letter(via)) {
                    Ok(receiver) => {
                        drop(post);
                        receiver.into_iter().for_each(Waker::wake);
                        return Poll::Ready(Ok(true));
                    }
                    Err(NotTaken::Closed) => return Poll::Ready(Ok(false)),
                    Err(NotTaken::Quota(exhausted)) => {
                        let text = format!("{} does not have it: {exhausted}", control.address);
                        return Poll::Ready(Err(Refusal::timeout(&text)));
                    }
                    Err(NotTaken::Full(letter)) if !way.is_of(control) && way.over.is_none() => {
                        let (ticket, receiver) = post.wait(letter, cx.waker().clone());
                        drop(post);
                        receiver.into_iter().for_each(Waker::wake);
                        queued = Some(Queued::new(control, ticket));
                    }
                    Err(NotTaken::Full(_)) => {}
                }
            } else if !way.is_of(control) {
                post.mailbox.hold(via, terms.cap, cx.waker().clone());
                // Not put in the place of another: that one would be dropped here, under the lock it takes.
                if holding.is_none() {
                    holding = Some(Holding(control, via));
                }
            }
        }
        if way.is_of(control) {
            let text =
                "the publisher's own mailbox has no room, and it would wait for itself: it does not have the message";
            return Poll::Ready(Err(Refusal::timeout(text)));
        }
        let Some(refusal) = way.given_up(cx) else { return Poll::Pending };
        // Between the look and now it may have been taken.
        let withdrawn = queued.take().is_none_or(|mut waiting| waiting.withdraw());
        Poll::Ready(if withdrawn { Err(refusal) } else { Ok(true) })
    })
    .await;
    match outcome {
        Ok(true) => {
            accepted(subscription, message);
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(refusal) => {
            subscription.count_dropped();
            Err(refusal)
        }
    }
}

fn accepted(subscription: &Subscribed, message: &Message) {
    subscription.count_delivered();
    message.count();
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let publisher = self.0.post.lock().mailbox.let_go(self.1);
        drop(publisher);
    }
}
