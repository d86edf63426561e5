//! What is known of a member beside where it is: what it says of itself, parsed and bounded. Spread as one CBOR record.

use super::presence::Presence;
use crate::ids::NodeId;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A member as others are told of it. `about` comes a moment after the first sign of life.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub presence: Presence,
    pub about: Option<Arc<About>>,
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct About {
    /// For people; unique only if they keep it so.
    #[serde(rename = "n", default)]
    pub name: String,
    /// Where it listens for QUIC.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
    /// Where it is reached from outside its own network.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub external: Option<SocketAddr>,
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "c", default)]
    pub cores: u32,
    /// Bytes that coroutines may have.
    #[serde(rename = "m", default)]
    pub memory: u64,
    /// Bytes of disk for what is kept for jobs.
    #[serde(rename = "k", default, skip_serializing_if = "crate::wire::is_default")]
    pub disk: u64,
    /// Jobs of other nodes that it runs at a time; 0: it has not said.
    #[serde(rename = "s", default, skip_serializing_if = "crate::wire::is_default")]
    pub slots: u32,
    /// Of the program.
    #[serde(rename = "v", default)]
    pub version: String,
    /// It takes no new work.
    #[serde(rename = "d", default, skip_serializing_if = "crate::wire::is_default")]
    pub draining: bool,
    /// It issues certificates to those who join.
    #[serde(rename = "i", default, skip_serializing_if = "crate::wire::is_default")]
    pub issues: bool,
    /// Where it is dial-out: the members that pass datagrams on to it. It finds them itself.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty", with = "ids")]
    pub gateways: Vec<NodeId>,
    /// It is about to go, so that it will have left rather than failed.
    #[serde(rename = "g", default, skip_serializing_if = "crate::wire::is_default")]
    pub leaving: bool,
}

/// [`About`] with whose it is and which it is, as it is spread; the higher (incarnation, serial) is newer.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub node: NodeId,
    pub incarnation: u32,
    /// Counts changes within an incarnation, from 1.
    pub serial: u64,
    pub about: Arc<About>,
    /// The same as bytes.
    pub bytes: Arc<[u8]>,
}

/// Why something is not a record of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    #[error("not a record of a member")]
    Malformed,
    #[error("a record of a member is longer than {} bytes (MEMBER_BYTES)", limits::MEMBER_BYTES)]
    TooLarge,
    #[error("a member's name has more than {} bytes (NAME_BYTES)", limits::NAME_BYTES)]
    Name,
    #[error("a label or version is longer than {} bytes (LABEL_BYTES) or a label has no key", limits::LABEL_BYTES)]
    Label,
    #[error("more than {} labels (MEMBER_LABELS)", limits::MEMBER_LABELS)]
    Labels,
    #[error("more than {} addresses (MEMBER_ADDRESSES)", limits::MEMBER_ADDRESSES)]
    Addresses,
    #[error("more than {} gateways (GATEWAYS)", limits::GATEWAYS)]
    Gateways,
}

impl Record {
    pub fn new(node: NodeId, incarnation: u32, serial: u64, about: About) -> Result<Record, Invalid> {
        about.check()?;
        let head = (serde_bytes::ByteArray::new(node.0), incarnation, serial, &about);
        let mut bytes = Vec::new();
        ciborium::into_writer(&head, &mut bytes).map_err(|_| Invalid::Malformed)?;
        if bytes.len() > limits::MEMBER_BYTES {
            return Err(Invalid::TooLarge);
        }
        Ok(Record { node, incarnation, serial, about: Arc::new(about), bytes: bytes.into() })
    }

    pub fn parse(bytes: &[u8]) -> Result<Record, Invalid> {
        if bytes.len() > limits::MEMBER_BYTES {
            return Err(Invalid::TooLarge);
        }
        // Whole and not deeply nested, before anything is built from it.
        crate::wire::cbor::check(bytes).map_err(|_| Invalid::Malformed)?;
        let head: (serde_bytes::ByteArray<12>, u32, u64, About) =
            ciborium::from_reader(bytes).map_err(|_| Invalid::Malformed)?;
        let (node, incarnation, serial, about) = head;
        about.check()?;
        Ok(Record { node: NodeId(node.into_array()), incarnation, serial, about: Arc::new(about), bytes: bytes.into() })
    }

    pub fn age(&self) -> (u32, u64) {
        (self.incarnation, self.serial)
    }
}

