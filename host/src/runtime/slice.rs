//! A slice: one poll of a coroutine's task, and the CPU time it used. It is measured inside the task, which knows its
//! coroutine anyway: a worker that held on to the coroutine meanwhile would count its owners up and down for each switch.

use super::clock::Clock;
use super::control::Control;
use super::watch::Watch;
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a worker and the task that it polls tell each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    /// The clock at its begin; after it, at its end.
    pub now: u64,
    pub worker: usize,
    /// Nanoseconds that the tenant is to be charged.
    pub spent: u64,
}

thread_local! {
    static SLICE: Cell<Slice> = const { Cell::new(Slice { now: 0, worker: 0, spent: 0 }) };
    /// Of a worker.
    static WATCH: RefCell<Option<(Watch, Arc<dyn Clock>)>> = const { RefCell::new(None) };
}

pin_project! {
    /// A coroutine's task.
    pub(super) struct Metered<F> {
        control: Arc<Control>,
        #[pin]
        future: F,
    }
}

impl Slice {
    /// Has a task polled in this slice; how it ended.
    pub fn of(self, poll: impl FnOnce()) -> Slice {
        SLICE.set(self);
        poll();
        SLICE.get()
    }
}

/// Gives this worker a watch that goes by this clock; the clock of the one that it had.
pub(super) fn wear(clock: Option<Arc<dyn Clock>>) -> Option<Arc<dyn Clock>> {
    WATCH.replace(clock.map(|clock| (Watch::new(), clock))).map(|(_, clock)| clock)
}

/// The time, on this worker's watch; `None`: this is no worker.
pub(super) fn look() -> Option<u64> {
    WATCH.with_borrow_mut(|own| own.as_mut().map(|(watch, clock)| watch.now(&**clock)))
}

impl<F> Metered<F> {
    pub fn new(control: Arc<Control>, future: F) -> Metered<F> {
        Metered { control, future }
    }
}

impl<F: Future<Output = ()>> Future for Metered<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Slice { now, worker, .. } = SLICE.get();
        this.control.begin_slice(now, worker);
        // A panic in host code ends that coroutine (its guard reports it), not the worker.
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))).unwrap_or_else(|_| {
            tracing::error!(coroutine = %this.control.address, "a host function panicked; the coroutine has ended");
            Poll::Ready(())
        });
        let now = look().unwrap_or(now);
        SLICE.set(Slice { now, worker, spent: this.control.end_slice(now) });
        polled
    }
}
