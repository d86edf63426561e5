//! A worker's watch: the clock as read at each switch of coroutines. Asking the system costs a fifth of a message's round
//! trip, so where the processor counts at a steady rate, and the system itself keeps time by that counter, the watch reads
//! the counter and asks the system now and then, which bounds what it can be wrong by to a part of a microsecond.

use super::clock::Clock;

/// One worker's. Made anew for each clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Counter and clock when the system was last asked; 0: never.
    ticks: u64,
    asked: u64,
    /// Nanoseconds of 2^32 ticks; 0: not known yet.
    rate: u64,
    /// What it showed last: it never goes back.
    shown: u64,
}

/// Ticks after which the system is asked again, half a millisecond to one.
const TRUSTED: u64 = 1 << 21;
/// Between so many ticks the rate is taken: less is too coarse, and over more the machine may have slept.
const MEASURED: std::ops::Range<u64> = 1 << 20..1 << 30;
/// Two readings of the counter around one of the clock are further apart when the thread was interrupted between them.
const TOGETHER: u64 = 1 << 12;

impl Watch {
    pub const fn new() -> Watch {
        Watch { ticks: 0, asked: 0, rate: 0, shown: 0 }
    }

    #[inline]
    pub fn now(&mut self, clock: &dyn Clock) -> u64 {
        let Some(ticks) = clock.ticks() else { return clock.now() };
        let since = ticks.wrapping_sub(self.ticks);
        if since < TRUSTED && self.rate != 0 {
            self.shown = self.shown.max(self.asked + ((since * self.rate) >> 32));
        } else {
            self.ask(clock, ticks);
        }
        self.shown
    }

    #[cold]
    fn ask(&mut self, clock: &dyn Clock, before: u64) {
        let now = clock.now();
        self.shown = self.shown.max(now);
        let took = clock.ticks().map_or(u64::MAX, |after| after.wrapping_sub(before));
        if took >= TOGETHER {
            // The next look asks again.
            self.rate = 0;
            return;
        }
        let (ticks, since) = (before.wrapping_sub(self.ticks), now.saturating_sub(self.asked));
        let begins_anew = self.ticks == 0 || !(1..MEASURED.end).contains(&ticks);
        if MEASURED.contains(&ticks) && !begins_anew {
            let rate = (u128::from(since) << 32) / u128::from(ticks);
            // A counter that is slower than a clock of nanoseconds is no good for this.
            self.rate = u64::try_from(rate).ok().filter(|rate| *rate <= 1 << 32).unwrap_or(0);
        }
        if begins_anew || MEASURED.contains(&ticks) {
            (self.ticks, self.asked) = (before, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock of nanoseconds and a counter of so many thousandths of a tick a nanosecond; how often it was asked.
    struct Machine {
        now: AtomicU64,
        speed: u64,
        asked: AtomicU64,
    }

    impl Clock for Machine {
        fn now(&self) -> u64 {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.now.load(Ordering::Relaxed)
        }

        fn unix(&self) -> u64 {
            0
        }

        fn ticks(&self) -> Option<u64> {
            Some(9_000_000 + self.now.load(Ordering::Relaxed) * self.speed / 1_000)
        }
    }

    proptest! {
        #[test]
        fn it_shows_what_the_clock_shows_and_asks_for_it_now_and_then(
            speed in 1_000..6_000u64,
            steps in prop::collection::vec(prop_oneof![9 => 0..2_000u64, 1 => 0..3_000_000u64], 100..2_000),
        ) {
            let machine = Machine { now: AtomicU64::new(5), speed, asked: AtomicU64::new(0) };
            let (mut watch, mut before) = (Watch::new(), 0);
            for step in steps {
                let now = machine.now.fetch_add(step, Ordering::Relaxed) + step;
                let shown = watch.now(&machine);
                prop_assert!(shown >= before && shown.abs_diff(now) <= 5, "{shown} where it is {now}");
                before = shown;
            }
        }
    }

    #[test]
    fn at_a_steady_pace_it_asks_once_in_thousands_of_looks() {
        let machine = Machine { now: AtomicU64::new(0), speed: 2_500, asked: AtomicU64::new(0) };
        let mut watch = Watch::new();
        let mut looks = |count: u64| {
            let before = machine.asked.load(Ordering::Relaxed);
            for _ in 0..count {
                machine.now.fetch_add(200, Ordering::Relaxed);
                watch.now(&machine);
            }
            machine.asked.load(Ordering::Relaxed) - before
        };
        looks(10_000);
        assert!((1..=30).contains(&looks(100_000)), "every 0.84 ms, in 20 ms");
    }
}
