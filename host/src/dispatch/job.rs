//! One job: waiting, running, ended. Whatever happens, its follower is told the end once.

use super::{Dispatch, NO_ARGUMENTS, Spec, Start, Tenant};
use crate::runtime::ports::Observer;
use crate::runtime::stdio::Output;
use crate::runtime::{Control, Launch, coroutine::WasiProgram};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

pub struct Job {
    dispatch: Dispatch,
    tenant: Arc<Tenant>,
    spec: Arc<Spec>,
    follower: Arc<dyn Observer>,
    state: Mutex<State>,
}

enum State {
    Waiting { start: Start, ticket: u64 },
    Running(Arc<Control>),
    Ended,
}

impl Job {
    pub(super) fn new(
        dispatch: Dispatch,
        tenant: Arc<Tenant>,
        spec: Arc<Spec>,
        start: Start,
        follower: Arc<dyn Observer>,
    ) -> Arc<Job> {
        Arc::new(Job { dispatch, tenant, spec, follower, state: Mutex::new(State::Waiting { start, ticket: 0 }) })
    }

    /// Ends it: at once where it waits, by interrupt, grace and hard stop where it runs.
    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let control = {
            let mut state = self.state.lock();
            match &*state {
                State::Ended => return,
                State::Running(control) => Ok(Arc::clone(control)),
                State::Waiting { ticket, .. } => {
                    let ticket = *ticket;
                    // From here on nobody can start it, also if its turn has just come.
                    *state = State::Ended;
                    Err(ticket)
                }
            }
        };
        match control {
            Ok(control) => self.dispatch.runtime().terminate(&control, by, reason, grace),
            Err(ticket) => {
                self.dispatch.admission().withdraw(self.share_id(), ticket);
                self.report(Outcome::Terminated { by: by.to_owned(), reason: reason.to_owned(), value: None });
            }
        }
    }

    /// The running coroutine.
    pub fn control(&self) -> Option<Arc<Control>> {
        match &*self.state.lock() {
            State::Running(control) => Some(Arc::clone(control)),
            _ => None,
        }
    }

    pub(super) fn share_id(&self) -> u32 {
        self.tenant.share.id()
    }

    pub(super) fn set_ticket(&self, number: u64) {
        if let State::Waiting { ticket, .. } = &mut *self.state.lock() {
            *ticket = number;
        }
    }

    /// It will not run. Only for jobs that wait and that no slot has been given.
    pub(super) fn refuse(&self, code: Code, why: String) {
        *self.state.lock() = State::Ended;
        self.report(Outcome::Refused { code, why });
    }

    /// Launches it; `false` if that was refused, and the slot is free again.
    pub(super) fn start(self: &Arc<Self>) -> bool {
        let refused = {
            // Held while launching: the coroutine may end on another thread before we know its control.
            let mut state = self.state.lock();
            let State::Waiting { start, .. } = &mut *state else { return false };
            let launch = self.launch(std::mem::take(start));
            match self.dispatch.runtime().launch(launch) {
                Ok(control) => {
                    *state = State::Running(control);
                    return true;
                }
                Err(exhausted) => exhausted,
            }
        };
        self.refuse(Code::Overloaded, refused.to_string());
        false
    }

    fn launch(self: &Arc<Self>, start: Start) -> Launch {
        let spec = &self.spec;
        let argv = std::iter::once(spec.name.clone()).chain(start.argv).collect();
        Launch {
            program: Arc::clone(&spec.program),
            args: if start.args.is_empty() { NO_ARGUMENTS } else { start.args },
            wasi: WasiProgram { argv, env: Arc::clone(&spec.env), terminals: spec.terminals },
            input: start.input,
            memory: spec.memory,
            deadline: spec.deadline,
            cpu: spec.cpu,
            attempt: 1,
            share: Arc::clone(&self.tenant.share),
            ledger: Arc::clone(&self.tenant.ledger),
            observer: Arc::clone(self) as Arc<dyn Observer>,
        }
    }

    /// The end of a job that never ran.
    fn report(&self, outcome: Outcome) {
        self.follower.ended(ExitRecord {
            address: Address::default(),
            module: self.spec.program.module,
            function: self.spec.program.function.clone(),
            attempt: 0,
            outcome,
            usage: Usage::default(),
        });
    }
}

/// Passes everything on; at the end gives the slot to the next.
impl Observer for Job {
    fn started(&self, address: Address) {
        self.follower.started(address);
    }

    fn progress(&self, done: u64, total: u64, text: String) {
        self.follower.progress(done, total, text);
    }

    fn log(&self, level: u8, text: String) {
        self.follower.log(level, text);
    }

    fn output(&self) -> &Output {
        self.follower.output()
    }

    fn output_ready(&self) {
        self.follower.output_ready();
    }

    fn ended(&self, record: ExitRecord) {
        *self.state.lock() = State::Ended;
        self.follower.ended(record);
        self.dispatch.admission().leave(self.share_id());
    }
}
