//! Services: offering a function, and having a coroutine made of one that is offered, wherever that is.

use super::{Refusal, spawn};
use crate::runtime::Coroutine;
use crate::runtime::mail;
use bytes::Bytes;
use corovan_core::ids::{Address, ModuleHash};
use std::sync::Arc;

const TELL: u32 = 1;

/// `serve`: offers this function of this module, or of its own, at this node. Errors: taken, denied, unknown-function,
/// need-module, bad-module, overloaded, invalid, timeout, interrupted.
pub async fn serve(
    coroutine: &mut Coroutine,
    name: &str,
    (module, function): (Option<ModuleHash>, String),
    flags: u32,
) -> Result<(), Refusal> {
    if flags & !TELL != 0 {
        let text = format!("{flags:#x} has a flag that serve does not take");
        return Err(Refusal::new(corovan_core::code::Code::Invalid, text));
    }
    let (control, runtime) = (Arc::clone(&coroutine.control), Arc::clone(&coroutine.runtime));
    let module = module.unwrap_or_else(|| control.program().module);
    // What is not there cannot be offered.
    spawn::program(&control, &control.group, module, &function).await?;
    runtime.serve(&control, name, (module, function), flags & TELL != 0).await
}

/// `call`: makes a coroutine of a service, for the caller's computation, where that is offered; with a timeout of 0 on this
/// node only, as others have to be waited for. Errors: not-found, denied, overloaded, too-large, invalid, timeout, node-lost,
/// interrupted.
pub async fn call(coroutine: &mut Coroutine, name: &str, args: Bytes, timeout: u64) -> Result<Address, Refusal> {
    let (control, runtime) = (Arc::clone(&coroutine.control), Arc::clone(&coroutine.runtime));
    let request = spawn::Request { args, ..spawn::Request::default() };
    spawn::check(&request)?;
    let end = runtime.clock().now().saturating_add(timeout);
    let service = match timeout {
        0 => runtime.locate_here(&control, name)?,
        _ => runtime.locate(&control, name, timeout).await?,
    };
    if service.node != runtime.node {
        let left = if timeout == mail::FOREVER { timeout } else { end.saturating_sub(runtime.clock().now()) };
        if left == 0 {
            return Err(Refusal::timeout(&format!("{name:?} was found, and no time was left to have it made")));
        }
        return spawn::called(coroutine, service, request, left).await;
    }
    let service = runtime.service(&control.group.tenant, &service)?;
    let program = spawn::program(&control, &control.group, service.module, &service.function).await?;
    let told = service.tell(&runtime)?;
    let held = spawn::hold_args(coroutine, &request)?;
    let made = spawn::make(coroutine, program, request, held)?;
    told.into_iter().for_each(|told| told.made(made));
    Ok(made)
}

/// `unserve`. Errors: not-found, denied.
pub fn unserve(coroutine: &Coroutine, name: &str) -> Result<(), Refusal> {
    coroutine.runtime.unserve(&coroutine.control, name)
}
