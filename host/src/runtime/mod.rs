//! Coroutines: engine, scheduler, clock, and the ports through which they reach the rest. Runs guests; decides nothing
//! about who may run.

mod blank;
pub mod clock;
pub mod control;
pub mod coroutine;
pub mod engine;
pub mod launch;
pub mod ports;
pub mod scheduler;
pub mod stdio;
pub mod timers;
pub mod wasi_clock;

pub use blank::blank_store;
pub use clock::{Clock, RealClock, VirtualClock};
pub use control::{Control, Stop};
pub use coroutine::{Coroutine, Ended};
pub use launch::{Launch, Program, Runtime};
pub use scheduler::Scheduler;
