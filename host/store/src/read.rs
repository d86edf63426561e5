//! What is read: of the latest commit, on the caller's thread, without waiting for the writer.

use crate::job::{Event, Events, Exit, Found, JobView, State, Usage};
use crate::tables::{ARGUMENTS, ENDED, EVENTS, Fault, JOBS, MARKS, OPEN, Row, SPECS, TENANTS, USAGE, VALUES};
use crate::writer::Shared;
use crate::{Error, JobId, Malformed, limits};
use bytes::Bytes;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

/// Runs a question on a snapshot.
fn ask<T>(shared: &Shared, question: impl FnOnce(&ReadTransaction) -> Result<T, Fault>) -> Result<T, Error> {
    let database = shared.database.read();
    let why = "it could not be written, and is opened again with the next write".to_owned();
    let database = database.as_ref().ok_or_else(|| Error::Io { path: shared.path.clone(), why })?;
    let answer = database.begin_read().map_err(Fault::from).and_then(|transaction| question(&transaction));
    answer.map_err(|fault| Error::of(&shared.path, *fault.0))
}

pub(crate) fn get(shared: &Shared, id: JobId) -> Result<Option<JobView>, Error> {
    ask(shared, |transaction| Ok(row(transaction, id)?.map(|row| row.view(id))))
}

fn row(transaction: &ReadTransaction, id: JobId) -> Result<Option<Row>, Fault> {
    let jobs = transaction.open_table(JOBS)?;
    jobs.get(id.0)?.map(|row| Row::read(row.value())).transpose()
}

/// Spec and arguments.
pub(crate) fn body(shared: &Shared, id: JobId) -> Result<Option<(Bytes, Bytes)>, Error> {
    ask(shared, |transaction| {
        let Some(row) = row(transaction, id)? else { return Ok(None) };
        let arguments = transaction.open_table(ARGUMENTS)?;
        let arguments = arguments.get(id.0)?.map(|bytes| Bytes::copy_from_slice(bytes.value()));
        Ok(spec_of(transaction, &row)?.zip(arguments))
    })
}

pub(crate) fn spec(shared: &Shared, id: JobId) -> Result<Option<Bytes>, Error> {
    ask(shared, |transaction| match row(transaction, id)? {
        Some(row) => spec_of(transaction, &row),
        None => Ok(None),
    })
}

fn spec_of(transaction: &ReadTransaction, row: &Row) -> Result<Option<Bytes>, Fault> {
    let specs = transaction.open_table(SPECS)?;
    Ok(specs.get((&row.tenant[..], &row.spec[..]))?.map(|found| Bytes::copy_from_slice(found.value().2)))
}

pub(crate) fn specs(shared: &Shared, each: &mut dyn FnMut(&str, &[u8], u64)) -> Result<(), Error> {
    ask(shared, |transaction| {
        for found in transaction.open_table(SPECS)?.range::<(&str, &[u8])>(..)? {
            let (key, value) = found?;
            let (_, open, spec) = value.value();
            if open > 0 {
                each(key.value().0, spec, open);
            }
        }
        Ok(())
    })
}

pub(crate) fn result(shared: &Shared, id: JobId) -> Result<Option<(Exit, Bytes)>, Error> {
    ask(shared, |transaction| {
        let Some(Row { state: State::Ended(exit), .. }) = row(transaction, id)? else { return Ok(None) };
        let values = transaction.open_table(VALUES)?;
        let value = values.get(id.0)?.map(|value| Bytes::copy_from_slice(value.value()));
        Ok(Some((exit, value.unwrap_or_default())))
    })
}

