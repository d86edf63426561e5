//! One control stream: a computation's specs and jobs. Frames in are handled in order; frames out are coalesced.

use super::connection::Client;
use super::entry::Entry;
use super::mail::Mailroom;
use super::specs::Specs;
use super::{AGENT, blobs};
use crate::dispatch::placing::{self, Opened};
use crate::dispatch::{Refusal, Tenant};
use crate::net::framed::{self, FrameReader, Outbox};
use crate::net::{RecvStream, SendStream};
use crate::runtime::Group;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::JobId;
use corovan_core::limits;
use corovan_core::tenancy::grant::Grant;
use corovan_core::tenancy::quota::Permit;
use corovan_core::text::cut;
use corovan_core::wire::durable::Accepted;
use corovan_core::wire::jobs::Allocate;
use corovan_core::wire::records::{self, Cancel, Closed, Credit, Open};
use corovan_core::wire::{ExitRecord, Frame, Kind};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) struct Session {
    pub id: u64,
    client: Arc<Client>,
    /// Its client's own coroutine, if it has one.
    pub mailroom: Mailroom,
    /// What its client calls it.
    pub label: String,
    /// How its client wants its jobs placed, for those that last.
    pub wanted: Mutex<Open>,
    /// Its jobs that may run at other nodes.
    placed: Opened,
    /// Its coroutines on this node.
    pub group: Arc<Group>,
    outbox: Outbox,
    pub specs: Mutex<Specs>,
    pub jobs: Mutex<HashMap<JobId, Arc<Entry>>>,
    /// Entries with something to send, and the pump that waits for them; `None` when nobody listens any more.
    dirty: Mutex<Option<Vec<Arc<Entry>>>>,
    work: Notify,
    /// The last job has ended, or the last coroutine of the computation.
    empty: Arc<Notify>,
    /// A job was announced; streams that overtook its frame wait for that.
    pub announced: Notify,
    pub awaited: blobs::Awaited,
    /// Results on streams of their own that are on their way.
    values: TaskTracker,
    /// The client has all frames, or is gone.
    delivered: CancellationToken,
}

/// Why a control stream ended before its client closed it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Stream(#[from] framed::Error),
    #[error(transparent)]
    Frame(#[from] corovan_core::wire::frame::Error),
    #[error("{0}")]
    Protocol(String),
    #[error("{text}")]
    Refused { code: Code, text: String },
    #[error("the client speaks protocol {oldest} to {newest}")]
    Version { newest: u16, oldest: u16 },
}

/// Serves one control stream to its end.
pub(super) async fn serve(client: Arc<Client>, mut send: SendStream, recv: RecvStream) -> Result<(), Error> {
    let mut reader = FrameReader::new(recv);
    let first = match first(&mut reader).await {
        Ok(frame)
            if matches!(
                frame.kind,
                Kind::ListNodes | Kind::AskPeer | Kind::AskJobs | Kind::Drain | Kind::AskDurable
            ) =>
        {
            return super::asked::serve(&client, frame, reader, send).await;
        }
        first => first,
    };
    let session = match first.and_then(|frame| open(&client, frame)) {
        Ok(session) => session,
        Err(error) => {
            let outbox = Outbox::new(limits::OUTBOX_BYTES);
            let _ = outbox.push(Kind::Closed, 0, &error.closed(), &[]);
            outbox.close();
            write(&outbox, &mut send).await;
            return Err(error);
        }
    };
    let work = async {
        let result = session.read(&mut reader).await;
        let closed = match &result {
            Ok(()) => Closed::done(),
            Err(error) => error.closed(),
        };
        // Its place is free before the client hears of the end: who then opens another finds room.
        client.remove(session.id);
        session.send(Kind::Closed, 0, &closed);
        session.outbox.close();
        if result.is_err() {
            session.abandon("its client broke the protocol");
        }
        result
    };
    let pumped = async {
        tokio::select! {
            result = work => result,
            () = session.pump() => Ok(()),
        }
    };
    let written = async {
        write(&session.outbox, &mut send).await;
        session.delivered.cancel();
    };
    let result = tokio::select! {
        (result, ()) = async { tokio::join!(pumped, written) } => result,
        error = client.connection.quic.closed() => Err(Error::Protocol(error.to_string())),
    };
    session.delivered.cancel();
    session.abandon("its client is gone");
    client.remove(session.id);
    result
}

