//! What to do when a child ends: rules only, without calls and clocks, so that they can be tried out anywhere.

use std::collections::VecDeque;
use std::time::Duration;

/// Who else is started anew with a child that is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// Nobody: children do not depend on each other.
    OneForOne,
    /// All: each depends on each.
    OneForAll,
    /// Those after it: each depends on those before it.
    RestForOne,
}

/// When a child is started again. One that is terminated from outside has not ended normally.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Unless it ended normally.
    Transient,
    /// Never; not with its neighbours either.
    Temporary,
}

/// Which children run, and how often they were started again of late.
#[derive(Debug)]
pub struct Decider {
    strategy: Strategy,
    children: Vec<Restart>,
    running: Vec<bool>,
    /// Times of the last restarts, the oldest first; at most one more than there may be.
    recent: VecDeque<Duration>,
    most: usize,
    period: Duration,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is not started again.
    Leave,
    /// Children to terminate first, then children to start, each in its order.
    Restart { stop: Vec<usize>, start: Vec<usize> },
    /// Too many restarts.
    GiveUp,
}

impl Decider {
    /// For children that are all started now.
    pub fn new(strategy: Strategy, children: Vec<Restart>, most: usize, period: Duration) -> Decider {
        let running = vec![true; children.len()];
        Decider { strategy, children, running, recent: VecDeque::new(), most, period }
    }

    /// A child runs, or will once what was decided is done.
    pub fn is_needed(&self) -> bool {
        self.running.contains(&true)
    }

    /// A child has ended by itself. `now` is any clock that does not go back.
    pub fn ended(&mut self, index: usize, normally: bool, now: Duration) -> Decision {
        self.running[index] = false;
        let again = match self.children[index] {
            Restart::Permanent => true,
            Restart::Transient => !normally,
            Restart::Temporary => false,
        };
        if !again {
            return Decision::Leave;
        }
        if self.is_too_often(now) {
            return Decision::GiveUp;
        }
        let affected = match self.strategy {
            Strategy::OneForOne => index..index + 1,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => index..self.children.len(),
        };
        let stop: Vec<usize> = affected.rev().filter(|other| self.running[*other]).collect();
        stop.iter().for_each(|other| self.running[*other] = false);
        let mut start: Vec<usize> =
            stop.iter().copied().filter(|other| self.children[*other] != Restart::Temporary).collect();
        start.push(index);
        start.sort_unstable();
        start.iter().for_each(|other| self.running[*other] = true);
        Decision::Restart { stop, start }
    }

    fn is_too_often(&mut self, now: Duration) -> bool {
        while self.recent.front().is_some_and(|oldest| now.saturating_sub(*oldest) >= self.period) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() > self.most
    }
}

#[cfg(test)]
mod tests {
    use super::Restart::{Permanent, Temporary, Transient};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn decider(strategy: Strategy, children: &[Restart]) -> Decider {
        Decider::new(strategy, children.to_vec(), 100, SECOND)
    }

    fn restart(stop: &[usize], start: &[usize]) -> Decision {
        Decision::Restart { stop: stop.to_vec(), start: start.to_vec() }
    }

    #[test]
    fn a_strategy_says_who_is_started_anew() {
        let cases = [
            (Strategy::OneForOne, restart(&[], &[1])),
            (Strategy::OneForAll, restart(&[3, 2, 0], &[0, 1, 2, 3])),
            (Strategy::RestForOne, restart(&[3, 2], &[1, 2, 3])),
        ];
        for (strategy, expected) in cases {
            let decided = decider(strategy, &[Permanent; 4]).ended(1, false, SECOND);
            assert_eq!(decided, expected, "{strategy:?}");
        }
    }

    #[test]
    fn a_kind_of_child_says_when_it_is_started_again() {
        let cases = [
            (Permanent, true, restart(&[], &[0])),
            (Permanent, false, restart(&[], &[0])),
            (Transient, true, Decision::Leave),
            (Transient, false, restart(&[], &[0])),
            (Temporary, true, Decision::Leave),
            (Temporary, false, Decision::Leave),
        ];
        for (kind, normally, expected) in cases {
            let mut decider = decider(Strategy::OneForAll, &[kind]);
            let left = expected == Decision::Leave;
            assert_eq!(decider.ended(0, normally, SECOND), expected, "{kind:?}, normally: {normally}");
            assert_eq!(decider.is_needed(), !left, "{kind:?}, normally: {normally}");
        }
    }

    #[test]
    fn who_has_ended_for_good_is_neither_stopped_nor_started_with_the_others() {
        let mut decider = decider(Strategy::OneForAll, &[Transient, Temporary, Permanent, Temporary]);
        assert_eq!(decider.ended(0, true, SECOND), Decision::Leave);
        assert_eq!(decider.ended(1, false, SECOND), Decision::Leave);
        // The temporary one that still runs is stopped with the others, and not started with them.
        assert_eq!(decider.ended(2, true, SECOND), restart(&[3], &[2]));
        assert_eq!(decider.ended(2, true, SECOND), restart(&[], &[2]));
        assert!(decider.is_needed());
    }

    #[test]
    fn more_restarts_than_allowed_within_the_period_are_too_many() {
        let at = Duration::from_millis;
        let mut decider = Decider::new(Strategy::OneForOne, vec![Permanent], 2, SECOND);
        let mut given_up = |time| decider.ended(0, false, at(time)) == Decision::GiveUp;
        assert!(!given_up(0));
        assert!(!given_up(600));
        assert!(!given_up(1_000), "that of time 0 is a full period ago");
        assert!(!given_up(1_700));
        assert!(given_up(1_999), "1000 and 1700 were two");
    }

    #[test]
    fn where_no_restart_is_allowed_the_first_is_too_many() {
        let mut decider = Decider::new(Strategy::OneForOne, vec![Permanent, Temporary], 0, SECOND);
        assert_eq!(decider.ended(1, false, SECOND), Decision::Leave, "it is not a restart");
        assert_eq!(decider.ended(0, true, SECOND), Decision::GiveUp);
    }
}
