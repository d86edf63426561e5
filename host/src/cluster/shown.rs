//! Under which grants a tenant's names are spoken of to other nodes: of those that its computations here have, the one that counts
//! longest at the node that is spoken to. No computation with less hides the names of another.

use bytes::Bytes;
use corovan_core::limits;
use corovan_core::tenancy::grant::Grant;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Grants for names, by tenant: as many as tenants work here.
#[derive(Default)]
pub struct Shown(Mutex<HashMap<String, Vec<Kept>>>);

struct Kept {
    bytes: Bytes,
    grant: Arc<Grant>,
}

impl Shown {
    /// A computation of this tenant speaks of names under this grant, which lets it.
    pub fn keep(&self, tenant: &str, bytes: &Bytes, grant: &Arc<Grant>) {
        let mut shown = self.0.lock();
        let Some(kept) = shown.get_mut(tenant) else {
            let first = Kept { bytes: bytes.clone(), grant: Arc::clone(grant) };
            shown.insert(tenant.to_owned(), vec![first]);
            return;
        };
        if kept.iter().any(|one| one.bytes == *bytes) {
            return;
        }
        kept.push(Kept { bytes: bytes.clone(), grant: Arc::clone(grant) });
        if kept.len() > limits::NAME_GRANTS
            && let Some((least, _)) = kept.iter().enumerate().min_by_key(|(_, one)| one.worth())
        {
            kept.swap_remove(least);
        }
    }

    /// The one to be shown to the node of this name, or to one whose name is not known yet, at this time in nanoseconds since 1970.
    pub fn to(&self, tenant: &str, node: Option<&str>, now: u64) -> Option<Bytes> {
        let mut shown = self.0.lock();
        let kept = shown.get_mut(tenant)?;
        // What is over is no use to anybody; its names live on under others, or end with their leases.
        kept.retain(|one| now / 1_000_000_000 < one.grant.until);
        let counts = |one: &&Kept| node.is_none_or(|node| one.grant.admits(node).is_ok());
        kept.iter().filter(counts).max_by_key(|one| one.worth()).map(|one| one.bytes.clone())
    }
}

impl Kept {
    /// One that counts at all nodes before others, then the one that counts longest.
    fn worth(&self) -> (bool, u64) {
        (self.grant.nodes.is_none(), self.grant.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(shown: &Shown, name: &str, nodes: Option<&[&str]>, until: u64) {
        let nodes = nodes.map(|nodes| nodes.iter().map(|node| (*node).to_owned()).collect());
        let grant = Grant { nodes, ..Grant::whole("dev", "me", [1; 16], 0, until) };
        shown.keep("me", &Bytes::copy_from_slice(name.as_bytes()), &Arc::new(grant));
    }

    fn to(shown: &Shown, node: Option<&str>, second: u64) -> Option<String> {
        shown.to("me", node, second * 1_000_000_000).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_narrow_grant_hides_nothing_and_is_used_where_there_is_none_better() {
        let shown = Shown::default();
        assert_eq!(to(&shown, Some("a"), 1), None);
        keep(&shown, "everywhere", None, 10);
        keep(&shown, "a and b", Some(&["a", "b"]), 20);
        keep(&shown, "c", Some(&["c"]), 30);
        for node in [Some("a"), Some("c"), Some("d"), None] {
            assert_eq!(to(&shown, node, 1).unwrap(), "everywhere");
        }
        // Once that is over.
        assert_eq!(to(&shown, Some("a"), 10).unwrap(), "a and b");
        assert_eq!(to(&shown, Some("c"), 10).unwrap(), "c");
        assert_eq!(to(&shown, Some("d"), 10), None);
        assert_eq!(to(&shown, None, 10).unwrap(), "c", "it may be the one");
        assert_eq!(to(&shown, Some("a"), 20), None);
        assert_eq!(shown.to("other", None, 0), None);
    }

    #[test]
    fn of_many_computations_those_grants_are_kept_that_count_at_most_nodes_and_longest() {
        let shown = Shown::default();
        keep(&shown, "everywhere", None, 5);
        for number in 0..100 {
            keep(&shown, &format!("a until {}", 10 + number), Some(&["a"]), 10 + number);
            keep(&shown, "everywhere", None, 5);
        }
        assert_eq!(shown.0.lock()["me"].len(), limits::NAME_GRANTS);
        assert_eq!(to(&shown, Some("a"), 1).unwrap(), "everywhere");
        assert_eq!(to(&shown, Some("a"), 5).unwrap(), "a until 109");
    }
}
