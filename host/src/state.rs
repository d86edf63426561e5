//! What a node keeps across restarts: who it is, how often it has started, and that nobody else uses its directory.

use corovan_core::ids::NodeId;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data directory in use by this process, until dropped.
#[derive(Debug)]
pub struct State {
    pub node: NodeId,
    /// Raised and synced at every start, before the first address is given out.
    pub incarnation: u32,
    /// The kernel gives the lock back when the process ends, however it ends.
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data directory {path} cannot be used: {source}", path = path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the data directory {path} is in use by another node: give each node its own with --data", path = .0.display())]
    InUse(PathBuf),
    #[error("{path} is damaged: it should hold {expected}, not {found:?}", path = path.display())]
    Damaged { path: PathBuf, expected: &'static str, found: String },
    #[error("this node has started 4294967295 times and has no incarnation left: give it a new data directory")]
    Exhausted,
}

const LOCK: &str = "lock";
const NODE_ID: &str = "node-id";
const INCARNATION: &str = "incarnation";

impl State {
    /// Takes the directory, made with mode 0700 where it is missing. `fresh`: the id of a node that has none yet.
    pub fn open(dir: &Path, fresh: NodeId) -> Result<State, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        let path = dir.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(failed(&path))?;
        if lock.try_lock().is_err() {
            return Err(Error::InUse(dir.to_owned()));
        }
        let node = match read(&dir.join(NODE_ID))? {
            Some(text) => text.parse().map_err(|_| Error::Damaged {
                path: dir.join(NODE_ID),
                expected: "24 hexadecimal digits",
                found: excerpt(&text),
            })?,
            None => {
                write(&dir.join(NODE_ID), &fresh.to_string())?;
                fresh
            }
        };
        let last: u32 = match read(&dir.join(INCARNATION))? {
            Some(text) => text.parse().map_err(|_| Error::Damaged {
                path: dir.join(INCARNATION),
                expected: "a number",
                found: excerpt(&text),
            })?,
            None => 0,
        };
        let incarnation = last.checked_add(1).ok_or(Error::Exhausted)?;
        write(&dir.join(INCARNATION), &incarnation.to_string())?;
        Ok(State { node, incarnation, _lock: lock })
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Directory { path: path.to_owned(), source }),
    }
}

/// Old or new, never half: temporary file, sync, rename, sync of the directory.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let replace = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        writeln!(file, "{text}")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|source| Error::Directory { path: path.to_owned(), source })
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_id_raises_its_incarnation_and_its_directory_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        let first = State::open(&dir, NodeId([1; 12])).unwrap();
        assert_eq!((first.node, first.incarnation), (NodeId([1; 12]), 1));
        assert!(matches!(State::open(&dir, NodeId([2; 12])), Err(Error::InUse(_))));
        drop(first);
        let second = State::open(&dir, NodeId([2; 12])).unwrap();
        assert_eq!((second.node, second.incarnation), (NodeId([1; 12]), 2));
        drop(second);
        for (file, text) in [(NODE_ID, "xyz"), (INCARNATION, "many")] {
            let before = std::fs::read(dir.join(file)).unwrap();
            std::fs::write(dir.join(file), text).unwrap();
            let error = State::open(&dir, NodeId([3; 12])).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(text), "{error}");
            std::fs::write(dir.join(file), before).unwrap();
        }
        std::fs::write(dir.join(INCARNATION), u32::MAX.to_string()).unwrap();
        assert!(matches!(State::open(&dir, NodeId([1; 12])), Err(Error::Exhausted)));
        let file = dir.join("file");
        std::fs::write(&file, "").unwrap();
        let error = State::open(&file.join("below"), NodeId([1; 12])).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{error}");
    }
}
