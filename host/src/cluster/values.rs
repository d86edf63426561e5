//! Values that do not fit the frame of an end: kept on their node for whoever joins there, which fetches them in parts. So a join
//! gives the same wherever it is made.

use super::link::Session;
use super::receive;
use super::remote::{Monitoring, To};
use crate::runtime::ports::{End, EndFollower, Pending};
use crate::runtime::{Refusal, Runtime, Tenant};
use bytes::{Buf, Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::call::Call;
use corovan_core::link::frame::Header;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::{ExitRecord, Outcome};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Flag of the call that begins a monitor: the value is wanted, however large it is.
pub(super) const WHOLE: u8 = 1;

/// Tells an end under a monitor that is still wanted. What does not fit is kept for one who wants it, until that gives up the
/// monitor or the session ends.
pub(super) fn tell(
    session: &Arc<Session>,
    (monitor, tenant): (&Header, &Arc<Tenant>),
    record: &Arc<ExitRecord>,
    flags: u8,
) {
    if keep(session, monitor, tenant, record) || session.unwatch(monitor.call) {
        receive::tell(session, monitor, record, flags);
    }
}

fn keep(session: &Session, monitor: &Header, tenant: &Arc<Tenant>, record: &ExitRecord) -> bool {
    let Some(value) = record.outcome.value().filter(|_| monitor.flags & WHOLE != 0) else { return false };
    if value.is_empty() || (value.len() <= limits::EXIT_VALUE_BYTES && !session.is_jammed(&receive::exit(monitor))) {
        return false;
    }
    // Where the tenant has no room for it, it may still be found as long as the record is kept.
    let held = tenant.ledger.take(Resource::Held, value.len() as u64);
    held.is_ok_and(|held| session.keep_value(monitor.call, value.clone(), held))
}

/// A part of a value of an end that was told. Errors: expired, denied.
pub(super) fn part(
    runtime: &Runtime,
    session: &Session,
    (tenant, of): (&Arc<Tenant>, &Address),
    (monitor, offset): (u64, u64),
) -> Result<Bytes, Refusal> {
    let value = match session.value(monitor) {
        Some(value) => value,
        None => runtime.value_of(tenant, of)?,
    };
    Ok(part_of(&value, offset))
}

/// A part of the arguments of a job that the other node is to run. Errors: gone.
pub(super) fn part_of_arguments(session: &Session, over: u64, offset: u64) -> Result<Bytes, Refusal> {
    let args = session.arguments(over);
    let gone = || Refusal::new(Code::Gone, "nobody here wants it to be run, or its arguments went with the question");
    args.map(|args| part_of(&args, offset)).ok_or_else(gone)
}

/// Its size, and bytes from an offset on.
fn part_of(value: &Bytes, offset: u64) -> Bytes {
    let rest = value.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
    let part = &rest[..rest.len().min(limits::MESSAGE_BYTES)];
    [&(value.len() as u64).to_le_bytes()[..], part].concat().into()
}

/// Waits for an end with its value. `None`: the node is lost.
pub(super) fn join(
    to: &To,
    from: &Address,
    mut held: Permit,
) -> Result<Pending<Result<Option<End>, Refusal>>, Refusal> {
    let (told, end) = oneshot::channel();
    let monitoring = to.begin_monitor(from, WHOLE, Box::new(ToJoiner(told)))?;
    let joining = Joining { monitoring, is_settled: false };
    let (to, from) = (to.clone(), *from);
    Ok(Box::pin(async move {
        // All of it, and not what is used of it.
        let mut joining = joining;
        let Some(mut end) = end.await.unwrap_or(None) else { return Ok(None) };
        if end.cut {
            end.record = with_value(end.record, fetch(&to, &from, joining.monitoring.header.call, &mut held).await?)?;
            end.cut = false;
        } else {
            joining.is_settled = true;
        }
        Ok(Some(end))
    }))
}

/// The record of an end that was told without its value, with it; the other node keeps it no longer. Errors: those of [`fetch`].
pub(super) async fn complete(
    to: &To,
    from: &Address,
    monitor: u64,
    (record, mut held): (ExitRecord, Permit),
) -> Result<ExitRecord, Refusal> {
    let value = fetch(to, from, monitor, &mut held).await;
    // Also where it was not to be had.
    Monitoring { session: Arc::clone(&to.session), header: to.monitored(from, monitor) }.take_back();
    with_value(record, value?)
}

fn with_value(record: ExitRecord, value: Bytes) -> Result<ExitRecord, Refusal> {
    let outcome = match record.outcome {
        Outcome::Finished(_) => Outcome::Finished(value),
        Outcome::Terminated { by, reason, .. } => Outcome::Terminated { by, reason, value: Some(value) },
        _ => return Err(Refusal::new(Code::Protocol, "the other node speaks of a value where there is none")),
    };
    Ok(ExitRecord { outcome, ..record })
}

/// All of a value. Errors: expired, overloaded, node-lost, protocol.
async fn fetch(to: &To, from: &Address, monitor: u64, held: &mut Permit) -> Result<Bytes, Refusal> {
    gather(to, from, |offset| Call::Value { monitor, offset }, held).await
}

/// All arguments of a job that another node wants to run here under the number of its end. Errors: gone, overloaded, node-lost,
/// protocol.
pub(super) async fn arguments(to: &To, over: u64, held: &mut Permit) -> Result<Bytes, Refusal> {
    gather(to, &Address::default(), |offset| Call::Arguments { over, offset }, held).await
}

/// What is asked for part by part, from an offset on.
async fn gather(to: &To, from: &Address, part: impl Fn(u64) -> Call, held: &mut Permit) -> Result<Bytes, Refusal> {
    let mut value = BytesMut::new();
    loop {
        let next = to.ask_until_room(from, &part(value.len() as u64), Bytes::new()).await?;
        if add(&mut value, next, held)? {
            return Ok(value.freeze());
        }
    }
}

/// Adds a part; `true`: that was the last. Errors: overloaded (the tenant's quota), protocol.
fn add(value: &mut BytesMut, mut part: Bytes, held: &mut Permit) -> Result<bool, Refusal> {
    let wrong = |text: &str| Err(Refusal::new(Code::Protocol, text));
    if part.len() < 8 {
        return wrong("a part of a value without its size");
    }
    let size = part.get_u64_le();
    if size > limits::RESULT_BYTES as u64 {
        return wrong("a value that is larger than one may be");
    }
    if (value.len() + part.len()) as u64 > size {
        return wrong("a value that is larger than it was said to be");
    }
    held.grow(size.saturating_sub(held.amount()))?;
    value.extend_from_slice(&part);
    if value.len() as u64 == size {
        return Ok(true);
    }
    if part.is_empty() { wrong("an empty part of a value that has more") } else { Ok(false) }
}

/// The other node keeps the value until it is told that nobody wants it.
struct Joining {
    monitoring: Monitoring,
    /// There was none to be kept.
    is_settled: bool,
}

impl Drop for Joining {
    fn drop(&mut self) {
        // Where the end has not come, the monitor itself is taken back.
        if !self.is_settled {
            self.monitoring.take_back();
        }
    }
}

struct ToJoiner(oneshot::Sender<Option<End>>);

impl EndFollower for ToJoiner {
    fn ended(self: Box<Self>, end: Option<End>) {
        // Whoever waited has given up.
        drop(self.0.send(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::tenancy::quota::{Ledger, Limits};

    fn part(size: u64, bytes: &[u8]) -> Bytes {
        [&size.to_le_bytes()[..], bytes].concat().into()
    }

    #[test]
    fn a_value_comes_in_parts_and_is_never_more_than_was_said_and_is_charged() {
        let ledger = Arc::new(Ledger::new(Limits { coroutines: 0, memory: 0, held: 100, connections: 0 }));
        let (mut value, mut held) = (BytesMut::new(), Permit::nothing(&ledger, Resource::Held));
        assert_eq!(add(&mut value, part(5, b"abc"), &mut held), Ok(false));
        assert_eq!((held.amount(), ledger.used(Resource::Held)), (5, 5));
        let huge = limits::RESULT_BYTES as u64 + 1;
        for (wrong, code) in [
            (Bytes::from_static(b"short"), Code::Protocol),
            (part(5, b""), Code::Protocol),
            (part(5, b"def"), Code::Protocol),
            (part(2, b""), Code::Protocol),
            (part(huge, b"d"), Code::Protocol),
            (part(101, b"d"), Code::Overloaded),
        ] {
            assert_eq!(add(&mut value.clone(), wrong.clone(), &mut held).unwrap_err().code, code, "{wrong:?}");
        }
        assert_eq!(add(&mut value, part(5, b"de"), &mut held), Ok(true));
        assert_eq!(&value[..], b"abcde");
        assert_eq!(add(&mut BytesMut::new(), part(0, b""), &mut held), Ok(true));
    }
}
