//! How often something may happen: so many at once, then one each interval. Time is an argument.

/// Counts down by use and up by time.
#[derive(Debug)]
pub struct Rate {
    /// The earliest moment at which all that was used is made up for, in nanoseconds.
    clear: u64,
    interval: u64,
    burst: u64,
}

impl Rate {
    /// One each `interval` nanoseconds on average, `burst` of them at once.
    pub fn new(interval: u64, burst: u64) -> Rate {
        Rate { clear: 0, interval, burst }
    }

    /// There is one to be used.
    pub fn has_one(&self, now: u64) -> bool {
        let clear = self.clear.max(now).saturating_add(self.interval);
        clear - now <= self.interval.saturating_mul(self.burst)
    }

    /// Nothing has to be made up for: it is as a new one.
    pub fn is_clear(&self, now: u64) -> bool {
        self.clear <= now
    }

    /// Uses so many more, whether they are there or not: there is none until that is made up for.
    pub fn charge(&mut self, now: u64, count: u64) {
        self.clear = self.clear.max(now).saturating_add(self.interval.saturating_mul(count));
    }

    /// Uses one if there is one.
    pub fn take(&mut self, now: u64) -> bool {
        let fits = self.has_one(now);
        if fits {
            self.clear = self.clear.max(now).saturating_add(self.interval);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_one_each_interval_however_many_ask() {
        let mut rate = Rate::new(10, 3);
        let taken = |rate: &mut Rate, now| (0..100).filter(|_| rate.take(now)).count();
        assert!(rate.has_one(0) && rate.has_one(0));
        assert_eq!(taken(&mut rate, 0), 3);
        assert!(!rate.has_one(9) && rate.has_one(10));
        assert_eq!((1..=100).map(|now| taken(&mut rate, now)).sum::<usize>(), 10);
        assert_eq!(taken(&mut rate, 1_000_000), 3, "more than a burst is not saved up");
        let mut rate = Rate::new(10, 3);
        assert!(rate.take(0));
        rate.charge(0, 5);
        assert!(!rate.is_clear(59) && rate.is_clear(60));
        assert!(!rate.has_one(39) && rate.has_one(40), "what was used beyond the burst is made up for");
        assert_eq!(taken(&mut Rate::new(u64::MAX, u64::MAX), u64::MAX), 100, "no number is too large");
    }
}
