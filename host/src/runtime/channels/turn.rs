//! The turn of a channel, as a value: it is left when this is dropped, whatever happened.

use super::channel::{Channel, Subscribed};
use super::errand::{self, For};
use super::message::{Post, Way};
use super::pump;
use crate::runtime::group::Group;
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::limits;
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

/// Does this once all that waits for the channel's turn is through, for the work of this group; at once where nothing waits, or
/// nobody is left to work for.
pub(super) fn drain(
    runtime: &Arc<Runtime>,
    channel: &Arc<Channel>,
    group: Option<Arc<Group>>,
    then: impl FnOnce() + Send + 'static,
) {
    let is_idle = {
        let state = channel.state.lock();
        state.turn.is_free() && state.turn.is_empty()
    };
    let Some(group) = group.filter(|_| !is_idle) else { return then() };
    let work_for = For { group, program: Arc::clone(&channel.program), address: channel.address, held: None };
    let (runs, channel) = (Arc::clone(runtime), Arc::clone(channel));
    errand::start(runtime, work_for, move |_| async move {
        let most = u64::try_from(limits::CHANNEL_CALL.as_nanos()).unwrap_or(u64::MAX);
        let mut way = Way::new(None, runs.patience(most));
        // In vain where somebody is waited for who does not come.
        let turn = Turn::wait(&runs, &channel, None, &mut way).await;
        then();
        drop(turn);
    });
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
