//! What a coroutine tells while it runs: log lines, for whoever looks into a problem, and progress, for whoever waits.
//! Both go to the client beside standard output and never mix with it. The node keeps 4 KiB of each text.
//!
//! A line that cannot be taken is dropped and counted by the node, which sends the count: telling must not fail a job.

use crate::sys;

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(i32)]
pub enum Level {
    /// Something was not done that should have been.
    Error = 1,
    /// Something is not as it should be; the work goes on.
    Warn = 2,
    /// What an operator wants to know of ordinary work.
    Info = 3,
    /// What a developer wants to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Writes one log line.
///
/// ```no_run
/// use corovan_guest::log::{Level, log};
///
/// log(Level::Info, "three files read");
/// ```
pub fn log(level: Level, text: &str) {
    // SAFETY: the pointer and length are those of a string, which the node only reads.
    let _ = unsafe { sys::log(level as i32, text.as_ptr(), text.len()) };
}

macro_rules! levels {
    ($($function:ident $level:ident $example:literal)*) => {
        $(
            #[doc = concat!("Writes one line at level [`Level::", stringify!($level), "`]. The macro [`", stringify!($function), "!`](macro@crate::", stringify!($function), ") takes a format.\n\n```no_run\ncorovan_guest::log::", stringify!($function), "(\"", $example, "\");\n```")]
            pub fn $function(text: &str) {
                log(Level::$level, text);
            }
        )*
    };
}

levels! {
    error Error "the index is damaged"
    warn Warn "half of the samples are missing"
    info Info "three files read"
    debug Debug "cache is warm"
    trace Trace "entering the inner loop"
}

/// Tells how far the work has come: `done` of `total`, in whatever unit; a `total` of 0 where it is not known.
/// The client shows the newest; calling it often is cheap.
///
/// ```no_run
/// for page in 0..500 {
///     corovan_guest::progress(page, 500, "pages");
/// }
/// ```
pub fn progress(done: u64, total: u64, text: &str) {
    // SAFETY: the pointer and length are those of a string, which the node only reads.
    let _ = unsafe { sys::progress(done, total, text.as_ptr(), text.len()) };
}

macro_rules! formatting {
    ($dollar:tt $($function:ident $level:ident)*) => {
        $(
            #[doc = concat!("Writes one log line at level [`", stringify!($level), "`](crate::log::Level::", stringify!($level), "), formatted as by `println!`.\n\n```no_run\ncorovan_guest::", stringify!($function), "!(\"{} of {}\", 3, 4);\n```")]
            #[macro_export]
            macro_rules! $function {
                ($dollar($dollar argument:tt)*) => {
                    $crate::log::log($crate::log::Level::$level, &::std::format!($dollar($dollar argument)*))
                };
            }
        )*
    };
}

formatting! { $ error Error warn Warn info Info debug Debug trace Trace }
