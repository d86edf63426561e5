//! A job: its events as they come, its output under credit, its one exit. What a job keeps for a user who does not look
//! is bounded: output by credit, progress by keeping the latest, log lines by counting what is dropped.

use crate::computation::{BlobStream, Handle, Shared, open_blob};
use crate::error::Error;
use crate::event::Event;
use crate::jobs::Ready;
use crate::spec::Spec;
use bytes::{Bytes, BytesMut};
use corovan_core::ids::{Address, JobId, NodeId};
use corovan_core::limits;
use corovan_core::wire::exit::{ExitHead, ExitRecord, Outcome, Usage};
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::{BlobKind, Cancel, Credit, Log, Placed, Progress};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A submitted job. Dropped before its exit, it is cancelled: nobody could learn its result any more.
pub struct Job {
    id: JobId,
    handle: Arc<Handle>,
    cell: Arc<Cell>,
    stdin: Option<OwnedSemaphorePermit>,
}

/// A job's state, shared by its handle and the reader.
#[derive(Debug)]
pub(crate) struct Cell {
    spec: Spec,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    progress: Option<Progress>,
    address: Address,
    exit: Option<Arc<ExitRecord>>,
    exit_taken: bool,
    failure: Option<Error>,
    /// Output bytes that came and are not yet credited to the node again, and those of them that the user has taken.
    outstanding: u32,
    consumed: u32,
    /// Nobody looks any more; what comes is dropped.
    abandoned: bool,
    /// An exit whose value is on its way, or the stream that waits for such an exit.
    blob: BlobState,
    waiter: Waiter,
    /// Given back to the computation with the exit.
    slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Item {
    Queued(u32),
    Placed(Placed),
    Started,
    /// Stands for `State::progress`.
    Progress,
    Log(Log),
    Output {
        stderr: bool,
        bytes: BytesMut,
    },
}

#[derive(Debug, Default)]
enum BlobState {
    #[default]
    None,
    Exit(Box<ExitHead>),
    Stream(oneshot::Sender<ExitHead>),
    Joined,
}

#[derive(Debug, Default)]
pub(crate) enum Waiter {
    #[default]
    None,
    Task(Waker),
    /// A member of a [`crate::Jobs`] set, under this key; `queued`: the set has been told already.
    Set {
        ready: Arc<Ready>,
        key: u64,
        queued: bool,
    },
}

impl Job {
    pub(crate) fn new(id: JobId, handle: Arc<Handle>, cell: Arc<Cell>, stdin: Option<OwnedSemaphorePermit>) -> Job {
        Job { id, handle, cell, stdin }
    }

    /// Its number within its computation.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Where it runs, once it does.
    pub fn address(&self) -> Option<Address> {
        let address = self.cell.state.lock().address;
        (address != Address::default()).then_some(address)
    }

    pub fn node_name(&self) -> &str {
        &self.handle.shared.peer.node
    }

    /// The next event; `None` after `Exit`. Taking output is what lets the job write more. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| {
            let mut state = self.cell.state.lock();
            match state.take(self.id, &self.handle.shared) {
                Some(event) => Poll::Ready(Some(event)),
                None if state.exit_taken => Poll::Ready(None),
                None => {
                    state.waiter = Waiter::Task(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits for the end; events until then are taken and dropped. May be called again.
    pub async fn result(&mut self) -> Arc<ExitRecord> {
        loop {
            match self.next_event().await {
                Some(Event::Exit(record)) => return record,
                Some(_) => {}
                None => {
                    if let Some(record) = &self.cell.state.lock().exit {
                        return record.clone();
                    }
                }
            }
        }
    }

    /// Why the node is lost, when that is how the job ended.
    pub fn failure(&self) -> Option<Error> {
        self.cell.state.lock().failure.clone()
    }

    /// Asks the node to end it: interrupt, grace (the node's default if `None`), hard stop. Its exit still comes.
    pub fn cancel(&self, reason: &str, grace: Option<Duration>) {
        if self.cell.state.lock().exit.is_some() {
            return;
        }
        let reason: String = reason.chars().take(limits::TEXT_BYTES / 4).collect();
        let grace = grace.map(|grace| u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX));
        // A cancel always fits a frame, and one that meets a closed outbox has nothing left to cancel.
        let _ = self.handle.shared.outbox.push(Kind::Cancel, self.id, &Cancel { reason, grace }, b"");
    }

    /// The writer of its standard input; once, and only if it was submitted with `stdin`.
    pub async fn stdin(&mut self) -> Result<StdinWriter, Error> {
        let permit = self.stdin.take().ok_or_else(|| Error::Value {
            what: "standard input",
            why: "the job was submitted without, or its writer was taken before".into(),
        })?;
        let stream = open_blob(&self.handle, BlobKind::Stdin, self.id, None).await?;
        Ok(StdinWriter { stream, _permit: permit, handle: self.handle.clone() })
    }

    /// Joins a set: from now on the set is told of events, under this key.
    pub(crate) fn join_set(&self, ready: &Arc<Ready>, key: u64) {
        let mut state = self.cell.state.lock();
        state.waiter = Waiter::Set { ready: ready.clone(), key, queued: false };
        if state.has_event() {
            state.wake();
        }
    }

    pub(crate) fn take_for_set(&self) -> Option<Event> {
        let mut state = self.cell.state.lock();
        if let Waiter::Set { queued, .. } = &mut state.waiter {
            *queued = false;
        }
        let event = state.take(self.id, &self.handle.shared);
        if state.has_event() {
            state.wake();
        }
        event
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} on {})", self.id, self.node_name())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel("its client no longer waits for it", None);
        let mut state = self.cell.state.lock();
        state.abandoned = true;
        state.items = VecDeque::new();
        state.waiter = Waiter::None;
    }
}

/// Standard input of a job. Dropped without [`StdinWriter::finish`], the input is cut off and the job knows it.
#[derive(Debug)]
pub struct StdinWriter {
    stream: BlobStream,
    _permit: OwnedSemaphorePermit,
    handle: Arc<Handle>,
}

impl StdinWriter {
    /// Writes all of it, as fast as the job reads. [`Error::InputClosed`] when the job takes no more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.stream.0.write_all(bytes).await {
            Ok(()) => Ok(()),
            Err(quinn::WriteError::Stopped(_) | quinn::WriteError::ClosedStream) => Err(Error::InputClosed),
            Err(_) => Err(self.handle.shared.connection_error(&self.handle.node.connection)),
        }
    }

    /// Waits until the job takes no more input, for a writer whose own source is quiet.
    pub async fn closed(&mut self) {
        let _ = self.stream.0.stopped().await;
    }

    /// The end of the input.
    pub fn finish(self) {
        self.stream.finish();
    }
}

