//! Coroutines: engine, scheduler, clock, what they hold and how they meet, and the ports through which they reach the
//! rest. Runs guests; decides nothing about who may run.

pub mod abroad;
mod arrivals;
mod away;
mod blank;
mod chain;
pub mod channels;
pub mod clock;
pub mod control;
pub mod coroutine;
pub mod engine;
mod exit;
pub mod group;
pub mod launch;
pub mod locks;
pub mod mail;
pub mod message;
pub mod names;
pub mod own;
pub mod ports;
mod post;
pub mod refusal;
pub mod registry;
pub mod relations;
pub mod scheduler;
mod send_after;
pub mod stdio;
mod swap;
pub mod tenant;
mod ties;
pub mod timers;
mod tree;
pub mod wasi_clock;

pub use arrivals::{Arrival, Arrived, Followed, Following, Settles, owned};
pub use blank::{Nobody, blank_store};
pub use channels::Caller as ChannelCaller;
pub use clock::{Clock, RealClock, VirtualClock};
pub use control::{Control, Stop};
pub use coroutine::{Coroutine, Ended};
pub use exit::Attendance;
pub use group::Group;
pub use launch::{Launch, Program, Runtime};
pub use refusal::Refusal;
pub use scheduler::Scheduler;
pub use tenant::Tenant;
pub use tree::Tree;
