//! Sending to a channel, and sending to as many as one wants to have there.

use super::channel::Channel;
use super::delivery;
use super::message::{Message, Tally, Way};
use super::turn::Turn;
use crate::runtime::control::{Control, Waits};
use crate::runtime::launch::Runtime;
use crate::runtime::mail::Patience;
use crate::runtime::message::Payload;
use crate::runtime::refusal::Refusal;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::sync::channel::audience::Seat;
use corovan_core::tenancy::quota::{Exhausted, Permit, Resource};
use std::sync::Arc;
use std::task::Poll;

/// Bytes with what the tenant is charged for them, as long as any letter has them.
struct Charged {
    bytes: Bytes,
    _held: Permit,
}

/// One who waits for subscribers; forgotten when dropped.
struct Waiting<'a> {
    control: &'a Control,
    seat: Option<Seat>,
}

/// A payload that lies in memory once, and is charged once, however many have it. Errors: overloaded.
pub fn shared(control: &Control, payload: Payload) -> Result<Payload, Refusal> {
    charged(&control.group.tenant, payload)
}

/// The same, charged to this tenant. Errors: overloaded.
pub(super) fn charged(tenant: &Arc<Tenant>, payload: Payload) -> Result<Payload, Refusal> {
    Ok(shared_beside(&Permit::nothing(&tenant.ledger, Resource::Held), payload)?)
}

/// The same, charged to the tenant of this permit.
pub(super) fn shared_beside(permit: &Permit, payload: Payload) -> Result<Payload, Exhausted> {
    let Payload::Shared(bytes) = payload else { return Ok(payload) };
    let held = permit.beside(Resource::Held, bytes.len() as u64)?;
    Ok(Payload::Shared(Bytes::from_owner(Charged { bytes, _held: held })))
}

/// Sends to all who are subscribed to a channel of this node. Errors: gone, overloaded, invalid (the transform failed) -
/// nobody has it; timeout, interrupted - some may have it.
pub(super) async fn send(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    channel: Arc<Channel>,
    (tag, payload): (u64, Payload),
    patience: Patience,
) -> Result<(), Refusal> {
    let _doing = control.waits(Waits::Channel);
    let mut way = Way::new(Some(control), patience);
    let turn = Turn::wait(runtime, &channel, None, &mut way).await?;
    control.sent(payload.len());
    let message = Message { tag, through: channel.address, payload, hops: 0, tally: None };
    delivery::forward(&turn, message, &mut way).await
}

/// Waits for `n` subscribers, sends to all, and waits until their mailboxes have it: how many do. 0: there were not so many
/// in time, and nothing was sent. Errors: as [`send`], but for timeout.
pub(super) async fn deliver(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    channel: Arc<Channel>,
    n: usize,
    (tag, payload): (u64, Payload),
    patience: Patience,
) -> Result<usize, Refusal> {
    let _doing = control.waits(Waits::Channel);
    let mut way = Way::new(Some(control), patience);
    if n > 0 && !audience(control, &channel, n, &mut way).await? {
        return Ok(0);
    }
    let turn = match Turn::wait(runtime, &channel, None, &mut way).await {
        Ok(turn) => turn,
        Err(refusal) if matches!(refusal.code, Code::Timeout | Code::Overloaded) => return Ok(0),
        Err(refusal) => return Err(refusal),
    };
    control.sent(payload.len());
    let tally = Arc::new(Tally::default());
    let message = Message { tag, through: channel.address, payload, hops: 0, tally: Some(Arc::clone(&tally)) };
    let sent = delivery::forward(&turn, message, &mut way).await;
    // Others send while this one waits for what was left to pumps.
    drop(turn);
    in_time(sent)?;
    in_time(tally.settled(&mut way).await)?;
    Ok(tally.delivered())
}

/// A time that is over is no failure: the count says what came of it.
fn in_time(outcome: Result<(), Refusal>) -> Result<(), Refusal> {
    match outcome {
        Err(refusal) if refusal.code == Code::Timeout => Ok(()),
        outcome => outcome,
    }
}

/// Waits until there are `n` subscribers, across sub-channels; `false`: not in time. Errors: gone, interrupted.
async fn audience(control: &Control, channel: &Channel, n: usize, way: &mut Way<'_>) -> Result<bool, Refusal> {
    let mut waiting = Waiting { control, seat: None };
    std::future::poll_fn(|cx| {
        {
            let mut book = control.group.tenant.channels.book.lock();
            if let Some(seat) = waiting.seat.take() {
                book.audience.withdraw(seat);
            }
            if !book.by_address.contains_key(&channel.address) {
                return Poll::Ready(Err(channel.gone()));
            }
            if book.graph.leaves(&channel.address) >= n {
                return Poll::Ready(Ok(true));
            }
            waiting.seat = Some(book.audience.wait(channel.address, n, cx.waker().clone()));
        }
        match way.given_up(cx) {
            None => Poll::Pending,
            Some(refusal) if refusal.code == Code::Timeout => Poll::Ready(Ok(false)),
            Some(refusal) => Poll::Ready(Err(refusal)),
        }
    })
    .await
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.control.group.tenant.channels.book.lock().audience.withdraw(seat);
        }
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
