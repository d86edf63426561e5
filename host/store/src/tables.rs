//! The tables, their keys and rows, and what each job costs in bytes. All of them change in one transaction or none.

use crate::job::{Attempt, JobView, State, Usage};
use crate::{Error, JobId};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::path::Path;

/// Raised whenever an older version could not read what this one writes.
pub(crate) const FORMAT: u64 = 1;
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(crate) const JOBS: TableDefinition<u128, &[u8]> = TableDefinition::new("jobs");
/// What is to be run, once for all of a tenant's jobs that say the same: by its digest, with how many of them are kept, and how many of
/// these have not ended.
pub(crate) const SPECS: TableDefinition<SpecKey, SpecRow> = TableDefinition::new("specs");
pub(crate) const ARGUMENTS: TableDefinition<u128, &[u8]> = TableDefinition::new("arguments");
pub(crate) const VALUES: TableDefinition<u128, &[u8]> = TableDefinition::new("values");
/// By tenant and idempotency key.
pub(crate) const KEYS: TableDefinition<(&str, &str), u128> = TableDefinition::new("keys");
pub(crate) const TENANTS: TableDefinition<(&str, u128), ()> = TableDefinition::new("tenants");
/// Jobs that have not ended.
pub(crate) const OPEN: TableDefinition<u128, ()> = TableDefinition::new("open");
/// Those that have, by when.
pub(crate) const ENDED: TableDefinition<(u64, u128), ()> = TableDefinition::new("ended");
/// Kind, time, bytes.
pub(crate) const EVENTS: TableDefinition<(u128, u64), (u8, u64, &[u8])> = TableDefinition::new("events");
/// A job's first event that is kept, its next one, and what those kept cost.
pub(crate) const MARKS: TableDefinition<u128, (u64, u64, u64)> = TableDefinition::new("marks");
/// Jobs and bytes of a tenant; of all under the empty name.
pub(crate) const USAGE: TableDefinition<&str, (u64, u64)> = TableDefinition::new("usage");
/// Of the whole store in [`USAGE`].
pub(crate) const ALL: &str = "";

type SpecKey = (&'static str, &'static [u8]);
type SpecRow = (u64, u64, &'static [u8]);

/// A job's row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(rename = "t")]
    pub tenant: String,
    #[serde(rename = "c")]
    pub computation: u64,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of what makes it the same job under its key.
    #[serde(rename = "d")]
    pub digest: ByteBuf,
    /// Of the spec, which is kept under it.
    #[serde(rename = "p")]
    pub spec: ByteBuf,
    #[serde(rename = "a")]
    pub accepted: u64,
    #[serde(rename = "s")]
    pub state: State,
    #[serde(rename = "n", default)]
    pub attempts: u32,
    #[serde(rename = "h", default)]
    pub history: Vec<Attempt>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// What it takes of the quotas without its events; until its end with what is set aside for that.
    #[serde(rename = "b")]
    pub cost: u64,
    /// Of that, what is set aside.
    #[serde(rename = "r")]
    pub reserve: u64,
}

/// All tables of one transaction.
pub(crate) struct Tables<'t> {
    pub jobs: Table<'t, u128, &'static [u8]>,
    specs: Table<'t, SpecKey, SpecRow>,
    pub arguments: Table<'t, u128, &'static [u8]>,
    pub values: Table<'t, u128, &'static [u8]>,
    pub keys: Table<'t, (&'static str, &'static str), u128>,
    pub tenants: Table<'t, (&'static str, u128), ()>,
    pub open: Table<'t, u128, ()>,
    pub ended: Table<'t, (u64, u128), ()>,
    pub events: Table<'t, (u128, u64), (u8, u64, &'static [u8])>,
    pub marks: Table<'t, u128, (u64, u64, u64)>,
    usage: Table<'t, &'static str, (u64, u64)>,
}

/// A failure of the disk or of the file: the whole transaction is dropped.
#[derive(Debug)]
pub(crate) struct Fault(pub Box<redb::Error>);

/// Why a change is not made.
pub(crate) enum Stop {
    /// It alone is refused, before it has written anything.
    Refused(Error),
    /// Nothing of its transaction is kept.
    Fault(Fault),
}

/// redb has an error for each kind of operation.
macro_rules! faults {
    ($($kind:ident),*) => {
        $(impl From<redb::$kind> for Fault {
            fn from(error: redb::$kind) -> Fault {
                Fault(Box::new(error.into()))
            }
        }

        impl From<redb::$kind> for Stop {
            fn from(error: redb::$kind) -> Stop {
                Stop::Fault(error.into())
            }
        })*
    };
}

faults!(Error, StorageError, TableError, TransactionError, CommitError, SetDurabilityError);

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(refused: Error) -> Stop {
        Stop::Refused(refused)
    }
}

