//! Time: sleep, clocks, deadline, and waiting for the first of several things.

use super::Refusal;
use crate::runtime::wasi_clock::coarse;
use crate::runtime::{Control, Coroutine, Scheduler};
use corovan_core::code::Code;
use corovan_core::limits;
use std::sync::Arc;

/// One thing to wait for, as `wait` reads it from guest memory: 32 bytes, little-endian
/// (kind u32, handle u32, value u64, value2 u64, reserved u64).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitFor {
    pub kind: u32,
    pub value: u64,
}

/// Size of a [`WaitFor`] in guest memory.
pub const WAIT_ENTRY: u32 = 32;
/// `timeout` for ever.
pub const FOREVER: u64 = u64::MAX;
const KIND_TIMER: u32 = 1;

/// `sleep`: so many nanoseconds; the coroutine alone waits. Errors: interrupted.
pub async fn sleep(scheduler: Scheduler, control: Arc<Control>, nanos: u64) -> Result<i32, Refusal> {
    let deadline = scheduler.clock().now().saturating_add(nanos);
    match control.interruptible(scheduler.sleep_until(deadline)).await {
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
/// Errors: timeout, interrupted, invalid (empty or too large a set), unsupported (a kind this node does not have).
pub async fn wait(
    scheduler: Scheduler,
    control: Arc<Control>,
    set: Vec<WaitFor>,
    timeout: u64,
) -> Result<i32, Refusal> {
    if let Some(other) = set.iter().find(|entry| entry.kind != KIND_TIMER) {
        return Err(Refusal::new(Code::Unsupported, format!("this node cannot wait for kind {}", other.kind)));
    }
    let first = set.iter().enumerate().min_by_key(|(_, entry)| entry.value);
    let Some((index, first)) = first else {
        return Err(Refusal::new(Code::Invalid, "there is nothing to wait for"));
    };
    let limit = scheduler.clock().now().saturating_add(timeout);
    let until = if timeout == FOREVER { first.value } else { first.value.min(limit) };
    match control.interruptible(scheduler.sleep_until(until)).await {
        Err(reason) => Err(Refusal::new(Code::Interrupted, reason)),
        Ok(()) if first.value <= scheduler.clock().now() => Ok(i32::try_from(index).unwrap_or(i32::MAX)),
        Ok(()) => Err(Refusal::new(Code::Timeout, "nothing was ready in time")),
    }
}

/// Checks the size of a wait set before it is read.
pub fn check_set(n: u32) -> Result<(), Refusal> {
    if (1..=limits::WAIT_SET as u32).contains(&n) {
        return Ok(());
    }
    Err(Refusal::new(Code::Invalid, format!("a wait set has 1 to {} entries, not {n}", limits::WAIT_SET)))
}

/// Reads entries from guest bytes.
pub fn parse_set(bytes: &[u8]) -> Vec<WaitFor> {
    let entry = |bytes: &[u8]| WaitFor { kind: u32_at(bytes, 0), value: u64_at(bytes, 8) };
    bytes.chunks_exact(WAIT_ENTRY as usize).map(entry).collect()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
}
