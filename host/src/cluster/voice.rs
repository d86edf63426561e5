//! What a coroutine says that this node runs for another: its output, log lines and progress go to the node that asked for it, a
//! part at a time, and from there on as those of a coroutine of that node. Its end is told after all of it. Where that node
//! is lost, the rest goes to this node's log.

use super::link::{Granted, Session};
use super::remote::Remote;
use super::values;
use crate::runtime::stdio::{Output, Stream};
use crate::runtime::{Refusal, Tenant};
use crate::tasks::{TaskKind, Tasks};
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::call::{Call, Said};
use corovan_core::link::frame::{Header, Local};
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::ExitRecord;
use corovan_core::wire::records::{Log, Progress};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

/// That of a guest and of all that it makes here.
pub struct Voice {
    session: Arc<Session>,
    granted: Arc<Granted>,
    /// Who asked for it, and the number under which its end is told.
    asker: Local,
    over: u64,
    tasks: Tasks,
    address: OnceLock<Address>,
    output: Output,
    state: Mutex<State>,
}

struct State {
    progress: Option<Progress>,
    logs: VecDeque<Log>,
    /// Lines that found no room.
    dropped: u64,
    /// What the lines take, counted for the tenant.
    held: Permit,
    /// A task sends what there is.
    speaks: bool,
    end: Option<End>,
}

/// Called with the record when all that was said has arrived, or cannot.
type End = (Arc<ExitRecord>, Box<dyn FnOnce(&Arc<ExitRecord>) + Send + Sync>);

impl Voice {
    /// Of the guest that a `Spawn` with this header asks for.
    pub(super) fn new(
        session: &Arc<Session>,
        granted: &Arc<Granted>,
        (asker, over): (Local, u64),
        tasks: &Tasks,
    ) -> Arc<Voice> {
        let held = Permit::nothing(&granted.tenant.ledger, Resource::Held);
        let (progress, logs, dropped, speaks, end) = Default::default();
        Arc::new(Voice {
            session: Arc::clone(session),
            granted: Arc::clone(granted),
            asker,
            over,
            tasks: tasks.clone(),
            address: OnceLock::new(),
            output: Output::default(),
            state: Mutex::new(State { progress, logs, dropped, held, speaks, end }),
        })
    }

    /// It runs, as this coroutine.
    pub fn started(&self, address: Address) {
        // Once; another would be another guest.
        let _ = self.address.set(address);
    }

    pub fn output(&self) -> &Output {
        &self.output
    }

    /// There is output, and there was none before.
    pub fn output_ready(self: &Arc<Self>) {
        let wakes = self.state.lock().wakes();
        self.speak(wakes);
    }

    /// Only the latest counts.
    pub fn progress(self: &Arc<Self>, progress: Progress) {
        let wakes = {
            let mut state = self.state.lock();
            state.progress = Some(progress);
            state.wakes()
        };
        self.speak(wakes);
    }

    /// A line; dropped and counted where many wait.
    pub fn log(self: &Arc<Self>, level: u8, text: String) {
        let wakes = {
            let mut state = self.state.lock();
            if state.logs.len() >= limits::LOG_LINES || state.held.grow(weight(&text)).is_err() {
                state.dropped += 1;
            } else {
                let dropped = std::mem::take(&mut state.dropped);
                state.logs.push_back(Log { level, text, dropped });
            }
            state.wakes()
        };
        self.speak(wakes);
    }

    /// It has ended with all that it made here; `told` is called after all that was said.
    pub fn end(
        self: &Arc<Self>,
        record: &Arc<ExitRecord>,
        told: impl FnOnce(&Arc<ExitRecord>) + Send + Sync + 'static,
    ) {
        // Daemons that it leaves are heard no more.
        self.output.close();
        let wakes = {
            let mut state = self.state.lock();
            state.end = Some((Arc::clone(record), Box::new(told)));
            state.wakes()
        };
        self.speak(wakes);
    }

    fn speak(self: &Arc<Self>, wakes: bool) {
        if !wakes {
            return;
        }
        // Most say nothing, and their end is told at once.
        if let Some(end) = self.falls_silent() {
            return end.into_iter().for_each(|(record, told)| told(&record));
        }
        let voice = Arc::clone(self);
        self.tasks.spawn(TaskKind::Stream, "voice", async move {
            loop {
                if let Some(end) = voice.falls_silent() {
                    end.into_iter().for_each(|(record, told)| told(&record));
                    return Ok::<(), Infallible>(());
                }
                let (said, bytes) = voice.part();
                if let Err(refusal) = voice.tell(&said, &bytes).await {
                    voice.print(&said, &bytes, &refusal);
                }
            }
        });
    }

