//! A job's coroutines as one: the first, those that it made, and those that these made. Ending a job ends them all, also
//! those that are made while it is being ended, so that no job outlives its end by making others. What CPU time a job may
//! use they use together, so that no job gets more by making others.

use super::control::Control;
use super::launch::Runtime;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the coroutines of one job have in common.
#[derive(Debug, Default)]
pub struct Tree {
    /// There is, or was, the first coroutine; and more than that.
    has_begun: AtomicBool,
    has_grown: AtomicBool,
    /// `None`: they may use as much CPU time as they like.
    budget: Option<Arc<Budget>>,
    is_ending: AtomicBool,
    end: Mutex<Option<End>>,
}

/// CPU time in nanoseconds, of all together.
#[derive(Debug)]
struct Budget {
    limit: u64,
    /// Of slices that are over.
    spent: AtomicU64,
}

/// By whom and why, and the clock when those who stay are stopped hard.
#[derive(Clone, Debug)]
struct End {
    by: String,
    reason: String,
    at: u64,
}

impl Runtime {
    /// Terminates every coroutine that a job's first one made, and those made, and with it what they make while they end.
    /// The first itself is left to the caller where it is alone.
    pub fn terminate_tree(&self, tree: &Arc<Tree>, by: &str, reason: &str, grace: Duration) {
        tree.end(End { by: by.to_owned(), reason: reason.to_owned(), at: self.after(grace) });
        self.end_abroad(by, reason, grace, |made| Arc::ptr_eq(made, tree));
        // One that is not among these yet finds the tree ending when it is: see `join_tree`.
        for control in self.made_in(tree) {
            self.terminate(&control, by, reason, grace);
        }
    }

    /// The coroutines of a tree that are there now, with the first; none where it never had another.
    pub fn made_in(&self, tree: &Arc<Tree>) -> Vec<Arc<Control>> {
        // Whoever ends many jobs of one coroutine does not look at all of the node's for each.
        if !tree.has_grown.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.registry.coroutines(|control| Arc::ptr_eq(&control.tree, tree))
    }

    /// A coroutine has been made, and is in the registry. Where its tree is being ended it is ended as well.
    pub(super) fn join_tree(&self, control: &Arc<Control>) {
        if !control.tree.is_ending.load(Ordering::SeqCst) {
            return;
        }
        let end = control.tree.end.lock().clone();
        if let Some(End { by, reason, at }) = end {
            let grace = Duration::from_nanos(at.saturating_sub(self.clock().now()));
            self.terminate(control, &by, &reason, grace);
        }
    }
}

impl Tree {
    /// Of coroutines that may use so much CPU time together.
    pub fn new(cpu: Option<Duration>) -> Tree {
        let budget = |cpu: Duration| {
            let limit = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
            Arc::new(Budget { limit, spent: AtomicU64::new(0) })
        };
        Tree { budget: cpu.map(budget), ..Tree::default() }
    }

    /// Another tree, which ends by itself and uses the CPU time of this one.
    pub(super) fn beside(&self) -> Tree {
        Tree { budget: self.budget.clone(), ..Tree::default() }
    }

    /// One of its coroutines has used so many nanoseconds.
    pub(super) fn charge(&self, spent: u64) {
        if let Some(budget) = &self.budget {
            budget.spent.fetch_add(spent, Ordering::Relaxed);
        }
    }

    /// Nanoseconds of CPU time that are left to its coroutines; `None`: as many as they like.
    pub fn left(&self) -> Option<u64> {
        self.budget.as_ref().map(|budget| budget.limit.saturating_sub(budget.spent.load(Ordering::Relaxed)))
    }

    /// Nanoseconds that its coroutines have used, where that is limited.
    pub fn spent(&self) -> Option<u64> {
        self.budget.as_ref().map(|budget| budget.spent.load(Ordering::Relaxed))
    }

    /// The CPU time that its coroutines may use, where that and `more` nanoseconds are over it.
    pub(super) fn overdrawn(&self, more: u64) -> Option<u64> {
        let budget = self.budget.as_ref()?;
        (budget.spent.load(Ordering::Relaxed).saturating_add(more) > budget.limit).then_some(budget.limit)
    }

    /// The first who ends it is the one that is told of; the earliest time counts.
    fn end(&self, new: End) {
        let mut end = self.end.lock();
        let at = end.as_ref().map_or(new.at, |before| before.at.min(new.at));
        end.get_or_insert(new).at = at;
        self.is_ending.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// One of it is on another node.
    pub(super) fn grow_abroad(&self) {
        self.has_grown.store(true, Ordering::SeqCst);
    }

    /// One more is about to be made.
    pub(super) fn grow(&self) {
        // Each side sets its own mark before it looks at the other's, so that one of both sees it.
        if self.has_begun.swap(true, Ordering::SeqCst) {
            self.has_grown.store(true, Ordering::SeqCst);
        }
    }
}
