//! Values of settings: read from text, checked, and written as TOML or JSON. What is refused is told with what to write.

use super::keys::Kind;
use crate::telemetry;
use corovan_client::check_address;
use corovan_core::job::hours::{Window, Zone};
use corovan_core::limits;
use corovan_core::membership::member::About;
use corovan_core::tenancy::identity::check_name;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value that has been checked.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Listen(SocketAddr),
    Text(String),
    Path(PathBuf),
    Texts(Vec<String>),
    Switch(bool),
    Labels(BTreeMap<String, String>),
    Number(u64),
    Duration(Duration),
    Size(u64),
}

impl Kind {
    /// A value from one text, as an environment variable has it: lists with commas, windows with semicolons between.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        let parts = |by: char| text.split(by).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        match self {
            Kind::Peers => self.list(parts(',').collect()),
            Kind::Labels => self.labels(parts(',').map(|part| pair(&part)).collect::<Result<_, _>>()?),
            Kind::Windows => self.list(parts(';').collect()),
            _ => self.one(text),
        }
    }

    /// A value that is one text in a file, too.
    pub fn one(&self, text: &str) -> Result<Value, String> {
        let owned = || Ok(Value::Text(text.to_owned()));
        match self {
            Kind::Listen => text.parse().map(Value::Listen).map_err(|_| LISTEN.to_owned()),
            Kind::Name => check_name(text).map_err(|error| error.to_string()).and_then(|_| owned()),
            Kind::Filter => telemetry::check(text).and_then(|()| owned()),
            Kind::Path if text.is_empty() => Err("a path is not empty".into()),
            Kind::Path => Ok(Value::Path(text.into())),
            Kind::Peer => check_address(text).map_err(|error| error.to_string()).and_then(|()| owned()),
            Kind::Zone => Zone::parse(text).map_err(|error| error.to_string()).and_then(|_| owned()),
            Kind::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(format!("{text:?} is neither true nor false")),
            },
            Kind::Number { min, max } => {
                let number = text.parse().ok().filter(|number| (min..=max).contains(&number));
                number.map(Value::Number).ok_or_else(|| format!("{text} is not a whole number from {min} to {max}"))
            }
            Kind::Duration { max } => {
                let duration = humantime::parse_duration(text).map_err(|error| format!("{text:?}: {error}"))?;
                let most = humantime::format_duration(*max);
                if duration > *max {
                    Err(format!("{text} is too long: at most {most}"))
                } else {
                    Ok(Value::Duration(duration))
                }
            }
            Kind::Size { min, max } => {
                let bytes = size(text)?;
                if (min..=max).contains(&&bytes) {
                    return Ok(Value::Size(bytes));
                }
                Err(format!("{text} is not from {} to {}", shown_size(*min), shown_size(*max)))
            }
            Kind::Peers | Kind::Windows => self.list(vec![text.to_owned()]),
            Kind::Labels => self.labels(vec![pair(text)?]),
        }
    }

    /// One element of a list.
    pub fn element(&self, text: &str) -> Result<(), String> {
        match self {
            Kind::Windows => Window::parse(text).map(drop).map_err(|error| error.to_string()),
            _ => check_address(text).map_err(|error| error.to_string()),
        }
    }

    /// A list of which each element is fine or not.
    pub fn list(&self, texts: Vec<String>) -> Result<Value, String> {
        texts.iter().try_for_each(|text| self.element(text))?;
        match self {
            Kind::Windows if texts.is_empty() => Err(corovan_core::job::hours::Invalid::Empty.to_string()),
            Kind::Peers if texts.len() > limits::SEED_NAMES => {
                Err(format!("at most {} (SEED_NAMES); any one that is there is enough", limits::SEED_NAMES))
            }
            _ => Ok(Value::Texts(texts)),
        }
    }

    /// Labels, none of them twice.
    pub fn labels(&self, pairs: Vec<(String, String)>) -> Result<Value, String> {
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            if let Some(before) = labels.insert(key.clone(), value.clone()) {
                return Err(format!("{key} is given twice, as {before:?} and as {value:?}"));
            }
        }
        let about = About { labels, ..About::default() };
        about.check().map_err(|error| error.to_string())?;
        Ok(Value::Labels(about.labels))
    }

    /// What a file has to have here, for people.
    pub fn wanted(&self) -> &'static str {
        match self {
            Kind::Listen => "a string such as \"127.0.0.1:4433\"",
            Kind::Name => "a string such as \"a\"",
            Kind::Filter => "a string such as \"info\"",
            Kind::Path => "a string with a path",
            Kind::Peer => "a string \"HOST:PORT\"",
            Kind::Peers => "a list of strings \"HOST:PORT\"",
            Kind::Switch => "true or false",
            Kind::Labels => "a table of strings, such as zone = \"a\"",
            Kind::Number { .. } => "a whole number",
            Kind::Duration { .. } => "a string such as \"5s\"",
            Kind::Size { .. } => "a string such as \"4GiB\", or a number of bytes",
            Kind::Windows => "a list of strings such as \"Mon-Fri 18:00-08:00\"",
            Kind::Zone => "a string such as \"UTC\" or \"+01:00\"",
        }
    }
}

