//! Durable jobs: submitted, they are on the node's disk when that is told, and end whatever becomes of this program. What became of
//! them is asked by their ids, from anywhere, until it is acknowledged.
//!
//! ```no_run
//! # async fn example(node: corovan_client::Node, computation: corovan_client::Computation, spec: corovan_client::Spec) -> Result<(), corovan_client::Error> {
//! use corovan_client::{Arguments, DurableOptions, Retry};
//!
//! let retry = Retry { attempts: 3, node_loss: true, ..Retry::default() };
//! let options = DurableOptions { key: Some("report-17".into()), retry, ..DurableOptions::default() };
//! let accepted = computation.submit_durable(&spec, Arguments::of(&(17,))?, options).await?.await?;
//! computation.close().await?;
//! // Now, or tomorrow, here or from another machine:
//! let durable = node.durable();
//! let mut results = durable.results(&[accepted.job], true).await?;
//! while let Some((_, record)) = results.next().await? {
//!     println!("{:?}", record?.outcome);
//! }
//! durable.acknowledge(&[accepted.job]).await?;
//! # Ok(()) }
//! ```

use crate::arguments::Arguments;
use crate::computation::{Computation, Shared};
use crate::error::{Error, printable};
use crate::node::Node;
use crate::nodes::Stream;
use crate::spec::Spec;
use bytes::{Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::ulid::Ulid;
use corovan_core::wire::durable::{Accepted, AskDurable, DurableAsk, DurableInfo, Event, EventKind, Gap, Keep, Retry};
use corovan_core::wire::exit::{ExitHead, ExitRecord, Outcome};
use corovan_core::wire::frame::{Frame, Kind};
use corovan_core::wire::records::{Refused, Submit};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// How one durable job differs from the others of its spec.
#[derive(Clone, Default, Debug)]
pub struct DurableOptions {
    /// Command-line arguments of a WASI program, without its own name.
    pub argv: Vec<String>,
    /// As [`crate::SubmitOptions::at`].
    pub at: Option<String>,
    /// The same key of the same tenant again at the same node is the same job, and is not run again: what is submitted again after a
    /// lost connection runs once. At most 128 bytes.
    pub key: Option<String>,
    /// When it is tried again; as it is, it runs at most once.
    pub retry: Retry,
}

/// Whether a job was accepted, when that is known.
#[derive(Debug)]
#[must_use = "a job is on disk when this says so"]
pub struct Accepting {
    answer: oneshot::Receiver<Result<Accepted, Error>>,
    /// Keeps the connection.
    _computation: Computation,
}

/// One that is waited for.
#[derive(Debug)]
pub(crate) struct AwaitsAcceptance {
    answer: oneshot::Sender<Result<Accepted, Error>>,
    _slot: OwnedSemaphorePermit,
}

/// The durable jobs of a node.
#[derive(Clone, Debug)]
pub struct Durable(Node);

/// Exits, each with its place among the ids that were asked for.
#[derive(Debug)]
pub struct Results {
    stream: Stream,
    /// An exit whose value is on its way.
    partial: Option<(usize, ExitHead, BytesMut)>,
    _open: quinn::SendStream,
}

/// What a job said, in order.
#[derive(Debug)]
pub struct Events {
    stream: Stream,
    _open: quinn::SendStream,
}

#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum DurableEvent {
    /// Numbered from 1; `at`: nanoseconds since 1970, by the node's clock. Of a log line, the first byte is its level (1 to 5).
    Said { sequence: u64, at: u64, kind: EventKind, bytes: Bytes },
    /// These are not kept any more.
    Gap { first: u64, last: u64 },
}

impl Computation {
    /// Submits a job that is to last. Waits while the node has as many open jobs as it takes, or the connection is behind; what is
    /// returned tells when it is on disk, so that many can be on their way. Errors: refused (quota, key reused, selector).
    pub async fn submit_durable(
        &self,
        spec: &Spec,
        arguments: Arguments,
        options: DurableOptions,
    ) -> Result<Accepting, Error> {
        let shared = &self.0.shared;
        let DurableOptions { argv, at, key, retry } = options;
        self.check(spec, &argv, at.as_deref())?;
        shared.outbox.room().await;
        let slot = shared.slots.clone().acquire_owned().await.map_err(|_| shared.end_error())?;
        let (sender, answer) = oneshot::channel();
        let id = shared.new_durable(AwaitsAcceptance { answer: sender, _slot: slot })?;
        let keep = Some(Keep { key, retry });
        let request = Submit { spec: spec.0.id, argv, stdin: false, blob: None, at, keep };
        let mark = self.request(id, request, &arguments).inspect_err(|_| drop(shared.take_durable(id)))?;
        self.send_arguments(id, mark, &arguments).await?;
        Ok(Accepting { answer, _computation: self.clone() })
    }
}

