//! The node's QUIC endpoint: who may connect, how many, what a refused one is told, and how other nodes are dialled.

use super::tls;
use corovan_client::Credentials;
use corovan_client::tls::dialling_config;
use corovan_client::transport::{self, Accepts};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use std::net::SocketAddr;
use std::time::Duration;

/// Listens, and dials other nodes from the same port.
#[derive(Clone, Debug)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    dialling: quinn::ClientConfig,
    /// Ourselves.
    principal: Principal,
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
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

impl Endpoint {
    /// Serves and dials as this identity, of whose cluster everybody must be.
    pub fn bind(address: SocketAddr, credentials: &Credentials) -> Result<Endpoint, Error> {
        let config = tls::server_config(&credentials.identity, &credentials.roots)?;
        let Credentials { identity, roots } = credentials;
        let dialling = dialling_config(identity, roots, transport::ALPN_PEER, Accepts::PEER)
            .map_err(|error| tls::Error::Unusable(error.to_string()))?;
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
        Ok(Endpoint { endpoint, dialling, principal: credentials.identity.principal().clone() })
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
        let connecting = self.endpoint.connect_with(self.dialling.clone(), remote, &name);
        let connecting = connecting.map_err(|error| failed(error.to_string()))?;
        let quic = tokio::time::timeout(limits::CONNECT_TIME, connecting)
            .await
            .map_err(|_| failed(format!("no handshake within {:?}", limits::CONNECT_TIME)))?
            .map_err(|error| failed(error.to_string()))?;
        self.identified(quic, remote)
    }

    /// Finishes the handshake and reads who it is: a tenant, or another node, whose certificate proves nothing of any tenant.
    pub async fn establish(&self, incoming: quinn::Incoming) -> Result<Connection, Error> {
        let remote = incoming.remote_address();
        let handshake = |why: String| Error::Handshake { remote, why };
        let connecting = incoming.accept().map_err(|error| handshake(error.to_string()))?;
        let quic = tokio::time::timeout(limits::CONNECT_TIME, connecting)
            .await
            .map_err(|_| handshake(format!("no handshake within {:?}", limits::CONNECT_TIME)))?
            .map_err(|error| handshake(error.to_string()))?;
        self.identified(quic, remote)
    }

    fn identified(&self, quic: quinn::Connection, remote: SocketAddr) -> Result<Connection, Error> {
        match tls::principal(&quic, self.principal.cluster()) {
            Ok(principal) => {
                if principal.role() == Role::Node {
                    // The settings of the port are those for clients, until it is known who came.
                    quic.set_max_concurrent_bi_streams(Accepts::PEER.bidi.into());
                    quic.set_max_concurrent_uni_streams(Accepts::PEER.uni.into());
                }
                Ok(Connection { quic, principal })
            }
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
