//! `send deliver receive request reply take drop mailbox_fd`.

use super::super::memory::{broken, with, write};
use super::super::{Refusal, mailbox_fd, messaging};
use super::{Guest, Into, MODULE, answer, control, read_address, refused, room};
use crate::runtime::Coroutine;
use crate::runtime::mail::{self, Patience};
use crate::runtime::message::{Filter, Letter, Payload};
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::tenancy::quota::Permit;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    // Between coroutines of one node a message that was taken is in the mailbox: the two differ across nodes.
    for name in ["send", "deliver"] {
        linker.func_wrap_async(
            MODULE,
            name,
            |guest: Guest<'_>, (to, tag, ptr, len, timeout): (u32, u64, u32, u32, u64)| {
                Box::new(send(guest, to, tag, ptr, len, timeout))
            },
        )?;
    }
    linker.func_wrap_async(
        MODULE,
        "receive",
        |guest: Guest<'_>, (timeout, filter, header, buf, cap): (u64, u32, u32, u32, u32)| {
            Box::new(receive(guest, timeout, filter, Into { header, buf, cap }))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "request",
        |guest: Guest<'_>, (to, tag, ptr, len, timeout, header, buf, cap): (u32, u64, u32, u32, u64, u32, u32, u32)| {
            Box::new(request(guest, to, tag, (ptr, len), timeout, Into { header, buf, cap }))
        },
    )?;
    linker.func_wrap(MODULE, "reply", |mut guest: Guest<'_>, number: u64, ptr: u32, len: u32| {
        let payload = match read_payload(&mut guest, ptr, len)? {
            Ok(payload) => payload,
            Err(refusal) => return Ok(refused(&mut guest, refusal)),
        };
        let outcome = messaging::reply(guest.data_mut(), number, payload);
        wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
    })?;
    linker.func_wrap(MODULE, "take", |mut guest: Guest<'_>, token: u64, buf: u32| {
        let bytes = match messaging::take(guest.data_mut(), token) {
            Ok(bytes) => bytes,
            Err(refusal) => return Ok(refused(&mut guest, refusal)),
        };
        write(&mut guest, buf, &bytes)?;
        wasmtime::Result::<i32>::Ok(0)
    })?;
    linker.func_wrap(MODULE, "drop", |mut guest: Guest<'_>, token: u64| {
        let outcome = messaging::take(guest.data_mut(), token).map(|_| 0);
        answer(&mut guest, outcome)
    })?;
    linker.func_wrap(MODULE, "mailbox_fd", |mut guest: Guest<'_>| mailbox_fd::open(guest.data_mut()))?;
    Ok(())
}

async fn send(mut guest: Guest<'_>, to: u32, tag: u64, ptr: u32, len: u32, timeout: u64) -> wasmtime::Result<i32> {
    let payload = match read_payload(&mut guest, ptr, len)? {
        Ok(payload) => payload,
        Err(refusal) => return Ok(refused(&mut guest, refusal)),
    };
    let to = read_address(&mut guest, to)?;
    let letter = mail::letter(&guest.data().control, tag, payload);
    let outcome = put(&mut guest, &to, letter, timeout).await;
    Ok(super::done(&mut guest, outcome))
}

/// Puts a letter into its mailbox, waiting for room.
async fn put(guest: &mut Guest<'_>, to: &Address, letter: Letter, timeout: u64) -> Result<(), Refusal> {
    match messaging::send(guest.data_mut(), to, letter)? {
        None => Ok(()),
        Some(unsent) => {
            let (control, patience) = (control(guest), guest_patience(guest, timeout));
            // Apart, since it is large and most messages find room: the host call's own future stays small.
            Box::pin(unsent.wait(&control, patience)).await
        }
    }
}

async fn receive(mut guest: Guest<'_>, timeout: u64, filter: u32, into: Into) -> wasmtime::Result<i32> {
    super::has_taken_over(&guest, "receive")?;
    let filter = read_filter(&mut guest, filter)?;
    let room = room(&guest, into);
    let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
    match mail::receive(&control, filter, room, patience).await {
        Ok((letter, held)) => give_message(&mut guest, into, letter, held),
        Err(refusal) => Ok(refused(&mut guest, refusal)),
    }
}

async fn request(
    mut guest: Guest<'_>,
    to: u32,
    tag: u64,
    (ptr, len): (u32, u32),
    timeout: u64,
    into: Into,
) -> wasmtime::Result<i32> {
    super::has_taken_over(&guest, "request")?;
    let payload = match read_payload(&mut guest, ptr, len)? {
        Ok(payload) => payload,
        Err(refusal) => return Ok(refused(&mut guest, refusal)),
    };
    let to = read_address(&mut guest, to)?;
    // Before anything is sent: a reply that cannot be given would be lost.
    if let Err(refusal) = messaging::check_tokens(guest.data()) {
        return Ok(refused(&mut guest, refusal));
    }
    let control = control(&guest);
    let patience = guest_patience(&guest, timeout);
    let letter = mail::request(&control, tag, payload);
    if let Err(refusal) = put(&mut guest, &to, letter, timeout).await {
        return Ok(refused(&mut guest, refusal));
    }
    match mail::await_reply(&control, room(&guest, into), patience).await {
        Ok((payload, held)) => {
            let mut letter = mail::letter(&control, tag, payload);
            letter.sender = to;
            give_message(&mut guest, into, letter, held)
        }
        Err(refusal) => Ok(refused(&mut guest, refusal)),
    }
}

/// Writes a message's header, and its bytes into the buffer or under a token.
fn give_message(guest: &mut Guest<'_>, into: Into, mut letter: Letter, held: Option<Permit>) -> wasmtime::Result<i32> {
    let reply = letter.body.reply.take().map_or(0, |reply| {
        let Coroutine { control, own, .. } = guest.data_mut();
        own.replies.open(reply, &control.group.tenant.ledger)
    });
    let mut token = 0;
    match held {
        None => write(guest, into.buf, &letter.body.payload)?,
        Some(held) => {
            let bytes = Bytes::from(letter.body.payload.clone());
            token = guest.data_mut().own.tokens.keep(bytes, held);
        }
    }
    write(guest, into.header, &messaging::header(&letter, token, reply))?;
    Ok(i32::try_from(letter.body.payload.len()).unwrap_or(i32::MAX))
}

/// The bytes of a message. Errors: too-large. Traps: pointer.
pub(super) fn read_payload(guest: &mut Guest<'_>, ptr: u32, len: u32) -> wasmtime::Result<Result<Payload, Refusal>> {
    match mail::check_size(len) {
        Ok(()) => with(guest, ptr, len, Payload::copy).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// A filter; a null pointer is the one that takes all. Traps: pointer, options.
pub(super) fn read_filter(guest: &mut Guest<'_>, ptr: u32) -> wasmtime::Result<Filter> {
    if ptr == 0 {
        return Ok(Filter::default());
    }
    with(guest, ptr, messaging::FILTER, messaging::parse_filter)?.map_err(broken)
}

pub(super) fn guest_patience(guest: &Guest<'_>, timeout: u64) -> Patience {
    guest.data().runtime.patience(timeout)
}
