//! The composition root: builds a node out of its parts, and takes it down in order.

mod joins;
mod mesh;
mod offering;

use crate::api::{self, Nodes, Service};
use crate::cluster::link::Links;
use crate::cluster::mesh::Handle;
use crate::cluster::roster::Roster;
use crate::cluster::{discovery, seeds};
use crate::config::{Config, Enrolment, Live};
use crate::dispatch::guests::Guests;
use crate::dispatch::offers::Offers;
use crate::dispatch::{Dispatch, Tenants};
use crate::enrol::{self, Door, Issuer, LocalIssuer, Renewal, Source};
use crate::home::{self, Home};
use crate::hostcalls;
use crate::http;
use crate::modules::{self, KnownImports, Modules, Signature};
use crate::net::{Arrival, Connection, Endpoint, endpoint};
use crate::runtime::engine::{self, Preemption, Slots};
use crate::runtime::ports::Random;
use crate::runtime::scheduler::Threads;
use crate::runtime::{Clock, Runtime, Scheduler};
use crate::state::{self, State};
use crate::tasks::{TaskKind, Tasks};
use crate::tenancy::chain;
use crate::tenancy::grant::Verifier;
use corovan_client::Credentials;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use joins::{Forwards, Issues};
use mesh::{Believes, Mesh, Parts};
use offering::Offering;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;

