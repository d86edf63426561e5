//! Rows 1, 4 and 9: coroutines in this process, beside bare wasmtime with the same engine settings.

use super::{Row, percentile};
use anyhow::Context;
use corovan::hostcalls;
use corovan::node::SystemRandom;
use corovan::runtime::engine::{self, Preemption};
use corovan::runtime::ports::{Observer, Pending, Spawn};
use corovan::runtime::scheduler::Threads;
use corovan::runtime::stdio::Output;
use corovan::runtime::{Coroutine, Group, Launch, Program, RealClock, Refusal, Runtime, Scheduler, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits};
use corovan_core::wire::ExitRecord;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use wasmtime::{Engine, Linker, Module, Store};

/// As a small Rust guest: 17 pages, a data segment, one coroutine that returns, one that sleeps, one that spins.
const GUEST: &str = r#"(module
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 17)
    (data (i32.const 1048576) "a data segment, so that there is an image to map")
    (func (export "empty"))
    (func (export "sleeps") (drop (call $sleep (i64.const -1))))
    (func (export "spins") (loop (br 0))))"#;

/// A runtime of its own.
pub struct Bench {
    runtime: Arc<Runtime>,
    module: Module,
    linker: Linker<Coroutine>,
    group: Arc<Group>,
    _threads: Threads,
}

/// Finds functions of the one module there is.
struct Programs {
    module: Module,
    linker: Linker<Coroutine>,
}

impl Spawn for Programs {
    fn program(&self, _: &Arc<Group>, hash: ModuleHash, function: &str) -> Pending<Result<Arc<Program>, Refusal>> {
        let program = Program::new(hash, &self.module, &self.linker, function, None, limits::MEMORY_DEFAULT);
        let program = program.map(Arc::new).map_err(|error| Refusal::new(Code::UnknownFunction, error.to_string()));
        Box::pin(async { program })
    }
    fn admit(&self, _: &Group) -> Result<(), Refusal> {
        Ok(())
    }
    fn give_back(&self, _: &Group) {}
}

/// Launches the next when one has ended, until there have been enough.
pub struct Relay {
    bench: Arc<Bench>,
    program: Arc<Program>,
    left: AtomicUsize,
    /// Still to end.
    open: AtomicUsize,
    done: Mutex<bool>,
    changed: Condvar,
    /// One did not return.
    bad: AtomicBool,
    output: Output,
}

struct Handoff(Arc<Relay>);

/// What a coroutine that a guest made tells: nothing.
struct Child(Arc<Relay>);

impl Bench {
    fn new(workers: usize, slots: u32) -> anyhow::Result<Arc<Bench>> {
        Bench::with_guest(workers, slots, GUEST)
    }

    pub fn with_guest(workers: usize, slots: u32, guest: &str) -> anyhow::Result<Arc<Bench>> {
        let engine = engine::build(Preemption::Epoch, slots)?;
        let weak = engine.weak();
        let tick = move || weak.upgrade().into_iter().for_each(|engine| engine.increment_epoch());
        let (scheduler, threads) = Scheduler::start(Arc::new(RealClock::new()), workers, tick)?;
        let linker = hostcalls::linker(&engine)?;
        let module = Module::from_binary(&engine, &wat::parse_str(guest)?)?;
        let random = Arc::new(SystemRandom);
        let runtime = Arc::new(Runtime::new(engine, Preemption::Epoch, scheduler, random, NodeId::default(), 1));
        let quota = Limits { coroutines: u64::MAX, memory: u64::MAX, held: u64::MAX, connections: 0 };
        let (ledger, share) = (Arc::new(Ledger::new(quota)), Arc::new(Share::new(0, 100)));
        let tenant = Arc::new(Tenant::new("bench", ledger, share));
        let group = Arc::new(Group::new(
            1,
            tenant,
            Arc::new(Programs { module: module.clone(), linker: linker.clone() }),
            || {},
        ));
        Ok(Arc::new(Bench { runtime, module, linker, group, _threads: threads }))
    }

    pub fn relay(self: &Arc<Self>, export: &str, total: usize) -> anyhow::Result<Arc<Relay>> {
        let program =
            Program::new(ModuleHash([0; 32]), &self.module, &self.linker, export, None, limits::MEMORY_DEFAULT)?;
        Ok(Arc::new(Relay {
            bench: Arc::clone(self),
            program: Arc::new(program),
            left: AtomicUsize::new(total),
            open: AtomicUsize::new(total),
            done: Mutex::new(false),
            changed: Condvar::new(),
            bad: AtomicBool::new(false),
            output: Output::default(),
        }))
    }
}

impl Relay {
    pub fn launch(self: &Arc<Self>) -> Option<Arc<corovan::runtime::Control>> {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()?;
        let launch = Launch {
            program: Arc::clone(&self.program),
            args: bytes::Bytes::from_static(&[0x80]),
            wasi: Default::default(),
            input: None,
            memory: limits::MEMORY_DEFAULT,
            deadline: limits::DEADLINE_DEFAULT,
            cpu: None,
            attempt: 1,
            group: Arc::clone(&self.bench.group),
            tree: None,
            daemon: false,
            held: None,
            observer: Arc::new(Handoff(Arc::clone(self))),
        };
        self.bench.runtime.launch(launch).ok()
    }

