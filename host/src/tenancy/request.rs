//! Signing requests: how a node asks for a certificate of its own key, and what an issuer takes for one. Exactly one name,
//! that of a node, and exactly one kind of key.

use corovan_core::tenancy::identity::{Principal, Role};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKey, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};

/// A request whose signature was checked: whoever made it has the key.
#[derive(Debug)]
pub struct Request {
    pub principal: Principal,
    pub key: PublicKey,
}

/// Why it is not granted, in words for who asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("the signing request cannot be read: {0}")]
    Unreadable(String),
    #[error("the signing request asks for something else than one name of a node")]
    Names,
    #[error("{0} is no node, and only nodes get certificates this way; `corovan cert` makes others")]
    NotANode(Principal),
    #[error("the key of the signing request is of another kind than ECDSA P-256")]
    Key,
    #[error("{0}")]
    Name(#[from] corovan_core::tenancy::identity::Error),
}

impl Request {
    /// Whether it is for the key that a certificate has already.
    pub fn is_for_key_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let ours = self.key.subject_public_key_info();
        webpki::EndEntityCert::try_from(certificate).is_ok_and(|theirs| *theirs.subject_public_key_info() == *ours)
    }
}

/// A new key, PKCS#8 as PEM.
pub fn new_key() -> Result<String, super::ca::Error> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem())
}

/// A request for this identity and key, DER.
pub fn make(principal: &Principal, key: &str) -> Result<Vec<u8>, super::ca::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(principal.to_string())?)];
    Ok(params.serialize_request(&KeyPair::from_pem(key)?)?.der().to_vec())
}

/// Reads one that came from anyone.
pub fn read(csr: &[u8]) -> Result<Request, Error> {
    let read = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr));
    let CertificateSigningRequestParams { params, public_key } =
        read.map_err(|error| Error::Unreadable(error.to_string()))?;
    if *public_key.algorithm() != PKCS_ECDSA_P256_SHA256 {
        return Err(Error::Key);
    }
    let [SanType::URI(uri)] = &params.subject_alt_names[..] else { return Err(Error::Names) };
    if params.is_ca != IsCa::NoCa {
        return Err(Error::Names);
    }
    let principal: Principal = uri.as_str().parse()?;
    match principal.role() {
        Role::Node => Ok(Request { principal, key: public_key }),
        _ => Err(Error::NotANode(principal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, PKCS_ED25519};

    fn principal(role: Role) -> Principal {
        Principal::new("dev", role, "b").unwrap()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).unwrap())
    }

    /// A request that our own side would not make.
    fn odd(change: impl FnOnce(&mut CertificateParams), key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri("spiffe://dev/node/b")];
        change(&mut params);
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_nodes_request_reads_back_and_nothing_else_is_taken() {
        let key = new_key().unwrap();
        let request = read(&make(&principal(Role::Node), &key).unwrap()).unwrap();
        assert_eq!(request.principal, principal(Role::Node));
        for role in [Role::Tenant, Role::Operator] {
            let error = read(&make(&principal(role), &key).unwrap()).unwrap_err();
            assert_eq!(error, Error::NotANode(principal(role)));
        }
        let key = KeyPair::from_pem(&key).unwrap();
        let two = odd(|params| params.subject_alt_names.push(uri("spiffe://dev/node/c")), &key);
        let dns = odd(
            |params| params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from("a.b".to_owned()).unwrap())),
            &key,
        );
        let none = odd(|params| params.subject_alt_names.clear(), &key);
        let ca = odd(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), &key);
        for csr in [two, dns, none, ca] {
            assert_eq!(read(&csr).unwrap_err(), Error::Names);
        }
        let issuer = odd(|params| params.subject_alt_names = vec![uri("spiffe://dev/issuer/b")], &key);
        assert!(matches!(read(&issuer), Err(Error::Name(_))));
        let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        assert_eq!(read(&odd(|_| (), &other)).unwrap_err(), Error::Key);
    }

    #[test]
    fn a_request_that_was_changed_is_not_of_who_has_the_key() {
        let good = make(&principal(Role::Node), &new_key().unwrap()).unwrap();
        assert!(read(&[]).is_err() && read(&good[..good.len() - 1]).is_err());
        let ours = read(&good).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            // What is around the signed part may be written in more than one way; what it says is signed.
            let same = |request: Request| request.principal == ours.principal && request.key == ours.key;
            assert!(read(&changed).map_or(true, same), "byte {at}");
        }
    }
}
