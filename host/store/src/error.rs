//! Why the store refuses or cannot do something: what is wrong, where, and what to do.

use crate::JobId;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("no room on the disk of {}: {why}; nothing was changed, and it goes on when there is room", path.display())]
    Full { path: PathBuf, why: String },
    #[error("{} cannot be read or written: {why}; nothing was changed", path.display())]
    Io { path: PathBuf, why: String },
    #[error("{} is damaged and was left as it is: {why}; move it away to begin a new one, or put a copy in its place", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{} is no store of jobs: give another path, or move it away", path.display())]
    Foreign { path: PathBuf },
    #[error("{} has format {found}, this version knows {known}: use the version that wrote it", path.display())]
    Version { path: PathBuf, found: u64, known: u64 },
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error(
        "{scope} may keep {limit} bytes of jobs, {used} are used, and {wanted} more are wanted: take results of ended jobs first"
    )]
    Quota { scope: String, used: u64, limit: u64, wanted: u64 },
    #[error("the key {key:?} is that of job {job}, which is another: use a new key, or submit the same again")]
    KeyReused { key: String, job: JobId },
    #[error("{what} of {size} bytes is over the limit of {max}")]
    TooLarge { what: &'static str, size: usize, max: usize },
    #[error("a job has a tenant")]
    NoTenant,
    #[error("job {0} is there already")]
    Duplicate(JobId),
    #[error("no job {0} is kept here")]
    NotFound(JobId),
    #[error("{max} operations wait for the disk already: try again")]
    Overloaded { max: usize },
    #[error("the store is closed")]
    Closed,
}

impl Error {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Error {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { path, why },
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Error::Damaged { path, why },
            _ => Error::Io { path, why },
        }
    }

    pub(crate) fn of(path: &Path, error: impl Into<redb::Error>) -> Error {
        let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Error::Locked { path: path.to_owned() },
            redb::Error::Io(error) => Error::io(path, &error),
            redb::Error::Corrupted(why) => damaged(why),
            redb::Error::UpgradeRequired(format) => {
                damaged(format!("its file format {format} is older than this version reads"))
            }
            // A table of another shape under one of our names: nobody but us writes them.
            error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. }) => {
                damaged(error.to_string())
            }
            other => Error::Io { path: path.to_owned(), why: other.to_string() },
        }
    }
}