    /// Whether all have returned.
    pub fn is_good(&self) -> bool {
        !self.bad.load(Ordering::Relaxed)
    }

    pub fn wait(&self) -> anyhow::Result<()> {
        let guard = self.done.lock().map_err(|_| anyhow::anyhow!("an observer panicked"))?;
        let (_guard, waited) = self
            .changed
            .wait_timeout_while(guard, Duration::from_secs(120), |done| !*done)
            .map_err(|_| anyhow::anyhow!("an observer panicked"))?;
        anyhow::ensure!(!waited.timed_out(), "the coroutines did not end within two minutes");
        Ok(())
    }
}

impl Observer for Handoff {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.0.output
    }
    fn output_ready(&self) {}
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Child(Arc::clone(&self.0)))
    }
    fn ended(&self, record: &Arc<ExitRecord>) {
        self.0.bad.fetch_or(record.outcome.is_abnormal(), Ordering::Relaxed);
        self.0.launch();
        // The measuring thread is woken once: what is measured is not how fast it can be woken.
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1
            && let Ok(mut done) = self.0.done.lock()
        {
            *done = true;
            self.0.changed.notify_all();
        }
    }
}

impl Observer for Child {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.0.output
    }
    fn output_ready(&self) {}
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Child(Arc::clone(&self.0)))
    }
    fn ended(&self, _: &Arc<ExitRecord>) {}
}

/// Row 1: spawn to finish of an empty coroutine, everything included, on one worker.
pub fn spawn() -> anyhow::Result<Vec<Row>> {
    const ROUND: usize = 100_000;
    const IN_FLIGHT: usize = 64;
    let bench = Bench::new(1, 1_000)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    // In turn, so that a machine whose speed drifts treats both alike.
    for _ in 0..5 {
        bare.push(bare_loop(ROUND)?);
        let relay = bench.relay("empty", ROUND)?;
        let begin = Instant::now();
        (0..IN_FLIGHT).for_each(|_| drop(relay.launch()));
        relay.wait()?;
        ours.push(ROUND as f64 / begin.elapsed().as_secs_f64());
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    Ok(vec![Row {
        number: "1",
        measure: "spawn -> finish, one worker".into(),
        value: ours,
        unit: "1/s",
        baseline: Some((bare, "bare wasmtime, instantiate + call on a fiber")),
        target: ">= 0.6 of bare",
        met: Some(ours / bare >= 0.6),
    }])
}

/// The same module and engine settings with no product code: instantiate, call, drop, one thread.
pub fn bare_loop(rounds: usize) -> anyhow::Result<f64> {
    let engine: Engine = engine::build(Preemption::Epoch, 1_000)?;
    let module = Module::from_binary(&engine, &wat::parse_str(GUEST)?)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap_async("corovan", "sleep", |_, (_,): (u64,)| Box::new(async { 0i32 }))?;
    let instance = linker.instantiate_pre(&module)?;
    let export = module.get_export_index("empty").context("the guest has no function empty")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let begin = Instant::now();
        for _ in 0..rounds {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(u64::MAX / 2);
            let instance = instance.instantiate_async(&mut store).await?;
            let function = instance.get_module_export(&mut store, &export).and_then(wasmtime::Extern::into_func);
            let function = function.context("not a function")?.typed::<(), ()>(&store)?;
            function.call_async(&mut store, ()).await?;
        }
        Ok(rounds as f64 / begin.elapsed().as_secs_f64())
    })
}

/// Row 4: 10,000 suspended coroutines with the default `vm.max_map_count`.
pub fn suspended() -> anyhow::Result<Vec<Row>> {
    const COUNT: usize = 10_000;
    let bench = Bench::new(1, 10_050)?;
    let relay = bench.relay("sleeps", COUNT)?;
    let before = super::process::resident("self")?;
    let begin = Instant::now();
    let controls: Vec<_> = (0..COUNT).filter_map(|_| relay.launch()).collect();
    while bench.runtime.scheduler.ready() > 0 || (bench.runtime.scheduler.timers() < COUNT) {
        std::thread::sleep(Duration::from_millis(1));
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(60), "not all coroutines were suspended in a minute");
    }
    let took = begin.elapsed();
    let each = super::process::resident("self")?.saturating_sub(before) as f64 / COUNT as f64;
    let maps = std::fs::read_to_string("/proc/self/maps")?.lines().count();
    controls.iter().for_each(|control| bench.runtime.terminate(control, "bench", "done", Duration::ZERO));
    relay.wait()?;
    drop((controls, relay, bench));
    let bare = bare_suspended(COUNT)?;
    let row = |measure: &str, value: f64, unit, baseline: Option<f64>, target, met| Row {
        number: "4",
        measure: measure.into(),
        value,
        unit,
        baseline: baseline.map(|baseline| (baseline, "bare wasmtime, instances suspended on fibers")),
        target,
        met,
    };
    Ok(vec![
        row("suspended coroutines held", COUNT as f64, "coroutines", None, "10,000 at the default sysctl", Some(true)),
        row("resident memory of each", each / 1024.0, "KiB", Some(bare.0 / 1024.0), "", None),
        row("memory mappings in all", maps as f64, "mappings", Some(bare.1), "", None),
        row("time to suspend them all", took.as_secs_f64() * 1e3, "ms", Some(bare.2), "", None),
    ])
}

