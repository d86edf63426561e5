//! Arguments in, result out: a CBOR array of positional values, one CBOR item. Whoever typed the arguments is a person at
//! a command line, so numbers are taken by value and not by form, and what is wrong is said in that person's words.

mod expect;
pub(crate) mod lenient;

use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Write;

/// What the `coroutine` attribute knows about a function.
#[derive(Debug)]
pub struct Signature {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
}

#[derive(Debug)]
pub struct Parameter {
    /// As written: `n: f64`.
    pub text: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Required,
    /// An `Option`: may be left out at the end.
    Optional,
    /// Takes whatever is left.
    Rest,
}

/// The arguments one call was given, read from left to right.
#[derive(Debug)]
pub struct Arguments {
    signature: &'static Signature,
    values: std::vec::IntoIter<Value>,
    read: usize,
}

impl Arguments {
    /// Reads the array and checks how many there are.
    ///
    /// # Errors
    /// A text for the person who called.
    pub fn parse(signature: &'static Signature, bytes: &[u8]) -> Result<Arguments, String> {
        let Value::Array(values) = value(bytes)? else { return Err("the arguments are not a CBOR array".to_owned()) };
        if !signature.takes(values.len()) {
            return Err(signature.wrong_number(values.len()));
        }
        Ok(Arguments { signature, values: values.into_iter(), read: 0 })
    }

    /// The next argument, as the type of its parameter.
    ///
    /// # Errors
    /// A text for the person who called.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let value = self.values.next().unwrap_or(Value::Null);
        self.convert(&value)
    }

    /// All that are left, as a list.
    ///
    /// # Errors
    /// A text for the person who called.
    pub fn take_rest<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let rest = Value::Array(self.values.by_ref().collect());
        self.convert(&rest)
    }

    fn convert<T: DeserializeOwned>(&mut self, value: &Value) -> Result<T, String> {
        let parameter = self.signature.parameters.get(self.read).map_or("", |parameter| parameter.text);
        self.read += 1;
        T::deserialize(lenient::Lenient(value))
            .map_err(|error| format!("argument {} ({parameter}): {error}", self.read))
    }
}

impl Signature {
    fn takes(&self, count: usize) -> bool {
        let rest = self.parameters.last().is_some_and(|last| last.kind == Kind::Rest);
        count >= self.least() && (rest || count <= self.parameters.len())
    }

    /// Up to the last parameter that must be given.
    fn least(&self) -> usize {
        self.parameters.iter().rposition(|parameter| parameter.kind == Kind::Required).map_or(0, |last| last + 1)
    }

    fn wrong_number(&self, found: usize) -> String {
        let mut text = format!("{} takes ", self.name);
        let rest = self.parameters.last().is_some_and(|last| last.kind == Kind::Rest);
        let (least, most) = (self.least(), self.parameters.len());
        // Writing to a String cannot fail.
        let _ = match (least, most) {
            (_, 0) => write!(text, "no arguments"),
            (least, _) if rest => write!(text, "at least {}", count_of(least)),
            (least, most) if least == most => write!(text, "{}", count_of(most)),
            (least, most) => write!(text, "{least} to {}", count_of(most)),
        };
        if most > 0 {
            let list: Vec<_> = self.parameters.iter().map(|parameter| parameter.text).collect();
            let _ = write!(text, " ({})", list.join(", "));
        }
        let _ = write!(text, ", found {found}");
        text
    }
}

/// All arguments as one type.
///
/// # Errors
/// A text for the person who called.
pub fn decode_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    T::deserialize(lenient::Lenient(&value(bytes)?)).map_err(|error| format!("arguments: {error}"))
}

/// The result as one CBOR item.
///
/// # Errors
/// A text for the person who called: the value has no CBOR form.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| format!("the result cannot be encoded: {error}"))?;
    Ok(bytes)
}

fn value(mut bytes: &[u8]) -> Result<Value, String> {
    // By `&mut`, as everywhere: the reader's type makes a second copy of all the code that reads.
    ciborium::from_reader(&mut bytes).map_err(|error| format!("the arguments are not valid CBOR: {error}"))
}

fn count_of(n: usize) -> String {
    if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") }
}

#[cfg(test)]
mod tests;
