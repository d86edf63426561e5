//! The end of a coroutine: how the engine's words become an outcome, and how everything it held and everyone who waits
//! for it is settled, once, whatever happened.

use super::control::{Control, Stop};
use super::coroutine::Ended;
use super::group::Then;
use super::launch::{Program, Runtime};
use super::link_away;
use super::message::{self, Kind, Payload};
use super::ports::Observer;
use super::refusal::Refusal;
use super::registry::{Past, Resident};
use super::ties::{Ties, Watch};
use bytes::Bytes;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use corovan_core::text::cut;
use corovan_core::wire::{ExitRecord, Outcome};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wasmtime::{Trap, WasmBacktrace};

/// Settles a coroutine's end, also when its task is dropped or a host function panics.
pub(super) struct ExitGuard {
    pub observer: Arc<dyn Observer>,
    pub control: Arc<Control>,
    pub attempt: u32,
    pub runtime: Arc<Runtime>,
    /// Given back by the end.
    pub held: Option<Permit>,
}

impl ExitGuard {
    pub fn finish(mut self, outcome: Outcome, memory_peak: u64) {
        self.report(outcome, memory_peak);
    }

    fn report(&mut self, mut outcome: Outcome, memory_peak: u64) {
        let Some(held) = self.held.take() else { return };
        let control = &self.control;
        control.end();
        drop(held);
        if let Some(order) = control.termination() {
            let value = outcome.value().filter(|value| !value.is_empty()).cloned();
            if !matches!(outcome, Outcome::Deadline { .. } | Outcome::OutOfBudget { .. }) {
                outcome = Outcome::Terminated { by: order.by, reason: order.reason, value };
            }
        }
        let now = self.runtime.scheduler.about();
        let program = control.program();
        let record = Arc::new(ExitRecord {
            address: control.address,
            module: program.module,
            function: Arc::clone(&program.function),
            attempt: self.attempt,
            outcome,
            usage: control.usage(now, control.cpu() + control.slice_time(now), memory_peak),
        });
        settle(&self.runtime, control, &record, now, self.observer.is_recorded());
        self.observer.ended(&record);
        let then = control.group.leave(control.daemon.load(Ordering::Relaxed));
        self.runtime.follow_up(&control.group, then);
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        let outcome = match self.runtime.scheduler.is_stopping() {
            // Taken down with its node, which did not wait for it.
            true => {
                let (by, reason) = ("node".into(), "the node is shutting down".into());
                Outcome::Terminated { by, reason, value: None }
            }
            false => Outcome::Failed { kind: "host".into(), text: "the node ended it: see the node's log".into() },
        };
        self.report(outcome, 0);
    }
}

