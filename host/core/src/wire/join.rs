//! What is said on a connection of the joining protocol: one question, one answer. `docs/protocol.md` has the rest. Both
//! sides take what comes from anyone, so a record is bounded before it is read and checked before it is decoded.

use super::cbor;
use crate::code::Code;
use crate::limits;
use ciborium::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

/// The one question of a connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub version: u16,
    pub ask: Ask,
}

/// What may be asked. Numbers are stable: 1, 2, 3 in this order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "Numbered", try_from = "Numbered")]
pub enum Ask {
    /// A new node's certificate.
    Enrol(Enrol),
    /// A later certificate for a node that has one.
    Renew(Renew),
    /// An operator has made a token; the issuing node is to know it.
    Mint(Mint),
}

/// Proves itself, whoever passes it on: the proof is of this very request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Enrol {
    pub token: ByteArray<8>,
    /// `tenancy::token::proof` of `csr`.
    pub proof: ByteArray<32>,
    /// PKCS#10, DER.
    pub csr: ByteBuf,
}

/// Proves itself as well: the request is for the key and the name of the certificate that leads `chain`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Renew {
    /// Leaf first, DER.
    pub chain: Vec<ByteBuf>,
    pub csr: ByteBuf,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Mint {
    pub token: ByteArray<8>,
    /// Made from the secret, which the operator keeps.
    pub key: ByteArray<32>,
    /// Seconds since 1970.
    pub expires: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The one answer. Numbers are stable: 1, 2, 3 in this order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "Numbered", try_from = "Numbered")]
pub enum Answer {
    Granted(Granted),
    Minted,
    Refused(Refused),
}

/// A certificate and those of the CAs between it and the root, which is not among them: who asks knows whom it trusts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Granted {
    /// Leaf first, DER.
    pub chain: Vec<ByteBuf>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Refused {
    pub code: Code,
    /// For a person.
    pub why: String,
}

/// How a variant is written.
#[derive(Serialize, Deserialize)]
struct Numbered {
    kind: u8,
    record: Value,
}

/// Why bytes are no question or answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a record of {0} bytes is over the limit of {max}", max = limits::JOIN_BYTES)]
    TooLarge(usize),
    #[error("the record is not well-formed: {0}")]
    Cbor(#[from] cbor::Error),
    #[error("the record is not what it should be: {0}")]
    Record(String),
}

pub const VERSION: u16 = 1;
/// A record goes after its length, u32 little-endian.
pub const HEADER: usize = 4;

impl From<Ask> for Numbered {
    fn from(ask: Ask) -> Numbered {
        match ask {
            Ask::Enrol(record) => Numbered::new(1, &record),
            Ask::Renew(record) => Numbered::new(2, &record),
            Ask::Mint(record) => Numbered::new(3, &record),
        }
    }
}

impl TryFrom<Numbered> for Ask {
    type Error = String;

    fn try_from(numbered: Numbered) -> Result<Ask, String> {
        match numbered.kind {
            1 => numbered.read().map(Ask::Enrol),
            2 => numbered.read().map(Ask::Renew),
            3 => numbered.read().map(Ask::Mint),
            other => Err(format!("question {other} is not known to this version")),
        }
    }
}

impl From<Answer> for Numbered {
    fn from(answer: Answer) -> Numbered {
        match answer {
            Answer::Granted(record) => Numbered::new(1, &record),
            Answer::Minted => Numbered { kind: 2, record: Value::Null },
            Answer::Refused(record) => Numbered::new(3, &record),
        }
    }
}

impl TryFrom<Numbered> for Answer {
    type Error = String;

    fn try_from(numbered: Numbered) -> Result<Answer, String> {
        match numbered.kind {
            1 => numbered.read().map(Answer::Granted),
            2 => Ok(Answer::Minted),
            3 => numbered.read().map(Answer::Refused),
            other => Err(format!("answer {other} is not known to this version")),
        }
    }
}

