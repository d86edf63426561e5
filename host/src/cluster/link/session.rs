//! A session with one other node, shared by all that send to it, its connection's tasks and its supervisor: lanes, credit,
//! and what waits for the other side. Ends once; then everything in it comes to its end.

use super::lanes::Lane;
use super::pass::{Pass, Passes, Shown};
use crate::runtime::Clock;
use crate::runtime::abroad::Ear;
use bytes::Bytes;
use corovan_core::ids::NodeId;
use corovan_core::link::calls::{self, Pending, Watched};
use corovan_core::link::credit::{self, Borrower, Lender};
use corovan_core::link::frame::{CONTROL, Frame, Header, Kind, LANES, Local};
use corovan_core::link::lane::Incoming;
use corovan_core::link::pulse::Pulse;
use corovan_core::tenancy::quota::Permit;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use tokio::sync::{Notify, oneshot};

/// One session, or one that begins as soon as there is a connection.
pub struct Session {
    pub peer: NodeId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: Arc<dyn Inbox>,
    /// The peer's incarnation and the session's number; 0 until there has been a connection.
    incarnation: AtomicU32,
    number: AtomicU64,
    pub(super) name: OnceLock<String>,
    pub(super) lanes: [Lane; LANES],
    /// A frame is handled under its lane's lock, so in order also when connections follow each other.
    pub(super) incoming: [Mutex<Incoming>; LANES],
    pub(super) borrower: Mutex<Borrower<Waker>>,
    pub(super) lender: Mutex<Lender>,
    pub(super) calls: Mutex<Pending<oneshot::Sender<Answer>>>,
    pub(super) monitors: Mutex<Pending<Box<dyn Watcher>>>,
    pub(super) watched: Mutex<Watched<Box<dyn FnOnce() + Send>>>,
    /// Values of ends that it has been told, by its monitors' numbers, until it gives these up.
    values: Mutex<HashMap<u64, Value>>,
    /// Calls of the other node that are answered later, and how to stop them.
    pub(super) serving: Mutex<Watched<Box<dyn FnOnce() + Send>>>,
    pub(super) pulse: Mutex<Pulse>,
    /// What this node shows of its computations, and what the other has shown.
    pub(super) passes: Mutex<Passes>,
    pub(super) shown: RwLock<Shown>,
    /// Something is to be acknowledged soon, or now; a sign of life is to be sent.
    pub(super) soon: Notify,
    pub(super) now: Notify,
    pub(super) alive: Mutex<Option<bool>>,
    /// The connection in use: another's tasks are about to end.
    pub(super) live: AtomicU64,
    /// What the other node did wrong, where that ended it.
    fault: OnceLock<Fault>,
    /// Its end, for those who wait for it.
    pub(super) over: Notify,
    ended: AtomicBool,
}

/// A value of an end, and what its tenant is charged for it.
struct Value {
    bytes: Bytes,
    _held: Permit,
}

/// What comes of a call.
#[derive(Debug)]
pub enum Answer {
    /// `tag` is 0 or a code; of a reply it is the reply's.
    Given { kind: Kind, tag: u64, payload: Bytes },
    /// The session ended first: whether it took effect is not known.
    Lost,
}

/// Is told once how the coroutine that it watches ended: flags and payload of the exit frame, or nothing when the session ended
/// first.
pub trait Watcher: Send + Sync {
    fn ended(self: Box<Self>, exit: Option<(u8, Bytes)>);
    /// Who hears what it says until then, where somebody does.
    fn ear(&self) -> Option<Arc<Ear>> {
        None
    }
    /// What it was given, where that did not go with the question for it.
    fn arguments(&self) -> Option<Bytes> {
        None
    }
}

