//! What comes from other nodes for coroutines of this one. Who asks has been authenticated: the tenant is that of the grant
//! under which the other node speaks.

use super::control::Control;
use super::launch::Runtime;
use super::mail;
use super::message::{Payload, ReplyTo};
use super::ports::{Ask, Replier, Told};
use super::post::Refused;
use super::refusal::Refusal;
use super::registry::Resident;
use super::relations;
use super::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::sync::mailbox::{Fate, Ticket};
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

/// A message of a coroutine of another node.
#[derive(Debug)]
pub struct Arrived {
    pub from: Address,
    pub tag: u64,
    pub bytes: Bytes,
    /// Channels that it came through, if it is of one.
    pub hops: u8,
    /// It is a request.
    pub reply: Option<Box<dyn Replier>>,
}

/// What became of it at once.
#[derive(Debug)]
pub enum Arrival {
    /// It is in its mailbox, which now has room for so many messages and bytes.
    Taken((usize, usize)),
    /// It waits for room.
    Waits,
    /// gone, denied, overloaded.
    Dropped(Refusal),
}

/// Is told once what became of a message that had to wait.
pub trait Settles: Send + Sync {
    fn taken(&self, free: (usize, usize));
    fn dropped(&self, why: &Refusal);
}

/// Stops following; dropped, the follower is forgotten.
pub struct Following {
    control: Weak<Control>,
    number: u64,
}

/// What was asked about an end.
pub enum Followed {
    /// It will be told.
    Later(Following),
    Ended(Arc<ExitRecord>),
    /// The record is not kept, or it was never there.
    Expired(Arc<ExitRecord>),
}

impl Runtime {
    /// Takes a message, at once or when there is room. `settles` is made where it has to wait.
    pub fn arrive(
        &self,
        tenant: &Arc<Tenant>,
        to: &Address,
        message: Arrived,
        settles: impl FnOnce() -> Arc<dyn Settles>,
    ) -> Arrival {
        // From here on it is answered that none will come, unless one does.
        let reply = message.reply.map(ReplyTo::away);
        let control = match self.resident(tenant, to) {
            Ok(control) => control,
            Err(refusal) => {
                if reply.is_none()
                    && let Some(Resident::Channel(channel)) = self.registry.get(to)
                {
                    return self.arrive_at(tenant, &channel, Arrived { reply: None, ..message });
                }
                reply.into_iter().for_each(ReplyTo::forget);
                return Arrival::Dropped(refusal);
            }
        };
        let size = message.bytes.len();
        let payload = payload(message.bytes);
        let mut letter = mail::letter(message.from, message.tag, payload);
        letter.body.reply = reply;
        let mut post = control.post.lock();
        match post.admits(size, 0) {
            Ok(()) => {
                let receiver = post.put(letter);
                let free = post.free();
                drop(post);
                receiver.into_iter().for_each(Waker::wake);
                Arrival::Taken(free)
            }
            Err(Refused::Full) => {
                let settles = settles();
                let arrival = Arc::new(Waits { control: Arc::downgrade(&control), ticket: Mutex::new(None), settles });
                let (ticket, receiver) = post.wait(letter, Waker::from(Arc::clone(&arrival)));
                *arrival.ticket.lock() = Some(ticket);
                drop(post);
                receiver.into_iter().for_each(Waker::wake);
                Arrival::Waits
            }
            Err(refused) => {
                drop(post);
                letter.body.reply.take().into_iter().for_each(ReplyTo::forget);
                Arrival::Dropped(match refused {
                    Refused::Quota(exhausted) => exhausted.into(),
                    _ => Refusal::gone(to),
                })
            }
        }
    }

    /// Does what a coroutine of another node asks. Errors: gone, denied, overloaded.
    pub fn serve_ask(self: &Arc<Self>, tenant: &Arc<Tenant>, to: &Address, ask: Ask) -> Result<Bytes, Refusal> {
        let target = self.resident(tenant, to);
        match ask {
            // One that has ended needs no ending.
            Ask::Terminate { by, reason } => match target {
                Ok(target) => self.terminate(&target, &by, &reason, limits::TERMINATE_GRACE),
                Err(refusal) if refusal.code == Code::Gone => {}
                Err(refusal) => return Err(refusal),
            },
            Ask::Interrupt { reason } => target?.interrupt(&reason),
            Ask::Resume { bytes } => {
                let held = tenant.ledger.take(Resource::Held, bytes.len() as u64)?;
                self.put_resume(&*target?, bytes, held)?;
            }
            Ask::Status => return Ok(relations::status(self, &*target?).into()),
        }
        Ok(Bytes::new())
    }

