//! What coroutines do to each other beside sending: monitor, link, join, interrupt, terminate, suspend and resume.

use super::away::AwayEnd;
use super::control::{Control, Waits};
use super::exit;
use super::launch::Runtime;
use super::link_away;
use super::mail::{Patience, Room, claim};
use super::place::Place;
use super::promise::Promised;
use super::refusal::Refusal;
use super::registry::Resident;
use super::ties::Watch;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

impl Runtime {
    /// One exit message will come to `watcher` when `target` ends, or at once if it has. Errors: denied, overloaded,
    /// invalid.
    pub fn monitor(&self, watcher: &Arc<Control>, target: &Address) -> Result<(), Refusal> {
        if *target == watcher.address {
            return Err(Refusal::new(
                Code::Invalid,
                "a coroutine cannot monitor itself: nobody would read the message",
            ));
        }
        // Another node's is lost, and that is an exit too.
        let place = match self.find(watcher, target) {
            Err(refusal) if refusal.code == Code::NodeLost => None,
            place => Some(place?),
        };
        if watcher.ties.lock().watching.contains_key(target) {
            return Ok(());
        }
        let promised = self.promise(watcher)?;
        if let Some(Place::Away(way)) = place {
            return self.watch_away(watcher, target, &*way, promised);
        }
        self.watch(watcher, target, place.as_ref(), promised);
        Ok(())
    }

    /// Sees to it that one exit message comes, in the room that was promised. `place`: `None` for one that is lost.
    pub(crate) fn watch(
        &self,
        watcher: &Arc<Control>,
        target: &Address,
        place: Option<&Place>,
        promised: Promised<&Control>,
    ) {
        watcher.ties.lock().watching.insert(*target, Watch { held: promised.keep(), _away: None });
        if let Some(Place::Here(control)) = place {
            let mut ties = control.ties.lock();
            if !ties.ended {
                ties.monitors.insert(watcher.address.counter, Arc::downgrade(watcher));
                return;
            }
        }
        let record = match self.registry.get(target) {
            Some(Resident::Ended(past)) if place.is_some() => Arc::clone(&past.record),
            _ if place.is_some() => Arc::new(forgotten(target)),
            _ => Arc::new(unknown(target, Outcome::NodeLost(target.node))),
        };
        exit::tell(watcher, &record, &exit::exit_message(&record));
    }

    /// No exit message will come any more. Errors: not-found.
    pub fn demonitor(&self, watcher: &Arc<Control>, target: &Address) -> Result<(), Refusal> {
        let watch = watcher.ties.lock().watching.remove(target);
        let Some(watch) = watch else {
            return Err(Refusal::new(
                Code::NotFound,
                format!("{target} is not monitored, or its exit message has come"),
            ));
        };
        watcher.post.lock().mailbox.release();
        drop(watch);
        if target.node == self.node
            && let Some(Resident::Coroutine(control)) = self.registry.get(target)
        {
            control.ties.lock().monitors.remove(&watcher.address.counter);
        }
        Ok(())
    }

    /// The abnormal end of either terminates the other.
    pub fn link(self: &Arc<Self>, one: &Arc<Control>, other: &Arc<Control>) {
        for (from, to) in [(one, other), (other, one)] {
            let mut ties = from.ties.lock();
            if !ties.ended {
                ties.links.insert(to.address.counter, Arc::downgrade(to));
                continue;
            }
            drop(ties);
            to.ties.lock().links.remove(&from.address.counter);
            if let Some(Resident::Ended(past)) = self.registry.get(&from.address)
                && past.record.outcome.is_abnormal()
            {
                let reason = link_away::reason(&from.address, past.record.outcome.name());
                self.terminate(to, link_away::BY, &reason, limits::TERMINATE_GRACE);
            }
        }
    }

    /// Waits for the end of `target`, not for its value. Errors: as [`Runtime::join`].
    pub(crate) async fn until_over(
        &self,
        control: &Arc<Control>,
        target: &Address,
        patience: Patience,
    ) -> Result<(), Refusal> {
        match target.node == self.node {
            true => self.join(control, target, patience).await.map(drop),
            false => self.over_away(control, target, patience).await,
        }
    }

