//! What a node keeps across restarts: the number of its last boot, and that nobody else uses its directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data directory in use by this process, until dropped.
#[derive(Debug)]
pub struct State {
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
    #[error("{path} holds the last number that a boot can have: set this machine's clock and remove the file", path = .0.display())]
    Exhausted(PathBuf),
}

const LOCK: &str = "lock";
const INCARNATION: &str = "incarnation";

impl State {
    /// Takes the directory, made with mode 0700 where it is missing. `now`: seconds of the Unix epoch, which the incarnation is
    /// at least, so that a node whose directory was lost still comes after its earlier boots.
    pub fn open(dir: &Path, now: u64) -> Result<State, Error> {
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
        let last: u32 = match read(&dir.join(INCARNATION))? {
            Some(text) => text.parse().map_err(|_| Error::Damaged {
                path: dir.join(INCARNATION),
                expected: "a number",
                found: excerpt(&text),
            })?,
            None => 0,
        };
        let next = last.checked_add(1).ok_or_else(|| Error::Exhausted(dir.join(INCARNATION)))?;
        let incarnation = next.max(u32::try_from(now).unwrap_or(next));
        write(&dir.join(INCARNATION), &incarnation.to_string())?;
        Ok(State { incarnation, _lock: lock })
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
    fn a_boot_comes_after_all_before_it_and_a_directory_is_one_nodes_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        let first = State::open(&dir, 1_000).unwrap();
        assert_eq!(first.incarnation, 1_000);
        assert!(matches!(State::open(&dir, 2_000), Err(Error::InUse(_))));
        drop(first);
        // A clock that went back, one that goes on, one that is far from the truth.
        for (now, incarnation) in [(5, 1_001), (1_001, 1_002), (2_000, 2_000), (u64::MAX, 2_001)] {
            assert_eq!(State::open(&dir, now).unwrap().incarnation, incarnation);
        }
        let before = std::fs::read(dir.join(INCARNATION)).unwrap();
        std::fs::write(dir.join(INCARNATION), "many").unwrap();
        let error = State::open(&dir, 1).unwrap_err().to_string();
        assert!(error.contains(INCARNATION) && error.contains("many"), "{error}");
        std::fs::write(dir.join(INCARNATION), before).unwrap();
        std::fs::write(dir.join(INCARNATION), u32::MAX.to_string()).unwrap();
        assert!(matches!(State::open(&dir, 1), Err(Error::Exhausted(_))));
        let file = dir.join("file");
        std::fs::write(&file, "").unwrap();
        let error = State::open(&file.join("below"), 1).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{error}");
    }
}
