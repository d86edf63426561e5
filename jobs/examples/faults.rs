//! faults: every way a coroutine ends badly, one function each, and results and output of any size. Shows that a fault ends that
//! coroutine alone, and that its exit record says what happened.

use corovan_guest::{Error, fail, log, progress, time};
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;

/// Ends as failed, kind "panic", with message and place.
#[corovan_guest::coroutine]
fn panics(message: Option<String>) {
    panic!("{}", message.unwrap_or_else(|| "as asked".to_owned()));
}

/// Takes memory until there is none: out-of-memory.
#[corovan_guest::coroutine]
fn out_of_memory() {
    let mut kept = Vec::new();
    loop {
        // Written to, so that the optimiser cannot leave it out.
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself without end: trapped, kind stack overflow.
#[corovan_guest::coroutine]
fn stack_overflow() -> u64 {
    deeper(0)
}

#[expect(unconditional_recursion, reason = "that is what this function is for")]
#[inline(never)]
fn deeper(n: u64) -> u64 {
    black_box(deeper(black_box(n + 1))) + 1
}

/// Never returns and never yields: only a deadline, a budget or a termination ends it.
#[corovan_guest::coroutine]
fn spins() {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Executes an instruction that traps: unreachable.
#[corovan_guest::coroutine]
fn traps() {
    std::process::abort();
}

/// Ends as failed with this kind and text.
#[corovan_guest::coroutine]
fn fails(kind: Option<String>, text: Option<String>) {
    fail(kind.as_deref().unwrap_or("as-asked"), text.as_deref().unwrap_or("this function always fails"));
}

/// Returns an error: failed, kind "error".
#[corovan_guest::coroutine]
fn errs(text: String) -> Result<(), String> {
    Err(text)
}

/// Reads where no memory is: trapped, kind memory out of bounds.
#[corovan_guest::coroutine]
fn reads_outside() -> u8 {
    // SAFETY: none. The last byte of a 32-bit memory is beyond what a coroutine may have, and the node must end this
    // coroutine, and only it, for trying.
    unsafe { black_box(usize::MAX as *const u8).read_volatile() }
}

/// Returns n bytes of text: above the limit of a result it ends as failed, kind "too-large".
#[corovan_guest::coroutine]
fn big_result(n: u32) -> String {
    "x".repeat(n as usize)
}

/// Prints n bytes in lines of 100: more than a client takes at a time makes the job wait, and loses nothing.
#[corovan_guest::coroutine]
fn big_output(n: u64) -> Result<u64, String> {
    let mut out = io::stdout().lock();
    let mut left = n;
    while left > 0 {
        let size = left.min(LINE.len() as u64);
        let line = &LINE[LINE.len() - size as usize..];
        out.write_all(line).map_err(|error| error.to_string())?;
        left -= size;
    }
    Ok(n)
}

/// Tells its progress in so many steps, 100 ms apart, with a log line at every level before them.
#[corovan_guest::coroutine]
fn progresses(steps: u64) -> Result<u64, Error> {
    log::error("an error");
    log::warn("a warning");
    log::info("an information");
    log::debug("a detail");
    log::trace("a detail of a detail");
    for step in 1..=steps {
        time::sleep(Duration::from_millis(100))?;
        progress(step, steps, &format!("step {step}"));
    }
    Ok(steps)
}

/// A hundred bytes with their line end; a shorter piece is its tail, so output always ends with one.
const LINE: &[u8; 100] =
    b"big_output: a hundred bytes, the line end included, so that what is missing can be counted by lines\n";