    /// Waits for the end of `target`: its record. Errors: timeout, expired, denied, node-lost, interrupted, overloaded,
    /// invalid.
    pub(crate) async fn join(
        &self,
        control: &Arc<Control>,
        target: &Address,
        mut patience: Patience,
    ) -> Result<Arc<ExitRecord>, Refusal> {
        if *target == control.address {
            return Err(Refusal::new(Code::Invalid, "a coroutine cannot wait for its own end"));
        }
        if target.node != self.node {
            return self.join_away(control, target, patience).await;
        }
        let mut wait = None;
        let _doing = control.doing.wait(Waits::Join);
        let outcome = std::future::poll_fn(|cx| {
            if let Some(reason) = control.take_interrupt() {
                return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
            }
            match self.find(control, target) {
                Err(refusal) => return Poll::Ready(Err(refusal)),
                // Asked for before.
                Ok(Place::Away(_)) => return Poll::Ready(Err(Refusal::gone(target))),
                Ok(Place::Past(past)) => return Poll::Ready(Ok(Arc::clone(&past.record))),
                Ok(Place::Nowhere) => {
                    let owed = wait.as_ref().and_then(|Waiting(other, _)| other.ties.lock().owed.clone());
                    if let Some((record, _)) = owed {
                        return Poll::Ready(Ok(record));
                    }
                    let text = "it ended and its record is no longer kept, or it was never there";
                    return Poll::Ready(Err(Refusal::new(Code::Expired, text)));
                }
                Ok(Place::Here(other)) => {
                    if wait.is_none() {
                        let mut ties = other.ties.lock();
                        if ties.ended {
                            drop(ties);
                            cx.waker().wake_by_ref();
                        } else {
                            let number = ties.wait_for_end(cx.waker().clone());
                            drop(ties);
                            wait = Some(Waiting(other, number));
                        }
                    }
                }
            }
            patience.poll(cx).map(|()| Err(Refusal::timeout("it did not end in time")))
        })
        .await;
        drop(wait);
        outcome
    }

    /// Whether `target` has ended; if not, the waker is called when it has, until the guard is dropped.
    pub(crate) fn watch_end(
        &self,
        from: &Control,
        target: &Address,
        waker: &Waker,
    ) -> Result<Option<EndWatch>, Refusal> {
        if target.node != self.node {
            return Ok(self.watch_end_away(from, target, waker)?.map(EndWatch::Away));
        }
        let Place::Here(other) = self.find(from, target)? else { return Ok(None) };
        let mut ties = other.ties.lock();
        if ties.ended {
            return Ok(None);
        }
        let number = ties.wait_for_end(waker.clone());
        drop(ties);
        Ok(Some(EndWatch::Here { target: *target, _waiting: Waiting(other, number) }))
    }

    /// The end that is waited for has come.
    pub(crate) fn has_come(&self, end: &EndWatch) -> bool {
        match end {
            EndWatch::Here { target, .. } => !matches!(self.registry.get(target), Some(Resident::Coroutine(_))),
            EndWatch::Away(end) => end.has_come(),
        }
    }

    /// Ends the target's suspend, or its next one. Errors: gone, denied, overloaded, node-lost.
    pub fn resume(&self, from: &Control, to: &Address, bytes: Bytes) -> Result<(), Refusal> {
        let target = self.find_here(from, to)?;
        let held = from.group.tenant.ledger.take(Resource::Held, bytes.len() as u64)?;
        self.put_resume(&target, bytes, held)
    }

    /// Keeps a resume for the target, or ends its suspend. Errors: gone, overloaded.
    pub(super) fn put_resume(&self, target: &Control, bytes: Bytes, held: Permit) -> Result<(), Refusal> {
        {
            let mut ties = target.ties.lock();
            if ties.ended {
                return Err(Refusal::gone(target.address));
            }
            if ties.resume.is_some() {
                return Err(Refusal::new(Code::Overloaded, "a resume waits there already, and one is kept"));
            }
            ties.resume = Some((bytes, held));
        }
        target.wake();
        Ok(())
    }

