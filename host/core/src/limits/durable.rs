//! Bounds of durable jobs, with their reasons.

use super::{INLINE_PAYLOAD, SILENCE, TERMINATE_GRACE};
use std::time::Duration;

/// Ids in one question: as many as a frame takes.
pub const DURABLE_ASKED: usize = INLINE_PAYLOAD / 16;
/// Arguments and argv of a durable job, and its value: they lie in the home's store, one row each.
pub const DURABLE_BYTES: usize = 960 << 10;
/// A tenant's jobs that the home has read from its store to have them placed, and their bytes; the others wait on disk, at 24 bytes
/// in memory. Enough that disks and networks are busy; each costs about 2 KiB beside its arguments.
pub const DURABLE_IN_HAND: usize = 4_096;
pub const DURABLE_IN_HAND_BYTES: usize = 32 << 20;
/// Modules of a tenant's unfinished durable jobs, which stay in the module store until these have ended.
pub const DURABLE_MODULES: usize = 64;
/// Specs (module, function, limits, environment) of a computation's durable jobs that stay ready to run.
pub const DURABLE_SPECS: usize = 16;
/// Attempts at a job, and exit codes that its retry policy may name.
pub const DURABLE_ATTEMPTS: u32 = 1_000;
pub const DURABLE_EXITS: usize = 32;
/// Between two attempts: where the policy says nothing, and at most. An hour is as long as an outage that heals by itself.
pub const RETRY_WAIT: Duration = Duration::from_secs(1);
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);
/// How long a node may go on with a job after its home has lost it: until its own silence is over, and the grace then given.
pub const DURABLE_LEASE: Duration = SILENCE.saturating_add(TERMINATE_GRACE);
/// And so much later is it tried again: clocks of two nodes do not tick alike.
pub const DURABLE_LEASE_MARGIN: Duration = Duration::from_secs(1);
/// Results and exits are kept so long, unless they are acknowledged before; old ones are looked for so often.
pub const DURABLE_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
pub const DURABLE_SWEEP: Duration = Duration::from_secs(60);
/// After a failure of the disk what could not be written is tried again so often.
pub const DURABLE_DISK_RETRY: Duration = Duration::from_millis(500);
/// Log lines of an attempt that are not written yet; beyond, they are counted and dropped.
pub const DURABLE_LOG_LINES: usize = 256;
/// A node that was lost with a job gets that job again after so long at the earliest, where others may.
pub const DURABLE_EXCLUDED: Duration = Duration::from_secs(60);
