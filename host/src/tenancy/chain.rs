//! Certificate chains: whether one leads to the root, how long it is valid, and when it is time for the next. The time to
//! compare with is an argument.

use corovan_client::tls::{self, Roots};
use corovan_client::transport;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From when to when a certificate is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    pub from: SystemTime,
    pub until: SystemTime,
}

impl Validity {
    /// When it is time for the next one: a third of its life is over.
    pub fn due(&self) -> SystemTime {
        self.from + self.until.duration_since(self.from).unwrap_or_default() / limits::RENEW_AFTER
    }
}

/// Reads it off a certificate; the error is what is wrong with it.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| "is no certificate".to_owned())?;
    let moment = |seconds: i64| {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST_YEAR);
        seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)).ok_or("has no usable dates".to_owned())
    };
    let stated = parsed.validity();
    Ok(Validity { from: moment(stated.not_before.timestamp())?, until: moment(stated.not_after.timestamp())? })
}

/// The node that this chain, leaf first, is the certificate of; the error says why it is none.
pub fn node(chain: &[CertificateDer<'_>], roots: &Roots, now: SystemTime) -> Result<Principal, String> {
    let principal = holder(chain, roots, now)?;
    match principal.role() {
        Role::Node => Ok(principal),
        _ => Err(format!("{principal} is no node")),
    }
}

/// The key of a certificate, as a point or in the form that its algorithm has.
pub fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| "is no certificate".to_owned())?;
    Ok(parsed.public_key().subject_public_key.data.to_vec())
}

/// Whose certificate this chain, leaf first, is.
pub fn holder(chain: &[CertificateDer<'_>], roots: &Roots, now: SystemTime) -> Result<Principal, String> {
    if chain.len() > limits::CERTIFICATE_CHAIN {
        return Err(format!("{} certificates are too many for a chain", chain.len()));
    }
    let (leaf, above) = chain.split_first().ok_or("there is no certificate")?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.store(), transport::provider()).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    verifier.verify_client_cert(leaf, above, now).map_err(|error| error.to_string())?;
    tls::principal(leaf).map_err(|error| error.to_string())
}

/// The end of the year 9999, the last that a certificate can name.
const LAST_YEAR: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::ca::Authority;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_certificate_of_thirty_days_is_due_on_the_tenth() {
        let authority = Authority::generate("dev", now()).unwrap();
        let issued = authority.issue(Role::Node, "a", now(), limits::CERTIFICATE_LIFE).unwrap();
        let validity = validity(&issued.identity().unwrap().chain()[0]).unwrap();
        assert_eq!(validity, Validity { from: now() - limits::CLOCK_SKEW, until: now() + 30 * DAY });
        assert!(validity.due() > now() + 9 * DAY && validity.due() < now() + 10 * DAY);
        assert!(super::validity(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }

    #[test]
    fn a_chain_is_a_nodes_while_it_is_valid_and_leads_to_the_root() {
        let root = Authority::generate("dev", now()).unwrap();
        let chain = |role, life| root.issue(role, "a", now(), life).unwrap().identity().unwrap().chain().to_vec();
        let roots = root.roots().unwrap();
        let good = chain(Role::Node, 2 * DAY);
        assert_eq!(node(&good, &roots, now() + DAY).unwrap().to_string(), "spiffe://dev/node/a");
        let other = Authority::generate("dev", now()).unwrap().roots().unwrap();
        for (chain, roots, at, why) in [
            (&good, &roots, now() + 3 * DAY, "expired"),
            (&good, &other, now(), "signature"),
            (&chain(Role::Tenant, DAY), &roots, now(), "is no node"),
            (&Vec::new(), &roots, now(), "no certificate"),
            (&vec![good[0].clone(); 9], &roots, now(), "too many"),
        ] {
            let error = node(chain, roots, at).unwrap_err();
            assert!(error.to_lowercase().contains(why), "{error}");
        }
    }
}
