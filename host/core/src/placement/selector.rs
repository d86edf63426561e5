//! Which nodes are meant, as a text: `web-*,zone=eu-*,memory>=2GiB`. One syntax for the command line, the configuration and
//! the wire; parsed once, bounded, and asked of facts that a node says of itself.

use super::glob;
use super::offer::{Facts, Free};
use super::size::{self, Size};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// Nodes for which all terms hold; without a term, all nodes. Cheap to clone. Two are equal where their texts are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    text: Arc<str>,
    terms: Arc<[Term]>,
    /// The largest that terms ask for.
    wants: Wants,
}

/// One condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Term {
    /// A glob of the node's name, or of an address with or without its port; or the node's id, in full.
    Node(String),
    /// A label, with a glob of its value.
    Label {
        key: String,
        value: String,
    },
    /// So much that is free, at least.
    Cores(u32),
    Memory(u64),
    Disk(u64),
}

/// What has to be free.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wants {
    pub cores: u32,
    pub memory: u64,
    pub disk: u64,
}

/// Of a computation's list the first whose selector takes a node says how many of its jobs may run there at once; discoro's
/// `DiscoroNodeAllocate`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Allocation {
    /// Asked of what does not change by running jobs: `cores>=8` here is what the node has, not what is free.
    pub selector: Selector,
    /// `None`: as many as the node takes.
    pub jobs: Option<u32>,
}

/// Why a text is not a selector; `at` counts characters from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a selector of {0} bytes is over the limit of {max} (SELECTOR_BYTES)", max = limits::SELECTOR_BYTES)]
    TooLong(usize),
    #[error("a selector with {0} terms is over the limit of {max} (SELECTOR_TERMS)", max = limits::SELECTOR_TERMS)]
    TooMany(usize),
    #[error("at character {at} of the selector a term is empty; between commas there is {TERMS}")]
    Empty { at: usize },
    #[error(
        "at character {at} of the selector, {found:?} is not a condition; {key} takes {key}>={example}: {accepted}"
    )]
    Compare { at: usize, found: String, key: &'static str, example: &'static str, accepted: &'static str },
    #[error("at character {at} of the selector, {found:?} cannot be compared with >=; cores, memory and disk can")]
    Unknown { at: usize, found: String },
    #[error("at character {at} of the selector, {found:?} is not a condition; accepted is {TERMS}")]
    Term { at: usize, found: String },
}

const TERMS: &str = "a name or address (with * and ?), label=value, cores>=N, memory>=SIZE or disk>=SIZE";
const WHOLE: &str = "a whole number";

impl Selector {
    /// All nodes.
    pub fn any() -> Selector {
        Selector { text: Arc::from(""), terms: Arc::from([]), wants: Wants::default() }
    }

