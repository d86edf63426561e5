//! Where settings come from, and which holds: defaults, then a file, then the environment, then the command line.

use super::file;
use super::keys::{self, DEFAULT_ZONE, KEYS, Key};
use super::value::Value;
use super::{Live, Offer};
use corovan_core::job::hours::{Hours, Window, Zone};
use std::collections::BTreeMap;
use std::ffi::OsString;
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

/// What is read again when the file may have changed.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Absent: the one in the data directory, if it is there.
    pub file: Option<PathBuf>,
    pub environment: Layer,
    pub flags: Layer,
}

/// What holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    /// The file that was read.
    pub file: Option<PathBuf>,
    layer: Layer,
}

/// The file in a data directory.
pub const FILE: &str = "corovan.toml";

/// What does not go together.
const APART: [(&str, &str); 3] =
    [("node.join", "node.certs"), ("node.join", "node.issuer"), ("node.dial-out", "node.external")];

/// What the environment says. `get`: a variable. One that is empty says nothing.
pub fn environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Layer, Vec<Problem>> {
    let (mut layer, mut problems) = (Layer::new(), Vec::new());
    for key in KEYS {
        let Some(given) = get(key.env).filter(|given| !given.is_empty()) else { continue };
        let value = match (given.into_string(), key.kind) {
            (Ok(text), kind) => kind.read(&text),
            (Err(path), keys::Kind::Path) => Ok(Value::Path(path.into())),
            (Err(_), _) => Err("it is not UTF-8".into()),
        };
        let source = Source::Environment(key.env);
        match value {
            Ok(value) => drop(layer.insert(key.path, Given { value, source })),
            Err(text) => problems.push(Problem { at: source.to_string(), text }),
        }
    }
    if problems.is_empty() { Ok(layer) } else { Err(problems) }
}

impl Sources {
    /// Reads the file, and says what holds; all that is wrong otherwise.
    pub fn load(&self) -> Result<Effective, Vec<Problem>> {
        let over = || self.environment.iter().chain(&self.flags).map(|(path, given)| (*path, given.clone()));
        let mut layer = defaults();
        layer.extend(over());
        let data = path(&layer, "node.data").map(Path::to_owned).unwrap_or_default();
        let found = || {
            let file = data.join(FILE);
            let at = file.display().to_string();
            // What cannot be looked at is not what is not there.
            match file.try_exists() {
                Ok(is) => Ok(is.then_some(file)),
                Err(error) => Err(vec![Problem { at, text: format!("cannot be looked for: {error}") }]),
            }
        };
        let file = match &self.file {
            Some(file) => Some(file.clone()),
            None => found()?,
        };
        let mut layer = defaults();
        if let Some(file) = &file {
            layer.extend(file::read(file)?);
        }
        let other = self.file.is_none().then(|| layer.get("node.data").cloned()).flatten();
        if let Some(Given { value: Value::Path(other), source: source @ Source::File { .. } }) = other
            && !same_directory(&other, &data)
        {
            let text =
                format!("this file was found in the data directory, {}, and cannot name another", data.display());
            return Err(vec![Problem { at: source.to_string(), text }]);
        }
        layer.extend(over());
        Effective { file, layer }.checked()
    }
}

