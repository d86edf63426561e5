//! Byte strings in CBOR: addresses and hashes of a fixed size, values of any. serde by itself would write a list of numbers.

use serde::{Deserializer, de};
use std::fmt;

/// Exactly `N` bytes, as a byte string or as a list of numbers; `what` names them in an error.
pub fn array<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
    what: &'static str,
) -> Result<[u8; N], D::Error> {
    deserializer.deserialize_bytes(Exactly::<N>(what))
}

/// Any number of bytes, or nothing.
pub fn option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    deserializer.deserialize_option(Any)
}

struct Exactly<const N: usize>(&'static str);

impl<'de, const N: usize> de::Visitor<'de> for Exactly<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({N} bytes)", self.0)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    // What has passed through a format without byte strings, such as JSON.
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = items.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &self))?;
        }
        match items.next_element::<de::IgnoredAny>()? {
            None => Ok(bytes),
            Some(_) => Err(de::Error::invalid_length(N + 1, &self)),
        }
    }
}

struct Any;

impl<'de> de::Visitor<'de> for Any {
    type Value = Option<Vec<u8>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<Vec<u8>>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        deserializer.deserialize_byte_buf(self)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Option<Vec<u8>>, E> {
        Ok(Some(bytes.to_vec()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, E> {
        Ok(Some(bytes))
    }
}
