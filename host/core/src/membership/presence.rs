//! One life of a node in the mesh: its id, the boot, how often it had to come back within that boot, and where its
//! datagrams go.

use crate::ids::NodeId;
use std::fmt;
use std::net::SocketAddr;

/// A node as membership names it. Two are the same if node, incarnation and generation are; the rest is how to reach it.
#[derive(Clone, Copy)]
pub struct Presence {
    pub node: NodeId,
    /// Raised at every start of the node.
    pub incarnation: u32,
    /// Raised when others have given this one up although it lives: what was declared failed stays so.
    pub generation: u32,
    /// An unspecified IP is replaced by the one a datagram came from, port 0 by that port.
    pub address: SocketAddr,
    /// It accepts no connections, so it is home to no name.
    pub dial_out: bool,
}

impl Presence {
    /// The first life of a boot.
    pub fn new(node: NodeId, incarnation: u32, address: SocketAddr) -> Presence {
        Presence { node, incarnation, generation: 0, address, dial_out: false }
    }

    /// Whoever is at this address: the receiver of an announcement puts itself in its place.
    pub fn anyone(address: SocketAddr) -> Presence {
        Presence::new(NodeId::default(), 0, address)
    }

    /// Later lives of a node win.
    pub fn life(&self) -> (u32, u32) {
        (self.incarnation, self.generation)
    }

    /// Fills in what the sender could not know of itself.
    pub fn seen_from(mut self, from: SocketAddr) -> Presence {
        if self.address.ip().is_unspecified() {
            self.address.set_ip(from.ip());
        }
        if self.address.port() == 0 {
            self.address.set_port(from.port());
        }
        self
    }
}

impl PartialEq for Presence {
    fn eq(&self, other: &Presence) -> bool {
        self.node == other.node && self.life() == other.life()
    }
}

impl Eq for Presence {}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}@{}", self.node, self.incarnation, self.generation, self.address)
    }
}

impl foca::Identity for Presence {
    type Addr = NodeId;

    fn renew(&self) -> Option<Presence> {
        Some(Presence { generation: self.generation.checked_add(1)?, ..*self })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Presence) -> bool {
        self.life() > adversary.life()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foca::Identity;

    #[test]
    fn a_later_boot_wins_over_any_generation_and_a_renewed_one_over_its_past() {
        let address = "10.0.0.1:4710".parse().unwrap();
        let old = Presence { generation: 9, ..Presence::new(NodeId([1; 12]), 1, address) };
        let new = Presence::new(NodeId([1; 12]), 2, address);
        assert!(new.win_addr_conflict(&old) && !old.win_addr_conflict(&new));
        let renewed = old.renew().unwrap();
        assert!(renewed.win_addr_conflict(&old) && renewed != old);
        assert_eq!(Presence { generation: u32::MAX, ..old }.renew(), None);
    }

    #[test]
    fn what_a_node_does_not_know_of_its_address_is_taken_from_where_its_datagram_came() {
        let from = "192.0.2.7:999".parse().unwrap();
        for (given, expected) in
            [("0.0.0.0:4710", "192.0.2.7:4710"), ("[::]:0", "192.0.2.7:999"), ("10.0.0.1:4710", "10.0.0.1:4710")]
        {
            let presence = Presence::new(NodeId([1; 12]), 1, given.parse().unwrap());
            assert_eq!(presence.seen_from(from).address, expected.parse().unwrap(), "{given}");
        }
    }
}
