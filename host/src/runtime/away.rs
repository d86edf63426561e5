//! What coroutines do with those of other nodes: each call begins here, on the node of the caller, and ends with an answer, its
//! timeout, an interrupt, or the loss of the other node.

use super::control::{Control, Waits};
use super::exit;
use super::launch::Runtime;
use super::mail::{Patience, bounded};
use super::ports::{Ask, End, EndFollower, Guard, Way};
use super::promise::Promised;
use super::refusal::Refusal;
use super::relations::unknown;
use super::ties::Watch;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::task::Waker;
use tokio::sync::oneshot;

impl Runtime {
    /// One exit message will come to `watcher`, in the room that was promised.
    pub(crate) fn watch_away(
        &self,
        watcher: &Arc<Control>,
        target: &Address,
        way: &dyn Way,
        promised: Promised<&Control>,
    ) -> Result<(), Refusal> {
        // First, since the end may come before the follower is back.
        watcher.ties.lock().watching.insert(*target, Watch { held: promised.keep(), _away: None });
        let follower = ToMailbox { watcher: Arc::downgrade(watcher), target: *target };
        match way.monitor(&watcher.address, Box::new(follower)) {
            Ok(stop) => {
                let mut ties = watcher.ties.lock();
                match ties.watching.get_mut(target) {
                    Some(watch) => watch._away = Some(stop),
                    None => {
                        drop(ties);
                        drop(stop);
                    }
                }
                Ok(())
            }
            // It is lost, and that is an exit too.
            Err(refusal) if refusal.code == Code::NodeLost => {
                let record = lost(target);
                exit::tell(watcher, &record, &exit::exit_message(&record));
                Ok(())
            }
            Err(refusal) => {
                let watch = watcher.ties.lock().watching.remove(target);
                watcher.break_promise();
                drop(watch);
                Err(refusal)
            }
        }
    }

    /// Waits for the end of a coroutine of another node. Errors: timeout, expired, denied, node-lost, interrupted, overloaded.
    pub(super) async fn join_away(
        &self,
        control: &Arc<Control>,
        target: &Address,
        patience: Patience,
    ) -> Result<Arc<ExitRecord>, Refusal> {
        let way = self.away(&control.group, target)?;
        let joining = way.join(&control.address, Permit::nothing(&control.group.tenant.ledger, Resource::Held))?;
        let end = bounded(control, Waits::Join, patience, "it did not end in time", joining).await??;
        joined(target, end).map(|end| Arc::new(end.record))
    }

    /// The same without its value.
    pub(super) async fn over_away(
        &self,
        control: &Arc<Control>,
        target: &Address,
        patience: Patience,
    ) -> Result<(), Refusal> {
        let way = self.away(&control.group, target)?;
        let (told, end) = oneshot::channel();
        let stop = way.monitor(&control.address, Box::new(ToJoiner(told)))?;
        let end = bounded(control, Waits::Join, patience, "it did not end in time", end).await?;
        drop(stop);
        joined(target, end.unwrap_or(None)).map(drop)
    }

    /// Asks another node to do something to one of its coroutines. Errors: those of what is asked, timeout, interrupted,
    /// node-lost.
    pub async fn ask_away(
        &self,
        control: &Control,
        (target, way): (&Address, &dyn Way),
        ask: Ask,
        patience: Patience,
    ) -> Result<Bytes, Refusal> {
        let waits = "the other node gave no answer in time: it may still be done";
        let answer = way.ask(&control.address, ask);
        let waited = bounded(control, Waits::Events, patience, waits, answer).await?;
        waited.map_err(|refusal| of(target, refusal))
    }

    /// Asks a coroutine of another node to go on as another function. Errors: those of a swap, and timeout, interrupted,
    /// node-lost: it may be done all the same.
    pub async fn swap_away(
        &self,
        control: &Control,
        (target, way): (&Address, &dyn Way),
        (module, function): (Option<ModuleHash>, &str),
        patience: Patience,
    ) -> Result<(), Refusal> {
        let waits = "it did not answer the swap in time: unless it has just agreed, it goes on as it was";
        let swapped = way.swap(&control.address, module, function.to_owned());
        let waited = bounded(control, Waits::Swap, patience, waits, swapped).await?;
        waited.map_err(|refusal| of(target, refusal))
    }

