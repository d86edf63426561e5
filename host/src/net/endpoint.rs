//! The node's QUIC endpoint: who may connect, how many, what a refused one is told, and how other nodes are dialled.

use super::tls::{self, Who};
use corovan_client::Credentials;
use corovan_client::tls::dialling_config;
use corovan_client::transport::{self, Accepts};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use parking_lot::RwLock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Listens, and dials other nodes from the same port.
#[derive(Clone, Debug)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    /// Settings for dialling; others when the certificate was renewed.
    dialling: Arc<RwLock<quinn::ClientConfig>>,
    /// Ourselves.
    principal: Principal,
    /// Whether it is open to those who ask to join.
    joins: bool,
}

/// A connection that came in.
#[derive(Debug)]
pub enum Arrival {
    /// Of a tenant or of another node.
    Known(Connection),
    /// For a question; `principal`: who asks, if that is known.
    Joining { quic: quinn::Connection, principal: Option<Principal> },
}

/// A connection whose other side is known.
#[derive(Clone, Debug)]
pub struct Connection {
    pub quic: quinn::Connection,
    pub principal: Principal,
}

impl Connection {
    /// Closes it with `denied` and a text for a person.
    pub fn refuse(quic: &quinn::Connection, why: &str) {
        quic.close(transport::close_code(Some(Code::Denied)), why.as_bytes());
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {source}{advice}")]
    Bind { address: SocketAddr, source: std::io::Error, advice: &'static str },
    #[error("{remote} did not connect: {why}")]
    Handshake { remote: SocketAddr, why: String },
    #[error("{remote} was refused: {why}")]
    Refused { remote: SocketAddr, why: String },
    #[error("no connection with {remote}: {why}")]
    Dial { remote: SocketAddr, why: String },
    #[error("{0} cannot take the place of {1}: a node's name is its identity")]
    OtherName(Principal, Principal),
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

impl Endpoint {
    /// Serves and dials as this identity, of whose cluster everybody must be. `joins`: open to those who ask to join.
    pub fn bind(address: SocketAddr, credentials: &Credentials, joins: bool) -> Result<Endpoint, Error> {
        let (config, dialling) = configs(credentials, joins)?;
        let failed = |source: std::io::Error| {
            let advice = match source.kind() {
                std::io::ErrorKind::AddrInUse => ": another program uses this port; choose another, or port 0",
                std::io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
                std::io::ErrorKind::PermissionDenied => ": ports below 1024 need privileges",
                _ => "",
            };
            Error::Bind { address, source, advice }
        };
        let endpoint = quinn::Endpoint::server(config, address).map_err(failed)?;
        let principal = credentials.identity.principal().clone();
        Ok(Endpoint { endpoint, dialling: Arc::new(RwLock::new(dialling)), principal, joins })
    }

    /// Shows this certificate of the same node on all connections that are made from now on; those that are open stay.
    pub fn renew(&self, credentials: &Credentials) -> Result<(), Error> {
        let renewed = credentials.identity.principal();
        if *renewed != self.principal {
            return Err(Error::OtherName(renewed.clone(), self.principal.clone()));
        }
        let (config, dialling) = configs(credentials, self.joins)?;
        self.endpoint.set_server_config(Some(config));
        *self.dialling.write() = dialling;
        Ok(())
    }

    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next connection attempt; `None` when the endpoint is closed. Handshakes are done elsewhere, by [`Endpoint::establish`].
    pub async fn accept(&self) -> Option<quinn::Incoming> {
        loop {
            let incoming = self.endpoint.accept().await?;
            // Beyond half of what we hold, strangers must show that they receive at the address they send from.
            if !incoming.remote_address_validated()
                && self.endpoint.open_connections() > limits::NODE_CONNECTIONS / 2
                && incoming.may_retry()
            {
                let _ = incoming.retry();
            } else if self.endpoint.open_connections() > limits::NODE_CONNECTIONS {
                incoming.refuse();
            } else {
                return Some(incoming);
            }
        }
    }

    /// Connects to the node at this address and reads who it is, which the caller compares with whom it wanted: the certificate
    /// says a name, and a name is not an address.
    pub async fn dial(&self, remote: SocketAddr) -> Result<Connection, Error> {
        let failed = |why: String| Error::Dial { remote, why };
        let name = self.principal.cluster_dns_name();
        let connecting = self.endpoint.connect_with(self.dialling.read().clone(), remote, &name);
        let connecting = connecting.map_err(|error| failed(error.to_string()))?;
        let quic = tokio::time::timeout(limits::CONNECT_TIME, connecting)
            .await
            .map_err(|_| failed(format!("no handshake within {:?}", limits::CONNECT_TIME)))?
            .map_err(|error| failed(error.to_string()))?;
        match self.identified(quic, remote)? {
            Arrival::Known(connection) => Ok(connection),
            Arrival::Joining { .. } => Err(failed("it is not asked to join anything".into())),
        }
    }

    /// Finishes the handshake and reads who it is: a tenant, another node, whose certificate proves nothing of any tenant, or
    /// somebody who wants to join.
    pub async fn establish(&self, incoming: quinn::Incoming) -> Result<Arrival, Error> {
        let remote = incoming.remote_address();
        let handshake = |why: String| Error::Handshake { remote, why };
        let connecting = incoming.accept().map_err(|error| handshake(error.to_string()))?;
        let quic = tokio::time::timeout(limits::CONNECT_TIME, connecting)
            .await
            .map_err(|_| handshake(format!("no handshake within {:?}", limits::CONNECT_TIME)))?
            .map_err(|error| handshake(error.to_string()))?;
        self.identified(quic, remote)
    }

    fn identified(&self, quic: quinn::Connection, remote: SocketAddr) -> Result<Arrival, Error> {
        match tls::arrival(&quic, self.principal.cluster()) {
            Ok(Who::Known(principal)) => {
                // The settings of the port are those for strangers, until it is known who came.
                let accepts = if principal.role() == Role::Node { Accepts::PEER } else { Accepts::NODE };
                quic.set_max_concurrent_bi_streams(accepts.bidi.into());
                quic.set_max_concurrent_uni_streams(accepts.uni.into());
                quic.set_receive_window(accepts.window.into());
                Ok(Arrival::Known(Connection { quic, principal }))
            }
            Ok(Who::Joining(principal)) => Ok(Arrival::Joining { quic, principal }),
            Err(error) => {
                let refused = Error::Refused { remote, why: error.to_string() };
                Connection::refuse(&quic, &error.to_string());
                Err(refused)
            }
        }
    }

    /// Closes all connections, telling them why, and waits (bounded) until they know.
    pub async fn close(&self, why: &str) {
        self.endpoint.close(transport::close_code(Some(Code::ShuttingDown)), why.as_bytes());
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

fn configs(credentials: &Credentials, joins: bool) -> Result<(quinn::ServerConfig, quinn::ClientConfig), Error> {
    let Credentials { identity, roots } = credentials;
    let serving = tls::server_config(identity, roots, joins)?;
    let dialling = dialling_config(identity, roots, transport::ALPN_PEER, Accepts::PEER)
        .map_err(|error| tls::Error::Unusable(error.to_string()))?;
    Ok((serving, dialling))
}