impl Numbered {
    fn new<T: Serialize>(kind: u8, record: &T) -> Numbered {
        // None of our records has anything that a value cannot.
        Numbered { kind, record: Value::serialized(record).unwrap_or(Value::Null) }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        self.record.deserialized().map_err(|error| error.to_string())
    }
}

/// The record with its length before it.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEADER];
    ciborium::into_writer(record, &mut bytes).map_err(|error| Error::Record(error.to_string()))?;
    let length = bytes.len() - HEADER;
    if length > limits::JOIN_BYTES {
        return Err(Error::TooLarge(length));
    }
    bytes[..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// How many bytes follow; an error where they are too many to be read.
pub fn length(header: [u8; HEADER]) -> Result<usize, Error> {
    let length = u32::from_le_bytes(header) as usize;
    if length > limits::JOIN_BYTES { Err(Error::TooLarge(length)) } else { Ok(length) }
}

/// A record without its length.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    cbor::check(bytes)?;
    ciborium::from_reader(bytes).map_err(|error| Error::Record(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn questions() -> Vec<Question> {
        let csr = ByteBuf::from(vec![1, 2, 3]);
        let enrol = Enrol { token: ByteArray::new([1; 8]), proof: ByteArray::new([2; 32]), csr: csr.clone() };
        let renew = Renew { chain: vec![ByteBuf::from(vec![9; 900]), ByteBuf::new()], csr };
        let mint = |name| Mint { token: ByteArray::new([1; 8]), key: ByteArray::new([2; 32]), expires: 7, name };
        [Ask::Enrol(enrol), Ask::Renew(renew), Ask::Mint(mint(None)), Ask::Mint(mint(Some("b".into())))]
            .map(|ask| Question { version: VERSION, ask })
            .to_vec()
    }

    #[test]
    fn questions_and_answers_read_back() {
        for question in questions() {
            let bytes = encode(&question).unwrap();
            let (header, body) = bytes.split_first_chunk().unwrap();
            assert_eq!(length(*header), Ok(body.len()));
            assert_eq!(decode(body), Ok(question));
        }
        let refused = Answer::Refused(Refused { code: Code::Denied, why: "no".into() });
        for answer in [Answer::Granted(Granted { chain: vec![ByteBuf::from(vec![1])] }), Answer::Minted, refused] {
            assert_eq!(decode(&encode(&answer).unwrap()[HEADER..]), Ok(answer));
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_told_by_its_number() {
        let mut bytes = Vec::new();
        ciborium::into_writer(&Numbered { kind: 9, record: Value::Null }, &mut bytes).unwrap();
        let errors = [decode::<Ask>(&bytes).map(drop), decode::<Answer>(&bytes).map(drop)];
        for error in errors.map(|read| read.unwrap_err().to_string()) {
            assert!(error.contains("9 is not known to this version"), "{error}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_neither_sent_nor_read() {
        let chain = vec![ByteBuf::from(vec![0; limits::JOIN_BYTES])];
        assert!(matches!(encode(&Answer::Granted(Granted { chain })), Err(Error::TooLarge(_))));
        assert_eq!(length((limits::JOIN_BYTES as u32).to_le_bytes()), Ok(limits::JOIN_BYTES));
        assert_eq!(length([0xff; 4]), Err(Error::TooLarge(u32::MAX as usize)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..64), which in 0..4_usize, at: usize) {
            let _ = decode::<Question>(&bytes);
            let _ = decode::<Answer>(&bytes);
            let good = encode(&questions()[which]).unwrap().split_off(HEADER);
            bytes.truncate(4);
            let at = at % good.len();
            let changed = [&good[..at], &bytes, &good[at..]].concat();
            let _ = decode::<Question>(&changed);
            if at > 0 {
                prop_assert!(decode::<Question>(&good[..at]).is_err());
            }
        }
    }
}
