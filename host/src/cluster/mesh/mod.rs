//! Membership and names as running parts of a node: one thread drives `corovan_core::{membership, directory}`, so that busy
//! guests delay no probe. It does no I/O: links carry what it says.

mod handle;
mod service;

pub use handle::{Follower, Handle, Members};
pub use service::{Carrier, Config, Error, Service};
