//! What the outside holds of a coroutine: its mailbox and ties, how to stop it, interrupt it, feed it, and what it used.

use super::group::Group;
use super::launch::Program;
use super::message::{Letter, Payload};
use super::postbox::Postbox;
use super::stdio::Input;
use super::swap::{Swap, SwapPoint};
use super::ties::Ties;
use super::tree::Tree;
use corovan_core::ids::Address;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::Permit;
use corovan_core::wire::Usage;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

/// Shared by the coroutine's task, its worker, its timers, those who send to it and whoever started it.
#[derive(Debug)]
pub struct Control {
    pub address: Address,
    pub group: Arc<Group>,
    /// The coroutines of its job.
    pub tree: Arc<Tree>,
    /// Its mailbox.
    pub(super) post: Postbox,
    /// What it waits for beside its mailbox, and who waits for it.
    pub(super) ties: Mutex<Ties>,
    /// What it has sent and received. Written by itself alone.
    pub(super) traffic: Traffic,
    pub(super) doing: Doing,
    /// Messages of its timers that found no room.
    dropped: AtomicU64,
    pub(super) daemon: AtomicBool,
    program: Mutex<Arc<Program>>,
    input: Option<Arc<Input>>,
    flags: AtomicU32,
    orders: Mutex<Orders>,
    /// CPU nanoseconds of finished slices, and the clock when the present one began.
    cpu: AtomicU64,
    slice_start: AtomicU64,
    /// Clock when it was made.
    pub(super) made: u64,
    /// Worker it ran on last: its memory is warm there.
    pub(super) worker: AtomicUsize,
}

#[derive(Debug, Default)]
struct Orders {
    stop: Option<Stop>,
    interrupt: Option<String>,
    termination: Option<Termination>,
    /// Clock value of the hard stop that is ordered.
    stop_at: Option<u64>,
    /// Wakes the task; taken away at the end, since the task owns this control and would otherwise own itself.
    waker: Option<Waker>,
}

/// Messages and bytes, in and out.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub messages_in: AtomicU64,
    pub bytes_in: AtomicU64,
    pub messages_out: AtomicU64,
    pub bytes_out: AtomicU64,
}

/// What it waits for, for `status`; written when it begins to wait.
#[derive(Debug, Default)]
pub(super) struct Doing(AtomicU32);

/// A call that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Waits {
    /// Runs, is ready to run, or waits for something that has no name here.
    Nothing = 0,
    Sleep,
    Receive,
    Send,
    Request,
    Suspend,
    Join,
    Events,
    Lock,
    Locate,
    Channel,
    Spawn,
    Swap,
    Input,
    Output,
    Poll,
}

/// Why a coroutine was stopped hard: its fiber is dropped at the next poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A termination whose grace is over.
    Terminated,
    /// The wall deadline, in nanoseconds.
    Deadline(u64),
    /// The CPU budget, in nanoseconds.
    Budget(u64),
    /// The start function did not end.
    Start,
}

/// Who ordered the end, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Termination {
    pub by: String,
    pub reason: String,
}

/// How a coroutine is made.
pub(super) struct Birth {
    pub address: Address,
    pub group: Arc<Group>,
    pub tree: Arc<Tree>,
    pub daemon: bool,
    pub program: Arc<Program>,
    /// Standard input; without it the guest reads its end.
    pub input: Option<Arc<Input>>,
    pub made: u64,
}

/// Nanoseconds. Whoever cancels a job a million times gets a few timers, not a million.
const STOP_STEP: u64 = 10_000_000;

const STOPPING: u32 = 1;
const INTERRUPTED: u32 = 2;
const SWAPPING: u32 = 4;

impl Control {
    pub(super) fn new(birth: Birth) -> Control {
        let Birth { address, group, tree, daemon, program, input, made } = birth;
        Control {
            address,
            tree,
            post: Postbox::new(&group.tenant.ledger),
            group,
            ties: Mutex::default(),
            traffic: Traffic::default(),
            doing: Doing::default(),
            dropped: AtomicU64::new(0),
            daemon: AtomicBool::new(daemon),
            program: Mutex::new(program),
            input,
            flags: AtomicU32::new(0),
            orders: Mutex::default(),
            cpu: AtomicU64::new(0),
            slice_start: AtomicU64::new(0),
            made,
            worker: AtomicUsize::new(usize::MAX),
        }
    }

    /// Makes the current or next interruptible call return `interrupted`, once. Interrupts do not stack: the first
    /// reason wins.
    pub fn interrupt(&self, reason: &str) {
        self.order(|orders| {
            orders.interrupt.get_or_insert_with(|| reason.to_owned());
            INTERRUPTED
        });
    }

