//! What surrounds a coroutine function: arguments before it, result or failure after it, panics in it.
//! The `coroutine` attribute writes calls to this; nobody else needs it.

use crate::lifecycle::{args_cbor, fail, fail_now, finish};
use crate::values::{Arguments, Signature};
use serde::Serialize;
use std::fmt::Display;
use std::io::Write as _;
use std::panic::PanicHookInfo;

/// Runs `body` with this coroutine's arguments.
pub fn run(signature: &'static Signature, body: impl FnOnce(&mut Arguments) -> Result<(), String>) {
    report_panics();
    let outcome = Arguments::parse(signature, &args_cbor()).and_then(|mut arguments| body(&mut arguments));
    if let Err(text) = outcome {
        fail("bad-argument", &text);
    }
    // A reactor's standard output is written out by nobody else: its function returns, the program never exits.
    let _ = std::io::stdout().flush();
}

/// From here on a panic ends the coroutine as failed with kind `panic`, its message and its place.
/// [`coroutine`](macro@crate::coroutine) functions do so already; this is for modules with a `main`, where a panic otherwise prints to
/// standard error and traps.
///
/// ```no_run
/// corovan_guest::report_panics();
/// ```
pub fn report_panics() {
    std::panic::set_hook(Box::new(panicked));
}

/// Ends a function that returned a value.
pub fn finished<T: Serialize>(value: T) {
    if let Err(error) = finish(&value) {
        fail(error.code.name(), &error.detail);
    }
}

/// Ends a function that returned nothing. It may have called `finish` itself, and then that is the result.
pub fn returned((): ()) {}

/// Ends a function that returned a `Result`.
pub fn finished_or_failed<T: Serialize, E: Display>(result: Result<T, E>) {
    match result {
        // As for a function without `Result`: `()` is no result, and leaves one that was given.
        Ok(_) if size_of::<T>() == 0 => {}
        Ok(value) => finished(value),
        Err(error) => fail("error", &error.to_string()),
    }
}

fn panicked(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without a message");
    match info.location() {
        Some(place) => {
            fail_now("panic", &format!("{message}, at {}:{}:{}", place.file(), place.line(), place.column()))
        }
        None => fail_now("panic", message),
    }
}
