//! How many may ask to join at a time, and how often. Those who find no place are told so, and the log counts them.

use corovan_core::limits;
use corovan_core::tenancy::rate::Rate;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds one kind of those who ask.
pub struct Gate {
    places: Arc<Semaphore>,
    rate: Mutex<Rate>,
    turned_away: Mutex<TurnedAway>,
}

/// How many were told to come again since that was last logged: strangers must not fill the log either.
struct TurnedAway {
    count: u64,
    log: Rate,
}

/// What those are told who find no place.
pub const CROWDED: &str = "too many ask to join just now; try again in a second";

impl Gate {
    pub fn new(places: usize) -> Gate {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let log = Rate::new(nanos(limits::DENIALS_LOGGED), 1);
        Gate {
            places: Arc::new(Semaphore::new(places)),
            rate: Mutex::new(Rate::new(nanos(limits::JOIN_INTERVAL), limits::JOIN_BURST)),
            turned_away: Mutex::new(TurnedAway { count: 0, log }),
        }
    }

    /// A place, until it is dropped. `now`: by the node's clock.
    pub fn enter(&self, now: u64, who: &str) -> Option<OwnedSemaphorePermit> {
        let comes_in_time = self.rate.lock().take(now);
        let place = comes_in_time.then(|| Arc::clone(&self.places).try_acquire_owned().ok()).flatten();
        if place.is_none() {
            self.turn_away(now, who);
        }
        place
    }

    fn turn_away(&self, now: u64, who: &str) {
        let mut turned_away = self.turned_away.lock();
        turned_away.count += 1;
        if turned_away.log.take(now) {
            let count = std::mem::take(&mut turned_away.count);
            tracing::warn!(count, who, "too many ask to join; some were told to ask again");
        }
    }
}
