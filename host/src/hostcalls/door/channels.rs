//! `channel_open` and the others of the interface `channels`.

use crate::runtime::Coroutine;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(_linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    Ok(())
}
