//! Reads a CBOR value as any serde type, taking numbers by value: `2` where a float is wanted, `2.0` where a whole number is.
//! The command line knows no types and turns `2` into a CBOR integer; JavaScript knows no integers.

use super::expect::Error;
use ciborium::Value;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Error as _, IntoDeserializer, Unexpected, Visitor};

/// A value that is read by the rules above.
#[derive(Clone, Copy)]
pub struct Lenient<'a>(pub &'a Value);

impl<'a> Lenient<'a> {
    /// Tags say what a value is meant as; a Rust type says that already.
    fn untagged(self) -> &'a Value {
        let mut value = self.0;
        while let Value::Tag(_, inner) = value {
            value = inner;
        }
        value
    }

    /// The whole number this is, if it is one: an integer, a bignum that fits, or a float without a fraction.
    fn whole(self) -> Option<i128> {
        match self.0 {
            Value::Integer(number) => Some((*number).into()),
            // Within this range every float without a fraction is an integer of the same value.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 2_f64.powi(126) => Some(*number as i128),
            Value::Tag(sign @ (2 | 3), inner) => {
                let Value::Bytes(bytes) = &**inner else { return None };
                let significant = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len())..];
                if significant.len() > size_of::<i128>() {
                    return None;
                }
                let n = significant.iter().fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
                let n = i128::try_from(n).ok()?;
                Some(if *sign == 2 { n } else { -1 - n })
            }
            Value::Tag(_, inner) => Lenient(inner).whole(),
            _ => None,
        }
    }

    /// As the narrowest of serde's integers, so that the visitor judges the range and names the value as it was given.
    fn visit_whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.whole() {
            Some(n) => match (u64::try_from(n), i64::try_from(n)) {
                (Ok(n), _) => visitor.visit_u64(n),
                (_, Ok(n)) => visitor.visit_i64(n),
                _ => visitor.visit_i128(n),
            },
            None => self.mismatch(&visitor),
        }
    }

    fn mismatch<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        let found = match self.untagged() {
            Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(n), _) => Unexpected::Unsigned(n),
                (_, Ok(n)) => Unexpected::Signed(n),
                _ => Unexpected::Other("a very large number"),
            },
            Value::Float(number) => Unexpected::Float(*number),
            Value::Bytes(bytes) => Unexpected::Bytes(bytes),
            Value::Text(text) => Unexpected::Str(text),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Null => Unexpected::Unit,
            Value::Array(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
            _ => Unexpected::Other("a value of another kind"),
        };
        Err(Error::invalid_type(found, expected))
    }
}

macro_rules! whole_numbers {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_whole(visitor)
        })*
    };
}

/// Types that say themselves what they take: the value goes to the visitor as what it is.
macro_rules! without_tag {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            Lenient(self.untagged()).deserialize_any(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Lenient<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Integer(_) => self.visit_whole(visitor),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null => visitor.visit_unit(),
            Value::Array(items) => visitor.visit_seq(Items::new(items)),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries)),
            // How ciborium's own types ask for a tag: a variant of this name holding the pair.
            Value::Tag(tag, inner) => {
                let pair = Value::Array(vec![Value::Integer((*tag).into()), (**inner).clone()]);
                visitor.visit_enum(Variant { name: "@@TAGGED@@", content: Some(&pair) })
            }
            _ => self.mismatch(&visitor),
        }
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.untagged() {
            Value::Float(number) => visitor.visit_f64(*number),
            _ => match self.whole() {
                Some(n) => visitor.visit_f64(n as f64),
                None => self.mismatch(&visitor),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.untagged() {
            Value::Array(items) => visitor.visit_seq(Items::new(items)),
            // A byte string is what others send for a list of bytes.
            Value::Bytes(bytes) => visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied())),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match self.untagged() {
            Value::Array(items) if items.len() != length => {
                Err(Error::custom(format_args!("expected a list of {length}, found one of {}", items.len())))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.untagged() {
            Value::Array(items) => visitor.visit_seq(Items::new(items)),
            // JSON, and so the command line, has no byte strings.
            Value::Text(text) => visitor.visit_bytes(text.as_bytes()),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == "@@TAG@@" {
            return match self.0 {
                Value::Tag(..) => self.deserialize_any(visitor),
                _ => visitor.visit_enum(Variant { name: "@@UNTAGGED@@", content: Some(self.0) }),
            };
        }
        match self.untagged() {
            Value::Text(name) => visitor.visit_enum(Variant { name, content: None }),
            Value::Map(entries) => match &entries[..] {
                [(Value::Text(name), content)] => visitor.visit_enum(Variant { name, content: Some(content) }),
                _ => Err(Error::custom("expected a map with one entry, the name of a variant and its content")),
            },
            Value::Null if variants.is_empty() => visitor.visit_unit(),
            _ => self.mismatch(&"the name of a variant"),
        }
    }

    without_tag! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_unit deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }
}

/// The items of a list; an error says which of them.
struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    next: usize,
}

impl<'a> Items<'a> {
    fn new(items: &'a [Value]) -> Items<'a> {
        Items { items: items.iter(), next: 0 }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Lenient(item)).map(Some).map_err(|error| error.at_index(index))
    }

    /// Not more than is there: the length comes from outside, and serde reserves room by it.
    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The entries of a map; an error says under which key.
struct Entries<'a> {
    entries: std::slice::Iter<'a, (Value, Value)>,
    entry: Option<&'a (Value, Value)>,
}

impl<'a> Entries<'a> {
    fn new(entries: &'a [(Value, Value)]) -> Entries<'a> {
        Entries { entries: entries.iter(), entry: None }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.entry = self.entries.next();
        self.entry.map(|(key, _)| seed.deserialize(Lenient(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, value)) = self.entry.take() else { return Err(Error::custom("a value before its key")) };
        seed.deserialize(Lenient(value)).map_err(|error| match key {
            Value::Text(key) => error.at_key(key),
            Value::Integer(key) => error.at_key(&i128::from(*key).to_string()),
            _ => error,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A variant by name, with or without content.
struct Variant<'a> {
    name: &'a str,
    content: Option<&'a Value>,
}

impl<'a, 'de> de::EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Variant<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'a>), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None | Some(Value::Null) => Ok(()),
            Some(content) => Lenient(content).mismatch(&format!("only the name \"{}\"", self.name).as_str()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Lenient(self.needed()?)).map_err(|error| error.at_key(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_tuple(Lenient(self.needed()?), length, visitor)
            .map_err(|error| error.at_key(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match Lenient(self.needed()?).untagged() {
            Value::Map(entries) => visitor.visit_map(Entries::new(entries)).map_err(|error| error.at_key(self.name)),
            _ => Lenient(self.needed()?).mismatch(&visitor),
        }
    }
}

impl<'a> Variant<'a> {
    fn needed(&self) -> Result<&'a Value, Error> {
        self.content.ok_or_else(|| Error::custom(format_args!("\"{}\" needs a content", self.name)))
    }
}
