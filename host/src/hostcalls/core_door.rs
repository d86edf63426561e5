//! The core door: flat imports from module `corovan` over the functions of this folder. Reads arguments, calls, writes
//! the result; decides nothing. The calling convention is in `guest-sdk/abi/README.md`.

use super::memory::{broken, read, read_text, with, write, write_if_it_fits};
use super::{Refusal, lifecycle, log, time};
use crate::runtime::Coroutine;
use wasmtime::{Caller, Linker};

const MODULE: &str = "corovan";

type Guest<'a> = Caller<'a, Coroutine>;

/// Adds every function of this version.
pub fn add_to_linker(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    add_lifecycle(linker)?;
    add_time(linker)?;
    add_log(linker)?;
    add_abort(linker)
}

fn add_lifecycle(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
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
    linker.func_wrap_async(MODULE, "yield", |_: Guest<'_>, (): ()| {
        Box::new(async {
            lifecycle::yield_now().await;
            0i32
        })
    })?;
    Ok(())
}

fn add_time(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "sleep", |mut guest: Guest<'_>, (nanos,): (u64,)| {
        Box::new(async move {
            let (scheduler, control) = waiting(&guest);
            let outcome = time::sleep(scheduler, control, nanos).await;
            answer(&mut guest, outcome)
        })
    })?;
    linker.func_wrap_async(MODULE, "wait", |mut guest: Guest<'_>, (set, n, timeout): (u32, u32, u64)| {
        Box::new(async move {
            if let Err(refusal) = time::check_set(n) {
                return Ok(refused(&mut guest, refusal));
            }
            let set = with(&mut guest, set, n * time::WAIT_ENTRY, time::parse_set)?;
            let (scheduler, control) = waiting(&guest);
            let outcome = time::wait(scheduler, control, set, timeout).await;
            wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
        })
    })?;
    linker.func_wrap(MODULE, "now", |guest: Guest<'_>| time::now(guest.data()))?;
    linker.func_wrap(MODULE, "monotonic", |guest: Guest<'_>| time::monotonic(guest.data()))?;
    linker.func_wrap(MODULE, "deadline", |guest: Guest<'_>| time::deadline(guest.data()))?;
    Ok(())
}

fn add_log(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
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

/// What a waiting call needs, without holding the guest.
fn waiting(guest: &Guest<'_>) -> (crate::runtime::Scheduler, std::sync::Arc<crate::runtime::Control>) {
    let data = guest.data();
    (data.runtime.scheduler.clone(), std::sync::Arc::clone(&data.control))
}

/// A value, or the negated code with its detail kept for `last_error`.
fn answer(guest: &mut Guest<'_>, outcome: Result<i32, Refusal>) -> i32 {
    outcome.unwrap_or_else(|refusal| refused(guest, refusal))
}

fn refused(guest: &mut Guest<'_>, refusal: Refusal) -> i32 {
    guest.data_mut().last_error = refusal.detail;
    -i32::from(refusal.code.number())
}
