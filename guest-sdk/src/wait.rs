//! Waiting for the first of several things. It consumes nothing: the thing that is ready stays ready until it is used.
//!
//! Timers, messages and exits of other coroutines; sockets and streams join the same set as their interfaces come.

use crate::address::Address;
use crate::error::{Error, check};
use crate::messaging::Filter;
use crate::sys::{self, WaitEntry};
use crate::time::{Instant, nanoseconds};
use std::time::Duration;

/// A thing to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Ready from this time on.
    Timer(Instant),
    /// Ready while a message that the filter takes is in the mailbox.
    Message(Filter),
    /// Ready when this coroutine has ended.
    Exit(Address),
}

/// Suspends this coroutine until one of `events` is ready, and gives its index; the lowest where several are.
/// A `timeout` of `None` is for ever, zero only looks. 1 to 256 events.
///
/// # Errors
/// `timeout`; `interrupted`, once, when another coroutine or the client interrupted this one; `invalid` for no event, or
/// more than 256; `denied` for the exit of another tenant's.
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
    // What entries point to stays in its place until the call is over.
    let filters: Vec<sys::Filter> = events
        .iter()
        .map(|event| if let Event::Message(filter) = event { filter.raw() } else { sys::Filter::default() })
        .collect();
    let entry = |(event, filter): (&Event, &sys::Filter)| {
        let (kind, value) = match event {
            Event::Timer(at) => (WaitEntry::TIMER, at.nanoseconds()),
            Event::Message(_) => (WaitEntry::MESSAGE, std::ptr::from_ref(filter).addr() as u64),
            Event::Exit(address) => (WaitEntry::EXIT, address.as_bytes().as_ptr().addr() as u64),
        };
        WaitEntry { kind, handle: 0, value, value2: 0, reserved: 0 }
    };
    let set: Vec<WaitEntry> = events.iter().zip(&filters).map(entry).collect();
    let timeout = timeout.map_or(u64::MAX, nanoseconds);
    // SAFETY: the pointer and length are those of a slice of 32-byte entries, which the node only reads.
    check(unsafe { sys::wait(set.as_ptr(), set.len(), timeout) })
}
