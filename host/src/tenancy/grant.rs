//! Checks grants: the certificate in one leads to the cluster's CA and names the tenant, its key has made the signature, and the
//! grant counts now. What was found good is remembered.

use super::chain;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use ciborium::Value;
use corovan_client::Roots;
use corovan_client::grant::CONTEXT;
use corovan_core::limits;
use corovan_core::tenancy::grant::{self, Grant};
use corovan_core::tenancy::identity::Role;
use coset::iana::{Algorithm, EnumI64, HeaderParameter};
use coset::{CborSerializable, CoseSign1, Label, RegisteredLabelWithPrivate};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Checks grants for one cluster.
pub struct Verifier {
    cluster: String,
    roots: Roots,
    known: Mutex<Known>,
}

/// Those found good, by the hash of their bytes; the oldest go first.
#[derive(Default)]
struct Known {
    good: HashMap<[u8; 32], Arc<Grant>>,
    order: VecDeque<[u8; 32]>,
}

/// Why a grant is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no COSE_Sign1 message with a payload: {0}")]
    Message(String),
    #[error("its certificate chain is missing or not as RFC 9360 has it")]
    Chain,
    #[error("its certificate is not believed: {0}")]
    Certificate(String),
    #[error("its signature is not that of its certificate's key")]
    Signature,
    #[error("it is signed with an algorithm that is not used for grants")]
    Algorithm,
    #[error("it says that a part of its header must be understood that this node does not know")]
    Critical,
    #[error("{signer:?} has signed for tenant {tenant:?}")]
    Tenant { signer: String, tenant: String },
    #[error(transparent)]
    Grant(#[from] grant::Error),
}

impl Verifier {
    pub fn new(cluster: &str, roots: Roots) -> Verifier {
        Verifier { cluster: cluster.to_owned(), roots, known: Mutex::default() }
    }

    /// The grant that these bytes are, at this time (nanoseconds of the Unix epoch).
    pub fn verify(&self, bytes: &[u8], now: u64) -> Result<Arc<Grant>, Error> {
        let seconds = now / 1_000_000_000;
        let hash = *blake3::hash(bytes).as_bytes();
        let known = self.known.lock().good.get(&hash).cloned();
        let grant = match known {
            Some(grant) => grant,
            None => {
                let grant = Arc::new(self.examine(bytes, now)?);
                self.known.lock().keep(hash, Arc::clone(&grant));
                grant
            }
        };
        grant.check(&self.cluster, seconds)?;
        Ok(grant)
    }

    fn examine(&self, bytes: &[u8], now: u64) -> Result<Grant, Error> {
        if bytes.len() > limits::FRAME_HEAD {
            return Err(grant::Error::TooLarge(bytes.len()).into());
        }
        corovan_core::wire::cbor::check(bytes).map_err(|error| Error::Message(error.to_string()))?;
        let message = CoseSign1::from_slice(bytes).map_err(|error| Error::Message(error.to_string()))?;
        // RFC 9052, section 3.1: it counts for those who understand all of these, and only the protected ones are signed.
        let known = |label: &RegisteredLabelWithPrivate<HeaderParameter>| {
            [HeaderParameter::Alg, HeaderParameter::X5Chain].map(RegisteredLabelWithPrivate::Assigned).contains(label)
        };
        if !message.protected.header.crit.iter().all(known) || !message.unprotected.crit.is_empty() {
            return Err(Error::Critical);
        }
        let chain = x5chain(&message).ok_or(Error::Chain)?;
        // An issuing node's CA is believed about nodes only.
        let [certificate] = &chain[..] else {
            return Err(Error::Certificate("the root itself signs tenants' certificates".into()));
        };
        let signer = chain::holder(&chain, &self.roots, UNIX_EPOCH + Duration::from_nanos(now));
        let signer = signer.map_err(Error::Certificate)?;
        if signer.role() != Role::Tenant {
            return Err(Error::Certificate(format!("{signer} is no tenant")));
        }
        let algorithm: &'static dyn VerificationAlgorithm = match message.protected.header.alg {
            Some(RegisteredLabelWithPrivate::Assigned(Algorithm::ES256)) => &ECDSA_P256_SHA256_FIXED,
            Some(RegisteredLabelWithPrivate::Assigned(Algorithm::EdDSA)) => &ED25519,
            _ => return Err(Error::Algorithm),
        };
        let key = chain::public_key(certificate).map_err(Error::Certificate)?;
        let key = UnparsedPublicKey::new(algorithm, key);
        message
            .verify_signature(CONTEXT, |signature, signed| key.verify(signed, signature))
            .map_err(|_| Error::Signature)?;
        let payload = message.payload.as_deref().ok_or(Error::Message("it has no payload".into()))?;
        let mut grant = Grant::parse(payload)?;
        // No longer than the certificate of who has signed it.
        let validity = chain::validity(certificate).map_err(Error::Certificate)?;
        let until = validity.until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        grant.until = grant.until.min(until);
        if signer.name() != grant.tenant || signer.cluster() != grant.cluster {
            return Err(Error::Tenant { signer: signer.to_string(), tenant: grant.tenant });
        }
        Ok(grant)
    }
}

