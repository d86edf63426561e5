//! The one integration test binary of the host: linking wasmtime once is enough.

#![allow(clippy::unwrap_used, reason = "a test that fails stops there")]

mod allocations;
mod attack;
mod attack_coroutines;
mod bad_input;
mod channels;
mod cli;
mod config;
mod conformance;
mod coroutine_chaos;
mod coroutine_faults;
mod coroutines;
mod durable;
mod endurance;
mod enrolment;
mod false_nodes;
mod http;
mod identity;
mod in_process;
mod links;
mod locks;
mod mailbox;
mod many_lines;
mod membership;
mod mesh;
mod mesh_nodes;
mod modules;
mod names;
mod netns;
mod node_process;
mod nodes;
mod peers;
mod process;
mod remote;
mod script;
mod sessions;
mod streams;
mod support;
mod tidy;
mod tree;
mod tutorial;
mod wasi;
mod wire;
