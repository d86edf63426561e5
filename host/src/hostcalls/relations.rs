//! Lifecycle of others: terminate, interrupt, status, swap, and what a coroutine answers to them.

use super::{Refusal, spawn};
use crate::runtime::mail::Patience;
use crate::runtime::own::Route;
use crate::runtime::place::Place;
use crate::runtime::ports::Ask;
pub(crate) use crate::runtime::relations::suspend;
use crate::runtime::{Control, Coroutine, Runtime, relations, swap};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::text::cut;
use std::sync::Arc;

/// `terminate`: interrupts, after the grace period stops hard, and waits until it has ended. Errors: denied, node-lost,
/// timeout, interrupted (also by terminating oneself).
pub async fn terminate(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    target: &Address,
    patience: Patience,
) -> Result<(), Refusal> {
    let (by, reason) = (format!("coroutine {}", control.address), "terminate was called");
    match runtime.find(control, target)? {
        Place::Here(target) => runtime.terminate(&target, &by, reason, limits::TERMINATE_GRACE),
        Place::Away(way) => {
            let ask = Ask::Terminate { by, reason: reason.into() };
            // Both waits share one patience: the answer comes at once or not at all.
            runtime.ask_away(control, (target, &*way), ask, Patience::Forever).await?;
        }
        Place::Past(_) | Place::Nowhere => {}
    }
    if *target == control.address {
        let reason = control.take_interrupt().unwrap_or_default();
        return Err(Refusal::new(Code::Interrupted, reason));
    }
    match runtime.until_over(control, target, patience).await {
        Err(refusal) if refusal.code != Code::Expired => Err(refusal),
        _ => Ok(()),
    }
}

/// `interrupt`: the target's current or next waiting call gives `interrupted`, once. Errors: gone, denied, node-lost, and where it
/// is on another node: timeout, interrupted.
pub async fn interrupt(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    target: &Address,
    reason: String,
    patience: Patience,
) -> Result<(), Refusal> {
    match runtime.route(control, target)? {
        Route::Here(target) => target.interrupt(&reason),
        Route::Away(_, way) => {
            runtime.ask_away(control, (target, &*way), Ask::Interrupt { reason }, patience).await?;
        }
    }
    Ok(())
}

/// `resume`: ends the target's suspend, or its next one. Errors: gone, denied, overloaded, node-lost, and where it is on another
/// node: timeout, interrupted.
pub async fn resume(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    target: &Address,
    bytes: Bytes,
    patience: Patience,
) -> Result<(), Refusal> {
    if target.node == runtime.node {
        return runtime.resume(control, target, bytes);
    }
    let way = runtime.away(&control.group, target)?;
    runtime.ask_away(control, (target, &*way), Ask::Resume { bytes }, patience).await.map(drop)
}

/// A reason of `len` bytes is too large? Asked before it is copied.
pub fn check_reason(len: u32) -> Result<(), Refusal> {
    if len as usize <= limits::TEXT_BYTES {
        return Ok(());
    }
    let text = format!("a reason of {len} bytes is over the limit of {} (TEXT_BYTES)", limits::TEXT_BYTES);
    Err(Refusal::new(Code::TooLarge, text))
}

/// `set_daemon`: whether this coroutine keeps its computation open.
pub fn set_daemon(coroutine: &Coroutine, daemon: bool) {
    if coroutine.runtime.set_daemon(&coroutine.control, daemon) {
        coroutine.observer.set_daemon(daemon);
    }
}

/// `status`: what the target does, in CBOR. Errors: gone, denied, node-lost, and where it is on another node: timeout,
/// interrupted.
pub async fn status(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    target: &Address,
    patience: Patience,
) -> Result<Bytes, Refusal> {
    match runtime.route(control, target)? {
        Route::Here(target) => Ok(relations::status(runtime, &target).into()),
        Route::Away(_, way) => runtime.ask_away(control, (target, &*way), Ask::Status, patience).await,
    }
}

/// `swap`: asks the target to go on as this function. Errors: swap-failed, gone, denied, unknown-function, need-module,
/// bad-module, timeout, node-lost, interrupted, overloaded.
pub async fn swap(
    runtime: &Arc<Runtime>,
    control: &Arc<Control>,
    target: &Address,
    module: Option<ModuleHash>,
    function: &str,
    patience: Patience,
) -> Result<(), Refusal> {
    let other = match runtime.route(control, target)? {
        Route::Here(other) => other,
        Route::Away(_, way) => {
            crate::runtime::group::check_function(function)?;
            return runtime.swap_away(control, (target, &*way), (module, function), patience).await;
        }
    };
    if *target == control.address {
        return Err(Refusal::new(Code::SwapFailed, "a coroutine that asks itself would wait for itself"));
    }
    let module = module.unwrap_or_else(|| other.program().module);
    let program = spawn::program(control, &other.group, module, function).await?;
    drop(other);
    runtime.swap(control, target, program, patience).await
}

/// `swap_point`: agrees to a swap. Returns only on failure: swap-failed, not-found, invalid.
pub async fn swap_point(control: &Arc<Control>, state: Bytes) -> Refusal {
    if let Err(error) = corovan_core::wire::cbor::check(&state) {
        return Refusal::new(Code::Invalid, format!("the state is not one CBOR item: {error}"));
    }
    swap::swap_point(control, state).await
}

/// `swap_refuse`: declines a swap. Errors: not-found.
pub fn swap_refuse(coroutine: &Coroutine, why: String) -> Result<(), Refusal> {
    swap::swap_refuse(&coroutine.control, cut(why, limits::TEXT_BYTES))
}
