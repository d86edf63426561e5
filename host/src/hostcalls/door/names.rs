//! `register unregister locate`.

use super::{Guest, MODULE, control, done, read_address, read_name, refused};
use crate::runtime::Coroutine;
use std::sync::Arc;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "register",
        |mut guest: Guest<'_>, (name, len, holder, timeout): (u32, u32, u32, u64)| {
            Box::new(async move {
                let holder = read_address(&mut guest, holder)?;
                let name = match read_name(&mut guest, name, len, "a name")? {
                    Ok(name) => name,
                    Err(refusal) => return Ok(refused(&mut guest, refusal)),
                };
                let (control, runtime) = (control(&guest), Arc::clone(&guest.data().runtime));
                let outcome = runtime.register(&control, &name, &holder, timeout).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap(MODULE, "unregister", |mut guest: Guest<'_>, name: u32, len: u32| {
        let outcome = match read_name(&mut guest, name, len, "a name")? {
            Ok(name) => guest.data().runtime.unregister(&guest.data().control, &name),
            Err(refusal) => Err(refusal),
        };
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap_async(
        MODULE,
        "locate",
        |mut guest: Guest<'_>, (name, len, timeout, out): (u32, u32, u64, u32)| {
            Box::new(async move {
                let name = match read_name(&mut guest, name, len, "a name")? {
                    Ok(name) => name,
                    Err(refusal) => return Ok(refused(&mut guest, refusal)),
                };
                let (control, runtime) = (control(&guest), Arc::clone(&guest.data().runtime));
                match runtime.locate(&control, &name, timeout).await {
                    Ok(holder) => super::write(&mut guest, out, &holder.to_bytes()).map(|()| 0),
                    Err(refusal) => Ok(refused(&mut guest, refusal)),
                }
            })
        },
    )?;
    Ok(())
}
