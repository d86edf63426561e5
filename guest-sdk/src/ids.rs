//! Names of modules and nodes, as exit records and statuses have them.

use crate::byte_string;
use crate::error::{Code, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

macro_rules! names {
    ($($(#[$attribute:meta])* $name:ident, $size:literal, $what:literal;)*) => {
        $(
            $(#[$attribute])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name([u8; $size]);

            impl $name {
                pub const SIZE: usize = $size;

                pub const fn from_bytes(bytes: [u8; $size]) -> $name {
                    $name(bytes)
                }

                pub const fn as_bytes(&self) -> &[u8; $size] {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}({self})", stringify!($name))
                }
            }

            impl FromStr for $name {
                type Err = Error;

                fn from_str(text: &str) -> Result<$name, Error> {
                    hex(text).map($name).ok_or_else(|| {
                        let found: String = text.chars().take(80).collect();
                        Error::new(Code::Invalid, format!("expected {} hexadecimal digits, found {found:?}", 2 * $size))
                    })
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_bytes(&self.0)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                    byte_string::array(deserializer, $what).map($name)
                }
            }
        )*
    };
}

names! {
    /// The name of a module: the BLAKE3 hash of its bytes, printed and parsed as 64 hexadecimal digits.
    ///
    /// ```
    /// use corovan_guest::ModuleHash;
    ///
    /// let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    /// let hash: ModuleHash = text.parse().unwrap();
    /// assert_eq!(hash.to_string(), text);
    /// ```
    ModuleHash, 32, "the hash of a module";
    /// The name of a node: 12 bytes, a hash of the name in its certificate, printed and parsed as 24 hexadecimal digits.
    NodeId, 12, "the id of a node";
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digits.iter().try_fold(0, |value, next| Some(value << 4 | digit(next)? as u8))?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_text_and_cbor_and_what_is_none_is_refused() {
        let hash = ModuleHash::from_bytes(std::array::from_fn(|i| 7 * i as u8));
        assert_eq!(hash.to_string().parse::<ModuleHash>().unwrap(), hash);
        let mut cbor = Vec::new();
        ciborium::into_writer(&hash, &mut cbor).unwrap();
        assert_eq!(ciborium::from_reader::<ModuleHash, _>(&cbor[..]).unwrap(), hash);
        assert!(ciborium::from_reader::<NodeId, _>(&cbor[..]).is_err(), "32 bytes are no node");
        for bad in ["", "zz", "é", &"0".repeat(63), &"g".repeat(64)] {
            assert_eq!(bad.parse::<ModuleHash>().unwrap_err().code, Code::Invalid, "{bad:?}");
        }
    }
}
