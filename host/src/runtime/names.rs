//! The names of a tenant on this node, and waiting for one.

use super::control::{Control, Waits};
use super::launch::Runtime;
use super::mail::{Patience, Place};
use super::refusal::Refusal;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::sync::names::{self, Refused, Ticket};
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A tenant's names.
#[derive(Debug, Default)]
pub struct Names {
    table: Mutex<names::Names<Waker>>,
}

impl Names {
    /// A holder has ended.
    pub(super) fn forget(&self, holder: &Address) {
        self.table.lock().forget(holder);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Runtime {
    /// Gives a coroutine or channel of this tenant the name, until it ends. Errors: taken, overloaded, gone, denied, node-lost.
    pub fn register(&self, control: &Control, name: &str, holder: &Address) -> Result<(), Refusal> {
        let names = &control.group.tenant.names;
        match self.find_channel(control, holder) {
            Ok(channel) => {
                let mut woken = Vec::new();
                channel.name(|| {
                    woken = names.table.lock().register(name, *holder).map_err(|refused| refuse(name, refused))?;
                    Ok(())
                })?;
                woken.into_iter().for_each(Waker::wake);
                return Ok(());
            }
            Err(refusal) if refusal.code == Code::Denied => return Err(refusal),
            Err(_) => {}
        }
        let Place::Here(target) = self.find(control, holder)? else { return Err(Refusal::gone(holder)) };
        // Under the holder's lock: it cannot end between the look and the registration.
        let mut ties = target.ties.lock();
        if ties.ended {
            return Err(Refusal::gone(holder));
        }
        let woken = names.table.lock().register(name, *holder).map_err(|refused| refuse(name, refused))?;
        ties.named = true;
        drop(ties);
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Takes the name away; only the holder's computation may. Errors: not-found, denied.
    pub fn unregister(&self, control: &Control, name: &str) -> Result<(), Refusal> {
        let names = &control.group.tenant.names;
        let not_found = || Refusal::new(Code::NotFound, format!("nobody has the name {name:?}"));
        let found = names.table.lock().find(name).ok_or_else(not_found)?;
        let is_foreign = match self.find_channel(control, &found.holder) {
            Ok(channel) => !channel.is_owned_by(&control.group),
            Err(_) => {
                matches!(self.find(control, &found.holder), Ok(Place::Here(holder)) if !Arc::ptr_eq(&holder.group, &control.group))
            }
        };
        if is_foreign {
            let text = format!("{name:?} is a name of another computation: that one, or its holder's end, gives it up");
            return Err(Refusal::new(Code::Denied, text));
        }
        if names.table.lock().unregister(name, found) { Ok(()) } else { Err(not_found()) }
    }

    /// Waits for a holder of this name. Errors: timeout, overloaded, interrupted.
    pub(crate) async fn locate(
        &self,
        control: &Arc<Control>,
        name: &str,
        mut patience: Patience,
    ) -> Result<Address, Refusal> {
        let table = &control.group.tenant.names.table;
        let mut waiting = Waiting { table, name, ticket: None };
        let mut doing = None;
        std::future::poll_fn(|cx| {
            if let Some(reason) = control.take_interrupt() {
                return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
            }
            {
                let mut names = table.lock();
                if let Some(found) = names.find(name) {
                    return Poll::Ready(Ok(found.holder));
                }
                if patience.is_none() {
                    return Poll::Ready(Err(Refusal::timeout(&format!("nobody has the name {name:?}"))));
                }
                // Who was woken and finds that the name is gone again waits anew.
                if let Some(ticket) = waiting.ticket.take() {
                    names.withdraw(name, ticket);
                }
                match names.wait(name, cx.waker().clone()) {
                    Ok(ticket) => waiting.ticket = Some(ticket),
                    Err(refused) => return Poll::Ready(Err(refuse(name, refused))),
                }
            }
            if doing.is_none() {
                doing = Some(control.doing.wait(Waits::Locate));
            }
            patience.poll(cx).map(|()| Err(Refusal::timeout(&format!("nobody took the name {name:?} in time"))))
        })
        .await
    }
}

/// One who waits; withdrawn when dropped.
struct Waiting<'a> {
    table: &'a Mutex<names::Names<Waker>>,
    name: &'a str,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let waker = self.table.lock().withdraw(self.name, ticket);
            drop(waker);
        }
    }
}

fn refuse(name: &str, refused: Refused) -> Refusal {
    let code = match refused {
        Refused::Taken(_) => Code::Taken,
        Refused::TooMany | Refused::TooManyWait => Code::Overloaded,
    };
    Refusal::new(code, format!("name {name:?}: {refused}"))
}
