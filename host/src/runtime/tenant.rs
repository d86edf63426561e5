//! The owner of coroutines on this node: what all its computations share.

use super::channels::Channels;
use super::names::Names;
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::Ledger;
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
}

impl Tenant {
    pub fn new(name: impl Into<String>, ledger: Arc<Ledger>, share: Arc<Share>) -> Tenant {
        Tenant {
            name: name.into(),
            ledger,
            share,
            names: Names::default(),
            channels: Channels::default(),
            denials: Denials::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
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
    fn of_many_denials_one_a_second_is_told_and_says_how_many_there_were() {
        let (denials, second) = (Denials::default(), 1_000_000_000);
        assert_eq!(denials.note(5), Some(1));
        assert!((0..1_000).all(|_| denials.note(second).is_none()));
        assert_eq!(denials.note(second + 5), Some(1_001));
        assert_eq!(denials.note(second + 6), None);
        assert_eq!(denials.note(10 * second), Some(2));
    }
}
