//! The node's side of a connection: mutual TLS 1.3 and QUIC's numbers, and who the other side has proved to be.

use corovan_client::tls::{self, Identity, NameError, Roots};
use corovan_client::transport::{self, Accepts};
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is no node's identity; a node needs a certificate made with `corovan cert node`")]
    NotANode(Principal),
    #[error("these certificates cannot serve connections: {0}")]
    Unusable(String),
    #[error("the certificate names nobody: {0}")]
    Name(#[from] NameError),
    #[error("{0} is of another cluster than this node ({1})")]
    OtherCluster(Principal, String),
    #[error("{0} is no node, and only nodes speak the protocol of nodes")]
    NotAPeer(Principal),
    #[error("it agreed on no protocol that this node speaks")]
    NoProtocol,
    #[error(
        "{0} is not a client's identity for running jobs; use a tenant's certificate, made with `corovan cert tenant`"
    )]
    NotATenant(Principal),
}

/// Settings of a node's endpoint. Every client must show a certificate of the CA; sessions are never resumed, since that
/// would skip the check, and nothing is accepted before the handshake is done.
pub fn server_config(identity: &Identity, roots: &Roots) -> Result<quinn::ServerConfig, Error> {
    if identity.principal().role() != Role::Node {
        return Err(Error::NotANode(identity.principal().clone()));
    }
    let unusable = |error: &dyn std::fmt::Display| Error::Unusable(error.to_string());
    let provider = transport::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.store(), provider.clone())
        .build()
        .map_err(|error| unusable(&error))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain().to_vec(), identity.key())
        .map_err(|error| unusable(&error))?;
    tls.alpn_protocols = vec![transport::ALPN.to_vec(), transport::ALPN_PEER.to_vec()];
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| unusable(&error))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport::transport_config(Accepts::NODE))
        .max_incoming(limits::NODE_CONNECTIONS)
        .incoming_buffer_size_total(limits::INCOMING_BYTES);
    Ok(config)
}

/// Who is at the other end of an established connection: a tenant that speaks the protocol of clients, or a node that speaks
/// that of nodes. Whoever is refused here is told by closing the connection with `Code::Denied` and the error's text.
pub fn principal(connection: &quinn::Connection, cluster: &str) -> Result<Principal, Error> {
    let principal = tls::peer_principal(connection)?;
    if principal.cluster() != cluster {
        return Err(Error::OtherCluster(principal, cluster.to_owned()));
    }
    let handshake = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let protocol = handshake.and_then(|data| data.protocol).ok_or(Error::NoProtocol)?;
    match (&protocol[..], principal.role()) {
        (transport::ALPN, Role::Tenant) | (transport::ALPN_PEER, Role::Node) => Ok(principal),
        // A node's certificate proves nothing of any tenant, and an operator is not one.
        (transport::ALPN, _) => Err(Error::NotATenant(principal)),
        (transport::ALPN_PEER, _) => Err(Error::NotAPeer(principal)),
        _ => Err(Error::NoProtocol),
    }
}
