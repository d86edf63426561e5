//! Where settings come from: defaults, then a file, then the environment, then the command line, each over the one before.

use super::file;
use super::keys::{self, KEYS, Kind};
use super::layers::{Effective, Given, Layer, Problem, Source};
use super::value::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What is read again when the file may have changed.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Absent: the one in the data directory, if it is there.
    pub file: Option<PathBuf>,
    pub environment: Layer,
    pub flags: Layer,
}

const DATA: &str = "node.data";
/// The file in a data directory.
pub const FILE: &str = "corovan.toml";

/// What the environment says. `get`: a variable. One that is empty says nothing.
pub fn environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Layer, Vec<Problem>> {
    let (mut layer, mut problems) = (Layer::new(), Vec::new());
    for key in KEYS {
        let Some(given) = get(key.env).filter(|given| !given.is_empty()) else { continue };
        let value = match (given.into_string(), key.kind) {
            (Ok(text), kind) => kind.read(&text),
            (Err(path), Kind::Path) => Ok(Value::Path(path.into())),
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
        let data = self.data();
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
        let mut layer = match &file {
            Some(file) => file::read(file)?,
            None => Layer::new(),
        };
        let other = self.file.is_none().then(|| layer.get(DATA).cloned()).flatten();
        if let Some(Given { value: Value::Path(other), source: source @ Source::File { .. } }) = other
            && !same_directory(&other, &data)
        {
            let text =
                format!("this file was found in the data directory, {}, and cannot name another", data.display());
            return Err(vec![Problem { at: source.to_string(), text }]);
        }
        layer.extend(over());
        Effective::new(file, layer)
    }

    /// The data directory, if no file that is named says otherwise.
    fn data(&self) -> PathBuf {
        let given = self.flags.get(DATA).or(self.environment.get(DATA)).map(|given| &given.value);
        match given {
            Some(Value::Path(data)) => data.clone(),
            _ => keys::find(DATA).and_then(|key| key.default).map(PathBuf::from).unwrap_or_default(),
        }
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
    fn a_layer_may_need_what_another_has() {
        let bench = Bench::new("[hours]\nwindows = ['Sat-Sun']\n");
        assert!(bench.load(&[("hours.timezone", "+01:00")], &[]).is_ok());
        assert!(Bench::new("").load(&[("hours.timezone", "+01:00")], &[]).unwrap_err().starts_with("ENV: "));
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
