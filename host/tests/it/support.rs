//! What the tests share: a runtime by hand or with threads, and an observer that remembers.

use corovan::hostcalls;
use corovan::runtime::engine::{self, Preemption};
use corovan::runtime::ports::{Observer, Pending, Random, Spawn};
use corovan::runtime::scheduler::Threads;
use corovan::runtime::stdio::Output;
use corovan::runtime::{
    Control, Coroutine, Group, Launch, Program, RealClock, Refusal, Runtime, Scheduler, Tenant, VirtualClock,
};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits};
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use wasmtime::{Linker, Module};

/// Remembers what a coroutine told.
#[derive(Default)]
pub struct Remember {
    pub started: Mutex<Vec<Address>>,
    pub exits: Mutex<Vec<ExitRecord>>,
    pub progress: Mutex<Vec<(u64, u64, String)>>,
    pub logs: Mutex<Vec<(u8, String)>>,
    pub output: Output,
    /// What the coroutines that it made, and those made, told.
    pub kin: Arc<Kin>,
    /// Where the ends of several observers are noted in one order, and as what.
    order: Mutex<Option<(Order, &'static str)>>,
    changed: Condvar,
}

/// The same of its children, all in one.
#[derive(Default)]
pub struct Kin {
    pub exits: Mutex<Vec<ExitRecord>>,
    pub logs: Mutex<Vec<(u8, String)>>,
    pub output: Output,
}

struct Child(Arc<Kin>);

/// Who ended, in order.
pub type Order = Arc<Mutex<Vec<&'static str>>>;

/// A runtime with what tests need beside it.
pub struct Bench {
    pub runtime: Arc<Runtime>,
    pub linker: Linker<Coroutine>,
    pub clock: Option<Arc<VirtualClock>>,
    pub ledger: Arc<Ledger>,
    pub tenant: Arc<Tenant>,
    pub group: Arc<Group>,
    modules: Arc<Modules>,
    over: Arc<(Mutex<bool>, Condvar)>,
    _threads: Option<Threads>,
}

/// Modules by their names, for coroutines that make others.
pub struct Modules {
    engine: wasmtime::Engine,
    linker: Linker<Coroutine>,
    known: Mutex<HashMap<ModuleHash, Module>>,
    /// Modules that this node has, and cannot use.
    refused: Mutex<HashMap<ModuleHash, Code>>,
    /// Modules that are not ready, and never will be.
    never_ready: Mutex<Vec<ModuleHash>>,
    /// Coroutines that coroutines may still make.
    pub room: AtomicUsize,
}

struct Seeded(Mutex<u64>);

/// Wall time at virtual moment zero: 2026-01-01.
pub const UNIX_BASE: u64 = 1_767_225_600_000_000_000;

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock();
        for byte in bytes {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (*state >> 56) as u8;
        }
    }
}

impl Observer for Remember {
    fn started(&self, address: Address) {
        self.started.lock().push(address);
    }
    fn progress(&self, done: u64, total: u64, text: String) {
        self.progress.lock().push((done, total, text));
    }
    fn log(&self, level: u8, text: String) {
        self.logs.lock().push((level, text));
    }
    fn output(&self) -> &Output {
        &self.output
    }
    fn output_ready(&self) {}
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Child(Arc::clone(&self.kin)))
    }
    fn ended(&self, record: &Arc<ExitRecord>) {
        self.exits.lock().push(ExitRecord::clone(record));
        self.order.lock().iter().for_each(|(order, name)| order.lock().push(name));
        self.changed.notify_all();
    }
}

impl Observer for Child {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, level: u8, text: String) {
        self.0.logs.lock().push((level, text));
    }
    fn output(&self) -> &Output {
        &self.0.output
    }
    fn output_ready(&self) {}
    fn ended(&self, record: &Arc<ExitRecord>) {
        self.0.exits.lock().push(ExitRecord::clone(record));
    }
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Child(Arc::clone(&self.0)))
    }
}

