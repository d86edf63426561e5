//! Messaging: from mailbox to mailbox, requests and replies, results that wait under tokens.

use super::Refusal;
use super::time::{u32_at, u64_at};
use crate::runtime::Coroutine;
use crate::runtime::mail::{self, Unsent};
use crate::runtime::message::{Filter, Kind, Letter, Payload};
use crate::runtime::own::Route;
use crate::runtime::ports::Way;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use std::sync::Arc;

/// `corovan_filter` in guest memory: size u32, by u32, tag u64, kind u32, reserved u32, sender 32 bytes.
pub const FILTER: u32 = 56;
/// `corovan_message`: size u32, kind u32, tag u64, token u64, reply u64, sender 32 bytes.
pub const MESSAGE: usize = 64;
/// Where the number of the reply is in it.
pub const REPLY: u32 = 24;

const BY_TAG: u32 = 1;
const BY_KIND: u32 = 2;
const BY_SENDER: u32 = 4;

/// What a send came to without waiting.
#[derive(Debug)]
pub enum Sent {
    Done,
    /// It waits for room in the mailbox of a coroutine of this node.
    Full(Box<Unsent>),
    /// It goes to another node and has to wait.
    Away(Arc<dyn Way>),
}

/// `send`, `deliver` of a message: `Done` when it is in the mailbox of a coroutine of this node, or, where it need not be
/// delivered, on its way to another. Errors: gone, denied, node-lost, overloaded (the tenant's quota).
#[inline]
pub fn send(
    coroutine: &mut Coroutine,
    to: &Address,
    (tag, bytes, deliver): (u64, &[u8], bool),
    make: impl FnOnce() -> Letter,
) -> Result<Sent, Refusal> {
    let Coroutine { control, own, runtime, .. } = coroutine;
    let outcome = match own.routes.find(to, || runtime.route(control, to))? {
        Route::Here(known) => {
            mail::try_send(control, known, bytes.len(), make).map(|unsent| unsent.map_or(Sent::Done, Sent::Full))
        }
        Route::Away(_, way) if deliver => Ok(Sent::Away(Arc::clone(way))),
        Route::Away(_, way) => way.send_now(&control.address, tag, bytes).map(|sent| match sent {
            true => {
                control.sent(bytes.len());
                Sent::Done
            }
            false => Sent::Away(Arc::clone(way)),
        }),
    };
    if outcome.as_ref().is_err_and(|refusal| refusal.code == Code::Gone) {
        own.routes.forget(to);
    }
    outcome
}

/// `reply`: answers a request, once. Errors: gone (no longer awaited), overloaded (the tenant's quota; it may be tried
/// again).
pub fn reply(coroutine: &mut Coroutine, number: u64, payload: Payload) -> Result<i32, Refusal> {
    let gone = || Refusal::new(Code::Gone, "the reply is no longer awaited, or was given before");
    let reply = coroutine.own.replies.take(number).ok_or_else(gone)?;
    let size = payload.len();
    let mut held = None;
    if size as u64 > limits::MAILBOX_FREE {
        match coroutine.hold(size as u64) {
            Ok(permit) => held = Some(permit),
            Err(exhausted) => {
                coroutine.own.replies.put_back(number, reply);
                return Err(exhausted.into());
            }
        }
    }
    match reply.answer(payload, held) {
        Ok(true) => {}
        Ok(false) => return Err(gone()),
        Err((reply, refusal)) => {
            coroutine.own.replies.put_back(number, reply);
            return Err(refusal);
        }
    }
    coroutine.control.sent(size);
    Ok(0)
}

/// `take`: what a token stands for. Errors: not-found.
pub fn take(coroutine: &mut Coroutine, token: u64) -> Result<Bytes, Refusal> {
    let no_token =
        || Refusal::new(Code::NotFound, format!("token {token} was never given, or was taken or dropped before"));
    coroutine.own.tokens.take(token).ok_or_else(no_token)
}

/// All tokens are in use: a call whose result may need one is refused before it has an effect.
pub fn check_tokens(coroutine: &Coroutine) -> Result<(), Refusal> {
    if !coroutine.own.tokens.is_full() {
        return Ok(());
    }
    let text = format!("{} results wait to be taken, which is the limit: take or drop some", limits::PENDING_TOKENS);
    Err(Refusal::new(Code::Overloaded, text))
}

/// A filter from guest bytes. `Err`: what no program of this version writes.
pub fn parse_filter(bytes: &[u8]) -> Result<Filter, String> {
    let (size, by, kind) = (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 16));
    if size != FILTER {
        return Err(format!("a filter of {size} bytes is not of this version, which has {FILTER}"));
    }
    if by & !(BY_TAG | BY_KIND | BY_SENDER) != 0 || u32_at(bytes, 20) != 0 {
        return Err(format!("a filter by {by:#x} is not of this version, or its reserved field is not 0"));
    }
    let kind = match by & BY_KIND {
        0 => None,
        _ => Some(Kind::from_number(kind).ok_or_else(|| format!("{kind} is no kind of message"))?),
    };
    let mut sender = [0; Address::SIZE];
    sender.copy_from_slice(&bytes[24..56]);
    Ok(Filter {
        tag: (by & BY_TAG != 0).then(|| u64_at(bytes, 8)),
        kind,
        sender: (by & BY_SENDER != 0).then(|| Address::from_bytes(sender)),
    })
}

/// Writes a message's header, of a message of this size, to where it goes. The reply's number goes in later, at [`REPLY`].
#[inline]
pub fn write_header(header: &mut [u8; MESSAGE], letter: &Letter, size: usize, token: u64) {
    header[..4].copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    header[4..8].copy_from_slice(&(letter.kind as u32).to_le_bytes());
    header[8..16].copy_from_slice(&letter.tag.to_le_bytes());
    header[16..24].copy_from_slice(&token.to_le_bytes());
    header[24..32].fill(0);
    header[32..].copy_from_slice(&letter.sender.to_bytes());
}
