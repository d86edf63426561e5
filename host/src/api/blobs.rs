//! One-way streams: modules, large arguments and stdin from the client, large results to it.

use super::connection::Client;
use super::entry::Entry;
use super::session::Session;
use super::submit::hold;
use crate::dispatch::{Refusal, Spec, Start};
use crate::net::framed::{self, FrameReader};
use crate::net::{RecvStream, VarInt};
use crate::tasks::TaskKind;
use bytes::{Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::JobId;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use corovan_core::wire::Kind;
use corovan_core::wire::records::{Blob, BlobKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Jobs that wait for their arguments.
#[derive(Default)]
pub(super) struct Awaited(Mutex<HashMap<JobId, Unstarted>>);

/// A job, all that starts it but the arguments, and how many bytes those have.
type Unstarted = (Arc<Entry>, Arc<Spec>, Start, u64);

impl Awaited {
    /// It will not get them.
    pub fn forget(&self, job: JobId) {
        drop(self.take(job));
    }

    /// Nobody will send any.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        drop(all);
    }

    fn take(&self, job: JobId) -> Option<Unstarted> {
        self.0.lock().remove(&job)
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Stream(#[from] framed::Error),
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] corovan_core::wire::frame::Error),
    #[error("{0}")]
    Protocol(String),
}

/// Receives one stream to its end.
pub(super) async fn receive(client: Arc<Client>, stream: RecvStream) -> Result<(), Error> {
    let mut reader = FrameReader::new(stream);
    let first = tokio::time::timeout(limits::CONNECT_TIME, reader.next()).await;
    let frame = first.map_err(|_| Error::Protocol("nothing was sent on a new one-way stream".into()))??;
    let frame = frame.filter(|frame| frame.kind == Kind::Blob);
    let frame = frame.ok_or_else(|| Error::Protocol("a one-way stream begins with a Blob frame".into()))?;
    let blob: Blob = frame.record()?;
    let session = client.session(blob.computation);
    let session = session.ok_or_else(|| Error::Protocol(format!("there is no computation {}", blob.computation)))?;
    let (start, stream) = reader.into_parts();
    match blob.kind {
        BlobKind::Module => module(&session, frame.id, start, stream).await,
        BlobKind::Arguments => arguments(&session, frame.id, start, stream).await,
        BlobKind::Stdin => stdin(&session, frame.id, start, stream).await,
        BlobKind::Value => Err(Error::Protocol("a client sends no results".into())),
    }
}

async fn module(session: &Arc<Session>, spec: u64, start: Bytes, mut stream: RecvStream) -> Result<(), Error> {
    let prepare = session.expect_module(spec);
    let prepare = prepare.ok_or_else(|| Error::Protocol(format!("nobody asked for the module of spec {spec}")))?;
    let client = session.client();
    let size = usize::try_from(prepare.size).unwrap_or(usize::MAX);
    let held = match hold(session, size) {
        Ok(held) => held,
        Err((code, why)) => {
            let _ = stream.stop(VarInt::from_u32(0));
            session.prepared(spec, Err(Refusal::new(code, why)));
            return Ok(());
        }
    };
    let upload = client.uploads.acquire().await;
    let dispatch = &client.service.dispatch;
    let tenant = session.tenant();
    let outcome = match read_to_end(start, stream, prepare.size).await {
        Err(error) => Err(Refusal::new(Code::Invalid, format!("the module's stream ended early: {error}"))),
        Ok(Err(more)) => Err(Refusal::new(
            Code::TooLarge,
            format!("the module was announced with {} bytes, and {more} came", prepare.size),
        )),
        Ok(Ok(bytes)) => match dispatch.modules().put(tenant.name(), prepare.module, bytes).await {
            Ok(()) => dispatch.prepare(tenant, prepare).await,
            Err(error) => Err(Refusal::new(error.code(), error.to_string())),
        },
    };
    drop((upload, held));
    session.prepared(spec, outcome);
    Ok(())
}

/// The job's arguments will come on a stream of their own.
pub(super) fn expect_arguments(session: &Arc<Session>, entry: Arc<Entry>, spec: Arc<Spec>, start: Start, size: u64) {
    session.awaited.0.lock().insert(entry.id, (entry, spec, start, size));
}

async fn arguments(session: &Arc<Session>, job: JobId, start: Bytes, stream: RecvStream) -> Result<(), Error> {
    // The stream may overtake the frame that announces it.
    let awaited = session.announced(|| session.awaited.take(job)).await;
    let (entry, spec, mut prepared, size) =
        awaited.ok_or_else(|| Error::Protocol(format!("job {job} waits for no arguments")))?;
    let read = tokio::select! {
        read = read_to_end(start, stream, size) => read,
        // It was cancelled: whoever sends may stop.
        () = entry.over() => return Ok(()),
    };
    match read {
        Ok(Ok(bytes)) if bytes.len() as u64 == size => {
            prepared.args = bytes;
            session.start(&entry, &spec, prepared);
        }
        Ok(Ok(bytes)) => {
            let why = format!("{size} bytes of arguments were announced, and {} came", bytes.len());
            entry.refuse(Code::Invalid, why);
        }
        Ok(Err(more)) => {
            entry.refuse(Code::TooLarge, format!("{size} bytes of arguments were announced, and {more} came"));
        }
        Err(error) => entry.refuse(Code::Invalid, format!("the stream of its arguments ended early: {error}")),
    }
    Ok(())
}

async fn stdin(session: &Arc<Session>, job: JobId, start: Bytes, mut stream: RecvStream) -> Result<(), Error> {
    let entry = session.announced(|| session.entry(job)).await;
    let input = entry.and_then(|entry| entry.input.clone());
    let Some(input) = input else {
        // The job has ended, or never had input: whoever sends may stop.
        let _ = stream.stop(VarInt::from_u32(0));
        return Ok(());
    };
    let mut chunk = start;
    loop {
        if std::future::poll_fn(|cx| input.poll_feed(cx, &mut chunk)).await.is_err() {
            let _ = stream.stop(VarInt::from_u32(0));
            return Ok(());
        }
        match stream.read_chunk(limits::STDIN_BUFFER, true).await {
            Ok(Some(more)) => chunk = more.bytes,
            Ok(None) => break,
            Err(error) => {
                input.finish();
                return Err(Error::Read(error.into()));
            }
        }
    }
    input.finish();
    Ok(())
}

/// A result that is too large for its frame. `held` is dropped when the client has it.
pub(super) fn send_value(
    client: &Arc<Client>,
    computation: u64,
    job: JobId,
    value: Bytes,
    held: (Option<Permit>, TaskTrackerToken),
) {
    let quic = client.connection.quic.clone();
    client.service.tasks.spawn(TaskKind::Stream, "value", async move {
        let mut stream = quic.open_uni().await.map_err(std::io::Error::from)?;
        let mut frame = BytesMut::new();
        let blob = Blob { computation, kind: BlobKind::Value, size: Some(value.len() as u64) };
        corovan_core::wire::frame::encode(&mut frame, Kind::Blob, job, &blob, &[])?;
        stream.write_all(&frame).await.map_err(std::io::Error::from)?;
        stream.write_all(&value).await.map_err(std::io::Error::from)?;
        if stream.finish().is_ok() {
            let _ = stream.stopped().await;
        }
        drop(held);
        Ok::<(), Error>(())
    });
}

/// All bytes up to the end of the stream, or how many there were when there were more than `limit`.
async fn read_to_end(start: Bytes, mut stream: RecvStream, limit: u64) -> Result<Result<Bytes, u64>, Error> {
    let mut bytes = BytesMut::from(&start[..]);
    while let Some(chunk) = stream.read_chunk(limits::READ_BYTES, true).await.map_err(std::io::Error::from)? {
        bytes.extend_from_slice(&chunk.bytes);
        if bytes.len() as u64 > limit {
            let _ = stream.stop(VarInt::from_u32(0));
            return Ok(Err(bytes.len() as u64));
        }
    }
    Ok(Ok(bytes.freeze()))
}