impl Spawn for Modules {
    fn program(&self, _: &Arc<Group>, hash: ModuleHash, function: &str) -> Pending<Result<Arc<Program>, Refusal>> {
        if let Some(code) = self.refused.lock().get(&hash) {
            let refusal = Refusal::new(*code, format!("module {hash} cannot be used"));
            return Box::pin(async { Err(refusal) });
        }
        if self.never_ready.lock().contains(&hash) {
            return Box::pin(std::future::pending());
        }
        let module = self.known.lock().get(&hash).cloned();
        let program = match module {
            None => Err(Refusal::new(Code::NeedModule, format!("module {hash} is not here"))),
            Some(module) => Program::new(hash, &module, &self.linker, function, None, limits::MEMORY_DEFAULT)
                .map(Arc::new)
                .map_err(|error| Refusal::new(Code::UnknownFunction, error.to_string())),
        };
        Box::pin(async { program })
    }

    fn admit(&self, _: &Group) -> Result<(), Refusal> {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        taken.map(drop).map_err(|_| Refusal::new(Code::Overloaded, "no more slots"))
    }

    fn give_back(&self, _: &Group) {
        self.room.fetch_add(1, Ordering::Relaxed);
    }
}

impl Modules {
    /// Programs of this module cannot be made.
    pub fn refuse(&self, module: ModuleHash, code: Code) {
        self.refused.lock().insert(module, code);
    }

    /// Whoever wants a program of this module waits for ever.
    pub fn never_ready(&self, module: ModuleHash) {
        self.never_ready.lock().push(module);
    }
}

impl Remember {
    /// Waits until so many have ended; panics after a minute.
    pub fn wait(&self, exits: usize) {
        let mut guard = self.exits.lock();
        while guard.len() < exits {
            let waited = self.changed.wait_for(&mut guard, Duration::from_secs(60));
            assert!(!waited.timed_out(), "{} of {exits} ended in a minute", guard.len());
        }
    }

    pub fn note_order(&self, order: &Order, name: &'static str) {
        *self.order.lock() = Some((Arc::clone(order), name));
    }

    pub fn outcome(&self) -> Outcome {
        self.exits.lock().last().expect("nothing has ended").outcome.clone()
    }
}

impl Bench {
    /// Driven by hand, on virtual time.
    pub fn manual() -> Bench {
        let engine = engine::build(Preemption::Fuel, 64).unwrap();
        let clock = Arc::new(VirtualClock::new(UNIX_BASE));
        let scheduler = Scheduler::manual(Arc::clone(&clock));
        Bench::new(engine, Preemption::Fuel, scheduler, (Some(clock), None), NodeId([1; 12]))
    }

    /// With two worker threads.
    pub fn threaded(slots: u32) -> Bench {
        Bench::of_node(slots, NodeId([1; 12]))
    }

    /// The same with an id.
    pub fn of_node(slots: u32, node: NodeId) -> Bench {
        let engine = engine::build(Preemption::Epoch, slots).unwrap();
        let weak = engine.weak();
        let tick = move || weak.upgrade().into_iter().for_each(|engine| engine.increment_epoch());
        let (scheduler, threads) = Scheduler::start(Arc::new(RealClock::new()), 2, tick).unwrap();
        Bench::new(engine, Preemption::Epoch, scheduler, (None, Some(threads)), node)
    }

    fn new(
        engine: wasmtime::Engine,
        preemption: Preemption,
        scheduler: Scheduler,
        (clock, threads): (Option<Arc<VirtualClock>>, Option<Threads>),
        node: NodeId,
    ) -> Bench {
        let linker = hostcalls::linker(&engine).unwrap();
        let random = Arc::new(Seeded(Mutex::new(1)));
        let runtime = Arc::new(Runtime::new(engine, preemption, scheduler, random, node, 1));
        let limits = Limits { coroutines: 1 << 20, memory: 1 << 40, held: 1 << 30, connections: 0 };
        let (ledger, share) = (Arc::new(Ledger::new(limits)), Arc::new(Share::new(0, 100)));
        let tenant = Arc::new(Tenant::new("me", Arc::clone(&ledger), share));
        let modules = Arc::new(Modules {
            engine: runtime.engine.clone(),
            linker: linker.clone(),
            known: Mutex::default(),
            refused: Mutex::default(),
            never_ready: Mutex::default(),
            room: AtomicUsize::new(1 << 20),
        });
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let tell = Arc::clone(&over);
        let tell = move || {
            *tell.0.lock() = true;
            tell.1.notify_all();
        };
        let group = Arc::new(Group::new(1, Arc::clone(&tenant), Arc::clone(&modules) as Arc<dyn Spawn>, tell));
        Bench { runtime, linker, clock, ledger, tenant, group, modules, over, _threads: threads }
    }

