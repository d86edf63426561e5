//! A store in which nothing ever runs: wasmtime lists a linker's functions only through a store.

use super::control::Birth;
use super::coroutine::Limiter;
use super::engine::Preemption;
use super::ports::{Observer, Pending, Random, Spawn};
use super::stdio::Output;
use super::{Control, Coroutine, Group, Program, Refusal, Runtime, Scheduler, Tenant, VirtualClock};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits, Permit, Resource};
use corovan_core::wire::ExitRecord;
use std::sync::Arc;
use wasmtime::{Engine, Linker, Module, Store};

/// Follows a coroutine of which nobody wants to hear.
#[derive(Default)]
pub struct Nobody(Output);

struct Nothing;

/// `(module (func (export "f")))`
const SMALLEST: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x04\x01\x02\0\x0b";

impl Random for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Spawn for Nothing {
    fn program(&self, _: &Arc<Group>, _: ModuleHash, _: &str) -> Pending<Result<Arc<Program>, Refusal>> {
        Box::pin(async { Err(Refusal::new(Code::Unsupported, "nothing runs here")) })
    }
    fn admit(&self, _: &Group) -> Result<(), Refusal> {
        Err(Refusal::new(Code::Unsupported, "nothing runs here"))
    }
    fn give_back(&self, _: &Group) {}
}

impl Observer for Nobody {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.0
    }
    fn output_ready(&self) {}
    fn ended(&self, _: &Arc<ExitRecord>) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Nobody::default())
    }
    fn set_daemon(&self, _: bool) {}
}

/// A program that does nothing, under a name.
pub(super) fn program(engine: &Engine, name: &str) -> wasmtime::Result<Program> {
    let module = Module::from_binary(engine, SMALLEST)?;
    Program::new(ModuleHash([0; 32]), &module, &Linker::new(engine), "f", Some(name.to_owned()), 0)
}

/// The store.
pub fn blank_store(engine: &Engine) -> wasmtime::Result<Store<Coroutine>> {
    let program = program(engine, "f")?;
    let scheduler = Scheduler::manual(Arc::new(VirtualClock::new(0)));
    let runtime = Runtime::new(engine.clone(), Preemption::Epoch, scheduler, Arc::new(Nothing), NodeId::default(), 0);
    let ledger = Arc::new(Ledger::new(Limits { coroutines: 0, memory: 0, held: 0, connections: 0 }));
    let limiter = Limiter { limit: 0, permit: Permit::nothing(&ledger, Resource::Memory), refused: false };
    let tenant = Arc::new(Tenant::new("", ledger, Arc::new(Share::new(0, 1))));
    let control = Arc::new(Control::new(Birth {
        address: Address::default(),
        group: Arc::new(Group::new(0, tenant, Arc::new(Nothing), || {})),
        tree: Arc::default(),
        daemon: false,
        program: Arc::new(program),
        input: None,
        made: 0,
    }));
    let coroutine = Coroutine::new(control, Arc::new(runtime), Arc::new(Nobody::default()), limiter);
    Ok(Store::new(engine, coroutine))
}

/// A runtime by hand, and so many coroutines of one computation that can be sent to and never run.
#[cfg(test)]
pub(super) fn blank_controls(count: usize) -> (Arc<Runtime>, Vec<Arc<Control>>) {
    use super::registry::Resident;
    let engine = super::engine::build(Preemption::Fuel, super::engine::MIN_SLOTS).expect("an engine");
    let program = Arc::new(program(&engine, "f").expect("a program"));
    let scheduler = Scheduler::manual(Arc::new(VirtualClock::new(0)));
    let runtime = Runtime::new(engine, Preemption::Fuel, scheduler, Arc::new(Nothing), NodeId::default(), 0);
    let ledger = Arc::new(Ledger::new(Limits { coroutines: 100, memory: 0, held: 1 << 30, connections: 0 }));
    let tenant = Arc::new(Tenant::new("", ledger, Arc::new(Share::new(0, 1))));
    let group = Arc::new(Group::new(0, tenant, Arc::new(Nothing), || {}));
    let controls = (0..count).map(|_| {
        let address = Address { counter: runtime.registry.next(), ..Address::default() };
        let control = Arc::new(Control::new(Birth {
            address,
            group: Arc::clone(&group),
            tree: Arc::default(),
            daemon: false,
            program: Arc::clone(&program),
            input: None,
            made: 0,
        }));
        runtime.registry.insert(address.counter, Resident::Coroutine(Arc::clone(&control)));
        control
    });
    let controls = controls.collect();
    (Arc::new(runtime), controls)
}
