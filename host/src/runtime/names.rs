//! The names of a tenant on this node, and waiting for one.

use super::control::{Control, Waits};
use super::launch::Runtime;
use super::mail::{Patience, bounded};
use super::message::{self, Kind, Payload};
use super::place::Place;
use super::ports;
use super::promise::Promised;
use super::refusal::Refusal;
use super::registry::Resident;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::sync::names::{self, Refused, Ticket};
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

/// A tenant's names that coroutines and channels of this node have, and who waits for one here.
#[derive(Default)]
pub struct Names {
    table: Mutex<names::Names<Waker>>,
    /// Where others find them, once some are known there.
    mesh: OnceLock<Arc<dyn ports::Names>>,
}

impl Names {
    /// A holder has ended.
    pub(super) fn forget(&self, holder: &Address) {
        self.table.lock().forget(holder);
        self.mesh.get().into_iter().for_each(|mesh| mesh.forget(*holder));
    }

    /// Who has it here.
    pub(super) fn find(&self, name: &str) -> Option<Address> {
        self.table.lock().find(name).map(|found| found.holder)
    }

    /// Gives it to one of this node: who waited for it. Errors: taken, overloaded.
    pub(super) fn register(&self, name: &str, holder: Address) -> Result<Vec<Waker>, Refusal> {
        self.table.lock().register(name, holder).map_err(|refused| refuse(name, refused))
    }

