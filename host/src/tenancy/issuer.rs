//! CAs below the root: a node that has one issues certificates, and the root's key stays where no node is.

use super::ca::{self, Authority, CA_CERTIFICATE, Error, Loaded};
use super::chain;
use corovan_client::Roots;
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, Role};
use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

impl Authority {
    /// Makes an issuing CA signed by this root, as `issuer-NAME.crt` and `issuer-NAME.key`; the files written.
    pub fn save_issuer(
        &self,
        name: &str,
        now: SystemTime,
        life: Duration,
        dir: &Path,
        replace: bool,
    ) -> Result<[PathBuf; 2], Error> {
        let (certificate, key) = self.make_issuer(name, now, life)?;
        let names = [format!("{PREFIX}{name}.crt"), format!("{PREFIX}{name}.key")];
        ca::save_pair(dir, [&names[0], &names[1]], [certificate.as_bytes(), key.as_bytes()], replace)
    }

    /// The issuing CA in a directory that has `ca.crt` and one `issuer-NAME`. It is tried out: what it issues must be believed.
    pub fn load_issuer(dir: &Path, now: SystemTime) -> Result<Authority, Error> {
        let name = only_issuer(dir)?;
        let certificate_path = dir.join(format!("{PREFIX}{name}.crt"));
        let loaded = Loaded::read(&certificate_path, &dir.join(format!("{PREFIX}{name}.key")))?;
        let root_path = dir.join(CA_CERTIFICATE);
        let certificate = std::fs::read_to_string(&root_path).map_err(|error| ca::file_error(&root_path, error))?;
        let roots = Roots::load(&root_path)?;
        let cluster = roots.certificates().iter().find_map(corovan_client::tls::ca_cluster);
        let cluster = cluster.ok_or_else(|| Error::File {
            path: root_path,
            why: "is not the CA of a Corovan cluster: it has no name spiffe://CLUSTER".into(),
        })?;
        let Loaded { pem, ends, issuer, .. } = loaded;
        let authority = Authority { cluster, certificate, above: pem, ends, issuer };
        let tried = authority.issue(Role::Node, &name, now, limits::CERTIFICATE_LIFE)?;
        chain::node(tried.identity()?.chain(), &roots, now).map_err(|why| Error::File {
            path: certificate_path,
            why: format!("what this CA issues would not be believed: {why}. Make it anew with `corovan cert issuer`"),
        })?;
        Ok(authority)
    }

    /// When it ends; what it issues ends no later.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    fn make_issuer(&self, name: &str, now: SystemTime, life: Duration) -> Result<(String, String), Error> {
        identity::check_name(name)?;
        if !self.above.is_empty() {
            return Err(Error::NotTheRoot);
        }
        let left = self.ends.duration_since(now).unwrap_or_default();
        let mut params = ca::params(&format!("corovan issuer {name} of {}", self.cluster), now, life.min(left));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        // No role that a connection could be made with: this name is for people.
        params.subject_alt_names = vec![ca::uri(&format!("{}{}/issuer/{name}", ca::SCHEME, self.cluster))?];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

/// The name of the one issuer of a directory.
fn only_issuer(dir: &Path) -> Result<String, Error> {
    let entries = std::fs::read_dir(dir).map_err(|error| ca::file_error(dir, error))?;
    let name = |file: std::ffi::OsString| {
        let name = file.to_str()?.strip_prefix(PREFIX)?.strip_suffix(".crt")?.to_owned();
        identity::check_name(&name).is_ok().then_some(name)
    };
    let mut names: Vec<String> = entries.filter_map(|entry| name(entry.ok()?.file_name())).collect();
    names.sort();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => Err(Error::NoIssuer(dir.to_owned())),
        (Some(last), false) => {
            names.push(last);
            Err(Error::Issuers { dir: dir.to_owned(), names: names.join(", ") })
        }
    }
}

const PREFIX: &str = "issuer-";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn what_an_issuing_ca_issues_leads_to_the_root_and_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Authority::generate("dev", now()).unwrap();
        root.save(dir.path(), false).unwrap();
        assert!(matches!(Authority::load_issuer(dir.path(), now()), Err(Error::NoIssuer(_))));
        root.save_issuer("x", now(), limits::ISSUER_LIFE, dir.path(), false).unwrap();
        std::fs::remove_file(dir.path().join(ca::CA_KEY)).unwrap();
        let issuer = Authority::load_issuer(dir.path(), now()).unwrap();
        assert_eq!((issuer.cluster(), issuer.certificate()), ("dev", root.certificate()));
        let roots = root.roots().unwrap();
        let chain_at = |at| issuer.issue(Role::Node, "a", at, limits::CERTIFICATE_LIFE).unwrap();
        let early = chain_at(now()).identity().unwrap();
        assert_eq!(early.chain().len(), 2);
        assert_eq!(chain::node(early.chain(), &roots, now() + DAY).unwrap().name(), "a");
        assert!(chain::node(&early.chain()[..1], &roots, now()).is_err(), "the issuer's certificate is needed");
        let late = chain_at(now() + 80 * DAY).identity().unwrap();
        assert_eq!(chain::validity(&late.chain()[0]).unwrap().until, issuer.ends());
        let after = issuer.issue(Role::Node, "a", now() + 90 * DAY, DAY);
        assert!(matches!(after, Err(Error::Ending(_))));
        assert!(matches!(issuer.make_issuer("y", now(), DAY), Err(Error::NotTheRoot)));
        root.save_issuer("y", now(), DAY, dir.path(), false).unwrap();
        let error = Authority::load_issuer(dir.path(), now()).err().unwrap().to_string();
        assert!(error.contains("(x, y)"), "{error}");
    }

    #[test]
    fn an_issuing_ca_of_another_cluster_or_another_time_is_named_when_it_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let root = Authority::generate("dev", now()).unwrap();
        root.save_issuer("x", now(), limits::ISSUER_LIFE, dir.path(), false).unwrap();
        let says = |at, part: &str| {
            let error = Authority::load_issuer(dir.path(), at).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        };
        says(now(), "ca.crt");
        Authority::generate("dev", now()).unwrap().save(dir.path(), true).unwrap();
        says(now(), "would not be believed");
        root.save(dir.path(), true).unwrap();
        says(now() + 90 * DAY, "ends too soon");
        // A node's certificate under an issuer's file name issues nothing.
        let node = root.issue(Role::Node, "x", now(), DAY).unwrap();
        std::fs::write(dir.path().join("issuer-x.crt"), &node.chain).unwrap();
        says(now(), "is not the key of issuer-x.crt");
        std::fs::write(dir.path().join("issuer-x.key"), &node.key).unwrap();
        says(now(), "would not be believed");
    }
}