    /// Has `follower` called at the end of a coroutine, outside of all locks, unless it has ended. Errors: denied.
    pub fn follow_end(&self, tenant: &Arc<Tenant>, target: &Address, follower: Told) -> Result<Followed, Refusal> {
        match self.resident(tenant, target) {
            Ok(control) => {
                let mut ties = control.ties.lock();
                if !ties.ended {
                    let number = ties.follow(follower);
                    return Ok(Followed::Later(Following { control: Arc::downgrade(&control), number }));
                }
            }
            Err(refusal) if refusal.code == Code::Gone => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(match self.registry.get(target) {
            Some(Resident::Ended(past)) if target.incarnation == self.incarnation => {
                Followed::Ended(Arc::clone(&past.record))
            }
            _ => Followed::Expired(Arc::new(relations::forgotten(target))),
        })
    }

    /// The value of one that has ended and whose record is kept. Errors: expired, denied.
    pub fn value_of(&self, tenant: &Arc<Tenant>, target: &Address) -> Result<Bytes, Refusal> {
        match self.registry.get(target).filter(|_| target.incarnation == self.incarnation) {
            Some(other) if !other.is_of(tenant) => Err(self.denied(tenant, target)),
            Some(Resident::Ended(past)) => Ok(past.record.outcome.value().cloned().unwrap_or_default()),
            _ => Err(Refusal::new(Code::Expired, "its value was not kept until all of it was told")),
        }
    }

    /// How many monitors of other nodes wait for its end.
    pub fn followers(&self, control: &Control) -> usize {
        control.ties.lock().followers.len()
    }

    /// The record of one that may not be looked at.
    pub fn refused(&self, target: &Address, why: &Refusal) -> ExitRecord {
        relations::unknown(target, Outcome::Refused { code: why.code, why: why.detail.clone() })
    }

    /// A living coroutine of this tenant. Errors: gone, denied.
    pub(super) fn resident(&self, tenant: &Arc<Tenant>, to: &Address) -> Result<Arc<Control>, Refusal> {
        if to.node != self.node || to.incarnation != self.incarnation {
            return Err(Refusal::gone(to));
        }
        let resident = self.registry.get(to).ok_or_else(|| Refusal::gone(to))?;
        if !resident.is_of(tenant) {
            return Err(self.denied(tenant, to));
        }
        match resident {
            Resident::Coroutine(control) => Ok(control),
            Resident::Ended(_) | Resident::Channel(_) | Resident::Service(_) => Err(Refusal::gone(to)),
        }
    }

    pub(super) fn denied(&self, tenant: &Arc<Tenant>, to: &Address) -> Refusal {
        if let Some(denials) = tenant.denials.note(self.clock().now()) {
            let tenant = tenant.name();
            tracing::warn!(%to, tenant, denials, "denied: an address of another tenant, from another node");
        }
        Refusal::new(Code::Denied, format!("{to} belongs to another tenant: nothing crosses from tenant to tenant"))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let follower = self.control.upgrade().and_then(|control| control.ties.lock().followers.remove(&self.number));
        drop(follower);
    }
}

/// A message that waits for room in its mailbox, as local senders do: woken once, when its fate is known.
struct Waits {
    control: Weak<Control>,
    /// Set under the mailbox's lock, before anybody wakes it.
    ticket: Mutex<Option<Ticket>>,
    settles: Arc<dyn Settles>,
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        let Some(ticket) = self.ticket.lock().take() else { return };
        let gone = || Refusal::new(Code::Gone, "the receiver has ended");
        let Some(control) = self.control.upgrade() else { return self.settles.dropped(&gone()) };
        let (fate, free) = {
            let post = control.post.lock();
            (post.fate(ticket), post.free())
        };
        match fate {
            Fate::Accepted => self.settles.taken(free),
            Fate::Refused => self.settles.dropped(&gone()),
            // Woken too early: it is asked again.
            Fate::Waiting => *self.ticket.lock() = Some(ticket),
        }
    }
}

impl Drop for Waits {
    /// Nobody will wake it any more.
    fn drop(&mut self) {
        if self.ticket.lock().take().is_some() {
            self.settles.dropped(&Refusal::new(Code::Gone, "the receiver has ended"));
        }
    }
}

/// As it lies in mailboxes.
pub(super) fn payload(bytes: Bytes) -> Payload {
    match bytes.len() {
        // Shares memory with what was read around it.
        ..=COPIED => Payload::copy(&bytes),
        _ => Payload::from(bytes),
    }
}

/// What shares no memory with what was read around it, unless it is most of that.
pub fn owned(bytes: Bytes) -> Bytes {
    match bytes.len() {
        ..=COPIED => Bytes::copy_from_slice(&bytes),
        _ => bytes,
    }
}

/// A message of less than half of what is read at a time is copied: kept as it came, it would hold all that was read around it,
/// and its tenant is charged for the message alone.
const COPIED: usize = limits::READ_BYTES / 2;
