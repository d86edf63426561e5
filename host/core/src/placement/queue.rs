//! Jobs that wait: one list a class, which is all jobs of a computation under one constraint; first come, first served.

use crate::ids::{ComputationId, ModuleHash};
use crate::limits;
use crate::sync::slab_list::{Place, SlabList};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU32;

/// A job that waits. There may be a million: 24 bytes with its list's links, and its [`Seat`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub job: u64,
    /// Counts a computation's jobs, round and round.
    pub ticket: NonZeroU32,
    /// Number among its computation's modules.
    pub module: u32,
}

/// Where a job waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub class: u32,
    pub place: Place,
}

/// Jobs of one computation that wait in one pool.
#[derive(Debug)]
pub(super) struct Class {
    pub computation: ComputationId,
    pub tenant: u32,
    pub pool: u32,
    pub jobs: SlabList<Entry>,
    /// Where it is among its tenant's classes without jobs; kept, because the next job is likely of the same kind.
    pub idle: Option<Place>,
}

/// All classes, by number.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: Vec<Option<Class>>,
    free: Vec<u32>,
}

/// Modules of a computation as small numbers; those beyond the bound are not preferred anywhere.
#[derive(Debug, Default)]
pub(super) struct Modules {
    hashes: Vec<ModuleHash>,
    numbers: HashMap<ModuleHash, u32>,
}

/// By job. Jobs are numbered by the home itself, so that nobody can make their numbers collide.
pub(super) type ByJob<T> = HashMap<u64, T, BuildHasherDefault<JobHasher>>;

/// Spreads a number over 64 bits.
#[derive(Default, Debug)]
pub(super) struct JobHasher(u64);

impl Classes {
    pub fn add(&mut self, class: Class) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.classes.push(None);
            (self.classes.len() - 1) as u32
        });
        self.classes[number as usize] = Some(class);
        number
    }

    pub fn remove(&mut self, number: u32) -> Option<Class> {
        let class = self.classes.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(class)
    }

    pub fn get(&self, number: u32) -> Option<&Class> {
        self.classes.get(number as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Class> {
        self.classes.get_mut(number as usize)?.as_mut()
    }
}

impl Class {
    /// Of its jobs, how many go before this one at most: some of other classes may have tickets between.
    pub fn ahead(&self, entry: &Entry) -> u32 {
        let first = self.jobs.first().and_then(|place| self.jobs.get(place));
        let tickets = first.map_or(0, |first| entry.ticket.get().wrapping_sub(first.ticket.get()));
        tickets.min(u32::try_from(self.jobs.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }
}

impl Modules {
    pub fn number(&mut self, module: ModuleHash) -> u32 {
        // A program has one or a few, asked for again and again.
        if let Some(number) = self.hashes.iter().take(2).position(|known| *known == module) {
            return number as u32;
        }
        if let Some(number) = self.numbers.get(&module) {
            return *number;
        }
        if self.hashes.len() >= limits::PLACEMENT_COMPUTATION_MODULES {
            return u32::MAX;
        }
        self.hashes.push(module);
        let number = (self.hashes.len() - 1) as u32;
        self.numbers.insert(module, number);
        number
    }

    pub fn hash(&self, number: u32) -> Option<ModuleHash> {
        self.hashes.get(number as usize).copied()
    }
}

impl Hasher for JobHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = crate::membership::rng::mix(self.0 ^ number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_waits_takes_few_bytes() {
        assert_eq!(size_of::<Option<Entry>>(), 16);
        assert_eq!(size_of::<(u64, Seat)>(), 16);
    }

    #[test]
    fn modules_are_numbered_up_to_a_bound() {
        let mut modules = Modules::default();
        let module = |number: usize| ModuleHash::of(&number.to_le_bytes());
        for round in 0..2 {
            for number in 0..=limits::PLACEMENT_COMPUTATION_MODULES {
                let expected = if number < limits::PLACEMENT_COMPUTATION_MODULES { number as u32 } else { u32::MAX };
                assert_eq!(modules.number(module(number)), expected, "{round}");
            }
        }
        assert_eq!((modules.hash(1), modules.hash(u32::MAX)), (Some(module(1)), None));
    }
}
