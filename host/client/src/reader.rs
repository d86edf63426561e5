//! What a node sends: frames of a control stream to their jobs and specs, large values to the exits that wait for them.
//! Nothing here waits for the user: what a node may send is bounded by credit and by what a job keeps.

use crate::computation::{Shared, SpecAnswer};
use crate::error::{Error, Lost, printable};
use crate::framed::{self, FrameReader};
use crate::job::Cell;
use crate::node::Registry;
use crate::transport;
use bytes::{Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::durable::Accepted;
use corovan_core::wire::exit::{ExitHead, ExitRecord};
use corovan_core::wire::frame::{Frame, Kind};
use corovan_core::wire::jobs::Queued;
use corovan_core::wire::records::{Blob, BlobKind, Closed, Log, Placed, Progress, Refused, Started};
use std::sync::{Arc, Weak};
use tokio::io::AsyncReadExt;

/// Reads a control stream to its end, then ends the computation.
pub(crate) async fn read_frames(
    shared: Arc<Shared>,
    connection: quinn::Connection,
    mut reader: FrameReader<quinn::RecvStream>,
) {
    let result = loop {
        match reader.next().await {
            Ok(Some(frame)) => match take_frame(&shared, frame) {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(error) => break Err(error),
            },
            Ok(None) => break Err(shared.peer.protocol("it ended the stream without saying why")),
            Err(framed::Error::Stream(error)) => {
                break Err(match connection.close_reason() {
                    Some(reason) => shared.peer.lost_error(&reason),
                    None => shared.peer.protocol(error),
                });
            }
            Err(error) => break Err(shared.peer.protocol(error)),
        }
    };
    if let Err(error @ Error::NodeLost { why: Lost::Protocol(_), .. }) = &result {
        tracing::warn!(node = shared.peer.node, %error, "ending a computation");
        let _ = reader.stream_mut().stop(transport::close_code(Some(Code::Protocol)));
    }
    shared.end(result);
}

/// Accepts the node's streams until the connection ends. How many there are at a time is bounded by the transport.
pub(crate) async fn accept_streams(connection: quinn::Connection, registry: Registry) {
    while let Ok(stream) = connection.accept_uni().await {
        let registry = registry.clone();
        tokio::spawn(async move {
            let mut reader = FrameReader::new(stream);
            if let Some((shared, id)) = announced(&mut reader, &registry).await
                && let Err(why) = read_value(&shared, id, reader).await
            {
                shared.end(Err(shared.peer.protocol(why)));
                shared.lose_job(id);
            }
        });
    }
    let computations: Vec<_> = registry.lock().values().filter_map(Weak::upgrade).collect();
    computations.iter().for_each(|shared| shared.streams_ended());
}

/// One frame. `Some` when the node has said that the computation is over.
fn take_frame(shared: &Arc<Shared>, frame: Frame) -> Result<Option<Result<(), Error>>, Error> {
    let broken = |error: &dyn std::fmt::Display| shared.peer.protocol(error);
    let id = frame.id;
    match frame.kind {
        Kind::Stdout | Kind::Stderr => {
            if let Some(cell) = shared.job(id) {
                let stderr = frame.kind == Kind::Stderr;
                cell.output(id, stderr, &frame.payload, shared).map_err(|why| broken(&why))?;
            }
        }
        Kind::Accepted => {
            let accepted: Accepted = frame.record().map_err(|error| broken(&error))?;
            // One that is not in the table was given up here.
            shared.take_durable(id).into_iter().for_each(|waiting| waiting.answer(Ok(accepted)));
        }
        Kind::Exit => exit(shared, id, frame)?,
        Kind::Started => {
            let Started { address } = frame.record().map_err(|error| broken(&error))?;
            with_job(shared, id, |cell| cell.started(address));
        }
        Kind::Placed => {
            let placed: Placed = frame.record().map_err(|error| broken(&error))?;
            with_job(shared, id, |cell| cell.placed(placed));
        }
        Kind::Queued => {
            let Queued { position } = frame.record().map_err(|error| broken(&error))?;
            with_job(shared, id, |cell| cell.queued(position));
        }
        Kind::Progress => {
            let progress: Progress = frame.record().map_err(|error| broken(&error))?;
            with_job(shared, id, |cell| cell.progress(progress));
        }
        Kind::Log => {
            let log: Log = frame.record().map_err(|error| broken(&error))?;
            with_job(shared, id, |cell| cell.log(log));
        }
        Kind::NeedModule => shared.answer_spec(id, SpecAnswer::NeedModule)?,
        Kind::Prepared => shared.answer_spec(id, SpecAnswer::Prepared)?,
        Kind::Refused => {
            let refused: Refused = frame.record().map_err(|error| broken(&error))?;
            shared.answer_spec(id, SpecAnswer::Refused(refused))?;
        }
        Kind::Mailed | Kind::Answered | Kind::Part => {
            shared.mail.take(id, &frame).map_err(|why| broken(&why))?;
        }
        Kind::Closed => {
            let closed: Closed = frame.record().map_err(|error| broken(&error))?;
            return Ok(Some(match closed.code {
                None if shared.open_jobs() == 0 => Ok(()),
                None => Err(broken(&"it closed the computation with jobs open")),
                code => Err(shared.peer.lost(Lost::Closed { code, text: printable(&closed.text) })),
            }));
        }
        // A client's own frames and a second `Opened` have no place here.
        other => return Err(broken(&format!("unexpected {other:?} frame"))),
    }
    Ok(None)
}

/// A job that is not in the table was dropped by its user and has ended since, or never was; both are none of ours.
fn with_job(shared: &Shared, id: u64, act: impl FnOnce(&Cell)) {
    if let Some(cell) = shared.job(id) {
        act(&cell);
    }
}

fn exit(shared: &Arc<Shared>, id: u64, frame: Frame) -> Result<(), Error> {
    let head: ExitHead = frame.record().map_err(|error| shared.peer.protocol(error))?;
    if let Some(waiting) = shared.take_durable(id) {
        waiting.answer(Err(shared.not_accepted(ExitRecord::from_head(head, Bytes::new()).outcome)));
        return Ok(());
    }
    match head.blob {
        None => {
            if let Some(cell) = shared.forget_job(id) {
                cell.exit(head, detached(frame.payload));
            }
        }
        Some(size) if size > limits::RESULT_BYTES as u64 => {
            return Err(shared.peer.protocol(format!("a result of {size} bytes is over the limit")));
        }
        // It stays in the table until the value is here.
        Some(_) => {
            if let Some(cell) = shared.job(id) {
                cell.exit_with_blob(head).map_err(|why| shared.peer.protocol(why))?;
            }
        }
    }
    Ok(())
}

/// Which computation and job a stream is for; `None` for what nobody waits for.
async fn announced(reader: &mut FrameReader<quinn::RecvStream>, registry: &Registry) -> Option<(Arc<Shared>, u64)> {
    let frame = reader.next().await.ok()??;
    let blob: Blob = (frame.kind == Kind::Blob).then(|| frame.record().ok())??;
    let shared = registry.lock().get(&blob.computation).and_then(Weak::upgrade)?;
    (blob.kind == BlobKind::Value).then_some((shared, frame.id))
}

async fn read_value(shared: &Shared, id: u64, reader: FrameReader<quinn::RecvStream>) -> Result<(), String> {
    let Some(cell) = shared.job(id) else { return Ok(()) };
    // Nothing is read before the exit has said how much it will be.
    let Some(head) = cell.blob_head().await else { return Ok(()) };
    let size = head.blob.unwrap_or_default();
    let (first, mut stream) = reader.into_parts();
    let mut value = BytesMut::from(&first[..]);
    let fault = |why: &str| Err(format!("the result of job {id} {why}"));
    loop {
        if value.len() as u64 > size {
            return fault("has more bytes than announced");
        }
        value.reserve(limits::READ_BYTES);
        match stream.read_buf(&mut value).await {
            Ok(0) if value.len() as u64 == size => break,
            Ok(0) => return fault("has fewer bytes than announced"),
            Ok(_) => {}
            // The computation has ended, or the connection, of which the control stream's reader learns as well.
            Err(error) if shared.failure().is_some() || error.kind() == std::io::ErrorKind::NotConnected => {
                shared.ended().await;
                shared.lose_job(id);
                return Ok(());
            }
            Err(error) => return fault(&format!("was cut off: {error}")),
        }
    }
    if let Some(cell) = shared.forget_job(id) {
        cell.exit(head, value.freeze());
    }
    Ok(())
}

/// A small payload is copied, so that it does not keep the whole read buffer it came in alive.
fn detached(payload: Bytes) -> Bytes {
    if payload.len() < DETACH { Bytes::copy_from_slice(&payload) } else { payload }
}

const DETACH: usize = 16 << 10;
