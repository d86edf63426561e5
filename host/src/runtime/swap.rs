//! Hot swap: one coroutine asks another to go on as another function; both learn how it went, once.

use super::launch::Program;
use super::refusal::Refusal;
use bytes::Bytes;
use corovan_core::tenancy::quota::Permit;
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A swap that is asked for, from the request to its end.
#[derive(Debug)]
pub(super) struct Swap {
    pub program: Arc<Program>,
    state: Mutex<State>,
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
