//! What an issuing node remembers in its data directory: tokens, of which it has no secret, and the names it has certified.
//! A token is good once, also across restarts: that it was used is on the disk before anything is answered.

use super::files;
use corovan_core::limits;
use corovan_core::tenancy::token::{Proof, TokenId, TokenKey, is_proved};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// All of it, in memory and in one file. Times are seconds since 1970.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    held: Held,
}

/// As it is in the file.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Held {
    tokens: BTreeMap<TokenId, Entry>,
    /// Until when each name is certified.
    names: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    key: TokenKey,
    expires: u64,
    /// The only name it is good for.
    name: Option<String>,
    /// Whom it was used for.
    used: Option<String>,
}

/// Why a token is not good. For the log: who sent it is told the same of all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    #[error("no such token was made here, or it expired long ago")]
    Unknown,
    #[error("the proof is not of this token and this request")]
    Proof,
    #[error("it has expired")]
    Expired,
    #[error("it was used already, for node {0}")]
    Used(String),
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is damaged ({why}). Without it no token that was made before is good: delete it, and make new ones", path = path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{max} tokens are open already; they are forgotten a day after their expiry", max = limits::TOKENS)]
    Tokens,
    #[error("there is a token of this number already")]
    Taken,
    #[error("this node has certified {max} names, and remembers no more", max = limits::CERTIFIED_NAMES)]
    Names,
}

const FILE: &str = "join-tokens";
/// Far more than both bounds together take.
const FILE_BYTES: u64 = 4 << 20;

