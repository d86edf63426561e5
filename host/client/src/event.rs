//! What a job says, as its client is told it.

use bytes::Bytes;
use corovan_core::ids::{Address, NodeId};
use corovan_core::wire::exit::ExitRecord;
use std::sync::Arc;

/// What a job says, in order.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// This node was chosen to run it: told where [`crate::SubmitOptions::at`] was given, before it starts, and again for another
    /// attempt at it.
    Placed {
        node: NodeId,
        name: String,
        attempt: u32,
        /// In words.
        why: String,
    },
    /// It waits for a node: the latest place among its computation's jobs of its kind, counted from 1.
    Queued {
        position: u32,
    },
    /// It has its resources and runs as this coroutine.
    Started {
        address: Address,
    },
    /// The latest, if several came since the last look.
    Progress {
        done: u64,
        total: u64,
        text: String,
    },
    /// Level: 1 error, 2 warning, 3 info, 4 debug, 5 trace. `dropped` lines before it were lost.
    Log {
        level: u8,
        text: String,
        dropped: u64,
    },
    Stdout(Bytes),
    Stderr(Bytes),
    /// Always the last.
    Exit(Arc<ExitRecord>),
}