    /// Where nothing is left to be said, the end if it has come, and who says something next begins anew.
    fn falls_silent(&self) -> Option<Option<End>> {
        let mut state = self.state.lock();
        if state.progress.is_some() || !state.logs.is_empty() || state.dropped > 0 || !self.output.is_empty() {
            return None;
        }
        state.speaks = false;
        Some(state.end.take())
    }

    /// The next part of what is to be said.
    fn part(&self) -> (Said, Bytes) {
        let (progress, logs) = {
            let mut state = self.state.lock();
            let (mut logs, mut size) = (Vec::new(), 0);
            while let Some(log) = state.logs.pop_front_if(|log| size == 0 || size + weight(&log.text) <= LOGS_BYTES) {
                size += weight(&log.text);
                logs.push(log);
            }
            state.held.shrink(size);
            // Of those that were dropped before a line, the line tells; of the last, only this does.
            let dropped = if state.logs.is_empty() { std::mem::take(&mut state.dropped) } else { 0 };
            if dropped > 0 {
                logs.push(Log {
                    level: Log::WARNING,
                    text: "it logs faster than its lines can be sent".into(),
                    dropped,
                });
            }
            (state.progress.take(), logs)
        };
        let output = self.output.take(OUTPUT_BYTES);
        let stream = output.as_ref().map_or(0, |(stream, _)| number(*stream));
        let bytes = output.map(|(_, bytes)| Bytes::from(bytes)).unwrap_or_default();
        (Said { over: self.over, progress, logs, stream }, bytes)
    }

    /// Ready when the other node has found room for it.
    async fn tell(&self, said: &Said, bytes: &Bytes) -> Result<(), Refusal> {
        let to = Remote::back(&self.session, &self.granted.bytes).at(self.asker);
        let from = self.address.get().copied().unwrap_or_default();
        to.ask_until_room(&from, &Call::Said(said.clone()), bytes.clone()).await.map(drop)
    }

    /// Into this node's log.
    fn print(&self, said: &Said, bytes: &Bytes, why: &Refusal) {
        let (tenant, peer) = (&self.granted.tenant, &self.session.peer);
        let printed = bytes.chunks(limits::TEXT_BYTES).map(|bytes| ("printed", String::from_utf8_lossy(bytes)));
        let logged = said.logs.iter().map(|log| ("said", Cow::from(&log.text)));
        for (how, text) in logged.chain(printed) {
            // Within what a tenant may write there.
            if let Some(dropped) = tenant.lines.admit(self.session.moment()) {
                let (tenant, text) = (tenant.name(), text.escape_debug());
                tracing::info!(tenant, %peer, dropped, "a guest that is not heard ({why}) {how}: {text}");
            }
        }
    }

    /// What tells the other node its end, and keeps what is too large for that if it is wanted (flags of the spawn).
    pub(super) fn tells_end(
        &self,
        header: Header,
        tenant: &Arc<Tenant>,
    ) -> impl FnOnce(&Arc<ExitRecord>) + Send + Sync + 'static {
        let (session, over, asker, tenant) = (Arc::clone(&self.session), self.over, self.asker, Arc::clone(tenant));
        move |record: &Arc<ExitRecord>| {
            let monitor = Header { call: over, to: Local::from(record.address), from: asker, ..header };
            values::tell(&session, (&monitor, &tenant), record, 0);
        }
    }
}

impl State {
    /// There is something new; `true`: nobody sees to it yet.
    fn wakes(&mut self) -> bool {
        !std::mem::replace(&mut self.speaks, true)
    }
}

/// The stream of this number.
pub(super) fn stream(number: u8) -> Option<Stream> {
    match number {
        1 => Some(Stream::Stdout),
        2 => Some(Stream::Stderr),
        _ => None,
    }
}

fn number(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    }
}

fn weight(text: &str) -> u64 {
    (text.len() + limits::STRING_BYTES) as u64
}

/// Output in one part: half of what is kept on either side, so that one is filled while the other is on its way.
const OUTPUT_BYTES: usize = limits::OUTPUT_BUFFER / 2;
/// Log lines in one part: they travel in a record, which has a limit.
const LOGS_BYTES: u64 = limits::FRAME_HEAD as u64 / 2;
