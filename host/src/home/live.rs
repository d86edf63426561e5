//! One durable job in hand: placed, begun on disk before it runs, heard, and ended or put back. Everything that is written of it is
//! written by one task at a time.

use super::feed::{self, Computation};
use super::{BEHIND, CLIENT, Home, Kept, SHUT_DOWN, kept};
use crate::dispatch::{Job, Refusal};
use crate::runtime::ports::{Gate, Observer};
use crate::runtime::stdio::{Output, Stream};
use crate::tasks::TaskKind;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::job::retry;
use corovan_core::limits;
use corovan_core::text::cut;
use corovan_core::wire::durable::EventKind;
use corovan_core::wire::{ExitRecord, Outcome};
use corovan_store::{Error, JobId, Journal, NewExit, Pending};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub struct Live {
    home: Home,
    store: Arc<dyn Journal>,
    pub id: JobId,
    pub tenant: Arc<str>,
    pub kept: Arc<Kept>,
    /// Keeps it open.
    _computation: Arc<Computation>,
    /// Bytes of its body.
    pub size: usize,
    /// It was accepted before this start of the node, or tried before: what it is to run on may come back.
    patient: bool,
    output: Output,
    state: Mutex<State>,
    /// Held while the store is told that an attempt was none: the next begins after that.
    undoing: tokio::sync::Mutex<()>,
    this: Weak<Live>,
}

#[derive(Default)]
struct State {
    job: Option<Arc<Job>>,
    /// By whom it was ended before it was a job.
    cancelled: Option<(String, String, Duration)>,
    /// Why a client wants it to end.
    wanted: Option<String>,
    /// The present attempt; 0: there is none yet.
    attempt: u32,
    /// One that was not made after all, which the store is still to be told.
    undone: Option<u32>,
    said: VecDeque<(u8, u64, Bytes)>,
    /// Log lines for which there was no room.
    dropped: u64,
    record: Option<Arc<ExitRecord>>,
    /// A task writes what it says, and is to look again.
    writing: bool,
    again: bool,
}

/// What is to be done with an attempt that is over.
enum Verdict {
    /// It is the job's end.
    End(NewExit),
    /// Another one, not before a time, and why.
    Again(u64, String),
    /// It was none: the job waits on, so long at least.
    Waits(Duration),
    /// The node is shutting down; on disk it waits.
    Leave,
}

/// Another node, or this one, has no room for it at the moment.
const NO_ROOM: Duration = limits::PLACEMENT_HELD;
/// No node is known that could take it, but one was or may be: members of a mesh are known a moment after a start.
const NO_NODE: Duration = Duration::from_secs(2);

impl Live {
    pub fn new(
        home: &Home,
        store: Arc<dyn Journal>,
        (id, tenant): (JobId, Arc<str>),
        (kept, computation): (Arc<Kept>, Arc<Computation>),
        (size, patient): (usize, bool),
    ) -> Arc<Live> {
        let (home, _computation) = (home.clone(), computation);
        Arc::new_cyclic(|this| {
            let (output, state, undoing, this) =
                (Output::default(), Mutex::default(), Default::default(), this.clone());
            Live { home, store, id, tenant, kept, _computation, size, patient, output, state, undoing, this }
        })
    }

    /// It is this job now.
    pub fn attach(&self, job: &Arc<Job>) {
        let cancelled = {
            let mut state = self.state.lock();
            if state.record.is_none() {
                state.job = Some(Arc::clone(job));
            }
            state.cancelled.take()
        };
        cancelled.into_iter().for_each(|(by, reason, grace)| job.cancel(&by, &reason, grace));
    }

