//! A node in this process; jobs still go to it over QUIC. Alone it has a throw-away CA in memory; in a mesh it is one of the
//! cluster's nodes for as long as its jobs run.

use super::Plan;
use crate::cli::credentials;
use crate::cli::node::cores;
use crate::cluster::mesh::Follower;
use crate::config::{self, Config, Enrolment, Offer};
use crate::node::{Node, SystemRandom};
use crate::runtime::RealClock;
use crate::runtime::ports::Random;
use crate::state;
use crate::tenancy::ca::Authority;
use anyhow::Context;
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::membership::watch::Change;
use corovan_core::tenancy::identity::Role;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::sync::Notify;

pub struct Embedded {
    node: Node,
    credentials: Credentials,
    _temporary: Option<TempDir>,
}

/// Who the node is, who runs jobs on it, and what it joins.
pub struct Who {
    node: Credentials,
    tenant: Credentials,
    mesh: Option<config::Mesh>,
    listen: Option<SocketAddr>,
}

/// Tells that the members have changed.
#[derive(Default)]
struct Changed(Notify);

impl Follower for Changed {
    fn changed(&self, _: &Change) {
        self.0.notify_one();
    }
}

/// Nodes on the local network answer in a fraction of this.
const MEET: Duration = Duration::from_secs(2);
const CLUSTER: &str = "embedded";
/// A node of a cluster, made for one run.
const RUN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Jobs have ended or were cancelled when this node goes.
const GRACE: Duration = Duration::from_millis(500);

impl Who {
    pub fn of(plan: &Plan) -> anyhow::Result<Who> {
        match (&plan.mesh, &plan.certs) {
            (Some(mesh), Some(dir)) => {
                Ok(Who { listen: plan.bind, ..Who::member(dir, plan.tenant.as_deref(), mesh.clone())? })
            }
            _ => Who::alone(),
        }
    }

    fn alone() -> anyhow::Result<Who> {
        let now = SystemTime::now();
        let authority = Authority::generate(CLUSTER, now)?;
        let issue = |role, name| -> anyhow::Result<Credentials> {
            Ok(authority.credentials(&authority.issue(role, name, now, limits::CERTIFICATE_LIFE)?)?)
        };
        Ok(Who { node: issue(Role::Node, "local")?, tenant: issue(Role::Tenant, "local")?, mesh: None, listen: None })
    }

    /// A node under a name of its own where the CA's key is at hand, as for development; else the node whose certificate is there.
    fn member(dir: &Path, tenant: Option<&str>, mesh: config::Mesh) -> anyhow::Result<Who> {
        let tenant = credentials::load(dir, "tenant", tenant)?;
        let node = match dir.join("ca.key").exists() {
            true => {
                let authority = Authority::load(dir)?;
                let name = format!("run-{:012x}", SystemRandom.number() >> 16);
                let issued = authority.issue(Role::Node, &name, SystemTime::now(), RUN_LIFE)?;
                authority.credentials(&issued)?
            }
            false => credentials::load(dir, "node", None).context(
                "a node of the mesh needs a certificate of its own, made by whoever has the cluster's CA; or run the job on a \
                 node that is there, with --node",
            )?,
        };
        Ok(Who { node, tenant, mesh: Some(mesh), listen: None })
    }

    /// Where it listens: where its peers can reach it.
    fn listen(&self) -> SocketAddr {
        let is_here = |peer: &String| {
            let host = peer.rsplit_once(':').map_or(&peer[..], |(host, _)| host);
            host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        if let Some(listen) = self.listen {
            return listen;
        }
        match &self.mesh {
            Some(mesh) if mesh.discover || !mesh.peers.iter().all(is_here) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

impl Embedded {
    /// `data`: where it keeps compiled modules; by default the user's cache, or where
    /// that cannot be used (another command has it), a temporary directory.
    pub async fn start(data: Option<&Path>, who: Who) -> anyhow::Result<Embedded> {
        let config = |data: PathBuf| -> anyhow::Result<Config> {
            Ok(Config {
                listen: who.listen(),
                name: who.node.identity.principal().name().to_owned(),
                data,
                credentials: who.node.clone(),
                enrolment: Enrolment::default(),
                mesh: who.mesh.clone(),
                offer: Offer::default(),
                slots: None,
                workers: cores(),
                http: None,
                grace: GRACE,
            })
        };
        let start = |config| Node::start(config, Arc::new(RealClock::new()), Arc::new(SystemRandom));
        let credentials = who.tenant.clone();
        if let Some(data) = data {
            let node = start(config(data.to_owned())?).await?;
            return Ok(Embedded { node, credentials, _temporary: None });
        }
        if let Some(cache) = cache() {
            match start(config(cache)?).await {
                Ok(node) => return Ok(Embedded { node, credentials, _temporary: None }),
                Err(crate::node::Error::State(state::Error::InUse(_) | state::Error::Directory { .. })) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let temporary = tempfile::Builder::new()
            .prefix("corovan-")
            .tempdir()
            .context("no place for the node in this process; give one with --data DIR")?;
        let node = start(config(temporary.path().to_owned())?).await?;
        Ok(Embedded { node, credentials, _temporary: Some(temporary) })
    }

    /// Waits for another node of the mesh, where it asks for one: a job may need it at once. Not for long: it may come later.
    pub async fn meet(&self) {
        let Some(handle) = self.node.mesh() else { return };
        let changed = Arc::new(Changed::default());
        handle.follow(Arc::clone(&changed) as _);
        let met = async {
            while handle.members().len() < 2 {
                changed.0.notified().await;
            }
        };
        if tokio::time::timeout(MEET, met).await.is_err() {
            eprintln!("corovan: no other node has been found in {MEET:?}: the job begins, and the search goes on");
        }
    }

    pub fn address(&self) -> String {
        let mut address = self.node.address();
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        address.to_string()
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub async fn shut_down(self) {
        self.node.shut_down().await;
    }
}

/// The user's cache directory (XDG Base Directory Specification).
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("corovan"))
}
