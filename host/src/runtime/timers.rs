//! Timers of coroutines, one queue a worker: sleeping costs a tree node, and a wake-up lands where the sleeper ran.

use super::control::{Control, Stop};
use super::launch::Runtime;
use super::scheduler::Inner;
use corovan_core::limits;
use corovan_core::sync::timers::{TimerId, TimerQueue};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// One worker's timers.
#[derive(Default)]
pub(super) struct Shard {
    queue: Mutex<TimerQueue<Fire>>,
    /// The earliest deadline, readable without the lock; `u64::MAX` when there is none.
    next: AtomicU64,
}

/// What a timer does.
pub(super) enum Fire {
    Wake(Waker),
    Stop(Weak<Control>, Stop),
    /// Sends the message of a coroutine's timer of this number.
    Send(Weak<Runtime>, Weak<Control>, u64),
}

/// A timer that stops a coroutine hard; disarmed when dropped.
pub struct StopTimer(Option<(Arc<Inner>, usize, TimerId)>);

/// Ready at its deadline on the scheduler's clock.
pub struct Sleep {
    scheduler: Arc<Inner>,
    deadline: u64,
    armed: Option<(usize, TimerId)>,
}

impl Shard {
    pub fn new() -> Shard {
        Shard { queue: Mutex::default(), next: AtomicU64::new(u64::MAX) }
    }

    pub fn next_deadline(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Inserts; says whether it is now the earliest.
    pub fn insert(&self, deadline: u64, fire: Fire) -> (TimerId, bool) {
        let mut queue = self.queue.lock();
        let id = queue.insert(deadline, fire);
        let earliest = deadline < self.next.load(Ordering::Relaxed);
        if earliest {
            self.next.store(deadline, Ordering::Release);
        }
        (id, earliest)
    }

    pub fn cancel(&self, id: TimerId) {
        // The earliest deadline is left as it is: at worst the worker looks once for nothing.
        let removed = self.queue.lock().cancel(id);
        drop(removed);
    }

    /// Fires what is due, and no more than a batch: whoever comes back finds the rest. Wakes outside of the lock.
    pub fn fire_due(&self, now: u64) {
        if self.next_deadline() > now {
            return;
        }
        for _ in 0..limits::TIMER_BATCH {
            let due = {
                let mut queue = self.queue.lock();
                let due = queue.pop_due(now);
                if due.is_none() {
                    self.next.store(queue.next_deadline().unwrap_or(u64::MAX), Ordering::Release);
                }
                due
            };
            match due {
                Some(Fire::Wake(waker)) => waker.wake(),
                Some(Fire::Stop(control, stop)) => control.upgrade().into_iter().for_each(|c| c.stop(stop.clone())),
                Some(Fire::Send(runtime, control, number)) => {
                    if let (Some(runtime), Some(control)) = (runtime.upgrade(), control.upgrade()) {
                        runtime.timer_is_due(&control, number);
                    }
                }
                None => return,
            }
        }
    }

    pub fn len(&self) -> usize {
        self.queue.lock().len()
    }
}

impl StopTimer {
    pub(super) fn arm(scheduler: &Arc<Inner>, deadline: u64, control: &Arc<Control>, stop: Stop) -> StopTimer {
        let (shard, id) = scheduler.insert_timer(deadline, Fire::Stop(Arc::downgrade(control), stop));
        StopTimer(Some((Arc::clone(scheduler), shard, id)))
    }

    /// Leaves it armed; it holds nothing alive.
    pub fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for StopTimer {
    fn drop(&mut self) {
        if let Some((scheduler, shard, id)) = self.0.take() {
            scheduler.cancel_timer(shard, id);
        }
    }
}

impl Sleep {
    /// A time of the scheduler's clock.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    pub(super) fn until(scheduler: Arc<Inner>, deadline: u64) -> Sleep {
        Sleep { scheduler, deadline, armed: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline == u64::MAX {
            return Poll::Pending;
        }
        if self.scheduler.clock.now() >= self.deadline {
            return Poll::Ready(());
        }
        // A coroutine's waker never changes, so one registration is enough.
        if self.armed.is_none() {
            let armed = self.scheduler.insert_timer(self.deadline, Fire::Wake(cx.waker().clone()));
            self.armed = Some(armed);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((shard, id)) = self.armed.take() {
            self.scheduler.cancel_timer(shard, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_that_are_due_at_once_fire_in_batches_and_all_of_them() {
        let shard = Shard::new();
        let all = 2 * limits::TIMER_BATCH + 1;
        for _ in 0..all {
            let _ = shard.insert(5, Fire::Wake(Waker::noop().clone()));
        }
        let mut left = Vec::new();
        while shard.next_deadline() <= 5 {
            shard.fire_due(5);
            left.push(shard.len());
        }
        assert_eq!(left, [limits::TIMER_BATCH + 1, 1, 0]);
        assert_eq!(shard.next_deadline(), u64::MAX);
    }
}
