//! Waiting for the first of several things. It consumes nothing: the thing that is ready stays ready until it is used.
//!
//! This version waits for timers. Messages, sockets, streams and exits join the same set as their interfaces come.

use crate::error::{Error, check};
use crate::sys::{self, WaitEntry};
use crate::time::{Instant, nanoseconds};
use std::time::Duration;

/// A thing to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Ready from this time on.
    Timer(Instant),
}

impl Event {
    fn entry(self) -> WaitEntry {
        match self {
            Event::Timer(at) => {
                WaitEntry { kind: WaitEntry::TIMER, handle: 0, value: at.nanoseconds(), value2: 0, reserved: 0 }
            }
        }
    }
}

/// Suspends this coroutine until one of `events` is ready, and gives its index; the lowest where several are.
/// A `timeout` of `None` is for ever, zero only looks. 1 to 256 events.
///
/// # Errors
/// `timeout`; `interrupted`, once, when another coroutine or the client interrupted this one; `invalid` for no event, or
/// more than 256.
///
/// ```no_run
/// use corovan_guest::time::Instant;
/// use corovan_guest::wait::{Event, wait};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let tick = Instant::now() + Duration::from_secs(1);
/// let end = Instant::now() + Duration::from_secs(60);
/// match wait(&[Event::Timer(tick), Event::Timer(end)], None)? {
///     0 => println!("a second has passed"),
///     _ => println!("a minute has passed"),
/// }
/// # Ok(())
/// # }
/// ```
pub fn wait(events: &[Event], timeout: Option<Duration>) -> Result<usize, Error> {
    let set: Vec<WaitEntry> = events.iter().map(|event| event.entry()).collect();
    let timeout = timeout.map_or(u64::MAX, nanoseconds);
    // SAFETY: the pointer and length are those of a slice of 32-byte entries, which the node only reads.
    check(unsafe { sys::wait(set.as_ptr(), set.len(), timeout) })
}
