//! The coroutine scheduler: one worker thread a core, fair between tenants, wake-ups on the same worker kept local.
//! The same code is driven by hand, without threads, on virtual time.
//!
//! A coroutine is an `async-task`; the run queues are ours. I/O threads only push into queues; they run no guest code.

use super::chain::{Next, Shift};
use super::clock::{Clock, VirtualClock};
use super::control::{Control, Stop};
use super::slice::{self, Metered, Slice};
use super::timers::{Fire, Shard, Sleep, StopTimer};
use async_task::{Runnable, ScheduleInfo, WithInfo};
use corovan_core::limits;
use corovan_core::sync::fair_queue::FairQueue;
use corovan_core::sync::timers::TimerId;
use parking_lot::Mutex;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Runs coroutines; cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Inner>,
}

/// Ends the threads when dropped.
pub struct Threads {
    inner: Arc<Inner>,
    workers: Vec<JoinHandle<()>>,
    ticker: Option<JoinHandle<()>>,
}

pub(super) struct Inner {
    pub(super) clock: Arc<dyn Clock>,
    workers: Vec<Worker>,
    /// Bit n: worker n has nothing to do.
    idle: AtomicU64,
    /// Virtual runtime that all workers have reached; see [`FairQueue`].
    floor: AtomicU64,
    stopping: AtomicBool,
    next_worker: AtomicUsize,
    ticker: Ticker,
}

