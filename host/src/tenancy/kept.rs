//! A node's own credentials in its data directory, which it has got for itself and renews: the key, made here and never
//! shown to anybody, the certificate, the CA it believes, and whom it asked. Each file is private, and complete or absent.

use super::ca::{Authority, CA_CERTIFICATE, Error, file_error};
use super::{chain, files, request};
use corovan_client::{Credentials, Identity, Roots};
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use rustls::pki_types::CertificateDer;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The directory `credentials` of one node.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
    name: String,
}

const DIR: &str = "credentials";
const ASKED: &str = "joined-at";

impl Kept {
    pub fn new(data: &Path, name: &str) -> Kept {
        Kept { dir: data.join(DIR), name: name.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is there; `None` where this node has got nothing yet.
    pub fn load(&self) -> Result<Option<Credentials>, Error> {
        if !self.certificate().exists() {
            return Ok(None);
        }
        Ok(Some(Credentials::load(self.certificate(), self.key_path(), self.dir.join(CA_CERTIFICATE))?))
    }

    /// The name of another node whose credentials are there.
    pub fn other(&self) -> Option<String> {
        let name =
            |file: std::ffi::OsString| Some(file.to_str()?.strip_prefix("node-")?.strip_suffix(".crt")?.to_owned());
        let mut entries = std::fs::read_dir(&self.dir).ok()?;
        entries.find_map(|entry| name(entry.ok()?.file_name()).filter(|name| *name != self.name))
    }

    /// The key as PEM, made where there is none yet.
    pub fn key(&self) -> Result<String, Error> {
        let path = self.key_path();
        match std::fs::read_to_string(&path) {
            Ok(key) => Ok(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = request::new_key()?;
                self.write(&path, &key)?;
                Ok(key)
            }
            Err(error) => Err(file_error(&path, error)),
        }
    }

    /// Keeps a certificate that was granted for our key, if it is what was asked for.
    pub fn keep(
        &self,
        principal: &Principal,
        granted: &[CertificateDer<'_>],
        ca: &str,
        now: SystemTime,
    ) -> Result<Credentials, Error> {
        let wrong = |why: String| Error::File { path: self.certificate(), why };
        let roots = Roots::from_pem(ca)?;
        let named = chain::node(granted, &roots, now)
            .map_err(|why| wrong(format!("what was granted is not of this CA: {why}")))?;
        if named != *principal {
            return Err(wrong(format!("what was granted is for {named}, not for {principal}")));
        }
        let chain: String = granted.iter().map(|certificate| text(certificate)).collect();
        // Fails where it is not for our key.
        let identity = Identity::from_pem(&chain, &self.key()?)?;
        self.write(&self.dir.join(CA_CERTIFICATE), ca)?;
        // Last: with it, all is there.
        self.write(&self.certificate(), &chain)?;
        Ok(Credentials { identity, roots })
    }

    /// The same for a later one, of the CA that is believed already.
    pub fn renewed(
        &self,
        principal: &Principal,
        granted: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<Credentials, Error> {
        let path = self.dir.join(CA_CERTIFICATE);
        let ca = std::fs::read_to_string(&path).map_err(|error| file_error(&path, error))?;
        self.keep(principal, granted, &ca, now)
    }

    /// An issuing node certifies itself.
    pub fn keep_own(&self, authority: &Authority, now: SystemTime) -> Result<Credentials, Error> {
        let principal = Principal::new(authority.cluster(), Role::Node, &self.name)?;
        let csr = request::read(&request::make(&principal, &self.key()?)?);
        let csr = csr.map_err(|error| Error::File { path: self.key_path(), why: error.to_string() })?;
        let chain = authority.certify(&principal, &csr.key, now, limits::CERTIFICATE_LIFE)?;
        let chain = Identity::from_pem(&chain, &self.key()?)?;
        self.keep(&principal, chain.chain(), authority.certificate(), now)
    }

    /// Whom to ask for the next certificate.
    pub fn asked(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.join(ASKED)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text.len() <= limits::NAME_BYTES * 2)
    }

    pub fn keep_asked(&self, address: &str) -> Result<(), Error> {
        self.write(&self.dir.join(ASKED), &format!("{address}\n"))
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join(format!("node-{}.crt", self.name))
    }

    fn key_path(&self) -> PathBuf {
        self.dir.join(format!("node-{}.key", self.name))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        files::private_dir(&self.dir).map_err(|error| file_error(&self.dir, error))?;
        files::write(path, text.as_bytes(), files::PRIVATE, true).map_err(|error| file_error(path, error))
    }
}

/// A certificate as PEM.
pub fn text(certificate: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate), config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn root() -> Authority {
        Authority::generate("dev", now()).unwrap()
    }

    fn granted(authority: &Authority, kept: &Kept, name: &str) -> Vec<CertificateDer<'static>> {
        let principal = Principal::new("dev", Role::Node, name).unwrap();
        let csr = request::read(&request::make(&principal, &kept.key().unwrap()).unwrap()).unwrap();
        let chain = authority.certify(&principal, &csr.key, now(), limits::CERTIFICATE_LIFE).unwrap();
        Identity::from_pem(&chain, &kept.key().unwrap()).unwrap().chain().to_vec()
    }

    #[test]
    fn what_is_kept_is_private_and_loads_back() {
        let data = tempfile::tempdir().unwrap();
        let (authority, kept) = (root(), Kept::new(data.path(), "b"));
        assert!(kept.load().unwrap().is_none() && kept.asked().is_none() && kept.other().is_none());
        let credentials = kept.keep_own(&authority, now()).unwrap();
        kept.keep_asked("host:1").unwrap();
        let loaded = kept.load().unwrap().unwrap();
        assert_eq!(loaded.identity.chain(), credentials.identity.chain());
        assert_eq!(kept.asked().as_deref(), Some("host:1"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(kept.dir()), 0o700);
        let files: Vec<_> = std::fs::read_dir(kept.dir()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 4, "{files:?}");
        assert!(files.iter().all(|path| mode(path) == 0o600));
        assert_eq!(Kept::new(data.path(), "c").other().as_deref(), Some("b"));
    }

    #[test]
    fn a_certificate_that_is_not_what_was_asked_for_is_not_kept() {
        let data = tempfile::tempdir().unwrap();
        let (authority, kept) = (root(), Kept::new(data.path(), "b"));
        let principal = Principal::new("dev", Role::Node, "b").unwrap();
        let stolen = Kept::new(&data.path().join("other"), "b");
        for (granted, why) in [
            (granted(&root(), &kept, "b"), "not of this CA"),
            (granted(&authority, &kept, "c"), "is for spiffe://dev/node/c"),
            (granted(&authority, &stolen, "b"), "is not the key"),
            (Vec::new(), "no certificate"),
        ] {
            let error = kept.keep(&principal, &granted, authority.certificate(), now()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(kept.load().unwrap().is_none());
        }
        let good = granted(&authority, &kept, "b");
        kept.keep(&principal, &good, authority.certificate(), now()).unwrap();
        assert_eq!(kept.load().unwrap().unwrap().identity.chain(), good);
    }
}
