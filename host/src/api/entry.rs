//! One job as its client sees it: events in order, output under credit, the exit last and once.

use super::session::Session;
use crate::dispatch::Job;
use crate::runtime::ports::Observer;
use crate::runtime::stdio::{Input, Output, Stream};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, JobId};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::records::{Log, Progress, Started};
use corovan_core::wire::{ExitRecord, Kind, Outcome};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Follows a job for a session.
pub(super) struct Entry {
    pub id: JobId,
    session: Arc<Session>,
    pub output: Output,
    pub input: Option<Arc<Input>>,
    /// In the session's list of entries with something to send.
    dirty: AtomicBool,
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
    /// Arguments and result in memory, counted for the tenant.
    held: Option<Permit>,
    /// A cancellation that came before the job had its arguments.
    cancelled: Option<String>,
}

/// A value up to this goes out from the worker thread itself; a larger one waits until the outbox has room.
const DIRECT_VALUE: usize = 1 << 10;
/// Output of one job sent in one turn.
const OUTPUT_TURN: usize = 32 << 10;

impl Entry {
    pub fn new(id: JobId, session: Arc<Session>, stdin: bool, held: Permit) -> Arc<Entry> {
        let state = State { credit: u64::from(limits::OUTPUT_CREDIT), held: Some(held), ..State::default() };
        Arc::new(Entry {
            id,
            session,
            output: Output::default(),
            input: stdin.then(|| Arc::new(Input::open())),
            dirty: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// The job is there.
    pub fn attach(&self, job: &Arc<Job>) {
        let cancelled = {
            let mut state = self.state.lock();
            if !state.ended {
                state.job = Some(Arc::clone(job));
            }
            state.cancelled.take()
        };
        if let Some(reason) = cancelled {
            job.cancel("client", &reason, Duration::ZERO);
        }
    }

    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let job = {
            let mut state = self.state.lock();
            if state.job.is_none() && !state.ended {
                state.cancelled.get_or_insert_with(|| reason.to_owned());
            }
            state.job.clone()
        };
        if let Some(job) = job {
            job.cancel(by, reason, grace);
        }
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
        self.ended_with(self.session.refusal(code, why));
    }

    fn ended_with(self: &Arc<Self>, mut record: ExitRecord) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        state.ended = true;
        state.job = None;
        let size = record.outcome.value().map_or(0, Bytes::len);
        if let Some(Err(refused)) = state.held.as_mut().map(|held| held.grow(size as u64)) {
            record.outcome =
                Outcome::Failed { kind: "overloaded".into(), text: format!("its result was dropped: {refused}") };
        }
        let quiet = state.progress.is_none() && state.logs.is_empty() && self.output.is_empty();
        if quiet && size <= DIRECT_VALUE {
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
        self.0.session.send(Kind::Started, self.0.id, &Started { address });
    }

    fn progress(&self, done: u64, total: u64, text: String) {
        self.0.state.lock().progress = Some(Progress { done, total, text });
        self.0.mark();
    }

    fn log(&self, level: u8, text: String) {
        {
            let mut state = self.0.state.lock();
            if state.logs.len() >= limits::LOG_LINES {
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

    fn ended(&self, record: ExitRecord) {
        self.0.ended_with(record);
    }
}

/// What a job's arguments may take of the tenant's share of memory.
pub(super) fn hold(session: &Session, bytes: usize) -> Result<Permit, (Code, String)> {
    let taken = session.tenant().ledger.take(Resource::Held, bytes as u64);
    taken.map_err(|exhausted| (Code::Overloaded, exhausted.to_string()))
}
