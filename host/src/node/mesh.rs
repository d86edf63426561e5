//! How a node takes part in a mesh: links, membership and names are put together here and given to its runtime.

use super::Error;
use super::joins::Forwards;
use crate::api::Service;
use crate::cluster::discovery;
use crate::cluster::grants::Grants;
use crate::cluster::hosting::{Hosted, Hosting, Hosts};
use crate::cluster::joins::{Joins, Passing};
use crate::cluster::link::{self, Links};
use crate::cluster::mesh::{self, Handle};
use crate::cluster::names::{Inward, MeshNames, Outward, Shown};
use crate::cluster::receive::Receiver;
use crate::cluster::remote::Remote;
use crate::cluster::roster::{self, Roster};
use crate::cluster::seeds;
use crate::config;
use crate::dispatch::offers::Offers;
use crate::net::Endpoint;
use crate::runtime::engine;
use crate::runtime::ports::Random;
use crate::runtime::{Clock, Group, Refusal, Runtime, Tenant};
use crate::tasks::{TaskKind, Tasks};
use crate::tenancy::grant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::membership::member::{About, Member};
use corovan_core::membership::presence::Presence;
use corovan_core::tenancy::grant::Grant;
use corovan_core::tenancy::rate::Rate;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A node's part in a mesh.
pub(super) struct Mesh {
    pub links: Links,
    pub handle: Handle,
    pub seeds: seeds::Handle,
    /// What runs here for other nodes.
    pub hosted: Hosted,
    thread: Option<JoinHandle<()>>,
    /// Dropped, they end the search for others.
    looking: Vec<oneshot::Sender<()>>,
}

/// What it is made of.
pub(super) struct Parts<'a> {
    pub config: config::Mesh,
    /// This node as others will be told of it.
    pub me: Member,
    pub roster: Arc<Roster>,
    /// What placement is told of it.
    pub offers: Arc<Offers>,
    pub cluster: String,
    pub endpoint: &'a Endpoint,
    pub address: SocketAddr,
    pub runtime: &'a Arc<Runtime>,
    pub clock: &'a Arc<dyn Clock>,
    pub random: &'a Arc<dyn Random>,
    pub tasks: &'a Tasks,
    pub grants: Arc<dyn Grants>,
    pub hosts: Arc<dyn Hosts>,
    /// Of a node that issues certificates; of one that hands on what it is asked.
    pub joins: Option<Arc<dyn Joins>>,
    pub forwards: Forwards,
}

impl Mesh {
    /// Takes part from now on, and asks the way at the peers that it was told of.
    pub fn start(parts: Parts<'_>) -> Result<Mesh, Error> {
        let Parts { config, runtime, clock, tasks, grants, .. } = parts;
        let links = Links::new(link::Config {
            node: runtime.node,
            incarnation: runtime.incarnation,
            endpoint: parts.endpoint.clone(),
            clock: Arc::clone(clock),
            tasks: tasks.clone(),
            dial_out: config.dial_out,
        });
        let shown = Arc::new(Shown::default());
        let membership = mesh::Config {
            me: parts.me.presence,
            about: parts.me.about.as_deref().cloned().unwrap_or_default(),
            cluster: parts.cluster.clone(),
            seed: parts.random.number(),
            clock: Arc::clone(clock),
        };
        let carrier = Arc::new(Outward::new(links.clone(), runtime, Arc::clone(&shown)));
        let (service, handle) = mesh::Service::new(membership, carrier)?;
        let remote =
            Arc::new(Remote::new(links.clone(), Arc::clone(&grants), handle.clone(), &parts.cluster, tasks.clone()));
        let hosting = Hosting::new(runtime.node, parts.hosts, links.peers(), tasks.clone());
        let hosted = hosting.hosted();
        let receiver = Receiver::new(runtime, Arc::clone(&grants), handle.clone(), hosting).with_joins(parts.joins);
        parts.forwards.to(Passing::new(links.clone(), handle.clone()));
        links.open(Arc::new(receiver), Arc::new(Inward(handle.clone())));
        // A runtime is given these once, by its node.
        let _ = runtime.mesh.set(remote);
        let _ = runtime.names.set(Arc::new(MeshNames::new(handle.clone(), grants, shown)));
        let thread = std::thread::Builder::new().name("membership".into()).spawn(move || service.run());
        let thread = Some(thread.map_err(Error::Threads)?);
        handle.follow(Arc::clone(&parts.roster) as _);
        handle.follow(parts.offers);
        let (telling, stop) = oneshot::channel();
        let told = roster::tell(parts.roster, Arc::downgrade(runtime), stop);
        tasks.spawn(TaskKind::Stream, "peers", async move {
            told.await;
            Ok::<(), Infallible>(())
        });
        let own: Vec<SocketAddr> = config.external.into_iter().chain([parts.address]).collect();
        let seeds_config = seeds::Config { peers: config.peers, own };
        let (service, seeds) = seeds::Service::new(seeds_config, Arc::new(handle.clone()), Arc::new(seeds::System))?;
        let (seeking, stop) = oneshot::channel();
        tasks.spawn(TaskKind::Stream, "seeds", async move {
            service.run(stop).await;
            Ok::<(), Infallible>(())
        });
        let mut looking = vec![telling, seeking];
        if config.discover {
            let discovery = discovery::Config {
                node: runtime.node,
                cluster: parts.cluster,
                own: (!config.dial_out).then_some(parts.address),
                loopback: parts.address.ip().is_loopback(),
            };
            let service = discovery::Service::new(discovery, seeds.clone())?;
            let (discovering, stop) = oneshot::channel();
            tasks.spawn(TaskKind::Stream, "discovery", async move {
                service.run(stop).await;
                Ok::<(), Infallible>(())
            });
            looking.push(discovering);
        }
        Ok(Mesh { links, handle, seeds, hosted, thread, looking })
    }

