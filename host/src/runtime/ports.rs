//! What a coroutine needs from outside its worker, as small traits over owned values: a runtime can live in another
//! process, and fakes of these test host calls without a network.

use super::group::Group;
use super::launch::Program;
use super::refusal::Refusal;
use super::stdio::Output;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::wire::ExitRecord;
use std::pin::Pin;
use std::sync::Arc;

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
    fn ended(&self, record: &Arc<ExitRecord>);
    /// Who follows a coroutine that this one makes.
    fn child(&self, daemon: bool) -> Arc<dyn Observer>;
    /// Its exit record is kept for a while, for whoever asks. Not for those that the node makes for itself: they would push
    /// out the records of others.
    fn is_recorded(&self) -> bool {
        true
    }
    /// It has become a daemon, or is none any more.
    fn set_daemon(&self, daemon: bool);
}

/// Makes programs, and finds room for coroutines that coroutines make.
pub trait Spawn: Send + Sync {
    /// A function of a module that this computation's tenant has here. Errors: need-module, bad-module, unknown-function,
    /// shutting-down.
    fn program(&self, group: &Arc<Group>, module: ModuleHash, function: &str)
    -> Pending<Result<Arc<Program>, Refusal>>;
    /// Room for one more coroutine, which its observer's `ended` gives back. Errors: overloaded, shutting-down.
    fn admit(&self, group: &Group) -> Result<(), Refusal>;
    /// The room is not needed: the coroutine was not made.
    fn give_back(&self, group: &Group);
}

/// What may take a while.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Randomness for addresses and guests; seeded in tests and simulations.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
