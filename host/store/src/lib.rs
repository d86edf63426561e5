//! The journal of a home's durable jobs: what is accepted is on disk, ends exactly once, and is kept until it is acknowledged or
//! its time is over. No clock, no randomness and no network: times and ids are given.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use corovan_store::{Accepted, Ended, JobId, Journal, NewExit, NewJob, Quotas, Store};
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path().join("jobs.redb"), Quotas::default())?;
//! let (id, now) = (JobId::new(1_700_000_000_000_000_000, 42), 1_700_000_000_000_000_000);
//! let (spec, args) = ("run f".into(), "[1]".into());
//! let digest = [0; 32];
//! let job = NewJob { id, tenant: "me".into(), computation: 1, key: None, digest, spec, args, reserve: 0, now };
//! assert_eq!(store.accept(job).wait()?, Accepted::New);
//! let attempt = store.begin(id, "node-a".into(), None, now).wait()?.ok_or("it runs already")?;
//! let exit = NewExit { attempt, outcome: "finished".into(), record: "".into(), value: "2".into(), now };
//! assert_eq!(store.end(id, exit.clone()).wait()?, Ended::First);
//! assert_eq!(store.end(id, exit).wait()?, Ended::Superseded);
//! assert_eq!(store.result(id)?.ok_or("it has ended")?.1, "2");
//! # Ok(())
//! # }
//! ```

mod changes;
mod error;
mod job;
pub mod limits;
mod read;
mod tables;
mod writer;

use bytes::Bytes;
pub use corovan_core::ulid::{Malformed, Ulid as JobId};
pub use error::Error;
pub use job::{Accepted, Attempt, Ended, Event, Events, Exit, Found, JobView, NewExit, NewJob, State, Usage};
use parking_lot::RwLock;
pub use read::FindError;
use redb::Database;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub use writer::Pending;
use writer::{Again, Opens, Shared, Writer};

/// Bytes that may be kept, with what is set aside for exits: by this node, and by each tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    pub bytes: u64,
    pub tenant_bytes: u64,
}

/// What a home needs of whatever keeps its jobs. [`Store`] is a file; a replicated database may take its place. Changes are
/// answered when they would survive a crash, reads are of what was answered before. Errors, of all: the disk, the file, and
/// that the store is behind; besides these what each says.
pub trait Journal: Send + Sync {
    /// Errors: quota, key reused, duplicate, too large. Known: the same job again, under its key.
    fn accept(&self, job: NewJob) -> Pending<Accepted>;
    /// The job's next attempt begins at a node, and may run there without contact until `lease`; gives the attempt's number, and
    /// `None` where it runs already or has ended. Errors: not found.
    fn begin(&self, id: JobId, node: String, lease: Option<u64>, now: u64) -> Pending<Option<u32>>;
    /// The attempt is over and there is to be another, not before a time; `false`: it is not the present one. Errors: not found.
    fn put_back(&self, id: JobId, attempt: u32, not_before: u64, why: String, now: u64) -> Pending<bool>;
    /// The attempt was not made after all, and does not count; `false`: it is not the present one. Errors: not found.
    fn undo(&self, id: JobId, attempt: u32) -> Pending<bool>;
    /// The job's end, if it has none and this is its present attempt. Errors: not found, too large.
    fn end(&self, id: JobId, exit: NewExit) -> Pending<Ended>;
    /// It is to end, also after a restart; `false`: it has ended. Errors: not found.
    fn cancel(&self, id: JobId, reason: String) -> Pending<bool>;
    /// Its exit has been taken: nothing of it is kept any more. Errors: not found (also while it has not ended).
    fn acknowledge(&self, id: JobId) -> Pending<()>;
    /// What it said: kind, time, bytes, each with the next sequence number from 1. Gives the number after the last. May be lost in a
    /// crash until the next other change. Errors: not found, too large.
    fn append(&self, id: JobId, events: Vec<(u8, u64, Bytes)>) -> Pending<u64>;
    /// Forgets some of the jobs that ended before a time, oldest first; how many. To be called again until it gives 0.
    fn sweep(&self, before: u64) -> Pending<usize>;

