//! What changes the store, one function each. Every one looks at everything that may refuse it before it writes anything.

use crate::job::{Accepted, Attempt, Ended, Exit, NewExit, NewJob, State};
use crate::tables::{ALL, Row, Stop, Tables};
use crate::{Error, JobId, Quotas, limits};
use bytes::Bytes;
use redb::ReadableTable;
use serde_bytes::ByteBuf;

pub(crate) type Change<T> = Result<T, Stop>;

pub(crate) fn accept(tables: &mut Tables<'_>, quotas: &Quotas, job: NewJob) -> Change<Accepted> {
    let body = job.spec.len() + job.args.len();
    check("spec and arguments", body, limits::BODY_BYTES)?;
    check("the tenant's name", job.tenant.len(), limits::NAME_BYTES)?;
    check("the idempotency key", job.key.as_ref().map_or(0, String::len), limits::NAME_BYTES)?;
    check("what is set aside for the value", job.reserve as usize, limits::VALUE_BYTES)?;
    if job.tenant.is_empty() {
        return Err(Error::NoTenant.into());
    }
    let spec = blake3::hash(&job.spec);
    if let Some(key) = &job.key
        && let Some(known) = tables.keys.get((&job.tenant[..], &key[..]))?.map(|id| JobId(id.value()))
    {
        let same = tables.row(known)?.is_some_and(|row| row.digest == job.digest);
        return match same {
            true => Ok(Accepted::Known(known)),
            false => Err(Error::KeyReused { key: key.clone(), job: known }.into()),
        };
    }
    if tables.row(job.id)?.is_some() {
        return Err(Error::Duplicate(job.id).into());
    }
    let reserve = limits::EXIT_RESERVE + job.reserve;
    let names = job.tenant.len() + 2 * job.key.as_ref().map_or(0, String::len);
    let cost = limits::JOB_COST + (body + names) as u64 + reserve;
    check_room(tables, quotas, &job.tenant, cost)?;
    let row = Row {
        tenant: job.tenant,
        computation: job.computation,
        key: job.key,
        digest: ByteBuf::from(job.digest),
        spec: ByteBuf::from(*spec.as_bytes()),
        accepted: job.now,
        state: State::Waiting { not_before: 0 },
        attempts: 0,
        history: Vec::new(),
        cancelled: None,
        cost,
        reserve,
    };
    tables.set(job.id, &row)?;
    tables.add_spec(&row.tenant, &row.spec, &job.spec)?;
    tables.arguments.insert(job.id.0, &job.args[..])?;
    tables.open.insert(job.id.0, ())?;
    tables.tenants.insert((&row.tenant[..], job.id.0), ())?;
    if let Some(key) = &row.key {
        tables.keys.insert((&row.tenant[..], &key[..]), job.id.0)?;
    }
    tables.charge(&row.tenant, 1, cost as i64)?;
    Ok(Accepted::New)
}

/// Gives the attempt's number; `None`: the job has ended, or runs already.
pub(crate) fn begin(
    tables: &mut Tables<'_>,
    id: JobId,
    node: String,
    lease: Option<u64>,
    now: u64,
) -> Change<Option<u32>> {
    let mut row = kept(tables, id)?;
    check("the node's name", node.len(), limits::NAME_BYTES)?;
    if !matches!(row.state, State::Waiting { .. }) {
        return Ok(None);
    }
    row.attempts = row.attempts.saturating_add(1);
    let attempt = row.attempts;
    row.history.push(Attempt { number: attempt, node: node.clone(), since: now, over: None });
    let old = row.history.len().saturating_sub(limits::ATTEMPTS_KEPT);
    row.history.drain(..old);
    row.state = State::Running { attempt, node, since: now, lease };
    tables.set(id, &row)?;
    Ok(Some(attempt))
}

/// The present attempt is over, and there is to be another; `false`: it is not the present one.
pub(crate) fn put_back(
    tables: &mut Tables<'_>,
    id: JobId,
    attempt: u32,
    (not_before, why): (u64, String),
    now: u64,
) -> Change<bool> {
    let mut row = kept(tables, id)?;
    check("the reason", why.len(), limits::TEXT_BYTES)?;
    if !matches!(row.state, State::Running { attempt: present, .. } if present == attempt) {
        return Ok(false);
    }
    if let Some(latest) = row.history.last_mut() {
        latest.over = Some((now, why));
    }
    row.state = State::Waiting { not_before };
    tables.set(id, &row)?;
    Ok(true)
}