    /// Another computation, of this tenant or another one.
    pub fn computation(&self, tenant: &Arc<Tenant>) -> Arc<Group> {
        Arc::new(Group::new(2, Arc::clone(tenant), Arc::clone(&self.modules) as Arc<dyn Spawn>, || {}))
    }

    /// A tenant beside the first.
    pub fn other_tenant(&self) -> Arc<Tenant> {
        let limits = Limits { coroutines: 1 << 20, memory: 1 << 40, held: 1 << 30, connections: 0 };
        Arc::new(Tenant::new("other", Arc::new(Ledger::new(limits)), Arc::new(Share::new(1, 100))))
    }

    /// Ends the computation: what was kept of it goes.
    pub fn close(&self) {
        self.runtime.close(&self.group);
        let mut over = self.over.0.lock();
        while !*over {
            let waited = self.over.1.wait_for(&mut over, Duration::from_secs(60));
            assert!(!waited.timed_out(), "the computation did not end: {:?}", self.group.population());
        }
    }

    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// Runs a function of a module in this bench's computation, and gives what holds it.
    pub fn start(&self, program: &Arc<Program>) -> (Arc<Control>, Arc<Remember>) {
        let observer = Arc::new(Remember::default());
        (self.runtime.launch(self.launch(program, &observer)).unwrap(), observer)
    }

    /// The name of a module that coroutines of this bench may make others of.
    pub fn ship(&self, wat: &str) -> ModuleHash {
        let wasm = wat::parse_str(wat).unwrap();
        let hash = ModuleHash::of(&wasm);
        let module = || Module::from_binary(&self.modules.engine, &wasm).unwrap();
        self.modules.known.lock().entry(hash).or_insert_with(module);
        hash
    }

    pub fn program(&self, wat: &str, export: &str) -> Arc<Program> {
        let hash = self.ship(wat);
        let module = self.modules.known.lock()[&hash].clone();
        Arc::new(Program::new(hash, &module, &self.linker, export, None, limits::MEMORY_DEFAULT).unwrap())
    }

    pub fn launch(&self, program: &Arc<Program>, observer: &Arc<Remember>) -> Launch {
        Launch {
            program: Arc::clone(program),
            args: bytes::Bytes::from_static(&[0x80]),
            wasi: Default::default(),
            input: None,
            memory: limits::MEMORY_DEFAULT,
            deadline: Duration::from_secs(3600),
            cpu: None,
            attempt: 1,
            group: Arc::clone(&self.group),
            tree: None,
            daemon: false,
            held: None,
            observer: Arc::clone(observer) as Arc<dyn Observer>,
        }
    }

    /// Runs one coroutine on virtual time until nothing is left to do before `until`.
    pub fn run(&self, wat: &str, export: &str, until: Duration) -> Arc<Remember> {
        let observer = Arc::new(Remember::default());
        let program = self.program(wat, export);
        self.runtime.launch(self.launch(&program, &observer)).unwrap();
        self.advance(until);
        observer
    }

    pub fn advance(&self, until: Duration) {
        let clock = self.clock.as_ref().expect("only on virtual time");
        self.runtime.scheduler.run_until_idle(clock, until.as_nanos() as u64);
    }
}

/// Runs an ignored test of this binary in a process of its own.
pub fn alone(test: &str) {
    let this = std::env::current_exe().unwrap();
    let output = std::process::Command::new(this).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test}: {text}");
}

/// Bytes of this process in memory.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
