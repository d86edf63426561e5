//! One job: waiting, running, ended. Whatever happens, its follower is told the end once.

use super::{Dispatch, NO_ARGUMENTS, Spec, Start};
use crate::runtime::ports::Observer;
use crate::runtime::stdio::Output;
use crate::runtime::{Attendance, Control, Group, Launch, Refusal, coroutine::WasiProgram};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub struct Job {
    dispatch: Dispatch,
    group: Arc<Group>,
    spec: Arc<Spec>,
    follower: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Itself, for what its coroutines make.
    this: Weak<Job>,
    /// Until it has ended.
    attendance: Mutex<Option<Attendance>>,
    kin: Mutex<Kin>,
}

/// What its coroutine made, and those made.
#[derive(Default)]
struct Kin {
    /// Alive as long as one of them is.
    alive: Weak<Alive>,
    /// Counter of its first coroutine, by which all are found.
    tree: Option<u64>,
    /// Its own coroutine has ended.
    ended: bool,
}

/// Follows a coroutine that a job's coroutine made: what it says goes to the job's follower.
struct Child {
    alive: Arc<Alive>,
}

struct Alive(Arc<Job>);

enum State {
    Waiting { start: Start, ticket: u64 },
    Running(Arc<Control>),
    Ended,
}

impl Job {
    pub(super) fn new(
        dispatch: Dispatch,
        group: Arc<Group>,
        spec: Arc<Spec>,
        start: Start,
        follower: Arc<dyn Observer>,
    ) -> Arc<Job> {
        let state = Mutex::new(State::Waiting { start, ticket: 0 });
        let attendance = Mutex::new(dispatch.runtime().attend(&group));
        Arc::new_cyclic(|this| {
            let (this, kin) = (this.clone(), Mutex::default());
            Job { dispatch, group, spec, follower, state, this, attendance, kin }
        })
    }

    /// Ends it, with all coroutines that it made: at once where it waits, by interrupt, grace and hard stop where it runs.
    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let (tree, has_kin) = {
            let kin = self.kin.lock();
            (kin.tree, kin.alive.strong_count() > 0)
        };
        if let Some(tree) = tree.filter(|_| has_kin) {
            self.dispatch.runtime().terminate_tree(tree, by, reason, grace);
        }
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
        self.group.tenant.share.id()
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
                    self.kin.lock().tree = Some(control.tree);
                    *state = State::Running(control);
                    return true;
                }
                Err(refusal) => refusal,
            }
        };
        let Refusal { code, detail } = refused;
        self.refuse(code, detail);
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
            group: Arc::clone(&self.group),
            tree: None,
            daemon: false,
            held: None,
            observer: Arc::clone(self) as Arc<dyn Observer>,
        }
    }

    /// It keeps its computation open no longer.
    fn depart(&self) {
        let attendance = self.attendance.lock().take();
        drop(attendance);
    }

    /// The end of a job that never ran.
    fn report(&self, outcome: Outcome) {
        let record = ExitRecord {
            address: Address::default(),
            module: self.spec.program.module,
            function: Arc::clone(&self.spec.program.function),
            attempt: 0,
            outcome,
            usage: Usage::default(),
        };
        self.follower.ended(&Arc::new(record), false);
        self.depart();
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

    fn ended(&self, record: &Arc<ExitRecord>, _: bool) {
        *self.state.lock() = State::Ended;
        let more = {
            let mut kin = self.kin.lock();
            kin.ended = true;
            kin.alive.strong_count() > 0
        };
        self.follower.ended(record, more);
        self.depart();
        self.dispatch.admission().leave(self.share_id());
    }

    fn child(&self) -> Arc<dyn Observer> {
        let mut kin = self.kin.lock();
        let alive = kin.alive.upgrade().or_else(|| {
            let alive = Arc::new(Alive(self.this.upgrade()?));
            kin.alive = Arc::downgrade(&alive);
            Some(alive)
        });
        drop(kin);
        match alive {
            Some(alive) => Arc::new(Child { alive }),
            // It is being dropped, so it has no coroutine that could make another.
            None => Arc::clone(&self.follower),
        }
    }
}

impl Observer for Child {
    fn started(&self, _: Address) {}

    fn progress(&self, done: u64, total: u64, text: String) {
        self.job().follower.progress(done, total, text);
    }

    fn log(&self, level: u8, text: String) {
        self.job().follower.log(level, text);
    }

    fn output(&self) -> &Output {
        self.job().follower.output()
    }

    fn output_ready(&self) {
        self.job().follower.output_ready();
    }

    fn ended(&self, _: &Arc<ExitRecord>, _: bool) {
        let job = self.job();
        job.dispatch.admission().leave(job.share_id());
    }

    fn child(&self) -> Arc<dyn Observer> {
        Arc::new(Child { alive: Arc::clone(&self.alive) })
    }
}

impl Child {
    fn job(&self) -> &Job {
        &self.alive.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // In a moment between the last child's end and a new one another may have been made: then it is not over.
        let over = {
            let kin = self.0.kin.lock();
            kin.ended && kin.alive.strong_count() == 0
        };
        if over {
            self.0.follower.over();
        }
    }
}
