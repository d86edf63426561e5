//! What a module says of itself: the custom section `corovan.manifest`, a sequence of CBOR maps (RFC 8742), merged.
//! A pure function from bytes a stranger wrote; it asks for nothing that the node does not check again.

use crate::limits;
use ciborium::Value;

/// The merged maps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// Version of the host interface the module is written for.
    pub abi: Option<u32>,
    /// In the order in which they are first named; no name twice.
    pub functions: Vec<Function>,
    /// Bytes of linear memory it would like.
    pub memory: Option<u64>,
    /// Rights it asks for when the client names none; no right twice.
    pub wants: Vec<String>,
}

/// A coroutine function, for people: none of it is enforced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Function {
    pub name: String,
    /// Such as `n: f64`. `None`: not said.
    pub params: Option<Vec<String>>,
    pub result: Option<String>,
    pub doc: Option<String>,
}

/// `offset` counts from the start of the section's content.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("it has {0} bytes, over the limit of {max}", max = limits::MANIFEST_BYTES)]
    TooLarge(usize),
    #[error("at byte {offset} there is no CBOR item: {why}")]
    Cbor { offset: usize, why: String },
    #[error("the item at byte {offset} is nested deeper than {max} levels", max = limits::CBOR_DEPTH)]
    TooDeep { offset: usize },
    #[error("the item at byte {offset} is {found}, and not a map")]
    NotAMap { offset: usize, found: &'static str },
    #[error("in the map at byte {offset}, {key} is {found}, and not {expected}")]
    Type { offset: usize, key: String, expected: &'static str, found: &'static str },
    #[error("in the map at byte {offset}, {key} is {value}, over the limit of {limit}")]
    TooBig { offset: usize, key: String, value: u64, limit: u64 },
    #[error("in the map at byte {offset}, {key} has no name")]
    NoName { offset: usize, key: String },
}

impl Manifest {
    /// Reads the whole section: all of it is understood, or it is an error.
    pub fn decode(section: &[u8]) -> Result<Manifest, Error> {
        if section.len() > limits::MANIFEST_BYTES {
            return Err(Error::TooLarge(section.len()));
        }
        let mut manifest = Manifest::default();
        let mut rest = section;
        while !rest.is_empty() {
            let offset = section.len() - rest.len();
            let item = ciborium::de::from_reader_with_recursion_limit::<Value, _>(&mut rest, limits::CBOR_DEPTH);
            manifest.merge(item.map_err(|error| unreadable(offset, &error))?, offset)?;
        }
        Ok(manifest)
    }