impl Effective {
    /// Of a file alone.
    pub fn of_file(file: &Path) -> Result<Effective, Vec<Problem>> {
        let mut layer = defaults();
        layer.extend(file::read(file)?);
        Effective { file: Some(file.to_owned()), layer }.checked()
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

    pub fn listen(&self) -> Option<SocketAddr> {
        match self.value("node.listen") {
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

/// By what the file system says, where it says something.
fn same_directory(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(source: &Source, pairs: &[(&'static str, &str)]) -> Layer {
        let given = |(path, text): &(&'static str, &str)| {
            let value = keys::find(path).unwrap().kind.read(text).unwrap();
            (*path, Given { value, source: source.clone() })
        };
        pairs.iter().map(given).collect()
    }

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new(text: &str) -> Bench {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            Bench(dir)
        }

        fn load(
            &self,
            environment: &[(&'static str, &str)],
            flags: &[(&'static str, &str)],
        ) -> Result<Effective, String> {
            let environment = layer(&Source::Environment("ENV"), environment);
            let flags = layer(&Source::Flag("--flag"), flags);
            let sources = Sources { file: Some(self.0.path().join(FILE)), environment, flags };
            let told = |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
            sources.load().map_err(told)
        }
    }

    #[test]
    fn each_layer_holds_over_the_one_below() {
        let bench = Bench::new("[node]\nname = 'f'\nslots = 20\nworkers = 2\npeer = ['a:1']\n");
        let load = bench.load(&[("node.slots", "21"), ("node.workers", "3")], &[("node.workers", "4")]).unwrap();
        let from = |path: &str| load.shown(keys::find(path).unwrap());
        for (path, value, source) in [
            ("node.listen", "\"127.0.0.1:4433\"", "default"),
            ("node.slots", "21", "ENV"),
            ("node.workers", "4", "--flag"),
            ("capacity.jobs", "as many as there are slots", "default"),
        ] {
            assert_eq!((from(path).0.as_str(), from(path).1.to_string().as_str()), (value, source));
        }
        assert!(from("node.name").1.to_string().ends_with("corovan.toml:2:1"), "{}", from("node.name").1);
        assert_eq!((load.number("node.slots"), load.texts("node.peer")), (Some(21), &["a:1".to_owned()][..]));
    }

    #[test]
    fn what_does_not_go_together_is_told_with_both_places() {
        let bench = Bench::new("[node]\ndial-out = true\njoin = 'a:1'\n[hours]\ntimezone = '-01:00'\n");
        let told = bench.load(&[("node.certs", "c")], &[("node.external", "b:1")]).unwrap_err();
        for part in [
            "toml:2:1: `dial-out` cannot be used with `external`, which is given by --flag",
            "toml:3:1: `join` cannot be used with `certs`, which is given by ENV",
            "toml:5:1: `timezone` is of no use",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(
            bench.load(&[("hours.windows", "Mon")], &[("node.dial-out", "false"), ("node.external", "b:1")]).is_ok()
        );
    }

    #[test]
    fn what_is_fixed_stays_and_the_rest_changes() {
        let before = Bench::new("[node]\nslots = 20\nlabels = { zone = 'a' }\n").load(&[], &[]).unwrap();
        let after = Bench::new("[node]\nslots = 21\n[node.labels]\nzone = 'b'\n").load(&[], &[]).unwrap();
        let differs = |one: &Effective, other| one.differences(other).map(|key| key.path).collect::<Vec<_>>();
        assert_eq!(differs(&after, &before), ["node.slots", "node.labels"]);
        let running = after.with_fixed_of(&before);
        assert_eq!((differs(&running, &before), differs(&running, &after)), (vec!["node.labels"], vec!["node.slots"]));
        assert_eq!(running.live().labels["zone"], "b");
    }

    #[test]
    fn the_environment_is_read_by_its_names_and_what_is_wrong_names_them() {
        let get = |name: &str| match name {
            "COROVAN_NODE_PEER" => Some("a:1,b:2".into()),
            "COROVAN_CERTS" => Some("c".into()),
            "COROVAN_NODE_NAME" => Some("".into()),
            _ => None,
        };
        let layer = environment(get).unwrap();
        assert_eq!(layer.keys().copied().collect::<Vec<_>>(), ["node.certs", "node.peer"]);
        let bad = environment(|name| (name == "COROVAN_NODE_SLOTS").then(|| "many".into())).unwrap_err();
        assert!(bad[0].to_string().starts_with("COROVAN_NODE_SLOTS: many is not a whole number"), "{bad:?}");
    }

    #[test]
    fn the_file_in_the_data_directory_is_found_and_names_no_other() {
        let bench = Bench::new("[node]\nname = 'found'\n");
        let data = bench.0.path().display().to_string();
        let flags = layer(&Source::Flag("--data"), &[("node.data", &data)]);
        let sources = Sources { file: None, environment: Layer::new(), flags };
        let effective = sources.load().unwrap();
        assert_eq!(effective.text("node.name"), Some("found"));
        assert_eq!(effective.file, Some(bench.0.path().join(FILE)));
        std::fs::write(bench.0.path().join(FILE), "[node]\ndata = '.'\n").unwrap();
        assert!(sources.load().is_ok());
        std::fs::write(bench.0.path().join(FILE), "[node]\ndata = 'elsewhere'\n").unwrap();
        let told = sources.load().unwrap_err();
        assert!(told[0].to_string().contains("cannot name another"), "{told:?}");
    }
}
