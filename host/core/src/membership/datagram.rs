//! What stands before every datagram of membership, and why one is not taken: `version u8, kind u8, cluster u64`, then a
//! body. foca's own format has no version and knows of no cluster.

use super::codec::{self, PRESENCE};
use super::presence::Presence;
use crate::limits;
use std::net::SocketAddr;

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// foca's bytes.
    Swim = 0,
    /// The sender, and a sum for each bucket of its view.
    Digest = 1,
    /// The sender, and which buckets it asks for.
    Want = 2,
    /// The sender, and members with what they say of themselves.
    Page = 3,
    /// The sender, and a life that somebody holds for failed: it is to begin a new one.
    Renew = 4,
    /// The sender, and a member that it suspects.
    Doubt = 5,
    /// The sender, and a member as it is known alive: what refutes a doubt.
    Refuted = 6,
    /// The sender, a dial-out node: it asks for its datagrams to be passed on to it.
    Gate = 7,
    /// The sender, which does.
    Gated = 8,
    /// The sender, a node, and a datagram for it.
    Pass = 9,
    /// The sender, a gateway, the node that a datagram came from, and the datagram.
    Passed = 10,
    /// The sender, which wants to be dialled.
    Call = 11,
}

/// Why a datagram was not taken. Its sender is not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    #[error("version {0} of membership is not known here")]
    Version(u8),
    #[error("it is of another cluster")]
    Cluster,
    #[error("longer than {} bytes (MESH_DATAGRAM)", limits::MESH_DATAGRAM)]
    TooLarge,
    #[error("malformed")]
    Malformed,
    #[error("its sender is not the node that the connection proves")]
    Impostor,
    #[error("it speaks for this very node: is its data directory used twice?")]
    Ourselves,
    #[error("it is from an earlier life of its sender")]
    Stale,
    #[error("it is for an earlier life of this node, or for another node")]
    NotForUs,
    #[error("this node knows {} nodes, which is the limit (MESH_NODES)", limits::MESH_NODES)]
    Full,
    #[error("this node is no gateway of the node that it is for")]
    NoGateway,
    #[error("this node is a gateway of {} nodes, which is the limit (GATEWAY_CLIENTS)", limits::GATEWAY_CLIENTS)]
    Gateways,
    #[error("what is passed on is passed on once, and concerns sender and receiver alone")]
    Relayed,
    #[error("it was passed on for a node that is no member, or by one that is no gateway of this node")]
    Stranger,
    #[error("more of them than are passed on (PASS_INTERVAL, PASS_TO_INTERVAL)")]
    Flood,
    #[error("its sender asks to be dialled at an address that is not its own")]
    Elsewhere,
    #[error("its sender asks to be dialled, and that is of no use: one of the two is to be dial-out")]
    NotDialled,
    #[error("it asks to be dialled more often than it may (CALL_BACK_INTERVAL)")]
    Calls,
}

pub(super) const HEAD: usize = 10;
/// What stands before a datagram that is passed on: another head, who passes it on, and the node that it is for or from.
pub(super) const PASSING: usize = HEAD + PRESENCE + 12;
/// The longest that this node makes: any of them may have to be passed on.
pub(super) const ROOM: usize = limits::MESH_DATAGRAM - PASSING;

const VERSION: u8 = 1;

/// The number of a cluster's name; what another cluster sends is dropped by it.
pub fn cluster_number(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(super) fn seal(cluster: u64, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&[VERSION, kind as u8]);
    bytes.extend_from_slice(&cluster.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The same with the sender at the beginning of the body, as all kinds but foca's have it.
pub(super) fn seal_from(cluster: u64, kind: Kind, sender: &Presence, body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(PRESENCE + body.len());
    // A vector has room.
    let _ = codec::put_presence(sender, &mut whole);
    whole.extend_from_slice(body);
    seal(cluster, kind, &whole)
}

pub(super) fn open(cluster: u64, bytes: &[u8]) -> Result<(Kind, &[u8]), Rejected> {
    if bytes.len() > limits::MESH_DATAGRAM {
        return Err(Rejected::TooLarge);
    }
    let (version, rest) = bytes.split_first().ok_or(Rejected::Malformed)?;
    if *version != VERSION {
        return Err(Rejected::Version(*version));
    }
    let (kind, rest) = rest.split_first().ok_or(Rejected::Malformed)?;
    let (theirs, body) = rest.split_first_chunk::<8>().ok_or(Rejected::Malformed)?;
    if u64::from_le_bytes(*theirs) != cluster {
        return Err(Rejected::Cluster);
    }
    let kind = match kind {
        0 => Kind::Swim,
        1 => Kind::Digest,
        2 => Kind::Want,
        3 => Kind::Page,
        4 => Kind::Renew,
        5 => Kind::Doubt,
        6 => Kind::Refuted,
        7 => Kind::Gate,
        8 => Kind::Gated,
        9 => Kind::Pass,
        10 => Kind::Passed,
        11 => Kind::Call,
        _ => return Err(Rejected::Malformed),
    };
    Ok((kind, body))
}

/// The sender that a body begins with, as seen from here, and the rest.
pub(super) fn sender(body: &[u8], from: SocketAddr) -> Result<(Presence, &[u8]), Rejected> {
    let mut rest = body;
    let sender = codec::take_presence(&mut rest).map_err(|_| Rejected::Malformed)?;
    if sender.node == Default::default() {
        return Err(Rejected::Malformed);
    }
    Ok((sender.seen_from(from), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_clusters_and_sizes_are_told_apart() {
        let (dev, prod) = (cluster_number("dev"), cluster_number("prod"));
        assert_ne!(dev, prod);
        let bytes = seal(dev, Kind::Want, b"body");
        assert_eq!(open(dev, &bytes), Ok((Kind::Want, &b"body"[..])));
        assert_eq!(open(prod, &bytes), Err(Rejected::Cluster));
        assert_eq!(open(dev, &[&[9], &bytes[1..]].concat()), Err(Rejected::Version(9)));
        assert_eq!(open(dev, &[&[1, 99], &bytes[2..]].concat()), Err(Rejected::Malformed));
        assert_eq!(open(dev, &vec![1; limits::MESH_DATAGRAM + 1]), Err(Rejected::TooLarge));
        assert!((0..HEAD).all(|cut| open(dev, &bytes[..cut]) == Err(Rejected::Malformed)));
    }
}
