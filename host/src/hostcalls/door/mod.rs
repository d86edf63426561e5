//! The core door: flat imports from module `corovan` over the functions of this folder's parent, one file an interface.
//! Reads arguments, calls, writes the result; decides nothing. The calling convention is in `guest-sdk/abi/README.md`.

mod channels;
mod lifecycle;
mod locks;
mod log;
mod messaging;
mod names;
mod relations;
mod services;
mod time;

use super::Refusal;
use super::memory::{broken, read_text, write};
use crate::runtime::mail::Room;
use crate::runtime::{Control, Coroutine};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::{Caller, Linker};

const MODULE: &str = "corovan";

type Guest<'a> = Caller<'a, Coroutine>;

/// Where a result of variable size goes: a header that says how large it is, and a buffer.
#[derive(Clone, Copy, Debug)]
struct Into {
    header: u32,
    buf: u32,
    cap: u32,
}

/// Adds every function of this version.
pub fn add_to_linker(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    lifecycle::add(linker)?;
    relations::add(linker)?;
    time::add(linker)?;
    messaging::add(linker)?;
    channels::add(linker)?;
    services::add(linker)?;
    names::add(linker)?;
    locks::add(linker)?;
    log::add(linker)
}

/// A value, or the negated code with its detail kept for `last_error`.
fn answer(guest: &mut Guest<'_>, outcome: Result<i32, Refusal>) -> i32 {
    outcome.unwrap_or_else(|refusal| refused(guest, refusal))
}

fn refused(guest: &mut Guest<'_>, refusal: Refusal) -> i32 {
    guest.data_mut().last_error = refusal.detail;
    -i32::from(refusal.code.number())
}

/// Nothing, or a negated code.
fn done(guest: &mut Guest<'_>, outcome: Result<(), Refusal>) -> i32 {
    answer(guest, outcome.map(|()| 0))
}

/// What a coroutine has, an instance that is to take another's place has only after its start: what its start functions
/// did with it would be lost, or done to the one that still runs. Traps: start.
fn has_taken_over(guest: &Guest<'_>, what: &str) -> wasmtime::Result<()> {
    match guest.data().is_successor {
        false => Ok(()),
        true => Err(broken(format!("{what} in a start function of an instance that has not taken over yet"))),
    }
}

/// A host call that has its answer. Nearly all messages and spawns go this way: it costs no future of the size of one that can wait.
fn ready<'a>(answer: wasmtime::Result<i32>) -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
    Box::new(std::future::ready(answer))
}

/// The same for what answers 0, of which there is nothing to keep: it allocates nothing.
fn done_now<'a>() -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
    struct Done;
    impl Future for Done {
        type Output = wasmtime::Result<i32>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(0))
        }
    }
    Box::new(Done)
}

fn control(guest: &Guest<'_>) -> Arc<Control> {
    Arc::clone(&guest.data().control)
}

fn read_address(guest: &mut Guest<'_>, ptr: u32) -> wasmtime::Result<Address> {
    super::memory::with(guest, ptr, Address::SIZE as u32, address)
}

/// An address from as many bytes as it has.
fn address(bytes: &[u8]) -> Address {
    let mut address = [0; Address::SIZE];
    address.copy_from_slice(bytes);
    Address::from_bytes(address)
}

/// A name of 1 to [`limits::NAME_BYTES`] bytes. Errors: invalid. Traps: pointer, text.
fn read_name(guest: &mut Guest<'_>, ptr: u32, len: u32, what: &str) -> wasmtime::Result<Result<String, Refusal>> {
    let name = read_text(guest, ptr, len, what)?;
    if (1..=limits::NAME_BYTES).contains(&name.len()) && len as usize <= limits::NAME_BYTES {
        return Ok(Ok(name));
    }
    let text = format!("{what} has 1 to {} bytes (NAME_BYTES), not {len}", limits::NAME_BYTES);
    Ok(Err(Refusal::new(Code::Invalid, text)))
}

/// What a call that gives bytes may take: see [`give`].
fn room(guest: &Guest<'_>, into: Into) -> Room {
    Room { buffer: into.cap as usize, token: !guest.data().own.tokens.is_full() }
}

/// Writes a result of variable size: into the buffer if it fits, else it is kept under a token. `held` is what [`Room`]
/// was claimed with. Traps: pointer.
fn give(guest: &mut Guest<'_>, into: Into, bytes: Bytes, held: Option<Permit>) -> wasmtime::Result<i32> {
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut part = [0; 16];
    part[..4].copy_from_slice(&size.to_le_bytes());
    match held {
        None => write(guest, into.buf, &bytes)?,
        Some(held) => part[8..].copy_from_slice(&guest.data_mut().own.tokens.keep(bytes, held).to_le_bytes()),
    }
    write(guest, into.header, &part)?;
    Ok(i32::try_from(size).unwrap_or(i32::MAX))
}

/// The same for bytes that are there already. Errors: overloaded.
fn offer(guest: &mut Guest<'_>, into: Into, bytes: Bytes) -> wasmtime::Result<i32> {
    let room = room(guest, into);
    match crate::runtime::mail::claim(&guest.data().control, bytes.len(), room) {
        Ok(held) => give(guest, into, bytes, held),
        Err(refusal) => Ok(refused(guest, refusal)),
    }
}