/// A running node. Dropping it without [`Node::shut_down`] ends it hard.
pub struct Node {
    address: SocketAddr,
    service: Arc<Service>,
    endpoint: Endpoint,
    grace: Duration,
    slots: Slots,
    mesh: Option<Mesh>,
    /// Where it tells metrics and status, and what ends that.
    http: Option<(SocketAddr, CancellationToken)>,
    /// Of a node in a mesh.
    offering: Option<offering::Handle>,
    /// Dropped, it ends renewal.
    renewing: oneshot::Sender<()>,
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
    #[error(transparent)]
    Enrolment(#[from] enrol::Error),
    #[error(transparent)]
    Mesh(#[from] crate::cluster::mesh::Error),
    #[error("--peer: {0}")]
    Seeds(#[from] seeds::Error),
    #[error(transparent)]
    Discovery(#[from] discovery::Error),
    #[error("the issuing CA is not of the cluster of {0}: {1}")]
    OtherIssuer(Principal, String),
    #[error("the node's threads cannot be started: {0}")]
    Threads(std::io::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("the host interface cannot be built: {0:#}")]
    Linker(wasmtime::Error),
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// The file of durable jobs in the data directory.
const DURABLE: &str = "jobs.redb";

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
            store_bytes: config.offer.disk.unwrap_or(limits::STORE_BYTES),
            compiles: config.workers.max(1),
            secret,
        };
        let known = known_imports(&engine, &linker).map_err(Error::Linker)?;
        let modules = Modules::open(store, engine.clone(), known)?;
        let (issuer, forwards) = (issuer(&config, &clock)?, Forwards::default());
        let hands_on = config.mesh.as_ref().is_some_and(|mesh| mesh.forwards_joins);
        let behind = issuer.clone().or_else(|| hands_on.then(|| Arc::new(forwards.clone()) as Arc<dyn Issuer>));
        let door = behind.map(|issuer| Arc::new(Door::new(issuer, Arc::clone(&clock))));
        let endpoint = Endpoint::bind(config.listen, &config.credentials, door.is_some())?;
        let address = endpoint.local_address().map_err(Error::Threads)?;
        let grants = Arc::new(Verifier::new(
            config.credentials.identity.principal().cluster(),
            config.credentials.roots.clone(),
        ));
        let cluster = config.credentials.identity.principal().cluster().to_owned();
        let renewal = renewal(&endpoint, config.credentials, config.enrolment, &clock);

        let weak = engine.weak();
        let tick = move || weak.upgrade().into_iter().for_each(|engine| engine.increment_epoch());
        let scheduler = Scheduler::start(Arc::clone(&clock), config.workers, tick);
        let (scheduler, threads) = scheduler.map_err(Error::Threads)?;
        let numbers = Arc::clone(&random);
        let runtime = Arc::new(Runtime::new(engine, Preemption::Epoch, scheduler, numbers, id, state.incarnation));
        let tenant_slots = slots.count as usize;
        let all_slots = tenant_slots + limits::RESERVED_SLOTS as usize;
        let dispatch = Dispatch::new(Arc::clone(&runtime), modules, linker, (all_slots, tenant_slots));
        let (tasks, tenants) = (Tasks::here(), Arc::<Tenants>::default());
        let home = Home::new(home::Parts {
            dispatch: dispatch.clone(),
            tenants: Arc::clone(&tenants),
            tasks: tasks.clone(),
            grants: Arc::clone(&grants),
            node: id,
            node_name: config.name.clone(),
            cluster: cluster.clone(),
            incarnation: state.incarnation,
            path: config.data.join(DURABLE),
        });
        let me = (id, config.name.clone());
        let service = Service::new((dispatch, home), tenants, tasks, me, Arc::clone(&grants));
        let service = Arc::new(service);
        let issues = issuer.is_some();
        let draining = offering::is_draining(&config.offer, clock.unix());
        let said = (config.mesh.as_ref(), &config.offer, slots.count);
        let me = mesh::myself(&runtime, &config.name, address, config.workers, said, (issues, draining));
        let roster = Arc::new(Roster::new(me.clone(), Arc::clone(&clock)));
        // Of this node alone, and before a mesh can tell of others: the older list is not to come after the newer.
        runtime.peers_changed(roster.peers());
        let guests = Guests::new(service.dispatch.clone());
        let slots_of_jobs = u32::try_from(tenant_slots).unwrap_or(u32::MAX);
        let offers = Arc::new(Offers::new(service.dispatch.placing().clone(), &me, &cluster, slots_of_jobs));
        let placing = service.dispatch.placing().clone();
        service.tasks.spawn(TaskKind::Stream, "placing", async move {
            placing.run().await;
            Ok::<(), std::convert::Infallible>(())
        });
        let live = config.mesh.as_ref().map(|mesh| {
            let (labels, peers) = (mesh.labels.clone(), mesh.peers.clone());
            Live { labels, peers, offer: config.offer.clone() }
        });
        let (about, hosts) = (me.about.clone(), Arc::new(guests.clone()));
        let own = Arc::clone(&offers);
        let mesh = config.mesh.map(|mesh| {
            Mesh::start(Parts {
                config: mesh,
                me,
                roster: Arc::clone(&roster),
                offers,
                cluster,
                endpoint: &endpoint,
                address,
                runtime: &runtime,
                clock: &clock,
                random: &random,
                tasks: &service.tasks,
                grants: Arc::new(Believes::new(&service, &clock)),
                hosts,
                joins: issuer.map(|issuer| Arc::new(Issues::new(issuer, &clock, &service.tasks)) as _),
                forwards,
            })
        });
        let mesh = mesh.transpose()?;
        let (drain, drained) = watch::channel(false);
        let offering = mesh.as_ref().zip(live).map(|(mesh, live)| {
            let modules = service.dispatch.modules().clone();
            let about = about.as_deref().cloned().unwrap_or_default();
            let (hosted, seeds) = (mesh.hosted.clone(), mesh.seeds.clone());
            let parts = offering::Parts { mesh: mesh.handle.clone(), guests, hosted, modules, seeds, drained };
            let machine = (config.workers, slots.count);
            let (offering, handle) = Offering::new(parts, about, live, machine, Arc::clone(&clock));
            service.tasks.spawn(TaskKind::Stream, "offering", async move {
                offering.run().await;
                Ok::<(), std::convert::Infallible>(())
            });
            handle
        });
        let seeds = mesh.as_ref().map(|mesh| mesh.seeds.clone());
        // A service is given this once, by its node.
        let dispatch = service.dispatch.clone();
        let drain = Box::new(move |drained| {
            dispatch.drain(drained);
            own.drain(drained);
            drain.send_replace(drained);
        });
        let http = match config.http {
            Some(address) => Some(tell(&service, address, &roster).await?),
            None => None,
        };
        let _ = service.nodes.set(Nodes { roster, seeds, drain });
        let links = mesh.as_ref().map(|mesh| mesh.links.clone());
        keep_on(&service).await;
        let accepting = accept(endpoint.clone(), Arc::clone(&service), door, links);
        service.tasks.spawn(TaskKind::Accept, "accept", accepting);
        let (renewing, stop) = oneshot::channel();
        service.tasks.spawn(TaskKind::Stream, "renewal", async move {
            renewal.run(stop).await;
            Ok::<(), std::convert::Infallible>(())
        });
        let grace = config.grace;
        Ok(Node {
            address,
            service,
            endpoint,
            grace,
            slots,
            mesh,
            http,
            offering,
            renewing,
            _state: state,
            _threads: threads,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> NodeId {
        self.service.node
    }

    /// Where it tells metrics and status, if it does.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(address, _)| *address)
    }

    /// How many coroutines fit, and why.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Its members and names, if it takes part in a mesh.
    pub fn mesh(&self) -> Option<&Handle> {
        self.mesh.as_ref().map(|mesh| &mesh.handle)
    }

    /// Changes what may change while it runs; a node that is in no mesh offers nothing.
    pub fn change(&self, live: Live) {
        self.offering.iter().for_each(|offering| offering.change(live.clone()));
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Takes no new work, interrupts what runs, terminates it after the grace period, tells all clients, and stops.
    pub async fn shut_down(self) {
        drop((self.renewing, self.offering));
        // Until here it says that the node is shutting down, which whoever balances load wants to hear.
        let http = self.http;
        let hosted = self.mesh.as_ref().map(|mesh| mesh.hosted.clone()).unwrap_or_default();
        let guests_ended = hosted.end("the node is shutting down", self.grace + limits::TERMINATE_GRACE);
        tokio::join!(self.service.shut_down(self.grace), guests_ended);
        if let Some(mesh) = self.mesh {
            mesh.leave().await;
        }
        http.into_iter().for_each(|(_, stop)| stop.cancel());
        self.endpoint.close("the node has shut down").await;
        let _ = tokio::time::timeout(limits::CONNECT_TIME, self.service.tasks.finished()).await;
    }
}

/// Metrics and status over HTTP.
async fn tell(
    service: &Arc<Service>,
    address: SocketAddr,
    roster: &Arc<Roster>,
) -> Result<(SocketAddr, CancellationToken), Error> {
    let server = http::Server::bind(address).await?;
    let (address, stop) = (server.address, CancellationToken::new());
    let of = Arc::clone(service);
    let parts = http::Parts {
        node: service.node,
        name: service.node_name.clone(),
        tasks: service.tasks.clone(),
        dispatch: service.dispatch.clone(),
        home: service.home.clone(),
        roster: Arc::clone(roster),
        jobs: Box::new(move |most| of.open_jobs(most)),
    };
    service.tasks.spawn(TaskKind::Stream, "http", server.run(parts, stop.clone()));
    Ok((address, stop))
}

/// Goes on with the durable jobs that are on disk.
async fn keep_on(service: &Arc<Service>) {
    let home = service.home.clone();
    home.open().await;
    let all = async move {
        tokio::join!(home.clone().resume(), home.clone().run(), home.sweep());
        Ok::<(), std::convert::Infallible>(())
    };
    service.tasks.spawn(TaskKind::Stream, "durable jobs", all);
}

/// What grants certificates, if this node issues them.
fn issuer(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<dyn Issuer>>, Error> {
    let Some(authority) = &config.enrolment.issuer else { return Ok(None) };
    let own = &config.credentials.identity;
    let now = UNIX_EPOCH + Duration::from_nanos(clock.unix());
    // What it issues is to be believed by those who believe this node, and the other way round.
    chain::node(own.chain(), &authority.roots().map_err(enrol::Error::from)?, now)
        .map_err(|why| Error::OtherIssuer(own.principal().clone(), why))?;
    let name = own.principal().name();
    let issuer = LocalIssuer::open(Arc::clone(authority), &config.data, name, Arc::clone(clock))?;
    Ok(Some(Arc::new(issuer)))
}

fn renewal(endpoint: &Endpoint, credentials: Credentials, enrolment: Enrolment, clock: &Arc<dyn Clock>) -> Renewal {
    let Enrolment { issuer, kept, ask } = enrolment;
    let ends = issuer.as_ref().map(|issuer| issuer.ends());
    let source = issuer.map(Source::Own).or(ask.map(Source::Node));
    Renewal::new(endpoint.clone(), credentials, kept.zip(source), ends, Arc::clone(clock))
}

async fn accept(
    endpoint: Endpoint,
    service: Arc<Service>,
    door: Option<Arc<Door>>,
    links: Option<Links>,
) -> Result<(), endpoint::Error> {
    while let Some(incoming) = endpoint.accept().await {
        let (endpoint, serving, door, links) = (endpoint.clone(), Arc::clone(&service), door.clone(), links.clone());
        service.tasks.spawn(TaskKind::Connection, "connection", async move {
            let connection = match endpoint.establish(incoming).await? {
                Arrival::Known(connection) => connection,
                Arrival::Joining { quic, principal } => {
                    // Without a door the protocol is not offered.
                    if let Some(door) = door {
                        door.serve(quic, principal).await;
                    }
                    return Ok(());
                }
            };
            if connection.principal.role() == Role::Node {
                if let Some(links) = links {
                    links.accepted(connection).await;
                    return Ok(());
                }
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
