//! Which running node a command asks, and as whom.

use super::credentials;
use super::node::runtime;
use corovan_client::{ConnectOptions, Credentials, Error, Node, check_address};
use std::path::PathBuf;

/// Which node is asked, and by whom.
#[derive(clap::Args, Debug)]
pub struct At {
    /// The running node that is asked
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4433", value_parser = peer)]
    pub node: String,
    /// Directory with ca.crt and an operator's or tenant's certificate and key; for a development node, DATA/dev-ca
    #[arg(long, value_name = "DIR", env = "COROVAN_CERTS")]
    pub certs: PathBuf,
    /// Which operator's certificate, where there are several
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
    /// Ask as this tenant (the default where there is no operator's certificate)
    #[arg(long, value_name = "NAME", env = "COROVAN_TENANT", conflicts_with = "operator")]
    pub tenant: Option<String>,
    #[arg(skip)]
    prefers_tenant: bool,
}

impl At {
    pub fn credentials(&self) -> anyhow::Result<Credentials> {
        if self.tenant.is_some() || self.prefers_tenant {
            return credentials::load(&self.certs, "tenant", self.tenant.as_deref());
        }
        match credentials::load(&self.certs, "operator", self.operator.as_deref()) {
            Ok(credentials) => Ok(credentials),
            Err(error) if self.operator.is_some() || credentials::has(&self.certs, "operator") => Err(error),
            Err(_) => credentials::load(&self.certs, "tenant", None),
        }
    }

    /// For what is a tenant's own: as one, unless an operator is named.
    pub fn for_tenant(mut self) -> At {
        self.prefers_tenant = self.operator.is_none();
        self
    }

    /// Connects, asks, and takes leave.
    pub fn ask<T>(&self, question: impl AsyncFnOnce(&Node) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let credentials = self.credentials()?;
        runtime()?.block_on(async {
            let node = self.connect(&credentials).await?;
            let answer = question(&node).await?;
            node.close().await;
            Ok(answer)
        })
    }

    pub async fn connect(&self, credentials: &Credentials) -> anyhow::Result<Node> {
        let options = ConnectOptions { agent: crate::api::AGENT.into(), ..ConnectOptions::default() };
        Ok(Node::connect(&self.node, credentials, options).await?)
    }
}

pub fn peer(text: &str) -> Result<String, Error> {
    check_address(text).map(|()| text.to_owned())
}
