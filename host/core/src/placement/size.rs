//! Sizes as people write them: `64MiB`, `2GiB`, or a number of bytes.

use std::fmt;

/// Bytes, printed in the largest unit in which they are a whole number or have a short one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

/// What is taken, for messages.
pub(super) const ACCEPTED: &str = "bytes, or a whole number with KiB, MiB, GiB or TiB, as in 64MiB";

/// Largest first.
const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl Size {
    /// `None` where it is none, or does not fit 64 bits.
    pub fn parse(text: &str) -> Option<Size> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        // A sign is not a digit, so `parse` has nothing to be lenient about.
        let number: u64 = number.parse().ok()?;
        let shift = match unit {
            "" => 0,
            unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        number.checked_mul(1 << shift).map(Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, shift)| self.0 >> shift > 0) {
            None => write!(f, "{} B", self.0),
            Some((unit, shift)) if self.0.is_multiple_of(1 << shift) => write!(f, "{} {unit}", self.0 >> shift),
            // One digit is enough for a person to see how far off it is.
            Some((unit, shift)) => {
                let tenths = ((self.0 >> (shift - 10)) * 10) >> 10;
                write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("0", 0, "0 B"),
            ("1000", 1000, "1000 B"),
            ("64MiB", 64 << 20, "64 MiB"),
            ("1536KiB", 1536 << 10, "1.5 MiB"),
            ("2GiB", 2 << 30, "2 GiB"),
            ("1TiB", 1 << 40, "1 TiB"),
            ("18446744073709551615", u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), printed);
        }
        for bad in ["", "MiB", "+1", "-1", "1.5GiB", "2GB", "2 GiB", "16777216TiB", "18446744073709551616", "1é"] {
            assert_eq!(Size::parse(bad), None, "{bad:?}");
        }
    }
}
