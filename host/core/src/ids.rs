//! Names of things: nodes, modules, coroutines, computations, jobs. Plain values, parsed once, printed one way.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Twelve bytes, a hash of the name in the node's certificate; printed as 24 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 12]);

/// BLAKE3 of a module's bytes; printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModuleHash(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// Where a coroutine can be reached, from anywhere in the mesh; 32 bytes, never reused.
///
/// Layout (little-endian): node 12, boot incarnation u32, counter u64, secret u64. The secret makes an address
/// unguessable; the tenant check is made all the same, from the authenticated identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Address {
    pub node: NodeId,
    /// Raised and synced to disk at every start of the node, before the first address is given out.
    pub incarnation: u32,
    /// Counts coroutines of one incarnation; never reused.
    pub counter: u64,
    pub secret: u64,
}

/// A job within one computation on one connection, chosen by the client, never reused there.
pub type JobId = u64;

/// A computation on one node.
pub type ComputationId = u64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("expected {expected} hexadecimal digits, found {found:?}")]
    Hex { expected: usize, found: String },
    #[error("an address has 32 bytes, found {0}")]
    AddressLength(usize),
}

impl ModuleHash {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        ModuleHash(*blake3::hash(bytes).as_bytes())
    }
}

impl Address {
    pub const SIZE: usize = 32;

    pub fn to_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..12].copy_from_slice(&self.node.0);
        out[12..16].copy_from_slice(&self.incarnation.to_le_bytes());
        out[16..24].copy_from_slice(&self.counter.to_le_bytes());
        out[24..].copy_from_slice(&self.secret.to_le_bytes());
        out
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut node = [0; 12];
        node.copy_from_slice(&bytes[..12]);
        Address {
            node: NodeId(node),
            incarnation: u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
            counter: le_u64(&bytes[16..24]),
            secret: le_u64(&bytes[24..]),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<32> = Deserialize::deserialize(d)?;
        Ok(Address::from_bytes(bytes.into_array()))
    }
}

/// Node, incarnation and counter; the secret is never printed.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.incarnation, self.counter)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        parse_hex(s).map(NodeId)
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleHash({self})")
    }
}

impl FromStr for ModuleHash {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        parse_hex(s).map(ModuleHash)
    }
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex<const N: usize>(s: &str) -> Result<[u8; N], ParseError> {
    let bad = || ParseError::Hex { expected: N * 2, found: s.chars().take(80).collect() };
    if s.len() != N * 2 || !s.is_ascii() {
        return Err(bad());
    }
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&s[i * 2..i * 2 + 2], 16).map_err(|_| bad())?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_bytes_and_hides_its_secret() {
        let address = Address { node: NodeId([7; 12]), incarnation: 3, counter: 0x0102_0304_0506_0708, secret: 0xfeed };
        assert_eq!(Address::from_bytes(address.to_bytes()), address);
        assert_eq!(address.to_bytes()[16], 8, "little-endian counter");
        assert_eq!(address.to_string(), "070707070707070707070707.3.72623859790382856");
        let mut cbor = Vec::new();
        ciborium::into_writer(&address, &mut cbor).unwrap();
        assert_eq!(ciborium::from_reader::<Address, _>(&cbor[..]).unwrap(), address);
    }

    #[test]
    fn hex_names_parse_back_and_refuse_what_is_not_one() {
        let hash = ModuleHash::of(b"abc");
        assert_eq!(hash.to_string().parse::<ModuleHash>().unwrap(), hash);
        for bad in ["", "zz", "é", &"0".repeat(63), &"g".repeat(64)] {
            assert!(bad.parse::<ModuleHash>().is_err(), "{bad:?}");
        }
    }
}