pub(crate) fn list(shared: &Shared, tenant: &str, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error> {
    page(shared, after, |transaction, first| {
        let tenants = transaction.open_table(TENANTS)?;
        let found = tenants.range((tenant, first)..=(tenant, u128::MAX))?.take(limit.min(limits::PAGE));
        Ok(found.map(|key| Ok(JobId(key?.0.value().1))).collect::<Result<_, redb::StorageError>>()?)
    })
}

pub(crate) fn unfinished(shared: &Shared, after: Option<JobId>, limit: usize) -> Result<Vec<JobView>, Error> {
    page(shared, after, |transaction, first| {
        let found = transaction.open_table(OPEN)?.range(first..)?.take(limit.min(limits::PAGE));
        Ok(found.map(|key| Ok(JobId(key?.0.value()))).collect::<Result<_, redb::StorageError>>()?)
    })
}

pub(crate) fn ended(shared: &Shared, limit: usize) -> Result<Vec<JobView>, Error> {
    page(shared, None, |transaction, _| {
        let found = transaction.open_table(ENDED)?.range::<(u64, u128)>(..)?.rev().take(limit.min(limits::PAGE));
        Ok(found.map(|key| Ok(JobId(key?.0.value().1))).collect::<Result<_, redb::StorageError>>()?)
    })
}

pub(crate) fn last_unfinished(shared: &Shared) -> Result<Option<JobId>, Error> {
    ask(shared, |transaction| {
        let open = transaction.open_table(OPEN)?;
        let last = open.last()?.map(|(id, _)| JobId(id.value()));
        Ok(last)
    })
}

/// The jobs that are found from the one after this on.
fn page(
    shared: &Shared,
    after: Option<JobId>,
    found: impl FnOnce(&ReadTransaction, u128) -> Result<Vec<JobId>, Fault>,
) -> Result<Vec<JobView>, Error> {
    let Some(first) = after.map_or(Some(0), |after| after.0.checked_add(1)) else { return Ok(Vec::new()) };
    ask(shared, |transaction| {
        let mut all = Vec::new();
        for id in found(transaction, first)? {
            all.extend(row(transaction, id)?.map(|row| row.view(id)));
        }
        Ok(all)
    })
}

pub(crate) fn find(shared: &Shared, tenant: &str, prefix: &str) -> Result<Found, FindError> {
    let range = JobId::with_prefix(prefix)?;
    let found = ask(shared, |transaction| {
        let tenants = transaction.open_table(TENANTS)?;
        let found = tenants.range((tenant, range.start().0)..=(tenant, range.end().0))?;
        let found = found.take(limits::FOUND).map(|key| Ok(JobId(key?.0.value().1)));
        Ok(found.collect::<Result<Vec<JobId>, redb::StorageError>>()?)
    })?;
    Ok(match found[..] {
        [] => Found::None,
        [one] => Found::One(one),
        _ => Found::Many(found),
    })
}

pub(crate) fn events(shared: &Shared, id: JobId, from: u64, limit: usize) -> Result<Option<Events>, Error> {
    let from = from.max(1);
    ask(shared, |transaction| {
        let Some(row) = row(transaction, id)? else { return Ok(None) };
        let marks = transaction.open_table(MARKS)?;
        let (first, end, _) = marks.get(id.0)?.map_or((1, 1, 0), |marks| marks.value());
        let gap = (from < first).then(|| (from, first - 1));
        let begin = from.max(first);
        let mut page = Events { gap, next: begin, ..Events::default() };
        let kept = transaction.open_table(EVENTS)?;
        for event in kept.range((id.0, begin)..(id.0, end.max(begin)))?.take(limit.min(limits::PAGE)) {
            let (key, value) = event?;
            let (sequence, (kind, at, bytes)) = (key.value().1, value.value());
            page.events.push(Event { sequence, kind, at, bytes: Bytes::copy_from_slice(bytes) });
            page.next = sequence + 1;
        }
        page.over = page.next >= end && matches!(row.state, State::Ended(_));
        Ok(Some(page))
    })
}

pub(crate) fn usage(shared: &Shared, tenant: &str) -> Result<Usage, Error> {
    ask(shared, |transaction| {
        let usage = transaction.open_table(USAGE)?;
        let (jobs, bytes) = usage.get(tenant)?.map_or((0, 0), |usage| usage.value());
        Ok(Usage { jobs, bytes })
    })
}

/// Why a job is not found by the beginning of its id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Store(#[from] Error),
}
