//! One job as its client sees it: events in order, output under credit, the exit last and once.

use super::session::Session;
use super::submit::{ended_before_its_start, refusal};
use crate::dispatch::Job;
use crate::dispatch::shown::ENDED;
use crate::runtime::ports::Observer;
use crate::runtime::stdio::{Input, Output, Stream};
use corovan_core::code::Code;
use corovan_core::ids::{Address, JobId, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use corovan_core::ulid::Ulid;
use corovan_core::wire::durable::{Accepted, Keep};
use corovan_core::wire::jobs::{JobInfo, JobState, JobWhy, Queued};
use corovan_core::wire::records::{Log, Placed, Prepare, Progress, Started};
use corovan_core::wire::{ExitRecord, Kind, Outcome};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Follows a job for a session.
pub(super) struct Entry {
    pub id: JobId,
    session: Arc<Session>,
    pub output: Output,
    pub input: Option<Arc<Input>>,
    /// It is to last; how, and what is to be run.
    pub keep: Option<Box<(Keep, Arc<Prepare>)>>,
    /// In the session's list of entries with something to send.
    dirty: AtomicBool,
    /// It has ended: told to whoever still reads its arguments.
    over: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    job: Option<Arc<Job>>,
    /// Output bytes the client still takes.
    credit: u64,
    progress: Option<Progress>,
    logs: VecDeque<Log>,
    logs_dropped: u64,
    exit: Option<ExitRecord>,
    ended: bool,
    /// Nobody listens any more.
    detached: bool,
    /// What it takes in memory, counted for the tenant.
    held: Option<Permit>,
}

/// An exit with a value or text up to this goes out from the worker thread itself; a larger one waits for its turn.
const DIRECT_EXIT: usize = 1 << 10;
/// Output of one job sent in one turn.
const OUTPUT_TURN: usize = 32 << 10;

impl Entry {
    pub fn new(
        id: JobId,
        session: Arc<Session>,
        stdin: bool,
        held: Permit,
        keep: Option<Box<(Keep, Arc<Prepare>)>>,
    ) -> Arc<Entry> {
        let state = State { credit: u64::from(limits::OUTPUT_CREDIT), held: Some(held), ..State::default() };
        Arc::new(Entry {
            id,
            session,
            output: Output::default(),
            input: stdin.then(|| Arc::new(Input::open())),
            keep,
            dirty: AtomicBool::new(false),
            over: Notify::new(),
            state: Mutex::new(state),
        })
    }

    /// The job is there; it may have ended already, or have been cancelled before.
    pub fn attach(&self, job: &Arc<Job>) {
        let ended = {
            let mut state = self.state.lock();
            if !state.ended {
                state.job = Some(Arc::clone(job));
            }
            state.ended
        };
        if ended {
            job.cancel("client", "cancelled before its start", Duration::ZERO);
        }
    }

    /// Ends the job; at once if it has not got all it needs yet.
    pub fn cancel(self: &Arc<Self>, by: &str, reason: &str, grace: Duration) {
        let job = self.state.lock().job.clone();
        match job {
            Some(job) => job.cancel(by, reason, grace),
            None => self.ended_with(ended_before_its_start(Outcome::Terminated {
                by: by.to_owned(),
                reason: reason.to_owned(),
                value: None,
            })),
        }
    }

    /// What is known of it; `tells`: with the reasons.
    pub fn info(&self, tells: bool) -> JobInfo {
        let (job, ended) = {
            let state = self.state.lock();
            (state.job.clone(), state.ended)
        };
        let (state, text) = match ended {
            true => (JobState::Ended, ENDED),
            false => (JobState::Waiting, "it waits for its arguments, which its client sends"),
        };
        let info = JobInfo {
            computation: self.session.id,
            job: self.id,
            tenant: self.session.tenant().name().to_owned(),
            label: self.session.label.clone(),
            module: ModuleHash([0; 32]),
            function: String::new(),
            state,
            at: None,
            node: None,
            attempt: 0,
            why: tells.then(|| JobWhy { text: text.into(), ..JobWhy::default() }),
        };
        match job {
            Some(job) => job.show(info, tells),
            None => info,
        }
    }

    /// It is the home's; `false` where it has ended before, and its client knows nothing of that.
    pub fn accepted(&self, job: Ulid, known: bool) -> bool {
        let held = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.ended, true) {
                return false;
            }
            state.held.take()
        };
        self.session.send_accepted(self.id, Accepted { job, known });
        drop(held);
        true
    }

    pub fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Waits until it has ended. For one waiter.
    pub async fn over(&self) {
        self.over.notified().await;
    }

    /// The client takes so many more bytes of output.
    pub fn grant(self: &Arc<Self>, bytes: u32) {
        {
            let mut state = self.state.lock();
            // What is outstanding never exceeds what the client was ever given, so it cannot make us send without end.
            state.credit = (state.credit + u64::from(bytes)).min(4 * u64::from(limits::OUTPUT_CREDIT));
        }
        self.mark();
    }

    /// Nobody listens any more.
    pub fn detach(&self) {
        self.output.detach();
        if let Some(input) = &self.input {
            input.finish();
        }
        let mut state = self.state.lock();
        state.detached = true;
        state.progress = None;
        state.logs.clear();
        state.exit = None;
        if state.ended {
            state.held = None;
        }
    }

    /// Sends what there is, as far as one turn and the credit go; `true` if there is more to send now.
    pub fn flush(&self) -> bool {
        self.dirty.store(false, Ordering::Release);
        let mut state = self.state.lock();
        if let Some(progress) = state.progress.take() {
            self.session.send(Kind::Progress, self.id, &progress);
        }
        while let Some(log) = state.logs.pop_front() {
            self.session.send(Kind::Log, self.id, &log);
            state.held.iter_mut().for_each(|held| held.shrink(log_weight(&log.text)));
        }
        let mut turn = OUTPUT_TURN;
        while let Some((stream, chunk)) = self.output.take(turn.min(usize::try_from(state.credit).unwrap_or(turn))) {
            let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
            self.session.send_bytes(kind, self.id, &chunk);
            state.credit -= chunk.len() as u64;
            turn -= chunk.len();
        }
        if !self.output.is_empty() {
            return state.credit > 0;
        }
        if let Some(exit) = state.exit.take() {
            let held = state.held.take();
            drop(state);
            self.session.send_exit(self.id, &exit, held);
        }
        false
    }

    /// There is something to send.
    pub fn mark(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.session.mark(Arc::clone(self));
        }
    }

    /// The exit of a job that never became one.
    pub fn refuse(self: &Arc<Self>, code: Code, why: String) {
        self.ended_with(refusal(code, why));
    }

    fn ended_with(self: &Arc<Self>, mut record: ExitRecord) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        state.ended = true;
        state.job = None;
        self.over.notify_one();
        if let Some(input) = &self.input {
            input.finish();
        }
        if state.detached {
            state.held = None;
            return;
        }
        let (weight, output) = (record.outcome.size(), self.output.len());
        if let Some(Err(refused)) = state.held.as_mut().map(|held| held.grow((weight + output) as u64)) {
            self.output.detach();
            let text = format!("its result and {output} bytes of output that nobody took were dropped: {refused}");
            record.outcome = Outcome::Failed { kind: "overloaded".into(), text };
        }
        // What daemons print from now on, nobody is there to read.
        self.output.close();
        let quiet = state.progress.is_none() && state.logs.is_empty() && self.output.is_empty();
        if quiet && weight <= DIRECT_EXIT && !self.session.is_behind() {
            let held = state.held.take();
            drop(state);
            self.session.send_exit(self.id, &record, held);
        } else {
            state.exit = Some(record);
            drop(state);
            self.mark();
        }
    }
}

