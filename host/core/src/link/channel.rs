//! What nodes ask of each other about channels. `docs/mesh.md` tells who asks whom.

use crate::ids::Address;
use crate::limits;
use crate::sync::channel::walk::Claim;
use serde::{Deserialize, Serialize};

/// A call of [`super::call::Call::Channel`]. Unless it says otherwise `to` of its frame is a channel and what is asked is
/// answered. Times are nanoseconds; `u64::MAX`: for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChannelCall {
    /// Send the bytes that follow, with the frame's tag. Answered when that is done.
    Send {
        #[serde(rename = "w")]
        wait: u64,
    },
    /// The same, once there are so many leaf subscribers; answered with how many have it (u64, little-endian).
    Deliver {
        #[serde(rename = "n")]
        n: u64,
        #[serde(rename = "w")]
        wait: u64,
    },
    Close,
    /// May whoever asks let the channel's publishers be held?
    Consent,
    /// Of a coroutine or channel `to`: subscribe it to this channel.
    Subscribe {
        #[serde(rename = "c")]
        channel: Address,
        #[serde(rename = "m")]
        cap: u32,
        #[serde(rename = "p")]
        policy: u32,
        #[serde(rename = "w")]
        wait: u64,
    },
    /// The reverse.
    Unsubscribe {
        #[serde(rename = "c")]
        channel: Address,
    },
    /// `from` stands for the channel on its node, from here on and until the monitor is given up whose number is the frame's
    /// tag. The end of the channel is an exit of that number.
    Branch,
    /// So many mailboxes are behind `from`; some of them hold publishers. The highest number is the newest.
    Leaves {
        #[serde(rename = "i")]
        number: u64,
        #[serde(rename = "n")]
        leaves: u64,
        #[serde(rename = "h")]
        holds: bool,
    },
    /// First step of a subscription of `child`, which is on the node of `from`.
    Reserve {
        #[serde(rename = "k")]
        claim: Claim,
        #[serde(rename = "c")]
        child: Address,
    },
    /// Last step.
    Commit {
        #[serde(rename = "k")]
        claim: Claim,
    },
    /// The claim gives way: answered with one byte, 0 where it is not there, or not only reserved any more.
    Abort {
        #[serde(rename = "k")]
        claim: Claim,
    },
    /// The subscription of `child` has ended. Not answered.
    Cut {
        #[serde(rename = "c")]
        child: Address,
    },
    /// Answered with [`Neighbours`]: those that it gets messages from, or gives messages to.
    Neighbours {
        #[serde(rename = "u")]
        up: bool,
    },
    /// `to` stands for channel `from`: the message that follows, with the frame's tag, which came through so many channels.
    /// Answered, when all behind it have it or could not have it in time, with how many do (u64, little-endian) and a byte
    /// that is 1 where not all had room.
    Carry {
        #[serde(rename = "s")]
        hops: u8,
        #[serde(rename = "w")]
        wait: u64,
    },
    /// Whatever a later version asks.
    #[serde(other)]
    Unknown,
}

/// Channels beside one, each with the claim of the edge if that is only reserved.
pub type Neighbours = Vec<(Address, Option<Claim>)>;

/// The answer to [`ChannelCall::Neighbours`].
pub fn encode_neighbours(neighbours: &Neighbours) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(neighbours, &mut out);
    out
}

/// Reads the same; `None` where it is no such answer.
pub fn decode_neighbours(bytes: &[u8]) -> Option<Neighbours> {
    let neighbours: Neighbours = ciborium::de::from_reader_with_recursion_limit(bytes, limits::CBOR_DEPTH).ok()?;
    (neighbours.len() <= limits::TENANT_CHANNEL_EDGES).then_some(neighbours)
}

#[cfg(test)]
mod tests {
    use super::super::call::{self, Call};
    use super::*;
    use crate::ids::NodeId;
    use proptest::prelude::*;

    fn claim() -> Claim {
        Claim { number: 7, node: NodeId([1; 12]) }
    }

    #[test]
    fn calls_about_channels_survive_their_bytes_and_those_of_later_versions_are_known_as_such() {
        let address = Address { counter: 1 << 60, ..Address::default() };
        for asked in [
            ChannelCall::Send { wait: u64::MAX },
            ChannelCall::Deliver { n: 2, wait: 0 },
            ChannelCall::Close,
            ChannelCall::Subscribe { channel: address, cap: 1, policy: 2, wait: 3 },
            ChannelCall::Leaves { number: 1, leaves: 2, holds: true },
            ChannelCall::Reserve { claim: claim(), child: address },
            ChannelCall::Carry { hops: 8, wait: 1 },
        ] {
            let bytes = call::encode(&Call::Channel(asked)).unwrap();
            assert_eq!(call::decode::<Call>(bytes).unwrap().0, Call::Channel(asked));
        }
        let later = call::encode(&std::collections::BTreeMap::from([("Channel", "Fly")])).unwrap();
        assert_eq!(call::decode::<Call>(later).unwrap().0, Call::Channel(ChannelCall::Unknown));
    }

    #[test]
    fn neighbours_survive_their_bytes_and_more_than_there_may_be_are_refused() {
        let one = (Address::default(), Some(claim()));
        assert_eq!(decode_neighbours(&encode_neighbours(&vec![one, one])), Some(vec![one, one]));
        assert_eq!(decode_neighbours(&encode_neighbours(&vec![one; limits::TENANT_CHANNEL_EDGES + 1])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_neighbours_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_neighbours(&bytes);
        }
    }
}
