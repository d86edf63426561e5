//! What was expected and what was found, in words: serde says `invalid type: string "abc", expected f64`; a person at a
//! command line is told `expected a number, found "abc"`.

use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// Why a value is not of the type it should be.
#[derive(Debug)]
pub struct Error {
    /// Innermost step last: `points`, `[2]`, `x`. Kept reversed, since it is built from the inside.
    path: Vec<String>,
    text: String,
}

impl Error {
    pub fn at_index(mut self, index: usize) -> Error {
        self.path.push(format!("[{index}]"));
        self
    }

    pub fn at_key(mut self, key: &str) -> Error {
        self.path.push(format!(".{key}"));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: String = self.path.iter().rev().map(String::as_str).collect();
            write!(f, "at {}: ", path.trim_start_matches('.'))?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Error {
        Error { path: Vec::new(), text: text.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::custom(format_args!("expected {}, found {}", wanted(expected), Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Error {
        Error::custom(format_args!("expected {}, found {length}", wanted(expected)))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Error {
        Error::custom(format_args!("expected {}, found {}", one_of(expected), Found(Unexpected::Str(found))))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Error {
        Error::custom(format_args!("unknown field {}, expected {}", Found(Unexpected::Str(found)), one_of(expected)))
    }

    fn missing_field(field: &'static str) -> Error {
        Error::custom(format_args!("field \"{field}\" is missing"))
    }

    fn duplicate_field(field: &'static str) -> Error {
        Error::custom(format_args!("field \"{field}\" is given twice"))
    }
}

/// serde's own name of what it wanted, in words where it is a Rust type's.
fn wanted(expected: &dyn Expected) -> String {
    let name = expected.to_string();
    match name.as_str() {
        "f32" | "f64" => "a number".to_owned(),
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" | "u128" | "usize" => "a whole number, not negative".to_owned(),
        "i8" => whole(i8::MIN.into(), i8::MAX.into()),
        "i16" => whole(i16::MIN.into(), i16::MAX.into()),
        "i32" => whole(i32::MIN.into(), i32::MAX.into()),
        "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "a borrowed string" => "text".to_owned(),
        "a character" => "one character".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit" => "null".to_owned(),
        _ => name,
    }
}

fn whole(least: i64, most: i64) -> String {
    format!("a whole number from {least} to {most}")
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [name] => format!("\"{name}\""),
        many => format!("one of \"{}\"", many.join("\", \"")),
    }
}

struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(value) => value.fmt(f),
            Unexpected::Unsigned(value) => value.fmt(f),
            Unexpected::Signed(value) => value.fmt(f),
            Unexpected::Float(value) => value.fmt(f),
            Unexpected::Char(value) => write!(f, "{:?}", value.to_string()),
            Unexpected::Str(text) if text.chars().count() > FOUND_CHARS => {
                write!(f, "{:?}...", text.chars().take(FOUND_CHARS).collect::<String>())
            }
            Unexpected::Str(text) => write!(f, "{text:?}"),
            Unexpected::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Unexpected::Unit | Unexpected::Option => f.write_str("null"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map | Unexpected::NewtypeVariant | Unexpected::StructVariant => f.write_str("a map"),
            other => other.fmt(f),
        }
    }
}

/// Enough of a text to recognise it by; an argument may be megabytes.
const FOUND_CHARS: usize = 60;
