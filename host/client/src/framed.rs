//! Frames over a byte stream, for both sides: a reader that cuts them out, a writer, and an outbox that many tasks fill
//! and one task writes, everything queued in one go.

use bytes::{Bytes, BytesMut};
use corovan_core::limits;
use corovan_core::wire::frame::{self, Decoder, Frame, Kind};
use parking_lot::Mutex;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Why no frame came or went.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Stream(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error("the stream ended inside a frame")]
    Truncated,
}

/// Reads frames. Holds at most one frame and one read's worth of bytes.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    decoder: Decoder,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R) -> Self {
        FrameReader { stream, buffer: BytesMut::new(), decoder: Decoder }
    }

    /// The next frame; `None` when the stream ended between frames. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(limits::READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Error::Truncated) };
            }
        }
    }

    /// A frame that has already arrived, without waiting for more.
    pub fn buffered(&mut self) -> Result<Option<Frame>, Error> {
        Ok(self.decoder.decode(&mut self.buffer)?)
    }

    /// For a stream whose first frame announces raw bytes: what was read beyond it, and the stream.
    pub fn into_parts(self) -> (Bytes, R) {
        (self.buffer.freeze(), self.stream)
    }

    pub fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }
}

/// Writes frames of one owner. Nothing is sent before [`FrameWriter::flush`].
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub fn new(stream: W) -> Self {
        FrameWriter { stream, buffer: BytesMut::new() }
    }

    pub fn queue<T: Serialize>(&mut self, kind: Kind, id: u64, head: &T, payload: &[u8]) -> Result<(), frame::Error> {
        frame::encode(&mut self.buffer, kind, id, head, payload)
    }

    pub fn queue_bare(&mut self, kind: Kind, id: u64, payload: &[u8]) -> Result<(), frame::Error> {
        frame::encode_bare(&mut self.buffer, kind, id, payload)
    }

    /// Writes everything queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        self.stream.flush().await
    }

    /// The stream, for raw bytes after a first frame. Flush before.
    pub fn into_inner(self) -> W {
        self.stream
    }

    pub fn stream_mut(&mut self) -> &mut W {
        &mut self.stream
    }
}

/// Frames on their way out, filled by any number of tasks without waiting. One task runs [`Outbox::write_to`].
///
/// `push` never waits and never refuses for lack of room: who produces without a bound of its own asks [`Outbox::room`]
/// first. Frames that are bounded otherwise (credit, cancel, one exit a job) need not.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Queue>);

/// How many bytes had been queued after a push; see [`Outbox::written`].
pub type Mark = u64;

#[derive(Debug)]
struct Queue {
    capacity: usize,
    state: Mutex<State>,
    /// Bytes taken by the stream so far, of all that was ever queued.
    written: AtomicU64,
    /// The writer waits here for work, everybody else for room or progress.
    work: Notify,
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffer: BytesMut,
    /// Everything ever queued.
    queued: u64,
    /// No more pushes; the writer finishes after what is queued.
    closed: bool,
    /// The stream failed; nothing will be written any more.
    broken: bool,
}

impl Outbox {
    pub fn new(capacity: usize) -> Self {
        Outbox(Arc::new(Queue {
            capacity,
            state: Mutex::default(),
            written: AtomicU64::new(0),
            work: Notify::new(),
            progress: Notify::new(),
        }))
    }

    /// Queues a frame. After [`Outbox::close`] or a failed stream it is dropped: its reader is gone.
    pub fn push<T: Serialize>(&self, kind: Kind, id: u64, head: &T, payload: &[u8]) -> Result<Mark, frame::Error> {
        self.append(|buffer| frame::encode(buffer, kind, id, head, payload))
    }

    /// Queues a frame without a head.
    pub fn push_bare(&self, kind: Kind, id: u64, payload: &[u8]) -> Result<Mark, frame::Error> {
        self.append(|buffer| frame::encode_bare(buffer, kind, id, payload))
    }

    /// Bytes queued and not yet taken by the stream.
    pub fn len(&self) -> usize {
        // In this order: what is written was queued before, while what was queued may be written any moment.
        let written = self.0.written.load(Ordering::Acquire);
        (self.0.state.lock().queued - written) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until less than the capacity is queued, or the stream has failed.
    pub async fn room(&self) {
        self.wait_until(|outbox| outbox.len() < outbox.0.capacity).await;
    }

    /// Waits until QUIC has taken everything up to `mark`, or the stream has failed.
    pub async fn written(&self, mark: Mark) {
        self.wait_until(|outbox| outbox.0.written.load(Ordering::Acquire) >= mark).await;
    }

    /// No more frames; the writer ends when all queued ones are written.
    pub fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.work.notify_one();
    }

