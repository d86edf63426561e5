//! Locks: named, shared by the coroutines of one computation on one node. First come, first served; nobody gets in between.
//!
//! Coroutines share no memory, so a lock here guards what is outside of them: a file, a service, a turn in a protocol.
//! What is held is released when its guard is dropped, and when its coroutine ends in whatever way. Names are of one
//! space: opening one as another kind is `invalid`.

mod exclusive;
mod handle;
mod signals;

pub use exclusive::{Condition, ConditionGuard, Guard, Lock, ReentrantLock};
pub use signals::{Event, Permit, Semaphore};