impl Future for Accepting {
    type Output = Result<Accepted, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

impl AwaitsAcceptance {
    pub fn answer(self, answer: Result<Accepted, Error>) {
        // Whoever asked may have stopped waiting.
        let _ = self.answer.send(answer);
    }
}

impl Shared {
    /// A job that was to last has ended before it was accepted.
    pub(crate) fn not_accepted(&self, outcome: Outcome) -> Error {
        let node = self.peer.node.clone();
        match outcome {
            Outcome::Refused { code, why } => Error::Refused { node, code, text: printable(&why) },
            other => {
                let text = format!("it ended before it was accepted: {}", other.name());
                Error::Refused { node, code: Code::Cancelled, text }
            }
        }
    }
}

impl Node {
    /// The durable jobs that this node is the home of.
    pub fn durable(&self) -> Durable {
        Durable(self.clone())
    }
}

impl Durable {
    /// This client's tenant's jobs, oldest first, a page of at most 1,000 after the last one of the page before; `open`: only those
    /// that have not ended, which is all that an operator is told of, for all tenants. An empty page is the last.
    pub async fn list(&self, after: Option<Ulid>, open: bool) -> Result<Vec<DurableInfo>, Error> {
        self.infos(AskDurable { ask: DurableAsk::List, after, open, ..AskDurable::default() }, &[]).await
    }

    /// The jobs whose ids begin with this; of many the first. Errors: refused (invalid: it is the beginning of none).
    pub async fn find(&self, prefix: &str) -> Result<Vec<DurableInfo>, Error> {
        let asked = AskDurable { ask: DurableAsk::Find, prefix: prefix.to_owned(), ..AskDurable::default() };
        self.infos(asked, &[]).await
    }

    /// One, with its attempts and the reasons why it is where it is. Errors: refused (not-found).
    pub async fn why(&self, job: Ulid) -> Result<DurableInfo, Error> {
        let mut found = self.infos(AskDurable { ask: DurableAsk::Why, ..AskDurable::default() }, &[job]).await?;
        found.pop().ok_or_else(|| self.0.0.peer.protocol("it told of no job, and refused nothing"))
    }

    /// How they ended, as many as are asked for: those that have ended at once, the others, if that is waited for, as they do. At most
    /// 4,096 of them.
    pub async fn results(&self, jobs: &[Ulid], wait: bool) -> Result<Results, Error> {
        let (open, stream) =
            self.ask(AskDurable { ask: DurableAsk::Results, wait, ..AskDurable::default() }, jobs).await?;
        Ok(Results { stream, partial: None, _open: open })
    }

    /// What one said from a number on (from 1), and if that is followed what it says until it has ended.
    pub async fn events(&self, job: Ulid, from: u64, follow: bool) -> Result<Events, Error> {
        let asked = AskDurable { ask: DurableAsk::Events, from, wait: follow, ..AskDurable::default() };
        let (open, stream) = self.ask(asked, &[job]).await?;
        Ok(Events { stream, _open: open })
    }

    /// They are to end, whatever they do: interrupt, grace, hard stop. Told when that is on disk. Errors: refused (not-found).
    pub async fn cancel(&self, jobs: &[Ulid], reason: &str) -> Result<(), Error> {
        let asked = AskDurable { ask: DurableAsk::Cancel, reason: reason.to_owned(), ..AskDurable::default() };
        self.changed(asked, jobs).await.map(drop)
    }

    /// Their exits have been taken: nothing of them is kept any more. Errors: refused (not-found, also while one has not ended).
    pub async fn acknowledge(&self, jobs: &[Ulid]) -> Result<(), Error> {
        self.changed(AskDurable { ask: DurableAsk::Acknowledge, ..AskDurable::default() }, jobs).await.map(drop)
    }

    /// The same again as new jobs, in their order. Errors: refused (not-found, need-module).
    pub async fn again(&self, jobs: &[Ulid]) -> Result<Vec<Ulid>, Error> {
        self.changed(AskDurable { ask: DurableAsk::Again, ..AskDurable::default() }, jobs).await
    }

    /// Of all that were asked for something, the first refusal is the error; the others are done all the same.
    async fn changed(&self, asked: AskDurable, jobs: &[Ulid]) -> Result<Vec<Ulid>, Error> {
        let (mut send, mut stream) = self.ask(asked, jobs).await?;
        let _ = send.finish();
        let (mut made, mut refused) = (Vec::new(), None);
        while let Some(frame) = self.0.in_time(stream.next()).await? {
            match frame.kind {
                Kind::Accepted => made.push(record::<Accepted>(&stream, &frame)?.job),
                Kind::Refused => drop(refused.get_or_insert(refusal(&stream, &frame)?)),
                other => return Err(stream.peer.protocol(format!("unexpected {other:?} frame"))),
            }
        }
        refused.map_or(Ok(made), Err)
    }

