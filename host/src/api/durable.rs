//! Questions about durable jobs. A tenant asks about its own; an operator sees, and ends, all.

use super::connection::Client;
use super::session::Error;
use crate::dispatch::Refusal;
use crate::home::{self, Home};
use crate::net::framed::{self, FrameReader, FrameWriter};
use crate::net::{RecvStream, SendStream};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::quota::{Ledger, Resource};
use corovan_core::wire::durable::{self, Accepted, AskDurable, DurableAsk, DurableInfo, Event, Gap};
use corovan_core::wire::exit::ExitHead;
use corovan_core::wire::records::Refused;
use corovan_core::wire::{ExitRecord, Frame, Kind, Outcome};
use corovan_store::{Exit, JobId};
use std::collections::HashMap;
use std::sync::Arc;

type Writer = FrameWriter<SendStream>;

/// What is read of a job that was asked for: whose it is, and its exit with the value, once it has one.
type Read = Option<(String, Option<(Exit, Bytes)>)>;

/// What may be kept of a client's question while it waits, and while its answer is read and written.
const ID_BYTES: u64 = 64;
const ANSWER_BYTES: u64 = 1 << 20;

/// Answers one. Whoever waits for something and finishes his side, or goes, waits no more.
pub(super) async fn answer(
    client: &Client,
    asked: &Frame,
    mut reader: FrameReader<RecvStream>,
    writer: &mut Writer,
) -> Result<(), Error> {
    let what: AskDurable = asked.record()?;
    let ids = durable::ids(&asked.payload).ok_or_else(|| Error::Protocol("an id of a job has 16 bytes".into()))?;
    let (home, tenant) = (&client.service.home, (!client.operator).then(|| client.tenant.name()));
    // Who waits for many jobs is on the lists of all of them.
    let _held = client.tenant.ledger.take(Resource::Held, (ids.len() as u64 + 1) * ID_BYTES).map_err(Refusal::from)?;
    let asker = Asker { home, tenant, ledger: &client.tenant.ledger, writer };
    let left = async {
        match reader.next().await {
            Ok(None) => std::future::pending().await,
            Ok(Some(frame)) => Error::Protocol(format!("{:?} after a question", frame.kind)),
            Err(error) => error.into(),
        }
    };
    let lost = client.connection.quic.closed();
    tokio::select! {
        done = asker.answer(client, what, ids) => done,
        error = left => Err(error),
        error = lost => Err(Error::Protocol(error.to_string())),
    }
}

struct Asker<'a> {
    home: &'a Home,
    /// Absent: an operator.
    tenant: Option<&'a str>,
    ledger: &'a Arc<Ledger>,
    writer: &'a mut Writer,
}