pub(crate) fn undo(tables: &mut Tables<'_>, id: JobId, attempt: u32) -> Change<bool> {
    let mut row = kept(tables, id)?;
    if !matches!(row.state, State::Running { attempt: present, .. } if present == attempt) {
        return Ok(false);
    }
    row.attempts = row.attempts.saturating_sub(1);
    row.history.pop();
    row.state = State::Waiting { not_before: 0 };
    tables.set(id, &row)?;
    Ok(true)
}

pub(crate) fn end(tables: &mut Tables<'_>, quotas: &Quotas, id: JobId, exit: NewExit) -> Change<Ended> {
    let mut row = kept(tables, id)?;
    check("the exit record", exit.record.len() + exit.outcome.len(), limits::EXIT_BYTES)?;
    check("the value", exit.value.len(), limits::VALUE_BYTES)?;
    let present = match &row.state {
        State::Ended(_) => return Ok(Ended::Superseded),
        State::Running { attempt, .. } => *attempt,
        State::Waiting { .. } => 0,
    };
    // One that was ended without an attempt ends whatever it was doing.
    if exit.attempt != present && exit.attempt != 0 {
        return Ok(Ended::Superseded);
    }
    let record = (exit.record.len() + exit.outcome.len()) as u64;
    let whole = record + exit.value.len() as u64;
    let more = whole.saturating_sub(row.reserve);
    let dropped = more > 0 && more as i64 > free(tables, quotas, &row.tenant)?;
    let taken = if dropped { record } else { whole };
    let change = taken as i64 - row.reserve as i64;
    row.cost = row.cost.saturating_add_signed(change);
    row.reserve = 0;
    if let Some(latest) = row.history.last_mut().filter(|latest| latest.number == exit.attempt) {
        latest.over = Some((exit.now, exit.outcome.clone()));
    }
    let value = exit.value.len() as u64;
    let (at, attempt, outcome, record) = (exit.now, exit.attempt, exit.outcome, exit.record.to_vec());
    row.state = State::Ended(Exit { at, attempt, outcome, record, value, dropped });
    tables.set(id, &row)?;
    if !dropped && !exit.value.is_empty() {
        tables.values.insert(id.0, &exit.value[..])?;
    }
    tables.open.remove(id.0)?;
    tables.release_spec(&row.tenant, &row.spec, (0, 1))?;
    tables.ended.insert((at, id.0), ())?;
    tables.charge(&row.tenant, 0, change)?;
    Ok(Ended::First)
}

/// Somebody wants it to end; `false`: it has ended.
pub(crate) fn cancel(tables: &mut Tables<'_>, id: JobId, reason: String) -> Change<bool> {
    let mut row = kept(tables, id)?;
    check("the reason", reason.len(), limits::TEXT_BYTES)?;
    if matches!(row.state, State::Ended(_)) {
        return Ok(false);
    }
    // The first counts.
    row.cancelled.get_or_insert(reason);
    tables.set(id, &row)?;
    Ok(true)
}

/// Whoever wanted its exit has it: all of it goes.
pub(crate) fn acknowledge(tables: &mut Tables<'_>, id: JobId) -> Change<()> {
    match tables.row(id)? {
        Some(row) if matches!(row.state, State::Ended(_)) => remove(tables, id, &row),
        _ => Err(Error::NotFound(id).into()),
    }
}

/// Removes jobs that ended before this time, the oldest first, and not too many; how many those were.
pub(crate) fn sweep(tables: &mut Tables<'_>, before: u64) -> Change<usize> {
    let old = tables.ended.range(..(before, 0))?.take(limits::SWEEP);
    let old = old.map(|key| Ok(JobId(key?.0.value().1))).collect::<Result<Vec<JobId>, redb::StorageError>>()?;
    for id in &old {
        if let Some(row) = tables.row(*id)? {
            remove(tables, *id, &row)?;
        }
    }
    Ok(old.len())
}

