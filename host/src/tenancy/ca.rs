//! A cluster's certificate authority: makes itself, issues certificates that carry one identity each, and keeps them in
//! files. Works in memory as well, for embedded nodes. Time is an argument.

use super::{chain, files};
use corovan_client::{Credentials, Identity, Roots};
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, Principal, Role};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// A cluster's CA with its key, or one below it that issues for nodes.
pub struct Authority {
    pub(super) cluster: String,
    /// The root's certificate: what is trusted.
    pub(super) certificate: String,
    /// What goes after each certificate issued here, so that it leads to the root: empty where this is the root.
    pub(super) above: String,
    /// When it ends, and with it what it has issued.
    pub(super) ends: SystemTime,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// A certificate just made, with its key, both as PEM.
pub struct Issued {
    pub principal: Principal,
    pub chain: String,
    pub key: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] identity::Error),
    #[error("{path}: {why}", path = path.display())]
    File { path: PathBuf, why: String },
    #[error("{path} is there already; --force replaces it", path = .0.display())]
    Exists(PathBuf),
    #[error("no CA in {dir}: make one with `corovan cert init --dir {dir}`", dir = .0.display())]
    NoAuthority(PathBuf),
    #[error("no issuing CA in {dir}: make one where ca.key is, with `corovan cert issuer NAME --dir DIR`", dir = .0.display())]
    NoIssuer(PathBuf),
    #[error("{dir} holds several issuing CAs ({names}): give the node a directory with its own alone", dir = .dir.display())]
    Issuers { dir: PathBuf, names: String },
    #[error("an issuing CA can only be made with the cluster's own key")]
    NotTheRoot,
    #[error("the CA ends too soon to issue anything: at {}", humantime::format_rfc3339_seconds(*.0))]
    Ending(SystemTime),
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    Unusable(#[from] corovan_client::Error),
}

/// Files of a CA within its directory.
pub const CA_CERTIFICATE: &str = "ca.crt";
pub const CA_KEY: &str = "ca.key";

impl Authority {
    /// A new CA for a cluster of this name.
    pub fn generate(cluster: &str, now: SystemTime) -> Result<Authority, Error> {
        identity::check_name(cluster)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(&format!("corovan CA of {cluster}"), now, limits::AUTHORITY_LIFE);
        // Nodes that issue certificates will hold an intermediate CA each, and these none below them. There are no name
        // constraints: verifiers refuse those on URI names.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("{SCHEME}{cluster}"))?];
        let certificate = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let ends = now + limits::AUTHORITY_LIFE;
        Ok(Authority { cluster: cluster.to_owned(), certificate, above: String::new(), ends, issuer })
    }

    pub fn load(dir: &Path) -> Result<Authority, Error> {
        let (certificate_path, key_path) = (dir.join(CA_CERTIFICATE), dir.join(CA_KEY));
        if !certificate_path.exists() && !key_path.exists() {
            return Err(Error::NoAuthority(dir.to_owned()));
        }
        let loaded = Loaded::read(&certificate_path, &key_path)?;
        let cluster = corovan_client::tls::ca_cluster(&loaded.der).ok_or_else(|| Error::File {
            path: certificate_path,
            why: "is not the CA of a Corovan cluster: it has no name spiffe://CLUSTER".into(),
        })?;
        let Loaded { pem, ends, issuer, .. } = loaded;
        Ok(Authority { cluster, certificate: pem, above: String::new(), ends, issuer })
    }

    /// The CA in this directory, made on first use: a node without certificates has its own.
    pub fn load_or_generate(dir: &Path, cluster: &str, now: SystemTime) -> Result<Authority, Error> {
        match Authority::load(dir) {
            Err(Error::NoAuthority(_)) => {
                let authority = Authority::generate(cluster, now)?;
                authority.save(dir, false)?;
                Ok(authority)
            }
            other => other,
        }
    }

