//! Chains: what a coroutine wakes goes next on the same worker, past the queue, as long as one slice lasts. Decides who goes
//! next; runs nobody.

use super::scheduler::Job;
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A place for one coroutine: put there without a lock, and still within reach of other workers.
#[derive(Debug, Default)]
pub(super) struct Next(AtomicPtr<()>);

/// What a worker knows of its present chain: coroutines of one tenant that woke one another and share one slice, so that a
/// message and its answer pass no queue, and nobody else waits for longer than behind one coroutine.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// The clock when the last coroutine left.
    pub now: u64,
    /// There is a chain.
    open: bool,
    began: u64,
    hops: u32,
    /// The account of the chain's tenant, or of the last one's, and nanoseconds that it has not been charged yet.
    share: Option<Arc<Share>>,
    pub owed: u64,
}

/// Coroutines of a chain: on a clock that stands still it would never end.
const CHAIN: u32 = 64;

impl Next {
    /// Takes it if the place is free; else it comes back. The worker whose place it is calls this and nobody else: others
    /// only take, so that a place which is free stays free until then, and a plain store fills it.
    pub fn offer(&self, job: Job) -> Option<Job> {
        if !self.is_empty() {
            return Some(job);
        }
        self.0.store(job.into_raw().as_ptr(), Ordering::Release);
        None
    }

    pub fn take(&self) -> Option<Job> {
        if self.is_empty() {
            return None;
        }
        from_raw(self.0.swap(null_mut(), Ordering::AcqRel))
    }

    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

impl Shift {
    pub fn at(now: u64) -> Shift {
        Shift { now, ..Shift::default() }
    }

    /// This one may go next, before all others that wait.
    pub fn goes_on(&mut self, next: &Job) -> bool {
        self.hops = self.hops.saturating_add(1);
        self.open
            && self.hops <= CHAIN
            && self.now.saturating_sub(self.began) < limits::SLICE.as_nanos() as u64
            && self.share.as_ref().is_some_and(|share| Arc::ptr_eq(share, next.metadata().share()))
    }

    pub fn begin(&mut self, share: &Arc<Share>) {
        (self.open, self.began, self.hops) = (true, self.now, 0);
        if self.share.as_ref().is_none_or(|before| !Arc::ptr_eq(before, share)) {
            self.share = Some(Arc::clone(share));
        }
    }

    /// Ends the chain, if there is one, and charges what it used, once for all of it.
    pub fn settle(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if std::mem::take(&mut self.open) {
            self.share.iter().for_each(|share| share.charge(owed));
        }
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[expect(
    unsafe_code,
    reason = "async-task gives and takes a task as a bare pointer, the only form that fits an atomic"
)]
fn from_raw(raw: *mut ()) -> Option<Job> {
    // SAFETY: the pointer came from `into_raw` of a job of this type, and whoever took it out of the place is its only
    // owner: it is there once, and a swap or a failed exchange gives it to one thread.
    NonNull::new(raw).map(|raw| unsafe { Job::from_raw(raw) })
}
