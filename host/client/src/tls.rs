//! Credentials: a certificate chain with its key, the CA that is trusted, and what they prove. Loaded from PEM files with
//! errors that name the file; turned into TLS 1.3 settings without resumption or 0-RTT.

use crate::error::Error;
use crate::transport::{self, Accepts};
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, Principal};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who we are: a certificate chain, leaf first, and the key of the leaf. The two were checked to belong together.
#[derive(Clone)]
pub struct Identity {
    principal: Principal,
    certified: Arc<CertifiedKey>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Whom we trust: the CA certificates of one cluster.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    certificates: Arc<[CertificateDer<'static>]>,
}

/// What a client needs to connect.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub identity: Identity,
    pub roots: Roots,
}

impl Credentials {
    /// Reads PEM files: our certificate chain, its key, the cluster's CA.
    pub fn load(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        roots: impl AsRef<Path>,
    ) -> Result<Credentials, Error> {
        Ok(Credentials { identity: Identity::load(certificate, key)?, roots: Roots::load(roots)? })
    }

    /// TLS and QUIC settings of a client.
    pub fn client_config(&self) -> Result<quinn::ClientConfig, Error> {
        client_config(&self.identity, &self.roots)
    }
}

impl Identity {
    pub fn load(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity, Error> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let chain = read(certificate)?;
        let secret = read(key)?;
        Identity::parse(&chain, certificate, &secret, key)
    }

    /// The same from PEM in memory.
    pub fn from_pem(chain: &str, key: &str) -> Result<Identity, Error> {
        Identity::parse(chain.as_bytes(), Path::new("certificate"), key.as_bytes(), Path::new("key"))
    }

    fn parse(chain: &[u8], chain_path: &Path, key: &[u8], key_path: &Path) -> Result<Identity, Error> {
        let chain = certificates(chain, chain_path)?;
        let fault = |why: String| Error::Credentials { path: chain_path.to_owned(), why };
        let key_fault = |why: String| Error::Credentials { path: key_path.to_owned(), why };
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| key_fault(format!("holds no private key in PEM form: {error}")))?;
        let principal = principal(&chain[0]).map_err(|error| fault(error.to_string()))?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &transport::provider()).map_err(|error| {
            key_fault(match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!("is not the key of the certificate in {}", chain_path.display())
                }
                other => format!("cannot be used as a key: {other}"),
            })
        })?;
        Ok(Identity { principal, certified: Arc::new(certified), key: Arc::new(key) })
    }

    /// Whom the certificate names.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

/// Never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.principal)
    }
}

impl Roots {
    pub fn load(path: impl AsRef<Path>) -> Result<Roots, Error> {
        Roots::parse(&read(path.as_ref())?, path.as_ref())
    }

    pub fn from_pem(pem: &str) -> Result<Roots, Error> {
        Roots::parse(pem.as_bytes(), Path::new("CA certificate"))
    }

    pub fn store(&self) -> Arc<RootCertStore> {
        self.store.clone()
    }

    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    fn parse(pem: &[u8], path: &Path) -> Result<Roots, Error> {
        let mut store = RootCertStore::empty();
        let certificates = certificates(pem, path)?;
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| Error::Credentials {
                path: path.to_owned(),
                why: format!("cannot be used as a CA certificate: {error}"),
            })?;
        }
        Ok(Roots { store: Arc::new(store), certificates: certificates.into() })
    }
}

/// TLS and QUIC settings of a client.
pub fn client_config(identity: &Identity, roots: &Roots) -> Result<quinn::ClientConfig, Error> {
    dialling_config(identity, roots, transport::ALPN, Accepts::CLIENT)
}

/// TLS and QUIC settings of whoever dials: mutual TLS 1.3, no resumption (it would skip the certificate check), no 0-RTT.
pub fn dialling_config(
    identity: &Identity,
    roots: &Roots,
    alpn: &[u8],
    accepts: Accepts,
) -> Result<quinn::ClientConfig, Error> {
    let unusable = |error: String| Error::Credentials { path: PathBuf::from("certificate"), why: error };
    let tls = rustls::ClientConfig::builder_with_provider(transport::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots.store())
        .with_client_auth_cert(identity.chain().to_vec(), identity.key())
        .map_err(|error| unusable(error.to_string()))?;
    quic_config(tls, alpn, accepts)
}

/// QUIC around TLS settings of whoever dials, for one protocol.
pub(crate) fn quic_config(
    mut tls: rustls::ClientConfig,
    alpn: &[u8],
    accepts: Accepts,
) -> Result<quinn::ClientConfig, Error> {
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls);
    let crypto = crypto.map_err(|error| Error::Socket { why: error.to_string() })?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport::transport_config(accepts));
    Ok(config)
}

/// Why a certificate names nobody.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    #[error("not a certificate: {0}")]
    Certificate(String),
    #[error("the certificate names no Corovan identity (a spiffe:// URI); make one with `corovan cert`")]
    None,
    #[error("the certificate has more than one URI name; exactly one identity is allowed")]
    Many,
    #[error(transparent)]
    Identity(#[from] corovan_core::tenancy::identity::Error),
}

/// Whom a certificate names. Says nothing about who signed it: that is the verifier's business.
pub fn principal(certificate: &CertificateDer<'_>) -> Result<Principal, NameError> {
    let certificate =
        webpki::EndEntityCert::try_from(certificate).map_err(|error| NameError::Certificate(error.to_string()))?;
    let mut names = certificate.valid_uri_names();
    match (names.next(), names.next()) {
        (Some(uri), None) => Ok(uri.parse()?),
        (None, _) => Err(NameError::None),
        (Some(_), Some(_)) => Err(NameError::Many),
    }
}

/// The cluster that a CA's certificate names, as `spiffe://CLUSTER`.
pub fn ca_cluster(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_uri_names();
    let cluster = names.next()?.strip_prefix("spiffe://")?;
    let single = names.next().is_none();
    (single && identity::check_name(cluster).is_ok()).then(|| cluster.to_owned())
}

/// Whom the other side of an established connection has proved to be.
pub fn peer_principal(connection: &quinn::Connection) -> Result<Principal, NameError> {
    let chain = connection.peer_identity().and_then(|peer| peer.downcast::<Vec<CertificateDer<'static>>>().ok());
    principal(chain.as_deref().and_then(|chain| chain.first()).ok_or(NameError::None)?)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fault = |why: String| Error::Credentials { path: path.to_owned(), why };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(format!("is not PEM: {error}")))?;
    match chain.len() {
        0 => Err(fault("holds no certificate in PEM form".into())),
        1..=limits::CERTIFICATE_CHAIN => Ok(chain),
        more => Err(fault(format!("holds {more} certificates, more than the {} allowed", limits::CERTIFICATE_CHAIN))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let fault = |why: String| Error::Credentials { path: path.to_owned(), why };
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fault("no such file; `corovan cert` makes certificates".into()),
        _ => fault(format!("cannot be read: {error}")),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(limits::CREDENTIAL_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| fault(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limits::CREDENTIAL_FILE_BYTES {
        return Err(fault(format!("has more than {} bytes, so no certificate or key", limits::CREDENTIAL_FILE_BYTES)));
    }
    Ok(bytes)
}
