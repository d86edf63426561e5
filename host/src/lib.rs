//! Corovan: a WebAssembly-sandboxed distributed job runner. This library is the node and the command line; `main` only
//! calls it. Layers are listed in ARCHITECTURE.md and held by `tests/it/tidy.rs`.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod dispatch;
pub mod enrol;
pub mod home;
pub mod hostcalls;
pub mod http;
pub mod modules;
pub mod net;
pub mod node;
pub mod runtime;
pub mod state;
pub mod tasks;
pub mod telemetry;
pub mod tenancy;
