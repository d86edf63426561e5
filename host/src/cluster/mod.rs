//! Other nodes: links with them, and what coroutines of different nodes do with each other. Decides nothing that
//! `corovan_core::{link, membership, directory}` can decide without I/O.

mod channels;
pub mod discovery;
pub mod grants;
pub mod hosting;
mod jobs;
pub mod joins;
pub mod link;
mod made;
pub mod mesh;
pub mod names;
pub mod offers;
pub mod receive;
pub mod remote;
pub mod roster;
pub mod seeds;
mod shown;
mod swaps;
mod transfers;
mod values;
pub mod voice;
