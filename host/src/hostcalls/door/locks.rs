//! `lock_open` and the others of the interface `locks`.

use super::super::Refusal;
use super::super::memory::broken;
use super::messaging::guest_patience;
use super::{Guest, MODULE, answer, control, done, read_name};
use crate::runtime::Coroutine;
use crate::runtime::locks::Access;
use corovan_core::code::Code;
use corovan_core::sync::lock::Kind;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "lock_open", |mut guest: Guest<'_>, kind: u32, name: u32, len: u32, value: u32| {
        super::has_taken_over(&guest, "lock_open")?;
        let name = read_name(&mut guest, name, len, "a lock's name")?;
        let control = control(&guest);
        let kind = Kind::from_number(kind)
            .ok_or_else(|| Refusal::new(Code::Invalid, format!("{kind} is no kind of lock: 1 to 5 are")));
        let outcome = match (name, kind) {
            (Ok(name), Ok(kind)) => guest.data_mut().own.locks.open(&control, kind, name, value),
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        };
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome.map(number)))
    })?;
    linker.func_wrap_async(MODULE, "lock_acquire", |mut guest: Guest<'_>, (lock, timeout): (u32, u64)| {
        Box::new(async move {
            let (access, patience) = (access(&guest, lock)?, guest_patience(&guest, timeout));
            let outcome = access.acquire(patience).await;
            wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
        })
    })?;
    linker.func_wrap_async(MODULE, "lock_wait", |mut guest: Guest<'_>, (lock, timeout): (u32, u64)| {
        Box::new(async move {
            let (access, patience) = (access(&guest, lock)?, guest_patience(&guest, timeout));
            let outcome = access.wait(patience).await;
            wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
        })
    })?;
    linker.func_wrap(MODULE, "lock_release", |mut guest: Guest<'_>, lock: u32| {
        let outcome = access(&guest, lock)?.release();
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "lock_notify", |mut guest: Guest<'_>, lock: u32, n: u32| {
        let outcome = access(&guest, lock)?.notify(n);
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome.map(number)))
    })?;
    linker.func_wrap(MODULE, "lock_set", |mut guest: Guest<'_>, lock: u32| {
        let outcome = access(&guest, lock)?.set();
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "lock_clear", |mut guest: Guest<'_>, lock: u32| {
        let outcome = access(&guest, lock)?.clear();
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "lock_is_set", |mut guest: Guest<'_>, lock: u32| {
        let outcome = access(&guest, lock)?.is_set().map(i32::from);
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "lock_close", |mut guest: Guest<'_>, lock: u32| {
        if guest.data_mut().own.locks.close(lock) { wasmtime::Result::<i32>::Ok(0) } else { Err(no_handle(lock)) }
    })?;
    Ok(())
}

/// Traps: handle.
fn access(guest: &Guest<'_>, lock: u32) -> wasmtime::Result<Access> {
    guest.data().own.locks.get(lock).ok_or_else(|| no_handle(lock))
}

fn no_handle(lock: u32) -> wasmtime::Error {
    broken(format!("{lock} is no handle of a lock, or was closed"))
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
