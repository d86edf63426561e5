//! The one integration test binary of the host: linking wasmtime once is enough.

mod coroutines;
mod modules;
mod support;
mod tidy;
