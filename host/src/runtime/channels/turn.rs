//! The turn of a channel, as a value: it is left when this is dropped, whatever happened.

use super::channel::{Channel, Subscribed};
use super::message::{Post, Way};
use super::pump;
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::sync::channel::turn::{Next, Ticket};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// See [the module](self).
pub(super) struct Turn {
    pub runtime: Arc<Runtime>,
    pub channel: Arc<Channel>,
}

/// A place in the queue; given up when dropped.
struct Place<'a> {
    runtime: &'a Arc<Runtime>,
    channel: &'a Arc<Channel>,
    ticket: Option<Ticket>,
}

impl Turn {
    /// Waits for the turn, for a message that comes over this edge, if it comes over one. Errors: gone (the channel or the
    /// edge), overloaded (it does not wait), timeout, interrupted.
    pub async fn wait(
        runtime: &Arc<Runtime>,
        channel: &Arc<Channel>,
        edge: Option<&Subscribed>,
        way: &mut Way<'_>,
    ) -> Result<Turn, Refusal> {
        let mut place = Place { runtime, channel, ticket: None };
        std::future::poll_fn(|cx| {
            {
                let mut state = channel.state.lock();
                if state.closed {
                    place.ticket = None;
                    return Poll::Ready(Err(channel.gone()));
                }
                let is_mine = match place.ticket {
                    Some(ticket) => state.turn.is_of(ticket),
                    None => state.turn.try_take(),
                };
                if is_mine {
                    place.ticket = None;
                    return Poll::Ready(Ok(place.turn()));
                }
                if way.is_hasty() {
                    let text = format!("another message is on its way through channel {:?}", channel.name);
                    return Poll::Ready(Err(Refusal::new(Code::Overloaded, text)));
                }
                if edge.is_some_and(|edge| edge.is_over()) {
                    return Poll::Ready(Err(channel.gone()));
                }
                if place.ticket.is_none() {
                    place.ticket = Some(state.turn.wait(cx.waker().clone()));
                }
            }
            match way.given_up(cx) {
                Some(refusal) => Poll::Ready(Err(refusal)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// For the pump: the next message that waits for no publisher.
    pub fn next_post(&self) -> Option<Post> {
        self.channel.state.lock().turn.next_post()
    }
}

impl Place<'_> {
    fn turn(&self) -> Turn {
        Turn { runtime: Arc::clone(self.runtime), channel: Arc::clone(self.channel) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let next = self.channel.state.lock().turn.withdraw(ticket);
            follow(next, self.runtime, self.channel);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.channel.state.lock().turn.leave();
        follow(next, &self.runtime, &self.channel);
    }
}

fn follow(next: Next<Waker>, runtime: &Arc<Runtime>, channel: &Arc<Channel>) {
    match next {
        Next::Nothing => {}
        Next::Wake(publisher) => publisher.wake(),
        Next::Pump => {
            pump::start(Turn { runtime: Arc::clone(runtime), channel: Arc::clone(channel) }, pump::Rest::Nothing);
        }
    }
}