impl Cell {
    pub fn new(spec: Spec, slot: OwnedSemaphorePermit) -> Cell {
        Cell {
            spec,
            state: Mutex::new(State {
                items: VecDeque::new(),
                progress: None,
                address: Address::default(),
                exit: None,
                exit_taken: false,
                failure: None,
                outstanding: 0,
                consumed: 0,
                abandoned: false,
                blob: BlobState::None,
                waiter: Waiter::None,
                slot: Some(slot),
            }),
        }
    }

    /// Only the latest place is kept.
    pub fn queued(&self, position: u32) {
        let mut state = self.state.lock();
        if let Some(Item::Queued(latest)) = state.items.back_mut() {
            *latest = position;
        } else if state.items.len() < limits::JOB_EVENTS {
            state.push(Item::Queued(position));
        }
    }

    pub fn placed(&self, mut placed: Placed) {
        cut(&mut placed.name);
        cut(&mut placed.why);
        let mut state = self.state.lock();
        if state.items.len() < limits::JOB_EVENTS {
            state.push(Item::Placed(placed));
        }
    }

    pub fn started(&self, address: Address) {
        let mut state = self.state.lock();
        if state.address == Address::default() {
            state.address = address;
            state.push(Item::Started);
        }
    }

    pub fn progress(&self, mut progress: Progress) {
        cut(&mut progress.text);
        let mut state = self.state.lock();
        if state.progress.replace(progress).is_none() {
            state.push(Item::Progress);
        }
    }

    pub fn log(&self, mut log: Log) {
        cut(&mut log.text);
        let mut state = self.state.lock();
        if state.items.len() >= limits::JOB_EVENTS {
            let oldest = state.items.iter().position(|item| matches!(item, Item::Log(_)));
            // Neither is there room for a line nor an older line to give up: then this one goes.
            let Some(oldest) = oldest else { return };
            if let Some(Item::Log(lost)) = state.items.remove(oldest) {
                let lines = lost.dropped.saturating_add(1);
                let next = state.items.iter_mut().find_map(|item| match item {
                    Item::Log(log) => Some(log),
                    _ => None,
                });
                let next = next.unwrap_or(&mut log);
                next.dropped = next.dropped.saturating_add(lines);
            }
        }
        state.push(Item::Log(log));
    }

    /// Output. An error when the node had no credit for it.
    pub fn output(&self, id: JobId, stderr: bool, payload: &[u8], shared: &Shared) -> Result<(), String> {
        let mut state = self.state.lock();
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        state.outstanding = state.outstanding.saturating_add(size);
        if state.outstanding > limits::OUTPUT_CREDIT {
            return Err(format!("output of job {id} beyond its credit"));
        }
        if state.abandoned {
            state.consume(id, payload.len(), shared);
            return Ok(());
        }
        let full = state.items.len() >= limits::JOB_EVENTS;
        let reach = if full { usize::MAX } else { 1 };
        let same = state.items.iter_mut().rev().take(reach).find_map(|item| match item {
            Item::Output { stderr: of, bytes } if *of == stderr => Some(bytes),
            _ => None,
        });
        match same {
            Some(bytes) => bytes.extend_from_slice(payload),
            None if payload.is_empty() => {}
            None => state.push(Item::Output { stderr, bytes: BytesMut::from(payload) }),
        }
        Ok(())
    }

