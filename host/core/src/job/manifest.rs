//! The custom section `corovan.manifest`: what a module says of itself. A CBOR sequence (RFC 8742) of maps, since linkers
//! concatenate sections; the maps are merged.

use crate::limits;
use serde::Deserialize;

/// Everything the sections of one module say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// Version of the host interface it was built for; the highest that is named.
    pub abi: Option<u32>,
    pub functions: Vec<Function>,
    /// Bytes of linear memory it wants; the largest that is named.
    pub memory: Option<u64>,
    /// Rights it wants, where the submission names none.
    pub wants: Vec<String>,
}

/// A coroutine function, for people.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct Function {
    pub name: String,
    /// As its language writes them, for example `n: f64`.
    #[serde(default)]
    pub params: Vec<String>,
    #[serde(default)]
    pub result: Option<String>,
    #[serde(default)]
    pub doc: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    abi: Option<u32>,
    #[serde(default)]
    functions: Vec<Function>,
    #[serde(default)]
    memory: Option<u64>,
    #[serde(default)]
    wants: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("the corovan.manifest section has {0} bytes, over the limit of {max}", max = limits::MANIFEST_BYTES)]
    TooLarge(usize),
    #[error("the corovan.manifest section names {0} functions, over the limit of {max}", max = limits::MODULE_EXPORTS)]
    TooMany(usize),
    #[error("the corovan.manifest section is not a sequence of CBOR maps: {0}, at byte {1}")]
    NotCbor(String, usize),
}

/// Reads the section; unknown keys are ignored.
pub fn decode(section: &[u8]) -> Result<Manifest, Error> {
    if section.len() > limits::MANIFEST_BYTES {
        return Err(Error::TooLarge(section.len()));
    }
    let (mut rest, mut manifest) = (section, Manifest::default());
    while !rest.is_empty() {
        let at = section.len() - rest.len();
        let part: Part = ciborium::de::from_reader_with_recursion_limit(&mut rest, limits::CBOR_DEPTH)
            .map_err(|error| Error::NotCbor(error.to_string(), at))?;
        manifest.abi = manifest.abi.max(part.abi);
        manifest.memory = manifest.memory.max(part.memory);
        manifest.functions.extend(part.functions);
        manifest.wants.extend(part.wants);
        if manifest.functions.len() > limits::MODULE_EXPORTS {
            return Err(Error::TooMany(manifest.functions.len()));
        }
    }
    manifest.wants.sort();
    manifest.wants.dedup();
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::cbor;
    use proptest::prelude::*;

    fn section(maps: &[ciborium::Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        maps.iter().for_each(|map| ciborium::into_writer(map, &mut bytes).unwrap());
        bytes
    }

    #[test]
    fn concatenated_sections_are_merged_and_unknown_keys_ignored() {
        let bytes = section(&[
            cbor!({"abi" => 1, "functions" => [{"name" => "f", "params" => ["n: f64"], "result" => "f64", "new" => 1}]})
                .unwrap(),
            cbor!({"memory" => 1000, "wants" => ["b", "a", "b"], "later" => {"x" => []}}).unwrap(),
            cbor!({"functions" => [{"name" => "g", "doc" => "Does g."}], "memory" => 10}).unwrap(),
        ]);
        let manifest = decode(&bytes).unwrap();
        assert_eq!((manifest.abi, manifest.memory), (Some(1), Some(1000)));
        let names: Vec<_> = manifest.functions.iter().map(|function| &function.name[..]).collect();
        assert_eq!(names, ["f", "g"]);
        assert_eq!(manifest.functions[0].params, ["n: f64"]);
        assert_eq!(manifest.wants, ["a", "b"]);
        assert_eq!(decode(&[]).unwrap(), Manifest::default());
    }

    #[test]
    fn what_is_not_a_manifest_is_refused_with_its_place() {
        let mut bytes = section(&[cbor!({"abi" => 1}).unwrap()]);
        let at = bytes.len();
        bytes.extend(section(&[cbor!({"functions" => 7}).unwrap()]));
        assert!(matches!(decode(&bytes), Err(Error::NotCbor(_, place)) if place == at));
        assert!(matches!(decode(&vec![0; limits::MANIFEST_BYTES + 1]), Err(Error::TooLarge(_))));
        // Nested beyond the limit: refused, not a stack overflow.
        assert!(decode(&[0x81; 60_000]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = decode(&bytes);
        }
    }
}
