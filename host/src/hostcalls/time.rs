//! Time: sleep, clocks, deadline, and waiting for the first of several things.

use super::Refusal;
use super::lifecycle::yield_now;
use crate::runtime::control::Waits;
use crate::runtime::mail;
use crate::runtime::message::Filter;
use crate::runtime::relations::EndWatch;
use crate::runtime::wasi_clock::coarse;
use crate::runtime::{Control, Coroutine, Runtime, Scheduler};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// One thing to wait for, as `wait` reads it from guest memory: 32 bytes, little-endian
/// (kind u32, handle u32, value u64, value2 u64, reserved u64).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// A moment of the monotonic clock.
    Timer(u64),
    Message(Filter),
    Exit(Address),
}

/// The same before its pointers are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitEntry {
    pub kind: u32,
    pub value: u64,
    /// A field that is to be 0 is not.
    pub strange: bool,
}

/// Size of an entry in guest memory.
pub const WAIT_ENTRY: u32 = 32;
pub const WAIT_TIMER: u32 = 1;
pub const WAIT_MESSAGE: u32 = 2;
pub const WAIT_EXIT: u32 = 5;

/// `sleep`: so many nanoseconds; the coroutine alone waits. Without any it lets others run. Errors: interrupted.
pub async fn sleep(scheduler: Scheduler, control: Arc<Control>, nanos: u64) -> Result<i32, Refusal> {
    let deadline = scheduler.clock().now().saturating_add(nanos);
    let slept = if nanos == 0 {
        control.interruptible(yield_now()).await
    } else {
        let _waits = control.waits(Waits::Sleep);
        control.interruptible(scheduler.sleep_until(deadline)).await
    };
    match slept {
        Ok(()) => Ok(0),
        Err(reason) => Err(Refusal::new(Code::Interrupted, reason)),
    }
}

/// `now`: nanoseconds since 1970, in steps of 100 microseconds.
pub fn now(coroutine: &Coroutine) -> i64 {
    i64::try_from(coarse(coroutine.runtime.clock().unix())).unwrap_or(i64::MAX)
}

/// `monotonic`: nanoseconds since some moment before the coroutine, in steps of 100 microseconds.
pub fn monotonic(coroutine: &Coroutine) -> i64 {
    i64::try_from(coarse(coroutine.runtime.clock().now())).unwrap_or(i64::MAX)
}

/// `deadline`: nanoseconds until the coroutine is stopped.
pub fn deadline(coroutine: &Coroutine) -> i64 {
    let left = coroutine.deadline.saturating_sub(coroutine.runtime.clock().now());
    i64::try_from(coarse(left)).unwrap_or(i64::MAX)
}

/// `wait`: index of the first thing that is ready; the lowest where several are. Consumes nothing.
/// Errors: timeout, interrupted, denied (an exit of another tenant's).
pub async fn wait(
    runtime: Arc<Runtime>,
    control: Arc<Control>,
    set: Vec<WaitFor>,
    timeout: u64,
) -> Result<i32, Refusal> {
    let timers = set.iter().filter_map(|entry| if let WaitFor::Timer(at) = entry { Some(*at) } else { None });
    let first = timers.min().unwrap_or(u64::MAX);
    let scheduler = runtime.scheduler.clone();
    let mut alarm = pin!(scheduler.sleep_until(first));
    let mut watched: Vec<(usize, EndWatch)> = Vec::new();
    let ready = std::future::poll_fn(|cx| {
        let now = runtime.clock().now();
        // For its registration; which timer is due is seen below.
        let _ = alarm.as_mut().poll(cx);
        let watching = !watched.is_empty();
        for (index, entry) in set.iter().enumerate() {
            let is_ready = match entry {
                WaitFor::Timer(at) => *at <= now,
                WaitFor::Message(filter) => mail::poll_message(&control, filter),
                // One that was over at the first look ended the wait there.
                WaitFor::Exit(_) if watching => watched.iter().any(|(of, end)| *of == index && runtime.has_come(end)),
                WaitFor::Exit(target) => match runtime.watch_end(&control, target, cx.waker()) {
                    Ok(None) => true,
                    Ok(Some(end)) => {
                        watched.push((index, end));
                        false
                    }
                    // A node that cannot be reached is an end too.
                    Err(refusal) if refusal.code == Code::NodeLost => true,
                    Err(refusal) => return Poll::Ready(Err(refusal)),
                },
            };
            if is_ready {
                return Poll::Ready(Ok(i32::try_from(index).unwrap_or(i32::MAX)));
            }
        }
        Poll::Pending
    });
    mail::bounded(&control, Waits::Events, runtime.patience(timeout), "nothing was ready in time", ready).await?
}

/// Checks the size of a wait set before it is read.
pub fn check_set(n: u32) -> Result<(), Refusal> {
    if (1..=limits::WAIT_SET as u32).contains(&n) {
        return Ok(());
    }
    Err(Refusal::new(Code::Invalid, format!("a wait set has 1 to {} entries, not {n}", limits::WAIT_SET)))
}

/// Errors: invalid.
pub fn check_filters(set: &[WaitFor]) -> Result<(), Refusal> {
    let filters = set.iter().filter(|entry| matches!(entry, WaitFor::Message(filter) if !filter.is_any())).count();
    if filters <= limits::WAIT_FILTERS {
        return Ok(());
    }
    let most = limits::WAIT_FILTERS;
    Err(Refusal::new(Code::Invalid, format!("a wait set has at most {most} filters (WAIT_FILTERS), not {filters}")))
}

/// Reads entries from guest bytes.
pub fn parse_set(bytes: &[u8]) -> Vec<WaitEntry> {
    let entry = |bytes: &[u8]| WaitEntry {
        kind: u32_at(bytes, 0),
        value: u64_at(bytes, 8),
        strange: u32_at(bytes, 4) != 0 || u64_at(bytes, 16) != 0 || u64_at(bytes, 24) != 0,
    };
    bytes.chunks_exact(WAIT_ENTRY as usize).map(entry).collect()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
}