impl Asker<'_> {
    async fn answer(mut self, client: &Client, what: AskDurable, ids: Vec<JobId>) -> Result<(), Error> {
        match what.ask {
            DurableAsk::List => {
                let page = self.home.list(self.tenant, what.after, what.open).await?;
                self.tell(page).await
            }
            DurableAsk::Find => {
                let found = self.home.find(self.tenant, what.prefix).await?;
                self.tell(found).await
            }
            DurableAsk::Results => self.results(ids, what.wait).await,
            DurableAsk::Events => match ids[..] {
                [id] => self.events(id, what.from, what.wait).await,
                _ => Err(Error::Protocol("events are asked of one job".into())),
            },
            DurableAsk::Why => {
                for (at, id) in ids.into_iter().enumerate() {
                    let dispatch = &client.service.dispatch;
                    dispatch.placing().look(client.tenant.name(), dispatch.runtime().clock().now())?;
                    match self.home.why(self.tenant, id).await {
                        Ok(info) => self.writer.queue(Kind::DurableInfo, at as u64, &info, &[])?,
                        Err(refusal) => self.refuse(at, refusal)?,
                    }
                    self.flush().await?;
                }
                Ok(())
            }
            DurableAsk::Cancel | DurableAsk::Acknowledge | DurableAsk::Again => self.change(client, what, ids).await,
            DurableAsk::Unknown => {
                let text = "this node knows no such question about durable jobs: it is of an earlier version";
                Err(Error::Refused { code: Code::Unsupported, text: text.into() })
            }
        }
    }

    /// Each at once, so that one commit is for many of them.
    async fn change(&mut self, client: &Client, what: AskDurable, ids: Vec<JobId>) -> Result<(), Error> {
        let (home, tenant) = (self.home, self.tenant);
        let one = async |id: JobId| -> Result<Option<Accepted>, Refusal> {
            match what.ask {
                DurableAsk::Cancel => {
                    home.cancel(tenant, id, &what.reason, limits::TERMINATE_GRACE).await.map(|()| None)
                }
                DurableAsk::Acknowledge => home.acknowledge(tenant, id).await.map(|()| None),
                _ if client.operator => Err(Refusal::new(Code::Denied, "an operator runs no jobs")),
                _ => home.again(&client.tenant, id).await.map(|(job, known)| Some(Accepted { job, known })),
            }
        };
        for (first, some) in ids.chunks(AT_ONCE).enumerate() {
            let done = futures_util::future::join_all(some.iter().map(|id| one(*id))).await;
            for (at, done) in done.into_iter().enumerate() {
                let at = first * AT_ONCE + at;
                match done {
                    Ok(Some(accepted)) => self.writer.queue(Kind::Accepted, at as u64, &accepted, &[])?,
                    Ok(None) => {}
                    Err(refusal) => self.refuse(at, refusal)?,
                }
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn tell(&mut self, jobs: Vec<DurableInfo>) -> Result<(), Error> {
        for some in jobs.chunks(AT_ONCE) {
            some.iter().try_for_each(|info| self.writer.queue(Kind::DurableInfo, 0, info, &[]))?;
            self.flush().await?;
        }
        Ok(())
    }

    /// How they ended, those that have at once and in their order, the others as they do.
    async fn results(&mut self, ids: Vec<JobId>, wait: bool) -> Result<(), Error> {
        let _forget = Forget(self.home, &ids);
        let watch = self.home.watch(&ids);
        // One id may be asked for twice.
        let mut open: HashMap<JobId, Vec<usize>> = HashMap::new();
        for (at, id) in ids.iter().enumerate() {
            open.entry(*id).or_default().push(at);
        }
        let mut next: Vec<JobId> = ids.clone();
        loop {
            let mut rest = &next[..];
            while !rest.is_empty() {
                // Kept until it is written, which a client that does not read may delay for long.
                let _held = self.ledger.take(Resource::Held, ANSWER_BYTES).map_err(Refusal::from)?;
                let read = self.read(rest.iter().take(AT_ONCE).copied().collect()).await?;
                rest = &rest[read.len()..];
                for (id, read) in read {
                    let places = open.remove(&id).unwrap_or_default();
                    match read.filter(|(owner, _)| self.tenant.is_none_or(|tenant| tenant == owner)) {
                        Some((_, Some(ended))) => places.iter().try_for_each(|at| self.exit(*at, &ended))?,
                        Some((_, None)) if wait => drop(open.insert(id, places)),
                        Some((_, None)) => {
                            let refusal = Refusal::new(Code::Retry, format!("job {id} has not ended yet: wait for it"));
                            places.iter().try_for_each(|at| self.refuse(*at, refusal.clone()))?;
                        }
                        None => places.iter().try_for_each(|at| self.refuse(*at, home::not_found(id)))?,
                    }
                    self.flush().await?;
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            let stirred = watch.next().await;
            next = stirred.into_iter().filter(|id| open.contains_key(id)).collect();
        }
    }

    /// Owner and exit of each, in order, of as many as are not too large together.
    async fn read(&self, ids: Vec<JobId>) -> Result<Vec<(JobId, Read)>, Refusal> {
        self.home
            .read(move |store| {
                let (mut read, mut bytes) = (Vec::with_capacity(ids.len()), 0);
                for id in ids {
                    let found = store.get(id)?.map(|view| view.tenant).zip(Some(store.result(id)?));
                    bytes += found.as_ref().and_then(|(_, ended)| ended.as_ref()).map_or(0, |(_, value)| value.len());
                    read.push((id, found));
                    // One more fits in what is counted for an answer, whatever its size.
                    if bytes as u64 >= ANSWER_BYTES / 16 {
                        break;
                    }
                }
                Ok(read)
            })
            .await
    }

    fn exit(&mut self, at: usize, (exit, value): &(Exit, Bytes)) -> Result<(), Error> {
        let at = at as u64;
        let head: Result<ExitHead, _> = ciborium::from_reader(&exit.record[..]);
        let Ok(mut head) = head else {
            let text = "its exit was kept by another version, and cannot be read".to_owned();
            return self.refuse(at as usize, Refusal::new(Code::Internal, text));
        };
        if exit.dropped {
            let text = format!("its result of {} bytes was dropped: the store was full when it ended", exit.value);
            let record = ExitRecord::from_head(head, Bytes::new());
            let outcome = Outcome::Failed { kind: "dropped".into(), text };
            head = ExitRecord { outcome, ..record }.to_head().0;
        }
        let mut parts = value.chunks(limits::INLINE_PAYLOAD);
        head.blob = (value.len() > limits::INLINE_PAYLOAD).then_some(value.len() as u64);
        self.writer.queue(Kind::Exit, at, &head, parts.next().unwrap_or_default())?;
        Ok(parts.try_for_each(|part| self.writer.queue_bare(Kind::Part, at, part))?)
    }

    /// What one said from a number on, to its end where that is waited for.
    async fn events(&mut self, id: JobId, from: u64, wait: bool) -> Result<(), Error> {
        let ids = [id];
        let _forget = Forget(self.home, &ids);
        let watch = self.home.watch(&ids);
        let mut from = from;
        loop {
            let held = self.ledger.take(Resource::Held, ANSWER_BYTES).map_err(Refusal::from)?;
            let read = self.home.read(move |store| {
                let owner = store.get(id)?.map(|view| view.tenant);
                Ok(owner.zip(store.events(id, from, EVENTS_AT_ONCE)?))
            });
            let found = read.await?.filter(|(owner, _)| self.tenant.is_none_or(|tenant| tenant == owner));
            let Some((_, page)) = found else { return Err(home::not_found(id).into()) };
            if let Some((first, last)) = page.gap {
                self.writer.queue(Kind::Gap, 0, &Gap { first, last }, &[])?;
            }
            let none = page.events.is_empty();
            for event in page.events {
                let head = Event { sequence: event.sequence, kind: event.kind, at: event.at };
                self.writer.queue(Kind::Event, 0, &head, &event.bytes)?;
            }
            self.flush().await?;
            drop(held);
            from = page.next;
            if page.over || none && !wait {
                return Ok(());
            }
            if none {
                watch.next().await;
            }
        }
    }

    fn refuse(&mut self, at: usize, refusal: Refusal) -> Result<(), Error> {
        let Refusal { code, detail: text } = refusal;
        Ok(self.writer.queue(Kind::Refused, at as u64, &Refused { code, text }, &[])?)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush().await.map_err(framed::Error::from)?)
    }
}

/// Takes whoever waited off the lists, however he went. Dropped after his watch, as it is declared before it.
struct Forget<'a>(&'a Home, &'a [JobId]);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// Jobs that are read, changed or told of at once; and events.
const AT_ONCE: usize = 64;
const EVENTS_AT_ONCE: usize = 16;
