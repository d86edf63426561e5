//! The composition root: builds a node out of its parts, and takes it down in order.

use crate::api::{self, Service};
use crate::config::Config;
use crate::dispatch::{Dispatch, Tenants};
use crate::hostcalls;
use crate::modules::{self, KnownImports, Modules, Signature};
use crate::net::{Connection, Endpoint, endpoint};
use crate::runtime::engine::{self, Preemption, Slots};
use crate::runtime::ports::Random;
use crate::runtime::scheduler::Threads;
use crate::runtime::{Clock, Runtime, Scheduler};
use crate::state::{self, State};
use crate::tasks::{TaskKind, Tasks};
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Engine;

/// A running node. Dropping it without [`Node::shut_down`] ends it hard.
pub struct Node {
    address: SocketAddr,
    service: Arc<Service>,
    endpoint: Endpoint,
    grace: Duration,
    slots: Slots,
    _state: State,
    // Last, so that workers run until all else is gone.
    _threads: Threads,
}

/// The operating system's randomness, through a generator of this thread that is reseeded from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    State(#[from] state::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Modules(#[from] modules::Error),
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    #[error("the node's threads cannot be started: {0}")]
    Threads(std::io::Error),
    #[error("the host interface cannot be built: {0:#}")]
    Linker(wasmtime::Error),
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

impl Node {
    /// Starts all parts; the node takes work when this returns. Must be called in a tokio runtime.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Node, Error> {
        let id = config.credentials.identity.principal().node_id();
        let state = State::open(&config.data, clock.unix() / 1_000_000_000)?;
        let mut slots = Slots::of_this_machine()?;
        if let Some(asked) = config.slots.filter(|asked| *asked < slots.count) {
            slots = Slots { count: asked.max(engine::MIN_SLOTS), why: "--slots".into() };
        }
        let engine = engine::build(Preemption::Epoch, slots.count + limits::RESERVED_SLOTS)?;
        let linker = hostcalls::linker(&engine).map_err(Error::Linker)?;
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let store = modules::Config {
            dir: config.data.clone(),
            store_bytes: limits::STORE_BYTES,
            compiles: config.workers.max(1),
            secret,
        };
        let known = known_imports(&engine, &linker).map_err(Error::Linker)?;
        let modules = Modules::open(store, engine.clone(), known)?;
        let endpoint = Endpoint::bind(config.listen, &config.credentials)?;
        let address = endpoint.local_address().map_err(Error::Threads)?;

        let weak = engine.weak();
        let tick = move || weak.upgrade().into_iter().for_each(|engine| engine.increment_epoch());
        let (scheduler, threads) = Scheduler::start(clock, config.workers, tick).map_err(Error::Threads)?;
        let runtime = Runtime::new(engine, Preemption::Epoch, scheduler, random, id, state.incarnation);
        let tenant_slots = slots.count as usize;
        let all_slots = tenant_slots + limits::RESERVED_SLOTS as usize;
        let dispatch = Dispatch::new(Arc::new(runtime), modules, linker, (all_slots, tenant_slots));
        let service = Service::new(dispatch, Tenants::default(), Tasks::here(), id, config.name);
        let service = Arc::new(service);
        service.tasks.spawn(TaskKind::Accept, "accept", accept(endpoint.clone(), Arc::clone(&service)));
        Ok(Node { address, service, endpoint, grace: config.grace, slots, _state: state, _threads: threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> NodeId {
        self.service.node
    }

    /// How many coroutines fit, and why.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Takes no new work, interrupts what runs, terminates it after the grace period, tells all clients, and stops.
    pub async fn shut_down(self) {
        self.service.shut_down(self.grace).await;
        self.endpoint.close("the node has shut down").await;
        let _ = tokio::time::timeout(limits::CONNECT_TIME, self.service.tasks.finished()).await;
    }
}

async fn accept(endpoint: Endpoint, service: Arc<Service>) -> Result<(), endpoint::Error> {
    while let Some(incoming) = endpoint.accept().await {
        let (endpoint, serving) = (endpoint.clone(), Arc::clone(&service));
        service.tasks.spawn(TaskKind::Connection, "connection", async move {
            let connection = endpoint.establish(incoming).await?;
            if connection.principal.role() == Role::Node {
                let why = format!("{} is a node, and this node has joined no mesh", connection.principal);
                tracing::info!(remote = %connection.quic.remote_address(), "refused: {why}");
                Connection::refuse(&connection.quic, &why);
                return Ok(());
            }
            // How a connection ended is told by the service itself.
            let _ = api::serve(serving, connection).await;
            Ok::<(), endpoint::Error>(())
        });
    }
    Ok(())
}

/// What guests may import, as the linker has it.
pub fn known_imports(engine: &Engine, linker: &hostcalls::Linker) -> wasmtime::Result<KnownImports> {
    let list = hostcalls::imports(engine, linker)?;
    Ok(KnownImports::new(list.into_iter().map(|(module, name, ty)| (module, name, Signature::of(&ty))).collect()))
}