    /// Writes `ca.crt` and `ca.key`; the files written.
    pub fn save(&self, dir: &Path, replace: bool) -> Result<[PathBuf; 2], Error> {
        save_pair(
            dir,
            [CA_CERTIFICATE, CA_KEY],
            [self.certificate.as_bytes(), self.issuer.key().serialize_pem().as_bytes()],
            replace,
        )
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The CA's certificate as PEM: what others need to trust this cluster.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate for one role and name.
    pub fn issue(&self, role: Role, name: &str, now: SystemTime, life: Duration) -> Result<Issued, Error> {
        let principal = Principal::new(&self.cluster, role, name)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let chain = self.certify(&principal, &key, now, life)?;
        Ok(Issued { principal, chain, key: key.serialize_pem() })
    }

    /// A certificate of this identity for somebody's key, with those that lead to the root, as PEM. Ends with this CA at the
    /// latest: beyond that nobody would believe it.
    pub fn certify(
        &self,
        principal: &Principal,
        key: &impl PublicKeyData,
        now: SystemTime,
        life: Duration,
    ) -> Result<String, Error> {
        let left = self.ends.duration_since(now).unwrap_or_default();
        if left < limits::ISSUER_MARGIN {
            return Err(Error::Ending(self.ends));
        }
        let subject = format!("{} {} of {}", principal.role(), principal.name(), self.cluster);
        let mut params = params(&subject, now, life.min(left));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(&principal.to_string())?];
        if let Some(own) = principal.dns_name() {
            params.extended_key_usages.insert(0, ExtendedKeyUsagePurpose::ServerAuth);
            for dns in [own, principal.cluster_dns_name()] {
                params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from(dns)?));
            }
        }
        Ok(params.signed_by(key, &self.issuer)?.pem() + &self.above)
    }

    /// What whoever holds `issued` needs to connect, without going through files.
    pub fn credentials(&self, issued: &Issued) -> Result<Credentials, Error> {
        Ok(Credentials { identity: issued.identity()?, roots: self.roots()? })
    }

    pub fn roots(&self) -> Result<Roots, Error> {
        Ok(Roots::from_pem(&self.certificate)?)
    }
}

/// A CA's certificate and key, read from files and found to belong together.
pub(super) struct Loaded {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub ends: SystemTime,
    pub issuer: Issuer<'static, KeyPair>,
}

impl Loaded {
    pub fn read(certificate_path: &Path, key_path: &Path) -> Result<Loaded, Error> {
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| file_error(path, error));
        let (pem, key) = (read(certificate_path)?, read(key_path)?);
        let fault = |path: &Path, why: String| Error::File { path: path.to_owned(), why };
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| fault(certificate_path, format!("holds no certificate in PEM form: {error}")))?;
        let secret = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| fault(key_path, format!("holds no private key in PEM form: {error}")))?;
        let provider = corovan_client::transport::provider();
        let shown = certificate_path.file_name().unwrap_or_default().display();
        rustls::sign::CertifiedKey::from_der(vec![der.clone()], secret, &provider)
            .map_err(|error| fault(key_path, format!("is not the key of {shown}: {error}")))?;
        let ends = chain::validity(&der).map_err(|why| fault(certificate_path, why))?.until;
        let issuer = Issuer::from_ca_cert_der(&der, KeyPair::from_pem(&key)?)?;
        Ok(Loaded { pem, der, ends, issuer })
    }
}

impl Issued {
    pub fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity::from_pem(&self.chain, &self.key)?)
    }

    /// Writes `ROLE-NAME.crt` and `ROLE-NAME.key`; the files written.
    pub fn save(&self, dir: &Path, replace: bool) -> Result<[PathBuf; 2], Error> {
        let stem = format!("{}-{}", self.principal.role(), self.principal.name());
        let names = [format!("{stem}.crt"), format!("{stem}.key")];
        save_pair(dir, [&names[0], &names[1]], [self.chain.as_bytes(), self.key.as_bytes()], replace)
    }
}

/// Writes a certificate and its key. Looks at both names first, so that nothing is left half replaced.
pub(super) fn save_pair(
    dir: &Path,
    names: [&str; 2],
    contents: [&[u8]; 2],
    replace: bool,
) -> Result<[PathBuf; 2], Error> {
    let [certificate, key] = names.map(|name| dir.join(name));
    files::private_dir(dir).map_err(|error| file_error(dir, error))?;
    if !replace && let Some(path) = [&certificate, &key].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::Exists(path.clone()));
    }
    // The key first: a certificate without its key is of no use, and the other way round it is at least not public.
    files::write(&key, contents[1], files::PRIVATE, replace).map_err(|error| file_error(&key, error))?;
    files::write(&certificate, contents[0], files::PUBLIC, replace).map_err(|error| file_error(&certificate, error))?;
    Ok([certificate, key])
}

