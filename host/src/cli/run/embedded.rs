//! A node in this process, with a throw-away CA in memory; jobs still go to it over QUIC.

use crate::cli::node::cores;
use crate::config::{Config, Enrolment};
use crate::node::{Node, SystemRandom};
use crate::runtime::RealClock;
use crate::state;
use crate::tenancy::ca::Authority;
use anyhow::Context;
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub struct Embedded {
    node: Node,
    credentials: Credentials,
    _temporary: Option<TempDir>,
}

const CLUSTER: &str = "embedded";
/// Jobs have ended or were cancelled when this node goes.
const GRACE: Duration = Duration::from_millis(500);

impl Embedded {
    /// `data`: where it keeps compiled modules; by default the user's cache, or where
    /// that cannot be used (another command has it), a temporary directory.
    pub async fn start(data: Option<&Path>) -> anyhow::Result<Embedded> {
        let now = SystemTime::now();
        let authority = Authority::generate(CLUSTER, now)?;
        let issue = |role, name| authority.issue(role, name, now, limits::CERTIFICATE_LIFE);
        let tenant = issue(Role::Tenant, "local")?;
        let node = issue(Role::Node, "local")?;
        let config = |data: PathBuf| -> anyhow::Result<Config> {
            Ok(Config {
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                name: "local".into(),
                data,
                credentials: authority.credentials(&node)?,
                enrolment: Enrolment::default(),
                mesh: None,
                slots: None,
                workers: cores(),
                grace: GRACE,
            })
        };
        let start = |config| Node::start(config, Arc::new(RealClock::new()), Arc::new(SystemRandom));
        let credentials = authority.credentials(&tenant)?;
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

    pub fn address(&self) -> String {
        self.node.address().to_string()
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
