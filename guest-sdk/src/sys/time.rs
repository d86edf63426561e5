//! Imports of interfaces `time` and `log`: clocks, waits, timers; what a coroutine tells while it runs.

use super::WaitEntry;

imports! {
    /// Suspends for so many nanoseconds.
    fn sleep(nanoseconds: u64) -> i32;
    /// Unix time in nanoseconds.
    fn now() -> i64;
    /// Nanoseconds since the node started.
    fn monotonic() -> i64;
    /// Nanoseconds left before the deadline; `i64::MAX` where there is none.
    fn deadline() -> i64;
    /// Index of the first entry of the set that is ready.
    fn wait(set: *const WaitEntry, count: usize, timeout: u64) -> i32;
    /// After so many nanoseconds a message goes to this address; the timer's number.
    fn send_after(delay: u64, to: *const u8, tag: u64, ptr: *const u8, len: usize) -> i64;
    /// The timer's message will not be sent.
    fn cancel_timer(timer: u64) -> i32;
    /// A log line; level 1 (error) to 5 (trace).
    fn log(level: i32, ptr: *const u8, len: usize) -> i32;
    /// How far the work has come.
    fn progress(done: u64, total: u64, ptr: *const u8, len: usize) -> i32;
}
