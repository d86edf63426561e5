//! Clusters on virtual time, from one seed: what is sent may be lost, delayed, doubled and overtaken, nodes are cut off, die,
//! start again and leave. `COROVAN_SEED=n` replays one seed, `COROVAN_SEEDS=count` runs more of them.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as well")]

mod mesh;
mod net;
mod seeds;
