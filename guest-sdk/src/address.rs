//! A coroutine's address: 32 bytes, unguessable, never reused. It can be put inside any value, compared and printed.

use crate::byte_string;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Where a coroutine (or channel, or node) can be reached from anywhere in the mesh.
///
/// Inside arguments, results and messages it travels as a byte string of 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address([u8; Address::SIZE]);

impl Address {
    pub const SIZE: usize = 32;

    pub const fn from_bytes(bytes: [u8; Address::SIZE]) -> Address {
        Address(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; Address::SIZE] {
        &self.0
    }
}

/// Only the public part, as logs show it: node, incarnation and counter. The secret half would let a reader
/// of a log send to the coroutine.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, rest) = self.0.split_at(12);
        for byte in node {
            write!(f, "{byte:02x}")?;
        }
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        write!(f, ".{}.{}", number(&rest[..4]), number(&rest[4..12]))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        byte_string::array(deserializer, "an address").map(Address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_does_not_have_the_secret() {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&[0xab, 1, 2, 3]);
        bytes[12] = 7;
        bytes[16..18].copy_from_slice(&[1, 1]);
        bytes[24..].fill(0xee);
        let address = Address::from_bytes(bytes);
        assert_eq!(address.to_string(), "ab0102030000000000000000.7.257");
        assert!(!format!("{address:?}").contains("ee"));
    }

    #[test]
    fn it_travels_as_bytes() {
        let address = Address::from_bytes(std::array::from_fn(|i| i as u8));
        let mut bytes = Vec::new();
        ciborium::into_writer(&address, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 34, "a byte string: two bytes of head, then the address");
        assert_eq!(ciborium::from_reader::<Address, _>(&bytes[..]).unwrap(), address);
    }
}