    /// Sends a message that has to wait, to another node. Errors: gone, denied, overloaded, timeout, interrupted, node-lost.
    pub async fn send_away(
        &self,
        control: &Arc<Control>,
        way: &dyn Way,
        (tag, bytes, deliver): (u64, Bytes, bool),
        patience: Patience,
    ) -> Result<(), Refusal> {
        let size = bytes.len();
        if patience.is_none() && !deliver {
            let text = "there is no room at the receiver, or on the way to its node, and the send does not wait";
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let _held = self.hold_away(control, size)?;
        let (what, sending) = match deliver {
            true => ("the receiver's mailbox did not have it in time: it may still come", {
                way.deliver(&control.address, tag, bytes)
            }),
            false => ("there was no room at the receiver in time: the message was not sent", {
                way.send(&control.address, tag, bytes)
            }),
        };
        bounded(control, Waits::Send, patience, what, sending).await??;
        control.sent(size);
        Ok(())
    }

    /// Sends a request to another node and waits for its reply. Errors: gone, closed, denied, overloaded, timeout, interrupted,
    /// node-lost.
    pub async fn request_away(
        &self,
        control: &Arc<Control>,
        way: &dyn Way,
        tag: u64,
        bytes: Bytes,
        patience: Patience,
    ) -> Result<Bytes, Refusal> {
        let size = bytes.len();
        let _held = self.hold_away(control, size)?;
        control.sent(size);
        let reply = way.request(&control.address, tag, bytes);
        let what = "no reply came in time: the request may still take effect";
        let reply = bounded(control, Waits::Request, patience, what, reply).await??;
        control.traffic.received(reply.len());
        Ok(reply)
    }

    /// Follows the end of a coroutine of another node for `wait`. Errors: denied, overloaded.
    pub(super) fn watch_end_away(
        &self,
        from: &Control,
        target: &Address,
        waker: &Waker,
    ) -> Result<Option<AwayEnd>, Refusal> {
        let seen = Arc::new(Mutex::new(Some(waker.clone())));
        let way = match self.away(&from.group, target) {
            Ok(way) => way,
            // A node that cannot be reached is an end too.
            Err(refusal) if refusal.code == Code::NodeLost => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        match way.monitor(&from.address, Box::new(ToWaiter(Arc::clone(&seen)))) {
            Ok(stop) => Ok(Some(AwayEnd { waits: seen, _stop: stop })),
            Err(refusal) if refusal.code == Code::NodeLost => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What waits to be sent is kept, and charged for where it is more than a little.
    fn hold_away(&self, control: &Control, size: usize) -> Result<Option<Permit>, Refusal> {
        match size as u64 {
            size if size > limits::MAILBOX_FREE => Ok(Some(control.group.tenant.ledger.take(Resource::Held, size)?)),
            _ => Ok(None),
        }
    }
}

/// The end of a coroutine of another node, for one that waits for several things.
pub(crate) struct AwayEnd {
    /// Who waits, until it has come.
    waits: Arc<Mutex<Option<Waker>>>,
    _stop: Guard,
}

impl AwayEnd {
    pub fn has_come(&self) -> bool {
        self.waits.lock().is_none()
    }
}

/// An exit message.
struct ToMailbox {
    watcher: Weak<Control>,
    target: Address,
}

impl EndFollower for ToMailbox {
    fn ended(self: Box<Self>, end: Option<End>) {
        let Some(watcher) = self.watcher.upgrade() else { return };
        // Whatever the other node says: it is of the one that was asked about.
        let record = end.map_or_else(|| lost(&self.target), |end| ExitRecord { address: self.target, ..end.record });
        exit::tell(&watcher, &record, &exit::exit_message(&record));
    }
}

struct ToJoiner(oneshot::Sender<Option<End>>);

impl EndFollower for ToJoiner {
    fn ended(self: Box<Self>, end: Option<End>) {
        // Whoever waited has given up.
        let _ = self.0.send(end);
    }
}

struct ToWaiter(Arc<Mutex<Option<Waker>>>);

impl EndFollower for ToWaiter {
    fn ended(self: Box<Self>, _: Option<End>) {
        let waker = self.0.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// What is known of an end. Errors: node-lost, expired.
fn joined(target: &Address, end: Option<End>) -> Result<End, Refusal> {
    match end {
        None => Err(Refusal::new(Code::NodeLost, format!("the node of {target} cannot be reached any more"))),
        Some(End { expired: true, .. }) => {
            let text = "it ended and its record is no longer kept, or it was never there";
            Err(Refusal::new(Code::Expired, text))
        }
        Some(end) => Ok(end),
    }
}

fn of(target: &Address, refusal: Refusal) -> Refusal {
    if refusal.code == Code::Gone { Refusal::gone(target) } else { refusal }
}

fn lost(target: &Address) -> ExitRecord {
    unknown(target, Outcome::NodeLost(target.node))
}