    /// The writer's loop: writes whatever is queued in one call, until closed or the stream fails. Returns the stream's
    /// error; finishing the stream is left to the caller. Dropping this future breaks the outbox, so that nobody waits
    /// for room that never comes.
    pub async fn write_to<W: AsyncWrite + Unpin>(&self, stream: &mut W) -> io::Result<()> {
        let _broken = Break(self);
        let mut taken = BytesMut::new();
        loop {
            let closed = {
                let mut state = self.0.state.lock();
                std::mem::swap(&mut state.buffer, &mut taken);
                state.closed
            };
            if taken.is_empty() {
                if closed {
                    return Ok(());
                }
                self.0.work.notified().await;
                continue;
            }
            stream.write_all(&taken).await?;
            self.0.written.fetch_add(taken.len() as u64, Ordering::Release);
            self.0.progress.notify_waiters();
            taken.clear();
            if taken.capacity() > KEPT_BUFFER {
                taken = BytesMut::new();
            }
        }
    }

    fn append(&self, encode: impl FnOnce(&mut BytesMut) -> Result<(), frame::Error>) -> Result<Mark, frame::Error> {
        let mut state = self.0.state.lock();
        if state.closed || state.broken {
            return Ok(state.queued);
        }
        let before = state.buffer.len();
        encode(&mut state.buffer)?;
        let mark = state.queued + (state.buffer.len() - before) as u64;
        state.queued = mark;
        drop(state);
        if before == 0 {
            self.0.work.notify_one();
        }
        Ok(mark)
    }

    async fn wait_until(&self, done: impl Fn(&Outbox) -> bool) {
        loop {
            let progress = self.0.progress.notified();
            let mut progress = std::pin::pin!(progress);
            // Registered before the look, so that progress in between is not missed.
            progress.as_mut().enable();
            if done(self) || self.0.state.lock().broken {
                return;
            }
            progress.await;
        }
    }
}

struct Break<'a>(&'a Outbox);

impl Drop for Break<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.state.lock();
        state.broken = true;
        state.buffer = BytesMut::new();
        drop(state);
        self.0.0.progress.notify_waiters();
    }
}

/// A buffer that grew beyond this in a burst is given back.
const KEPT_BUFFER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::wire::records::Credit;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn what_is_queued_is_counted_right_while_others_queue_and_write() {
        let outbox = Outbox::new(1 << 20);
        std::thread::scope(|scope| {
            scope.spawn(|| runtime().block_on(outbox.write_to(&mut tokio::io::sink())).unwrap());
            let pushing = scope.spawn(|| {
                for id in 0..100_000 {
                    outbox.push_bare(Kind::Stdout, id, b"x").unwrap();
                }
                outbox.close();
            });
            while !pushing.is_finished() {
                assert!(outbox.len() <= 100_000 * (frame::HEADER + 1));
            }
        });
        assert!(outbox.is_empty());
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_cuts_them() {
        runtime().block_on(async {
            for pipe in [1, 7, 100, 1 << 20] {
                let (near, far) = tokio::io::duplex(pipe);
                let mut writer = FrameWriter::new(near);
                writer.queue(Kind::Credit, 7, &Credit { bytes: 9 }, b"").unwrap();
                writer.queue_bare(Kind::Stdout, 8, &[5; 1000]).unwrap();
                let write = async move {
                    writer.flush().await.unwrap();
                    drop(writer);
                };
                let read = async {
                    let mut reader = FrameReader::new(far);
                    let credit = reader.next().await.unwrap().unwrap();
                    assert_eq!((credit.id, credit.record::<Credit>().unwrap().bytes), (7, 9));
                    assert_eq!(reader.next().await.unwrap().unwrap().payload, vec![5; 1000]);
                    assert!(reader.next().await.unwrap().is_none());
                };
                tokio::join!(write, read);
            }
        });
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_not_a_clean_end() {
        runtime().block_on(async {
            let mut bytes = BytesMut::new();
            frame::encode_bare(&mut bytes, Kind::Stdout, 1, b"hello").unwrap();
            for cut in 1..bytes.len() {
                let mut reader = FrameReader::new(&bytes[..cut]);
                assert!(matches!(reader.next().await, Err(Error::Truncated)), "{cut}");
            }
        });
    }

    #[test]
    fn an_outbox_writes_everything_queued_and_waits_for_nothing_when_its_stream_is_gone() {
        runtime().block_on(async {
            let outbox = Outbox::new(100);
            let mark = outbox.push_bare(Kind::Stdout, 1, &[1; 200]).unwrap();
            let (mut near, far) = tokio::io::duplex(64);
            let mut reader = FrameReader::new(far);
            let all = async {
                outbox.room().await;
                outbox.written(mark).await;
                outbox.push_bare(Kind::Stdout, 2, b"last").unwrap();
                outbox.close();
                outbox.push_bare(Kind::Stdout, 3, b"too late").unwrap();
            };
            let write = async {
                outbox.write_to(&mut near).await.unwrap();
                drop(near);
            };
            let read = async {
                let mut ids = Vec::new();
                while let Some(frame) = reader.next().await.unwrap() {
                    ids.push(frame.id);
                }
                ids
            };
            let ((), (), ids) = tokio::join!(all, write, read);
            assert_eq!(ids, [1, 2]);

            let outbox = Outbox::new(1);
            let (mut near, far) = tokio::io::duplex(64);
            drop(far);
            let mark = outbox.push_bare(Kind::Stdout, 1, &[1; 200]).unwrap();
            let (wrote, ()) = tokio::join!(outbox.write_to(&mut near), outbox.written(mark));
            assert!(wrote.is_err());
            outbox.room().await;
        });
    }
}