    /// Whether a coroutine keeps its computation open; `true` when that is new.
    pub(crate) fn set_daemon(self: &Arc<Self>, control: &Control, daemon: bool) -> bool {
        let is_new = control.daemon.swap(daemon, Ordering::Relaxed) != daemon;
        if is_new {
            self.follow_up(&control.group, control.group.set_daemon(daemon));
        }
        is_new
    }
}

/// Waits for `resume`: its bytes, and what the tenant is charged where they do not fit. Errors: timeout, interrupted,
/// overloaded.
pub(crate) async fn suspend(
    control: &Arc<Control>,
    room: Room,
    mut patience: Patience,
) -> Result<(Bytes, Option<Permit>), Refusal> {
    let _doing = control.doing.wait(Waits::Suspend);
    std::future::poll_fn(|cx| {
        if let Some(reason) = control.take_interrupt() {
            return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
        }
        {
            let mut ties = control.ties.lock();
            if let Some((bytes, _)) = &ties.resume {
                return Poll::Ready(match claim(control, bytes.len(), room) {
                    Err(refusal) => Err(refusal),
                    Ok(held) => Ok((ties.resume.take().map(|(bytes, _)| bytes).unwrap_or_default(), held)),
                });
            }
        }
        patience.poll(cx).map(|()| Err(Refusal::timeout("no resume came in time")))
    })
    .await
}

/// What a coroutine does, in CBOR: a map of `state`, `waiting`, `function`, `module`, `daemon`, `mailbox`,
/// `mailbox_bytes`, `senders`, `usage`.
pub(crate) fn status(runtime: &Runtime, control: &Control) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Status<'a> {
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting: Option<&'static str>,
        function: &'a str,
        module: ModuleHash,
        daemon: bool,
        mailbox: usize,
        mailbox_bytes: usize,
        /// Coroutines that wait for room in its mailbox.
        senders: usize,
        /// Messages of its timers that found no room.
        dropped: u64,
        usage: Usage,
    }
    let program = control.program();
    let (mailbox, mailbox_bytes, senders) = {
        let post = control.post.lock();
        (post.mailbox.len(), post.mailbox.bytes(), post.mailbox.senders())
    };
    let waiting = control.doing.word();
    let status = Status {
        state: if waiting.is_some() { "waiting" } else { "running" },
        waiting,
        function: &program.function,
        module: program.module,
        daemon: control.is_daemon(),
        mailbox,
        mailbox_bytes,
        senders,
        dropped: control.dropped(),
        usage: control.usage(runtime.clock().now(), control.cpu(), 0),
    };
    let mut bytes = Vec::with_capacity(256);
    // Writing to memory cannot fail, and all of it has a CBOR form.
    let _ = ciborium::into_writer(&status, &mut bytes);
    bytes
}

/// An end that is waited for among other things, until this is dropped.
pub(crate) enum EndWatch {
    Here { target: Address, _waiting: Waiting },
    Away(AwayEnd),
}

/// Waits for another's end; forgotten when dropped.
pub(crate) struct Waiting(Arc<Control>, u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        let gone = {
            let mut ties = self.0.ties.lock();
            let (waker, owed) = (ties.waits.remove(&self.1), &mut ties.owed);
            let seen = match owed {
                Some((_, count)) if *count > 1 => {
                    *count -= 1;
                    None
                }
                _ => owed.take(),
            };
            (waker, seen)
        };
        drop(gone);
    }
}

/// The record of one that has none any more.
pub(super) fn forgotten(address: &Address) -> ExitRecord {
    let text = "it ended before, and its record is no longer kept; or it was never there";
    unknown(address, Outcome::Failed { kind: "unknown".into(), text: text.into() })
}

/// The record of one of which nothing is known.
pub(super) fn unknown(address: &Address, outcome: Outcome) -> ExitRecord {
    ExitRecord {
        address: *address,
        module: ModuleHash([0; 32]),
        function: "".into(),
        attempt: 0,
        outcome,
        usage: Usage::default(),
    }
}
