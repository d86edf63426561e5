//! A job's coroutines as one: the first, those that it made, and those that these made. Ending a job ends them all, also
//! those that are made while it is being ended, so that no job outlives its end by making others.

use super::control::Control;
use super::launch::Runtime;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the coroutines of one job have in common.
#[derive(Debug, Default)]
pub struct Tree {
    /// There is, or was, more than the first coroutine.
    has_grown: AtomicBool,
    is_ending: AtomicBool,
    end: Mutex<Option<End>>,
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
    /// The first who ends it is the one that is told of; the earliest time counts.
    fn end(&self, new: End) {
        let mut end = self.end.lock();
        let at = end.as_ref().map_or(new.at, |before| before.at.min(new.at));
        end.get_or_insert(new).at = at;
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// One more is about to be made.
    pub(super) fn grow(&self) {
        // Each side sets its own mark before it looks at the other's, so that one of both sees it.
        self.has_grown.store(true, Ordering::SeqCst);
    }
}
