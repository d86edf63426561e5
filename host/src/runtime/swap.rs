//! Hot swap: one coroutine asks another to go on as another function; both learn how it went, once.

use super::control::{Control, Waits};
use super::launch::{Program, Runtime};
use super::mail::Patience;
use super::message::{self, Kind, Payload};
use super::refusal::Refusal;
use super::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

impl Runtime {
    /// Asks the target to go on as another program, and waits for how it went. Errors: swap-failed, gone, denied, timeout,
    /// node-lost, interrupted, overloaded.
    pub(crate) async fn swap(
        &self,
        control: &Arc<Control>,
        target: &Address,
        program: Arc<Program>,
        mut patience: Patience,
    ) -> Result<(), Refusal> {
        let asked = self.ask_swap(&self.find_here(control, target)?, program, control.address)?;
        let swap = &asked.swap;
        let _doing = control.doing.wait(Waits::Swap);
        let mut longest = self.scheduler.sleep_until(self.after(limits::SWAP_TIME));
        // An interrupt that came when the target had agreed: the swap is as good as done, and the next call gives it.
        let mut late = None;
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = swap.poll(cx) {
                return Poll::Ready(outcome);
            }
            if late.is_none()
                && let Some(reason) = control.take_interrupt()
            {
                let given_up = Refusal::new(Code::Interrupted, reason.clone());
                if swap.withdraw(given_up.clone()) {
                    return Poll::Ready(Err(given_up));
                }
                late = Some(reason);
            }
            if patience.poll(cx).is_pending() && Pin::new(&mut longest).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let given_up = Refusal::timeout(LATE);
            if swap.withdraw(given_up.clone()) { Poll::Ready(Err(given_up)) } else { Poll::Pending }
        })
        .await;
        drop(asked);
        late.into_iter().for_each(|reason| control.interrupt(&reason));
        outcome
    }

    /// The module that a coroutine runs, which another node wants to be swapped. Errors: gone, denied.
    pub fn swap_target(&self, tenant: &Arc<Tenant>, target: &Address) -> Result<ModuleHash, Refusal> {
        Ok(self.resident(tenant, target)?.program().module)
    }

    /// The same as a swap on this node, for a coroutine of another, which may stop waiting. Errors: swap-failed, gone, denied,
    /// unknown-function, need-module, bad-module, timeout, overloaded.
    pub async fn serve_swap(
        &self,
        tenant: &Arc<Tenant>,
        (asker, target): (Address, &Address),
        (module, function): (ModuleHash, &str),
        waiting: &Waiting,
    ) -> Result<(), Refusal> {
        let other = self.resident(tenant, target)?;
        let program = other.group.ready(module, function).await?;
        let asked = waiting.ask(|| self.ask_swap(&other, program, asker))?;
        let mut longest = self.scheduler.sleep_until(self.after(limits::SWAP_TIME));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = asked.swap.poll(cx) {
                return Poll::Ready(outcome);
            }
            let given_up = Refusal::timeout(LATE);
            let is_late = Pin::new(&mut longest).poll(cx).is_ready();
            if is_late && asked.swap.withdraw(given_up.clone()) { Poll::Ready(Err(given_up)) } else { Poll::Pending }
        })
        .await
    }

    /// Tells the target that it is to go on as another program.
    fn ask_swap(&self, target: &Arc<Control>, program: Arc<Program>, asker: Address) -> Result<Asked, Refusal> {
        let promised = self.promise(target)?;
        let swap = Arc::new(Swap::new(Arc::clone(&program)));
        {
            let mut ties = target.ties.lock();
            if ties.ended {
                return Err(Refusal::gone(target.address));
            }
            if ties.swap.is_some() {
                return Err(Refusal::new(Code::SwapFailed, "another swap is asked of it, and has not been answered"));
            }
            ties.swap = Some(Arc::clone(&swap));
        }
        let payload = Payload::copy(program.function.as_bytes());
        target.push_reserved(message::notice(Kind::Swap, asker, payload, promised.keep()));
        Ok(Asked { target: Arc::clone(target), swap })
    }
}