    pub fn job(&self) -> Option<Arc<Job>> {
        self.state.lock().job.clone()
    }

    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let job = {
            let mut state = self.state.lock();
            if by == CLIENT {
                state.wanted.get_or_insert_with(|| reason.to_owned());
            }
            if state.job.is_none() {
                state.cancelled.get_or_insert((by.to_owned(), reason.to_owned(), grace));
            }
            state.job.clone()
        };
        job.into_iter().for_each(|job| job.cancel(by, reason, grace));
    }

    /// It never became a job.
    pub fn refuse(self: &Arc<Self>, refusal: Refusal) {
        let Refusal { code, detail: why } = refusal;
        let record = feed::record(Some(&self.kept), Outcome::Refused { code, why });
        self.ended(&Arc::new(record));
    }

    fn now(&self) -> u64 {
        self.home.inner.parts.dispatch.runtime().clock().unix()
    }

    /// There is something to write.
    fn mark(&self) {
        let Some(live) = self.this.upgrade() else { return };
        {
            let mut state = self.state.lock();
            state.again = true;
            if std::mem::replace(&mut state.writing, true) {
                return;
            }
        }
        self.home.inner.parts.tasks.spawn(TaskKind::Stream, "durable job", async move {
            live.write().await;
            Ok::<(), Infallible>(())
        });
    }

    async fn write(self: Arc<Self>) {
        loop {
            let said = self.said();
            if !said.is_empty() {
                self.until_written(|| self.store.append(self.id, said.clone())).await;
                self.home.inner.watches.stir(self.id);
                continue;
            }
            let record = {
                let mut state = self.state.lock();
                match state.record.clone() {
                    None if !std::mem::take(&mut state.again) => {
                        state.writing = false;
                        return;
                    }
                    record => record,
                }
            };
            // What it printed last may have come after we looked, but not after its end was told.
            if let Some(record) = record.filter(|_| self.output.is_empty()) {
                return self.finish(&record).await;
            }
        }
    }

    /// The next of what it said, in order as far as there is one.
    fn said(&self) -> Vec<(u8, u64, Bytes)> {
        let now = self.now();
        let mut said: Vec<_> = {
            let mut state = self.state.lock();
            if state.dropped > 0 {
                let text = format!("\u{2}{} log lines were dropped", std::mem::take(&mut state.dropped));
                state.said.push_back((EventKind::Log as u8, now, text.into()));
            }
            state.said.drain(..).collect()
        };
        while let Some((stream, bytes)) = self.output.take(corovan_store::limits::EVENT_BYTES) {
            let kind = if stream == Stream::Stdout { EventKind::Stdout } else { EventKind::Stderr };
            said.push((kind as u8, now, bytes.into()));
            if said.len() >= EVENTS_AT_ONCE {
                break;
            }
        }
        said
    }

    /// The store's answer; `None`: it has none for this, or the node is shutting down. A disk that fails is asked again.
    async fn until_written<T>(&self, write: impl Fn() -> Pending<T>) -> Option<T> {
        loop {
            let pause = match write().await {
                Ok(done) => return Some(done),
                Err(error @ (Error::NotFound(_) | Error::Closed)) => {
                    tracing::debug!(job = %self.id, "{error}");
                    return None;
                }
                // What is written here is cut to fit: this is a mistake of ours, and the job is found again at the next start.
                Err(error @ Error::TooLarge { .. }) => {
                    tracing::error!(job = %self.id, "{error}");
                    return None;
                }
                // Many jobs say much at once.
                Err(Error::Overloaded { .. }) => BEHIND,
                Err(error) => {
                    tracing::warn!(job = %self.id, "{error}; it is tried again");
                    limits::DURABLE_DISK_RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.home.inner.closing.cancelled() => return None,
            }
        }
    }

    /// Tells the store that an attempt was none, if there is such a one.
    async fn undo(&self) {
        let _turn = self.undoing.lock().await;
        let undone = self.state.lock().undone.take();
        let Some(attempt) = undone else { return };
        self.until_written(|| self.store.undo(self.id, attempt)).await;
    }

    async fn finish(self: &Arc<Self>, record: &Arc<ExitRecord>) {
        self.undo().await;
        let attempt = self.state.lock().attempt;
        let verdict = self.verdict(record, attempt);
        match &verdict {
            Verdict::End(exit) => {
                self.until_written(|| self.store.end(self.id, exit.clone())).await;
            }
            Verdict::Again(not_before, why) => {
                let (now, note) = (self.now(), format!("attempt {attempt} is over, and there will be another: {why}"));
                self.until_written(|| self.store.put_back(self.id, attempt, *not_before, why.clone(), now)).await;
                let note = (EventKind::Note as u8, now, Bytes::from(cut(note, limits::TEXT_BYTES)));
                self.until_written(|| self.store.append(self.id, vec![note.clone()])).await;
            }
            Verdict::Waits(_) if attempt > 0 => {
                self.until_written(|| self.store.undo(self.id, attempt)).await;
            }
            Verdict::Waits(_) | Verdict::Leave => {}
        }
        let waits = match verdict {
            Verdict::End(_) => None,
            Verdict::Again(not_before, _) => Some(not_before),
            Verdict::Waits(time) => Some(self.now() + nanos(time)),
            Verdict::Leave => Some(u64::MAX),
        };
        let crowded = matches!(&record.outcome, Outcome::Refused { code: Code::Overloaded, .. });
        self.home.put_down(self, waits, crowded);
    }

    fn verdict(&self, record: &Arc<ExitRecord>, attempt: u32) -> Verdict {
        let now = self.now();
        let closing = self.home.inner.closing.is_cancelled();
        let wanted = self.state.lock().wanted.clone();
        let end = || {
            let record = match (&record.outcome, &wanted) {
                // Whoever ended it ended it, also where that was told to it by the node.
                (Outcome::Refused { .. }, Some(reason)) => feed::record(
                    Some(&self.kept),
                    Outcome::Terminated { by: CLIENT.into(), reason: reason.clone(), value: None },
                ),
                _ => ExitRecord::clone(record),
            };
            let record = kept::fitting(&record, attempt);
            let (head, value) = record.to_head();
            let outcome = record.outcome.name().to_owned();
            Verdict::End(NewExit { attempt, outcome, record: kept::write(&head), value, now })
        };
        if wanted.is_some() {
            return end();
        }
        let policy = &self.kept.retry;
        match &record.outcome {
            _ if closing && attempt == 0 => Verdict::Leave,
            Outcome::Refused { code: Code::ShuttingDown | Code::Overloaded, .. } if closing => {
                Verdict::Waits(Duration::ZERO)
            }
            Outcome::Terminated { by, reason, .. } if closing && by == "node" && reason == SHUT_DOWN => {
                match policy.node_loss && attempt < policy.attempts {
                    true => Verdict::Again(now, SHUT_DOWN.into()),
                    false => end(),
                }
            }
            // It was not run.
            Outcome::Refused { code: Code::Overloaded | Code::ShuttingDown, .. } => Verdict::Waits(NO_ROOM),
            Outcome::Refused { code: Code::NotFound, .. } if self.patient && attempt == 0 => Verdict::Waits(NO_NODE),
            outcome => {
                let random = self.home.inner.parts.dispatch.runtime().random.number();
                match retry::next(policy, attempt, outcome, random) {
                    Some(wait) => Verdict::Again(now + nanos(wait), why(outcome)),
                    None => end(),
                }
            }
        }
    }
}