impl About {
    /// Whether it is within the bounds; all of it together is checked where it is encoded.
    pub fn check(&self) -> Result<(), Invalid> {
        let fits = |text: &str| text.len() <= limits::LABEL_BYTES;
        if self.name.len() > limits::NAME_BYTES {
            return Err(Invalid::Name);
        }
        if self.labels.len() > limits::MEMBER_LABELS {
            return Err(Invalid::Labels);
        }
        let labels = self.labels.iter().all(|(key, value)| !key.is_empty() && fits(key) && fits(value));
        if !labels || !fits(&self.version) {
            return Err(Invalid::Label);
        }
        if self.addresses.len() > limits::MEMBER_ADDRESSES {
            return Err(Invalid::Addresses);
        }
        if self.gateways.len() > limits::GATEWAYS {
            return Err(Invalid::Gateways);
        }
        Ok(())
    }
}

/// Ids as byte strings: half as long as lists of numbers.
mod ids {
    use crate::ids::NodeId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::ByteArray;

    pub fn serialize<S: Serializer>(ids: &[NodeId], to: S) -> Result<S::Ok, S::Error> {
        let ids: Vec<ByteArray<12>> = ids.iter().map(|id| ByteArray::new(id.0)).collect();
        ids.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<NodeId>, D::Error> {
        let ids = Vec::<ByteArray<12>>::deserialize(from)?;
        Ok(ids.into_iter().map(|id| NodeId(id.into_array())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn about() -> About {
        About {
            name: "node-1".into(),
            addresses: vec!["10.0.0.1:4710".parse().unwrap()],
            external: Some("192.0.2.1:4710".parse().unwrap()),
            labels: BTreeMap::from([("zone".into(), "a".into())]),
            cores: 8,
            memory: 1 << 34,
            disk: 1 << 40,
            slots: 1_000,
            version: "0.1.0".into(),
            issues: true,
            gateways: vec![NodeId([250; 12]); limits::GATEWAYS],
            draining: true,
            leaving: false,
        }
    }

    #[test]
    fn a_record_survives_its_bytes_and_stays_small() {
        let record = Record::new(NodeId([3; 12]), 2, 7, about()).unwrap();
        assert_eq!(Record::parse(&record.bytes).unwrap(), record);
        assert!(record.bytes.len() < 200, "{} bytes", record.bytes.len());
    }

    #[test]
    fn what_is_too_large_is_refused_by_name_on_both_sides() {
        let long = "x".repeat(limits::LABEL_BYTES + 1);
        let labels = |n: usize, value: &str| (0..n).map(|i| (i.to_string(), value.to_owned())).collect();
        let cases = [
            (About { name: "x".repeat(limits::NAME_BYTES + 1), ..about() }, Invalid::Name),
            (About { labels: labels(limits::MEMBER_LABELS + 1, ""), ..about() }, Invalid::Labels),
            (About { labels: BTreeMap::from([(long.clone(), String::new())]), ..about() }, Invalid::Label),
            (About { labels: BTreeMap::from([(String::new(), String::new())]), ..about() }, Invalid::Label),
            (About { version: long, ..about() }, Invalid::Label),
            (
                About { addresses: vec!["[::1]:1".parse().unwrap(); limits::MEMBER_ADDRESSES + 1], ..about() },
                Invalid::Addresses,
            ),
            (About { gateways: vec![NodeId([1; 12]); limits::GATEWAYS + 1], ..about() }, Invalid::Gateways),
            (
                About { labels: labels(limits::MEMBER_LABELS, &"x".repeat(limits::LABEL_BYTES)), ..about() },
                Invalid::TooLarge,
            ),
        ];
        for (about, expected) in cases {
            assert_eq!(Record::new(NodeId::default(), 1, 1, about.clone()), Err(expected));
            let mut bytes = Vec::new();
            let head = (serde_bytes::ByteArray::new([0; 12]), 1, 1, &about);
            ciborium::into_writer(&head, &mut bytes).unwrap();
            assert_eq!(Record::parse(&bytes), Err(expected));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..700), at in 0..200usize, byte: u8) {
            let _ = Record::parse(&bytes);
            let mut near = Record::new(NodeId([3; 12]), 2, 7, about()).unwrap().bytes.to_vec();
            let at = at % near.len();
            near[at] = byte;
            let _ = Record::parse(&near);
        }
    }
}
