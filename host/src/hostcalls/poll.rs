//! WASI's `poll_oneoff`, on our timers, streams and mailbox: suspends the coroutine, never a thread, and works on virtual time.

use super::mailbox_fd::{self, MAILBOX_FD};
use super::time::{u32_at, u64_at};
use super::wasi::{EBADF, EINVAL, ENOTSUP, ERRNO_SUCCESS};
use crate::runtime::ports::Observer;
use crate::runtime::{Control, Scheduler};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Sizes in guest memory (WASI preview1 witx).
pub const SUBSCRIPTION: u32 = 48;
pub const EVENT: usize = 32;

/// One subscription, parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    userdata: u64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Clock id, timeout in nanoseconds, absolute?
    Clock {
        id: u32,
        timeout: u64,
        absolute: bool,
    },
    Read {
        fd: u32,
    },
    Write {
        fd: u32,
    },
    Unknown {
        tag: u8,
    },
}

/// The coroutine's standard streams, which of them (bits) it has closed, and whether its mailbox's descriptor is open.
pub struct Streams {
    pub control: Arc<Control>,
    pub observer: Arc<dyn Observer>,
    pub closed: u8,
    pub mailbox: bool,
}

/// One thing that happened: errno, type, bytes available.
type Happened = (u16, u64);

const TAG_CLOCK: u8 = 0;
const TAG_READ: u8 = 1;
const TAG_WRITE: u8 = 2;
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

pub fn parse(bytes: &[u8]) -> Vec<Subscription> {
    let parse_one = |bytes: &[u8]| {
        let what = match bytes[8] {
            TAG_CLOCK => {
                What::Clock { id: u32_at(bytes, 16), timeout: u64_at(bytes, 24), absolute: u32_at(bytes, 40) & 1 != 0 }
            }
            TAG_READ => What::Read { fd: u32_at(bytes, 16) },
            TAG_WRITE => What::Write { fd: u32_at(bytes, 16) },
            tag => What::Unknown { tag },
        };
        Subscription { userdata: u64_at(bytes, 0), what }
    };
    bytes.chunks_exact(SUBSCRIPTION as usize).map(parse_one).collect()
}

/// Waits until at least one subscription has happened; the events' bytes, [`EVENT`] each.
pub async fn wait(scheduler: Scheduler, streams: Streams, subscriptions: &[Subscription]) -> Vec<u8> {
    let clock = scheduler.clock();
    let (now, unix) = (clock.now(), clock.unix());
    // When each clock is due on our clock; a wall clock that is set meanwhile does not move it.
    let due = |what: What| match what {
        What::Clock { id: CLOCK_REALTIME, timeout, absolute: true } => {
            Some(now.saturating_add(timeout.saturating_sub(unix)))
        }
        What::Clock { id: CLOCK_MONOTONIC, timeout, absolute: true } => Some(timeout),
        What::Clock { id: CLOCK_REALTIME | CLOCK_MONOTONIC, timeout, absolute: false } => {
            Some(now.saturating_add(timeout))
        }
        _ => None,
    };
    let first = subscriptions.iter().filter_map(|subscription| due(subscription.what)).min().unwrap_or(u64::MAX);
    let mut sleep = pin!(scheduler.sleep_until(first));
    std::future::poll_fn(|cx| {
        // Polled for its registration; whether a clock is due is decided below, for each of them.
        let _ = sleep.as_mut().poll(cx);
        let now = scheduler.clock().now();
        let mut events = Vec::new();
        for subscription in subscriptions {
            let happened = match due(subscription.what) {
                Some(at) => (at <= now).then_some((ERRNO_SUCCESS, 0)),
                None => check(&streams, subscription.what, cx),
            };
            if let Some(happened) = happened {
                push_event(&mut events, subscription, happened);
            }
        }
        if events.is_empty() { Poll::Pending } else { Poll::Ready(events) }
    })
    .await
}

/// What is not a clock of ours: a descriptor, or a mistake, which is an event of its own.
fn check(streams: &Streams, what: What, cx: &mut Context<'_>) -> Option<Happened> {
    let open = |fd: u32| fd < 3 && streams.closed & 1 << fd == 0;
    match what {
        What::Clock { .. } => Some((ENOTSUP, 0)),
        What::Unknown { .. } => Some((EINVAL, 0)),
        What::Read { fd: 0 } if open(0) => match streams.control.input().poll_readable(cx) {
            Poll::Ready(bytes) => Some((ERRNO_SUCCESS, bytes as u64)),
            Poll::Pending => None,
        },
        What::Write { fd: fd @ 1..=2 } if open(fd) => match streams.observer.output().poll_writable(cx) {
            Poll::Ready(()) => Some((ERRNO_SUCCESS, 1)),
            Poll::Pending => None,
        },
        What::Read { fd: MAILBOX_FD } if streams.mailbox => {
            mailbox_fd::is_readable(&streams.control).then_some((ERRNO_SUCCESS, 1))
        }
        What::Read { .. } | What::Write { .. } => Some((EBADF, 0)),
    }
}

fn push_event(events: &mut Vec<u8>, subscription: &Subscription, (errno, bytes): Happened) {
    let tag = match subscription.what {
        What::Clock { .. } => TAG_CLOCK,
        What::Read { .. } => TAG_READ,
        What::Write { .. } => TAG_WRITE,
        What::Unknown { tag } => tag,
    };
    let mut event = [0; EVENT];
    event[..8].copy_from_slice(&subscription.userdata.to_le_bytes());
    event[8..10].copy_from_slice(&errno.to_le_bytes());
    event[10] = tag;
    event[16..24].copy_from_slice(&bytes.to_le_bytes());
    events.extend_from_slice(&event);
}
