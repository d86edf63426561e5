//! Is this one CBOR item (RFC 8949)? Looks without building anything: what a guest hands over may be 16 MiB of tiny items,
//! and a tree of those would take thirty times as much.

use crate::limits;

/// Why bytes are not one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("it ends within an item")]
    Truncated,
    #[error("byte {0:#04x} begins no item here")]
    Malformed(u8),
    #[error("a text in it is not UTF-8")]
    Utf8,
    #[error("it is nested deeper than {max}", max = limits::CBOR_DEPTH)]
    Depth,
    #[error("{0} bytes follow the item")]
    Trailing(usize),
}

/// What is open around the next item.
enum Around {
    /// So many more items.
    Items(u64),
    /// Items until a break; in a map an even number of them.
    Until { map: bool, odd: bool },
    /// Pieces of one string until a break, all of this major type.
    Pieces(u8),
}

const BREAK: u8 = 0xff;

/// Accepts exactly one well-formed item.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut rest = bytes;
    let mut around: Vec<Around> = Vec::new();
    loop {
        let complete = match (take(&mut rest, 1)?[0], around.last()) {
            (BREAK, Some(Around::Pieces(_) | Around::Until { odd: false, .. })) => {
                around.pop();
                true
            }
            (first, within) => match (item(first, &mut rest)?, within) {
                (None, Some(Around::Pieces(major))) => piece(first, *major)?,
                (None, _) => true,
                (Some(_), Some(Around::Pieces(_))) => return Err(Error::Malformed(first)),
                (Some(_), _) if around.len() >= limits::CBOR_DEPTH => return Err(Error::Depth),
                (Some(opened), _) => {
                    around.push(opened);
                    false
                }
            },
        };
        if complete && close(&mut around) {
            return if rest.is_empty() { Ok(()) } else { Err(Error::Trailing(rest.len())) };
        }
    }
}

/// Reads one item's head and, of a string, its bytes; what it opens, if it has items of its own.
fn item(first: u8, rest: &mut &[u8]) -> Result<Option<Around>, Error> {
    let (major, info) = (first >> 5, first & 0x1f);
    let number = match info {
        0..24 => Some(u64::from(info)),
        24..28 => Some(take(rest, 1 << (info - 24))?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
        31 => None,
        _ => return Err(Error::Malformed(first)),
    };
    let items = |count: u64| (count > 0).then_some(Around::Items(count));
    match (major, number) {
        (0 | 1, Some(_)) => Ok(None),
        (2, Some(len)) => take(rest, len).map(|_| None),
        (3, Some(len)) => std::str::from_utf8(take(rest, len)?).map(|_| None).map_err(|_| Error::Utf8),
        (2 | 3, None) => Ok(Some(Around::Pieces(major))),
        (4, Some(count)) => Ok(items(count)),
        // More pairs than fit the number are more than there are bytes.
        (5, Some(count)) => count.checked_mul(2).map(items).ok_or(Error::Truncated),
        (4 | 5, None) => Ok(Some(Around::Until { map: major == 5, odd: false })),
        (6, Some(_)) => Ok(Some(Around::Items(1))),
        (7, Some(simple)) if info != 24 || simple >= 32 => Ok(None),
        _ => Err(Error::Malformed(first)),
    }
}

/// A complete item among the pieces of a string must be a piece.
fn piece(first: u8, major: u8) -> Result<bool, Error> {
    if first >> 5 == major { Ok(true) } else { Err(Error::Malformed(first)) }
}

/// Counts an item that is complete; `true` if it was the outermost.
fn close(around: &mut Vec<Around>) -> bool {
    loop {
        match around.last_mut() {
            None => return true,
            Some(Around::Items(left)) if *left > 1 => {
                *left -= 1;
                return false;
            }
            Some(Around::Items(_)) => drop(around.pop()),
            Some(Around::Until { map, odd }) => {
                *odd = *map && !*odd;
                return false;
            }
            Some(Around::Pieces(_)) => return false,
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], Error> {
    let len = usize::try_from(len).map_err(|_| Error::Truncated)?;
    let (taken, after) = rest.split_at_checked(len).ok_or(Error::Truncated)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_item_is_accepted_and_nothing_else() {
        let good: &[&[u8]] = &[
            &[0x07],
            &[0x80],
            &[0xa0],
            &[0xf6],
            &[0xf9, 0, 0],
            &[0x82, 1, 0xa1, 2, 0x61, b'x'],
            &[0xc1, 0x1a, 0, 0, 0, 1],
            &[0x9f, 1, 0x9f, 0xff, 0xff],
            &[0xbf, 1, 2, 0xff],
            &[0x5f, 0x41, 0, 0x40, 0xff],
            &[0x7f, 0xff],
        ];
        for bytes in good {
            assert_eq!(check(bytes), Ok(()), "{bytes:x?}");
        }
        let bad: &[(&[u8], Error)] = &[
            (&[], Error::Truncated),
            (&[0x82, 1], Error::Truncated),
            (&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Error::Truncated),
            (&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Error::Truncated),
            (&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Error::Truncated),
            (&[0x1c], Error::Malformed(0x1c)),
            (&[0x1f], Error::Malformed(0x1f)),
            (&[0xff], Error::Malformed(0xff)),
            (&[0x81, 0xff], Error::Malformed(0xff)),
            (&[0xbf, 1, 0xff], Error::Malformed(0xff)),
            (&[0x5f, 0x61, b'x', 0xff], Error::Malformed(0x61)),
            (&[0x5f, 0x5f, 0xff, 0xff], Error::Malformed(0x5f)),
            (&[0xf8, 31], Error::Malformed(0xf8)),
            (&[0x61, 0xff], Error::Utf8),
            (&[7, 7], Error::Trailing(1)),
            (&[0x81; 100], Error::Depth),
            (&[0xc1; 100], Error::Depth),
        ];
        for (bytes, error) in bad {
            assert_eq!(check(bytes), Err(*error), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_judged_as_ciborium_judges_them(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut rest = &bytes[..];
            let parsed = ciborium::de::from_reader::<ciborium::Value, _>(&mut rest).is_ok() && rest.is_empty();
            // It is stricter about simple values, which it cannot represent.
            prop_assert!(!parsed || check(&bytes).is_ok(), "{:x?}: {:?}", bytes, check(&bytes));
        }
    }
}