struct Worker {
    /// Slices that it has begun.
    slices: AtomicU64,
    /// As many, where the last of them has gone on for a whole tick.
    stuck: AtomicU64,
    queue: Mutex<FairQueue<Job>>,
    /// What its present coroutine woke: it goes next, without the queue, as long as [`Shift::goes_on`].
    next: Next,
    timers: Shard,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Ticker {
    thread: OnceLock<Thread>,
    parked: AtomicBool,
    stopping: AtomicBool,
}

pub(super) type Job = Runnable<Arc<Control>>;

/// More workers than bits of the idle mask are not supported.
pub const MAX_WORKERS: usize = 64;
/// The ticker goes on for so many ticks after the last work, so that a node with a trickle of jobs does not start and
/// stop it all the time.
const LINGER_TICKS: u32 = 25;

thread_local! {
    /// The scheduler (by address) and worker whose thread this is.
    static HERE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

impl Scheduler {
    /// A scheduler with `workers` threads; `tick` is called every [`limits::EPOCH_TICK`] while something runs.
    pub fn start(
        clock: Arc<dyn Clock>,
        workers: usize,
        tick: impl Fn() + Send + 'static,
    ) -> std::io::Result<(Scheduler, Threads)> {
        let scheduler = Scheduler::new(clock, workers.clamp(1, MAX_WORKERS));
        let mut threads = Threads { inner: Arc::clone(&scheduler.inner), workers: Vec::new(), ticker: None };
        for index in 0..scheduler.inner.workers.len() {
            let inner = Arc::clone(&scheduler.inner);
            let name = format!("coroutines-{index}");
            threads.workers.push(std::thread::Builder::new().name(name).spawn(move || inner.work(index))?);
        }
        let inner = Arc::clone(&scheduler.inner);
        threads.ticker = Some(std::thread::Builder::new().name("epoch".into()).spawn(move || inner.tick(&tick))?);
        Ok((scheduler, threads))
    }

    /// A scheduler without threads, for [`Scheduler::run_until_idle`].
    pub fn manual(clock: Arc<VirtualClock>) -> Scheduler {
        Scheduler::new(clock, 1)
    }

    fn new(clock: Arc<dyn Clock>, workers: usize) -> Scheduler {
        let worker = |_| Worker {
            slices: AtomicU64::new(0),
            stuck: AtomicU64::new(u64::MAX),
            queue: Mutex::new(FairQueue::default()),
            next: Next::default(),
            timers: Shard::new(),
            thread: OnceLock::new(),
        };
        Scheduler {
            inner: Arc::new(Inner {
                clock,
                workers: (0..workers).map(worker).collect(),
                idle: AtomicU64::new(0),
                floor: AtomicU64::new(0),
                stopping: AtomicBool::new(false),
                next_worker: AtomicUsize::new(0),
                ticker: Ticker::default(),
            }),
        }
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// What its clock shows, to some microseconds; on a worker that costs less than asking. Two workers may differ by as much,
    /// so it is for lengths of time, and not for what guests compare.
    pub(crate) fn about(&self) -> u64 {
        let own = (HERE.get().0 == self.inner.identity()).then(slice::look).flatten();
        own.unwrap_or_else(|| self.inner.clock.now())
    }

    /// Makes a task of this coroutine and queues it. The future is large: it is made where it stays.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, control: Arc<Control>, make: impl FnOnce() -> F) {
        let owner = Arc::clone(&control);
        let inner = Arc::clone(&self.inner);
        let schedule = WithInfo(move |job: Job, info: ScheduleInfo| inner.schedule(job, info.woken_while_running));
        let (job, task) = async_task::Builder::new().metadata(control).spawn(|_| Metered::new(owner, make()), schedule);
        task.detach();
        job.schedule();
    }

    /// Its threads are to end.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::SeqCst)
    }

    /// Ready at `deadline` on this scheduler's clock.
    pub fn sleep_until(&self, deadline: u64) -> Sleep {
        Sleep::until(Arc::clone(&self.inner), deadline)
    }

    /// Stops the coroutine at `deadline` unless the timer is dropped before.
    pub fn stop_at(&self, deadline: u64, control: &Arc<Control>, stop: Stop) -> StopTimer {
        StopTimer::arm(&self.inner, deadline, control, stop)
    }

    /// Has something done at `deadline`; where the timer is, to cancel it.
    pub(super) fn fire_at(&self, deadline: u64, fire: Fire) -> (usize, TimerId) {
        self.inner.insert_timer(deadline, fire)
    }

    pub(super) fn cancel(&self, shard: usize, id: TimerId) {
        self.inner.cancel_timer(shard, id);
    }

    /// Runs what is ready and what comes due until `now`, in a reproducible order; returns the next deadline.
    ///
    /// The clock is moved to each deadline in turn. Only for schedulers made with [`Scheduler::manual`].
    pub fn run_until_idle(&self, clock: &VirtualClock, now: u64) -> Option<u64> {
        let _here = Here::enter(&self.inner, 0);
        let mut shift = Shift::at(clock.now());
        loop {
            self.inner.workers[0].timers.fire_due(clock.now());
            shift.now = clock.now();
            while self.inner.run_one(0, &mut shift) {}
            match self.inner.workers[0].timers.next_deadline() {
                u64::MAX => {
                    clock.advance_to(now);
                    return None;
                }
                next if next > now => {
                    clock.advance_to(now);
                    return Some(next);
                }
                next => clock.advance_to(next),
            }
        }
    }

    /// Timers that are armed.
    pub fn timers(&self) -> usize {
        self.inner.workers.iter().map(|worker| worker.timers.len()).sum()
    }

    /// Coroutines that are ready to run and wait for a worker.
    pub fn ready(&self) -> usize {
        self.inner.workers.iter().map(|worker| worker.queue.lock().len() + usize::from(!worker.next.is_empty())).sum()
    }
}

impl Inner {
    /// Queues a woken coroutine: here if this is a worker, else where it ran last or where there is time.
    fn schedule(&self, job: Job, yielded: bool) {
        let (scheduler, here) = HERE.get();
        if scheduler == self.identity() {
            // One that gives up the CPU goes behind the others.
            let job = if yielded { Some(job) } else { self.workers[here].next.offer(job) };
            job.into_iter().for_each(|job| self.push(here, job));
            return;
        }
        let idle = self.idle.load(Ordering::Relaxed);
        let last = job.metadata().worker.load(Ordering::Relaxed);
        let target = if last < self.workers.len() && (idle == 0 || idle & 1 << last != 0) {
            last
        } else if idle != 0 {
            idle.trailing_zeros() as usize
        } else {
            self.next_worker.fetch_add(1, Ordering::Relaxed) % self.workers.len()
        };
        self.push(target, job);
        fence(Ordering::SeqCst);
        if self.idle.load(Ordering::Relaxed) & 1 << target != 0 {
            self.unpark(target);
        }
    }

