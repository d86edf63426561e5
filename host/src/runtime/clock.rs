//! Time as an argument: the one place where a coroutine's clock is read. Virtual for tests and simulations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// Nanoseconds; `now` never goes back, `unix` follows the wall.
pub trait Clock: Send + Sync {
    /// Since some fixed moment before the node's first coroutine.
    fn now(&self) -> u64;
    /// Since 1970-01-01T00:00:00Z.
    fn unix(&self) -> u64;
    /// A counter that is cheaper to read and runs at a steady rate of at least one a nanosecond, the same on all
    /// processors; `None`: there is none.
    fn ticks(&self) -> Option<u64> {
        None
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct RealClock {
    base: Instant,
    counts: bool,
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub struct VirtualClock {
    now: AtomicU64,
    unix_base: u64,
}

impl RealClock {
    pub fn new() -> RealClock {
        RealClock { base: Instant::now(), counts: counter::is_steady() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        RealClock::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn unix(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    #[inline]
    fn ticks(&self) -> Option<u64> {
        self.counts.then(counter::read)
    }
}

/// The processor's time-stamp counter.
mod counter {
    /// The kernel keeps time by it: then it is steady, and the same on all processors.
    pub fn is_steady() -> bool {
        const KEPT_BY: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        cfg!(target_arch = "x86_64") && std::fs::read_to_string(KEPT_BY).is_ok_and(|kept_by| kept_by.trim() == "tsc")
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[expect(unsafe_code, reason = "the processor's counter has no other reader")]
    pub fn read() -> u64 {
        // SAFETY: it reads a register that every processor of this architecture has; the kernel uses it as well.
        unsafe { std::arch::x86_64::_rdtsc() }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub fn read() -> u64 {
        0
    }
}

impl VirtualClock {
    /// `unix_base`: wall time at virtual moment zero.
    pub fn new(unix_base: u64) -> VirtualClock {
        VirtualClock { now: AtomicU64::new(0), unix_base }
    }

    /// Moves to `now`; never back.
    pub fn advance_to(&self, now: u64) {
        self.now.fetch_max(now, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn unix(&self) -> u64 {
        self.unix_base.saturating_add(self.now())
    }
}
