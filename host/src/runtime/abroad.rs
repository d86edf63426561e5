//! Coroutines that coroutines of this node have made on others: they count for their job and computation as if they were here,
//! and end with them.

use super::exit::Attendance;
use super::group::Group;
use super::launch::Runtime;
use super::ports::{End, EndFollower, Observer, Sprout};
use super::tree::Tree;
use corovan_core::wire::ExitRecord;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

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
    observer: Arc<dyn Observer>,
    _attendance: Option<Attendance>,
}

/// Where an end is told that may come before anybody stands in for the one that ends.
#[derive(Clone, Default)]
pub struct Ending(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Making,
    Standing(Standing),
    Over(Option<ExitRecord>),
}

impl Ending {
    /// It was made, and this stands in for it.
    pub fn stand(&self, standing: Standing) {
        let mut state = self.0.lock();
        match &mut *state {
            State::Over(record) => {
                let record = record.take();
                drop(state);
                record.iter().for_each(|record| standing.ended(record));
            }
            state => *state = State::Standing(standing),
        }
    }
}

impl EndFollower for Ending {
    fn ended(self: Box<Self>, end: Option<End>) {
        let record = end.map(|end| end.record);
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over(None)) {
            State::Standing(standing) => {
                drop(state);
                record.iter().for_each(|record| standing.ended(record));
            }
            // Under the same lock: whoever stands in for it the next moment finds its record.
            _ => *state = State::Over(record),
        }
    }
}

impl Runtime {
    /// A coroutine was made on another node. `None`: its computation is being ended, and it with it.
    pub fn made_abroad(
        self: &Arc<Self>,
        group: &Arc<Group>,
        tree: &Arc<Tree>,
        sprout: Arc<dyn Sprout>,
        observer: Arc<dyn Observer>,
        daemon: bool,
    ) -> Option<Standing> {
        let attendance = match daemon {
            true => None,
            false => match self.attend(group) {
                Some(attendance) => Some(attendance),
                None => {
                    sprout.cancel("node", "its computation is being ended");
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
            self.end_abroad("node", "its job is being ended", |made| Arc::ptr_eq(made, tree));
        }
        Some(Standing { runtime: Arc::downgrade(self), number, observer, _attendance: attendance })
    }

    /// Ends those of a computation.
    pub(super) fn end_abroad_of(&self, group: &Arc<Group>, by: &str, reason: &str) {
        let found: Vec<_> = {
            let table = self.abroad.0.lock();
            let of = table.made.values().filter(|made| Arc::ptr_eq(&made.group, group));
            of.map(|made| Arc::clone(&made.sprout)).collect()
        };
        found.iter().for_each(|sprout| sprout.cancel(by, reason));
    }

    /// Ends those of wanted trees.
    pub(super) fn end_abroad(&self, by: &str, reason: &str, wanted: impl Fn(&Arc<Tree>) -> bool) {
        let found: Vec<_> = {
            let table = self.abroad.0.lock();
            table.made.values().filter(|made| wanted(&made.tree)).map(|made| Arc::clone(&made.sprout)).collect()
        };
        found.iter().for_each(|sprout| sprout.cancel(by, reason));
    }
}

impl Standing {
    /// It has ended, and how.
    pub fn ended(&self, record: &ExitRecord) {
        self.observer.ended_abroad(record);
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
