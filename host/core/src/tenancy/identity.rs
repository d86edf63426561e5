//! Who a certificate names: cluster, role, name, written as a SPIFFE URI. Parsed strictly and printed one way, so that
//! two spellings of one identity cannot exist. No certificate is read here.

use crate::ids::NodeId;
use std::fmt;
use std::str::FromStr;

/// An authenticated identity: `spiffe://<cluster>/<role>/<name>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Principal {
    cluster: String,
    role: Role,
    name: String,
}

/// What a principal may be; a certificate has exactly one role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A node. Proves nothing about any tenant.
    Node,
    /// An owner of work.
    Tenant,
    /// May see and stop everything.
    Operator,
}

/// Why a text is not a name or an identity.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is not a name: use 1 to {MAX_NAME} of a-z, 0-9 and '-', not beginning or ending with '-'")]
    Name(String),
    #[error("{0:?} is not an identity: expected spiffe://CLUSTER/ROLE/NAME with the role node, tenant or operator")]
    Uri(String),
}

/// A name is one label of a DNS name, which has at most so many bytes.
pub const MAX_NAME: usize = 63;

const SCHEME: &str = "spiffe://";

impl Principal {
    pub fn new(cluster: &str, role: Role, name: &str) -> Result<Principal, Error> {
        Ok(Principal { cluster: check_name(cluster)?.to_owned(), role, name: check_name(name)?.to_owned() })
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The DNS name of this node alone; only nodes have one.
    pub fn dns_name(&self) -> Option<String> {
        (self.role == Role::Node).then(|| format!("{}.{}", self.name, node_dns_name(&self.cluster)))
    }

    /// What a node is called in addresses: so a certificate proves an address's node, and no table of names is to be kept
    /// or believed. Two names with the same id would take 2^48 certificates of one cluster.
    pub fn node_id(&self) -> NodeId {
        let mut id = NodeId::default();
        let mut hash = blake3::Hasher::new_derive_key("corovan node id");
        hash.update(self.to_string().as_bytes()).finalize_xof().fill(&mut id.0);
        id
    }

    /// The DNS name that every node of this principal's cluster has, and nothing else: a client that knows its own
    /// cluster connects by it, and the stock verifier then accepts any node of the cluster and no other server.
    pub fn cluster_dns_name(&self) -> String {
        node_dns_name(&self.cluster)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role, self.name)
    }
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(uri: &str) -> Result<Principal, Error> {
        let bad = || Error::Uri(excerpt(uri));
        let mut parts = uri.strip_prefix(SCHEME).ok_or_else(bad)?.split('/');
        let (Some(cluster), Some(role), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(bad)?;
        Principal::new(cluster, role, name).map_err(|_| bad())
    }
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Node, Role::Tenant, Role::Operator];

    pub fn name(self) -> &'static str {
        match self {
            Role::Node => "node",
            Role::Tenant => "tenant",
            Role::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Gives the name back if it is one.
pub fn check_name(name: &str) -> Result<&str, Error> {
    let shape = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-');
    if shape { Ok(name) } else { Err(Error::Name(excerpt(name))) }
}

/// The DNS name that every node of a cluster has.
pub fn node_dns_name(cluster: &str) -> String {
    format!("node.{cluster}.corovan.internal")
}

/// What an error shows of a text that may be of any length.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_printed() {
        for role in Role::ALL {
            let principal = Principal::new("dev", role, "a-1").unwrap();
            assert_eq!(principal.to_string(), format!("spiffe://dev/{role}/a-1"));
            assert_eq!(principal.to_string().parse(), Ok(principal));
        }
    }

    #[test]
    fn only_nodes_have_a_dns_name_of_their_own() {
        let node = Principal::new("dev", Role::Node, "a").unwrap();
        assert_eq!(node.dns_name().as_deref(), Some("a.node.dev.corovan.internal"));
        let tenant = Principal::new("dev", Role::Tenant, "a").unwrap();
        assert_eq!(tenant.dns_name(), None);
        assert_eq!(tenant.cluster_dns_name(), "node.dev.corovan.internal");
    }

    #[test]
    fn what_is_not_exactly_an_identity_is_refused() {
        let long = format!("spiffe://dev/node/{}", "a".repeat(64));
        for bad in [
            "",
            "spiffe://",
            "http://dev/node/a",
            "SPIFFE://dev/node/a",
            "spiffe://dev/node",
            "spiffe://dev/node/",
            "spiffe://dev/node/a/",
            "spiffe://dev/node/a/b",
            "spiffe:///node/a",
            "spiffe://dev//a",
            "spiffe://dev/Node/a",
            "spiffe://dev/root/a",
            "spiffe://dev/node/A",
            "spiffe://dev/node/a.b",
            "spiffe://dev/node/-a",
            "spiffe://dev/node/a-",
            "spiffe://dev/node/a%2fb",
            "spiffe://dev/node/a ",
            "spiffe://dev:1/node/a",
            "spiffe://u@dev/node/a",
            "spiffe://dev/node/ä",
            "spiffe://dev/node/a?x",
            &long,
        ] {
            assert!(bad.parse::<Principal>().is_err(), "{bad:?}");
        }
    }
}