/// Gives back what it held and tells those who wait for its end.
fn settle(runtime: &Arc<Runtime>, control: &Arc<Control>, record: &Arc<ExitRecord>, now: u64, recorded: bool) {
    let address = control.address;
    let past = Past { record: Arc::clone(record), tenant: Arc::clone(&control.group.tenant) };
    // Whoever sees that it has ended finds its names free; what is given until its ties are closed is taken back below.
    if control.ties.lock().named {
        control.group.tenant.names.forget(&address);
    }
    // First it is seen as ended, then its ties are closed: who finds the ties closed finds the record.
    runtime.registry.insert(address.counter, Resident::Ended(Arc::new(past)));
    let ties = {
        let mut ties = control.ties.lock();
        let closed = std::mem::take(&mut *ties);
        ties.ended = true;
        ties.owed = (!closed.waits.is_empty()).then(|| (Arc::clone(record), closed.waits.len()));
        closed
    };
    let leftovers = control.post.lock().close();
    drop(leftovers.closed.unread);
    leftovers.closed.waited.into_iter().for_each(|(_, waker)| waker.wake());
    leftovers.closed.holding.into_iter().for_each(std::task::Waker::wake);
    drop(leftovers.waker);
    let Ties { monitors, followers, links, links_away, waits, watching, timers, swap, named, .. } = ties;
    let (subscriptions, services) = (ties.subscriptions, ties.services);
    services.values().for_each(|service| runtime.end_service(service));
    if named {
        control.group.tenant.names.forget(&address);
    }
    for timed in timers.into_values() {
        runtime.cancel_timed(&timed);
    }
    if let Some(swap) = swap {
        swap.end(Err(Refusal::gone(address)));
    }
    for channel in subscriptions.into_values().filter_map(|channel| channel.upgrade()) {
        // It may have been unsubscribed meanwhile.
        let _ = channel.unsubscribe(&address);
    }
    for (watched, _away) in watching {
        if let Some(Resident::Coroutine(other)) = runtime.registry.get(&watched) {
            other.ties.lock().monitors.remove(&address.counter);
        }
    }
    if !monitors.is_empty() {
        let message = exit_message(record);
        for watcher in monitors.into_values().filter_map(|watcher| watcher.upgrade()) {
            tell(&watcher, record, &message);
        }
    }
    followers.into_values().for_each(|follower| follower(record));
    for other in links.into_values().filter_map(|other| other.upgrade()) {
        other.ties.lock().links.remove(&address.counter);
        if record.outcome.is_abnormal() {
            let reason = link_away::reason(&address, record.outcome.name());
            runtime.terminate(&other, link_away::BY, &reason, limits::TERMINATE_GRACE);
        }
    }
    links_away.into_values().for_each(|link| link.ended(&address, &record.outcome));
    waits.into_values().for_each(std::task::Waker::wake);
    let forgotten = match recorded {
        true => control.group.keep_exit(now, address.counter, weight(record)),
        false => vec![address.counter],
    };
    forgotten.into_iter().for_each(|counter| runtime.registry.remove(counter));
}

/// An exit record as coroutines read it; a large value is left to `join`.
pub(super) fn exit_message(record: &ExitRecord) -> Payload {
    Payload::from(Bytes::from(record.to_cbor(limits::EXIT_VALUE_BYTES)))
}

/// Sends the exit message for which room was promised; nothing if it is not wanted any more.
pub(super) fn tell(watcher: &Arc<Control>, record: &ExitRecord, message: &Payload) {
    let watch = watcher.ties.lock().watching.remove(&record.address);
    let Some(Watch { mut held, .. }) = watch else { return };
    // What the tenant's quota does not cover is left out rather than the message.
    let payload = match held.grow(message.len() as u64) {
        Ok(()) => message.clone(),
        Err(_) => Payload::from(Bytes::from(record.to_cbor(0))),
    };
    watcher.push_reserved(message::notice(Kind::Exit, record.address, payload, held));
}

/// What a kept record takes.
fn weight(record: &ExitRecord) -> u64 {
    const RECORD: u64 = 512;
    RECORD + record.outcome.size() as u64
}

/// A job that is to run, or runs: it keeps its computation open as a working coroutine does.
pub struct Attendance(Arc<Runtime>, Arc<super::Group>);

impl Drop for Attendance {
    fn drop(&mut self) {
        let then = self.1.leave(false);
        self.0.follow_up(&self.1, then);
    }
}

impl Runtime {
    /// Keeps a computation open; `None` when it is being ended.
    pub fn attend(self: &Arc<Self>, group: &Arc<super::Group>) -> Option<Attendance> {
        group.enter(false).then(|| Attendance(Arc::clone(self), Arc::clone(group)))
    }

    /// What a change in a computation's census asks for.
    pub(super) fn follow_up(self: &Arc<Self>, group: &Arc<super::Group>, then: Then) {
        match then {
            Then::Nothing => {}
            Then::EndDaemons => {
                self.end_abroad_of(group, "node", "its computation has ended");
                let daemons = self.registry.coroutines(|control| Arc::ptr_eq(&control.group, group));
                for daemon in daemons {
                    self.terminate(&daemon, "node", "its computation has ended", limits::TERMINATE_GRACE);
                }
            }
            Then::Over => {
                self.end_abroad_of(group, "node", "its computation has ended");
                self.close_channels(group);
                group.take_exits().into_iter().for_each(|counter| self.registry.remove(counter));
                group.tell_over();
            }
        }
    }
}

