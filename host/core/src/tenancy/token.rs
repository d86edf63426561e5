//! Join tokens: what an operator hands to a new node. One text that pins the cluster's CA, names the entry in the issuing
//! node's ledger, and carries a secret that never travels: a signing request is proved with a key made from it.

use super::identity::{MAX_NAME, check_name};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// Good for one node, once, until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Hash of the CA's certificate: whom the new node believes.
    pub ca: CaHash,
    pub id: TokenId,
    secret: [u8; SECRET],
    /// Seconds since 1970; the issuing node's clock decides.
    pub expires: u64,
    /// The only name it is good for; without one, any that is new.
    pub name: Option<String>,
}

/// BLAKE3 of a CA certificate in DER form.
pub type CaHash = [u8; 32];
/// Which token; no secret.
pub type TokenId = [u8; 8];
/// What the issuing node keeps of the secret, and what proofs are made with.
pub type TokenKey = [u8; 32];
/// Ties a signing request to the token.
pub type Proof = [u8; 32];

/// Why a text is no token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("this is no join token: one begins with {PREFIX:?}; make it with `corovan token`")]
    Prefix,
    #[error("the join token is damaged, or not all of it was copied")]
    Damaged,
}

const PREFIX: &str = "corovan1.";
const SECRET: usize = 16;
/// CA's hash, id, secret, expiry.
const FIXED: usize = 32 + 8 + SECRET + 8;
/// First bytes of the hash of all the rest: a token that was cut is told from one that is refused.
const CHECK: usize = 4;
/// No token is longer; nothing longer is decoded.
const LONGEST: usize = PREFIX.len() + (FIXED + MAX_NAME + CHECK).div_ceil(3) * 4;
const KEY_CONTEXT: &str = "corovan 1 join token: proof of a signing request";

/// The hash by which a token pins a CA.
pub fn ca_hash(certificate: &[u8]) -> CaHash {
    *blake3::hash(certificate).as_bytes()
}

/// Shows that whoever made this signing request has the token, and that nobody on the way has exchanged the request.
pub fn proof(key: &TokenKey, csr: &[u8]) -> Proof {
    *blake3::keyed_hash(key, csr).as_bytes()
}

/// Compared in constant time.
pub fn is_proved(key: &TokenKey, csr: &[u8], proof: &Proof) -> bool {
    blake3::keyed_hash(key, csr) == *proof
}

impl Token {
    /// `random`: id and secret.
    pub fn new(ca: CaHash, random: [u8; 24], expires: u64, name: Option<String>) -> Token {
        let (mut id, mut secret) = (TokenId::default(), [0; SECRET]);
        id.copy_from_slice(&random[..8]);
        secret.copy_from_slice(&random[8..]);
        Token { ca, id, secret, expires, name }
    }

    pub fn key(&self) -> TokenKey {
        blake3::derive_key(KEY_CONTEXT, &self.secret)
    }
}

/// With the secret: this is the one place where it is shown.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or_default().as_bytes();
        let mut bytes = [&self.ca[..], &self.id, &self.secret, &self.expires.to_le_bytes(), name].concat();
        bytes.extend_from_slice(&check(&bytes));
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Never the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?})", id_text(&self.id), self.name)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Token, Error> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).ok_or(Error::Prefix)?;
        if text.len() > LONGEST {
            return Err(Error::Damaged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Error::Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<CHECK>().ok_or(Error::Damaged)?;
        if check(bytes) != *sum {
            return Err(Error::Damaged);
        }
        let (ca, rest) = bytes.split_first_chunk().ok_or(Error::Damaged)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Error::Damaged)?;
        let (secret, rest) = rest.split_first_chunk().ok_or(Error::Damaged)?;
        let (expires, name) = rest.split_first_chunk().ok_or(Error::Damaged)?;
        let name = std::str::from_utf8(name).map_err(|_| Error::Damaged)?;
        let name = match name {
            "" => None,
            name => Some(check_name(name).map_err(|_| Error::Damaged)?.to_owned()),
        };
        Ok(Token { ca: *ca, id: *id, secret: *secret, expires: u64::from_le_bytes(*expires), name })
    }
}

/// A token's id for logs.
pub fn id_text(id: &TokenId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::hash(bytes);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(name: Option<&str>) -> Token {
        Token::new([7; 32], std::array::from_fn(|i| i as u8), 1_800_000_000, name.map(str::to_owned))
    }

    #[test]
    fn a_token_reads_back_as_it_was_printed() {
        let longest = "a".repeat(MAX_NAME);
        for name in [None, Some("a"), Some("node-17"), Some(&longest)] {
            let token = token(name);
            let text = token.to_string();
            assert!(text.starts_with("corovan1.") && text.len() <= LONGEST, "{text}");
            assert_eq!(text.parse(), Ok(token.clone()));
            assert_eq!(format!("  {text}\n").parse(), Ok(token), "as it is pasted");
        }
    }

    #[test]
    fn a_token_that_lost_or_changed_any_of_its_letters_is_damaged() {
        let text = token(Some("b")).to_string();
        for cut in PREFIX.len()..text.len() {
            assert_eq!(text[..cut].parse::<Token>(), Err(Error::Damaged), "{cut}");
            let mut changed = text.clone().into_bytes();
            changed[cut] = if changed[cut] == b'A' { b'B' } else { b'A' };
            assert_eq!(String::from_utf8(changed).unwrap().parse::<Token>(), Err(Error::Damaged), "{cut}");
        }
        for other in ["", "corovan1", "corovan2.abc", "token"] {
            assert_eq!(other.parse::<Token>(), Err(Error::Prefix), "{other}");
        }
        assert_eq!(format!("{PREFIX}{}", "A".repeat(1 << 20)).parse::<Token>(), Err(Error::Damaged));
    }

    #[test]
    fn what_is_shown_for_logs_has_no_secret() {
        let token = token(Some("b"));
        let shown = format!("{token:?}");
        assert_eq!(shown, "Token(0001020304050607, Some(\"b\"))");
    }

    #[test]
    fn a_proof_is_of_one_request_and_one_token() {
        let (ours, mut other) = (token(None), token(None));
        let proved = proof(&ours.key(), b"request");
        assert!(is_proved(&ours.key(), b"request", &proved));
        assert!(!is_proved(&ours.key(), b"another", &proved));
        other.secret[15] ^= 1;
        assert!(!is_proved(&other.key(), b"request", &proved));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_fall(text in "corovan1\\.[A-Za-z0-9_-]{0,200}|.*") {
            let _ = text.parse::<Token>();
        }
    }
}
