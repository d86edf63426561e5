//! `spawn suspend resume terminate interrupt monitor demonitor join set_daemon status swap swap_point swap_refuse`.

use super::super::memory::{broken, read, read_text, with};
use super::super::spawn::{self, Options, Request};
use super::super::{Refusal, lifecycle, relations};
use super::messaging::guest_patience;
use super::{Guest, Into, MODULE, answer, control, done, give, offer, read_address, ready, refused, room};
use crate::runtime::Coroutine;
use corovan_core::ids::{Address, ModuleHash};
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "spawn",
        |mut guest: Guest<'_>,
         (function, function_len, args, args_len, options, out): (u32, u32, u32, u32, u32, u32)| {
            let mut request = match read_request(&mut guest, (function, function_len), (args, args_len), options, out) {
                Ok(Ok(request)) => request,
                Ok(Err(refusal)) => return ready(Ok(refused(&mut guest, refusal))),
                Err(trap) => return ready(Err(trap)),
            };
            match spawn::again(guest.data(), &mut request) {
                Some(outcome) => ready(spawned(&mut guest, out, outcome)),
                None => Box::new(async move {
                    let outcome = spawn::spawn(guest.data_mut(), request).await;
                    spawned(&mut guest, out, outcome)
                }),
            }
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "suspend",
        |mut guest: Guest<'_>, (timeout, header, buf, cap): (u64, u32, u32, u32)| {
            Box::new(async move {
                super::has_taken_over(&guest, "suspend")?;
                let into = Into { header, buf, cap };
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                match relations::suspend(&control, room(&guest, into), patience).await {
                    Ok((bytes, held)) => give(&mut guest, into, bytes, held),
                    Err(refusal) => Ok(refused(&mut guest, refusal)),
                }
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "resume",
        |mut guest: Guest<'_>, (to, ptr, len, timeout): (u32, u32, u32, u64)| {
            Box::new(async move {
                if let Err(refusal) = crate::runtime::mail::check_size(len) {
                    return Ok(refused(&mut guest, refusal));
                }
                let (to, bytes) = (read_address(&mut guest, to)?, read(&mut guest, ptr, len)?);
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                let runtime = std::sync::Arc::clone(&guest.data().runtime);
                let outcome = relations::resume(&runtime, &control, &to, bytes, patience).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap_async(MODULE, "terminate", |mut guest: Guest<'_>, (target, timeout): (u32, u64)| {
        Box::new(async move {
            let target = read_address(&mut guest, target)?;
            let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
            let runtime = std::sync::Arc::clone(&guest.data().runtime);
            let outcome = relations::terminate(&runtime, &control, &target, patience).await;
            wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
        })
    })?;
    linker.func_wrap_async(
        MODULE,
        "interrupt",
        |mut guest: Guest<'_>, (target, reason, reason_len, timeout): (u32, u32, u32, u64)| {
            Box::new(async move {
                if let Err(refusal) = relations::check_reason(reason_len) {
                    return Ok(refused(&mut guest, refusal));
                }
                let target = read_address(&mut guest, target)?;
                let reason = read_text(&mut guest, reason, reason_len, "the reason of an interrupt")?;
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                let runtime = std::sync::Arc::clone(&guest.data().runtime);
                let outcome = relations::interrupt(&runtime, &control, &target, reason.to_string(), patience).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap(MODULE, "monitor", |mut guest: Guest<'_>, target: u32| {
        let target = read_address(&mut guest, target)?;
        let data = guest.data();
        let outcome = data.runtime.monitor(&data.control, &target);
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "demonitor", |mut guest: Guest<'_>, target: u32| {
        let target = read_address(&mut guest, target)?;
        let data = guest.data();
        let outcome = data.runtime.demonitor(&data.control, &target);
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap_async(
        MODULE,
        "join",
        |mut guest: Guest<'_>, (target, timeout, header, buf, cap): (u32, u64, u32, u32, u32)| {
            Box::new(async move {
                let target = read_address(&mut guest, target)?;
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                let runtime = std::sync::Arc::clone(&guest.data().runtime);
                match runtime.join(&control, &target, patience).await {
                    Ok(record) => offer(&mut guest, Into { header, buf, cap }, record.to_cbor(usize::MAX).into()),
                    Err(refusal) => Ok(refused(&mut guest, refusal)),
                }
            })
        },
    )?;
    linker.func_wrap(MODULE, "set_daemon", |guest: Guest<'_>, daemon: u32| {
        relations::set_daemon(guest.data(), daemon != 0);
        0i32
    })?;
    linker.func_wrap_async(
        MODULE,
        "status",
        |mut guest: Guest<'_>, (target, timeout, header, buf, cap): (u32, u64, u32, u32, u32)| {
            Box::new(async move {
                let target = read_address(&mut guest, target)?;
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                let runtime = std::sync::Arc::clone(&guest.data().runtime);
                match relations::status(&runtime, &control, &target, patience).await {
                    Ok(status) => offer(&mut guest, Into { header, buf, cap }, status),
                    Err(refusal) => Ok(refused(&mut guest, refusal)),
                }
            })
        },
    )?;
    add_swap(linker)
}

fn add_swap(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "swap",
        |mut guest: Guest<'_>, (target, module, function, function_len, timeout): (u32, u32, u32, u32, u64)| {
            Box::new(async move {
                let target = read_address(&mut guest, target)?;
                let module = read_hash(&mut guest, module)?;
                let function = read_text(&mut guest, function, function_len, "the name of a function")?;
                let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
                let runtime = std::sync::Arc::clone(&guest.data().runtime);
                let outcome = relations::swap(&runtime, &control, &target, module, &function, patience).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap_async(MODULE, "swap_point", |mut guest: Guest<'_>, (ptr, len): (u32, u32)| {
        Box::new(async move {
            super::has_taken_over(&guest, "swap_point")?;
            if let Err(refusal) = lifecycle::check_result_size(len) {
                return Ok(refused(&mut guest, refusal));
            }
            let state = read(&mut guest, ptr, len)?;
            let control = control(&guest);
            let refusal = relations::swap_point(&control, state).await;
            wasmtime::Result::<i32>::Ok(refused(&mut guest, refusal))
        })
    })?;
    linker.func_wrap(MODULE, "swap_refuse", |mut guest: Guest<'_>, why: u32, len: u32| {
        super::has_taken_over(&guest, "swap_refuse")?;
        let why = read_text(&mut guest, why, len, "the reason of a refusal")?;
        let outcome = relations::swap_refuse(guest.data(), why);
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    Ok(())
}

/// What is to be made. Errors: too-large, invalid, denied, node-lost. Traps: pointer, text, options.
fn read_request(
    guest: &mut Guest<'_>,
    (function, function_len): (u32, u32),
    (args, args_len): (u32, u32),
    options: u32,
    out: u32,
) -> wasmtime::Result<Result<Request, Refusal>> {
    if let Err(refusal) = spawn::check_args(args_len) {
        return Ok(Err(refusal));
    }
    let function = read_text(guest, function, function_len, "the name of a function")?;
    let args = read(guest, args, args_len)?;
    let options = match options {
        0 => Options::default(),
        ptr => with(guest, ptr, spawn::OPTIONS, spawn::parse_options)?.map_err(broken)?,
    };
    let module = read_hash(guest, options.module)?;
    let place = read_text(guest, options.place.0, options.place.1, "a place")?;
    let rights = match options.rights {
        (_, 0) => Vec::new(),
        (ptr, len) => match with(guest, ptr, len.min(RIGHTS_BYTES), |bytes| ciborium::from_reader(bytes))? {
            Ok(rights) => rights,
            Err(error) => {
                let text = format!("the rights are not a CBOR array of texts: {error}");
                return Ok(Err(Refusal::new(corovan_core::code::Code::Invalid, text)));
            }
        },
    };
    // Looked at before the child is made: one whose address nobody learns would be lost.
    with(guest, out, 32, |_| ())?;
    let request = Request { function, args, module, options, rights, place };
    Ok(spawn::check(&request).map(|()| request))
}

pub(super) fn spawned(guest: &mut Guest<'_>, out: u32, outcome: Result<Address, Refusal>) -> wasmtime::Result<i32> {
    match outcome {
        Ok(address) => super::write(guest, out, &address.to_bytes()).map(|()| 0),
        Err(refusal) => Ok(answer(guest, Err(refusal))),
    }
}

/// A module's hash; a null pointer is none. Traps: pointer.
pub(super) fn read_hash(guest: &mut Guest<'_>, ptr: u32) -> wasmtime::Result<Option<ModuleHash>> {
    if ptr == 0 {
        return Ok(None);
    }
    let hash = with(guest, ptr, 32, |bytes| {
        let mut hash = [0; 32];
        hash.copy_from_slice(bytes);
        ModuleHash(hash)
    });
    hash.map(Some)
}

/// Rights beyond so many bytes are cut, and so are not an array any more.
const RIGHTS_BYTES: u32 = 64 << 10;
