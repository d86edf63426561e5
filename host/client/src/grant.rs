//! Grants: what lets a tenant's work go from the node that took it to others. Signed with the key of the tenant's certificate as
//! COSE_Sign1 (RFC 9052), with the certificate in it (x5chain, RFC 9360).

use crate::tls::Identity;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use ciborium::Value;
use corovan_core::tenancy::grant::{self, Grant};
use coset::iana::{Algorithm, EnumI64, HeaderParameter};
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder};
use rustls::pki_types::PrivateKeyDer;

/// Bound into the signature, so that it counts as nothing else.
pub const CONTEXT: &[u8] = b"corovan grant 1";

/// Why there is no grant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Grant(#[from] grant::Error),
    #[error("grants are signed with a P-256 or an Ed25519 key, and this certificate's is another")]
    Key,
    #[error("signing failed")]
    Signing,
    #[error("a grant cannot be encoded: {0}")]
    Encoding(String),
}

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Signs a grant.
pub fn sign(identity: &Identity, grant: &Grant) -> Result<Vec<u8>, Error> {
    let key = Key::of(&identity.key())?;
    let algorithm = match key {
        Key::P256(_) => Algorithm::ES256,
        Key::Ed25519(_) => Algorithm::EdDSA,
    };
    let protected = HeaderBuilder::new().algorithm(algorithm).build();
    let chain: Vec<Value> = identity.chain().iter().map(|certificate| Value::Bytes(certificate.to_vec())).collect();
    let chain = match <[Value; 1]>::try_from(chain) {
        Ok([leaf]) => leaf,
        Err(chain) => Value::Array(chain),
    };
    let unprotected = HeaderBuilder::new().value(HeaderParameter::X5Chain.to_i64(), chain).build();
    CoseSign1Builder::new()
        .protected(protected)
        .unprotected(unprotected)
        .payload(grant.to_cbor()?)
        .try_create_signature(CONTEXT, |bytes| key.sign(bytes))?
        .build()
        .to_vec()
        .map_err(|error| Error::Encoding(error.to_string()))
}

impl Key {
    fn of(key: &PrivateKeyDer<'_>) -> Result<Key, Error> {
        let der = key.secret_der();
        let p256 = || EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Key::P256);
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Key::Ed25519);
        p256().or_else(|_| ed25519()).map_err(|_| Error::Key)
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Key::P256(key) => {
                let signature = key.sign(&SystemRandom::new(), bytes).map_err(|_| Error::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
            Key::Ed25519(key) => Ok(key.sign(bytes).as_ref().to_vec()),
        }
    }
}
