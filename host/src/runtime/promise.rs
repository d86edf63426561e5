//! Room in a coroutine's mailbox for one system message, made sure of before what will cause the message.

use super::control::Control;
use super::launch::Runtime;
use super::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use std::ops::Deref;

/// The room, and what the tenant is charged for it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Promised<C: Deref<Target = Control>> {
    pub held: Permit,
    room: Room<C>,
}

/// `None`: somebody else sees to it now.
#[derive(Debug)]
struct Room<C: Deref<Target = Control>>(Option<C>);

impl<C: Deref<Target = Control>> Promised<C> {
    /// Whoever has what this gives sends the message, or calls [`Control::break_promise`].
    pub fn keep(self) -> Permit {
        let Promised { held, mut room } = self;
        room.0 = None;
        held
    }
}

impl<C: Deref<Target = Control>> Drop for Room<C> {
    fn drop(&mut self) {
        self.0.iter().for_each(|control| control.break_promise());
    }
}

impl Runtime {
    /// Room for one system message of this coroutine, charged for. Errors: overloaded, gone.
    pub(crate) fn promise<'a>(&self, control: &'a Control) -> Result<Promised<&'a Control>, Refusal> {
        self.promise_of(control)
    }

    /// The same of one that is kept with it.
    pub(crate) fn promise_of<C: Deref<Target = Control>>(&self, control: C) -> Result<Promised<C>, Refusal> {
        let held = control.group.tenant.ledger.take(Resource::Held, limits::LETTER_BYTES)?;
        {
            let mut post = control.post.lock();
            if post.mailbox.reserve() {
                drop(post);
                return Ok(Promised { held, room: Room(Some(control)) });
            }
            if post.mailbox.is_closed() {
                return Err(Refusal::gone(control.address));
            }
        }
        let text = format!(
            "{} timers and monitored coroutines are waited for or unread, which is the limit (MAILBOX_RESERVED)",
            limits::MAILBOX_RESERVED
        );
        Err(Refusal::new(Code::Overloaded, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank::blank_controls;
    use super::*;

    #[test]
    fn room_that_is_promised_is_given_back_unless_it_is_kept() {
        let (runtime, controls) = blank_controls(1);
        let control = &controls[0];
        let held = || control.group.tenant.ledger.used(Resource::Held);
        for _ in 0..2 {
            let promised: Vec<_> =
                (0..limits::MAILBOX_RESERVED).map(|_| runtime.promise(control).expect("room")).collect();
            assert_eq!(runtime.promise(control).map(drop).map_err(|refusal| refusal.code), Err(Code::Overloaded));
            drop(promised);
            assert_eq!(held(), 0);
        }
        let kept = runtime.promise(control).expect("room").keep();
        let rest: Vec<_> = (1..limits::MAILBOX_RESERVED).map(|_| runtime.promise(control).expect("room")).collect();
        assert!(runtime.promise(control).is_err(), "what is kept is not given back");
        drop(rest);
        assert_eq!(held(), kept.amount());
    }
}
