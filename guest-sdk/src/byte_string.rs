//! Byte strings in CBOR: bytes of any number, or of a fixed one as addresses have, or that are a value themselves. serde by
//! itself writes bytes as a list of numbers.

use crate::cbor::{from_cbor, to_cbor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::fmt;

/// Bytes in an argument, result or message: a byte string, where a `Vec<u8>` is a list of numbers and takes up to twice
/// the room.
///
/// ```
/// use corovan_guest::{Bytes, to_cbor};
///
/// assert_eq!(to_cbor(&Bytes(vec![200, 201])).unwrap(), [0x42, 200, 201]);
/// assert_eq!(to_cbor(&vec![200, 201]).unwrap(), [0x82, 0x18, 200, 0x18, 201]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Bytes(pub Vec<u8>);

/// A value as the bytes of its CBOR, within an argument, result or message: as a channel's
/// [transform](crate::channels::Channel::transform) takes and gives messages.
///
/// ```
/// use corovan_guest::{Packed, to_cbor};
///
/// assert_eq!(to_cbor(&Packed("a")).unwrap(), [0x42, 0x61, b'a']);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Packed<T>(pub T);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(Any).map(|bytes| Bytes(bytes.unwrap_or_default()))
    }
}

impl<T: Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = to_cbor(&self.0).map_err(|error| ser::Error::custom(error.detail))?;
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packed<T>, D::Error> {
        let Bytes(bytes) = Bytes::deserialize(deserializer)?;
        from_cbor(&bytes).map(Packed).map_err(|error| de::Error::custom(error.detail))
    }
}

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

    // What has passed through a format without byte strings, such as JSON.
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Option<Vec<u8>>, A::Error> {
        // No room is reserved by what the other side says is coming.
        let mut bytes = Vec::new();
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::lenient::Lenient;
    use ciborium::Value;

    #[test]
    fn bytes_come_back_from_a_byte_string_and_from_a_list_of_numbers() {
        for size in [0, 1, 300, 5_000] {
            let bytes = Bytes((0..size).map(|i| i as u8).collect());
            assert_eq!(from_cbor::<Bytes>(&to_cbor(&bytes).unwrap()).unwrap(), bytes, "{size}");
            assert_eq!(from_cbor::<Bytes>(&to_cbor(&bytes.0).unwrap()).unwrap(), bytes, "{size}");
            let argument = Value::serialized(&bytes).unwrap();
            assert_eq!(Bytes::deserialize(Lenient(&argument)).unwrap(), bytes, "{size}, as an argument");
        }
        assert!(from_cbor::<Bytes>(&to_cbor(&[256]).unwrap()).is_err(), "256 is no byte");
    }

    #[test]
    fn a_packed_value_is_checked_as_what_it_is() {
        let packed = to_cbor(&Packed((1, "a"))).unwrap();
        assert_eq!(packed.first(), Some(&0x44), "a byte string of the four bytes of the pair");
        assert_eq!(from_cbor::<Packed<(u8, String)>>(&packed).unwrap(), Packed((1, "a".to_owned())));
        let error = from_cbor::<Packed<u8>>(&packed).unwrap_err();
        assert_eq!(error.detail, "expected a whole number from 0 to 255, found a list");
    }
}
