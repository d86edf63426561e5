//! wasmtime-wasi's clocks and randomness, on ours. Guests see no better than 100 microseconds: a fine clock is a right.

use super::ports::Random;
use super::scheduler::Scheduler;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// What guests see of a clock, in nanoseconds.
pub const GUEST_RESOLUTION: u64 = 100_000;

pub(super) struct Wall(pub Scheduler);
pub(super) struct Monotonic(pub Scheduler);
pub(super) struct GuestRandom(pub Arc<dyn Random>);

/// Rounds down to what a guest may see.
pub fn coarse(nanos: u64) -> u64 {
    nanos - nanos % GUEST_RESOLUTION
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(GUEST_RESOLUTION)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(coarse(self.0.clock().unix()))
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        GUEST_RESOLUTION
    }

    fn now(&self) -> u64 {
        coarse(self.0.clock().now())
    }
}

impl rand::TryRng for GuestRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.number() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
