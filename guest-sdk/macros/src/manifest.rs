//! What a module says of itself, in the custom section `corovan.manifest`: CBOR maps one after the other. Linkers concatenate
//! the parts of a section, so each function adds its own map, and the node merges them.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitInt, LitStr, Result, Token, bracketed};

/// One map of the section.
#[derive(Default)]
pub struct Entry {
    pub functions: Vec<Function>,
    pub memory: Option<u64>,
    pub wants: Vec<String>,
}

#[derive(Default)]
pub struct Function {
    pub name: String,
    pub parameters: Option<Vec<String>>,
    pub result: Option<String>,
    pub doc: Option<String>,
}

pub fn expand(input: TokenStream) -> Result<TokenStream> {
    let entry: Entry = syn::parse2(input)?;
    let section = section(&entry);
    Ok(quote!(const _: () = { #section };))
}

/// A static that the linker puts into the section.
pub fn section(entry: &Entry) -> TokenStream {
    let bytes = entry.encode();
    let (literal, length) = (Literal::byte_string(&bytes), bytes.len());
    quote! {
        #[cfg(target_family = "wasm")]
        #[used]
        #[unsafe(link_section = "corovan.manifest")]
        static MANIFEST: [u8; #length] = *#literal;
    }
}

/// `memory: 268435456, wants: ["net"], functions: ["count"]`, each at most once.
impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Entry> {
        let mut entry = Entry::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key.to_string()) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            input.parse::<Token![:]>()?;
            match key.to_string().as_str() {
                "memory" => entry.memory = Some(input.parse::<LitInt>()?.base10_parse()?),
                "wants" => entry.wants = texts(input)?,
                "functions" => {
                    entry.functions =
                        texts(input)?.into_iter().map(|name| Function { name, ..Function::default() }).collect();
                }
                _ => return Err(Error::new(key.span(), "expected `memory`, `wants` or `functions`")),
            }
            seen.push(key.to_string());
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(entry)
    }
}

fn texts(input: ParseStream<'_>) -> Result<Vec<String>> {
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.iter().map(LitStr::value).collect())
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<(&str, Vec<u8>)> = vec![("abi", head(UNSIGNED, ABI))];
        if !self.functions.is_empty() {
            entries.push(("functions", array(self.functions.iter().map(Function::encode))));
        }
        if let Some(bytes) = self.memory {
            entries.push(("memory", head(UNSIGNED, bytes)));
        }
        if !self.wants.is_empty() {
            entries.push(("wants", array(self.wants.iter().map(|want| text(want)))));
        }
        map(entries)
    }
}

impl Function {
    fn encode(&self) -> Vec<u8> {
        let mut entries = vec![("name", text(&self.name))];
        if let Some(parameters) = &self.parameters {
            entries.push(("params", array(parameters.iter().map(|parameter| text(parameter)))));
        }
        entries.extend(self.result.iter().map(|result| ("result", text(result))));
        entries.extend(self.doc.iter().map(|doc| ("doc", text(doc))));
        map(entries)
    }
}

fn map(entries: Vec<(&str, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = head(MAP, entries.len() as u64);
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

fn array(items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = head(ARRAY, items.len() as u64);
    bytes.extend(items.flatten());
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = head(TEXT, text.len() as u64);
    bytes.extend(text.as_bytes());
    bytes
}

/// The head of a CBOR item: its major type, and its value or length in the fewest bytes.
fn head(major: u8, n: u64) -> Vec<u8> {
    let major = major << 5;
    match n {
        0..24 => vec![major | n as u8],
        24..0x100 => vec![major | 24, n as u8],
        0x100..0x1_0000 => [&[major | 25][..], &(n as u16).to_be_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26][..], &(n as u32).to_be_bytes()].concat(),
        _ => [&[major | 27][..], &n.to_be_bytes()].concat(),
    }
}

const UNSIGNED: u8 = 0;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

/// Version of the host interface that this SDK is written for.
const ABI: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_cbor_that_the_node_reads() {
        let entry = Entry {
            functions: vec![Function {
                name: "f".into(),
                parameters: Some(vec!["n: f64".into()]),
                result: Some("()".into()),
                doc: None,
            }],
            memory: Some(1 << 20),
            wants: vec![],
        };
        let expected = b"\xa3\x63abi\x01\x69functions\x81\xa3\x64name\x61f\x66params\x81\x66n: f64\x66result\x62()\x66memory\x1a\x00\x10\x00\x00";
        assert_eq!(entry.encode(), expected);
    }

    #[test]
    fn lengths_take_the_fewest_bytes() {
        assert_eq!(head(TEXT, 23), [0x77]);
        assert_eq!(head(TEXT, 24), [0x78, 24]);
        assert_eq!(head(TEXT, 0x100), [0x79, 1, 0]);
        assert_eq!(head(UNSIGNED, 1 << 32), [0x1b, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_written_by_hand_is_checked() {
        let entry: Entry = syn::parse_str(r#"memory: 1_000, wants: ["net", "log"], functions: ["count"],"#).unwrap();
        assert_eq!((entry.memory, entry.wants.len(), entry.functions.len()), (Some(1000), 2, 1));
        for wrong in ["memory: 1, memory: 2", "memory: \"much\"", "colour: 1", "wants: [1]"] {
            assert!(syn::parse_str::<Entry>(wrong).is_err(), "{wrong}");
        }
    }
}