/// Takes what the other node sends to coroutines and to this node. Called by the tasks that read: must not block.
pub trait Inbox: Send + Sync {
    /// A message, deliver or request: [`Session::settled`] is to be called once for it.
    fn message(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault>;
    fn call(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault>;
    fn grant(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault>;
    /// The session has ended; what waited in it has been told.
    fn ended(&self, session: &Arc<Session>);
}

/// What the other node did and may not do: the session ends, and its connection.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl Session {
    pub(super) fn new(peer: NodeId, clock: Arc<dyn Clock>, inbox: Arc<dyn Inbox>) -> Session {
        let pulse = Mutex::new(Pulse::new(clock.now()));
        Session {
            peer,
            clock,
            inbox,
            incarnation: AtomicU32::new(0),
            number: AtomicU64::new(0),
            name: OnceLock::new(),
            lanes: Default::default(),
            incoming: Default::default(),
            borrower: Mutex::new(Borrower::new()),
            lender: Mutex::new(Lender::new()),
            calls: Mutex::new(Pending::calls()),
            monitors: Mutex::new(Pending::monitors()),
            watched: Mutex::new(Watched::new()),
            values: Mutex::default(),
            serving: Mutex::new(Watched::new()),
            pulse,
            passes: Mutex::default(),
            shown: RwLock::default(),
            soon: Notify::new(),
            now: Notify::new(),
            alive: Mutex::default(),
            live: AtomicU64::new(0),
            fault: OnceLock::new(),
            over: Notify::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// The peer's boot, once there has been a connection.
    pub fn incarnation(&self) -> Option<u32> {
        Some(self.incarnation.load(Ordering::Acquire)).filter(|incarnation| *incarnation != 0)
    }

    /// The name in its certificate, once there has been a connection.
    pub fn peer_name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    /// Its number, once there has been a connection.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(super) fn begin(&self, incarnation: u32, number: u64) {
        self.number.store(number, Ordering::Release);
        self.incarnation.store(incarnation, Ordering::Release);
    }

    /// A time of the node's clock.
    pub fn moment(&self) -> u64 {
        self.clock.now()
    }

    /// Nanoseconds since 1970.
    pub fn unix(&self) -> u64 {
        self.clock.unix()
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Numbers of the frames received last, for a hello.
    pub(super) fn received(&self) -> [u64; LANES] {
        std::array::from_fn(|lane| self.incoming[lane].lock().received())
    }

    /// What the other node did wrong.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.get()
    }

    /// Something waits for the other side.
    pub(super) fn is_busy(&self) -> bool {
        !self.calls.lock().is_empty()
            || !self.monitors.lock().is_empty()
            || !self.watched.lock().is_empty()
            || !self.serving.lock().is_empty()
            || self.borrower.lock().waiting() > 0
            || self.is_speaking()
    }

    /// The other side has not acknowledged all that was sent; never once it has ended.
    pub(super) fn is_speaking(&self) -> bool {
        self.lanes.iter().any(|lane| lane.out.lock().is_busy())
    }

    /// Numbers a call whose answer comes to the receiver. Errors: overloaded, node-lost.
    pub fn begin_call(&self) -> Result<(u64, oneshot::Receiver<Answer>), calls::Refused> {
        let (answered, answer) = oneshot::channel();
        Ok((self.calls.lock().begin(answered)?, answer))
    }

    /// Nobody waits for the answer any more; `false`: it had come.
    pub fn give_up_call(&self, number: u64) -> bool {
        let waited = self.calls.lock().take(number);
        waited.is_some()
    }

    /// The other node's call of this number is answered later; `stop` is called once when it waits no more, which may be at
    /// once. One that is there already stays: a number stands for one call.
    pub fn serve(&self, number: u64, stop: Box<dyn FnOnce() + Send>) {
        let mut serving = self.serving.lock();
        if self.has_ended() {
            drop(serving);
            return stop();
        }
        // Bounded by what waits here for such calls, each of which is charged to its tenant.
        let _ = serving.watch(number, stop);
    }

    /// It is about to be answered.
    pub fn served(&self, number: u64) {
        let stop = self.serving.lock().take(number);
        drop(stop);
    }

    /// The other node does not wait for the answer any more.
    pub fn abandoned(&self, number: u64) {
        let stop = self.serving.lock().take(number);
        stop.into_iter().for_each(|stop| stop());
    }

    /// Numbers a monitor. Errors: overloaded, node-lost.
    pub fn begin_monitor(&self, watcher: Box<dyn Watcher>) -> Result<u64, calls::Refused> {
        self.monitors.lock().begin(watcher)
    }

    /// Who watched; `None` when it has been told, or will be this very moment.
    pub fn give_up_monitor(&self, number: u64) -> Option<Box<dyn Watcher>> {
        self.monitors.lock().take(number)
    }

    /// Who hears what the coroutine says whose end is told under this number.
    pub fn ear(&self, number: u64) -> Option<Arc<Ear>> {
        self.monitors.lock().get(number).and_then(|watcher| watcher.ear())
    }

    /// The arguments of what is told of under this number, which the other node is to fetch.
    pub fn arguments(&self, number: u64) -> Option<Bytes> {
        self.monitors.lock().get(number).and_then(|watcher| watcher.arguments())
    }

    /// The other node wants to be told under this number; `stop` is called when it gives that up or is gone. `Ok(Err(_))` is
    /// to be answered.
    pub fn watch(
        &self,
        number: u64,
        stop: Box<dyn FnOnce() + Send>,
    ) -> Result<Result<(), calls::Refused>, calls::Violation> {
        self.watched.lock().watch(number, stop)
    }

    /// The other node gives it up.
    pub fn unwatched(&self, number: u64) {
        let (stop, value) = {
            let mut watched = self.watched.lock();
            (watched.take(number), self.values.lock().remove(&number))
        };
        stop.into_iter().for_each(|stop| stop());
        drop(value);
    }

    /// Keeps a value of an end until the other node gives up the monitor of this number; `false`: it has.
    pub fn keep_value(&self, number: u64, value: Bytes, held: Permit) -> bool {
        let watched = self.watched.lock();
        let is_wanted = watched.contains(number);
        if is_wanted {
            self.values.lock().insert(number, Value { bytes: value, _held: held });
        }
        is_wanted
    }

    /// What is kept so.
    pub fn value(&self, number: u64) -> Option<Bytes> {
        self.values.lock().get(&number).map(|value| value.bytes.clone())
    }

    /// The coroutine has ended; `false` if the other node gave it up before.
    pub fn unwatch(&self, number: u64) -> bool {
        let stop = self.watched.lock().take(number);
        stop.is_some()
    }

    /// A message of so many bytes has found room in its mailbox, where so much is free now; or was dropped.
    pub fn settled(&self, mailbox: Local, bytes: usize, free: credit::Amount) {
        let ready = {
            let mut lender = self.lender.lock();
            lender.settled(mailbox, bytes, free);
            lender.is_ready()
        };
        if ready {
            self.grant_credit();
        }
    }

    /// A mailbox that has ended, or was never there.
    pub fn gone(&self, mailbox: Local) {
        self.lender.lock().gone(mailbox);
        self.grant_credit();
    }

    /// Ends it, once: all that waits is told `node-lost`.
    pub(super) fn end(self: &Arc<Self>) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken: Vec<Waker> = Vec::new();
        for lane in &self.lanes {
            woken.extend(lane.out.lock().end());
        }
        woken.extend(self.borrower.lock().close());
        let calls = self.calls.lock().end();
        let monitors = self.monitors.lock().end();
        let (watched, values) = {
            let mut watched = self.watched.lock();
            (watched.end(), std::mem::take(&mut *self.values.lock()))
        };
        let serving = self.serving.lock().end();
        // All told outside of the locks: those who are told may send to other nodes.
        woken.into_iter().for_each(Waker::wake);
        calls.into_iter().for_each(|answered| drop(answered.send(Answer::Lost)));
        monitors.into_iter().for_each(|watcher| watcher.ended(None));
        watched.into_iter().chain(serving).for_each(|stop| stop());
        drop(values);
        self.inbox.ended(self);
        self.over.notify_waiters();
    }

    /// Sends what answers or ends something; it waits its turn where the other node is slow.
    pub fn answer(self: &Arc<Self>, header: Header, payload: &[u8]) {
        self.queue(None, header, payload);
    }

    /// The same for what begins something that is bounded otherwise, under a computation's pass.
    pub fn queue(self: &Arc<Self>, pass: Option<&Pass>, mut header: Header, payload: &[u8]) {
        let number = usize::from(header.lane());
        let lane = &self.lanes[number];
        let pushed = {
            let mut out = lane.out.lock();
            let mut shown = Ok(false);
            if let Some(pass) = pass {
                header.grant = pass.number;
                if !pass.is_shown(number) {
                    shown = out.answer(pass.header(&header), pass.bytes());
                    pass.set_shown(number);
                }
            }
            shown.and_then(|idle| Ok(out.answer(header, payload)? || idle))
        };
        match pushed {
            Ok(true) => lane.work.notify_one(),
            Ok(false) => {}
            Err(many) => self.fail(&many.into()),
        }
    }

    /// Shows a computation in the control lane, unless it was.
    pub fn show(self: &Arc<Self>, pass: &Pass) {
        let (lane, header) = (&self.lanes[usize::from(CONTROL)], pass.header(&Header::new(Kind::Call)));
        let mut out = lane.out.lock();
        if pass.is_shown(usize::from(CONTROL)) {
            return;
        }
        pass.set_shown(usize::from(CONTROL));
        let pushed = out.answer(header, pass.bytes());
        drop(out);
        match pushed {
            Ok(true) => lane.work.notify_one(),
            Ok(false) => {}
            Err(many) => self.fail(&many.into()),
        }
    }

    /// The other node goes, and has said so after all else: what waits for it need not wait for the silence.
    pub(super) fn leave(self: &Arc<Self>, why: &str) {
        tracing::info!(peer = %self.peer, "the session with this node ends, as it says: {}", why.escape_debug());
        self.end();
    }

    /// The other node broke the rules, or does not take what it asked for: the session is over. Its connection's tasks see that.
    pub(super) fn fail(self: &Arc<Self>, fault: &Fault) {
        tracing::warn!(peer = %self.peer, "the session with this node ends: {fault}");
        // The first is the cause of others.
        let _ = self.fault.set(fault.clone());
        self.end();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} with {}", self.number(), self.peer)
    }
}

impl From<calls::Violation> for Fault {
    fn from(violation: calls::Violation) -> Fault {
        Fault(violation.to_string())
    }
}

impl From<credit::Violation> for Fault {
    fn from(violation: credit::Violation) -> Fault {
        Fault(violation.to_string())
    }
}
