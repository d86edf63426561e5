//! `log progress`.

use super::super::log;
use super::super::memory::read_text;
use super::{Guest, MODULE, answer};
use crate::runtime::Coroutine;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "log", |mut guest: Guest<'_>, level: i32, ptr: u32, len: u32| {
        let text = read_text(&mut guest, ptr, len, "a log line")?;
        let outcome = log::log(guest.data(), level, text);
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "progress", |mut guest: Guest<'_>, done: u64, total: u64, ptr: u32, len: u32| {
        let text = read_text(&mut guest, ptr, len, "a progress text")?;
        let outcome = log::progress(guest.data(), done, total, text);
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
    })?;
    Ok(())
}