pub(super) fn stopped(stop: Stop, result: Option<Bytes>) -> Outcome {
    match stop {
        Stop::Deadline(limit) => Outcome::Deadline { limit },
        Stop::Budget(limit) => Outcome::OutOfBudget { limit },
        Stop::Start => Outcome::Failed {
            kind: "start".into(),
            text: format!("its start function or _initialize did not end within {:?}", limits::START_TIME),
        },
        // Who and why is filled in by the exit guard, from the order.
        Stop::Terminated => Outcome::Terminated { by: String::new(), reason: String::new(), value: result },
    }
}

pub(super) fn ended(
    outcome: wasmtime::Result<()>,
    result: Option<Bytes>,
    program: &Program,
    refused_memory: Option<u64>,
) -> Outcome {
    let Err(error) = outcome else {
        return match result {
            Some(value) => Outcome::Finished(value),
            None if program.is_command() => Outcome::Exited(0),
            None => Outcome::Finished(Bytes::new()),
        };
    };
    match error.downcast_ref::<Ended>() {
        Some(Ended::Exit(code)) if *code == 0 && result.is_some() => Outcome::Finished(result.unwrap_or_default()),
        Some(Ended::Exit(code)) => Outcome::Exited(*code),
        Some(Ended::Fail { kind, text }) => Outcome::Failed { kind: kind.clone(), text: text.clone() },
        Some(Ended::Broken(rule)) => Outcome::Trapped {
            kind: "host-call".into(),
            backtrace: cut(format!("{rule}\n{}", backtrace(&error)), limits::BACKTRACE_BYTES),
        },
        None => {
            if let Some(limit) = refused_memory {
                return Outcome::OutOfMemory { limit };
            }
            match error.downcast_ref::<Trap>() {
                Some(trap) => Outcome::Trapped {
                    kind: trap_kind(*trap),
                    backtrace: cut(backtrace(&error), limits::BACKTRACE_BYTES),
                },
                // A function of wasmtime-wasi's that the guest gave a bad pointer or a number that means nothing.
                None if error.is::<WasmBacktrace>() => {
                    let text = format!("{}\n{}", error.root_cause(), backtrace(&error));
                    Outcome::Trapped { kind: "host-call".into(), backtrace: cut(text, limits::BACKTRACE_BYTES) }
                }
                None => {
                    Outcome::Failed { kind: "host".into(), text: cut(format!("{error:#}"), limits::BACKTRACE_BYTES) }
                }
            }
        }
    }
}

/// wasmtime's word for the trap, in the style of our other names.
fn trap_kind(trap: Trap) -> String {
    match trap {
        Trap::StackOverflow => "stack-overflow".into(),
        Trap::UnreachableCodeReached => "unreachable".into(),
        Trap::MemoryOutOfBounds => "memory-out-of-bounds".into(),
        Trap::TableOutOfBounds => "table-out-of-bounds".into(),
        Trap::IntegerDivisionByZero => "division-by-zero".into(),
        Trap::IntegerOverflow => "integer-overflow".into(),
        Trap::BadConversionToInteger => "bad-conversion-to-integer".into(),
        Trap::IndirectCallToNull => "indirect-call-to-null".into(),
        Trap::BadSignature => "bad-signature".into(),
        other => other.to_string().replace(' ', "-"),
    }
}

fn backtrace(error: &wasmtime::Error) -> String {
    /// Takes no more than a backtrace may have: the guest's names in it are as long as its author likes.
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = (limits::BACKTRACE_BYTES + 1).saturating_sub(self.0.len());
            self.0.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
            if text.len() > room { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        // An error says that the rest does not fit.
        let _ = write!(text, "{trace}");
    }
    text.0
}