    pub fn exit(&self, head: ExitHead, value: Bytes) {
        self.finish(Arc::new(ExitRecord::from_head(head, value)), None);
    }

    /// The exit came first; its value is on its way.
    pub fn exit_with_blob(&self, head: ExitHead) -> Result<(), &'static str> {
        let mut state = self.state.lock();
        match std::mem::take(&mut state.blob) {
            BlobState::None => state.blob = BlobState::Exit(Box::new(head)),
            BlobState::Stream(waiting) => {
                state.blob = BlobState::Joined;
                let _ = waiting.send(head);
            }
            BlobState::Exit(_) | BlobState::Joined => return Err("a second exit of one job"),
        }
        Ok(())
    }

    /// The exit that a value's stream belongs to, when it has come. `None`: it never will.
    pub async fn blob_head(&self) -> Option<ExitHead> {
        let waiting = {
            let mut state = self.state.lock();
            match std::mem::take(&mut state.blob) {
                BlobState::Exit(head) => {
                    state.blob = BlobState::Joined;
                    return Some(*head);
                }
                BlobState::None if state.exit.is_none() => {
                    let (sender, receiver) = oneshot::channel();
                    state.blob = BlobState::Stream(sender);
                    receiver
                }
                other => {
                    state.blob = other;
                    return None;
                }
            }
        };
        waiting.await.ok()
    }

    /// Its exit has come and its value is being read, or, unless there will be no more streams, is on its way.
    pub fn expects_value(&self, streams_over: bool) -> bool {
        match self.state.lock().blob {
            BlobState::Joined => true,
            BlobState::Exit(_) => !streams_over,
            BlobState::None | BlobState::Stream(_) => false,
        }
    }

    /// The node is gone: this is the job's exit.
    pub fn lost(&self, node: NodeId, error: &Error) {
        let address = self.state.lock().address;
        let record = ExitRecord {
            address,
            module: self.spec.module(),
            function: self.spec.function().into(),
            attempt: 0,
            outcome: Outcome::NodeLost(node),
            usage: Usage::default(),
        };
        self.finish(Arc::new(record), Some(error.clone()));
    }

    fn finish(&self, record: Arc<ExitRecord>, failure: Option<Error>) {
        let mut state = self.state.lock();
        if state.exit.is_some() {
            return;
        }
        state.exit = Some(record);
        state.failure = failure;
        state.blob = BlobState::None;
        state.slot = None;
        state.wake();
    }
}

impl State {
    fn push(&mut self, item: Item) {
        if !self.abandoned && self.exit.is_none() {
            self.items.push_back(item);
            self.wake();
        }
    }

    fn has_event(&self) -> bool {
        !self.items.is_empty() || (self.exit.is_some() && !self.exit_taken)
    }

    fn take(&mut self, id: JobId, shared: &Shared) -> Option<Event> {
        let Some(item) = self.items.pop_front() else {
            if self.exit_taken {
                return None;
            }
            let record = self.exit.clone()?;
            self.exit_taken = true;
            return Some(Event::Exit(record));
        };
        Some(match item {
            Item::Queued(position) => Event::Queued { position },
            Item::Placed(Placed { node, name, attempt, why }) => Event::Placed { node, name, attempt, why },
            Item::Started => Event::Started { address: self.address },
            Item::Progress => {
                let Progress { done, total, text } =
                    self.progress.take().unwrap_or(Progress { done: 0, total: 0, text: String::new() });
                Event::Progress { done, total, text }
            }
            Item::Log(Log { level, text, dropped }) => Event::Log { level, text, dropped },
            Item::Output { stderr, bytes } => {
                self.consume(id, bytes.len(), shared);
                let bytes = bytes.freeze();
                if stderr { Event::Stderr(bytes) } else { Event::Stdout(bytes) }
            }
        })
    }

    /// The user has taken so many bytes. Returned to the node in batches: a credit frame for every line would cost more
    /// than the lines.
    fn consume(&mut self, id: JobId, bytes: usize, shared: &Shared) {
        self.consumed += bytes as u32;
        if self.consumed >= CREDIT_BATCH && self.exit.is_none() {
            // Cannot fail to encode; after the end it goes nowhere, and needs not.
            let _ = shared.outbox.push(Kind::Credit, id, &Credit { bytes: self.consumed }, b"");
            self.outstanding -= self.consumed;
            self.consumed = 0;
        }
    }

    fn wake(&mut self) {
        match &mut self.waiter {
            Waiter::None => {}
            Waiter::Task(_) => {
                if let Waiter::Task(waker) = std::mem::take(&mut self.waiter) {
                    waker.wake();
                }
            }
            Waiter::Set { ready, key, queued } => {
                if !std::mem::replace(queued, true) {
                    ready.push(*key);
                }
            }
        }
    }
}

/// Text no longer than the protocol allows; a node that keeps to it never notices.
fn cut(text: &mut String) {
    if text.len() > limits::TEXT_BYTES {
        let end = (0..=limits::TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

const CREDIT_BATCH: u32 = limits::OUTPUT_CREDIT / 4;
