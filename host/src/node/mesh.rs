//! How a node takes part in a mesh: links, membership and names are put together here and given to its runtime.

use super::Error;
use crate::cluster::grants::Grants;
use crate::cluster::link::{self, Links};
use crate::cluster::mesh::{self, Handle};
use crate::cluster::names::{Inward, MeshNames, Outward, Shown};
use crate::cluster::receive::Receiver;
use crate::cluster::remote::Remote;
use crate::config;
use crate::net::Endpoint;
use crate::runtime::ports::Random;
use crate::runtime::{Clock, Runtime};
use crate::tasks::{TaskKind, Tasks};
use corovan_core::limits;
use corovan_core::membership::member::About;
use corovan_core::membership::presence::Presence;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A node's part in a mesh.
pub(super) struct Mesh {
    pub links: Links,
    pub handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What it is made of.
pub(super) struct Parts<'a> {
    pub config: config::Mesh,
    pub name: String,
    pub cluster: String,
    pub workers: usize,
    pub endpoint: &'a Endpoint,
    pub address: SocketAddr,
    pub runtime: &'a Arc<Runtime>,
    pub clock: &'a Arc<dyn Clock>,
    pub random: &'a Arc<dyn Random>,
    pub tasks: &'a Tasks,
    pub grants: Arc<dyn Grants>,
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
        });
        let shown = Arc::new(Shown::default());
        let about = About {
            name: parts.name,
            addresses: vec![parts.address],
            external: config.external,
            labels: config.labels,
            cores: u32::try_from(parts.workers).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").into(),
            ..About::default()
        };
        let presence =
            Presence { dial_out: config.dial_out, ..Presence::new(runtime.node, runtime.incarnation, parts.address) };
        let membership = mesh::Config {
            me: presence,
            about,
            cluster: parts.cluster,
            seed: parts.random.number(),
            clock: Arc::clone(clock),
        };
        let carrier = Arc::new(Outward::new(links.clone(), runtime, Arc::clone(&shown)));
        let (service, handle) = mesh::Service::new(membership, carrier)?;
        let receiver = Receiver::new(runtime, Arc::clone(&grants), handle.clone());
        links.open(Arc::new(receiver), Arc::new(Inward(handle.clone())));
        // A runtime is given these once, by its node.
        let _ = runtime.mesh.set(Arc::new(Remote::new(links.clone(), Arc::clone(&grants))));
        let _ = runtime.names.set(Arc::new(MeshNames::new(handle.clone(), grants, shown)));
        let thread = std::thread::Builder::new().name("membership".into()).spawn(move || service.run());
        let thread = Some(thread.map_err(Error::Threads)?);
        for peer in config.peers {
            tasks.spawn(TaskKind::Stream, "seed", seek(peer, handle.clone()));
        }
        Ok(Mesh { links, handle, thread })
    }

    /// Says good-bye.
    pub async fn leave(mut self) {
        self.handle.leave().await;
        self.links.close();
        if let Some(thread) = self.thread.take() {
            // It ends with what it was just asked for.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Asks the way into the mesh at `HOST:PORT`, whose address may change, as long as the node lives.
async fn seek(peer: String, handle: Handle) -> Result<(), Infallible> {
    let mut told = false;
    while !handle.is_over() {
        match tokio::net::lookup_host(&peer).await {
            Ok(found) => {
                for address in found.take(limits::ADDRESSES) {
                    handle.announce(address);
                }
                told = false;
            }
            Err(error) if !told => {
                tracing::warn!(peer, "no address is found for this peer, and it is looked for again: {error}");
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(limits::SEED_PERIOD) => {}
            () = handle.over() => {}
        }
    }
    Ok(())
}
