//! From a program to an exit record: one store, one instance, one call, everything given back.

use super::clock::Clock;
use super::control::{Control, Stop};
use super::coroutine::{Coroutine, Ended, Limiter, WasiProgram};
use super::engine::Preemption;
use super::ports::{Observer, Random};
use super::scheduler::Scheduler;
use super::stdio::Input;
use bytes::Bytes;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Exhausted, Ledger, Permit, Resource};
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use std::fmt::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::{
    Engine, Instance, InstancePre, Linker, ModuleExport, Store, Trap, TypedFunc, UpdateDeadline, WasmBacktrace,
};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// What all coroutines of a node share.
pub struct Runtime {
    pub engine: Engine,
    pub preemption: Preemption,
    pub scheduler: Scheduler,
    pub random: Arc<dyn Random>,
    pub node: NodeId,
    pub incarnation: u32,
    /// Coroutines made in this incarnation.
    counter: AtomicU64,
}

/// A module ready to be instantiated, with the function to call. One for each spec; shared by its coroutines.
pub struct Program {
    pub module: ModuleHash,
    /// As exit records name it.
    pub function: String,
    instance: InstancePre<Coroutine>,
    call: ModuleExport,
    initialize: Option<ModuleExport>,
    memory: Option<ModuleExport>,
    /// `_start` of a command: returning is exit code 0.
    command: bool,
    entry: Option<String>,
}

/// One coroutine to be made.
pub struct Launch {
    pub program: Arc<Program>,
    pub args: Bytes,
    pub wasi: WasiProgram,
    /// Standard input, if there is any.
    pub input: Option<Arc<Input>>,
    /// Bytes of linear memory.
    pub memory: u64,
    pub deadline: Duration,
    pub cpu: Option<Duration>,
    pub attempt: u32,
    pub share: Arc<Share>,
    pub ledger: Arc<Ledger>,
    pub observer: Arc<dyn Observer>,
}

/// Everything a coroutine holds that its exit gives back.
struct Held {
    _coroutine: Permit,
}

impl Program {
    /// Resolves the imports once. `function`: an export, or with `command` the name `_start` runs.
    pub fn new(
        hash: ModuleHash,
        module: &wasmtime::Module,
        linker: &Linker<Coroutine>,
        export: &str,
        entry: Option<String>,
    ) -> wasmtime::Result<Program> {
        let missing = || wasmtime::format_err!("the module does not export {export:?}");
        let command = export == "_start";
        Ok(Program {
            module: hash,
            function: entry.clone().unwrap_or_else(|| export.to_owned()),
            instance: linker.instantiate_pre(module)?,
            call: module.get_export_index(export).ok_or_else(missing)?,
            initialize: if command { None } else { module.get_export_index("_initialize") },
            memory: module.get_export_index("memory"),
            command,
            entry,
        })
    }
}

impl Runtime {
    pub fn new(
        engine: Engine,
        preemption: Preemption,
        scheduler: Scheduler,
        random: Arc<dyn Random>,
        node: NodeId,
        incarnation: u32,
    ) -> Runtime {
        Runtime { engine, preemption, scheduler, random, node, incarnation, counter: AtomicU64::new(0) }
    }

    /// Makes a coroutine and queues it. Its observer learns of its end, exactly once, whatever happens.
    pub fn launch(self: &Arc<Self>, launch: Launch) -> Result<Arc<Control>, Exhausted> {
        let held = Held { _coroutine: launch.ledger.take(Resource::Coroutines, 1)? };
        let memory = Permit::nothing(&launch.ledger, Resource::Memory);
        let address = Address {
            node: self.node,
            incarnation: self.incarnation,
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
            secret: self.random.number(),
        };
        let control = Arc::new(Control::new(address, Arc::clone(&launch.share), launch.input.clone()));
        let guard = ExitGuard {
            observer: Arc::clone(&launch.observer),
            control: Arc::clone(&control),
            program: Arc::clone(&launch.program),
            attempt: launch.attempt,
            started: self.clock().now(),
            runtime: Arc::clone(self),
            held: Some(held),
        };
        let limiter = Limiter { limit: launch.memory, permit: memory, refused: false };
        let task = run(Arc::clone(self), launch, limiter, guard);
        self.scheduler.spawn(Arc::clone(&control), task);
        Ok(control)
    }

    /// Interrupts, and after the grace period stops hard.
    pub fn terminate(&self, control: &Arc<Control>, by: &str, reason: &str, grace: Duration) {
        let at = self.clock().now().saturating_add(nanos(grace));
        let arm = control.terminate(by, reason, at);
        if grace.is_zero() {
            control.stop(Stop::Terminated);
        } else if arm {
            self.scheduler.stop_at(at, control, Stop::Terminated).leave();
        }
    }

    pub fn clock(&self) -> &dyn Clock {
        self.scheduler.clock()
    }

