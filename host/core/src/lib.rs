//! Corovan's decisions, without I/O: no tokio, quinn, wasmtime, rustls or file access.
//!
//! Time and randomness are arguments. Rows (a module uses only lower rows): `ids code limits text ulid` < `wire sync tenancy` <
//! `job link membership` < `directory placement`.

pub mod code;
pub mod directory;
pub mod ids;
pub mod job;
pub mod limits;
pub mod link;
pub mod membership;
pub mod placement;
pub mod sync;
pub mod tenancy;
pub mod text;
pub mod ulid;
pub mod wire;
