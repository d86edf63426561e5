//! What holds of all that was said, and who said it.

use super::file;
use super::keys::{DEFAULT_ZONE, KEYS, Key};
use super::value::Value;
use super::{Live, Offer};
use corovan_core::job::hours::{Hours, Window, Zone};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Settings by their paths.
pub type Layer = BTreeMap<&'static str, Given>;

/// A value, and who said so.
#[derive(Clone, PartialEq, Debug)]
pub struct Given {
    pub value: Value,
    pub source: Source,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    Default,
    File { file: Arc<str>, line: usize, column: usize },
    Environment(&'static str),
    Flag(&'static str),
}

/// What is wrong, and where.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    pub at: String,
    pub text: String,
}

/// What holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    /// The file that was read.
    pub file: Option<PathBuf>,
    layer: Layer,
}

/// What does not go together.
const APART: [(&str, &str); 3] =
    [("node.join", "node.certs"), ("node.join", "node.issuer"), ("node.dial-out", "node.external")];

impl Effective {
    /// What was given over defaults. Errors: what does not go together.
    pub fn new(file: Option<PathBuf>, given: Layer) -> Result<Effective, Vec<Problem>> {
        let mut layer = defaults();
        layer.extend(given);
        Effective { file, layer }.checked()
    }

    /// Of a file alone.
    pub fn of_file(file: &Path) -> Result<Effective, Vec<Problem>> {
        Effective::new(Some(file.to_owned()), file::read(file)?)
    }

    /// Each key with what holds.
    pub fn all(&self) -> impl Iterator<Item = (&'static Key, Option<&Given>)> {
        KEYS.iter().map(|key| (key, self.layer.get(key.path)))
    }