/// The observer is the entry behind its `Arc`, since it puts itself into the session's list.
pub(super) struct Follower(pub Arc<Entry>);

impl Observer for Follower {
    fn started(&self, address: Address) {
        if !self.0.has_ended() {
            self.0.session.send(Kind::Started, self.0.id, &Started { address });
        }
    }

    fn queued(&self, position: u32) {
        if !self.0.has_ended() {
            self.0.session.send(Kind::Queued, self.0.id, &Queued { position });
        }
    }

    fn placed(&self, node: NodeId, name: &str, why: &str) {
        if !self.0.has_ended() {
            let placed = Placed { node, name: name.to_owned(), attempt: 1, why: why.to_owned() };
            self.0.session.send(Kind::Placed, self.0.id, &placed);
        }
    }

    fn progress(&self, done: u64, total: u64, text: String) {
        {
            let mut state = self.0.state.lock();
            if state.ended || state.detached {
                return;
            }
            state.progress = Some(Progress { done, total, text });
        }
        self.0.mark();
    }

    fn log(&self, level: u8, text: String) {
        {
            let mut state = self.0.state.lock();
            if state.ended || state.detached {
                return;
            }
            let weight = log_weight(&text);
            let room = state.logs.len() < limits::LOG_LINES;
            if !room || state.held.as_mut().is_none_or(|held| held.grow(weight).is_err()) {
                state.logs_dropped += 1;
            } else {
                let dropped = std::mem::take(&mut state.logs_dropped);
                state.logs.push_back(Log { level, text, dropped });
            }
        }
        self.0.mark();
    }

    fn output(&self) -> &Output {
        &self.0.output
    }

    fn output_ready(&self) {
        self.0.mark();
    }

    fn ended(&self, record: &Arc<ExitRecord>) {
        self.0.ended_with(ExitRecord::clone(record));
    }

    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Follower(Arc::clone(&self.0)))
    }

    fn set_daemon(&self, _: bool) {}
}

fn log_weight(text: &str) -> u64 {
    (text.len() + limits::STRING_BYTES) as u64
}