    pub(super) fn wasi_context(self: &Arc<Self>, program: &WasiProgram) -> WasiP1Ctx {
        WasiCtxBuilder::new()
            .args(&program.argv)
            .envs(&program.env)
            .wall_clock(super::wasi_clock::Wall(self.scheduler.clone()))
            .monotonic_clock(super::wasi_clock::Monotonic(self.scheduler.clone()))
            .secure_random(super::wasi_clock::GuestRandom(Arc::clone(&self.random)))
            .max_random_size(limits::HOSTCALL_BYTES as u64)
            .build_p1()
    }
}

/// The life of one coroutine.
async fn run(runtime: Arc<Runtime>, launch: Launch, limiter: Limiter, guard: ExitGuard) {
    let program = Arc::clone(&launch.program);
    let control = Arc::clone(&guard.control);
    let begin = runtime.clock().now();
    let deadline = begin.saturating_add(nanos(launch.deadline));
    let deadline_timer = runtime.scheduler.stop_at(deadline, &control, Stop::Deadline(nanos(launch.deadline)));
    let cpu_limit = launch.cpu.map_or(u64::MAX, nanos);

    let mut coroutine =
        Coroutine::new(Arc::clone(&control), Arc::clone(&runtime), Arc::clone(&launch.observer), limiter);
    coroutine.args = launch.args;
    coroutine.entry.clone_from(&program.entry);
    coroutine.program = launch.wasi;
    coroutine.deadline = deadline;
    coroutine.cpu_limit = cpu_limit;
    let memory_limit = launch.memory;
    let mut store = Store::new(&runtime.engine, coroutine);
    store.limiter(|coroutine| &mut coroutine.limiter);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
    let outcome = match arm_preemption(&mut store, runtime.preemption) {
        Ok(()) => {
            launch.observer.started(control.address);
            let guest = std::pin::pin!(call(&mut store, &program));
            Guarded { control: &control, guest, first: true }.await
        }
        Err(error) => Ok(Err(error)),
    };
    let (result, refused, peak) = {
        let data = store.data_mut();
        (data.result.take().map(|(value, _)| value), data.limiter.refused, data.limiter.permit.amount())
    };
    drop(store);
    drop(deadline_timer);
    let outcome = match outcome {
        Err(stop) => stopped(stop, result),
        Ok(outcome) => ended(outcome, result, &program, refused.then_some(memory_limit)),
    };
    guard.finish(outcome, peak);
}

/// Instantiates and calls; runs on the coroutine's fiber.
async fn call(store: &mut Store<Coroutine>, program: &Program) -> wasmtime::Result<()> {
    let now = store.data().runtime.clock().now();
    store.data_mut().start_deadline = now.saturating_add(nanos(limits::START_TIME));
    let instance = program.instance.instantiate_async(&mut *store).await?;
    store.data_mut().memory = program
        .memory
        .as_ref()
        .and_then(|export| instance.get_module_export(&mut *store, export))
        .and_then(wasmtime::Extern::into_memory);
    if let Some(initialize) = &program.initialize {
        entry_point(&instance, store, initialize)?.call_async(&mut *store, ()).await?;
    }
    let function = entry_point(&instance, store, &program.call)?;
    store.data_mut().start_deadline = u64::MAX;
    function.call_async(store, ()).await
}

fn entry_point(
    instance: &Instance,
    store: &mut Store<Coroutine>,
    export: &ModuleExport,
) -> wasmtime::Result<TypedFunc<(), ()>> {
    instance
        .get_module_export(&mut *store, export)
        .and_then(wasmtime::Extern::into_func)
        .ok_or_else(|| wasmtime::format_err!("an entry point is not a function"))?
        .typed::<(), ()>(&*store)
}

/// Sets how the CPU is taken from a guest that does not yield.
fn arm_preemption(store: &mut Store<Coroutine>, preemption: Preemption) -> wasmtime::Result<()> {
    match preemption {
        Preemption::Fuel => {
            store.set_fuel(u64::MAX)?;
            store.fuel_async_yield_interval(Some(limits::SLICE_FUEL))
        }
        Preemption::Epoch => {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|store| {
                let data = store.data();
                let now = data.runtime.clock().now();
                let spent = data.control.slice_time(now);
                if now >= data.start_deadline {
                    data.control.stop(Stop::Start);
                }
                if data.control.cpu() + spent > data.cpu_limit {
                    data.control.stop(Stop::Budget(data.cpu_limit));
                }
                Ok(if data.control.is_stopping() || spent >= nanos(limits::SLICE) {
                    UpdateDeadline::Yield(1)
                } else {
                    UpdateDeadline::Continue(1)
                })
            });
            Ok(())
        }
    }
}

/// Polls the guest unless it is to be stopped; then the fiber is dropped with this future.
struct Guarded<'a, F> {
    control: &'a Control,
    guest: Pin<&'a mut F>,
    first: bool,
}

impl<F: Future> Future for Guarded<'_, F> {
    type Output = Result<F::Output, Stop>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.first) {
            self.control.set_waker(cx.waker());
        }
        if self.control.is_stopping() {
            return Poll::Ready(Err(self.control.stop_reason().unwrap_or(Stop::Terminated)));
        }
        self.guest.as_mut().poll(cx).map(Ok)
    }
}

