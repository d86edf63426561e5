//! The node's QUIC endpoint: who may connect, how many, and what a refused one is told.

use super::tls;
use corovan_client::transport;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::Principal;
use std::net::SocketAddr;
use std::time::Duration;

/// Listens.
#[derive(Clone, Debug)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    cluster: String,
}

/// A connection whose other side is known.
#[derive(Clone, Debug)]
pub struct Connection {
    pub quic: quinn::Connection,
    pub principal: Principal,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {source}{advice}")]
    Bind { address: SocketAddr, source: std::io::Error, advice: &'static str },
    #[error("{remote} did not connect: {why}")]
    Handshake { remote: SocketAddr, why: String },
    #[error("{remote} was refused: {why}")]
    Refused { remote: SocketAddr, why: String },
}

impl Endpoint {
    /// `cluster`: the one whose certificates are taken, already checked by TLS, and named in refusals.
    pub fn bind(address: SocketAddr, config: quinn::ServerConfig, cluster: &str) -> Result<Endpoint, Error> {
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
        Ok(Endpoint { endpoint, cluster: cluster.to_owned() })
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

    /// Finishes the handshake and reads who it is. Nodes are not served here: a node's certificate proves nothing of any tenant.
    pub async fn establish(&self, incoming: quinn::Incoming) -> Result<Connection, Error> {
        let remote = incoming.remote_address();
        let handshake = |why: String| Error::Handshake { remote, why };
        let connecting = incoming.accept().map_err(|error| handshake(error.to_string()))?;
        let quic = tokio::time::timeout(limits::CONNECT_TIME, connecting)
            .await
            .map_err(|_| handshake(format!("no handshake within {:?}", limits::CONNECT_TIME)))?
            .map_err(|error| handshake(error.to_string()))?;
        let principal = tls::client_principal(&quic, &self.cluster).map_err(|error| {
            let why = error.to_string();
            quic.close(transport::close_code(Some(Code::Denied)), why.as_bytes());
            Error::Refused { remote, why }
        })?;
        Ok(Connection { quic, principal })
    }

    /// Closes all connections, telling them why, and waits (bounded) until they know.
    pub async fn close(&self, why: &str) {
        self.endpoint.close(transport::close_code(Some(Code::ShuttingDown)), why.as_bytes());
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}