    /// Where others find them from now on.
    pub(super) fn set_mesh(&self, mesh: &Arc<dyn ports::Names>) {
        let _ = self.mesh.set(Arc::clone(mesh));
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
    /// Gives a coroutine or channel of this node and tenant the name, until it ends. Errors: taken, overloaded, gone, denied,
    /// timeout, interrupted, unsupported.
    pub(crate) async fn register(
        &self,
        control: &Arc<Control>,
        name: &str,
        holder: &Address,
        timeout: u64,
    ) -> Result<(), Refusal> {
        let Some(mesh) = self.names.get() else { return self.register_here(control, name, holder) };
        if holder.node != self.node {
            let text = format!("{holder} is on another node: a name is registered where its holder is");
            return Err(Refusal::new(Code::Unsupported, text));
        }
        // What is refused here is refused before others are asked.
        let target = match self.find_channel(control, holder) {
            Ok(_) => None,
            Err(refusal) if refusal.code == Code::Denied => return Err(refusal),
            Err(_) => Some(self.find_here(control, holder)?),
        };
        let names = &control.group.tenant.names;
        match names.table.lock().find(name) {
            Some(found) if found.holder == *holder => return Ok(()),
            Some(found) => return Err(refuse(name, Refused::Taken(found.holder))),
            None => {}
        }
        names.set_mesh(mesh);
        // A channel is told nothing.
        let promised = target.as_ref().map(|holder| Ok::<_, Refusal>((holder, self.promise(holder)?))).transpose()?;
        let deadline = self.clock().now().saturating_add(timeout);
        let asked = mesh.register(&control.group, name, *holder, deadline);
        // It ends at its deadline by itself, and then nothing of it remains.
        let what = "the name was not given in time";
        bounded(control, Waits::Locate, Patience::Forever, what, asked).await??;
        let outcome = self.register_here(control, name, holder);
        match &outcome {
            Ok(()) => promised.into_iter().for_each(|(holder, promised)| keep_promised(holder, name, promised)),
            Err(_) => mesh.unregister(&control.group, name, *holder),
        }
        outcome
    }

    /// The same among the coroutines of this node. Errors: taken, overloaded, gone, denied, unsupported.
    pub fn register_here(&self, control: &Control, name: &str, holder: &Address) -> Result<(), Refusal> {
        let names = &control.group.tenant.names;
        match self.find_channel(control, holder) {
            Ok(channel) => {
                let mut woken = Vec::new();
                channel.name(|| {
                    woken = names.register(name, *holder)?;
                    Ok(())
                })?;
                woken.into_iter().for_each(Waker::wake);
                return Ok(());
            }
            Err(refusal) if refusal.code == Code::Denied => return Err(refusal),
            Err(_) => {}
        }
        let target = self.find_here(control, holder)?;
        // Under the holder's lock: it cannot end between the look and the registration.
        let mut ties = target.ties.lock();
        if ties.ended {
            return Err(Refusal::gone(holder));
        }
        let woken = names.register(name, *holder)?;
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
        if let Some(Resident::Service(_)) = self.registry.get(&found.holder) {
            let text = format!("{name:?} is the name of a service: unserve gives it up");
            return Err(Refusal::new(Code::Denied, text));
        }
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
        if !names.table.lock().unregister(name, found) {
            return Err(not_found());
        }
        if let Some(mesh) = self.names.get() {
            mesh.unregister(&control.group, name, found.holder);
            if let Some(Resident::Coroutine(holder)) = self.registry.get(&found.holder) {
                let slot = holder.ties.lock().lost_names.remove(name);
                slot.into_iter().for_each(|_| holder.break_promise());
            }
        }
        Ok(())
    }

    /// Another node's registration of the name was older: the holder is told, and has it no longer.
    pub fn name_lost(&self, name: &str, holder: &Address) {
        let tenant = match self.registry.get(holder) {
            Some(Resident::Coroutine(control)) => {
                tell_lost(&control, name, holder);
                Arc::clone(&control.group.tenant)
            }
            Some(Resident::Service(service)) => {
                if let Some(owner) = service.owner() {
                    owner.ties.lock().services.remove(name);
                    tell_lost(&owner, name, holder);
                }
                self.registry.remove(holder.counter);
                match service.tenant() {
                    Some(tenant) => tenant,
                    None => return,
                }
            }
            Some(Resident::Channel(channel)) => match channel.tenant() {
                Some(tenant) => tenant,
                None => return,
            },
            _ => return,
        };
        let mut table = tenant.names.table.lock();
        if let Some(found) = table.find(name).filter(|found| found.holder == *holder) {
            table.unregister(name, found);
        }
    }

    /// A holder of this name on this node, without asking any other. Errors: timeout.
    pub(crate) fn locate_here(&self, control: &Control, name: &str) -> Result<Address, Refusal> {
        let found = control.group.tenant.names.find(name);
        found.ok_or_else(|| {
            Refusal::timeout(&format!("nobody on this node has the name {name:?}, and others are not waited for"))
        })
    }

    /// Waits for a holder of this name; without a timeout for the word of its home. Errors: timeout, overloaded, interrupted.
    pub(crate) async fn locate(&self, control: &Arc<Control>, name: &str, timeout: u64) -> Result<Address, Refusal> {
        if let Some(mesh) = self.names.get() {
            if let Some(known) = control.group.tenant.names.find(name) {
                return Ok(known);
            }
            let (wait, longest) = match timeout {
                0 => (false, limits::NAME_CALL.as_nanos() as u64),
                _ => (true, timeout),
            };
            let asked = mesh.locate(&control.group, name, wait, self.clock().now().saturating_add(longest));
            let what = "nobody took the name in time";
            return bounded(control, Waits::Locate, Patience::Forever, what, asked).await?;
        }
        let mut patience = self.patience(timeout);
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

/// The message for which room was promised.
fn tell_lost(control: &Control, name: &str, holder: &Address) {
    let held = control.ties.lock().lost_names.remove(name);
    if let Some(held) = held {
        control.push_reserved(message::notice(Kind::NameLost, *holder, Payload::copy(name.as_bytes()), held));
    }
}

/// Keeps the room for that message, until its holder loses the name or gives it back.
pub(super) fn keep_promised(holder: &Control, name: &str, promised: Promised<&Control>) {
    holder.ties.lock().lost_names.insert(name.to_owned(), promised.keep());
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.lock().fmt(f)
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

pub(super) fn refuse(name: &str, refused: Refused) -> Refusal {
    let code = match refused {
        Refused::Taken(_) => Code::Taken,
        Refused::TooMany | Refused::TooManyWait => Code::Overloaded,
    };
    Refusal::new(code, format!("name {name:?}: {refused}"))
}