/// The target of a swap agrees: returns only when the new instance could not take over. Errors: swap-failed, not-found,
/// overloaded (it may be tried again).
pub(crate) async fn swap_point(control: &Arc<Control>, state: Bytes) -> Refusal {
    let Some(swap) = control.ties.lock().swap.clone() else { return no_swap() };
    let held = match state.len() as u64 {
        size if size > limits::MAILBOX_FREE => match control.group.tenant.ledger.take(Resource::Held, size) {
            Ok(held) => Some(held),
            Err(exhausted) => return exhausted.into(),
        },
        _ => None,
    };
    if !swap.agree() {
        control.forget_swap(&swap);
        return no_swap();
    }
    control.put_swap_point(SwapPoint { swap, state, held });
    std::future::poll_fn(|_| match control.ties.lock().swap_failed.take() {
        Some(why) => Poll::Ready(why),
        // The instance is polled again only when the new one could not take over.
        None => Poll::Pending,
    })
    .await
}

/// The target of a swap declines it. Errors: not-found.
pub(crate) fn swap_refuse(control: &Control, why: String) -> Result<(), Refusal> {
    let swap = control.ties.lock().swap.take().ok_or_else(no_swap)?;
    if !swap.agree() {
        return Err(no_swap());
    }
    swap.end(Err(Refusal::new(Code::SwapFailed, format!("it declined: {why}"))));
    Ok(())
}

/// A swap that is asked for, from the request to its end.
#[derive(Debug)]
pub(super) struct Swap {
    pub program: Arc<Program>,
    state: Mutex<State>,
}

/// Whether a coroutine of another node still waits for a swap that it has asked for.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<Wait>);

#[derive(Debug, Default)]
enum Wait {
    /// The target has not been asked yet.
    #[default]
    Begun,
    For(Arc<Control>, Arc<Swap>),
    Over,
}

#[derive(Debug, Default)]
struct State {
    /// The target has agreed; whoever asked can no longer take it back.
    agreed: bool,
    outcome: Option<Result<(), Refusal>>,
    asker: Option<Waker>,
}

/// What the target's host call leaves for the one that polls its instance: the new one's start.
#[derive(Debug)]
pub(super) struct SwapPoint {
    pub swap: Arc<Swap>,
    /// One CBOR item: the new function's argument.
    pub state: Bytes,
    /// What it is charged.
    pub held: Option<Permit>,
}

impl Swap {
    pub fn new(program: Arc<Program>) -> Swap {
        Swap { program, state: Mutex::default() }
    }

    /// The target agrees; `false` when the asker has given up.
    pub fn agree(&self) -> bool {
        let mut state = self.state.lock();
        state.agreed = state.outcome.is_none();
        state.agreed
    }

    /// How it went; only the first counts.
    pub fn end(&self, outcome: Result<(), Refusal>) {
        let asker = {
            let mut state = self.state.lock();
            state.outcome.get_or_insert(outcome);
            state.asker.take()
        };
        asker.into_iter().for_each(Waker::wake);
    }

    /// The asker gives up; `false` when the target has agreed, and it is to wait for the outcome, which comes soon.
    pub fn withdraw(&self, why: Refusal) -> bool {
        let mut state = self.state.lock();
        if !state.agreed {
            state.outcome.get_or_insert(Err(why));
        }
        !state.agreed
    }

    pub fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Refusal>> {
        let mut state = self.state.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.asker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Waiting {
    /// From now on whoever asked does not wait any more. The target is not asked any more when this comes back, unless it has
    /// agreed.
    pub fn stop(&self) {
        let before = std::mem::replace(&mut *self.0.lock(), Wait::Over);
        if let Wait::For(target, swap) = before {
            withdraw(&target, &swap);
        }
    }

    /// Asks the target, unless nobody waits any more. The lock is held meanwhile: the target may see the question at once, and whoever
    /// stops then has to find what is to be withdrawn.
    fn ask(&self, ask: impl FnOnce() -> Result<Asked, Refusal>) -> Result<Asked, Refusal> {
        let mut state = self.0.lock();
        if matches!(*state, Wait::Over) {
            return Err(Refusal::gone("who asked for it"));
        }
        let asked = ask()?;
        *state = Wait::For(Arc::clone(&asked.target), Arc::clone(&asked.swap));
        Ok(asked)
    }
}

/// A swap that was asked for; taken back when dropped, unless the target has agreed.
struct Asked {
    target: Arc<Control>,
    swap: Arc<Swap>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        withdraw(&self.target, &self.swap);
    }
}

fn withdraw(target: &Control, swap: &Arc<Swap>) {
    if swap.withdraw(Refusal::gone("who asked for it")) {
        target.forget_swap(swap);
    }
}

fn no_swap() -> Refusal {
    Refusal::new(Code::NotFound, "no swap is asked for, or whoever asked has given up")
}

const LATE: &str = "it did not answer the swap in time";
