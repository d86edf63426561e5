//! Numbers of registrations, comparable across nodes: a hybrid logical clock. Half of it is the time of day, so that after
//! a split the older registration wins, which others know already; half counts, so that a number is higher than any that
//! its node has seen before, however wrong its clock is, and no two of a node are equal.

use crate::limits;

/// The numbers of one node.
#[derive(Default, Debug)]
pub struct Clock(u64);

impl Clock {
    /// Higher than all before. `wall` is in milliseconds since 1970.
    pub fn tick(&mut self, wall: u64) -> u64 {
        self.0 = (wall << COUNTER_BITS).max(self.0.saturating_add(1));
        self.0
    }

    /// Takes note of another node's number, unless its clock is far ahead: one wrong clock is not to move all others.
    pub fn observe(&mut self, number: u64) {
        let ahead = (number >> COUNTER_BITS).saturating_sub(self.0 >> COUNTER_BITS);
        if ahead <= limits::NAME_CLOCK_AHEAD {
            self.0 = self.0.max(number);
        }
    }
}

/// 48 bits of milliseconds last for 8,900 years.
const COUNTER_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_follow_the_time_of_day_and_what_was_seen_but_not_a_clock_far_ahead() {
        let mut clock = Clock::default();
        let first = clock.tick(1_000);
        assert_eq!(first, 1_000 << 16);
        assert!(clock.tick(1_000) > first);
        assert!(clock.tick(900) > first, "a clock set back");
        clock.observe(2_000 << 16);
        assert_eq!(clock.tick(1_500), (2_000 << 16) + 1);
        clock.observe((2_001 + limits::NAME_CLOCK_AHEAD) << 16);
        assert_eq!(clock.tick(2_500), 2_500 << 16);
    }
}
