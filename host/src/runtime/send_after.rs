//! Timers that send a message: to oneself in room promised when the timer is made, to another as a send that does not
//! wait. They belong to the coroutine that made them and end with it.

use super::control::Control;
use super::launch::Runtime;
use super::mail;
use super::message::{Kind, Letter, Parcel, Payload};
use super::place::Place;
use super::refusal::Refusal;
use super::ties::Timed;
use super::timers::Fire;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Resource;
use std::sync::Arc;

impl Runtime {
    /// After `delay` nanoseconds the message goes to `to`; the timer's number. Errors: denied, overloaded, node-lost.
    pub fn send_after(
        self: &Arc<Self>,
        control: &Arc<Control>,
        delay: u64,
        to: &Address,
        tag: u64,
        payload: Payload,
    ) -> Result<u64, Refusal> {
        let is_own = *to == control.address;
        let size = payload.len();
        let held = if is_own {
            let mut promised = self.promise(control)?;
            promised.held.grow(size as u64)?;
            promised.keep()
        } else {
            self.find(control, to)?;
            if control.ties.lock().timers.len() >= limits::COROUTINE_TIMERS {
                let text =
                    format!("{} timers are set, which is the limit (COROUTINE_TIMERS)", limits::COROUTINE_TIMERS);
                return Err(Refusal::new(Code::Overloaded, text));
            }
            control.group.tenant.ledger.take(Resource::Held, limits::LETTER_BYTES + size as u64)?
        };
        let kind = if is_own { Kind::Timer } else { Kind::Message };
        let body = Parcel { payload, reply: None, held: Some(held) };
        let letter = Letter { kind, tag, sender: control.address, via: 0, size: if is_own { 0 } else { size }, body };
        let deadline = self.clock().now().saturating_add(delay);
        let mut ties = control.ties.lock();
        let number = ties.next_timer();
        let to = (!is_own).then_some(*to);
        ties.timers.insert(number, Timed { shard: 0, id: None, to, letter });
        drop(ties);
        if deadline < u64::MAX {
            let fire = Fire::Send(Arc::downgrade(self), Arc::downgrade(control), number);
            let (shard, id) = self.scheduler.fire_at(deadline, fire);
            // It may have fired by now.
            if let Some(timed) = control.ties.lock().timers.get_mut(&number) {
                (timed.shard, timed.id) = (shard, Some(id));
            }
        }
        Ok(number)
    }

    /// The timer's message will not be sent. Errors: not-found.
    pub fn cancel_timer(&self, control: &Control, number: u64) -> Result<(), Refusal> {
        let Some(timed) = control.ties.lock().timers.remove(&number) else {
            return Err(Refusal::new(
                Code::NotFound,
                format!("timer {number} was never set, was cancelled, or has sent"),
            ));
        };
        self.cancel_timed(&timed);
        if timed.to.is_none() {
            control.post.lock().mailbox.release();
        }
        Ok(())
    }

    pub(super) fn cancel_timed(&self, timed: &Timed) {
        if let Some(id) = timed.id {
            self.scheduler.cancel(timed.shard, id);
        }
    }

    /// Sends a timer's message, if it has not been cancelled.
    pub(super) fn timer_is_due(&self, control: &Arc<Control>, number: u64) {
        let Some(timed) = control.ties.lock().timers.remove(&number) else { return };
        let Some(to) = timed.to else { return control.push_reserved(timed.letter) };
        let mut letter = timed.letter;
        // From here on the receiver's mailbox is what is charged.
        letter.body.held = None;
        let outcome = match self.find(control, &to) {
            Ok(Place::Here(target)) => mail::put(&target, letter.size, || letter).map(|unsent| unsent.is_none()),
            Ok(Place::Away(way)) => way.send_now(&control.address, letter.tag, &letter.body.payload),
            Ok(_) => Ok(false),
            Err(refusal) => Err(refusal),
        };
        if !matches!(outcome, Ok(true)) {
            control.drop_timed();
            tracing::debug!(from = %control.address, %to, ?outcome, "a timer's message was dropped");
        }
    }
}