async fn first(reader: &mut FrameReader<RecvStream>) -> Result<Frame, Error> {
    let first = tokio::time::timeout(limits::CONNECT_TIME, reader.next()).await;
    let frame = first.map_err(|_| Error::Protocol("nothing was sent on a new stream".into()))??;
    frame.ok_or_else(|| Error::Protocol("a stream ended before its first frame".into()))
}

/// The first exchange: version, limits, who we are.
fn open(client: &Arc<Client>, frame: Frame) -> Result<Arc<Session>, Error> {
    if frame.kind != Kind::Open {
        return Err(Error::Protocol("a control stream begins with an Open frame".into()));
    }
    let open: Open = frame.record()?;
    if open.magic != Open::MAGIC {
        return Err(Error::Protocol("the Open frame is not Corovan's".into()));
    }
    let version = open.version().ok_or(Error::Version { newest: open.newest, oldest: open.oldest })?;
    let grant = open.grant.as_ref().map(|grant| client.check_grant(grant)).transpose()?;
    // Without a grant other nodes run nothing for it.
    let granted = grant.as_ref().map_or(Some(vec![client.service.node_name.clone()]), |(_, grant)| grant.nodes.clone());
    let id = client.service.dispatch.next_computation();
    let empty = Arc::new(Notify::new());
    let over = Arc::clone(&empty);
    let placed = client.service.dispatch.placing().open(id, &client.tenant, &open, granted)?;
    let session = Arc::new(Session {
        id,
        mailroom: Mailroom::default(),
        label: cut(open.label.clone(), limits::LABEL_BYTES),
        wanted: Mutex::new(Open { grant: None, ..open.clone() }),
        placed,
        client: Arc::clone(client),
        group: client.service.dispatch.group(id, &client.tenant, move || over.notify_waiters()),
        outbox: Outbox::new(limits::OUTBOX_BYTES),
        specs: Mutex::default(),
        jobs: Mutex::default(),
        dirty: Mutex::new(Some(Vec::new())),
        work: Notify::new(),
        empty,
        announced: Notify::new(),
        awaited: blobs::Awaited::default(),
        values: TaskTracker::new(),
        delivered: CancellationToken::new(),
    });
    grant.into_iter().for_each(|(bytes, _)| session.group.set_grant(bytes));
    if !client.add(&session) {
        let text = format!("a connection has at most {} computations", limits::CONNECTION_COMPUTATIONS);
        return Err(Error::Refused { code: Code::Overloaded, text });
    }
    let opened = records::Opened {
        version,
        node: client.service.node,
        node_name: client.service.node_name.clone(),
        agent: AGENT.into(),
        computation: session.id,
        jobs: limits::COMPUTATION_JOBS as u64,
        nonce: Default::default(),
    };
    tracing::debug!(computation = session.id, agent = open.agent, label = open.label, "opened");
    session.send(Kind::Opened, 0, &opened);
    Ok(session)
}

async fn write(outbox: &Outbox, send: &mut SendStream) {
    // A stream that fails has a reader that is gone; the connection's end tells the rest.
    if outbox.write_to(send).await.is_ok() && send.finish().is_ok() {
        let _ = send.stopped().await;
    }
}

impl Client {
    /// What lets this computation's work go to other nodes. One that counts for somebody else, or not at all, is refused here
    /// rather than by each of them.
    fn check_grant(&self, bytes: &[u8]) -> Result<(Bytes, Arc<Grant>), Error> {
        let service = &self.service;
        let denied = |text: String| Error::Refused { code: Code::Denied, text };
        let grant = service.grants.verify(bytes, service.dispatch.runtime().clock().unix());
        let grant = grant.map_err(|error| denied(format!("the computation's grant: {error}")))?;
        if grant.tenant != self.tenant.name() {
            let text = format!("the computation's grant is of tenant {:?}, not {:?}", grant.tenant, self.tenant.name());
            return Err(denied(text));
        }
        Ok((Bytes::copy_from_slice(bytes), grant))
    }
}