pub(super) fn params(subject: &str, now: SystemTime, life: Duration) -> CertificateParams {
    let now = OffsetDateTime::from(now);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.not_before = now - limits::CLOCK_SKEW;
    params.not_after = now + life;
    params
}

pub(super) fn uri(text: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(Ia5String::try_from(text)?))
}

pub(super) fn file_error(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => Error::File { path: path.to_owned(), why: error.to_string() },
    }
}

pub(super) const SCHEME: &str = "spiffe://";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_saved_authority_loads_back_and_goes_on_issuing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("deep/ca");
        let made = Authority::generate("dev", now()).unwrap();
        made.save(&dir, false).unwrap();
        let loaded = Authority::load(&dir).unwrap();
        assert_eq!((loaded.cluster(), loaded.certificate()), ("dev", made.certificate()));
        let issued = loaded.issue(Role::Tenant, "me", now(), limits::CERTIFICATE_LIFE).unwrap();
        let identity = issued.identity().unwrap();
        assert_eq!(identity.principal().to_string(), "spiffe://dev/tenant/me");
        let again = Authority::load_or_generate(&dir, "other", now()).unwrap();
        assert_eq!(again.cluster(), "dev", "what is there is kept");
    }

    #[test]
    fn keys_are_private_and_nothing_is_overwritten_without_being_asked() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("ca");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let authority = Authority::generate("dev", now()).unwrap();
        let [certificate, key] = authority.save(&dir, false).unwrap();
        assert_eq!([mode(&dir), mode(&certificate), mode(&key)], [0o700, 0o644, 0o600]);
        let node = authority.issue(Role::Node, "a", now(), limits::CERTIFICATE_LIFE).unwrap();
        let [certificate, key] = node.save(&dir, false).unwrap();
        assert!(certificate.ends_with("node-a.crt") && key.ends_with("node-a.key"));
        assert_eq!(mode(&key), 0o600);

        let before = std::fs::read(&key).unwrap();
        let second = authority.issue(Role::Node, "a", now(), limits::CERTIFICATE_LIFE).unwrap();
        assert!(matches!(second.save(&dir, false), Err(Error::Exists(_))));
        std::fs::remove_file(&certificate).unwrap();
        assert!(matches!(second.save(&dir, false), Err(Error::Exists(_))), "the key alone counts too");
        assert_eq!(std::fs::read(&key).unwrap(), before);
        second.save(&dir, true).unwrap();
        assert_ne!(std::fs::read(&key).unwrap(), before);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn damaged_or_mixed_up_files_are_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        assert!(matches!(Authority::load(dir), Err(Error::NoAuthority(_))));
        let authority = Authority::generate("dev", now()).unwrap();
        let [certificate, key] = authority.save(dir, false).unwrap();
        let says = |part: &str| {
            let error = Authority::load(dir).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        };
        std::fs::remove_file(&key).unwrap();
        says("ca.key");
        std::fs::write(&key, "nonsense").unwrap();
        says("no private key in PEM form");
        let other = Authority::generate("dev", now()).unwrap();
        std::fs::write(&key, other.issuer.key().serialize_pem()).unwrap();
        says("is not the key of ca.crt");
        let leaf = authority.issue(Role::Tenant, "me", now(), limits::CERTIFICATE_LIFE).unwrap();
        std::fs::write(&certificate, &leaf.chain).unwrap();
        std::fs::write(&key, &leaf.key).unwrap();
        says("not the CA of a Corovan cluster");
        std::fs::write(&certificate, "").unwrap();
        says("no certificate in PEM form");
    }

    #[test]
    fn names_that_are_not_names_are_refused() {
        for bad in ["", "A", "a.b", "a/b", "-a", "ä", "../x"] {
            assert!(Authority::generate(bad, now()).is_err(), "{bad:?}");
            let authority = Authority::generate("dev", now()).unwrap();
            assert!(authority.issue(Role::Node, bad, now(), limits::CERTIFICATE_LIFE).is_err(), "{bad:?}");
        }
    }
}
