//! The network and the clock of a simulation: what was sent arrives later, twice, in another order, or not at all.

use corovan_core::membership::rng::SplitMix;
use std::collections::{BTreeMap, BTreeSet};

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of a thousand.
    pub lost: u64,
    pub doubled: u64,
    /// The shortest way, and what it may be longer.
    pub delay: u64,
    pub jitter: u64,
}

/// Events by time. `E` is what happens: something arrives, or somebody's timer is due.
pub struct Net<E> {
    pub now: u64,
    pub rng: SplitMix,
    pub weather: Weather,
    /// Nothing gets from the first to the second.
    cuts: BTreeSet<(usize, usize)>,
    events: BTreeMap<(u64, u64), E>,
    next: u64,
    pub sent: u64,
}

impl<E: Clone> Net<E> {
    pub fn new(seed: u64, weather: Weather) -> Net<E> {
        let (cuts, events) = (BTreeSet::new(), BTreeMap::new());
        Net { now: 0, rng: SplitMix::new(seed), weather, cuts, events, next: 0, sent: 0 }
    }

    /// One of a thousand times this number.
    pub fn chance(&mut self, of_thousand: u64) -> bool {
        self.rng.word() % 1_000 < of_thousand
    }

    pub fn at(&mut self, time: u64, event: E) {
        self.next += 1;
        self.events.insert((time.max(self.now), self.next), event);
    }

    /// Sends what may be lost.
    pub fn datagram(&mut self, from: usize, to: usize, event: E) {
        self.sent += 1;
        self.send(from, to, self.weather.lost, event);
    }

    /// Sends what a link carries: it sends again what was lost, but where it ends, all that was on its way is lost.
    pub fn message(&mut self, from: usize, to: usize, event: E) {
        self.send(from, to, self.weather.lost / 5, event);
    }

    fn send(&mut self, from: usize, to: usize, lost: u64, event: E) {
        if self.is_cut(from, to) || self.chance(lost) {
            return;
        }
        let copies = 1 + usize::from(self.chance(self.weather.doubled));
        for _ in 0..copies {
            let after = self.weather.delay + self.rng.word() % (self.weather.jitter + 1);
            self.at(self.now + after, event.clone());
        }
    }

    /// The next event, not later than `until`; the clock is then where it happens.
    pub fn next(&mut self, until: u64) -> Option<E> {
        let first = self.events.first_entry().filter(|entry| entry.key().0 <= until);
        let Some(entry) = first else {
            self.now = self.now.max(until);
            return None;
        };
        self.now = entry.key().0;
        Some(entry.remove())
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    pub fn is_whole(&self) -> bool {
        self.cuts.is_empty()
    }
}

/// A network on one floor, on a good day.
pub const CALM: Weather = Weather { lost: 0, doubled: 0, delay: MILLISECOND / 2, jitter: MILLISECOND };
/// One that loses one in ten, doubles one in fifty, and delays so that much is overtaken.
pub const ROUGH: Weather = Weather { lost: 100, doubled: 20, delay: MILLISECOND, jitter: 60 * MILLISECOND };