impl Known {
    fn keep(&mut self, hash: [u8; 32], grant: Arc<Grant>) {
        if self.good.insert(hash, grant).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > limits::GRANTS_KNOWN {
            let oldest = self.order.pop_front();
            oldest.into_iter().for_each(|hash| drop(self.good.remove(&hash)));
        }
    }
}

/// One certificate is a byte string, several an array of them.
fn x5chain(message: &CoseSign1) -> Option<Vec<CertificateDer<'static>>> {
    let headers = message.unprotected.rest.iter().chain(&message.protected.header.rest);
    let mut found = headers.filter(|(label, _)| *label == Label::Int(HeaderParameter::X5Chain.to_i64()));
    let (Some((_, chain)), None) = (found.next(), found.next()) else { return None };
    let certificate = |value: &Value| Some(CertificateDer::from(value.as_bytes()?.clone()));
    match chain {
        Value::Bytes(one) => Some(vec![CertificateDer::from(one.clone())]),
        Value::Array(several) if several.len() <= limits::CERTIFICATE_CHAIN => {
            several.iter().map(certificate).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::ca::Authority;
    use corovan_client::{Identity, grant::sign};
    use coset::Header;
    use std::time::SystemTime;

    const DAY: u64 = 24 * 3_600;
    const NOW: u64 = 1_800_000_000;

    fn time() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn identity(authority: &Authority, role: Role, name: &str) -> Identity {
        authority.issue(role, name, time(), Duration::from_secs(2 * DAY)).unwrap().identity().unwrap()
    }

    fn whole(tenant: &str) -> Grant {
        Grant::whole("dev", tenant, [1; 16], NOW, NOW + 7 * DAY)
    }

    #[test]
    fn a_grant_counts_if_its_tenants_key_has_signed_it_and_in_no_other_case() {
        let authority = Authority::generate("dev", time()).unwrap();
        let verifier = || Verifier::new("dev", authority.roots().unwrap());
        let alice = identity(&authority, Role::Tenant, "alice");
        let good = sign(&alice, &whole("alice")).unwrap();
        let now = NOW * 1_000_000_000;
        // The certificate of two days ends first.
        assert_eq!(*verifier().verify(&good, now).unwrap(), Grant { until: NOW + 2 * DAY, ..whole("alice") });
        let other = Authority::generate("dev", time()).unwrap();
        let prod = Authority::generate("prod", time()).unwrap();
        let mut changed = Vec::new();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            changed.push(bytes);
        }
        let believed = changed.iter().filter(|bytes| verifier().verify(bytes, now).is_ok()).count();
        assert_eq!(believed, 0, "of {} with one bit changed", changed.len());
        (0..good.len()).for_each(|cut| assert!(verifier().verify(&good[..cut], now).is_err()));
        let day = DAY * 1_000_000_000;
        for (bytes, at, why) in [
            (sign(&alice, &whole("bob")), now, "has signed for tenant"),
            (sign(&identity(&authority, Role::Node, "alice"), &whole("alice")), now, "is no tenant"),
            (sign(&identity(&other, Role::Tenant, "alice"), &whole("alice")), now, "not believed"),
            (sign(&identity(&prod, Role::Tenant, "alice"), &whole("alice")), now, "not believed"),
            (sign(&alice, &Grant { cluster: "prod".into(), ..whole("alice") }), now, "has signed for"),
            (sign(&alice, &Grant { until: NOW + 1, ..whole("alice") }), now + day, "expired"),
            (sign(&alice, &Grant { from: NOW + DAY, ..whole("alice") }), now, "not valid for another"),
            (sign(&alice, &whole("alice")), now + 3 * day, "not believed"),
        ] {
            let error = verifier().verify(&bytes.unwrap(), at).unwrap_err().to_string();
            assert!(error.contains(why), "{error:?} says nothing of {why:?}");
        }
        assert!(matches!(verifier().verify(&vec![0; limits::FRAME_HEAD + 1], now), Err(Error::Grant(_))));
    }

    /// As `sign`, with more in its headers.
    fn signed(identity: &Identity, change: impl FnOnce(&mut Header, &mut Header)) -> Vec<u8> {
        let mut message = CoseSign1::from_slice(&sign(identity, &whole("alice")).unwrap()).unwrap();
        change(&mut message.protected.header, &mut message.unprotected);
        message.protected.original_data = None;
        let (key, random) = (identity.key(), aws_lc_rs::rand::SystemRandom::new());
        let key = aws_lc_rs::signature::EcdsaKeyPair::from_private_key_der(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            key.secret_der(),
        );
        message.signature = key.unwrap().sign(&random, &message.tbs_data(CONTEXT)).unwrap().as_ref().to_vec();
        message.to_vec().unwrap()
    }

    #[test]
    fn a_grant_with_a_condition_that_this_node_does_not_know_does_not_count() {
        let authority = Authority::generate("dev", time()).unwrap();
        let verifier = || Verifier::new("dev", authority.roots().unwrap());
        let alice = identity(&authority, Role::Tenant, "alice");
        let now = NOW * 1_000_000_000;
        for known in [HeaderParameter::Alg, HeaderParameter::X5Chain] {
            let bytes = signed(&alice, |protected, _| protected.crit.push(known.into()));
            assert!(verifier().verify(&bytes, now).is_ok(), "{known:?}");
        }
        let unknown = || RegisteredLabelWithPrivate::PrivateUse(-70_000);
        for bytes in [
            signed(&alice, |protected, _| {
                protected.crit.push(unknown());
                protected.rest.push((Label::Int(-70_000), Value::Null));
            }),
            signed(&alice, |protected, _| protected.crit.extend([HeaderParameter::Alg.into(), unknown()])),
            signed(&alice, |protected, _| {
                protected.crit.push(RegisteredLabelWithPrivate::Text("never after noon".into()))
            }),
            // Where anybody may have put it.
            signed(&alice, |_, unprotected| unprotected.crit.push(HeaderParameter::Alg.into())),
        ] {
            assert!(matches!(verifier().verify(&bytes, now), Err(Error::Critical)));
        }
    }

    #[test]
    fn what_was_found_good_is_remembered_and_still_expires() {
        let authority = Authority::generate("dev", time()).unwrap();
        let verifier = Verifier::new("dev", authority.roots().unwrap());
        let alice = identity(&authority, Role::Tenant, "alice");
        let bytes = sign(&alice, &Grant { until: NOW + 10, ..whole("alice") }).unwrap();
        let (first, second) =
            (verifier.verify(&bytes, NOW * 1_000_000_000), verifier.verify(&bytes, NOW * 1_000_000_000));
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        assert!(verifier.verify(&bytes, (NOW + 10) * 1_000_000_000).is_err());
        // Also with its certificate, though it says that it lasts longer.
        let bytes = sign(&alice, &whole("alice")).unwrap();
        assert!(verifier.verify(&bytes, NOW * 1_000_000_000).is_ok());
        assert!(verifier.verify(&bytes, (NOW + 3 * DAY) * 1_000_000_000).is_err());
    }
}
