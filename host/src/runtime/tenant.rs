//! The owner of coroutines on this node: what all its computations share.

use super::channels::Channels;
use super::names::Names;
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::Ledger;
use corovan_core::tenancy::rate::Rate;
use parking_lot::Mutex;
use std::sync::Arc;

/// What was denied to a tenant, counted: a guest that tries without end fills no disk with lines.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<(u64, Option<u64>)>);

/// One tenant; one value of it as long as anything of it is there, so that two are the same when their pointers are.
#[derive(Debug)]
pub struct Tenant {
    name: String,
    pub ledger: Arc<Ledger>,
    pub share: Arc<Share>,
    pub names: Names,
    pub channels: Channels,
    pub(super) denials: Denials,
    /// Lines that its coroutines made for other nodes write into this node's log.
    pub lines: Lines,
}

/// Bounds lines in the node's log, and counts those that are dropped.
#[derive(Debug)]
pub struct Lines(Mutex<(Rate, u64)>);

impl Tenant {
    pub fn new(name: impl Into<String>, ledger: Arc<Ledger>, share: Arc<Share>) -> Tenant {
        Tenant {
            name: name.into(),
            ledger,
            share,
            names: Names::default(),
            channels: Channels::default(),
            denials: Denials::default(),
            lines: Lines::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Lines {
    /// One more at this moment of the clock: how many were dropped since the last that was written. `None`: it is dropped.
    pub fn admit(&self, now: u64) -> Option<u64> {
        let (rate, dropped) = &mut *self.0.lock();
        if !rate.take(now) {
            *dropped += 1;
            return None;
        }
        Some(std::mem::take(dropped))
    }
}

impl Default for Lines {
    fn default() -> Lines {
        let interval = u64::try_from(limits::GUEST_LINE_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        Lines(Mutex::new((Rate::new(interval, limits::GUEST_LINE_BURST), 0)))
    }
}

impl Denials {
    /// One more at this moment of the clock. How many there were since the last that was told, if it is to be told.
    pub fn note(&self, now: u64) -> Option<u64> {
        let (count, told) = &mut *self.0.lock();
        *count += 1;
        let pause = u64::try_from(limits::DENIALS_LOGGED.as_nanos()).unwrap_or(u64::MAX);
        if told.is_some_and(|told| now.saturating_sub(told) < pause) {
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_lines_without_end_fills_no_disk_and_what_is_dropped_is_counted() {
        let lines = Lines::default();
        let written = (0..100_000).filter(|_| lines.admit(0).is_some()).count() as u64;
        assert_eq!(written, limits::GUEST_LINE_BURST);
        assert_eq!(lines.admit(3_600_000_000_000), Some(100_000 - written));
        assert_eq!(lines.admit(3_600_000_000_000), Some(0));
    }

    #[test]
    fn of_many_denials_one_a_second_is_told_and_says_how_many_there_were() {
        let (denials, second) = (Denials::default(), 1_000_000_000);
        assert_eq!(denials.note(5), Some(1));
        assert!((0..1_000).all(|_| denials.note(second).is_none()));
        assert_eq!(denials.note(second + 5), Some(1_001));
        assert_eq!(denials.note(second + 6), None);
        assert_eq!(denials.note(10 * second), Some(2));
    }
}