impl Session {
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.client.tenant
    }

    /// Handles frames until the client has closed the computation and its last job has ended.
    async fn read(self: &Arc<Self>, reader: &mut FrameReader<RecvStream>) -> Result<(), Error> {
        loop {
            // A client that does not read gets no more of its frames handled: everything it causes is bounded by that.
            self.outbox.room().await;
            // Frames that are here already cost no waiting; many of them must not keep the thread from other clients.
            tokio::task::consume_budget().await;
            match reader.next().await? {
                Some(frame) if frame.kind == Kind::Close => break,
                Some(frame) if frame.kind == Kind::Allocate => self.allocate(&frame).await?,
                Some(frame) => self.handle(frame)?,
                None => return Err(Error::Protocol("the stream ended without a Close frame".into())),
            }
        }
        self.client.service.dispatch.runtime().close(&self.group);
        let last = async {
            // Running jobs still need credit, and may be cancelled.
            while let Some(frame) = reader.next().await? {
                tokio::task::consume_budget().await;
                if !matches!(frame.kind, Kind::Credit | Kind::Cancel | Kind::Mail | Kind::MailPart) {
                    return Err(Error::Protocol(format!("{:?} after Close", frame.kind)));
                }
                self.handle(frame)?;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = self.drained() => Ok(()),
            result = last => result,
        }
    }

    fn handle(self: &Arc<Self>, frame: Frame) -> Result<(), Error> {
        match frame.kind {
            Kind::Submit => self.submit(&frame),
            Kind::Credit => {
                let credit: Credit = frame.record()?;
                self.entry(frame.id).into_iter().for_each(|entry| entry.grant(credit.bytes));
                Ok(())
            }
            Kind::Cancel => {
                let cancel: Cancel = frame.record()?;
                let grace = cancel.grace.map_or(limits::TERMINATE_GRACE, Duration::from_nanos);
                let reason = corovan_core::text::cut(cancel.reason, limits::TEXT_BYTES);
                if let Some(entry) = self.entry(frame.id) {
                    entry.cancel("client", &reason, grace.min(limits::SHUTDOWN_GRACE));
                    self.awaited.forget(frame.id);
                }
                Ok(())
            }
            Kind::Prepare => self.prepare(&frame),
            Kind::Mail => self.mail(&frame),
            Kind::MailPart => self.mail_part(&frame),
            other => Err(Error::Protocol(format!("a client does not send {other:?} frames on a control stream"))),
        }
    }

    /// Other nodes for its jobs. A tenant that changes them without end waits, and nobody else does.
    async fn allocate(&self, frame: &Frame) -> Result<(), Error> {
        let Allocate { nodes } = frame.record()?;
        self.wanted.lock().nodes.clone_from(&nodes);
        let nodes = placing::allocations(&nodes)?;
        let clock = self.client.service.dispatch.runtime().clock();
        loop {
            match self.placed.allocate(nodes.clone(), clock.now()) {
                Err(refusal) if refusal.code == Code::Overloaded => {
                    tokio::time::sleep(limits::PLACEMENT_LOOK_INTERVAL).await;
                }
                changed => return Ok(changed?),
            }
        }
    }

    pub fn entry(&self, id: JobId) -> Option<Arc<Entry>> {
        self.jobs.lock().get(&id).cloned()
    }

    /// Waits, not for ever and not longer than the computation lasts, until `look` finds what a frame announces. A stream
    /// may also come after its job's end, when nothing will announce it any more.
    pub async fn announced<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let found = async {
            loop {
                let mut announced = std::pin::pin!(self.announced.notified());
                announced.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                announced.await;
            }
        };
        tokio::select! {
            found = tokio::time::timeout(limits::CONNECT_TIME, found) => found.ok(),
            () = self.delivered.cancelled() => None,
        }
    }

    pub fn mark(&self, entry: Arc<Entry>) {
        if let Some(dirty) = &mut *self.dirty.lock() {
            dirty.push(entry);
        }
        self.work.notify_one();
    }

    /// The client is behind: what can wait should.
    pub fn is_behind(&self) -> bool {
        self.outbox.len() >= limits::OUTBOX_BYTES
    }

    /// Sends what entries have, each in its turn, never more than the outbox takes.
    async fn pump(&self) {
        loop {
            let batch = self.dirty.lock().as_mut().map(std::mem::take).unwrap_or_default();
            if batch.is_empty() {
                self.work.notified().await;
            }
            for entry in batch {
                self.outbox.room().await;
                // Jobs that always have something to say must not keep the thread from other clients.
                tokio::task::consume_budget().await;
                if entry.flush() {
                    entry.mark();
                }
            }
        }
    }

    /// Ends all jobs; their exits still come.
    pub fn cancel_all(&self, by: &str, reason: &str, grace: Duration) {
        let jobs: Vec<_> = self.jobs.lock().values().cloned().collect();
        jobs.iter().for_each(|entry| entry.cancel(by, reason, grace));
        self.client.service.dispatch.runtime().end(&self.group, by, reason, grace);
    }

    /// Nobody listens any more: ends all jobs and forgets them; how many there were.
    pub fn abandon(&self, why: &str) -> usize {
        self.outbox.close();
        let jobs: Vec<_> = self.jobs.lock().drain().map(|(_, entry)| entry).collect();
        let dirty = self.dirty.lock().take();
        drop(dirty);
        for entry in &jobs {
            entry.detach();
            entry.cancel("client", why, limits::TERMINATE_GRACE);
        }
        self.client.service.dispatch.runtime().end(&self.group, "client", why, limits::TERMINATE_GRACE);
        self.awaited.clear();
        self.empty.notify_waiters();
        jobs.len()
    }

    /// Waits until no job is open and all results are with the client, and tells it that this was all.
    pub async fn finish(&self, why: &str) {
        self.drained().await;
        self.values.close();
        self.values.wait().await;
        self.send(Kind::Closed, 0, &Closed::because(Code::ShuttingDown, why));
        self.outbox.close();
    }

    /// Waits until the client has all frames of a session that is finished, or is gone.
    pub async fn delivered(&self) {
        self.delivered.cancelled().await;
    }

    /// Waits until no job is open and no coroutine is left. Only after the group was closed.
    pub async fn drained(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            empty.as_mut().enable();
            if self.jobs.lock().is_empty() && self.group.population() == (0, 0) {
                return;
            }
            empty.await;
        }
    }

    pub fn send<T: Serialize>(&self, kind: Kind, id: u64, head: &T) {
        if let Err(error) = self.outbox.push(kind, id, head, &[]) {
            tracing::error!(%error, "a frame could not be encoded");
        }
    }

    pub fn send_with<T: Serialize>(&self, kind: Kind, id: u64, head: &T, payload: &[u8]) {
        if let Err(error) = self.outbox.push(kind, id, head, payload) {
            tracing::error!(%error, "a frame could not be encoded");
        }
    }

    /// Waits until the client is not behind.
    pub async fn room(&self) {
        self.outbox.room().await;
    }

    /// Waits until nobody listens any more.
    pub async fn gone(&self) {
        self.delivered.cancelled().await;
    }

    pub fn send_bytes(&self, kind: Kind, id: u64, payload: &[u8]) {
        if let Err(error) = self.outbox.push_bare(kind, id, payload) {
            tracing::error!(%error, "a frame could not be encoded");
        }
    }

    /// The last frame of a job that is open. `held`: its share of the tenant's memory, given back when the value is on
    /// its way.
    pub fn send_exit(self: &Arc<Self>, id: JobId, exit: &ExitRecord, held: Option<Permit>) {
        let value = {
            // Told and forgotten in one step: a client that has the exit finds room for another job, and nobody finds
            // the computation at its end with the exit still to be sent.
            let mut jobs = self.jobs.lock();
            if jobs.remove(&id).is_none() {
                return;
            }
            let value = self.push_exit(id, exit);
            if jobs.is_empty() {
                self.empty.notify_waiters();
            }
            value.map(|value| (value, self.values.token()))
        };
        if let Some((value, token)) = value {
            blobs::send_value(&self.client, self.id, id, value, (held, token));
        }
    }

    /// The last frame of a job that is the home's from now on.
    pub fn send_accepted(&self, id: JobId, accepted: Accepted) {
        let mut jobs = self.jobs.lock();
        if jobs.remove(&id).is_some() {
            self.send(Kind::Accepted, id, &accepted);
        }
        if jobs.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// The exit's frame; the value, if that is too large for it.
    pub fn push_exit(&self, id: JobId, exit: &ExitRecord) -> Option<Bytes> {
        let (mut head, value) = exit.to_head();
        let apart = (value.len() > limits::INLINE_PAYLOAD).then(|| value.clone());
        head.blob = apart.as_ref().map(|value| value.len() as u64);
        let payload = if apart.is_none() { &value[..] } else { &[] };
        if let Err(error) = self.outbox.push(Kind::Exit, id, &head, payload) {
            tracing::error!(%error, "an exit could not be encoded");
        }
        apart
    }

    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused { code: refusal.code, text: refusal.detail }
    }
}

impl Error {
    /// What the client is told.
    pub fn closed(&self) -> Closed {
        match self {
            Error::Refused { code, text } => Closed::because(*code, text.clone()),
            Error::Version { .. } => Closed::version(format!(
                "{self}, this node speaks {} to {}: use a client of this node's version",
                limits::PROTOCOL_VERSION_MIN,
                limits::PROTOCOL_VERSION
            )),
            other => Closed::because(Code::Protocol, other.to_string()),
        }
    }
}