impl Ledger {
    /// That of this data directory; empty where there is none.
    pub fn open(data: &Path) -> Result<Ledger, Error> {
        let path = data.join(FILE);
        let held = match std::fs::File::open(&path) {
            Ok(file) => {
                let mut bytes = Vec::new();
                let read = file.take(FILE_BYTES).read_to_end(&mut bytes);
                read.map_err(|source| Error::File { path: path.clone(), source })?;
                let decoded = ciborium::from_reader(&bytes[..]);
                decoded.map_err(|error| Error::Damaged { path: path.clone(), why: error.to_string() })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Held::default(),
            Err(source) => return Err(Error::File { path, source }),
        };
        Ok(Ledger { path, held })
    }

    /// A token that may be used from now on.
    pub fn add(
        &mut self,
        id: TokenId,
        key: TokenKey,
        expires: u64,
        name: Option<String>,
        now: u64,
    ) -> Result<(), Error> {
        let mut held = self.held.clone();
        held.forget(now);
        if held.tokens.contains_key(&id) {
            return Err(Error::Taken);
        }
        if held.tokens.len() >= limits::TOKENS {
            return Err(Error::Tokens);
        }
        held.tokens.insert(id, Entry { key, expires, name, used: None });
        self.keep(held)
    }

    /// Whether the token is good for this request; the name that it is bound to.
    pub fn check(&self, id: &TokenId, csr: &[u8], proof: &Proof, now: u64) -> Result<Option<&str>, Invalid> {
        let entry = self.held.tokens.get(id).ok_or(Invalid::Unknown)?;
        if !is_proved(&entry.key, csr, proof) {
            return Err(Invalid::Proof);
        }
        match &entry.used {
            Some(name) => Err(Invalid::Used(name.clone())),
            None if now >= entry.expires => Err(Invalid::Expired),
            None => Ok(entry.name.as_deref()),
        }
    }

    /// Whether a certificate for this name was issued here and is still valid.
    pub fn is_certified(&self, name: &str, now: u64) -> bool {
        self.held.names.get(name).is_some_and(|until| *until > now)
    }

    /// A name gets a certificate; with a token, that is used up by it. It is on the disk when this returns.
    pub fn certify(&mut self, name: &str, until: u64, token: Option<&TokenId>, now: u64) -> Result<(), Error> {
        let mut held = self.held.clone();
        held.forget(now);
        if !held.names.contains_key(name) && held.names.len() >= limits::CERTIFIED_NAMES {
            return Err(Error::Names);
        }
        held.names.insert(name.to_owned(), until);
        if let Some(entry) = token.and_then(|id| held.tokens.get_mut(id)) {
            entry.used = Some(name.to_owned());
        }
        self.keep(held)
    }

    /// What is not on the disk does not count.
    fn keep(&mut self, held: Held) -> Result<(), Error> {
        let failed = |source| Error::File { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        ciborium::into_writer(&held, &mut bytes).map_err(|error| failed(io::Error::other(error.to_string())))?;
        files::write(&self.path, &bytes, files::PRIVATE, true).map_err(failed)?;
        self.held = held;
        Ok(())
    }
}

impl Held {
    fn forget(&mut self, now: u64) {
        self.tokens.retain(|_, entry| now < entry.expires.saturating_add(limits::TOKEN_KEPT.as_secs()));
        self.names.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::tenancy::token::{Token, proof};

    const NOW: u64 = 1_800_000_000;

    fn token(number: u8, name: Option<&str>) -> Token {
        Token::new([0; 32], [number; 24], NOW + 10, name.map(str::to_owned))
    }

    fn add(ledger: &mut Ledger, token: &Token) -> Result<(), Error> {
        ledger.add(token.id, token.key(), token.expires, token.name.clone(), NOW)
    }

    fn check(ledger: &Ledger, token: &Token, now: u64) -> Result<Option<String>, Invalid> {
        let name = ledger.check(&token.id, b"csr", &proof(&token.key(), b"csr"), now)?;
        Ok(name.map(str::to_owned))
    }

    #[test]
    fn a_token_is_good_once_also_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let (one, two) = (token(1, Some("b")), token(2, None));
        assert_eq!(check(&ledger, &one, NOW), Err(Invalid::Unknown));
        add(&mut ledger, &one).unwrap();
        add(&mut ledger, &two).unwrap();
        assert!(matches!(add(&mut ledger, &one), Err(Error::Taken)));
        let mut ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(check(&ledger, &one, NOW), Ok(Some("b".into())));
        assert_eq!(check(&ledger, &two, NOW), Ok(None));
        assert_eq!(ledger.check(&one.id, b"csr", &proof(&two.key(), b"csr"), NOW), Err(Invalid::Proof));
        ledger.certify("b", NOW + 100, Some(&one.id), NOW).unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(check(&ledger, &one, NOW), Err(Invalid::Used("b".into())));
        assert_eq!(check(&ledger, &two, NOW + 9), Ok(None));
        assert_eq!(check(&ledger, &two, NOW + 10), Err(Invalid::Expired));
        assert_eq!([NOW + 99, NOW + 100].map(|now| ledger.is_certified("b", now)), [true, false]);
    }

    #[test]
    fn the_file_has_no_secret_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let token = Token::new([0; 32], *b"12345678the secret it is", NOW + 10, None);
        add(&mut Ledger::open(dir.path()).unwrap(), &token).unwrap();
        let path = dir.path().join(FILE);
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains("secret") && !format!("{text:?}").contains("secret"), "{text:?}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(Ledger::open(dir.path()), Err(Error::Damaged { .. })));
    }

    #[test]
    fn what_cannot_be_written_did_not_happen() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("data");
        std::fs::create_dir(&below).unwrap();
        let mut ledger = Ledger::open(&below).unwrap();
        let (one, two) = (token(1, None), token(2, None));
        add(&mut ledger, &one).unwrap();
        std::fs::remove_dir_all(&below).unwrap();
        assert!(matches!(add(&mut ledger, &two), Err(Error::File { .. })));
        assert!(ledger.certify("b", NOW + 1, Some(&one.id), NOW).is_err());
        assert_eq!(check(&ledger, &two, NOW), Err(Invalid::Unknown));
        assert_eq!(check(&ledger, &one, NOW), Ok(None));
    }

    #[test]
    fn both_tables_are_bounded_and_what_is_over_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let entry = |expires| Entry { key: [0; 32], expires, name: None, used: None };
        for number in 0..limits::TOKENS as u64 {
            ledger.held.tokens.insert(number.to_le_bytes(), entry(NOW + number));
        }
        for number in 0..limits::CERTIFIED_NAMES {
            ledger.held.names.insert(format!("n{number}"), NOW + 1_000);
        }
        let one = token(1, None);
        assert!(matches!(add(&mut ledger, &one), Err(Error::Tokens)));
        assert!(matches!(ledger.certify("b", NOW + 1, None, NOW), Err(Error::Names)));
        ledger.certify("n7", NOW + 100_000, None, NOW).unwrap();
        let later = NOW + limits::TOKEN_KEPT.as_secs() + 1_500;
        ledger.add(one.id, one.key(), later + 10, None, later).unwrap();
        assert_eq!((ledger.held.tokens.len(), ledger.held.names.len()), (1, 1), "n7 alone is valid still");
        assert!(std::fs::metadata(&ledger.path).unwrap().len() < FILE_BYTES);
    }
}
