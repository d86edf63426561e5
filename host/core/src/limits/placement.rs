//! Bounds of placement, with their reasons.

use super::{MESH_GONE, MESH_NODES};
use std::time::Duration;

/// A selector's text, and its terms: a person wrote it. It is asked of every node, so it is short.
pub const SELECTOR_BYTES: usize = 512;
pub const SELECTOR_TERMS: usize = 16;
/// Allocations of a computation: each may be asked of every node.
pub const ALLOCATIONS: usize = 64;
/// Jobs that wait for a place on a node that is their home, at some 60 bytes each; and of one tenant, so that one alone leaves room.
pub const PLACEMENT_WAITING: usize = 1_000_000;
pub const PLACEMENT_TENANT_WAITING: usize = 500_000;
/// Kinds of jobs (computation, selector, memory, excluded nodes) of a tenant that are told apart at a time. Each that may use a
/// node is looked at when a job starts or ends there, so that one tenant's do not slow down all. Idle ones give way to new ones.
pub const PLACEMENT_CLASSES: usize = 256;
/// Nodes that are offered, or gone with jobs that have not ended yet: all of a mesh, and some that went.
pub const PLACEMENT_NODES: usize = MESH_NODES + MESH_GONE;
/// Nodes where earlier attempts of a job failed; the latest count. Whoever failed at so many fails for another reason.
pub const PLACEMENT_EXCLUDED: usize = 8;
/// Modules that a node is remembered to have: only a hint.
pub const PLACEMENT_MODULES: usize = 32;
/// Modules of a computation for which nodes that have them are preferred; a grant names no more.
pub const PLACEMENT_COMPUTATION_MODULES: usize = 1_024;
/// A tenant's questions that are asked of all nodes (a new kind of job, other allocations for one, why a job waits): so many at once, then
/// one each interval, as others' placing waits for them.
pub const PLACEMENT_LOOKS: u64 = 2 * PLACEMENT_CLASSES as u64;
pub const PLACEMENT_LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Tenants whose questions are counted; of more, those who have asked nothing of late are forgotten.
pub const PLACEMENT_LOOKERS: usize = 1_024;
/// Jobs in one list, at some 200 bytes each: all that a tenant's few computations can have open.
pub const JOBS_LISTED: usize = 200_000;
/// After a node has refused a job, because others use what it has, it is asked again when one of this home's ends there, or after so long.
pub const PLACEMENT_HELD: Duration = Duration::from_millis(500);
/// Nodes of which an answer to `why` tells.
pub const WHY_NODES: usize = 32;
