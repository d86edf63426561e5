//! What a tenant lets nodes do for one computation: the payload of a signed grant, parsed once and asked often. Signatures are
//! checked elsewhere; no time is read here.

use crate::ids::ModuleHash;
use crate::limits;
use crate::tenancy::identity::check_name;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// One computation's grant. Whoever holds it may do this much for the tenant, at nodes of its cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    #[serde(rename = "c")]
    pub cluster: String,
    #[serde(rename = "t")]
    pub tenant: String,
    /// Chosen at random by the client.
    #[serde(rename = "i")]
    pub computation: ByteArray<16>,
    /// Modules that may run; absent: all that the tenant has shipped.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<ModuleHash>>,
    /// Words of [`Right`]; others are ignored.
    #[serde(rename = "r")]
    pub rights: Vec<String>,
    /// Names of nodes; absent: all of the cluster.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    /// From when to when it is valid: seconds of the Unix epoch.
    #[serde(rename = "f")]
    pub from: u64,
    #[serde(rename = "u")]
    pub until: u64,
}

/// What may be done under a grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Right {
    /// Messages, calls and monitors between the tenant's coroutines.
    Send,
    /// Coroutines on other nodes.
    Spawn,
    /// Names: registering and locating.
    Names,
    /// Module bytes, from nodes that have them.
    Fetch,
}

/// Why something is no grant, or none that counts now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a grant of {0} bytes is over the limit of {max} (GRANT_BYTES)", max = limits::GRANT_BYTES)]
    TooLarge(usize),
    #[error("it is no grant: {0}")]
    Malformed(String),
    #[error("it expired {0} s ago: open the computation again")]
    Expired(u64),
    #[error("it is not valid for another {0} s: the client's clock is ahead of this node's")]
    NotYet(u64),
    #[error("it is of cluster {0:?}")]
    Cluster(String),
    #[error("node {0:?} is not among its nodes")]
    Node(String),
    #[error("it does not give the right {0:?}")]
    Right(&'static str),
    #[error("module {0} is not among its modules")]
    Module(ModuleHash),
}

impl Right {
    pub const ALL: [Right; 4] = [Right::Send, Right::Spawn, Right::Names, Right::Fetch];

    pub fn word(self) -> &'static str {
        match self {
            Right::Send => "send",
            Right::Spawn => "spawn",
            Right::Names => "names",
            Right::Fetch => "fetch",
        }
    }
}

impl Grant {
    /// All rights, at all nodes, for all modules of the tenant.
    pub fn whole(cluster: &str, tenant: &str, computation: [u8; 16], from: u64, until: u64) -> Grant {
        Grant {
            cluster: cluster.to_owned(),
            tenant: tenant.to_owned(),
            computation: ByteArray::new(computation),
            modules: None,
            rights: Right::ALL.map(|right| right.word().to_owned()).to_vec(),
            nodes: None,
            from,
            until,
        }
    }

    /// Reads one. Unknown fields and rights are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Grant, Error> {
        if bytes.len() > limits::GRANT_BYTES {
            return Err(Error::TooLarge(bytes.len()));
        }
        let malformed = |why: String| Error::Malformed(why);
        let mut rest = bytes;
        let grant = ciborium::de::from_reader_with_recursion_limit(&mut rest, limits::CBOR_DEPTH);
        let grant: Grant = grant.map_err(|error| malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes follow it", rest.len())));
        }
        for name in [&grant.cluster, &grant.tenant].into_iter().chain(grant.nodes.iter().flatten()) {
            check_name(name).map_err(|error| malformed(error.to_string()))?;
        }
        if grant.until <= grant.from {
            return Err(malformed("it ends before it begins".into()));
        }
        Ok(grant)
    }

    pub fn to_cbor(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(|error| Error::Malformed(error.to_string()))?;
        if bytes.len() > limits::GRANT_BYTES { Err(Error::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// It counts in this cluster at this time, in seconds. A client's clock may be a little ahead.
    pub fn check(&self, cluster: &str, now: u64) -> Result<(), Error> {
        if self.cluster != cluster {
            return Err(Error::Cluster(self.cluster.clone()));
        }
        if now >= self.until {
            return Err(Error::Expired(now - self.until));
        }
        match self.from.saturating_sub(now) {
            ahead if ahead > limits::CLOCK_SKEW.as_secs() => Err(Error::NotYet(ahead)),
            _ => Ok(()),
        }
    }

    /// A node may act under it.
    pub fn admits(&self, node: &str) -> Result<(), Error> {
        match &self.nodes {
            Some(nodes) if !nodes.iter().any(|one| one == node) => Err(Error::Node(node.to_owned())),
            _ => Ok(()),
        }
    }

    pub fn gives(&self, right: Right) -> Result<(), Error> {
        match self.rights.iter().any(|word| word == right.word()) {
            true => Ok(()),
            false => Err(Error::Right(right.word())),
        }
    }

    pub fn runs(&self, module: &ModuleHash) -> Result<(), Error> {
        match &self.modules {
            Some(modules) if !modules.contains(module) => Err(Error::Module(*module)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grant() -> Grant {
        Grant::whole("dev", "alice", [7; 16], 10_000, 20_000)
    }

    #[test]
    fn a_grant_survives_its_bytes_and_says_what_it_does_not_give() {
        let narrow = Grant {
            modules: Some(vec![ModuleHash([1; 32])]),
            nodes: Some(vec!["a".into()]),
            rights: vec!["send".into(), "fly".into()],
            ..grant()
        };
        for grant in [grant(), narrow.clone()] {
            assert_eq!(Grant::parse(&grant.to_cbor().unwrap()), Ok(grant));
        }
        assert_eq!(
            (grant().admits("b"), grant().gives(Right::Spawn), grant().runs(&ModuleHash([2; 32]))),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!((narrow.admits("a"), narrow.admits("b")), (Ok(()), Err(Error::Node("b".into()))));
        assert_eq!((narrow.gives(Right::Send), narrow.gives(Right::Spawn)), (Ok(()), Err(Error::Right("spawn"))));
        assert_eq!(narrow.runs(&ModuleHash([2; 32])), Err(Error::Module(ModuleHash([2; 32]))));
        for (cluster, now, expected) in [
            ("dev", 10_000, Ok(())),
            ("dev", 10_000 - 3_600, Ok(())),
            ("dev", 10_000 - 3_601, Err(Error::NotYet(3_601))),
            ("dev", 20_000, Err(Error::Expired(0))),
            ("prod", 15_000, Err(Error::Cluster("dev".into()))),
        ] {
            assert_eq!(grant().check(cluster, now), expected, "{cluster} {now}");
        }
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for bad in [
            Grant { tenant: "Alice".into(), ..grant() },
            Grant { nodes: Some(vec!["".into()]), ..grant() },
            Grant { until: 10_000, ..grant() },
        ] {
            assert!(matches!(Grant::parse(&bad.to_cbor().unwrap()), Err(Error::Malformed(_))), "{bad:?}");
        }
        let many = Grant { modules: Some(vec![ModuleHash([0; 32]); 2_000]), ..grant() };
        assert!(matches!(many.to_cbor(), Err(Error::TooLarge(_))));
        let bytes = grant().to_cbor().unwrap();
        (0..bytes.len()).for_each(|cut| assert!(Grant::parse(&bytes[..cut]).is_err()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_grant_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Grant::parse(&bytes);
        }
    }
}