    fn push(&self, worker: usize, job: Job) {
        let mut queue = self.workers[worker].queue.lock();
        let lane = queue.open(job.metadata().share(), &self.floor);
        queue.put(lane, job);
        let crowded = queue.len() > 1;
        drop(queue);
        // One waiting coroutine is left to the worker that woke it: its data is there. More are worth a second pair of hands.
        if crowded {
            self.share_work();
        }
    }

    fn share_work(&self) {
        let idle = self.idle.load(Ordering::Relaxed);
        if idle != 0 {
            self.unpark(idle.trailing_zeros() as usize);
        }
    }

    fn unpark(&self, worker: usize) {
        self.workers[worker].thread.get().into_iter().for_each(Thread::unpark);
    }

    /// Runs one coroutine for one slice; `false` if there is none. One look at the clock is the end of a slice and the
    /// beginning of the next: looking costs as much as a switch of coroutines.
    fn run_one(&self, worker: usize, shift: &mut Shift) -> bool {
        let next = self.workers[worker].next.take();
        let (job, chained) = match next {
            Some(next) if shift.goes_on(&next) => (next, true),
            next => {
                next.into_iter().for_each(|next| self.push(worker, next));
                shift.settle();
                match self.workers[worker].queue.lock().pop(&self.floor) {
                    Some(job) => (job, false),
                    None => return false,
                }
            }
        };
        if !chained {
            shift.begin(job.metadata().share());
        }
        // There is one writer, so this needs no locked instruction.
        let slices = &self.workers[worker].slices;
        slices.store(slices.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let begin = Slice { now: shift.now, worker, spent: 0 };
        let end = begin.of(|| {
            // The task catches the panics of its coroutine; this is for queueing it again, which is done in here as well.
            if std::panic::catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("host code panicked where a coroutine was queued again; it has ended");
            }
        });
        shift.now = end.now;
        shift.owed += end.spent;
        true
    }

    fn steal(&self, thief: usize) -> Option<Job> {
        let others = self.others(thief).filter(|victim| victim.has_too_much());
        others.into_iter().find_map(|victim| victim.queue.lock().pop(&self.floor).or_else(|| victim.next.take()))
    }

    fn others(&self, worker: usize) -> impl Iterator<Item = &Worker> {
        (1..self.workers.len()).map(move |i| &self.workers[(worker + i) % self.workers.len()])
    }

