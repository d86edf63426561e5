//! A store in which nothing ever runs: wasmtime lists a linker's functions only through a store.

use super::coroutine::Limiter;
use super::engine::Preemption;
use super::ports::{Observer, Random};
use super::stdio::Output;
use super::{Control, Coroutine, Runtime, Scheduler, VirtualClock};
use corovan_core::ids::{Address, NodeId};
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits, Permit, Resource};
use corovan_core::wire::ExitRecord;
use std::sync::Arc;
use wasmtime::{Engine, Store};

struct Nobody(Output);
struct Zero;

impl Random for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl Observer for Nobody {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.0
    }
    fn output_ready(&self) {}
    fn ended(&self, _: ExitRecord) {}
}

/// The store.
pub fn blank_store(engine: &Engine) -> Store<Coroutine> {
    let scheduler = Scheduler::manual(Arc::new(VirtualClock::new(0)));
    let runtime = Runtime::new(engine.clone(), Preemption::Epoch, scheduler, Arc::new(Zero), NodeId::default(), 0);
    let control = Arc::new(Control::new(Address::default(), Arc::new(Share::new(0, 1)), None));
    let ledger = Arc::new(Ledger::new(Limits { coroutines: 0, memory: 0, held: 0, connections: 0 }));
    let limiter = Limiter { limit: 0, permit: Permit::nothing(&ledger, Resource::Memory), refused: false };
    Store::new(engine, Coroutine::new(control, Arc::new(runtime), Arc::new(Nobody(Output::default())), limiter))
}
