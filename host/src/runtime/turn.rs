//! A guest's turn: it is polled unless it is to be stopped, and the CPU is taken from it when it does not leave by itself.

use super::control::{Control, Stop};
use super::coroutine::Coroutine;
use super::engine::Preemption;
use super::launch::nanos;
use super::swap::SwapPoint;
use corovan_core::limits;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::{Store, UpdateDeadline};

/// Sets how the CPU is taken from a guest that does not yield.
pub(super) fn arm_preemption(store: &mut Store<Coroutine>, preemption: Preemption) -> wasmtime::Result<()> {
    match preemption {
        Preemption::Fuel => {
            store.set_fuel(u64::MAX)?;
            store.fuel_async_yield_interval(Some(limits::SLICE_FUEL))
        }
        Preemption::Epoch => {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|store| {
                let data = store.data();
                let now = data.runtime.clock().now();
                let spent = data.control.slice_time(now);
                if now >= data.start_deadline {
                    data.control.stop(Stop::Start);
                }
                if let Some(limit) = data.control.tree.overdrawn(spent) {
                    data.control.stop(Stop::Budget(limit));
                }
                Ok(if data.control.is_stopping() || spent >= nanos(limits::SLICE) {
                    UpdateDeadline::Yield(1)
                } else {
                    UpdateDeadline::Continue(1)
                })
            });
            Ok(())
        }
    }
}

/// Polls the guest unless it is to be stopped; then the fiber is dropped with its future.
pub(super) struct Guarded<'a, F> {
    pub control: &'a Control,
    pub guest: Pin<&'a mut F>,
    pub first: bool,
}

/// What a poll of the guest came to.
pub(super) enum Turn {
    Stopped(Stop),
    Ended(wasmtime::Result<()>),
    SwapPoint(SwapPoint),
}

impl<F: Future<Output = wasmtime::Result<()>>> Future for Guarded<'_, F> {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn> {
        if std::mem::take(&mut self.first) {
            self.control.set_waker(cx.waker());
        }
        // Also where it never runs long enough for a look at its slice.
        if let Some(limit) = self.control.tree.overdrawn(0) {
            self.control.stop(Stop::Budget(limit));
        }
        if self.control.is_stopping() {
            return Poll::Ready(Turn::Stopped(self.control.stop_reason().unwrap_or(Stop::Terminated)));
        }
        match self.guest.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Turn::Ended(outcome)),
            Poll::Pending => match self.control.take_swap_point() {
                Some(point) => Poll::Ready(Turn::SwapPoint(point)),
                None => Poll::Pending,
            },
        }
    }
}
