//! One job: waiting, running, ended. Whatever happens, its follower is told the end once.

use super::{Dispatch, NO_ARGUMENTS, Spec, Start, news};
use crate::runtime::ports::{Observer, Sprout};
use crate::runtime::stdio::Output;
use crate::runtime::{Attendance, Control, Group, Launch, Refusal, Tree, coroutine::WasiProgram};
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::records::Log;
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub struct Job {
    pub(super) dispatch: Dispatch,
    pub(super) group: Arc<Group>,
    pub(super) spec: Arc<Spec>,
    pub(super) follower: Arc<dyn Observer>,
    pub(super) state: Mutex<State>,
    /// Which nodes may run it, if not this one alone.
    pub(super) at: Option<String>,
    excluded: Vec<(NodeId, u32)>,
    /// Its number in placement; 0: it is for this node alone.
    key: AtomicU64,
    /// Where it is, or was last, if placement has chosen that.
    pub(super) node: Mutex<Option<NodeId>>,
    /// Counts how often it was sent to another node.
    pub(super) tries: AtomicU64,
    /// The latest node that had no room for it though it seemed so, and what it said.
    pub(super) refused: Mutex<Option<(NodeId, String)>>,
    /// Itself, for what its coroutines make.
    this: Weak<Job>,
    /// Until it has ended.
    attendance: Mutex<Option<Attendance>>,
    kin: Mutex<Kin>,
}

/// What its coroutine made, and those made.
#[derive(Default)]
struct Kin {
    /// Coroutines that are no daemons; the job is over when the last of them has ended.
    open: usize,
    /// All of them and its own, since that runs.
    tree: Option<Arc<Tree>>,
    /// How its own coroutine ended, until that is told, and what the tenant is charged for it.
    record: Option<(Arc<ExitRecord>, Permit)>,
}

/// Follows a coroutine that a job's coroutine made: what it says goes to the job's follower.
struct Child {
    job: Arc<Job>,
    daemon: AtomicBool,
}

pub(super) enum State {
    Waiting {
        start: Start,
        ticket: u64,
    },
    Running(Arc<Control>),
    /// Another node runs it, or is to; this ends it, once there is something to end. What it is started with is kept for another try.
    Away(Option<Arc<dyn Sprout>>, Start),
    Ended,
}

impl Job {
    pub(super) fn new(
        dispatch: Dispatch,
        group: Arc<Group>,
        spec: Arc<Spec>,
        mut start: Start,
        follower: Arc<dyn Observer>,
    ) -> Arc<Job> {
        let (at, excluded) = (start.at.take(), std::mem::take(&mut start.excluded));
        let state = Mutex::new(State::Waiting { start, ticket: 0 });
        let attendance = Mutex::new(dispatch.runtime().attend(&group));
        Arc::new_cyclic(|this| {
            let (this, kin) = (this.clone(), Mutex::default());
            let (key, node, tries, refused) = Default::default();
            Job {
                dispatch,
                group,
                spec,
                follower,
                state,
                at,
                excluded,
                key,
                node,
                tries,
                refused,
                this,
                attendance,
                kin,
            }
        })
    }