    /// Says good-bye.
    pub async fn leave(mut self) {
        self.looking.clear();
        self.handle.leave().await;
        // Others would take it for failed.
        self.links.datagrams_gone().await;
        self.links.say_goodbye().await;
        self.links.close();
        if let Some(thread) = self.thread.take() {
            // It ends with what it was just asked for.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Grants as this node believes them: signed by the tenant, and for both nodes.
pub(super) struct Believes {
    service: Weak<Service>,
    clock: Arc<dyn Clock>,
    /// By the node that shows them, how many false ones it may still show.
    false_ones: Mutex<HashMap<String, Rate>>,
}

impl Believes {
    pub fn new(service: &Arc<Service>, clock: &Arc<dyn Clock>) -> Believes {
        Believes { service: Arc::downgrade(service), clock: Arc::clone(clock), false_ones: Mutex::default() }
    }

    /// What may be looked at of a node that shows false grants. `count`: this was one.
    fn trusts(&self, node: &str, count: bool) -> bool {
        let (now, mut table) = (self.clock.now(), self.false_ones.lock());
        let Some(rate) = table.get_mut(node) else {
            if count {
                // Names are certified ones; too many are forgotten together.
                if table.len() >= limits::MESH_NODES {
                    table.clear();
                }
                let interval = u64::try_from(limits::FALSE_GRANT_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
                let mut rate = Rate::new(interval, limits::FALSE_GRANT_BURST);
                rate.take(now);
                table.insert(node.to_owned(), rate);
            }
            return true;
        };
        if count { rate.take(now) } else { rate.has_one(now) }
    }
}

impl Grants for Believes {
    fn of(&self, group: &Group) -> Option<Bytes> {
        group.grant().cloned()
    }

    fn read(&self, group: &Group) -> Option<(Bytes, Arc<Grant>)> {
        let bytes = group.grant()?;
        let grant = self.service.upgrade()?.grants.verify(bytes, self.clock.unix()).ok()?;
        Some((bytes.clone(), grant))
    }

    fn verify(&self, shown_by: &str, grant: &Bytes) -> Result<(Arc<Tenant>, Arc<Grant>), Refusal> {
        let denied = |text: String| Refusal::new(Code::Denied, text);
        let service = self.service.upgrade().ok_or_else(|| denied("the node is shutting down".into()))?;
        if !self.trusts(shown_by, false) {
            return Err(denied("the node that shows it has shown too many false ones just now".into()));
        }
        let verified = service.grants.verify(grant, self.clock.unix()).inspect_err(|error| {
            // One that was good does not become false by its end.
            if !matches!(error, grant::Error::Grant(_)) {
                self.trusts(shown_by, true);
            }
        });
        let grant = verified.map_err(|error| denied(error.to_string()))?;
        for node in [shown_by, &service.node_name] {
            grant.admits(node).map_err(|error| denied(error.to_string()))?;
        }
        Ok((service.tenants.get(&grant.tenant), grant))
    }
}

/// Jobs of other nodes that a node with so many slots runs at a time.
pub(super) fn jobs_at_a_time(offer: &config::Offer, slots: u32) -> u32 {
    offer.jobs.map_or(slots, |jobs| u32::try_from(jobs).unwrap_or(u32::MAX).min(slots))
}

/// What a node says of itself.
pub(super) fn myself(
    runtime: &Runtime,
    name: &str,
    address: SocketAddr,
    workers: usize,
    config: (Option<&config::Mesh>, &config::Offer, u32),
    (issues, draining): (bool, bool),
) -> Member {
    let (mesh, offer, slots) = config;
    let about = About {
        name: name.to_owned(),
        addresses: vec![address],
        external: mesh.and_then(|mesh| mesh.external),
        labels: mesh.map(|mesh| mesh.labels.clone()).unwrap_or_default(),
        cores: offer.cores.unwrap_or(u32::try_from(workers).unwrap_or(u32::MAX)),
        memory: offer.memory.unwrap_or(engine::machine_memory().unwrap_or_default()),
        disk: offer.disk.unwrap_or(limits::STORE_BYTES),
        slots: jobs_at_a_time(offer, slots),
        version: env!("CARGO_PKG_VERSION").into(),
        issues,
        draining,
        ..About::default()
    };
    let presence = Presence::new(runtime.node, runtime.incarnation, address);
    let presence = Presence { dial_out: mesh.is_some_and(|mesh| mesh.dial_out), ..presence };
    Member { presence, about: Some(Arc::new(about)) }
}