    /// A worker's life.
    fn work(self: Arc<Self>, index: usize) {
        let _here = Here::enter(&self, index);
        let worker = &self.workers[index];
        let _ = worker.thread.set(std::thread::current());
        let mut shift = Shift::at(self.clock.now());
        while !self.stopping.load(Ordering::Relaxed) {
            // Who sleeps compares with the clock itself, so that decides, and not the watch.
            if worker.timers.next_deadline() <= shift.now {
                worker.timers.fire_due(self.clock.now());
            }
            if self.run_one(index, &mut shift) {
                continue;
            }
            if let Some(job) = self.steal(index) {
                self.push(index, job);
                continue;
            }
            self.idle.fetch_or(1 << index, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // Whoever pushes after this point sees the idle bit; what was pushed before is seen here.
            let waiting = worker.has_work() || self.others(index).any(Worker::has_too_much);
            if !waiting && !self.stopping.load(Ordering::Relaxed) {
                match worker.timers.next_deadline() {
                    u64::MAX => std::thread::park(),
                    next => std::thread::park_timeout(Duration::from_nanos(next.saturating_sub(self.clock.now()))),
                }
            }
            self.idle.fetch_and(!(1 << index), Ordering::SeqCst);
            shift.now = self.clock.now();
            self.start_ticker();
        }
    }

    /// The ticker's life: it takes the CPU from guests that do not yield, and fires timers of workers that are busy.
    fn tick(self: Arc<Self>, tick: &dyn Fn()) {
        let _ = self.ticker.thread.set(std::thread::current());
        let all_idle = u64::MAX >> (MAX_WORKERS - self.workers.len());
        let mut quiet = 0;
        let mut slices = vec![0; self.workers.len()];
        while !self.ticker.stopping.load(Ordering::Relaxed) {
            if self.idle.load(Ordering::SeqCst) & all_idle == all_idle {
                quiet += 1;
            } else {
                quiet = 0;
                tick();
                let now = self.clock.now();
                self.workers.iter().for_each(|worker| worker.timers.fire_due(now));
                for (worker, before) in self.workers.iter().zip(&mut slices) {
                    worker.look_at(before);
                }
                if self.workers.iter().any(Worker::has_too_much) {
                    self.share_work();
                }
            }
            if quiet > LINGER_TICKS {
                self.ticker.parked.store(true, Ordering::SeqCst);
                if self.idle.load(Ordering::SeqCst) & all_idle == all_idle
                    && !self.ticker.stopping.load(Ordering::SeqCst)
                {
                    std::thread::park();
                }
                self.ticker.parked.store(false, Ordering::SeqCst);
                quiet = 0;
            } else {
                std::thread::sleep(limits::EPOCH_TICK);
            }
        }
    }

    fn start_ticker(&self) {
        if self.ticker.parked.load(Ordering::SeqCst) {
            self.ticker.thread.get().into_iter().for_each(Thread::unpark);
        }
    }

    pub(super) fn insert_timer(&self, deadline: u64, fire: Fire) -> (usize, TimerId) {
        let (scheduler, here) = HERE.get();
        let local = scheduler == self.identity();
        let shard = if local { here } else { 0 };
        let (id, earliest) = self.workers[shard].timers.insert(deadline, fire);
        if earliest && !local {
            self.unpark(shard);
        }
        (shard, id)
    }

    pub(super) fn cancel_timer(&self, shard: usize, id: TimerId) {
        self.workers[shard].timers.cancel(id);
    }

    fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Worker {
    fn has_work(&self) -> bool {
        !self.next.is_empty() || !self.queue.lock().is_empty()
    }

    /// There is work for others: more than one coroutine waits, or one behind another that does not leave. Two that talk to
    /// each other, of which one waits at any time, are left together: apart they wait for each other's caches.
    fn has_too_much(&self) -> bool {
        match usize::from(!self.next.is_empty()) + self.queue.lock().len() {
            0 => false,
            1 => self.stuck.load(Ordering::Relaxed) == self.slices.load(Ordering::Relaxed),
            _ => true,
        }
    }

    /// At each tick: has it begun a slice since the last?
    fn look_at(&self, before: &mut u64) {
        let slices = self.slices.load(Ordering::Relaxed);
        if std::mem::replace(before, slices) == slices {
            self.stuck.store(slices, Ordering::Relaxed);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        (0..self.inner.workers.len()).for_each(|worker| self.inner.unpark(worker));
        // A worker or ticker that panicked has said so already; one that drops the last of what holds the scheduler ends
        // by itself.
        let here = std::thread::current().id();
        for handle in self.workers.drain(..).filter(|worker| worker.thread().id() != here) {
            let _ = handle.join();
        }
        // Last: a guest that does not yield leaves its worker only at a tick.
        self.inner.ticker.stopping.store(true, Ordering::SeqCst);
        self.inner.ticker.thread.get().into_iter().for_each(Thread::unpark);
        if let Some(handle) = self.ticker.take() {
            let _ = handle.join();
        }
        // Queued tasks hold the scheduler, and the scheduler holds them: break the circle.
        for worker in &self.inner.workers {
            loop {
                let job = worker.queue.lock().pop(&self.inner.floor).or_else(|| worker.next.take());
                if job.is_none() {
                    break;
                }
            }
        }
    }
}

/// Marks this thread as a worker while it lives; what it was before comes back then.
struct Here((usize, usize), Option<Arc<dyn Clock>>);

impl Here {
    fn enter(inner: &Inner, worker: usize) -> Here {
        Here(HERE.replace((inner.identity(), worker)), slice::wear(Some(Arc::clone(&inner.clock))))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.0);
        slice::wear(self.1.take());
    }
}