    /// The function of this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    fn merge(&mut self, item: Value, offset: usize) -> Result<(), Error> {
        let found = kind(&item);
        let Value::Map(entries) = item else { return Err(Error::NotAMap { offset, found }) };
        let at = Reader { offset };
        for (key, value) in entries {
            match key.as_text() {
                Some("abi") => {
                    let abi = at.unsigned("abi", value, u64::from(u32::MAX))?;
                    self.abi = self.abi.max(u32::try_from(abi).ok());
                }
                Some("memory") => self.memory = self.memory.max(Some(at.unsigned("memory", value, u64::MAX)?)),
                Some("wants") => {
                    for want in at.texts("wants", value)? {
                        if !self.wants.contains(&want) {
                            self.wants.push(want);
                        }
                        at.limit("the number of wants", self.wants.len() as u64, limits::MANIFEST_WANTS as u64)?;
                    }
                }
                Some("functions") => {
                    for (index, value) in at.array("functions", value)?.into_iter().enumerate() {
                        self.add(at.function(&format!("functions[{index}]"), value)?);
                        let count = self.functions.len() as u64;
                        at.limit("the number of functions", count, limits::MANIFEST_FUNCTIONS as u64)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is said of a function twice, in two maps, completes each other; the first word stands.
    fn add(&mut self, function: Function) {
        match self.functions.iter_mut().find(|known| known.name == function.name) {
            None => self.functions.push(function),
            Some(known) => {
                known.params = known.params.take().or(function.params);
                known.result = known.result.take().or(function.result);
                known.doc = known.doc.take().or(function.doc);
            }
        }
    }
}

/// Reads values of the map that begins here.
#[derive(Clone, Copy)]
struct Reader {
    offset: usize,
}

impl Reader {
    fn function(self, key: &str, value: Value) -> Result<Function, Error> {
        let found = kind(&value);
        let Value::Map(entries) = value else { return Err(self.wrong(key, "a map", found)) };
        let mut function = Function::default();
        let mut name = None;
        for (field, value) in entries {
            let path = |field: &str| format!("{key}.{field}");
            match field.as_text() {
                Some("name") => name = Some(self.text(&path("name"), value)?),
                Some("params") => function.params = Some(self.texts(&path("params"), value)?),
                Some("result") => function.result = Some(self.text(&path("result"), value)?),
                Some("doc") => function.doc = Some(self.text(&path("doc"), value)?),
                _ => {}
            }
        }
        function.name =
            name.filter(|name| !name.is_empty()).ok_or(Error::NoName { offset: self.offset, key: key.into() })?;
        let length = function.name.len() as u64;
        self.limit(&format!("the length of {key}.name"), length, limits::NAME_BYTES as u64)?;
        Ok(function)
    }

    fn unsigned(self, key: &str, value: Value, limit: u64) -> Result<u64, Error> {
        let found = kind(&value);
        let number = value.into_integer().ok().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| self.wrong(key, "an unsigned number of 64 bits", found))?;
        self.limit(key, number, limit)?;
        Ok(number)
    }

    fn limit(self, key: &str, value: u64, limit: u64) -> Result<(), Error> {
        if value > limit {
            return Err(Error::TooBig { offset: self.offset, key: key.into(), value, limit });
        }
        Ok(())
    }

    fn array(self, key: &str, value: Value) -> Result<Vec<Value>, Error> {
        let found = kind(&value);
        value.into_array().map_err(|_| self.wrong(key, "an array", found))
    }

    fn texts(self, key: &str, value: Value) -> Result<Vec<String>, Error> {
        let values = self.array(key, value)?.into_iter().enumerate();
        values.map(|(index, value)| self.text(&format!("{key}[{index}]"), value)).collect()
    }

    fn text(self, key: &str, value: Value) -> Result<String, Error> {
        let found = kind(&value);
        value.into_text().map_err(|_| self.wrong(key, "text", found))
    }

    fn wrong(self, key: &str, expected: &'static str, found: &'static str) -> Error {
        Error::Type { offset: self.offset, key: key.into(), expected, found }
    }
}

fn unreadable(offset: usize, error: &ciborium::de::Error<std::io::Error>) -> Error {
    use ciborium::de::Error as Cbor;
    let why = match error {
        Cbor::RecursionLimitExceeded => return Error::TooDeep { offset },
        Cbor::Io(_) => "it ends early".to_owned(),
        Cbor::Syntax(at) => format!("byte {} begins nothing", offset + at),
        Cbor::Semantic(_, why) => why.clone(),
    };
    Error::Cbor { offset, why }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a number",
        Value::Bytes(_) => "a byte string",
        Value::Float(_) => "a float",
        Value::Text(_) => "text",
        Value::Bool(_) => "true or false",
        Value::Null => "null",
        Value::Tag(..) => "a tagged item",
        Value::Array(_) => "an array",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::cbor;
    use proptest::prelude::*;

    fn bytes(items: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        for item in items {
            ciborium::into_writer(item, &mut out).unwrap();
        }
        out
    }

    /// An unsigned number, text, or array, written by hand where ciborium's macro is too kind.
    fn value<T: serde::Serialize>(value: T) -> Value {
        Value::serialized(&value).unwrap()
    }

    #[test]
    fn maps_that_a_linker_has_put_together_are_merged() {
        let first = cbor!({ "abi" => 1, "functions" => [{ "name" => "f", "params" => ["n: f64"] }], "memory" => 10 });
        let second = cbor!({ "functions" => [{ "name" => "g" }, { "name" => "f", "result" => "f64", "params" => [] }],
            "memory" => 5, "wants" => ["net", "net"], "later" => { "x" => [1.5, null] } });
        let third = cbor!({ "wants" => ["log", "net"], 7 => 8 });
        let all = bytes(&[first.unwrap(), second.unwrap(), third.unwrap()]);
        let manifest = Manifest::decode(&all).unwrap();
        assert_eq!((manifest.abi, manifest.memory), (Some(1), Some(10)));
        assert_eq!(manifest.wants, ["net", "log"]);
        let names: Vec<&str> = manifest.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["f", "g"]);
        let f = manifest.function("f").unwrap();
        assert_eq!((f.params.clone(), f.result.as_deref()), (Some(vec!["n: f64".to_owned()]), Some("f64")));
        assert_eq!(Manifest::decode(&[]).unwrap(), Manifest::default());
    }

    #[test]
    fn the_golden_bytes_of_the_sdk_are_read() {
        let golden = b"\xa3\x63abi\x01\x69functions\x81\xa3\x64name\x61f\x66params\x81\x66n: f64\x66result\x62()\x66memory\x1a\x00\x10\x00\x00";
        let manifest = Manifest::decode(golden).unwrap();
        assert_eq!((manifest.abi, manifest.memory, manifest.functions.len()), (Some(1), Some(1 << 20), 1));
        assert_eq!(manifest.functions[0].result.as_deref(), Some("()"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let map = |key: &str, item: Value| bytes(&[Value::Map(vec![]), Value::Map(vec![(key.into(), item)])]);
        let function = |item: Value| map("functions", Value::Array(vec![item]));
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<String>>();
        let many = names(1_001).into_iter().map(|name| cbor!({ "name" => name }).unwrap()).collect();
        let mut deep = Value::Null;
        for _ in 0..limits::CBOR_DEPTH + 1 {
            deep = Value::Array(vec![deep]);
        }
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (vec![0; limits::MANIFEST_BYTES + 1], "it has 65537 bytes, over the limit of 65536"),
            (bytes(&[value(1)]), "the item at byte 0 is a number, and not a map"),
            (vec![0xa0, 0xff], "at byte 1 there is no CBOR item"),
            (vec![0xa0, 0xa1, 0x61], "at byte 1 there is no CBOR item: it ends early"),
            (map("abi", value("1")), "in the map at byte 1, abi is text, and not an unsigned number"),
            (map("abi", value(1_u64 << 32)), "abi is 4294967296, over the limit of 4294967295"),
            (map("memory", value(-1)), "memory is a number, and not an unsigned number"),
            (map("wants", value("net")), "wants is text, and not an array"),
            (map("wants", value([1])), "wants[0] is a number, and not text"),
            (map("wants", value(names(257))), "the number of wants is 257, over the limit of 256"),
            (map("functions", Value::Array(many)), "the number of functions is 1001, over the limit of 1000"),
            (map("later", deep), "is nested deeper than 64 levels"),
            (function(value(1)), "functions[0] is a number, and not a map"),
            (function(cbor!({ "doc" => "d" }).unwrap()), "functions[0] has no name"),
            (function(cbor!({ "name" => "" }).unwrap()), "functions[0] has no name"),
            (function(cbor!({ "name" => "f", "doc" => 1 }).unwrap()), "functions[0].doc is a number, and not text"),
            (
                function(cbor!({ "name" => "n".repeat(129) }).unwrap()),
                "functions[0].name is 129, over the limit of 128",
            ),
        ];
        for (section, message) in cases {
            let error = Manifest::decode(&section).unwrap_err().to_string();
            assert!(error.contains(message), "{message:?} is not in {error:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(section in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Manifest::decode(&section);
        }

        #[test]
        fn a_damaged_manifest_is_read_or_refused(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
            let item = cbor!({ "abi" => 1, "functions" => [{ "name" => "f", "params" => ["n: f64"], "doc" => "what it does" }],
                "memory" => 1000, "wants" => ["net", "log"] });
            let mut section = bytes(&[item.unwrap()]);
            let length = section.len();
            section[at % length] = byte;
            let _ = Manifest::decode(&section);
            section.truncate(cut % length);
            let _ = Manifest::decode(&section);
        }
    }
}