/// Keeps what a job said; what is too much of it, or for the quotas, is a gap at its beginning.
pub(crate) fn append(tables: &mut Tables<'_>, quotas: &Quotas, id: JobId, events: &[(u8, u64, Bytes)]) -> Change<u64> {
    let row = kept(tables, id)?;
    let largest = events.iter().map(|(.., bytes)| bytes.len()).max().unwrap_or_default();
    check("an event", largest, limits::EVENT_BYTES)?;
    let known = tables.marks.get(id.0)?.map(|marks| marks.value());
    let (mut first, mut next, before) = known.unwrap_or((1, 1, 0));
    let (mut bytes, free) = (before, free(tables, quotas, &row.tenant)?);
    for (kind, at, said) in events {
        let cost = limits::EVENT_COST + said.len() as u64;
        let fits = |bytes: u64| (bytes + cost).saturating_sub(before) as i64 <= free;
        while first < next && (bytes + cost > limits::EVENTS_BYTES || !fits(bytes)) {
            bytes -= drop_event(tables, id, first)?;
            first += 1;
        }
        if fits(bytes) {
            tables.events.insert((id.0, next), (*kind, *at, &said[..]))?;
            bytes += cost;
        } else {
            // Nothing of it is kept, so this is a gap up to here.
            first = next + 1;
        }
        next += 1;
    }
    tables.marks.insert(id.0, (first, next, bytes))?;
    tables.charge(&row.tenant, 0, bytes as i64 - before as i64)?;
    Ok(next)
}

/// What it took.
fn drop_event(tables: &mut Tables<'_>, id: JobId, sequence: u64) -> Change<u64> {
    let dropped = tables.events.remove((id.0, sequence))?;
    Ok(dropped.map_or(0, |event| limits::EVENT_COST + event.value().2.len() as u64))
}

fn remove(tables: &mut Tables<'_>, id: JobId, row: &Row) -> Change<()> {
    let marks = tables.marks.remove(id.0)?.map(|marks| marks.value());
    let (first, next, said) = marks.unwrap_or((1, 1, 0));
    for sequence in first..next {
        drop_event(tables, id, sequence)?;
    }
    tables.jobs.remove(id.0)?;
    tables.arguments.remove(id.0)?;
    tables.release_spec(&row.tenant, &row.spec, (1, 0))?;
    tables.values.remove(id.0)?;
    tables.tenants.remove((&row.tenant[..], id.0))?;
    if let State::Ended(exit) = &row.state {
        tables.ended.remove((exit.at, id.0))?;
    }
    if let Some(key) = &row.key {
        tables.keys.remove((&row.tenant[..], &key[..]))?;
    }
    Ok(tables.charge(&row.tenant, -1, -((row.cost + said) as i64))?)
}

fn kept(tables: &Tables<'_>, id: JobId) -> Change<Row> {
    tables.row(id)?.ok_or_else(|| Error::NotFound(id).into())
}

/// Whether so many bytes more are within the quotas.
fn check_room(tables: &Tables<'_>, quotas: &Quotas, tenant: &str, wanted: u64) -> Change<()> {
    for (name, limit) in quotas_of(quotas, tenant) {
        let used = tables.usage(name)?.bytes;
        if used.saturating_add(wanted) > limit {
            let scope = if name == ALL { "this node".to_owned() } else { format!("tenant {name}") };
            return Err(Error::Quota { scope, used, limit, wanted }.into());
        }
    }
    Ok(())
}

/// Bytes that are left of the quotas; below 0 where these have become less than what is kept.
fn free(tables: &Tables<'_>, quotas: &Quotas, tenant: &str) -> Change<i64> {
    let mut least = i64::MAX;
    for (name, limit) in quotas_of(quotas, tenant) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        least = least.min(signed(limit) - signed(tables.usage(name)?.bytes));
    }
    Ok(least)
}

fn quotas_of<'t>(quotas: &Quotas, tenant: &'t str) -> [(&'t str, u64); 2] {
    [(ALL, quotas.bytes), (tenant, quotas.tenant_bytes)]
}

fn check(what: &'static str, size: usize, max: usize) -> Result<(), Error> {
    if size > max { Err(Error::TooLarge { what, size, max }) } else { Ok(()) }
}
