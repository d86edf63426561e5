//! The joining protocol's asking side: one question to a node, one answer. Whoever has no certificate yet believes exactly
//! one CA, the one whose hash it was given, and reads nothing from a server that this CA does not vouch for.

use crate::connect::{self, Attempt, Established};
use crate::error::{Error, Peer, printable};
use crate::tls::{self, Credentials};
use crate::transport::{self, Accepts};
use corovan_core::limits;
use corovan_core::tenancy::identity;
use corovan_core::tenancy::token::{CaHash, ca_hash};
use corovan_core::wire::join::{self, Answer, Ask, Question, Refused};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// Somebody with a token, which pins a CA.
    Stranger(CaHash),
    /// A node or an operator.
    Known(&'a Credentials),
}

/// A connection for one question.
pub struct Visit {
    established: Established,
    peer: Peer,
    deadline: Instant,
    ca: Option<CertificateDer<'static>>,
}

impl Visit {
    /// Connects to `HOST:PORT`.
    pub async fn connect(target: &str, caller: Caller<'_>) -> Result<Visit, Error> {
        let deadline = Instant::now() + limits::JOIN_TIME;
        let found = Arc::new(Mutex::new(None));
        let (config, us, server_name) = match caller {
            Caller::Stranger(pin) => {
                let verifier = Arc::new(Pinned { pin, found: Arc::clone(&found) });
                (stranger_config(verifier)?, "a new node".to_owned(), ANY_NAME.to_owned())
            }
            Caller::Known(Credentials { identity, roots }) => {
                let config = tls::dialling_config(identity, roots, transport::ALPN_JOIN, Accepts::JOIN)?;
                (config, identity.principal().to_string(), identity.principal().cluster_dns_name())
            }
        };
        let addresses = connect::resolve(target, deadline).await?;
        let attempt = Attempt { config, server_name, us: us.clone(), deadline };
        let established = connect::connect(addresses, attempt).await.map_err(no_joining)?;
        let address = established.address;
        let ca = found.lock().take();
        Ok(Visit { established, peer: Peer { node: address.to_string(), address, us }, deadline, ca })
    }

    /// The CA that a stranger was told to believe, as the handshake brought it.
    pub fn ca(&self) -> Option<&CertificateDer<'static>> {
        self.ca.as_ref()
    }

    /// Asks; a refusal is an error that has the node's words.
    pub async fn ask(self, ask: Ask) -> Result<Answer, Error> {
        let Visit { established, peer, deadline, .. } = self;
        let question = join::encode(&Question { version: join::VERSION, ask });
        let question = question.map_err(|error| Error::Value { what: "the request", why: error.to_string() })?;
        let connection = &established.connection;
        let exchange = async {
            let (mut send, mut recv) = connection.open_bi().await?;
            // The other side may answer before it has read everything, and then reads no more.
            let _ = send.write_all(&question).await;
            let _ = send.finish();
            let bytes = recv.read_to_end(join::HEADER + limits::JOIN_BYTES).await;
            Ok(bytes.map_err(|error| error.to_string()))
        };
        let bytes = match timeout_at(deadline, exchange).await {
            Ok(Ok(Ok(bytes))) => bytes,
            // What was said when the connection was closed says more than that a stream of it has ended.
            Ok(Ok(Err(why))) => match connection.close_reason() {
                Some(error) => return Err(peer.connect_error(&error, Duration::ZERO)),
                None => return Err(peer.protocol(why)),
            },
            Ok(Err(error)) => return Err(peer.connect_error(&error, Duration::ZERO)),
            Err(_) => return Err(Error::NoAnswer { address: peer.address, after: limits::JOIN_TIME }),
        };
        let body = bytes.split_first_chunk().filter(|(header, body)| join::length(**header) == Ok(body.len()));
        let (_, body) = body.ok_or_else(|| peer.protocol("its answer is not one record"))?;
        let answer = join::decode(body).map_err(|error| peer.protocol(error))?;
        connection.close(transport::close_code(None), b"");
        established.endpoint.wait_idle().await;
        match answer {
            Answer::Refused(Refused { code, why }) => {
                Err(Error::Refused { node: peer.node, code, text: printable(&why) })
            }
            answer => Ok(answer),
        }
    }
}

/// TLS without a certificate of our own, and with a verifier that knows no CA but one.
fn stranger_config(verifier: Arc<Pinned>) -> Result<quinn::ClientConfig, Error> {
    let unusable = |error: rustls::Error| Error::Socket { why: error.to_string() };
    let tls = rustls::ClientConfig::builder_with_provider(transport::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls::quic_config(tls, transport::ALPN_JOIN, Accepts::JOIN)
}

/// Accepts a node of the cluster whose CA has this hash; the server sends that CA among its certificates.
#[derive(Debug)]
struct Pinned {
    pin: CaHash,
    found: Arc<Mutex<Option<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Pinned {
    /// The name that was dialled means nothing: which names a node of the cluster has follows from the CA.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let few = &intermediates[..intermediates.len().min(2 * limits::CERTIFICATE_CHAIN)];
        let ca = few.iter().find(|certificate| ca_hash(certificate) == self.pin);
        let ca = ca.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let cluster = tls::ca_cluster(ca);
        let cluster = cluster.ok_or(rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let name = ServerName::try_from(identity::node_dns_name(&cluster));
        let name = name.map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), transport::provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let verified = verifier.verify_server_cert(end_entity, few, &name, ocsp, now)?;
        *self.found.lock() = Some(ca.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = transport::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        transport::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A node that does not offer the protocol is told from a server that is no node.
fn no_joining(error: Error) -> Error {
    match error {
        Error::NotCorovan { address, why } if why == connect::OTHER_PROTOCOL => Error::NoJoining { address },
        other => other,
    }
}

/// TLS wants a name before it is known.
const ANY_NAME: &str = "join.corovan.internal";
