//! From a program to an exit record: a store, an instance, a call, everything given back. A hot swap puts a second
//! instance in the place of the first.

use super::abroad::Abroad;
use super::clock::Clock;
use super::control::{Birth, Control, Stop};
use super::coroutine::{Coroutine, Limiter, WasiProgram};
use super::engine::Preemption;
use super::exit::{self, ExitGuard};
use super::group::Group;
use super::native::NativeProgram;
use super::peers::Peers;
use super::ports::{Mesh, Names, Observer, Random};
use super::refusal::Refusal;
use super::registry::{Registry, Resident};
use super::scheduler::Scheduler;
use super::stdio::Input;
use super::swap::SwapPoint;
use super::tree::Tree;
use super::turn::{Guarded, Turn, arm_preemption};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::text::cut;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use wasmtime::{Engine, Instance, InstancePre, Linker, ModuleExport, Store, TypedFunc};
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
    pub registry: Registry,
    /// Other nodes, once this one has joined some.
    pub mesh: OnceLock<Arc<dyn Mesh>>,
    pub names: OnceLock<Arc<dyn Names>>,
    pub(super) abroad: Abroad,
    pub(super) peers: Peers,
    pub(super) native: NativeProgram,
}

/// A module ready to be instantiated, with the function to call. One for each spec; shared by its coroutines.
pub struct Program {
    pub module: ModuleHash,
    /// As exit records name it.
    pub function: Arc<str>,
    /// Bytes of memory it is given when nothing else is asked for.
    pub memory_wanted: u64,
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
    /// CPU time of its tree, where it begins one.
    pub cpu: Option<Duration>,
    pub attempt: u32,
    pub group: Arc<Group>,
    /// That of the first coroutine of its job; `None` for that one itself, which begins it.
    pub tree: Option<Arc<Tree>>,
    pub daemon: bool,
    /// What its arguments are charged.
    pub held: Option<Permit>,
    pub observer: Arc<dyn Observer>,
}

/// One instance with its store.
struct Instantiated {
    store: Store<Coroutine>,
    function: TypedFunc<(), ()>,
}

/// What is the same for every instance of one coroutine.
struct Frame {
    guard: ExitGuard,
    wasi: WasiProgram,
    memory: u64,
    /// Nanoseconds that it may take; the clock when these are over, once it runs.
    deadline: u64,
}

impl Program {
    /// Resolves the imports once. `function`: an export, or with `command` the name `_start` runs.
    pub fn new(
        hash: ModuleHash,
        module: &wasmtime::Module,
        linker: &Linker<Coroutine>,
        export: &str,
        entry: Option<String>,
        memory_wanted: u64,
    ) -> wasmtime::Result<Program> {
        let missing = || wasmtime::format_err!("the module does not export {export:?}");
        let command = export == "_start";
        Ok(Program {
            module: hash,
            memory_wanted,
            function: entry.clone().unwrap_or_else(|| export.to_owned()).into(),
            instance: linker.instantiate_pre(module)?,
            call: module.get_export_index(export).ok_or_else(missing)?,
            initialize: if command { None } else { module.get_export_index("_initialize") },
            memory: module.get_export_index("memory"),
            command,
            entry,
        })
    }

