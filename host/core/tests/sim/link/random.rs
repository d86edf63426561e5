//! Random numbers of one seed, as the scenarios ask for them.

use corovan_core::membership::rng::SplitMix;

pub struct Random(SplitMix);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Neighbouring seeds would otherwise be one sequence, a step apart.
        Random(SplitMix::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0.word() % end
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
