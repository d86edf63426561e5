//! The one integration test binary of the host: linking wasmtime once is enough.

#![allow(clippy::unwrap_used, reason = "a test that fails stops there")]

mod cli;
mod coroutines;
mod modules;
mod process;
mod streams;
mod support;
mod tidy;
