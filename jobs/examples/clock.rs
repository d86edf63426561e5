//! clock: every way to wait, and what the clocks say about it. Shows that the node's own calls and the language's (`std::thread::sleep`,
//! which is WASI's `poll_oneoff`) follow one clock, which a test may hold in its hand.

use corovan_guest::time::{self, Instant};
use corovan_guest::wait::{Event, wait};
use corovan_guest::{Code, Error};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long each way of waiting took, in milliseconds.
#[derive(Serialize)]
struct Waits {
    sleep: u64,
    sleep_until: u64,
    wait: u64,
    wait_timeout: u64,
    poll_oneoff: u64,
    total: u64,
}

/// Waits for so many milliseconds in each of five ways and tells how long each took.
#[corovan_guest::coroutine]
fn waits(milliseconds: u64) -> Result<Waits, Error> {
    let pause = Duration::from_millis(milliseconds);
    let start = Instant::now();
    let sleep = timed(|| time::sleep(pause))?;
    let sleep_until = timed(|| time::sleep_until(Instant::now() + pause))?;
    // The later timer comes first in the set: what counts is which is ready first.
    let wait_first = timed(|| {
        let now = Instant::now();
        wait(&[Event::Timer(now + pause * 10), Event::Timer(now + pause)], None).map(drop)
    })?;
    let wait_timeout = timed(|| match wait(&[Event::Timer(Instant::now() + pause * 10)], Some(pause)) {
        Err(error) if error.code == Code::Timeout => Ok(()),
        other => other.map(drop),
    })?;
    let poll_oneoff = timed(|| {
        std::thread::sleep(pause);
        Ok(())
    })?;
    Ok(Waits { sleep, sleep_until, wait: wait_first, wait_timeout, poll_oneoff, total: in_ms(start.elapsed()) })
}

/// What the clocks say.
#[derive(Serialize)]
struct Clocks {
    /// Nanoseconds since 1970, as the node says and as the language says.
    unix: u64,
    unix_std: u64,
    /// Nanoseconds since the node started.
    monotonic: u64,
    /// Milliseconds until the deadline; null where there is none.
    deadline: Option<u64>,
}

/// Reads all clocks once.
#[corovan_guest::coroutine]
fn clocks() -> Clocks {
    let unix_std = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, in_ns);
    Clocks {
        unix: in_ns(time::now()),
        unix_std,
        monotonic: in_ns(Instant::now().since_node_start()),
        deadline: time::deadline().map(in_ms),
    }
}

fn timed(wait: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
    let start = Instant::now();
    wait()?;
    Ok(in_ms(start.elapsed()))
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn in_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
