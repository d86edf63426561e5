//! `channel_open channel_subscribe channel_unsubscribe channel_send channel_deliver channel_transform channel_close`.

use super::super::memory::{read_text, write};
use super::super::{Refusal, channels};
use super::messaging::{guest_patience, read_payload};
use super::relations::read_hash;
use super::{Guest, MODULE, answer, control, done, read_address, read_name, refused};
use crate::runtime::Coroutine;
use crate::runtime::channels as runtime;
use corovan_core::ids::Address;
use std::sync::Arc;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "channel_open", |mut guest: Guest<'_>, name: u32, len: u32, out: u32| {
        let name = match read_name(&mut guest, name, len, "the name of a channel")? {
            Ok(name) => name,
            Err(refusal) => return Ok(refused(&mut guest, refusal)),
        };
        match channels::open(guest.data(), &name) {
            Ok(address) => write(&mut guest, out, &address.to_bytes()).map(|()| 0),
            Err(refusal) => Ok(refused(&mut guest, refusal)),
        }
    })?;
    linker.func_wrap_async(
        MODULE,
        "channel_subscribe",
        |mut guest: Guest<'_>, (channel, subscriber, cap, policy, timeout): (u32, u32, u32, u32, u64)| {
            Box::new(async move {
                let (channel, subscriber) = read_pair(&mut guest, channel, subscriber)?;
                let outcome = channels::subscribe(guest.data_mut(), &channel, &subscriber, cap, policy, timeout).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "channel_unsubscribe",
        |mut guest: Guest<'_>, (channel, subscriber, timeout): (u32, u32, u64)| {
            Box::new(async move {
                let (channel, subscriber) = read_pair(&mut guest, channel, subscriber)?;
                let outcome = channels::unsubscribe(guest.data_mut(), &channel, &subscriber, timeout).await;
                wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "channel_send",
        |guest: Guest<'_>, (channel, tag, ptr, len, timeout): (u32, u64, u32, u32, u64)| {
            Box::new(publish(guest, channel, tag, (ptr, len), None, timeout))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "channel_deliver",
        |guest: Guest<'_>, (channel, tag, ptr, len, n, timeout): (u32, u64, u32, u32, u32, u64)| {
            Box::new(publish(guest, channel, tag, (ptr, len), Some(n), timeout))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "channel_transform",
        |guest: Guest<'_>, (channel, module, function, len): (u32, u32, u32, u32)| {
            Box::new(transform(guest, channel, module, (function, len)))
        },
    )?;
    linker.func_wrap_async(MODULE, "channel_close", |mut guest: Guest<'_>, (channel,): (u32,)| {
        Box::new(async move {
            let channel = read_address(&mut guest, channel)?;
            let outcome = channels::close(guest.data_mut(), &channel).await;
            wasmtime::Result::<i32>::Ok(done(&mut guest, outcome))
        })
    })?;
    Ok(())
}

/// Sends to all; with `n` to so many at least, and says how many.
async fn publish(
    mut guest: Guest<'_>,
    channel: u32,
    tag: u64,
    (ptr, len): (u32, u32),
    n: Option<u32>,
    timeout: u64,
) -> wasmtime::Result<i32> {
    let channel = read_address(&mut guest, channel)?;
    let payload = match read_payload(&mut guest, ptr, len)? {
        Ok(payload) => payload,
        Err(refusal) => return Ok(refused(&mut guest, refusal)),
    };
    let control = control(&guest);
    let payload = match runtime::shared(&control, payload) {
        Ok(payload) => payload,
        Err(refusal) => return Ok(refused(&mut guest, refusal)),
    };
    let (patience, node) = (guest_patience(&guest, timeout), Arc::clone(&guest.data().runtime));
    let outcome: Result<i32, Refusal> = match n {
        None => runtime::send(&node, &control, &channel, tag, payload, patience).await.map(|()| 0),
        Some(n) => {
            let delivered = runtime::deliver(&node, &control, &channel, n as usize, (tag, payload), patience).await;
            delivered.map(|count| i32::try_from(count).unwrap_or(i32::MAX))
        }
    };
    Ok(answer(&mut guest, outcome))
}

async fn transform(mut guest: Guest<'_>, channel: u32, module: u32, (name, len): (u32, u32)) -> wasmtime::Result<i32> {
    let channel = read_address(&mut guest, channel)?;
    let function = match len {
        0 => None,
        _ => Some((read_hash(&mut guest, module)?, read_text(&mut guest, name, len, "the name of a function")?)),
    };
    let outcome = channels::transform(guest.data_mut(), &channel, function).await;
    Ok(done(&mut guest, outcome))
}

fn read_pair(guest: &mut Guest<'_>, channel: u32, subscriber: u32) -> wasmtime::Result<(Address, Address)> {
    Ok((read_address(guest, channel)?, read_address(guest, subscriber)?))
}
