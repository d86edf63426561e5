//! Other nodes: links with them, and what coroutines of different nodes do with each other. Decides nothing that
//! `corovan_core::{link, membership, directory}` can decide without I/O.

pub mod link;