    /// Records a termination and interrupts; the first order wins. `true`: the caller is to stop it hard at `at`, which is
    /// earlier than what was ordered before by enough to be worth a timer.
    pub(super) fn terminate(&self, by: &str, reason: &str, at: u64) -> bool {
        let mut arm = false;
        self.order(|orders| {
            arm = orders.stop_at.is_none_or(|before| at < before.saturating_sub(STOP_STEP));
            if arm {
                orders.stop_at = Some(at);
            }
            orders.termination.get_or_insert_with(|| Termination { by: by.to_owned(), reason: reason.to_owned() });
            orders.interrupt.get_or_insert_with(|| format!("terminated by {by}: {reason}"));
            INTERRUPTED
        });
        arm
    }

    /// Stops it at the next poll, or within an epoch tick if it runs. The first reason wins.
    pub fn stop(&self, stop: Stop) {
        self.order(|orders| {
            orders.stop.get_or_insert(stop);
            STOPPING
        });
    }

    pub fn input(&self) -> &Input {
        self.input.as_deref().unwrap_or_else(|| Input::empty())
    }

    /// CPU nanoseconds used by slices that are over.
    pub fn cpu(&self) -> u64 {
        self.cpu.load(Ordering::Relaxed)
    }

    /// What it runs; another after a swap.
    pub fn program(&self) -> Arc<Program> {
        Arc::clone(&self.program.lock())
    }

    pub(super) fn set_program(&self, program: Arc<Program>) {
        *self.program.lock() = program;
    }

    pub fn is_daemon(&self) -> bool {
        self.daemon.load(Ordering::Relaxed)
    }

    /// Whose CPU time it uses.
    pub(super) fn share(&self) -> &Arc<Share> {
        &self.group.tenant.share
    }

    /// A timer's message found no room.
    pub(super) fn drop_timed(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// It waits for this until the guard is dropped.
    pub fn waits(&self, what: Waits) -> impl Drop + '_ {
        self.doing.wait(what)
    }

