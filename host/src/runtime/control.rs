//! What the outside holds of a running coroutine: how to stop it, interrupt it, feed it, and what it has used.

use super::stdio::Input;
use corovan_core::ids::Address;
use corovan_core::sync::fair_queue::Share;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

/// Shared by the coroutine's task, its worker, its timers and whoever started it.
#[derive(Debug)]
pub struct Control {
    pub address: Address,
    pub share: Arc<Share>,
    input: Option<Arc<Input>>,
    flags: AtomicU32,
    orders: Mutex<Orders>,
    /// CPU nanoseconds of finished slices, and the clock when the present one began.
    cpu: AtomicU64,
    slice_start: AtomicU64,
    /// Worker it ran on last: its memory is warm there.
    pub(super) worker: AtomicUsize,
}

#[derive(Debug, Default)]
struct Orders {
    stop: Option<Stop>,
    interrupt: Option<String>,
    termination: Option<Termination>,
    /// Clock value of the hard stop that is ordered.
    stop_at: Option<u64>,
    /// Wakes the task; taken away at the end, since the task owns this control and would otherwise own itself.
    waker: Option<Waker>,
}

/// Why a coroutine was stopped hard: its fiber is dropped at the next poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A termination whose grace is over.
    Terminated,
    /// The wall deadline, in nanoseconds.
    Deadline(u64),
    /// The CPU budget, in nanoseconds.
    Budget(u64),
    /// The start function did not end.
    Start,
}

/// Who ordered the end, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Termination {
    pub by: String,
    pub reason: String,
}

/// Nanoseconds. Whoever cancels a job a million times gets a few timers, not a million.
const STOP_STEP: u64 = 10_000_000;

const STOPPING: u32 = 1;
const INTERRUPTED: u32 = 2;

impl Control {
    /// `input`: standard input; without it the guest reads its end.
    pub fn new(address: Address, share: Arc<Share>, input: Option<Arc<Input>>) -> Control {
        Control {
            address,
            share,
            input,
            flags: AtomicU32::new(0),
            orders: Mutex::default(),
            cpu: AtomicU64::new(0),
            slice_start: AtomicU64::new(0),
            worker: AtomicUsize::new(usize::MAX),
        }
    }

    /// Makes the current or next interruptible call return `interrupted`, once. Interrupts do not stack: the first
    /// reason wins.
    pub fn interrupt(&self, reason: &str) {
        self.order(|orders| {
            orders.interrupt.get_or_insert_with(|| reason.to_owned());
            INTERRUPTED
        });
    }

    /// Records a termination and interrupts; the first order wins. `true`: the caller is to stop it hard at `at`, which is
    /// earlier than what was ordered before by enough to be worth a timer.
    pub(super) fn terminate(&self, by: &str, reason: &str, at: u64) -> bool {
        let mut arm = false;
        self.order(|orders| {
            arm = orders.stop_at.is_none_or(|before| at < before.saturating_sub(STOP_STEP));
            if arm {
                orders.stop_at = Some(at);
            }
            orders.termination.get_or_insert_with(|| Termination { by: by.to_owned(), reason: reason.to_owned() });
            orders.interrupt.get_or_insert_with(|| format!("terminated by {by}: {reason}"));
            INTERRUPTED
        });
        arm
    }

    /// Stops it at the next poll, or within an epoch tick if it runs. The first reason wins.
    pub fn stop(&self, stop: Stop) {
        self.order(|orders| {
            orders.stop.get_or_insert(stop);
            STOPPING
        });
    }

    pub fn input(&self) -> &Input {
        self.input.as_deref().unwrap_or_else(|| Input::empty())
    }

    /// CPU nanoseconds used by slices that are over.
    pub fn cpu(&self) -> u64 {
        self.cpu.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.flags.load(Ordering::Acquire) & STOPPING != 0
    }

    pub(super) fn stop_reason(&self) -> Option<Stop> {
        self.orders.lock().stop.clone()
    }

    pub(super) fn termination(&self) -> Option<Termination> {
        self.orders.lock().termination.clone()
    }

    /// Takes a pending interrupt.
    pub fn take_interrupt(&self) -> Option<String> {
        if self.flags.load(Ordering::Acquire) & INTERRUPTED == 0 {
            return None;
        }
        let mut orders = self.orders.lock();
        self.flags.fetch_and(!INTERRUPTED, Ordering::AcqRel);
        orders.interrupt.take()
    }

    /// Runs a blocking call of the guest so that an interrupt ends it with the reason.
    pub async fn interruptible<F: Future>(&self, call: F) -> Result<F::Output, String> {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| match self.take_interrupt() {
            Some(reason) => Poll::Ready(Err(reason)),
            None => call.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        self.orders.lock().waker = Some(waker.clone());
    }

    /// Nothing may wake the task any more.
    pub(super) fn end(&self) {
        let waker = self.orders.lock().waker.take();
        self.input.iter().for_each(|input| input.finish());
        drop(waker);
    }

    pub(super) fn begin_slice(&self, now: u64, worker: usize) {
        self.slice_start.store(now, Ordering::Relaxed);
        self.worker.store(worker, Ordering::Relaxed);
    }

    pub(super) fn end_slice(&self, now: u64) {
        let spent = self.slice_time(now);
        self.cpu.fetch_add(spent, Ordering::Relaxed);
        self.share.charge(spent);
    }

    /// Nanoseconds since the present slice began.
    pub(super) fn slice_time(&self, now: u64) -> u64 {
        now.saturating_sub(self.slice_start.load(Ordering::Relaxed))
    }

    /// Sets orders and flag under one lock, then wakes the task outside of it.
    fn order(&self, set: impl FnOnce(&mut Orders) -> u32) {
        let waker = {
            let mut orders = self.orders.lock();
            let flag = set(&mut orders);
            self.flags.fetch_or(flag, Ordering::AcqRel);
            orders.waker.clone()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}
