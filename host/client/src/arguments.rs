//! A job's arguments: one CBOR array of positional values, from Rust values, from JSON, or from words of a command line.

use crate::error::Error;
use crate::value;
use bytes::Bytes;
use corovan_core::limits;
use serde::Serialize;

/// An encoded CBOR array, within the size limit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments(Bytes);

impl Arguments {
    pub fn none() -> Arguments {
        Arguments(Bytes::from_static(&[EMPTY_ARRAY]))
    }

    /// A tuple, array, slice or `Vec`: each element one argument.
    pub fn of<T: Serialize + ?Sized>(values: &T) -> Result<Arguments, Error> {
        let mut bytes = Vec::new();
        ciborium::into_writer(values, &mut bytes).map_err(|error| fault(error.to_string()))?;
        Arguments::from_cbor(bytes)
    }

    pub fn from_json(values: &[serde_json::Value]) -> Result<Arguments, Error> {
        let items = values.iter().map(value::from_json).collect::<Result<Vec<_>, _>>()?;
        Arguments::of(&ciborium::Value::Array(items))
    }

    /// The text of one JSON array, as `--args-json` takes it.
    pub fn from_json_text(text: &str) -> Result<Arguments, Error> {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Array(values)) => Arguments::from_json(&values),
            Ok(_) => Err(fault("expected a JSON array, for example [1.5, \"text\"]".into())),
            Err(error) => Err(fault(format!("this is not JSON: {error}"))),
        }
    }

    /// Words of a command line: each is read as JSON, and taken as a string where it is not.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Result<Arguments, Error> {
        let values: Vec<_> = words.iter().map(|word| word_value(word.as_ref())).collect();
        Arguments::from_json(&values)
    }

    /// Bytes that are a CBOR array already.
    pub fn from_cbor(bytes: impl Into<Bytes>) -> Result<Arguments, Error> {
        let bytes = bytes.into();
        if bytes.len() > limits::ARGUMENT_BYTES {
            return Err(Error::TooLarge {
                what: "the arguments together",
                size: bytes.len() as u64,
                max: limits::ARGUMENT_BYTES as u64,
            });
        }
        match value::decode(&bytes) {
            Ok(ciborium::Value::Array(_)) => Ok(Arguments(bytes)),
            Ok(_) => Err(fault("arguments are one CBOR array, one element an argument".into())),
            Err(error) => Err(error),
        }
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Arguments::none()
    }
}

fn word_value(word: &str) -> serde_json::Value {
    serde_json::from_str(word).unwrap_or_else(|_| serde_json::Value::String(word.to_owned()))
}

fn fault(why: String) -> Error {
    Error::Value { what: "the arguments", why }
}

const EMPTY_ARRAY: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_values_json_and_words_give_the_same_bytes() {
        let expected = [0x83, 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0x20, 0x61, b'x'];
        let small = [0x83, 0xf9, 0x3e, 0x00, 0x20, 0x61, b'x'];
        for arguments in [
            Arguments::of(&(1.5, -1, "x")).unwrap(),
            Arguments::from_json_text("[1.5, -1, \"x\"]").unwrap(),
            Arguments::from_words(&["1.5", "-1", "x"]).unwrap(),
        ] {
            assert!(arguments.as_bytes()[..] == expected || arguments.as_bytes()[..] == small, "{arguments:?}");
        }
        assert_eq!(Arguments::of::<[u8; 0]>(&[]).unwrap(), Arguments::none());
        assert_eq!(Arguments::from_words::<&str>(&[]).unwrap(), Arguments::none());
    }

    #[test]
    fn a_word_is_json_where_it_can_be_and_a_string_otherwise() {
        for (word, json) in [
            ("1", serde_json::json!(1)),
            ("1.0", serde_json::json!(1.0)),
            ("true", serde_json::json!(true)),
            ("null", serde_json::json!(null)),
            ("\"1\"", serde_json::json!("1")),
            ("[1,2]", serde_json::json!([1, 2])),
            ("[1,", serde_json::json!("[1,")),
            ("", serde_json::json!("")),
            ("a b", serde_json::json!("a b")),
        ] {
            assert_eq!(Arguments::from_words(&[word]), Arguments::from_json(&[json]), "{word}");
        }
    }

    #[test]
    fn what_is_not_an_array_is_refused_in_words() {
        for text in ["1", "{}", "[1", "", "[1] 2"] {
            let error = Arguments::from_json_text(text).unwrap_err().to_string();
            assert!(error.starts_with("the arguments: "), "{error}");
        }
        assert!(Arguments::of(&1).is_err());
        assert!(Arguments::from_cbor(&b""[..]).is_err());
        assert!(Arguments::from_cbor(&[0x81][..]).is_err(), "truncated");
        assert!(Arguments::from_cbor(&[0x80, 0x80][..]).is_err(), "two items");
    }

    #[test]
    fn arguments_over_the_limit_are_refused() {
        let long = "x".repeat(limits::ARGUMENT_BYTES);
        assert!(matches!(Arguments::of(&(long,)), Err(Error::TooLarge { .. })));
    }
}
