//! Delivers what no publisher waits for: messages of parent channels that came while the turn was taken, and the rest of a
//! delivery whose publisher is not to be held. Started only when there is such a thing, and ends when there is none.

use super::delivery::{self, Delivery};
use super::errand::{self, For};
use super::message::{Message, Pending, Way};
use super::turn::Turn;
use crate::runtime::mail::FOREVER;
use corovan_core::code::Code;
use std::sync::Arc;

/// What is to be done before the messages that wait.
pub(super) enum Rest {
    Nothing,
    /// A message that has the turn already.
    Message(Message, Option<Pending>),
    /// A delivery whose subscribers that hold the publisher are still to be served.
    Delivery(Delivery, Option<Pending>),
}

/// Where a stopped pump leaves the turn, nothing lies there that would start another: all that a pump was to deliver goes
/// with it.
struct Pumping(Option<Turn>);

/// Starts a pump, which has the turn from here on.
pub(super) fn start(turn: Turn, rest: Rest) {
    let Some(group) = turn.channel.owner() else {
        drop(Pumping(Some(turn)));
        return;
    };
    let (runtime, channel) = (Arc::clone(&turn.runtime), &turn.channel);
    let work_for = For { group, program: Arc::clone(&channel.program), address: channel.address, held: None };
    errand::start(&runtime, work_for, |_| pump(Pumping(Some(turn)), rest));
}

async fn pump(mut pumping: Pumping, rest: Rest) {
    let Some(turn) = &pumping.0 else { return };
    let mut way = Way::new(None, turn.runtime.patience(FOREVER));
    match rest {
        Rest::Nothing => {}
        Rest::Message(message, pending) => {
            // What goes wrong below is counted where it does.
            let _ = delivery::forward(turn, message, &mut way).await;
            drop(pending);
        }
        Rest::Delivery(mut delivery, pending) => {
            let _ = delivery.serve_held(turn, &mut way).await;
            drop(pending);
        }
    }
    while let Some(post) = turn.next_post() {
        let tally = post.message.tally.clone().filter(|_| post.edge.is_none());
        post.edge.into_iter().for_each(|edge| edge.count_delivered());
        let mut way = Way::awaited(post.awaited, turn.runtime.patience(post.wait));
        let passed = delivery::forward(turn, post.message, &mut way).await;
        if passed.is_err_and(|refusal| refusal.code == Code::Timeout) {
            tally.into_iter().for_each(|tally| tally.set_late());
        }
        drop(post.pending);
    }
    drop(pumping.0.take());
}

impl Drop for Pumping {
    fn drop(&mut self) {
        let Some(turn) = self.0.take() else { return };
        while let Some(post) = turn.next_post() {
            post.edge.into_iter().for_each(|edge| edge.count_dropped());
        }
    }
}
