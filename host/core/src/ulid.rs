//! Names of durable jobs: sorted by the time of their making, and too many to meet by chance.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// 48 bits of milliseconds since 1970, then 80 random ones (ULID). Written as 26 letters and digits; any beginning of them may
/// stand for it where that is enough to tell it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(pub u128);

/// Crockford's: no i, l, o, u, which are read as others.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;
const BITS: u32 = 128;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a job's id is up to {LENGTH} digits and letters (without i, l, o and u; the first is 0 to 7), not {0:?}")]
pub struct Malformed(String);

impl Ulid {
    pub const SIZE: usize = 16;

    /// The next that is later than this one.
    pub fn after(self) -> Ulid {
        Ulid(self.0.saturating_add(1))
    }
}

impl Ulid {
    /// `now`: nanoseconds since 1970; `random`: of which 80 bits are used.
    pub fn new(now: u64, random: u128) -> Ulid {
        let millis = u128::from(now / 1_000_000) & ((1 << 48) - 1);
        Ulid(millis << 80 | random & ((1 << 80) - 1))
    }

    /// All ids that begin with this text. Errors: malformed.
    pub fn with_prefix(text: &str) -> Result<RangeInclusive<Ulid>, Malformed> {
        let malformed = || Malformed(text.chars().take(LENGTH + 6).collect());
        if text.len() > LENGTH {
            return Err(malformed());
        }
        let digit = |byte: u8| DIGITS.iter().position(|known| *known == byte.to_ascii_lowercase());
        let (mut low, mut left) = (0_u128, BITS + 2);
        for (at, byte) in text.bytes().enumerate() {
            let digit = digit(byte).filter(|digit| at > 0 || *digit < 8).ok_or_else(malformed)?;
            left -= 5;
            low |= (digit as u128) << left;
        }
        let rest = if left >= BITS { u128::MAX } else { (1 << left) - 1 };
        Ok(Ulid(low)..=Ulid(low | rest))
    }
}

/// Sixteen bytes, most significant first.
impl Serialize for Ulid {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0.to_be_bytes())
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteArray<16> = Deserialize::deserialize(d)?;
        Ok(Ulid(u128::from_be_bytes(bytes.into_array())))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |at: u32| DIGITS[(self.0 >> (5 * at)) as usize & 31] as char;
        f.pad(&(0..LENGTH as u32).rev().map(digit).collect::<String>())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Ulid {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Ulid, Malformed> {
        let whole = text.len() == LENGTH;
        let range = Ulid::with_prefix(text)?;
        whole.then(|| *range.start()).ok_or_else(|| Malformed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_read_as_they_are_written_sort_by_time_and_are_in_the_ranges_of_their_beginnings(
            a in any::<(u64, u128)>(), b in any::<(u64, u128)>(), cut in 0..=LENGTH,
        ) {
            let (one, other) = (Ulid::new(a.0, a.1), Ulid::new(b.0, b.1));
            let text = one.to_string();
            prop_assert_eq!(text.len(), LENGTH);
            prop_assert_eq!(text.parse::<Ulid>().unwrap(), one);
            prop_assert_eq!(text.cmp(&other.to_string()), one.cmp(&other));
            let range = Ulid::with_prefix(&text[..cut]).unwrap();
            prop_assert!(range.contains(&one));
            prop_assert_eq!(range.contains(&other), other.to_string().starts_with(&text[..cut]));
        }
    }

    #[test]
    fn what_is_no_id_is_told_so() {
        for text in ["8", "0i", "0-", "é", "000000000000000000000000000"] {
            assert!(Ulid::with_prefix(text).is_err(), "{text}");
        }
        assert!("0".parse::<Ulid>().is_err());
        assert_eq!(Ulid::with_prefix("").unwrap(), Ulid(0)..=Ulid(u128::MAX));
    }
}
