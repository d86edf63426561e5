//! The node's side of a connection: mutual TLS 1.3 and QUIC's numbers, and who the other side has proved to be.

use corovan_client::tls::{self, Identity, NameError, Roots};
use corovan_client::transport::{self, Accepts};
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is no node's identity; a node needs a certificate made with `corovan cert node`")]
    NotANode(Principal),
    #[error("these certificates cannot serve connections: {0}")]
    Unusable(String),
    #[error("it showed no certificate, without which one can only ask to join")]
    Anonymous,
    #[error("{0} has nothing to ask here: nodes renew their certificates, and operators make tokens")]
    NothingToAsk(Principal),
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
/// would skip the check, and nothing is accepted before the handshake is done. Where the node takes those who want to join,
/// TLS lets in who shows no certificate, and [`arrival`] nobody else than them: TLS cannot tell protocols apart here.
pub fn server_config(identity: &Identity, roots: &Roots, joins: bool) -> Result<quinn::ServerConfig, Error> {
    if identity.principal().role() != Role::Node {
        return Err(Error::NotANode(identity.principal().clone()));
    }
    let unusable = |error: &dyn std::fmt::Display| Error::Unusable(error.to_string());
    let provider = transport::provider();
    let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.store(), provider.clone());
    if joins {
        verifier = verifier.allow_unauthenticated();
    }
    let verifier = verifier.build().map_err(|error| unusable(&error))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(Arc::new(ByRole(verifier)))
        .with_cert_resolver(Arc::new(Chains::new(identity, roots)?));
    tls.alpn_protocols = vec![transport::ALPN.to_vec(), transport::ALPN_PEER.to_vec()];
    if joins {
        tls.alpn_protocols.push(transport::ALPN_JOIN.to_vec());
    }
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| unusable(&error))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport::transport_config(Accepts::STRANGER))
        .max_incoming(limits::NODE_CONNECTIONS)
        .incoming_buffer_size_total(limits::INCOMING_BYTES);
    Ok(config)
}

/// What this node shows: its chain, and the root besides to those who want to join, who have its hash and not yet itself.
#[derive(Debug)]
struct Chains {
    usual: Arc<CertifiedKey>,
    joining: Arc<CertifiedKey>,
}

impl Chains {
    fn new(identity: &Identity, roots: &Roots) -> Result<Chains, Error> {
        let certified = |chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>| {
            let certified = CertifiedKey::from_der(chain, key, &transport::provider());
            certified.map(Arc::new).map_err(|error| Error::Unusable(error.to_string()))
        };
        let with_roots = [identity.chain(), roots.certificates()].concat();
        Ok(Chains {
            usual: certified(identity.chain().to_vec(), identity.key())?,
            joining: certified(with_roots, identity.key())?,
        })
    }
}

impl ResolvesServerCert for Chains {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let joining = hello.alpn().is_some_and(|mut wanted| wanted.all(|protocol| protocol == transport::ALPN_JOIN));
        Some(Arc::clone(if joining { &self.joining } else { &self.usual }))
    }
}

/// Certificates of nodes may come from an issuing node's CA; all others are believed only if the root itself has signed
/// them. So whoever takes over an issuing node can make nodes, and neither tenants nor operators.
#[derive(Debug)]
struct ByRole(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ByRole {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let is_node = tls::principal(end_entity).is_ok_and(|principal| principal.role() == Role::Node);
        self.0.verify_client_cert(end_entity, if is_node { intermediates } else { &[] }, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Who came, and with what protocol.
#[derive(Debug)]
pub enum Who {
    /// A tenant or operator that speaks the protocol of clients, or a node that speaks that of nodes.
    Known(Principal),
    /// Somebody who asks to join, or with a certificate for what only its owner may ask.
    Joining(Option<Principal>),
}

/// Who is at the other end of an established connection. Whoever is refused here is told by closing the connection with
/// `Code::Denied` and the error's text.
pub fn arrival(connection: &quinn::Connection, cluster: &str) -> Result<Who, Error> {
    let handshake = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let protocol = handshake.and_then(|data| data.protocol).ok_or(Error::NoProtocol)?;
    if connection.peer_identity().is_none() {
        return if protocol == transport::ALPN_JOIN { Ok(Who::Joining(None)) } else { Err(Error::Anonymous) };
    }
    let principal = tls::peer_principal(connection)?;
    if principal.cluster() != cluster {
        return Err(Error::OtherCluster(principal, cluster.to_owned()));
    }
    match (&protocol[..], principal.role()) {
        (transport::ALPN, Role::Tenant | Role::Operator) | (transport::ALPN_PEER, Role::Node) => {
            Ok(Who::Known(principal))
        }
        (transport::ALPN_JOIN, Role::Node | Role::Operator) => Ok(Who::Joining(Some(principal))),
        (transport::ALPN_JOIN, Role::Tenant) => Err(Error::NothingToAsk(principal)),
        // A node's certificate proves nothing of any tenant.
        (transport::ALPN, _) => Err(Error::NotATenant(principal)),
        (transport::ALPN_PEER, _) => Err(Error::NotAPeer(principal)),
        _ => Err(Error::NoProtocol),
    }
}