    fn get(&self, id: JobId) -> Result<Option<JobView>, Error>;
    /// Spec and arguments.
    fn body(&self, id: JobId) -> Result<Option<(Bytes, Bytes)>, Error>;
    /// Its spec alone.
    fn spec(&self, id: JobId) -> Result<Option<Bytes>, Error>;
    /// Tells each spec of jobs that have not ended: whose it is, and of how many of these.
    fn specs(&self, each: &mut dyn FnMut(&str, &[u8], u64)) -> Result<(), Error>;
    /// The exit and its value; `None` while it has not ended.
    fn result(&self, id: JobId) -> Result<Option<(Exit, Bytes)>, Error>;
    /// A tenant's jobs in order of their ids, at most [`limits::PAGE`].
    fn list(&self, tenant: &str, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error>;
    /// All tenants' jobs that have not ended: what a home goes on with when it starts.
    fn unfinished(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error>;
    /// The one of them with the highest id.
    fn last_unfinished(&self) -> Result<Option<JobId>, Error>;
    /// All tenants' jobs that ended last, the latest first.
    fn ended(&self, limit: usize) -> Result<Vec<JobView>, Error>;
    /// A tenant's job by the beginning of its id.
    fn find(&self, tenant: &str, prefix: &str) -> Result<Found, FindError>;
    /// What a job said from a number on, at most [`limits::PAGE`]; `None`: no such job.
    fn events(&self, id: JobId, from: u64, limit: usize) -> Result<Option<Events>, Error>;
    /// What a tenant has, or all together (the empty name).
    fn usage(&self, tenant: &str) -> Result<Usage, Error>;
}

/// A journal in one file.
pub struct Store {
    shared: Arc<Shared>,
    quotas: Quotas,
    writer: Writer,
}

impl Default for Quotas {
    /// 16 GiB, of which one tenant may take half.
    fn default() -> Quotas {
        Quotas { bytes: 16 << 30, tenant_bytes: 8 << 30 }
    }
}

impl Store {
    /// The journal in this file, made where there is none. A file that was not closed is brought to its latest commit; one that
    /// is damaged, or not ours, is left as it is. All of it is read once. Errors: damaged, foreign, version, locked, full, io.
    pub fn open(path: impl Into<PathBuf>, quotas: Quotas) -> Result<Store, Error> {
        let path = path.into();
        let file = path.clone();
        Store::with(path, quotas, Box::new(move |again| open_file(&file, again)))
    }

    fn with(path: PathBuf, quotas: Quotas, opens: Opens) -> Result<Store, Error> {
        let database = opens(Again::No)?;
        tables::check(&database, &path)?;
        let shared = Arc::new(Shared { database: RwLock::new(Some(database)), path });
        let writer = Writer::start(Arc::clone(&shared), opens)?;
        Ok(Store { shared, quotas, writer })
    }

    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

fn open_file(path: &Path, again: Again) -> Result<Database, Error> {
    let mut builder = Database::builder();
    // A page that was changed behind our back is found here and not in the middle of something.
    builder.set_check_integrity_on_open(true).set_cache_size(limits::CACHE_BYTES);
    // Something else is not to become a store by being empty enough.
    let is_file = std::fs::symlink_metadata(path).map(|metadata| metadata.is_file());
    match is_file {
        Ok(false) => return Err(Error::Foreign { path: path.to_owned() }),
        Ok(true) => {}
        // What jobs were given and gave is for the node's user alone, whatever the directory is.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && again == Again::No => {
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            made.map_err(|error| Error::io(path, &error))?;
        }
        // One that is gone is not to be followed by an empty one.
        Err(error) => return Err(Error::io(path, &error)),
    }
    let opened = match again {
        Again::No => builder.create(path),
        Again::Yes => builder.open(path),
    };
    opened.map_err(|error| Error::of(path, error))
}

impl Journal for Store {
    fn accept(&self, job: NewJob) -> Pending<Accepted> {
        let quotas = self.quotas;
        self.writer.change(true, move |tables| changes::accept(tables, &quotas, job))
    }

    fn begin(&self, id: JobId, node: String, lease: Option<u64>, now: u64) -> Pending<Option<u32>> {
        self.writer.change(true, move |tables| changes::begin(tables, id, node, lease, now))
    }

    fn put_back(&self, id: JobId, attempt: u32, not_before: u64, why: String, now: u64) -> Pending<bool> {
        self.writer.change(true, move |tables| changes::put_back(tables, id, attempt, (not_before, why), now))
    }

    fn undo(&self, id: JobId, attempt: u32) -> Pending<bool> {
        self.writer.change(true, move |tables| changes::undo(tables, id, attempt))
    }

    fn end(&self, id: JobId, exit: NewExit) -> Pending<Ended> {
        let quotas = self.quotas;
        self.writer.change(true, move |tables| changes::end(tables, &quotas, id, exit))
    }

    fn cancel(&self, id: JobId, reason: String) -> Pending<bool> {
        self.writer.change(true, move |tables| changes::cancel(tables, id, reason))
    }

    fn acknowledge(&self, id: JobId) -> Pending<()> {
        self.writer.change(true, move |tables| changes::acknowledge(tables, id))
    }

    fn append(&self, id: JobId, events: Vec<(u8, u64, Bytes)>) -> Pending<u64> {
        let quotas = self.quotas;
        self.writer.change(false, move |tables| changes::append(tables, &quotas, id, &events))
    }

    fn sweep(&self, before: u64) -> Pending<usize> {
        self.writer.change(true, move |tables| changes::sweep(tables, before))
    }

    fn get(&self, id: JobId) -> Result<Option<JobView>, Error> {
        read::get(&self.shared, id)
    }

    fn body(&self, id: JobId) -> Result<Option<(Bytes, Bytes)>, Error> {
        read::body(&self.shared, id)
    }

    fn spec(&self, id: JobId) -> Result<Option<Bytes>, Error> {
        read::spec(&self.shared, id)
    }

    fn specs(&self, each: &mut dyn FnMut(&str, &[u8], u64)) -> Result<(), Error> {
        read::specs(&self.shared, each)
    }

    fn result(&self, id: JobId) -> Result<Option<(Exit, Bytes)>, Error> {
        read::result(&self.shared, id)
    }

    fn list(&self, tenant: &str, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error> {
        read::list(&self.shared, tenant, after, limit)
    }

    fn unfinished(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error> {
        read::unfinished(&self.shared, after, limit)
    }

    fn ended(&self, limit: usize) -> Result<Vec<JobView>, Error> {
        read::ended(&self.shared, limit)
    }

    fn last_unfinished(&self) -> Result<Option<JobId>, Error> {
        read::last_unfinished(&self.shared)
    }

    fn find(&self, tenant: &str, prefix: &str) -> Result<Found, FindError> {
        read::find(&self.shared, tenant, prefix)
    }

    fn events(&self, id: JobId, from: u64, limit: usize) -> Result<Option<Events>, Error> {
        read::events(&self.shared, id, from, limit)
    }

    fn usage(&self, tenant: &str) -> Result<Usage, Error> {
        read::usage(&self.shared, tenant)
    }
}

#[cfg(test)]
mod tests;