    async fn infos(&self, asked: AskDurable, jobs: &[Ulid]) -> Result<Vec<DurableInfo>, Error> {
        let (mut send, mut stream) = self.ask(asked, jobs).await?;
        let _ = send.finish();
        let mut all = Vec::new();
        while let Some(frame) = self.0.in_time(stream.next()).await? {
            match frame.kind {
                Kind::DurableInfo if all.len() < limits::DURABLE_ASKED => all.push(record(&stream, &frame)?),
                Kind::Refused => return Err(refusal(&stream, &frame)?),
                other => return Err(stream.peer.protocol(format!("unexpected {other:?} frame"))),
            }
        }
        Ok(all)
    }

    async fn ask(&self, asked: AskDurable, jobs: &[Ulid]) -> Result<(quinn::SendStream, Stream), Error> {
        if jobs.len() > limits::DURABLE_ASKED {
            return Err(Error::TooMany { what: "jobs in one question", max: limits::DURABLE_ASKED as u64 });
        }
        let ids: Vec<u8> = jobs.iter().flat_map(|job| job.0.to_be_bytes()).collect();
        self.0.ask_with(Kind::AskDurable, &asked, &ids).await
    }
}

impl Results {
    /// The next, with its place among those asked for: how it ended, or why that is not told. `None`: that was all. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<(usize, Result<ExitRecord, Error>)>, Error> {
        loop {
            if let Some((at, head, value)) = self.partial.take_if(|(_, head, value)| is_whole(head, value)) {
                return Ok(Some((at, Ok(ExitRecord::from_head(head, value.freeze())))));
            }
            let Some(frame) = self.stream.next().await? else {
                return match self.partial {
                    None => Ok(None),
                    Some(_) => Err(self.stream.peer.protocol("it ended the stream within a value")),
                };
            };
            match (frame.kind, &mut self.partial) {
                (Kind::Exit, None) => {
                    let head: ExitHead = record(&self.stream, &frame)?;
                    if head.blob.is_some_and(|size| size > limits::RESULT_BYTES as u64) {
                        return Err(self.stream.peer.protocol("a result is over the limit"));
                    }
                    let value = BytesMut::from(&frame.payload[..]);
                    self.partial = Some((usize::try_from(frame.id).unwrap_or(usize::MAX), head, value));
                }
                (Kind::Part, Some((_, head, value))) => {
                    value.extend_from_slice(&frame.payload);
                    if value.len() as u64 > head.blob.unwrap_or_default() || frame.payload.is_empty() {
                        return Err(self.stream.peer.protocol("a value has more bytes than announced"));
                    }
                }
                (Kind::Refused, None) => {
                    let at = usize::try_from(frame.id).unwrap_or(usize::MAX);
                    return Ok(Some((at, Err(refusal(&self.stream, &frame)?))));
                }
                (other, _) => return Err(self.stream.peer.protocol(format!("unexpected {other:?} frame"))),
            }
        }
    }
}

impl Events {
    /// The next; `None`: the job has ended, or it is not followed. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<DurableEvent>, Error> {
        while let Some(frame) = self.stream.next().await? {
            match frame.kind {
                Kind::Event => {
                    let Event { sequence, kind, at } = record(&self.stream, &frame)?;
                    if let Some(kind) = EventKind::from_number(kind) {
                        return Ok(Some(DurableEvent::Said { sequence, at, kind, bytes: frame.payload }));
                    }
                }
                Kind::Gap => {
                    let Gap { first, last } = record(&self.stream, &frame)?;
                    return Ok(Some(DurableEvent::Gap { first, last }));
                }
                other => return Err(self.stream.peer.protocol(format!("unexpected {other:?} frame"))),
            }
        }
        Ok(None)
    }
}

fn is_whole(head: &ExitHead, value: &BytesMut) -> bool {
    head.blob.is_none_or(|size| value.len() as u64 >= size)
}

fn record<T: serde::de::DeserializeOwned>(stream: &Stream, frame: &Frame) -> Result<T, Error> {
    frame.record().map_err(|error| stream.peer.protocol(error))
}

fn refusal(stream: &Stream, frame: &Frame) -> Result<Error, Error> {
    let Refused { code, text } = record(stream, frame)?;
    Ok(Error::Refused { node: stream.peer.node.clone(), code, text: printable(&text) })
}
