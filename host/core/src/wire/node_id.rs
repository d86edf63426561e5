//! A node's id as a CBOR byte string of 12 bytes; derived, an array of integers would take twice the room.

use crate::ids::NodeId;
use serde::{Deserialize, Deserializer, Serializer};

pub fn serialize<S: Serializer>(id: &NodeId, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_bytes(&id.0)
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<NodeId, D::Error> {
    let bytes: serde_bytes::ByteArray<12> = Deserialize::deserialize(d)?;
    Ok(NodeId(bytes.into_array()))
}

/// The same for a field that may be absent.
pub mod option {
    use super::*;

    pub fn serialize<S: Serializer>(id: &Option<NodeId>, s: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => s.serialize_bytes(&id.0),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<NodeId>, D::Error> {
        let bytes: Option<serde_bytes::ByteArray<12>> = Deserialize::deserialize(d)?;
        Ok(bytes.map(|bytes| NodeId(bytes.into_array())))
    }
}
