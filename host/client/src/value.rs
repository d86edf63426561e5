//! Values between CBOR, which jobs speak, and JSON, which people type and read.
//!
//! JSON to CBOR: whole numbers stay integers and numbers with a point or exponent stay floats (`1` and `1.0` are different
//! arguments); a whole number beyond 64 bits is read as a float, as JSON parsers do. CBOR to JSON is for display and does
//! not lead back: byte strings become `{"bytes": "<base64>"}`, NaN and the infinities strings, integers beyond 64 bits
//! decimal strings, keys that are not text their JSON text, `undefined` null, and tags are dropped.

use crate::error::Error;
use ciborium::Value;
use corovan_core::limits;
use serde::de::DeserializeOwned;
use serde_json::{Map, json};

/// One JSON value as CBOR. Nested deeper than the limit is an error.
pub fn from_json(json: &serde_json::Value) -> Result<Value, Error> {
    to_cbor(json, limits::CBOR_DEPTH)
}

/// One CBOR item as JSON, for display.
pub fn to_json(cbor: &[u8]) -> Result<serde_json::Value, Error> {
    display(&decode::<Value>(cbor)?, limits::CBOR_DEPTH)
}

/// Exactly one CBOR item as a Rust value: nothing may follow it.
pub fn decode<T: DeserializeOwned>(cbor: &[u8]) -> Result<T, Error> {
    let mut rest = cbor;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, limits::CBOR_DEPTH)
        .map_err(|error| fault(format!("not a CBOR item that fits: {error}")))?;
    if rest.is_empty() { Ok(value) } else { Err(fault(format!("{} bytes follow the CBOR item", rest.len()))) }
}

fn to_cbor(json: &serde_json::Value, depth: usize) -> Result<Value, Error> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => {
            if let Some(value) = number.as_u64() {
                Value::Integer(value.into())
            } else if let Some(value) = number.as_i64() {
                Value::Integer(value.into())
            } else {
                Value::Float(number.as_f64().ok_or_else(|| fault(format!("{number} is not a number of 64 bits")))?)
            }
        }
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => {
            Value::Array(items.iter().map(|item| to_cbor(item, depth)).collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(fields) => Value::Map(
            fields
                .iter()
                .map(|(key, value)| Ok((Value::Text(key.clone()), to_cbor(value, depth)?)))
                .collect::<Result<_, Error>>()?,
        ),
    })
}

fn display(value: &Value, depth: usize) -> Result<serde_json::Value, Error> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    Ok(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => {
            let wide = i128::from(*value);
            match (u64::try_from(wide), i64::try_from(wide)) {
                (Ok(value), _) => json!(value),
                (_, Ok(value)) => json!(value),
                _ => json!(wide.to_string()),
            }
        }
        Value::Float(value) => {
            serde_json::Number::from_f64(*value).map_or_else(|| json!(value.to_string()), Into::into)
        }
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "bytes": base64(bytes) }),
        Value::Array(items) => {
            serde_json::Value::Array(items.iter().map(|item| display(item, depth)).collect::<Result<_, _>>()?)
        }
        Value::Map(fields) => {
            let mut map = Map::new();
            for (key, value) in fields {
                let key = match key {
                    Value::Text(text) => text.clone(),
                    other => display(other, depth)?.to_string(),
                };
                map.insert(key, display(value, depth)?);
            }
            serde_json::Value::Object(map)
        }
        Value::Tag(_, inner) => display(inner, depth)?,
        other => return Err(fault(format!("a CBOR item of an unknown kind: {other:?}"))),
    })
}

/// Standard alphabet with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            let index = (group >> (18 - 6 * digit)) as usize & 63;
            text.push(if known { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

fn too_deep() -> Error {
    fault(format!("nested deeper than {} levels", limits::CBOR_DEPTH))
}

fn fault(why: String) -> Error {
    Error::Value { what: "the value", why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cbor(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn integers_and_floats_stay_what_they_were_written_as() {
        for text in ["0", "-1", "1", "1.0", "1.5", "-0.0", "1e3", "18446744073709551615", "-9223372036854775808", "0.1"]
        {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            let there = from_json(&json).unwrap();
            assert_eq!(matches!(there, Value::Float(_)), text.contains(['.', 'e']), "{text}");
            assert_eq!(to_json(&cbor(&there)).unwrap().to_string(), json.to_string(), "{text}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_displayed_as_documented() {
        for (value, shown) in [
            (Value::Bytes(b"".to_vec()), json!({"bytes": ""})),
            (Value::Bytes(b"f".to_vec()), json!({"bytes": "Zg=="})),
            (Value::Bytes(b"fo".to_vec()), json!({"bytes": "Zm8="})),
            (Value::Bytes(b"foobar".to_vec()), json!({"bytes": "Zm9vYmFy"})),
            (Value::Bytes(vec![0xfb, 0xff]), json!({"bytes": "+/8="})),
            (Value::Float(f64::NAN), json!("NaN")),
            (Value::Float(f64::NEG_INFINITY), json!("-inf")),
            (Value::Tag(0, Box::new(json_text("2026"))), json!("2026")),
            (Value::Map(vec![(Value::Integer(1.into()), Value::Null)]), json!({"1": null})),
        ] {
            assert_eq!(to_json(&cbor(&value)).unwrap(), shown);
        }
        let least = [0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(to_json(&least).unwrap(), json!("-18446744073709551616"));
    }

    #[test]
    fn nesting_is_limited_both_ways_instead_of_growing_the_stack() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(from_json(&deep(limits::CBOR_DEPTH - 1)).is_ok());
        assert!(from_json(&deep(limits::CBOR_DEPTH)).is_err());
        let mut nested = vec![0x81; 100_000];
        nested.push(0);
        assert!(to_json(&nested).is_err());
    }

    #[test]
    fn one_item_means_one_item() {
        assert!(decode::<u8>(&[]).is_err());
        assert!(decode::<u8>(&[1, 2]).is_err());
        assert_eq!(decode::<u8>(&[1]), Ok(1));
    }

    fn json_text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|v| json!(v)),
            any::<i64>().prop_map(|v| json!(v)),
            any::<u64>().prop_map(|v| json!(v)),
            any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| json!(v)),
            ".{0,8}".prop_map(|v| json!(v)),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| json!(v)),
                proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|v| json!(v)),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_survives_cbor(json in any_json()) {
            prop_assert_eq!(to_json(&cbor(&from_json(&json).unwrap())).unwrap(), json);
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = to_json(&bytes);
        }
    }
}
