//! Coroutines that coroutines of this node have made on others: they count for their job and computation as if they were here,
//! and end with them.

use super::exit::Attendance;
use super::group::Group;
use super::launch::Runtime;
use super::ports::{End, EndFollower, Observer, Sprout};
use super::stdio::Stream;
use super::tree::Tree;
use bytes::{Buf, Bytes};
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::text::cut;
use corovan_core::wire::ExitRecord;
use corovan_core::wire::records::{Log, Progress};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// Those of this node.
#[derive(Default)]
pub struct Abroad(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    made: BTreeMap<u64, Made>,
}

/// One of them.
struct Made {
    group: Arc<Group>,
    tree: Arc<Tree>,
    sprout: Arc<dyn Sprout>,
}

/// What keeps job and computation open for one of them; dropped when it and all that it made there have ended, or its node is
/// lost.
pub struct Standing {
    runtime: Weak<Runtime>,
    number: u64,
    tree: Arc<Tree>,
    _attendance: Option<Attendance>,
}

/// Where an end is told that may come before anybody stands in for the one that ends, and what is said until then.
#[derive(Clone)]
pub struct Ending(Arc<Mutex<State>>);

/// Whoever hears what a coroutine on another node says. Kept, it keeps open what follows that coroutine.
pub struct Ear {
    observer: Arc<dyn Observer>,
    /// A part of what it says waits for room.
    is_busy: AtomicBool,
}

/// A part that is being taken, until dropped.
pub struct Listening(Arc<Ear>);

enum State {
    Making(Arc<Ear>),
    Standing(Standing, Arc<Ear>),
    Over(Option<(ExitRecord, Arc<Ear>)>),
}

impl Ending {
    /// Of a coroutine that is being made for this observer.
    pub fn new(observer: Arc<dyn Observer>) -> Ending {
        Ending(Arc::new(Mutex::new(State::Making(Arc::new(Ear::new(observer))))))
    }

    /// It was made, and this stands in for it.
    pub fn stand(&self, standing: Standing) {
        let mut state = self.0.lock();
        match &mut *state {
            State::Over(over) => {
                let over = over.take();
                drop(state);
                over.iter().for_each(|(record, ear)| standing.ended(record, ear));
            }
            State::Making(ear) => {
                let ear = Arc::clone(ear);
                *state = State::Standing(standing, ear);
            }
            State::Standing(..) => {}
        }
    }
}

impl EndFollower for Ending {
    fn ended(self: Box<Self>, end: Option<End>) {
        let record = end.map(|end| end.record);
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over(None)) {
            State::Standing(standing, ear) => {
                drop(state);
                record.iter().for_each(|record| standing.ended(record, &ear));
            }
            // Under the same lock: whoever stands in for it the next moment finds its record.
            State::Making(ear) => *state = State::Over(record.map(|record| (record, ear))),
            State::Over(_) => {}
        }
    }

    fn ear(&self) -> Option<Arc<Ear>> {
        match &*self.0.lock() {
            State::Making(ear) | State::Standing(_, ear) => Some(Arc::clone(ear)),
            State::Over(_) => None,
        }
    }
}

impl Ear {
    pub fn new(observer: Arc<dyn Observer>) -> Ear {
        Ear { observer, is_busy: AtomicBool::new(false) }
    }

    /// One part at a time; `None`: another has not found room yet.
    pub fn listen(self: Arc<Self>) -> Option<Listening> {
        let was_busy = self.is_busy.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Listening(self))
    }
}

impl Listening {
    /// Who says it, so that it is there: whoever follows it may not have been told yet.
    pub fn is_of(&self, address: Address) {
        self.0.observer.started(address);
    }

    /// Progress and log lines.
    pub fn hear(&self, progress: Option<Progress>, logs: Vec<Log>) {
        let Ear { observer, .. } = &*self.0;
        if let Some(Progress { done, total, text }) = progress {
            observer.progress(done, total, cut(text, limits::TEXT_BYTES));
        }
        for Log { level, text, dropped } in logs {
            if dropped > 0 {
                observer.log(Log::WARNING, format!("{dropped} lines before the next were dropped"));
            }
            observer.log(level.clamp(1, 5), cut(text, limits::TEXT_BYTES));
        }
    }

    /// Ready when all of the output has found room, or nobody reads it.
    pub fn poll_print(&self, cx: &mut Context<'_>, stream: Stream, data: &mut Bytes) -> Poll<()> {
        let output = self.0.observer.output();
        while !data.is_empty() {
            let Poll::Ready((taken, was_empty)) = output.poll_write(cx, stream, data) else { return Poll::Pending };
            data.advance(taken);
            if was_empty {
                self.0.observer.output_ready();
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

impl Runtime {
    /// A coroutine was made on another node. `None`: its computation is being ended, and it with it.
    pub fn made_abroad(
        self: &Arc<Self>,
        group: &Arc<Group>,
        tree: &Arc<Tree>,
        sprout: Arc<dyn Sprout>,
        daemon: bool,
    ) -> Option<Standing> {
        let attendance = match daemon {
            true => None,
            false => match self.attend(group) {
                Some(attendance) => Some(attendance),
                None => {
                    sprout.cancel("node", "its computation is being ended", limits::TERMINATE_GRACE);
                    return None;
                }
            },
        };
        tree.grow_abroad();
        let number = {
            let mut table = self.abroad.0.lock();
            table.last += 1;
            let number = table.last;
            table.made.insert(number, Made { group: Arc::clone(group), tree: Arc::clone(tree), sprout });
            number
        };
        // Where its tree was being ended meanwhile, whoever did that has not seen it.
        if tree.is_ending() {
            self.end_abroad("node", "its job is being ended", limits::TERMINATE_GRACE, |made| Arc::ptr_eq(made, tree));
        }
        let tree = Arc::clone(tree);
        Some(Standing { runtime: Arc::downgrade(self), number, tree, _attendance: attendance })
    }

    /// Ends those of a computation.
    pub(super) fn end_abroad_of(&self, group: &Arc<Group>, by: &str, reason: &str) {
        let found: Vec<_> = {
            let table = self.abroad.0.lock();
            let of = table.made.values().filter(|made| Arc::ptr_eq(&made.group, group));
            of.map(|made| Arc::clone(&made.sprout)).collect()
        };
        found.iter().for_each(|sprout| sprout.cancel(by, reason, limits::TERMINATE_GRACE));
    }

    /// Ends those of wanted trees.
    pub(super) fn end_abroad(&self, by: &str, reason: &str, grace: Duration, wanted: impl Fn(&Arc<Tree>) -> bool) {
        let found: Vec<_> = {
            let table = self.abroad.0.lock();
            table.made.values().filter(|made| wanted(&made.tree)).map(|made| Arc::clone(&made.sprout)).collect()
        };
        found.iter().for_each(|sprout| sprout.cancel(by, reason, grace));
    }
}

impl Standing {
    /// It has ended, and how; what CPU time it and what it made have used counts for its job here.
    fn ended(&self, record: &ExitRecord, ear: &Ear) {
        self.tree.charge(record.usage.cpu);
        ear.observer.ended_abroad(record);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.upgrade() {
            let made = runtime.abroad.0.lock().made.remove(&self.number);
            drop(made);
        }
    }
}