/// The same number of instances, each suspended in a host call that never returns: resident bytes of each, mappings of
/// the process, milliseconds.
fn bare_suspended(count: usize) -> anyhow::Result<(f64, f64, f64)> {
    let engine = engine::build(Preemption::Epoch, u32::try_from(count)? + 50)?;
    let module = Module::from_binary(&engine, &wat::parse_str(GUEST)?)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap_async("corovan", "sleep", |_, (_,): (u64,)| Box::new(std::future::pending::<i32>()))?;
    let instance = linker.instantiate_pre(&module)?;
    let before = super::process::resident("self")?;
    let begin = Instant::now();
    let mut suspended = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..count {
        let (engine, instance) = (engine.clone(), instance.clone());
        let mut one = Box::pin(async move {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(u64::MAX / 2);
            let instance = instance.instantiate_async(&mut store).await?;
            instance.get_typed_func::<(), ()>(&mut store, "sleeps")?.call_async(&mut store, ()).await
        });
        anyhow::ensure!(one.as_mut().poll(&mut context).is_pending(), "an instance was not suspended");
        suspended.push(one);
    }
    let took = begin.elapsed().as_secs_f64() * 1e3;
    let each = super::process::resident("self")?.saturating_sub(before) as f64 / count as f64;
    Ok((each, std::fs::read_to_string("/proc/self/maps")?.lines().count() as f64, took))
}

/// Row 9: hard stop of a guest in a tight loop, from the order to the exit record, two of them on two workers.
pub fn hard_stop() -> anyhow::Result<Vec<Row>> {
    let bench = Bench::new(2, 64)?;
    let mut samples = Vec::new();
    for round in 0..200u32 {
        let relay = bench.relay("spins", 1)?;
        let control = relay.launch().context("not launched")?;
        // Long enough that it runs, and not in step with the ticker.
        std::thread::sleep(Duration::from_micros(15_000 + u64::from(round) * 37));
        let begin = Instant::now();
        bench.runtime.terminate(&control, "bench", "stop", Duration::ZERO);
        relay.wait()?;
        samples.push(begin.elapsed());
    }
    let mut bare = bare_stops(200)?;
    let row = |share: f64, measure: &str, target, limit: Option<f64>| {
        let (ours, bare) = (percentile(&mut samples, share), percentile(&mut bare, share));
        let (ours, bare) = (ours.as_secs_f64() * 1e3, bare.as_secs_f64() * 1e3);
        Row {
            number: "9",
            measure: measure.into(),
            value: ours,
            unit: "ms",
            baseline: Some((bare, "bare wasmtime, an epoch raised at once")),
            target,
            met: limit.map(|limit| ours <= limit),
        }
    };
    let mut row = row;
    Ok(vec![
        row(0.5, "hard stop of a tight loop, p50", "", None),
        row(0.99, "hard stop of a tight loop, p99", "<= 15 ms", Some(15.0)),
    ])
}

/// From raising the epoch to the trapped call's return on another thread: what no ticker can beat.
fn bare_stops(rounds: u32) -> anyhow::Result<Vec<Duration>> {
    let engine = engine::build(Preemption::Epoch, 64)?;
    let module = Module::from_binary(&engine, &wat::parse_str(GUEST)?)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("corovan", "sleep", |_: u64| 0i32)?;
    let instance = linker.instantiate_pre(&module)?;
    let mut samples = Vec::new();
    for round in 0..rounds {
        let (engine_there, instance) = (engine.clone(), instance.clone());
        let (started, ready) = std::sync::mpsc::channel();
        let guest = std::thread::spawn(move || -> anyhow::Result<Instant> {
            let mut store = Store::new(&engine_there, ());
            store.set_epoch_deadline(1);
            let instance = instance.instantiate(&mut store)?;
            let spins = instance.get_typed_func::<(), ()>(&mut store, "spins")?;
            started.send(())?;
            anyhow::ensure!(spins.call(&mut store, ()).is_err(), "a loop for ever has ended");
            Ok(Instant::now())
        });
        ready.recv()?;
        std::thread::sleep(Duration::from_micros(1_000 + u64::from(round) * 7));
        let begin = Instant::now();
        engine.increment_epoch();
        let end = guest.join().map_err(|_| anyhow::anyhow!("the guest's thread panicked"))??;
        samples.push(end.saturating_duration_since(begin));
    }
    Ok(samples)
}

pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}
