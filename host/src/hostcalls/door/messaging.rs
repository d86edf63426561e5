//! `send deliver receive request reply take drop mailbox_fd`.

use super::super::memory::{self, broken, put, slice, split, with, write};
use super::super::{Refusal, mailbox_fd, messaging};
use super::{Guest, Into, MODULE, address, answer, control, done_now, read_address, ready, refused, room};
use crate::runtime::control::Waits;
use crate::runtime::coroutine::Own;
use crate::runtime::mail::{self, Patience, Unsent};
use crate::runtime::message::{Filter, INLINE, Letter, Payload, ReplyTo};
use crate::runtime::own::Route;
use crate::runtime::ports::Way;
use crate::runtime::{Control, Coroutine};
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::tenancy::quota::Permit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    // Between coroutines of one node a message that was taken is in the mailbox: the two differ across nodes.
    for (name, deliver) in [("send", false), ("deliver", true)] {
        linker.func_wrap_async(
            MODULE,
            name,
            move |mut guest: Guest<'_>, (to, tag, ptr, len, timeout): (u32, u64, u32, u32, u64)| match send_now(
                &mut guest, to, tag, ptr, len, deliver,
            ) {
                Ok(Sent::Answer(0)) => done_now(),
                Ok(Sent::Answer(answer)) => ready(Ok(answer)),
                Ok(Sent::Full(unsent)) => Box::new(wait_for_room(guest, unsent, timeout)),
                Ok(Sent::Away(way, bytes)) => Box::new(send_away(guest, way, (tag, bytes, deliver), timeout)),
                Err(trap) => ready(Err(trap)),
            },
        )?;
    }
    linker.func_wrap_async(
        MODULE,
        "receive",
        |mut guest: Guest<'_>, (timeout, filter, header, buf, cap): (u64, u32, u32, u32, u32)| {
            let into = Into { header, buf, cap };
            let filter = match read_filter(&mut guest, filter) {
                Ok(filter) => filter,
                Err(trap) => return ready(Err(trap)),
            };
            let wanted = wanted(filter.as_deref());
            if (guest.data().is_successor || !mail::has_to_wait(&guest.data().control, wanted))
                && let Some(answer) = receive_now(&mut guest, wanted, into)
            {
                return ready(answer);
            }
            Box::new(Receiving { patience: guest_patience(&guest, timeout), guest, filter, into, looked: true })
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

/// What a send came to without waiting.
enum Sent {
    Answer(i32),
    Full(Box<Unsent>),
    Away(Arc<dyn Way>, Bytes),
}

#[inline]
fn send_now(guest: &mut Guest<'_>, to: u32, tag: u64, ptr: u32, len: u32, deliver: bool) -> wasmtime::Result<Sent> {
    if let Err(refusal) = mail::check_size(len) {
        return Ok(Sent::Answer(refused(guest, refusal)));
    }
    let (data, coroutine) = split(guest)?;
    let bytes = slice(data, ptr, len)?;
    let to = address(slice(data, to, Address::SIZE as u32)?);
    // Small ones go straight into the receiver's mailbox; for a larger one that would hold its lock for long.
    let is_here = to.node == coroutine.runtime.node;
    let shared = (is_here && bytes.len() > INLINE).then(|| Bytes::copy_from_slice(bytes));
    let sender = coroutine.control.address;
    let make = || mail::letter(sender, tag, shared.map_or_else(|| Payload::copy(bytes), Payload::Shared));
    Ok(match messaging::send(coroutine, &to, (tag, bytes, deliver), make) {
        Ok(messaging::Sent::Done) => Sent::Answer(0),
        Ok(messaging::Sent::Full(unsent)) => Sent::Full(unsent),
        Ok(messaging::Sent::Away(way)) => Sent::Away(way, Bytes::copy_from_slice(bytes)),
        Err(refusal) => Sent::Answer(refused(guest, refusal)),
    })
}

async fn send_away(
    mut guest: Guest<'_>,
    way: Arc<dyn Way>,
    message: (u64, Bytes, bool),
    timeout: u64,
) -> wasmtime::Result<i32> {
    let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
    let runtime = Arc::clone(&guest.data().runtime);
    let outcome = runtime.send_away(&control, &*way, message, patience).await;
    Ok(super::done(&mut guest, outcome))
}

async fn wait_for_room(mut guest: Guest<'_>, unsent: Box<Unsent>, timeout: u64) -> wasmtime::Result<i32> {
    let (control, patience) = (control(&guest), guest_patience(&guest, timeout));
    let outcome = unsent.wait(&control, patience).await;
    Ok(super::done(&mut guest, outcome))
}

/// Puts a request into its mailbox, waiting for room.
async fn post(guest: &mut Guest<'_>, to: &Arc<Control>, letter: Letter, timeout: u64) -> Result<(), Refusal> {
    match mail::try_send(&guest.data().control, to, letter.size, || letter)? {
        None => Ok(()),
        Some(unsent) => {
            let (control, patience) = (control(guest), guest_patience(guest, timeout));
            // Apart, since it is large and most messages find room: the host call's own future stays small.
            Box::pin(unsent.wait(&control, patience)).await
        }
    }
}

/// The answer to a `receive` for which there is a message, or which cannot wait. `None`: the next message wakes.
#[inline]
fn receive_now(guest: &mut Guest<'_>, filter: &Filter, into: Into) -> Option<wasmtime::Result<i32>> {
    if let Err(trap) = super::has_taken_over(guest, "receive") {
        return Some(Err(trap));
    }
    let room = room(guest, into);
    let (data, coroutine) = match split(guest) {
        Ok(both) => both,
        Err(trap) => return Some(Err(trap)),
    };
    let Coroutine { control, own, .. } = coroutine;
    let mut rest = Rest::default();
    let given =
        mail::try_receive(control, filter, room, |letter, held| give(data, own, into, letter, held, &mut rest))?;
    Some(match given {
        Ok(size) => size.and_then(|size| rest.finish(guest, into).map(|()| size)),
        Err(refusal) => Ok(refused(guest, refusal)),
    })
}

/// What is left to do for a message once its mailbox is no longer locked; nothing, mostly.
#[derive(Default)]
struct Rest {
    /// Bytes that are too many to be copied under the lock.
    large: Option<Bytes>,
    reply: Option<ReplyTo>,
    /// To be dropped outside of the lock.
    _held: Option<Permit>,
}

/// Writes a message's header, and a small message itself, to the guest; one that does not fit is kept under a token. Its
/// size.
#[inline]
fn give(
    data: &mut [u8],
    own: &mut Own,
    into: Into,
    letter: &mut Letter,
    held: Option<Permit>,
    rest: &mut Rest,
) -> wasmtime::Result<i32> {
    let size = letter.body.payload.len();
    let mut token = 0;
    match (held, &mut letter.body.payload) {
        (None, Payload::Inline(..)) => put(data, into.buf, &letter.body.payload)?,
        (None, Payload::Shared(bytes)) => rest.large = Some(std::mem::take(bytes)),
        (Some(held), payload) => token = own.tokens.keep(Bytes::from(std::mem::take(payload)), held),
    }
    messaging::write_header(memory::room(data, into.header)?, letter, size, token);
    if letter.body.reply.is_some() {
        rest.reply = letter.body.reply.take();
    }
    if letter.body.held.is_some() {
        rest._held = letter.body.held.take();
    }
    Ok(i32::try_from(size).unwrap_or(i32::MAX))
}

impl Rest {
    #[inline]
    fn finish(self, guest: &mut Guest<'_>, into: Into) -> wasmtime::Result<()> {
        if self.large.is_none() && self.reply.is_none() {
            return Ok(());
        }
        let (data, coroutine) = split(guest)?;
        if let Some(bytes) = self.large {
            put(data, into.buf, &bytes)?;
        }
        if let Some(reply) = self.reply {
            let number = coroutine.own.replies.open(reply, &coroutine.control.group.tenant.ledger);
            // The header lies within memory, so this sum does not overflow.
            put(data, into.header + messaging::REPLY, &number.to_le_bytes())?;
        }
        Ok(())
    }
}

/// A `receive` that waits. By hand: what is awaited is never held across a wait, so the future stays small.
struct Receiving<'a> {
    guest: Guest<'a>,
    /// `None`: every message.
    filter: Option<Box<Filter>>,
    into: Into,
    patience: Patience,
    /// The mailbox has been looked at since the last wake-up.
    looked: bool,
}