impl<'t> Tables<'t> {
    pub fn open(transaction: &'t WriteTransaction) -> Result<Tables<'t>, Fault> {
        Ok(Tables {
            jobs: transaction.open_table(JOBS)?,
            specs: transaction.open_table(SPECS)?,
            arguments: transaction.open_table(ARGUMENTS)?,
            values: transaction.open_table(VALUES)?,
            keys: transaction.open_table(KEYS)?,
            tenants: transaction.open_table(TENANTS)?,
            open: transaction.open_table(OPEN)?,
            ended: transaction.open_table(ENDED)?,
            events: transaction.open_table(EVENTS)?,
            marks: transaction.open_table(MARKS)?,
            usage: transaction.open_table(USAGE)?,
        })
    }

    pub fn row(&self, id: JobId) -> Result<Option<Row>, Fault> {
        self.jobs.get(id.0)?.map(|row| Row::read(row.value())).transpose()
    }

    pub fn set(&mut self, id: JobId, row: &Row) -> Result<(), Fault> {
        self.jobs.insert(id.0, &row.write()?[..])?;
        Ok(())
    }

    /// One more job of this tenant has this spec.
    pub fn add_spec(&mut self, tenant: &str, digest: &[u8], spec: &[u8]) -> Result<(), Fault> {
        let known = self.specs.get((tenant, digest))?.map(|known| (known.value().0, known.value().1));
        let (kept, open) = known.unwrap_or_default();
        self.specs.insert((tenant, digest), (kept + 1, open + 1, spec))?;
        Ok(())
    }

    /// One of them has ended, or is not kept any more.
    pub fn release_spec(&mut self, tenant: &str, digest: &[u8], (kept, open): (u64, u64)) -> Result<(), Fault> {
        let known = self.specs.get((tenant, digest))?.map(|known| {
            let (all, unfinished, spec) = known.value();
            (all.saturating_sub(kept), unfinished.saturating_sub(open), spec.to_vec())
        });
        match known {
            None => {}
            Some((0, ..)) => drop(self.specs.remove((tenant, digest))?),
            Some((kept, open, spec)) => drop(self.specs.insert((tenant, digest), (kept, open, &spec[..]))?),
        }
        Ok(())
    }

    pub fn usage(&self, tenant: &str) -> Result<Usage, Fault> {
        let known = self.usage.get(tenant)?.map(|usage| usage.value()).unwrap_or_default();
        Ok(Usage { jobs: known.0, bytes: known.1 })
    }

    /// So many jobs and bytes more or fewer, for a tenant and for all.
    pub fn charge(&mut self, tenant: &str, jobs: i64, bytes: i64) -> Result<(), Fault> {
        for name in [tenant, ALL] {
            let Usage { jobs: old_jobs, bytes: old_bytes } = self.usage(name)?;
            let now = (old_jobs.saturating_add_signed(jobs), old_bytes.saturating_add_signed(bytes));
            match now {
                (0, 0) => drop(self.usage.remove(name)?),
                now => drop(self.usage.insert(name, now)?),
            }
        }
        Ok(())
    }
}

impl Row {
    pub fn read(bytes: &[u8]) -> Result<Row, Fault> {
        let corrupt = |error| redb::Error::Corrupted(format!("a job's row: {error}"));
        Ok(ciborium::from_reader(bytes).map_err(corrupt)?)
    }

    fn write(&self) -> Result<Vec<u8>, Fault> {
        let corrupt = |error| redb::Error::Corrupted(format!("a job's row cannot be written: {error}"));
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(corrupt)?;
        Ok(bytes)
    }

    pub fn view(self, id: JobId) -> JobView {
        let Row { tenant, computation, key, accepted, state, attempts, history, cancelled, .. } = self;
        JobView { id, tenant, computation, key, accepted, state, attempts, history, cancelled }
    }
}

/// Whether a file that is open is one of ours, and of a format that we know; makes it one where it is new.
pub(crate) fn check(database: &redb::Database, path: &Path) -> Result<(), Error> {
    match format(database).map_err(|fault| Error::of(path, *fault.0))? {
        None => Err(Error::Foreign { path: path.to_owned() }),
        Some(FORMAT) => Ok(()),
        Some(found) => Err(Error::Version { path: path.to_owned(), found, known: FORMAT }),
    }
}

/// Its format; of one that is empty ours, with all tables. `None`: others' tables are in it. Only a file of ours is changed.
fn format(database: &redb::Database) -> Result<Option<u64>, Fault> {
    let transaction = database.begin_write()?;
    let is_new = transaction.list_tables()?.next().is_none();
    let known = {
        let mut meta = transaction.open_table(META)?;
        if is_new {
            meta.insert("format", FORMAT)?;
        }
        meta.get("format")?.map(|format| format.value())
    };
    if known == Some(FORMAT) {
        drop(Tables::open(&transaction)?);
        transaction.commit()?;
    }
    Ok(known)
}
