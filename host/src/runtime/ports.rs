//! What a coroutine needs from outside its worker, as small traits over owned values: a runtime can live in another
//! process, and fakes of these test host calls without a network.

use super::stdio::Output;
use corovan_core::ids::Address;
use corovan_core::wire::ExitRecord;

/// Follows one coroutine. Called on worker threads: must not block.
pub trait Observer: Send + Sync {
    /// It has an instance and is about to run.
    fn started(&self, address: Address);
    /// `done` of `total` (0: unknown), with a text; only the latest counts.
    fn progress(&self, done: u64, total: u64, text: String);
    /// Level 1 (error) to 5 (trace).
    fn log(&self, level: u8, text: String);
    /// Where its output goes.
    fn output(&self) -> &Output;
    /// [`Observer::output`] is no longer empty.
    fn output_ready(&self);
    /// Called exactly once, after everything the coroutine held has been given back.
    fn ended(&self, record: ExitRecord);
}

/// Randomness for addresses and guests; seeded in tests and simulations.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