fn stopped(stop: Stop, result: Option<Bytes>) -> Outcome {
    match stop {
        Stop::Deadline(limit) => Outcome::Deadline { limit },
        Stop::Budget(limit) => Outcome::OutOfBudget { limit },
        Stop::Start => Outcome::Failed {
            kind: "start".into(),
            text: format!("its start function or _initialize did not end within {:?}", limits::START_TIME),
        },
        // Who and why is filled in by the exit guard, from the order.
        Stop::Terminated => Outcome::Terminated { by: String::new(), reason: String::new(), value: result },
    }
}

fn ended(
    outcome: wasmtime::Result<()>,
    result: Option<Bytes>,
    program: &Program,
    refused_memory: Option<u64>,
) -> Outcome {
    let Err(error) = outcome else {
        return match result {
            Some(value) => Outcome::Finished(value),
            None if program.command => Outcome::Exited(0),
            None => Outcome::Finished(Bytes::new()),
        };
    };
    match error.downcast_ref::<Ended>() {
        Some(Ended::Exit(code)) if *code == 0 && result.is_some() => Outcome::Finished(result.unwrap_or_default()),
        Some(Ended::Exit(code)) => Outcome::Exited(*code),
        Some(Ended::Fail { kind, text }) => Outcome::Failed { kind: kind.clone(), text: text.clone() },
        Some(Ended::Broken(rule)) => {
            Outcome::Trapped { kind: "host-call".into(), backtrace: cut(format!("{rule}\n{}", backtrace(&error))) }
        }
        None => {
            if let Some(limit) = refused_memory {
                return Outcome::OutOfMemory { limit };
            }
            match error.downcast_ref::<Trap>() {
                Some(trap) => Outcome::Trapped { kind: trap_kind(*trap), backtrace: cut(backtrace(&error)) },
                // A function of wasmtime-wasi's that the guest gave a bad pointer or a number that means nothing.
                None if error.is::<WasmBacktrace>() => {
                    let rule = error.root_cause();
                    Outcome::Trapped {
                        kind: "host-call".into(),
                        backtrace: cut(format!("{rule}\n{}", backtrace(&error))),
                    }
                }
                None => Outcome::Failed { kind: "host".into(), text: cut(format!("{error:#}")) },
            }
        }
    }
}

/// wasmtime's word for the trap, in the style of our other names.
fn trap_kind(trap: Trap) -> String {
    match trap {
        Trap::StackOverflow => "stack-overflow".into(),
        Trap::UnreachableCodeReached => "unreachable".into(),
        Trap::MemoryOutOfBounds => "memory-out-of-bounds".into(),
        Trap::TableOutOfBounds => "table-out-of-bounds".into(),
        Trap::IntegerDivisionByZero => "division-by-zero".into(),
        Trap::IntegerOverflow => "integer-overflow".into(),
        Trap::BadConversionToInteger => "bad-conversion-to-integer".into(),
        Trap::IndirectCallToNull => "indirect-call-to-null".into(),
        Trap::BadSignature => "bad-signature".into(),
        other => other.to_string().replace(' ', "-"),
    }
}

fn backtrace(error: &wasmtime::Error) -> String {
    /// Takes no more than a backtrace may have: the guest's names in it are as long as its author likes.
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = (limits::BACKTRACE_BYTES + 1).saturating_sub(self.0.len());
            self.0.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
            if text.len() > room { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        // An error says that the rest does not fit.
        let _ = write!(text, "{trace}");
    }
    text.0
}

fn cut(mut text: String) -> String {
    if text.len() > limits::BACKTRACE_BYTES {
        let end = (0..=limits::BACKTRACE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" [cut]");
    }
    text
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells the observer of the end, also when the task is dropped or a host function panics.
struct ExitGuard {
    observer: Arc<dyn Observer>,
    control: Arc<Control>,
    program: Arc<Program>,
    attempt: u32,
    started: u64,
    runtime: Arc<Runtime>,
    held: Option<Held>,
}

impl ExitGuard {
    fn finish(mut self, outcome: Outcome, memory_peak: u64) {
        self.report(outcome, memory_peak);
    }

    fn report(&mut self, mut outcome: Outcome, memory_peak: u64) {
        let Some(held) = self.held.take() else { return };
        self.control.end();
        drop(held);
        if let Some(order) = self.control.termination() {
            let value = outcome.value().filter(|value| !value.is_empty()).cloned();
            if !matches!(outcome, Outcome::Deadline { .. } | Outcome::OutOfBudget { .. }) {
                outcome = Outcome::Terminated { by: order.by, reason: order.reason, value };
            }
        }
        let now = self.runtime.clock().now();
        let usage = Usage {
            cpu: self.control.cpu() + self.control.slice_time(now),
            wall: now.saturating_sub(self.started),
            memory_peak,
            ..Usage::default()
        };
        self.observer.ended(ExitRecord {
            address: self.control.address,
            module: self.program.module,
            function: self.program.function.clone(),
            attempt: self.attempt,
            outcome,
            usage,
        });
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        self.report(Outcome::Failed { kind: "host".into(), text: "the node ended it: see the node's log".into() }, 0);
    }
}