impl Future for Receiving<'_> {
    type Output = wasmtime::Result<i32>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Receiving { guest, filter, into, patience, looked } = self.get_mut();
        let mut answer = match std::mem::take(looked) {
            true => None,
            false => receive_now(guest, wanted(filter.as_deref()), *into),
        };
        if answer.is_none() && patience.poll(cx).is_ready() {
            answer = Some(Ok(refused(guest, Refusal::timeout("no message came in time"))));
        }
        let waits = if answer.is_none() { Waits::Receive } else { Waits::Nothing };
        guest.data().control.set_waits(waits);
        answer.map_or(Poll::Pending, Poll::Ready)
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
    let route = guest.data().runtime.route(&control, &to);
    let reply = match route {
        Ok(Route::Here(target)) => {
            let letter = mail::request(&control, tag, payload);
            if let Err(refusal) = post(&mut guest, &target, letter, timeout).await {
                return Ok(refused(&mut guest, refusal));
            }
            drop(target);
            mail::await_reply(&control, room(&guest, into), patience).await
        }
        Ok(Route::Away(_, way)) => {
            let runtime = Arc::clone(&guest.data().runtime);
            let reply = runtime.request_away(&control, &*way, tag, payload.into(), patience).await;
            let room = room(&guest, into);
            reply.and_then(|bytes| Ok((Payload::from(bytes.clone()), mail::claim(&control, bytes.len(), room)?)))
        }
        Err(refusal) => Err(refusal),
    };
    match reply {
        Ok((payload, held)) => {
            let mut letter = mail::letter(to, tag, payload);
            let (data, coroutine) = split(&mut guest)?;
            let mut rest = Rest::default();
            let size = give(data, &mut coroutine.own, into, &mut letter, held, &mut rest)?;
            rest.finish(&mut guest, into).map(|()| size)
        }
        Err(refusal) => Ok(refused(&mut guest, refusal)),
    }
}

/// The bytes of a message. Errors: too-large. Traps: pointer.
pub(super) fn read_payload(guest: &mut Guest<'_>, ptr: u32, len: u32) -> wasmtime::Result<Result<Payload, Refusal>> {
    match mail::check_size(len) {
        Ok(()) => with(guest, ptr, len, Payload::copy).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// A filter; a null pointer stands for all messages. Traps: pointer, options.
pub(super) fn read_filter(guest: &mut Guest<'_>, ptr: u32) -> wasmtime::Result<Option<Box<Filter>>> {
    if ptr == 0 {
        return Ok(None);
    }
    let filter = with(guest, ptr, messaging::FILTER, messaging::parse_filter)?.map_err(broken)?;
    Ok(Some(Box::new(filter)))
}

fn wanted(filter: Option<&Filter>) -> &Filter {
    filter.unwrap_or(&Filter::ANY)
}

pub(super) fn guest_patience(guest: &Guest<'_>, timeout: u64) -> Patience {
    guest.data().runtime.patience(timeout)
}