    /// What is another value here than there, by key.
    pub fn differences<'a>(&'a self, before: &'a Effective) -> impl Iterator<Item = &'static Key> + 'a {
        let value = |of: &'a Effective, key: &Key| of.layer.get(key.path).map(|given| &given.value);
        KEYS.iter().filter(move |key| value(self, key) != value(before, key))
    }

    /// The same, but for what cannot change while a node runs, which is as it was before.
    pub fn with_fixed_of(&self, before: &Effective) -> Effective {
        let mut layer = self.layer.clone();
        for key in KEYS.iter().filter(|key| !key.live) {
            match before.layer.get(key.path) {
                Some(given) => drop(layer.insert(key.path, given.clone())),
                None => drop(layer.remove(key.path)),
            }
        }
        Effective { file: self.file.clone(), layer }
    }

    /// A key's value as people read it, and where it is from.
    pub fn shown(&self, key: &Key) -> (String, Source) {
        match self.layer.get(key.path) {
            Some(given) => (given.value.to_toml(), given.source.clone()),
            None => (key.otherwise.to_owned(), Source::Default),
        }
    }

    pub fn listen(&self, key: &str) -> Option<SocketAddr> {
        match self.value(key) {
            Some(Value::Listen(address)) => Some(*address),
            _ => None,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn path(&self, key: &str) -> Option<&Path> {
        path(&self.layer, key)
    }

    pub fn is(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Switch(true)))
    }

    pub fn duration(&self, key: &str) -> Option<Duration> {
        match self.value(key) {
            Some(Value::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// A number, or a size in bytes.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(Value::Number(number) | Value::Size(number)) => Some(*number),
            _ => None,
        }
    }

    pub fn texts(&self, key: &str) -> &[String] {
        match self.value(key) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// What may change while a node runs.
    pub fn live(&self) -> Live {
        let labels = match self.value("node.labels") {
            Some(Value::Labels(labels)) => labels.clone(),
            _ => BTreeMap::new(),
        };
        let offer = Offer {
            jobs: self.number("capacity.jobs"),
            cores: self.number("capacity.cores").and_then(|cores| u32::try_from(cores).ok()),
            memory: self.number("capacity.memory"),
            disk: self.number("capacity.disk"),
            hours: self.hours(),
            end_after: self.duration("hours.end-after"),
        };
        Live { labels, peers: self.texts("node.peer").to_vec(), offer }
    }

    /// Its parts have been checked.
    fn hours(&self) -> Option<Hours> {
        let windows: Vec<Window> =
            self.texts("hours.windows").iter().filter_map(|text| Window::parse(text).ok()).collect();
        let zone = self.text("hours.timezone").and_then(|text| Zone::parse(text).ok()).unwrap_or_default();
        Hours::new(&windows, zone).ok()
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.layer.get(key).map(|given| &given.value)
    }

    fn checked(self) -> Result<Effective, Vec<Problem>> {
        let given = |path: &'static str| {
            let given = self.layer.get(path).filter(|given| given.value != Value::Switch(false))?;
            Some((path.rsplit_once('.').map_or(path, |(_, name)| name), given))
        };
        let mut problems = Vec::new();
        for (one, other) in APART {
            if let (Some((one, at)), Some((other, there))) = (given(one), given(other)) {
                let text = format!("`{one}` cannot be used with `{other}`, which is given by {}", there.source);
                problems.push(Problem { at: at.source.to_string(), text });
            }
        }
        let default = Value::Text(DEFAULT_ZONE.into());
        for needy in ["hours.timezone", "hours.end-after"] {
            if let Some((name, needy)) = given(needy).filter(|(_, given)| given.value != default)
                && given("hours.windows").is_none()
            {
                let text = format!("`{name}` is of no use without `windows`");
                problems.push(Problem { at: needy.source.to_string(), text });
            }
        }
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Source::Environment(name) => f.write_str(name),
            Source::Flag(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

fn defaults() -> Layer {
    let value = |key: &'static Key| {
        Some((key.path, Given { value: key.kind.read(key.default?).ok()?, source: Source::Default }))
    };
    KEYS.iter().filter_map(value).collect()
}

fn path<'a>(layer: &'a Layer, key: &str) -> Option<&'a Path> {
    match layer.get(key).map(|given| &given.value) {
        Some(Value::Path(path)) => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    /// Of a file of this text, named `f`, and options over it.
    fn of(text: &str, options: &[(&'static str, &str)]) -> Result<Effective, String> {
        let mut layer = file::parse("f", Path::new(""), text).unwrap();
        for (path, text) in options {
            let value = keys::find(path).unwrap().kind.read(text).unwrap();
            layer.insert(path, Given { value, source: Source::Flag("--flag") });
        }
        let told = |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
        Effective::new(None, layer).map_err(told)
    }

    #[test]
    fn what_does_not_go_together_is_told_with_both_places() {
        let text = "[node]\ndial-out = true\njoin = 'a:1'\n[hours]\ntimezone = '-01:00'\nend-after = '1h'\n";
        let told = of(text, &[("node.certs", "c"), ("node.external", "b:1")]).unwrap_err();
        for part in [
            "f:2:1: `dial-out` cannot be used with `external`, which is given by --flag",
            "f:3:1: `join` cannot be used with `certs`, which is given by --flag",
            "f:5:1: `timezone` is of no use",
            "f:6:1: `end-after` is of no use",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let options = [("hours.windows", "Mon"), ("node.dial-out", "false"), ("node.external", "b:1")];
        assert!(of(text, &options).is_ok());
    }

    #[test]
    fn what_is_fixed_stays_and_the_rest_changes() {
        let before = of("[node]\nslots = 20\nlabels = { zone = 'a' }\n", &[]).unwrap();
        let after = of("[node]\nslots = 21\n[node.labels]\nzone = 'b'\n[hours]\nwindows = ['Mon']\n", &[]).unwrap();
        let differs = |one: &Effective, other| one.differences(other).map(|key| key.path).collect::<Vec<_>>();
        assert_eq!(differs(&after, &before), ["node.slots", "node.labels", "hours.windows"]);
        let running = after.with_fixed_of(&before);
        assert_eq!(differs(&running, &before), ["node.labels", "hours.windows"]);
        assert_eq!(differs(&running, &after), ["node.slots"]);
        assert_eq!(running.live().labels["zone"], "b");
        assert!(running.live().offer.hours.is_some() && before.live().offer.hours.is_none());
    }
}