    /// Returning from it is exit code 0.
    pub fn is_command(&self) -> bool {
        self.command
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} of {})", self.function, self.module)
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
        Runtime {
            engine,
            preemption,
            scheduler,
            random,
            node,
            incarnation,
            registry: Registry::new(),
            mesh: OnceLock::new(),
            names: OnceLock::new(),
            abroad: Abroad::default(),
            peers: Peers::default(),
            native: NativeProgram::new(),
        }
    }

    /// Makes a coroutine and queues it. Its observer learns of its end, exactly once, whatever happens.
    pub fn launch(self: &Arc<Self>, launch: Launch) -> Result<Arc<Control>, Refusal> {
        let Launch { program, args, wasi, input, memory: limit, deadline, group, daemon, held: args_held, .. } = launch;
        let ledger = &group.tenant.ledger;
        let held = ledger.take(Resource::Coroutines, 1)?;
        let memory = Permit::nothing(ledger, Resource::Memory);
        if !group.enter(daemon) {
            return Err(Refusal::new(
                Code::ShuttingDown,
                "its computation is being ended and makes no more coroutines",
            ));
        }
        let tree = launch.tree.unwrap_or_else(|| Arc::new(Tree::new(launch.cpu)));
        tree.grow();
        let address = self.new_address();
        let control = Arc::new(Control::new(Birth {
            address,
            group,
            tree,
            daemon,
            program: Arc::clone(&program),
            input,
            made: self.scheduler.about(),
        }));
        self.registry.insert(address.counter, Resident::Coroutine(Arc::clone(&control)));
        self.join_tree(&control);
        let guard = ExitGuard {
            observer: launch.observer,
            control: Arc::clone(&control),
            attempt: launch.attempt,
            runtime: Arc::clone(self),
            held: Some(held),
        };
        let limiter = Limiter { limit, permit: memory, refused: false };
        let frame = Frame { guard, wasi, memory: limit, deadline: nanos(deadline) };
        self.scheduler.spawn(Arc::clone(&control), || run(frame, program, args, args_held, limiter));
        Ok(control)
    }

    /// Interrupts, and after the grace period stops hard.
    pub fn terminate(&self, control: &Arc<Control>, by: &str, reason: &str, grace: Duration) {
        let at = self.after(grace);
        let arm = control.terminate(by, reason, at);
        if grace.is_zero() {
            control.stop(Stop::Terminated);
        } else if arm {
            self.scheduler.stop_at(at, control, Stop::Terminated).leave();
        }
    }

    /// No more jobs come: the computation ends with its last working coroutine, and its daemons with it.
    pub fn close(self: &Arc<Self>, group: &Arc<Group>) {
        self.follow_up(group, group.close(false));
    }

    /// Ends a computation: nothing more is made in it, and what is there is terminated.
    pub fn end(self: &Arc<Self>, group: &Arc<Group>, by: &str, reason: &str, grace: Duration) {
        let then = group.close(true);
        for control in self.registry.coroutines(|control| Arc::ptr_eq(&control.group, group)) {
            self.terminate(&control, by, reason, grace);
        }
        self.follow_up(group, then);
    }

    /// The clock value so long from now.
    pub(super) fn after(&self, time: Duration) -> u64 {
        self.clock().now().saturating_add(nanos(time))
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

/// The life of one coroutine. Not an `async fn`, which would hold its arguments twice: above 2 KiB a task costs an
/// allocation and a copy more.
#[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
fn run(
    mut frame: Frame,
    mut program: Arc<Program>,
    args: Bytes,
    mut args_held: Option<Permit>,
    limiter: Limiter,
) -> impl Future<Output = ()> + Send {
    async move {
        let limit = frame.deadline;
        let scheduler = &frame.guard.runtime.scheduler;
        frame.deadline = scheduler.about().saturating_add(limit);
        let deadline_timer = scheduler.stop_at(frame.deadline, &frame.guard.control, Stop::Deadline(limit));
        let mut store = match frame.store(limiter, args, program.entry.clone()) {
            Ok(store) => store,
            Err(error) => return frame.guard.finish(exit::ended(Err(error), None, &program, None), 0),
        };
        frame.guard.observer.started(frame.guard.control.address);
        let mut function = None;
        let outcome = loop {
            let life = {
                let first = function.is_none();
                let guest = std::pin::pin!(call(&mut store, &program, function.take()));
                live(&frame, guest, first).await
            };
            match life {
                Life::Stopped(stop) => break Err(stop),
                Life::Ended(outcome) => break Ok(outcome),
                Life::Swapped(mut next, point) => {
                    std::mem::swap(&mut store.data_mut().own, &mut next.store.data_mut().own);
                    store = next.store;
                    store.data_mut().is_successor = false;
                    args_held = point.held;
                    program = Arc::clone(&point.swap.program);
                    function = Some(next.function);
                    frame.guard.control.set_program(Arc::clone(&program));
                    frame.guard.control.ties.lock().swap = None;
                    point.swap.end(Ok(()));
                }
            }
        };
        let (result, refused, peak) = {
            let data = store.data_mut();
            (data.own.result.take().map(|(value, _)| value), data.limiter.refused, data.limiter.permit.amount())
        };
        drop((store, args_held, deadline_timer));
        let outcome = match outcome {
            Err(stop) => exit::stopped(stop, result),
            Ok(outcome) => exit::ended(outcome, result, &program, refused.then_some(frame.memory)),
        };
        frame.guard.finish(outcome, peak);
    }
}

/// How an instance's time ends.
enum Life {
    Stopped(Stop),
    Ended(wasmtime::Result<()>),
    Swapped(Box<Instantiated>, SwapPoint),
}

/// Polls the guest until it has ended, is stopped, or another instance takes its place.
async fn live<F>(frame: &Frame, mut guest: Pin<&mut F>, first: bool) -> Life
where
    F: Future<Output = wasmtime::Result<()>>,
{
    let mut first = first;
    loop {
        match (Guarded { control: &frame.guard.control, guest: guest.as_mut(), first }).await {
            Turn::Stopped(stop) => return Life::Stopped(stop),
            Turn::Ended(outcome) => return Life::Ended(outcome),
            Turn::SwapPoint(point) => match Box::pin(frame.successor(&point)).await {
                Ok(next) => return Life::Swapped(Box::new(next), point),
                Err(why) => {
                    // The host call that the guest waits in finds this at the next poll.
                    let mut ties = frame.guard.control.ties.lock();
                    ties.swap = None;
                    ties.swap_failed = Some(why.clone());
                    drop(ties);
                    point.swap.end(Err(why));
                }
            },
        }
        first = false;
    }
}

/// Instantiates if that has not been done, and calls; runs on the coroutine's fiber.
async fn call(
    store: &mut Store<Coroutine>,
    program: &Program,
    function: Option<TypedFunc<(), ()>>,
) -> wasmtime::Result<()> {
    let function = match function {
        Some(function) => function,
        None => {
            let now = store.data().runtime.scheduler.about();
            store.data_mut().start_deadline = now.saturating_add(nanos(limits::START_TIME));
            instantiate(store, program).await?
        }
    };
    store.data_mut().start_deadline = u64::MAX;
    function.call_async(store, ()).await
}

async fn instantiate(store: &mut Store<Coroutine>, program: &Program) -> wasmtime::Result<TypedFunc<(), ()>> {
    let instance = program.instance.instantiate_async(&mut *store).await?;
    store.data_mut().memory = program
        .memory
        .as_ref()
        .and_then(|export| instance.get_module_export(&mut *store, export))
        .and_then(wasmtime::Extern::into_memory);
    if let Some(initialize) = &program.initialize {
        entry_point(&instance, store, initialize)?.call_async(&mut *store, ()).await?;
    }
    entry_point(&instance, store, &program.call)
}

impl Frame {
    fn store(&self, limiter: Limiter, args: Bytes, entry: Option<String>) -> wasmtime::Result<Store<Coroutine>> {
        let ExitGuard { control, runtime, observer, .. } = &self.guard;
        let mut coroutine = Coroutine::new(Arc::clone(control), Arc::clone(runtime), Arc::clone(observer), limiter);
        coroutine.args = args;
        coroutine.entry = entry;
        coroutine.program.clone_from(&self.wasi);
        coroutine.deadline = self.deadline;
        coroutine.memory_limit = self.memory;
        let mut store = Store::new(&runtime.engine, coroutine);
        store.limiter(|coroutine| &mut coroutine.limiter);
        store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
        arm_preemption(&mut store, runtime.preemption)?;
        Ok(store)
    }

    /// The instance that takes over: built and initialised while the old one waits.
    async fn successor(&self, point: &SwapPoint) -> Result<Instantiated, Refusal> {
        let failed = |why: String| Refusal::new(Code::SwapFailed, cut(why, limits::TEXT_BYTES));
        let (program, ExitGuard { control, runtime, .. }) = (&point.swap.program, &self.guard);
        let permit = Permit::nothing(&control.group.tenant.ledger, Resource::Memory);
        let limiter = Limiter { limit: self.memory, permit, refused: false };
        let mut args = Vec::with_capacity(point.state.len() + 1);
        // A CBOR array of one.
        args.push(0x81);
        args.extend_from_slice(&point.state);
        let store = self.store(limiter, args.into(), program.entry.clone());
        let mut store = store.map_err(|error| failed(format!("{error:#}")))?;
        store.data_mut().is_successor = true;
        let until = runtime.clock().now().saturating_add(nanos(limits::START_TIME));
        let built = {
            let mut sleep = std::pin::pin!(runtime.scheduler.sleep_until(until));
            let mut start = std::pin::pin!(instantiate(&mut store, program));
            std::future::poll_fn(|cx| {
                if control.is_stopping() || sleep.as_mut().poll(cx).is_ready() {
                    let why = format!("it did not start within {:?}, or the coroutine was stopped", limits::START_TIME);
                    return Poll::Ready(Err(failed(why)));
                }
                start.as_mut().poll(cx).map_err(|error| failed(format!("it did not start: {error:#}")))
            })
            .await
        };
        Ok(Instantiated { function: built?, store })
    }
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

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
