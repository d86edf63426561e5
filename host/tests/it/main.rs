//! The one integration test binary of the host: linking wasmtime once is enough.

mod cli;
mod coroutines;
mod process;
mod streams;
mod support;
mod tidy;
mod wasi;
