//! Channels: opening, subscribing, the function that sees each message. Sending waits, and is in the runtime.

use super::{Refusal, spawn};
use crate::runtime::Coroutine;
use crate::runtime::channels::{Terms, Transform};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use std::sync::Arc;

/// `channel_open`: makes or finds the tenant's channel of this name. Errors: overloaded.
pub fn open(coroutine: &Coroutine, name: &str) -> Result<Address, Refusal> {
    coroutine.runtime.open_channel(&coroutine.control, name)
}

/// `channel_subscribe`: with room for `cap` unread messages and a policy. Errors: gone, denied, overloaded, cycle,
/// second-path, retry, invalid, node-lost, timeout, interrupted.
pub async fn subscribe(
    coroutine: &mut Coroutine,
    channel: &Address,
    subscriber: &Address,
    cap: u32,
    policy: u32,
    timeout: u64,
) -> Result<(), Refusal> {
    let invalid = || {
        let text = format!(
            "a subscription has a cap of 1 to {} (MAILBOX_MESSAGES) and a policy of 0 to 2, not {cap} and {policy}",
            limits::MAILBOX_MESSAGES
        );
        Refusal::new(Code::Invalid, text)
    };
    let terms = Terms::new(cap, policy).ok_or_else(invalid)?;
    let (runtime, control) = (&coroutine.runtime, &coroutine.control);
    runtime.subscribe(control, channel, subscriber, terms, timeout).await
}

/// `channel_unsubscribe`. Errors: gone, denied, not-found, node-lost, timeout, interrupted.
pub async fn unsubscribe(
    coroutine: &mut Coroutine,
    channel: &Address,
    subscriber: &Address,
    timeout: u64,
) -> Result<(), Refusal> {
    coroutine.runtime.unsubscribe(&coroutine.control, channel, subscriber, timeout).await
}

/// `channel_transform`: has a function see each message; `None` ends that. Errors: gone, denied, unknown-function,
/// need-module, bad-module, node-lost, unsupported (on another node).
pub async fn transform(
    coroutine: &mut Coroutine,
    channel: &Address,
    function: Option<(Option<ModuleHash>, String)>,
) -> Result<(), Refusal> {
    let (control, runtime) = (Arc::clone(&coroutine.control), Arc::clone(&coroutine.runtime));
    // Before a module is loaded for one who may not.
    runtime.find_channel(&control, channel)?.check_owner(&control, "have a function see its messages")?;
    let transform = match function {
        None => None,
        Some((module, function)) => {
            let module = module.unwrap_or_else(|| control.program().module);
            Some(Transform {
                program: spawn::program(&control, &control.group, module, &function).await?,
                memory: coroutine.memory_limit,
                tree: Arc::clone(&control.tree),
                follower: Arc::downgrade(&coroutine.observer),
            })
        }
    };
    runtime.set_transform(&control, channel, transform)
}

/// `channel_close`. Errors: gone, denied, node-lost, timeout, interrupted.
pub async fn close(coroutine: &mut Coroutine, channel: &Address) -> Result<(), Refusal> {
    coroutine.runtime.close_channel(&coroutine.control, channel).await
}
