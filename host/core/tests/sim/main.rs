//! What decides without I/O, on virtual time and from a printed seed, over networks that do what networks do: what is sent may be
//! lost, delayed, doubled and overtaken, nodes are cut off, die, start again and leave.
//!
//! `COROVAN_SEED=n` replays one run, `COROVAN_SEEDS=count` makes more of them.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as well")]

mod channels;
mod link;
mod mesh;
mod net;
mod seeds;