impl Gate for Live {
    fn begin(&self, node: NodeId, name: &str, go: Box<dyn FnOnce() + Send>) {
        let Some(live) = self.this.upgrade() else { return };
        let parts = &self.home.inner.parts;
        let name = match name {
            _ if node == parts.node => parts.node_name.clone(),
            "" => node.to_string(),
            name => name.to_owned(),
        };
        let lease = (node != parts.node && self.kept.retry.node_loss).then_some(nanos(limits::DURABLE_LEASE));
        parts.tasks.spawn(TaskKind::Stream, "durable begin", async move {
            live.undo().await;
            let begun = live
                .until_written(|| {
                    let now = live.now();
                    live.store.begin(live.id, name.clone(), lease.map(|lease| now + lease), now)
                })
                .await;
            match begun.flatten() {
                Some(attempt) => {
                    live.state.lock().attempt = attempt;
                    live.home.inner.watches.stir(live.id);
                    go();
                }
                // It has ended on disk, or can begin nowhere.
                None => live.cancel("node", "it could not begin", Duration::ZERO),
            }
            Ok::<(), Infallible>(())
        });
    }

    fn never_ran(&self) {
        let Some(live) = self.this.upgrade() else { return };
        {
            let mut state = self.state.lock();
            state.undone = Some(std::mem::take(&mut state.attempt)).filter(|attempt| *attempt > 0);
        }
        self.home.inner.parts.tasks.spawn(TaskKind::Stream, "durable undo", async move {
            live.undo().await;
            Ok::<(), Infallible>(())
        });
    }
}

impl Observer for Live {
    fn gate(&self) -> Option<&dyn Gate> {
        Some(self)
    }

    fn started(&self, _: Address) {}

    // The latest counts, and nobody need have looked.
    fn progress(&self, _: u64, _: u64, _: String) {}

    fn log(&self, level: u8, text: String) {
        let now = self.now();
        {
            let mut state = self.state.lock();
            if state.record.is_some() {
                return;
            }
            if state.said.len() >= limits::DURABLE_LOG_LINES {
                state.dropped += 1;
                return;
            }
            let bytes = [&[level], text.as_bytes()].concat();
            state.said.push_back((EventKind::Log as u8, now, bytes.into()));
        }
        self.mark();
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_ready(&self) {
        self.mark();
    }

    fn ended(&self, record: &Arc<ExitRecord>) {
        {
            let mut state = self.state.lock();
            if state.record.is_some() {
                return;
            }
            state.record = Some(Arc::clone(record));
            state.job = None;
        }
        // What daemons print from now on, nobody is there to read.
        self.output.close();
        self.mark();
    }

    fn child(&self, _: bool) -> Arc<dyn Observer> {
        match self.this.upgrade() {
            Some(live) => live,
            None => Arc::new(crate::runtime::Nobody::default()),
        }
    }

    fn set_daemon(&self, _: bool) {}
}

/// How an attempt ended after which there is another, in words.
fn why(outcome: &Outcome) -> String {
    let text = match outcome {
        Outcome::NodeLost(node) => format!("its node {node} {LOST}"),
        Outcome::Failed { kind, text } => format!("it failed ({kind}): {text}"),
        Outcome::Trapped { kind, .. } => format!("it trapped: {kind}"),
        Outcome::OutOfMemory { limit } => format!("it ran out of memory: its limit is {limit} bytes"),
        Outcome::Exited(code) => format!("it exited with code {code}"),
        other => other.name().to_owned(),
    };
    cut(text, WHY_BYTES)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How the reason of an attempt ends that was lost with its node.
pub const LOST: &str = "was lost";
/// Pieces of output in one write: others' jobs wait for it.
const EVENTS_AT_ONCE: usize = 8;
/// Of a text about an attempt; up to sixteen of them are in a job's row.
const WHY_BYTES: usize = 512;