    /// The call in which it waits for what another coroutine is to do; not for time, the client or the node.
    pub fn waits_for_others(&self) -> Option<&'static str> {
        let itself = ["sleep", "spawn", "input", "output", "poll"];
        self.doing.word().filter(|word| !itself.contains(word))
    }

    /// It waits for this from now on; [`Waits::Nothing`]: it goes on.
    pub fn set_waits(&self, what: Waits) {
        self.doing.set(what);
    }

    /// It has sent so many bytes in a message of its own.
    pub fn sent(&self, bytes: usize) {
        self.traffic.sent(bytes);
    }

    /// The same tenant's?
    pub fn is_of(&self, other: &Control) -> bool {
        Arc::ptr_eq(&self.group.tenant, &other.group.tenant)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.flags.load(Ordering::Acquire) & STOPPING != 0
    }

    pub(super) fn stop_reason(&self) -> Option<Stop> {
        self.orders.lock().stop.clone()
    }

    pub(super) fn termination(&self) -> Option<Termination> {
        self.orders.lock().termination.clone()
    }

    /// An interrupt waits for an interruptible call.
    pub fn is_interrupted(&self) -> bool {
        self.flags.load(Ordering::Acquire) & INTERRUPTED != 0
    }

    /// Takes a pending interrupt.
    pub fn take_interrupt(&self) -> Option<String> {
        if !self.is_interrupted() {
            return None;
        }
        let mut orders = self.orders.lock();
        self.flags.fetch_and(!INTERRUPTED, Ordering::AcqRel);
        orders.interrupt.take()
    }

    /// Runs a blocking call of the guest so that an interrupt ends it with the reason.
    pub async fn interruptible<F: Future>(&self, call: F) -> Result<F::Output, String> {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| match self.take_interrupt() {
            Some(reason) => Poll::Ready(Err(reason)),
            None => call.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// The same for a call that waits only now and then: one that need not wait is not interrupted.
    pub async fn interruptible_if_it_waits<F: Future>(&self, call: F) -> Result<F::Output, String> {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.take_interrupt().map_or(Poll::Pending, |reason| Poll::Ready(Err(reason))),
        })
        .await
    }

    /// The guest waits in its host call until another instance has taken over, or could not.
    pub(super) fn put_swap_point(&self, point: SwapPoint) {
        self.ties.lock().swap_point = Some(point);
        self.flags.fetch_or(SWAPPING, Ordering::AcqRel);
    }

    /// This swap is asked of it no longer; another may be by now.
    pub(super) fn forget_swap(&self, swap: &Arc<Swap>) {
        let mut ties = self.ties.lock();
        if ties.swap.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, swap)) {
            ties.swap = None;
        }
    }

    pub(super) fn take_swap_point(&self) -> Option<SwapPoint> {
        if self.flags.load(Ordering::Acquire) & SWAPPING == 0 {
            return None;
        }
        self.flags.fetch_and(!SWAPPING, Ordering::AcqRel);
        self.ties.lock().swap_point.take()
    }

    /// Makes it look again at what it waits for.
    pub(super) fn wake(&self) {
        let waker = self.orders.lock().waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// An answer to a request of this coroutine; `false` when it is no longer awaited.
    pub(super) fn answer(&self, number: u64, payload: Payload, held: Option<Permit>) -> bool {
        let awaited = self.ties.lock().answer(number, payload, held);
        if awaited {
            self.wake();
        }
        awaited
    }

    /// No answer will come to a request of this coroutine.
    pub(super) fn leave_unanswered(&self, number: u64, read: bool) {
        if self.ties.lock().leave_unanswered(number, read) {
            self.wake();
        }
    }

    /// Puts a message for which room was promised into the mailbox. Nothing is done when it has ended.
    pub(super) fn push_reserved(&self, letter: Letter) {
        let waker = self.post.lock().push_reserved(letter);
        // Dropped, or woken, outside of the lock.
        if let Ok(Some(waker)) = waker {
            waker.wake();
        }
    }

    /// A system message for which room was promised will not come.
    pub(crate) fn break_promise(&self) {
        self.post.lock().mailbox.release();
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        self.orders.lock().waker = Some(waker.clone());
        self.post.lock().set_waker(waker);
    }

    /// Nothing may wake the task any more.
    pub(super) fn end(&self) {
        let waker = self.orders.lock().waker.take();
        self.input.iter().for_each(|input| input.finish());
        drop(waker);
    }

    pub(super) fn begin_slice(&self, now: u64, worker: usize) {
        self.slice_start.store(now, Ordering::Relaxed);
        self.worker.store(worker, Ordering::Relaxed);
    }

    /// Nanoseconds that its tenant is to be charged.
    pub(super) fn end_slice(&self, now: u64) -> u64 {
        let spent = self.slice_time(now);
        // Only its worker writes it.
        self.cpu.store(self.cpu.load(Ordering::Relaxed) + spent, Ordering::Relaxed);
        self.tree.charge(spent);
        spent
    }

    /// Nanoseconds since the present slice began.
    pub(super) fn slice_time(&self, now: u64) -> u64 {
        now.saturating_sub(self.slice_start.load(Ordering::Relaxed))
    }

    /// What it has used until now; `memory_peak` is known to its store alone.
    pub(super) fn usage(&self, now: u64, cpu: u64, memory_peak: u64) -> Usage {
        let Traffic { messages_in, bytes_in, messages_out, bytes_out } = &self.traffic;
        Usage {
            cpu,
            wall: now.saturating_sub(self.made),
            memory_peak,
            messages_in: messages_in.load(Ordering::Relaxed),
            messages_out: messages_out.load(Ordering::Relaxed),
            bytes_in: bytes_in.load(Ordering::Relaxed),
            bytes_out: bytes_out.load(Ordering::Relaxed),
        }
    }

    /// Sets orders and flag under one lock, then wakes the task outside of it.
    fn order(&self, set: impl FnOnce(&mut Orders) -> u32) {
        let waker = {
            let mut orders = self.orders.lock();
            let flag = set(&mut orders);
            self.flags.fetch_or(flag, Ordering::AcqRel);
            orders.waker.clone()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Traffic {
    pub fn received(&self, bytes: usize) {
        add(&self.messages_in, 1);
        add(&self.bytes_in, bytes as u64);
    }

    pub fn sent(&self, bytes: usize) {
        add(&self.messages_out, 1);
        add(&self.bytes_out, bytes as u64);
    }
}

/// There is one writer, so this needs no locked instruction.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Doing {
    /// It waits for this until the next call says otherwise; [`Waits::Nothing`]: it goes on.
    pub fn set(&self, what: Waits) {
        self.0.store(what as u32, Ordering::Relaxed);
    }

    /// It waits for this until the guard is dropped.
    pub fn wait(&self, what: Waits) -> impl Drop + '_ {
        struct Until<'a>(&'a AtomicU32);
        impl Drop for Until<'_> {
            fn drop(&mut self) {
                self.0.store(Waits::Nothing as u32, Ordering::Relaxed);
            }
        }
        self.0.store(what as u32, Ordering::Relaxed);
        Until(&self.0)
    }

    /// The word for it in `status`; `None` when it waits for nothing.
    pub fn word(&self) -> Option<&'static str> {
        const WORDS: [&str; 16] = [
            "", "sleep", "receive", "send", "request", "suspend", "join", "wait", "lock", "locate", "channel", "spawn",
            "swap", "input", "output", "poll",
        ];
        WORDS.get(self.0.load(Ordering::Relaxed) as usize).copied().filter(|word| !word.is_empty())
    }
}
