//! Values as CBOR and back: what messages, results and states are made of.

use crate::error::{Code, Error};
use crate::values::lenient::Lenient;
use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;

/// One CBOR item of any value that serde can serialise.
///
/// # Errors
/// `invalid`: the value has no CBOR form.
///
/// ```
/// assert_eq!(corovan_guest::to_cbor(&("a", 1)).unwrap(), [0x82, 0x61, b'a', 0x01]);
/// ```
pub fn to_cbor<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    write(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads one CBOR item as any type that serde can deserialise. Numbers are taken by value, as in arguments: a float
/// without a fraction where an integer is wanted, and the reverse.
///
/// # Errors
/// `invalid`, with a text that says what was expected and what was found.
///
/// ```
/// assert_eq!(corovan_guest::from_cbor::<f64>(&[0x02]).unwrap(), 2.0);
/// let error = corovan_guest::from_cbor::<u8>(&[0x61, b'a']).unwrap_err();
/// assert_eq!(error.detail, "expected a whole number from 0 to 255, found \"a\"");
/// ```
pub fn from_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match exact(bytes) {
        Some(value) => Ok(value),
        None => by_value(bytes),
    }
}

/// Reads what the node itself has written, which is of its type to the letter.
pub(crate) fn from_node<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    exact(bytes).ok_or_else(|| Error::new(Code::Internal, "the node wrote what this SDK cannot read"))
}

/// Calls `send` with the value's CBOR, in a buffer that is used again.
pub(crate) fn with_cbor<T: Serialize + ?Sized, R>(
    value: &T,
    send: impl FnOnce(&[u8]) -> Result<R, Error>,
) -> Result<R, Error> {
    // Taken, not borrowed: a value's own `Serialize` may send something.
    let mut bytes = OUTGOING.take();
    bytes.clear();
    let result = write(value, &mut bytes).and_then(|()| send(&bytes));
    if bytes.capacity() <= KEPT {
        OUTGOING.set(bytes);
    }
    result
}

fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), Error> {
    ciborium::into_writer(value, bytes)
        .map_err(|error| Error::new(Code::Invalid, format!("the value cannot be encoded: {error}")))
}

fn exact<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_buffer(&mut rest, &mut [0; SCRATCH]).ok()?;
    rest.is_empty().then_some(value)
}

/// The slow way, for a value of a kindred type, and for the words of what is wrong.
#[cold]
fn by_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let invalid = |text: String| Error::new(Code::Invalid, text);
    let mut rest = bytes;
    let value: Value = ciborium::from_reader(&mut rest).map_err(|error| invalid(format!("not valid CBOR: {error}")))?;
    if !rest.is_empty() {
        return Err(invalid(format!("{} bytes after the CBOR item", rest.len())));
    }
    T::deserialize(Lenient(&value)).map_err(|error| invalid(error.to_string()))
}

thread_local! {
    static OUTGOING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// For names of fields and variants, and texts that are borrowed; zeroed for each value, so not larger than it must be.
const SCRATCH: usize = 256;

/// A buffer larger than this is not kept: one large message should not hold memory for good.
pub(crate) const KEPT: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_longer_than_the_scratch_buffer_is_read_all_the_same() {
        let long = "x".repeat(10 * SCRATCH);
        assert_eq!(from_cbor::<String>(&to_cbor(&long).unwrap()).unwrap(), long);
        assert_eq!(from_cbor::<Value>(&to_cbor(&long).unwrap()).unwrap(), Value::Text(long));
    }

    #[test]
    fn what_is_not_one_item_is_refused() {
        let cases: [(&[u8], &str); 3] = [
            (&[], "not valid CBOR"),
            (&[0x01, 0x02, 0x03], "2 bytes after the CBOR item"),
            (&[0x82, 0x01], "not valid CBOR"),
        ];
        for (bytes, expected) in cases {
            let error = from_cbor::<Value>(bytes).unwrap_err();
            assert_eq!(error.code, Code::Invalid, "{bytes:?}");
            assert!(error.detail.starts_with(expected), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn a_buffer_in_use_is_not_used_twice() {
        let outer = with_cbor(&1, |outer| {
            with_cbor(&2, |inner| {
                assert_eq!(inner, [2]);
                Ok(())
            })?;
            Ok(outer.to_vec())
        });
        assert_eq!(outer.unwrap(), [1]);
    }
}
