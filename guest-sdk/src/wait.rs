//! Waiting for the first of several things. It consumes nothing: the thing that is ready stays ready until it is used.
//!
//! This version waits for timers, messages and ends of coroutines. Sockets and streams join the same set as their
//! interfaces come.

use crate::address::Address;
use crate::error::{Error, check};
use crate::messaging::Filter;
use crate::sys::{self, WaitEntry};
use crate::time::{Instant, timeout};
use std::time::Duration;

/// A thing to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Ready from this time on.
    Timer(Instant),
    /// There is a message that the filter chooses.
    Message(Filter),
    /// This coroutine has ended. It needs no [`monitor`](Address::monitor), and sends no message.
    Exit(Address),
}

/// Suspends this coroutine until one of `events` is ready, and gives its index; the lowest where several are.
/// A `limit` of `None` is for ever, zero only looks. 1 to 256 events.
///
/// # Errors
/// `timeout`; `interrupted`, once, when another coroutine or the client interrupted this one; `denied` for another tenant's
/// coroutine; `invalid` for no event, or more than 256.
///
/// ```no_run
/// use corovan_guest::messaging::Filter;
/// use corovan_guest::time::Instant;
/// use corovan_guest::wait::{Event, wait};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let worker = corovan_guest::spawn("worker").start()?;
/// let tick = Instant::now() + Duration::from_secs(1);
/// match wait(&[Event::Message(Filter::any()), Event::Exit(worker), Event::Timer(tick)], None)? {
///     0 => println!("a message can be received"),
///     1 => println!("the worker has ended"),
///     _ => println!("a second has passed"),
/// }
/// # Ok(())
/// # }
/// ```
pub fn wait(events: &[Event], limit: impl Into<Option<Duration>>) -> Result<usize, Error> {
    // The set has pointers to these, so they are all there before it is made.
    let filters: Vec<Option<sys::Filter>> = events.iter().map(Event::filter).collect();
    let set: Vec<WaitEntry> = events.iter().zip(&filters).map(|(event, filter)| event.entry(filter)).collect();
    // SAFETY: the pointer and length are those of a slice of 32-byte entries, which the node only reads, as it does the
    // filters and addresses that they point to.
    check(unsafe { sys::wait(set.as_ptr(), set.len(), timeout(limit)) })
}

impl Event {
    fn filter(&self) -> Option<sys::Filter> {
        match self {
            Event::Message(filter) => filter.raw(),
            _ => None,
        }
    }

    fn entry(&self, filter: &Option<sys::Filter>) -> WaitEntry {
        let (kind, value) = match self {
            Event::Timer(at) => (WaitEntry::TIMER, at.nanoseconds()),
            Event::Message(_) => (WaitEntry::MESSAGE, filter.as_ref().map_or(0, pointer)),
            Event::Exit(address) => (WaitEntry::EXIT, pointer(address.as_bytes())),
        };
        WaitEntry { kind, handle: 0, value, value2: 0, reserved: 0 }
    }
}

fn pointer<T>(to: &T) -> u64 {
    std::ptr::from_ref(to).expose_provenance() as u64
}
