//! Imports of interface `lifecycle`: this coroutine and others.

use super::{Part, SpawnOptions};

imports! {
    /// Writes this coroutine's 32-byte address.
    fn own_address as "self"(ptr: *mut u8) -> i32;
    /// Name of the function to run; its size, written if it fits.
    fn entry(buf: *mut u8, cap: usize) -> i32;
    /// Arguments as a CBOR array; their size, written if they fit.
    fn args(buf: *mut u8, cap: usize) -> i32;
    /// Records the result, one CBOR item.
    fn finish(ptr: *const u8, len: usize) -> i32;
    /// Ends this coroutine as failed. Does not return.
    fn fail(kind: *const u8, kind_len: usize, text: *const u8, text_len: usize);
    /// Lets others run.
    fn yield_now as "yield"() -> i32;
    /// Detail of the last negative result; its size, written if it fits.
    fn last_error(buf: *mut u8, cap: usize) -> i32;
    /// Waits for `resume`; the size of its bytes.
    fn suspend(timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Ends the target's `suspend`, or its next one.
    fn resume(to: *const u8, ptr: *const u8, len: usize, timeout: u64) -> i32;
    /// Makes a coroutine and writes its address.
    fn spawn(function: *const u8, function_len: usize, args: *const u8, args_len: usize, options: *const SpawnOptions, out: *mut u8) -> i32;
    /// Interrupts, after the grace period stops hard, and waits until the target has ended.
    fn terminate(target: *const u8, timeout: u64) -> i32;
    /// The target's current or next waiting call gives `interrupted`.
    fn interrupt(target: *const u8, reason: *const u8, reason_len: usize, timeout: u64) -> i32;
    /// One exit message will come.
    fn monitor(target: *const u8) -> i32;
    /// None will come any more.
    fn demonitor(target: *const u8) -> i32;
    /// Waits for the end of the target; the size of its exit record.
    fn join(target: *const u8, timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Whether this coroutine keeps its computation open (0) or not (1).
    fn set_daemon(daemon: u32) -> i32;
    /// What the target is doing, in CBOR; its size.
    fn status(target: *const u8, timeout: u64, part: *mut Part, buf: *mut u8, cap: usize) -> i32;
    /// Asks the target to go on as this function; `module` may be null.
    fn swap(target: *const u8, module: *const u8, function: *const u8, function_len: usize, timeout: u64) -> i32;
    /// Agrees to a swap, with this state. Returns only on failure.
    fn swap_point(state: *const u8, len: usize) -> i32;
    /// Declines a swap.
    fn swap_refuse(why: *const u8, len: usize) -> i32;
}