impl Value {
    /// As a file has it.
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Value::Listen(address) => quoted(&address.to_string()),
            Value::Text(text) => quoted(text),
            Value::Path(path) => quoted(&path.display().to_string()),
            Value::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Value::Switch(is) => is.to_string(),
            Value::Labels(labels) if labels.is_empty() => "{}".into(),
            Value::Labels(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))).collect();
                format!("{{ {} }}", labels.join(", "))
            }
            Value::Number(number) => number.to_string(),
            Value::Duration(duration) => quoted(&humantime::format_duration(*duration).to_string()),
            Value::Size(bytes) => quoted(&shown_size(*bytes)),
        }
    }

    /// Sizes as bytes, durations as text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Listen(address) => json!(address.to_string()),
            Value::Text(text) => json!(text),
            Value::Path(path) => json!(path.display().to_string()),
            Value::Texts(texts) => json!(texts),
            Value::Switch(is) => json!(is),
            Value::Labels(labels) => json!(labels),
            Value::Number(number) | Value::Size(number) => json!(number),
            Value::Duration(duration) => json!(humantime::format_duration(*duration).to_string()),
        }
    }
}

/// `KEY=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?}: write KEY=VALUE, for example zone=a")),
    }
}

/// Bytes with an optional binary unit.
pub fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size: write a number with KiB, MiB or GiB, for example 64MiB");
    let (number, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| text.strip_suffix(unit).map(|number| (number, *shift)))
        .ok_or_else(bad)?;
    let number: u64 = number.trim().parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).ok_or_else(bad)
}

fn shown_size(bytes: u64) -> String {
    let unit = UNITS[..3].iter().find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

const UNITS: [(&str, u32); 7] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("G", 30), ("M", 20), ("K", 10), ("", 0)];

const LISTEN: &str =
    "write the IP address of an interface and a port, for example 127.0.0.1:4433, 0.0.0.0:4433 or [::1]:4433";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::find;

    fn read(path: &str, text: &str) -> Result<Value, String> {
        find(path).unwrap().kind.read(text)
    }

    #[test]
    fn values_are_read_from_text_and_written_as_they_are_in_a_file() {
        for (path, text, toml) in [
            ("node.listen", "[::1]:0", "\"[::1]:0\""),
            ("node.peer", "a:1, [::1]:2,", "[\"a:1\", \"[::1]:2\"]"),
            ("node.labels", "zone=a, x=a=b,gpu=", "{ \"gpu\" = \"\", \"x\" = \"a=b\", \"zone\" = \"a\" }"),
            ("node.labels", "", "{}"),
            ("node.workers", "64", "64"),
            ("node.grace", "1min", "\"1m\""),
            ("node.dial-out", "true", "true"),
            ("capacity.memory", "2048 MiB", "\"2GiB\""),
            ("capacity.memory", "1048577", "\"1048577\""),
            ("hours.windows", "Mon,Wed 9:00-17:00; Sat-Sun", "[\"Mon,Wed 9:00-17:00\", \"Sat-Sun\"]"),
            ("node.data", "a \"b\"", "'a \"b\"'"),
        ] {
            let value = read(path, text).unwrap();
            assert_eq!(value.to_toml(), toml, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        let long = format!("key={}", "v".repeat(limits::LABEL_BYTES + 1));
        let many: Vec<String> = (0..=limits::MEMBER_LABELS).map(|n| format!("k{n}=v")).collect();
        let peers = vec!["a:1"; limits::SEED_NAMES + 1].join(",");
        for (path, text, part) in [
            ("node.listen", "localhost", "write the IP address"),
            ("node.peer", "a", "no port"),
            ("node.external", "a:0", "the port is a number"),
            ("node.labels", "zone", "KEY=VALUE"),
            ("node.labels", "=a", "KEY=VALUE"),
            ("node.labels", "z=a,z=b", "given twice"),
            ("node.labels", &long, "LABEL_BYTES"),
            ("node.labels", &many.join(","), "MEMBER_LABELS"),
            ("node.peer", &peers, "SEED_NAMES"),
            ("node.workers", "65", "a whole number from 1 to 64"),
            ("node.workers", "-1", "a whole number from 1 to 64"),
            ("node.grace", "2min", "at most 1m"),
            ("node.grace", "soon", "soon"),
            ("node.discover", "yes", "neither true nor false"),
            ("node.name", "Node 1", "1 to 63 of a-z"),
            ("node.data", "", "not empty"),
            ("node.log", "corovan=loud", "not a log filter"),
            ("capacity.memory", "12", "is not from 1MiB"),
            ("capacity.disk", "5GiB", "to 4GiB"),
            ("hours.windows", "", "write at least one"),
            ("hours.windows", "Mon;someday", "is not a day"),
            ("hours.timezone", "CET", "not a time zone"),
        ] {
            let refused = read(path, text).unwrap_err();
            assert!(refused.contains(part), "{path} {text:?}: {refused}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("1", 1), ("64MiB", 64 << 20), ("1GiB", 1 << 30), ("2 KiB", 2 << 10), ("3K", 3 << 10)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1TiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
