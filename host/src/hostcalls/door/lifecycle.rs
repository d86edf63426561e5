//! `self entry args finish fail yield last_error`, and AssemblyScript's `abort`.

use super::super::memory::{broken, read, read_text, with, write, write_if_it_fits};
use super::super::{Refusal, lifecycle, time};
use super::{Guest, MODULE, answer, control, done, refused};
use crate::runtime::Coroutine;
use corovan_core::code::Code;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "self", |mut guest: Guest<'_>, ptr: u32| {
        let address = guest.data().control.address.to_bytes();
        write(&mut guest, ptr, &address).map(|()| 0i32)
    })?;
    linker.func_wrap(MODULE, "args", |mut guest: Guest<'_>, buf: u32, cap: u32| {
        let args = guest.data().args.clone();
        write_if_it_fits(&mut guest, buf, cap, &args)
    })?;
    linker.func_wrap(MODULE, "entry", |mut guest: Guest<'_>, buf: u32, cap: u32| {
        let entry = guest.data().entry.clone().unwrap_or_default();
        write_if_it_fits(&mut guest, buf, cap, entry.as_bytes())
    })?;
    linker.func_wrap(MODULE, "last_error", |mut guest: Guest<'_>, buf: u32, cap: u32| {
        let detail = guest.data().last_error.clone();
        write_if_it_fits(&mut guest, buf, cap, detail.as_bytes())
    })?;
    linker.func_wrap(MODULE, "finish", |mut guest: Guest<'_>, ptr: u32, len: u32| {
        super::has_taken_over(&guest, "finish")?;
        if let Err(refusal) = lifecycle::check_result_size(len) {
            return Ok(refused(&mut guest, refusal));
        }
        let value = read(&mut guest, ptr, len)?;
        let outcome = lifecycle::finish(guest.data_mut(), value);
        Ok(answer(&mut guest, outcome))
    })?;
    linker.func_wrap(
        MODULE,
        "fail",
        |mut guest: Guest<'_>, kind: u32, kind_len: u32, text: u32, text_len: u32| -> wasmtime::Result<()> {
            let kind = read_text(&mut guest, kind, kind_len, "the kind of a failure")?;
            let text = read_text(&mut guest, text, text_len, "the text of a failure")?;
            Err(lifecycle::fail(kind, text))
        },
    )?;
    add_abort(linker)?;
    linker.func_wrap_async(MODULE, "yield", |mut guest: Guest<'_>, (): ()| {
        Box::new(async move {
            let control = control(&guest);
            let yielded = control.interruptible(lifecycle::yield_now()).await;
            done(&mut guest, yielded.map_err(|reason| Refusal::new(Code::Interrupted, reason)))
        })
    })?;
    Ok(())
}

/// AssemblyScript's `env.abort(message, file, line, column)`, mapped to `fail("abort", ...)`.
fn add_abort(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "abort",
        |mut guest: Guest<'_>, message: u32, file: u32, line: u32, column: u32| -> wasmtime::Result<()> {
            let message = utf16(&mut guest, message)?;
            let file = utf16(&mut guest, file)?;
            Err(lifecycle::fail("abort".to_owned(), format!("{message} at {file}:{line}:{column}")))
        },
    )?;
    Ok(())
}

/// An AssemblyScript string: UTF-16, its length in bytes in the word before it; 0 is null.
fn utf16(guest: &mut Guest<'_>, ptr: u32) -> wasmtime::Result<String> {
    if ptr == 0 {
        return Ok(String::new());
    }
    let header = ptr.checked_sub(4).ok_or_else(|| broken("a string at the start of memory".to_owned()))?;
    let len = with(guest, header, 4, |bytes| time::u32_at(bytes, 0))?.min(corovan_core::limits::TEXT_BYTES as u32);
    with(guest, ptr, len, |bytes| {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    })
}