    pub fn parse(text: &str) -> Result<Selector, Error> {
        if text.len() > limits::SELECTOR_BYTES {
            return Err(Error::TooLong(text.len()));
        }
        if text.trim().is_empty() {
            return Ok(Selector::any());
        }
        let count = text.split(',').count();
        if count > limits::SELECTOR_TERMS {
            return Err(Error::TooMany(count));
        }
        let (mut terms, mut texts, mut wants, mut at) = (Vec::new(), Vec::new(), Wants::default(), 1);
        for piece in text.split(',') {
            let term = piece.trim();
            let blanks = piece.chars().take_while(|c| c.is_whitespace()).count();
            let parsed = parse_term(term, if term.is_empty() { at } else { at + blanks })?;
            match parsed {
                Term::Cores(cores) => wants.cores = wants.cores.max(cores),
                Term::Memory(memory) => wants.memory = wants.memory.max(memory),
                Term::Disk(disk) => wants.disk = wants.disk.max(disk),
                Term::Node(_) | Term::Label { .. } => {}
            }
            terms.push(parsed);
            texts.push(term);
            at += piece.chars().count() + 1;
        }
        Ok(Selector { text: texts.join(",").into(), terms: terms.into(), wants })
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    pub fn is_any(&self) -> bool {
        self.terms.is_empty()
    }

    /// What has to be free.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Whether a node could be meant, going by what running jobs does not change.
    pub fn takes(&self, facts: &Facts) -> bool {
        self.terms.iter().all(|term| term.takes(facts))
    }
}

impl Term {
    /// Whether it holds for what a node has, free or not.
    pub fn takes(&self, facts: &Facts) -> bool {
        match self {
            Term::Node(pattern) => {
                glob::matches(pattern, &facts.name)
                    || facts.address_texts().any(|text| glob::matches(pattern, text))
                    || (pattern.len() == 2 * facts.node.0.len() && *pattern == facts.node.to_string())
            }
            Term::Label { key, value } => facts.labels.get(key).is_some_and(|has| glob::matches(value, has)),
            Term::Cores(cores) => facts.cores >= *cores,
            Term::Memory(memory) => facts.memory >= *memory,
            Term::Disk(disk) => facts.disk >= *disk,
        }
    }
}

impl Wants {
    pub fn fits(&self, free: &Free) -> bool {
        free.cores >= self.cores && free.memory >= self.memory && free.disk >= self.disk
    }
}

impl Allocation {
    /// As many jobs as nodes take, where a selector says.
    pub fn at(selector: Selector) -> Allocation {
        Allocation { selector, jobs: None }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Selector) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}

impl Eq for Selector {}

impl Hash for Selector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The text from which it was parsed, without blanks around its terms.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Selector {
    type Err = Error;
    fn from_str(text: &str) -> Result<Selector, Error> {
        Selector::parse(text)
    }
}

impl TryFrom<String> for Selector {
    type Error = Error;
    fn try_from(text: String) -> Result<Selector, Error> {
        Selector::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        selector.text.as_ref().to_owned()
    }
}

fn parse_term(term: &str, at: usize) -> Result<Term, Error> {
    if term.is_empty() {
        return Err(Error::Empty { at });
    }
    let found = || term.to_owned();
    if let Some((key, value)) = term.split_once(">=") {
        let (key, value) = (key.trim_end(), value.trim_start());
        let size = |key| {
            let wrong = Error::Compare { at, found: found(), key, example: "2GiB", accepted: size::ACCEPTED };
            Size::parse(value).map(|size| size.0).ok_or(wrong)
        };
        return match key {
            "cores" => value.parse().ok().filter(|_| !value.starts_with('+')).map(Term::Cores).ok_or(Error::Compare {
                at,
                found: found(),
                key: "cores",
                example: "4",
                accepted: WHOLE,
            }),
            "memory" => size("memory").map(Term::Memory),
            "disk" => size("disk").map(Term::Disk),
            _ => Err(Error::Unknown { at, found: found() }),
        };
    }
    let compare = |key, example, accepted| Error::Compare { at, found: found(), key, example, accepted };
    match term.split_once('=') {
        // Who writes these means an amount: a label of that name would be silently compared as a text.
        Some(("cores", _)) => Err(compare("cores", "4", WHOLE)),
        Some(("memory", _)) => Err(compare("memory", "2GiB", size::ACCEPTED)),
        Some(("disk", _)) => Err(compare("disk", "2GiB", size::ACCEPTED)),
        Some((key, value)) if !key.is_empty() && !key.contains(['<', '>', '!']) => {
            Ok(Term::Label { key: key.to_owned(), value: value.to_owned() })
        }
        None if !term.contains(['<', '>']) => Ok(Term::Node(term.to_owned())),
        _ => Err(Error::Term { at, found: found() }),
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Node(glob) => f.write_str(glob),
            Term::Label { key, value } => write!(f, "{key}={value}"),
            Term::Cores(cores) => write!(f, "cores>={cores}"),
            Term::Memory(memory) => write!(f, "memory>={}", Size(*memory)),
            Term::Disk(disk) => write!(f, "disk>={}", Size(*disk)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::placement::offer::Offer;
    use proptest::prelude::*;

    fn facts() -> Facts {
        let offer = Offer {
            name: "web-1".into(),
            addresses: vec!["10.0.0.5:9000".parse().unwrap(), "[::1]:9000".parse().unwrap()],
            labels: [("zone".into(), "eu-west".into()), ("gpu".into(), String::new())].into(),
            cores: 8,
            memory: 4 << 30,
            disk: 1 << 30,
            ..Offer::new(NodeId([0xab; 12]))
        };
        Facts::of(&offer)
    }

    #[test]
    fn terms_hold_or_do_not() {
        let facts = facts();
        for (text, expected) in [
            ("", true),
            ("  ", true),
            ("*", true),
            ("web-*", true),
            ("web-2", false),
            ("10.0.0.5", true),
            ("10.0.*", true),
            ("10.0.0.5:9000", true),
            ("10.0.0.5:9001", false),
            ("::1", true),
            ("[::1]:*", true),
            ("abababababababababababab", true),
            ("abab*", false),
            ("zone=eu-*", true),
            ("zone=us-*", false),
            ("gpu=", true),
            ("gpu=*", true),
            ("tpu=*", false),
            ("cores>=8", true),
            ("cores>=9", false),
            ("memory>=4GiB", true),
            ("memory>=4097MiB", false),
            ("disk >= 1GiB", true),
            ("web-*, zone=eu-west ,cores>=2", true),
            ("web-*,zone=us", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().takes(&facts), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_say_where_and_what_is_accepted() {
        for (text, at, says) in [
            ("a,,b", 3, "a term is empty"),
            ("a, ", 3, "a term is empty"),
            ("ü,memory>=2GB", 3, "memory takes memory>=2GiB: bytes, or a whole number with KiB, MiB, GiB or TiB"),
            ("cores>=many", 1, "cores takes cores>=4: a whole number"),
            ("cores>=+4", 1, "cores takes"),
            ("zone=eu, cores=4", 10, "cores takes cores>=4"),
            ("load>=3", 1, "cannot be compared with >=; cores, memory and disk can"),
            ("=eu", 1, "accepted is a name or address (with * and ?), label=value"),
            ("cores<4", 1, "accepted is"),
            ("zone!=eu", 1, "accepted is"),
        ] {
            let error = Selector::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("at character {at} ")) && error.contains(says), "{text:?}: {error}");
        }
        let long = "a".repeat(limits::SELECTOR_BYTES + 1);
        assert_eq!(Selector::parse(&long), Err(Error::TooLong(long.len())));
        let many = vec!["a"; limits::SELECTOR_TERMS + 1].join(",");
        assert_eq!(Selector::parse(&many), Err(Error::TooMany(limits::SELECTOR_TERMS + 1)));
    }

    #[test]
    fn the_text_is_given_back_and_travels_as_a_text() {
        let selector = Selector::parse(" web-* ,memory>=2048MiB").unwrap();
        assert_eq!(selector.to_string(), "web-*,memory>=2048MiB");
        assert_eq!(selector.wants(), Wants { memory: 2 << 30, ..Wants::default() });
        let mut cbor = Vec::new();
        ciborium::into_writer(&Allocation { selector, jobs: Some(3) }, &mut cbor).unwrap();
        let back: Allocation = ciborium::from_reader(&cbor[..]).unwrap();
        assert_eq!((back.selector.to_string().as_str(), back.jobs), ("web-*,memory>=2048MiB", Some(3)));
        let mut bad = Vec::new();
        ciborium::into_writer("cores=4", &mut bad).unwrap();
        assert!(ciborium::from_reader::<Selector, _>(&bad[..]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_parses_to_the_same_again(text in "[a-z*?=>,. 0-9MiGBü:<!]{0,40}|(cores|memory|disk)>=[0-9]{1,21}(MiB|TiB)?") {
            if let Ok(selector) = Selector::parse(&text) {
                let again = Selector::parse(&selector.to_string()).unwrap();
                prop_assert_eq!(&again, &selector);
                prop_assert_eq!(again.terms(), selector.terms());
            }
        }
    }
}
