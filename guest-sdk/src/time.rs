//! Sleeping, clocks and timers. All waits suspend the coroutine and cost the node nothing; clocks have a resolution of 100 us.
//!
//! `std::time` and `std::thread::sleep` work as well, and on the same clock: what is here also says when a sleep was
//! interrupted, and when the coroutine's deadline is.

use crate::address::Address;
use crate::cbor::with_cbor;
use crate::error::{Error, check};
use crate::sys;
use serde::Serialize;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Suspends this coroutine. A duration of zero lets others run.
///
/// # Errors
/// `interrupted`, once, when another coroutine or the client interrupted this one; the rest of the time is not slept.
///
/// ```no_run
/// use corovan_guest::time;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// time::sleep(Duration::from_millis(250))?;
/// # Ok(())
/// # }
/// ```
pub fn sleep(duration: Duration) -> Result<(), Error> {
    // SAFETY: takes a number.
    check(unsafe { sys::sleep(nanoseconds(duration)) }).map(drop)
}

/// Suspends this coroutine until a time of the monotonic clock; at once when it is past. Made for steps of a fixed rhythm.
///
/// # Errors
/// `interrupted`, as [`sleep`].
///
/// ```no_run
/// use corovan_guest::time::{self, Instant};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let start = Instant::now();
/// for step in 1..=10 {
///     time::sleep_until(start + Duration::from_secs(1) * step)?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn sleep_until(instant: Instant) -> Result<(), Error> {
    sleep(instant - Instant::now())
}

/// Wall-clock time as the duration since 1970-01-01 UTC. It may be set back while a job runs: measure with [`Instant`].
///
/// ```no_run
/// println!("{} seconds since 1970", corovan_guest::time::now().as_secs());
/// ```
pub fn now() -> Duration {
    // SAFETY: takes nothing.
    Duration::from_nanos(u64::try_from(unsafe { sys::now() }).unwrap_or(0))
}

/// What is left of the coroutine's deadline, at which the node ends it as `deadline`; `None` where there is none.
///
/// ```no_run
/// use std::time::Duration;
///
/// if corovan_guest::time::deadline().is_some_and(|left| left < Duration::from_secs(5)) {
///     corovan_guest::log::warn("little time is left: giving what there is");
/// }
/// ```
pub fn deadline() -> Option<Duration> {
    // SAFETY: takes nothing.
    match unsafe { sys::deadline() } {
        i64::MAX => None,
        left => Some(Duration::from_nanos(u64::try_from(left).unwrap_or(0))),
    }
}

/// After so long a value goes to this address, as a send that does not wait: where there is no room it is dropped and
/// counted. To [oneself](crate::self_address) it comes as [`Received::Timer`](crate::messaging::Received::Timer), in room
/// that is reserved now. Timers end with the coroutine that made them.
///
/// # Errors
/// `denied`; `overloaded` when a quota is used up; `too-large`; `invalid` for a value without CBOR form.
///
/// ```no_run
/// use corovan_guest::{self_address, time};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let alarm = time::send_after(Duration::from_secs(5), self_address(), 1, &"too late")?;
/// # Ok(())
/// # }
/// ```
pub fn send_after<T: Serialize + ?Sized>(delay: Duration, to: Address, tag: u64, value: &T) -> Result<Timer, Error> {
    with_cbor(value, |bytes| send_bytes_after(delay, to, tag, bytes))
}

/// [`send_after`] with bytes of any kind.
///
/// # Errors
/// `denied`; `overloaded`; `too-large`.
///
/// ```no_run
/// use corovan_guest::{self_address, time};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// time::send_bytes_after(Duration::from_secs(5), self_address(), 1, b"")?;
/// # Ok(())
/// # }
/// ```
pub fn send_bytes_after(delay: Duration, to: Address, tag: u64, bytes: &[u8]) -> Result<Timer, Error> {
    let address = to.as_bytes().as_ptr();
    // SAFETY: the node reads the 32 bytes of an address, and a slice by its pointer and length.
    let number = unsafe { sys::send_after(nanoseconds(delay), address, tag, bytes.as_ptr(), bytes.len()) };
    u64::try_from(number).map(|number| Timer { number }).map_err(|_| Error::from_result(number))
}

/// A message that is to be sent. Dropping this leaves it as it is.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Timer {
    number: u64,
}

impl Timer {
    /// The message will not be sent.
    ///
    /// # Errors
    /// `not-found` when it was.
    ///
    /// ```no_run
    /// use corovan_guest::{self_address, time};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let alarm = time::send_after(Duration::from_secs(5), self_address(), 1, &())?;
    /// // ... what should take less ...
    /// alarm.cancel()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(self) -> Result<(), Error> {
        // SAFETY: takes a number.
        check(unsafe { sys::cancel_timer(self.number) }).map(drop)
    }
}

/// A time of the monotonic clock: nanoseconds since this coroutine's node started. It means nothing on another node.
///
/// ```no_run
/// use corovan_guest::time::Instant;
///
/// let start = Instant::now();
/// // ... work ...
/// println!("took {:?}", start.elapsed());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Instant {
    nanoseconds: u64,
}

impl Instant {
    /// The present.
    pub fn now() -> Instant {
        // SAFETY: takes nothing.
        Instant { nanoseconds: u64::try_from(unsafe { sys::monotonic() }).unwrap_or(0) }
    }

    /// Time since then; zero for a time to come.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }

    /// Time since the node started.
    pub const fn since_node_start(self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// The time that is so long after the node's start.
    pub const fn from_node_start(nanoseconds: u64) -> Instant {
        Instant { nanoseconds }
    }

    pub(crate) const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }
}

/// A sum beyond 584 years stays there.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant { nanoseconds: self.nanoseconds.saturating_add(nanoseconds(duration)) }
    }
}

/// Zero where the other time is later, as in `std`.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

/// How the interface takes a duration. More than 584 years is for ever.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How the interface takes a limit: `None` is for ever.
pub(crate) fn timeout(limit: impl Into<Option<Duration>>) -> u64 {
    limit.into().map_or(FOREVER, nanoseconds)
}

pub(crate) const FOREVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_neither_overflow_nor_go_below_zero() {
        let early = Instant::from_node_start(1_000);
        assert_eq!((early + Duration::from_micros(2)) - early, Duration::from_micros(2));
        assert_eq!(early - (early + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((early + Duration::MAX).since_node_start(), Duration::from_nanos(u64::MAX));
    }
}