    /// Ends it, with all coroutines that it made: at once where it waits, by interrupt, grace and hard stop where it runs.
    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let runs = matches!(*self.state.lock(), State::Running(_));
        let tree = {
            let kin = self.kin.lock();
            kin.tree.clone().filter(|_| runs || kin.open > 0)
        };
        // Before anything is ended: whoever cancels what hangs wants to know where.
        if let Some(text) = news::waits(self.dispatch.runtime(), tree.as_ref(), self.control().as_ref()) {
            self.follower.log(Log::INFO, text);
        }
        if let Some(tree) = tree {
            self.dispatch.runtime().terminate_tree(&tree, by, reason, grace);
        }
        let control = {
            let mut state = self.state.lock();
            match &*state {
                State::Ended => return,
                State::Running(control) => Ok(Arc::clone(control)),
                State::Away(sprout, _) => {
                    let sprout = sprout.clone();
                    drop(state);
                    return self.cancel_away(sprout, by, reason, grace);
                }
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

    pub(super) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    pub(super) fn set_key(&self, key: u64) {
        self.key.store(key, Ordering::Relaxed);
    }

    pub(super) fn excluded(&self) -> Vec<(NodeId, u32)> {
        self.excluded.clone()
    }

    pub(super) fn now(&self) -> u64 {
        self.dispatch.runtime().clock().now()
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
                    self.kin.lock().tree = Some(Arc::clone(&control.tree));
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
            attempt: start.attempt.max(1),
            group: Arc::clone(&self.group),
            tree: None,
            daemon: false,
            held: None,
            observer: Arc::clone(self) as Arc<dyn Observer>,
        }
    }

    /// It is over, with all that it made but daemons.
    fn tell(&self, record: &Arc<ExitRecord>) {
        let spent = self.kin.lock().tree.as_ref().and_then(|tree| tree.spent());
        spent.into_iter().for_each(|spent| self.follower.used(spent));
        self.told(record);
    }

    /// Its follower is told its end, last of all.
    pub(super) fn told(&self, record: &Arc<ExitRecord>) {
        self.dispatch.count(&record.outcome);
        self.follower.ended(record);
        self.depart();
    }

    /// The record as it is kept until all that it made has ended: without its value where the quota does not cover that.
    fn keep(&self, record: &Arc<ExitRecord>) -> (Arc<ExitRecord>, Permit) {
        let ledger = &self.group.tenant.ledger;
        match ledger.take(Resource::Held, record.outcome.size() as u64) {
            Ok(held) => (Arc::clone(record), held),
            Err(refused) => {
                let text = format!("its result was dropped while what it made went on: {refused}");
                let outcome = Outcome::Failed { kind: "overloaded".into(), text };
                let record = ExitRecord { outcome, ..ExitRecord::clone(record) };
                (Arc::new(record), Permit::nothing(ledger, Resource::Held))
            }
        }
    }

    /// It keeps its computation open no longer.
    fn depart(&self) {
        let attendance = self.attendance.lock().take();
        drop(attendance);
        let key = self.key();
        if key != 0 {
            self.dispatch.placing().ended(key);
        }
    }

    /// The end of a job that never ran.
    pub(super) fn report(&self, outcome: Outcome) {
        let record = ExitRecord {
            address: Address::default(),
            module: self.spec.program.module,
            function: Arc::clone(&self.spec.program.function),
            attempt: 0,
            outcome,
            usage: Usage::default(),
        };
        self.told(&Arc::new(record));
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

    fn ended(&self, record: &Arc<ExitRecord>) {
        *self.state.lock() = State::Ended;
        self.dispatch.admission().leave(self.share_id());
        let open = {
            let mut kin = self.kin.lock();
            if kin.open > 0 {
                kin.record = Some(self.keep(record));
            }
            kin.tree.clone().filter(|_| kin.open > 0)
        };
        match open {
            None => self.tell(record),
            // What a coroutine made goes on without it, unless it failed: then nobody waits for the others.
            Some(tree) if record.outcome.is_abnormal() => {
                let reason = format!("{}, which made it, ended: {}", record.address, record.outcome.name());
                self.dispatch.runtime().terminate_tree(&tree, "node", &reason, limits::TERMINATE_GRACE);
            }
            Some(_) => {}
        }
    }

    fn child(&self, daemon: bool) -> Arc<dyn Observer> {
        match self.this.upgrade() {
            Some(job) => Child::follow(job, daemon),
            // It is being dropped, so it has no coroutine that could make another.
            None => Arc::clone(&self.follower),
        }
    }

    // A job is followed to its end, whatever it is to its computation.
    fn set_daemon(&self, _: bool) {}
}

impl Child {
    fn follow(job: Arc<Job>, daemon: bool) -> Arc<dyn Observer> {
        let child = Child { job, daemon: AtomicBool::new(daemon) };
        child.count(daemon, 1);
        Arc::new(child)
    }

    /// It comes or goes; with the last, what was held back of its job is told.
    fn count(&self, daemon: bool, change: isize) {
        if daemon {
            return;
        }
        let record = {
            let mut kin = self.job.kin.lock();
            kin.open = kin.open.saturating_add_signed(change);
            if kin.open == 0 { kin.record.take() } else { None }
        };
        if let Some((record, held)) = record {
            // From here on whoever is told counts it.
            drop(held);
            self.job.tell(&record);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let daemon = self.daemon.load(Ordering::Relaxed);
        self.count(daemon, -1);
    }
}

impl Observer for Child {
    fn started(&self, _: Address) {}

    fn progress(&self, done: u64, total: u64, text: String) {
        self.job.follower.progress(done, total, text);
    }

    fn log(&self, level: u8, text: String) {
        self.job.follower.log(level, text);
    }

    fn output(&self) -> &Output {
        self.job.follower.output()
    }

    fn output_ready(&self) {
        self.job.follower.output_ready();
    }

    fn ended(&self, record: &Arc<ExitRecord>) {
        if let Some(text) = news::failure(record) {
            self.job.follower.log(Log::WARNING, text);
        }
        self.job.dispatch.admission().leave(self.job.share_id());
    }

    fn ended_abroad(&self, record: &ExitRecord) {
        if let Some(text) = news::failure(record) {
            self.job.follower.log(Log::WARNING, text);
        }
    }

    fn child(&self, daemon: bool) -> Arc<dyn Observer> {
        Child::follow(Arc::clone(&self.job), daemon)
    }

    fn set_daemon(&self, daemon: bool) {
        if self.daemon.swap(daemon, Ordering::Relaxed) != daemon {
            self.count(false, if daemon { -1 } else { 1 });
        }
    }
}
