//! `serve call unserve`, and `location peers watch_peers node_info`.

use super::super::memory::{read, read_text, with, write_if_it_fits};
use super::super::{services, spawn};
use super::relations::{read_hash, spawned};
use super::{Guest, Into, MODULE, control, done, offer, read_address, read_name, refused};
use crate::runtime::Coroutine;
use std::sync::Arc;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "serve",
        |mut guest: Guest<'_>, (name, len, module, function, function_len, flags): (u32, u32, u32, u32, u32, u32)| {
            Box::new(async move {
                let module = read_hash(&mut guest, module)?;
                let function = read_text(&mut guest, function, function_len, "the name of a function")?;
                let outcome = match read_name(&mut guest, name, len, "the name of a service")? {
                    Ok(name) => services::serve(guest.data_mut(), &name, (module, function), flags).await,
                    Err(refusal) => Err(refusal),
                };
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "call",
        |mut guest: Guest<'_>, (name, len, args, args_len, timeout, out): (u32, u32, u32, u32, u64, u32)| {
            Box::new(async move {
                if let Err(refusal) = spawn::check_args(args_len) {
                    return Ok(refused(&mut guest, refusal));
                }
                let args = read(&mut guest, args, args_len)?;
                // Before it is made: one whose address nobody learns would be lost.
                with(&mut guest, out, 32, |_| ())?;
                let outcome = match read_name(&mut guest, name, len, "the name of a service")? {
                    Ok(name) => services::call(guest.data_mut(), &name, args, timeout).await,
                    Err(refusal) => Err(refusal),
                };
                spawned(&mut guest, out, outcome)
            })
        },
    )?;
    linker.func_wrap(MODULE, "unserve", |mut guest: Guest<'_>, name: u32, len: u32| {
        let outcome = match read_name(&mut guest, name, len, "the name of a service")? {
            Ok(name) => services::unserve(guest.data(), &name),
            Err(refusal) => Err(refusal),
        };
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    add_peers(linker)
}

fn add_peers(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "location", |mut guest: Guest<'_>, buf: u32, cap: u32| {
        let here = guest.data().runtime.location();
        write_if_it_fits(&mut guest, buf, cap, &here)
    })?;
    linker.func_wrap(MODULE, "peers", |mut guest: Guest<'_>, header: u32, buf: u32, cap: u32| {
        let peers = guest.data().runtime.peers();
        offer(&mut guest, Into { header, buf, cap }, peers)
    })?;
    linker.func_wrap(MODULE, "watch_peers", |mut guest: Guest<'_>, watch: u32| {
        let (control, runtime) = (control(&guest), Arc::clone(&guest.data().runtime));
        let outcome = runtime.watch_peers(&control, watch != 0);
        wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "node_info", |mut guest: Guest<'_>, node: u32, header: u32, buf: u32, cap: u32| {
        let runtime = Arc::clone(&guest.data().runtime);
        let found = match node {
            0 => Ok(runtime.location()),
            node => runtime.node_of(&read_address(&mut guest, node)?),
        };
        match found {
            Ok(peer) => offer(&mut guest, Into { header, buf, cap }, peer),
            Err(refusal) => Ok(refused(&mut guest, refusal)),
        }
    })?;
    Ok(())
}
