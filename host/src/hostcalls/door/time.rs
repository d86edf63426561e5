//! `sleep wait now monotonic deadline send_after cancel_timer`.

use super::super::Refusal;
use super::super::memory::{broken, with};
use super::super::time::{self, WaitEntry, WaitFor};
use super::messaging::{read_filter, read_payload};
use super::{Guest, MODULE, answer, control, done, read_address, refused};
use crate::runtime::Coroutine;
use crate::runtime::message::Filter;
use corovan_core::code::Code;
use wasmtime::Linker;

/// Adds them.
pub(super) fn add(linker: &mut Linker<Coroutine>) -> wasmtime::Result<()> {
    linker.func_wrap_async(MODULE, "sleep", |mut guest: Guest<'_>, (nanos,): (u64,)| {
        Box::new(async move {
            let (scheduler, control) = (guest.data().runtime.scheduler.clone(), control(&guest));
            let outcome = time::sleep(scheduler, control, nanos).await;
            answer(&mut guest, outcome)
        })
    })?;
    linker.func_wrap_async(MODULE, "wait", |mut guest: Guest<'_>, (set, n, timeout): (u32, u32, u64)| {
        Box::new(async move {
            if let Err(refusal) = time::check_set(n) {
                return Ok(refused(&mut guest, refusal));
            }
            let entries = with(&mut guest, set, n * time::WAIT_ENTRY, time::parse_set)?;
            let mut set = Vec::with_capacity(entries.len());
            for entry in entries {
                match follow(&mut guest, entry)? {
                    Ok(entry) => set.push(entry),
                    Err(refusal) => return Ok(refused(&mut guest, refusal)),
                }
            }
            if let Err(refusal) = time::check_filters(&set) {
                return Ok(refused(&mut guest, refusal));
            }
            let (runtime, control) = (std::sync::Arc::clone(&guest.data().runtime), control(&guest));
            let outcome = time::wait(runtime, control, set, timeout).await;
            wasmtime::Result::<i32>::Ok(answer(&mut guest, outcome))
        })
    })?;
    linker.func_wrap(
        MODULE,
        "send_after",
        |mut guest: Guest<'_>, delay: u64, to: u32, tag: u64, ptr: u32, len: u32| {
            let outcome = match read_payload(&mut guest, ptr, len)? {
                Err(refusal) => Err(refusal),
                Ok(payload) => {
                    let to = read_address(&mut guest, to)?;
                    let data = guest.data();
                    data.runtime.send_after(&data.control, delay, &to, tag, payload)
                }
            };
            wasmtime::Result::<i64>::Ok(match outcome {
                Ok(number) => i64::try_from(number).unwrap_or(i64::MAX),
                Err(refusal) => i64::from(refused(&mut guest, refusal)),
            })
        },
    )?;
    linker.func_wrap(MODULE, "cancel_timer", |mut guest: Guest<'_>, number: u64| {
        let data = guest.data();
        let outcome = data.runtime.cancel_timer(&data.control, number);
        done(&mut guest, outcome)
    })?;
    linker.func_wrap(MODULE, "now", |guest: Guest<'_>| time::now(guest.data()))?;
    linker.func_wrap(MODULE, "monotonic", |guest: Guest<'_>| time::monotonic(guest.data()))?;
    linker.func_wrap(MODULE, "deadline", |guest: Guest<'_>| time::deadline(guest.data()))?;
    Ok(())
}

/// Follows the pointers of an entry. Errors: unsupported, invalid. Traps: pointer, options.
fn follow(guest: &mut Guest<'_>, entry: WaitEntry) -> wasmtime::Result<Result<WaitFor, Refusal>> {
    let WaitEntry { kind, value, strange } = entry;
    if strange && matches!(kind, time::WAIT_TIMER | time::WAIT_MESSAGE | time::WAIT_EXIT) {
        return Ok(Err(Refusal::new(
            Code::Invalid,
            "an entry of this kind has a handle or reserved field that is not 0",
        )));
    }
    let pointer = || u32::try_from(value).map_err(|_| broken(format!("{value:#x} is no pointer")));
    Ok(match kind {
        time::WAIT_TIMER => Ok(WaitFor::Timer(value)),
        time::WAIT_MESSAGE => {
            let filter = read_filter(guest, pointer()?)?;
            Ok(WaitFor::Message(filter.map_or(Filter::ANY, |filter| *filter)))
        }
        time::WAIT_EXIT => Ok(WaitFor::Exit(read_address(guest, pointer()?)?)),
        other => Err(Refusal::new(Code::Unsupported, format!("this node cannot wait for kind {other}"))),
    })
}
