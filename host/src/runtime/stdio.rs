//! Standard streams of a coroutine: bounded both ways. A full buffer makes the writer wait; nothing is dropped.

use bytes::{Bytes, BytesMut};
use corovan_core::limits;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

/// Which of the two output streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Output on its way to the client: the guest fills, the session drains under the client's credit.
#[derive(Debug, Default)]
pub struct Output {
    state: Mutex<OutputState>,
}

#[derive(Debug, Default)]
struct OutputState {
    chunks: VecDeque<(Stream, Vec<u8>)>,
    bytes: usize,
    /// Nobody drains any more: writes succeed and vanish, as into a closed pipe that nobody told.
    detached: bool,
    /// Coroutines of one job write to the same output; each is here once.
    writers: Writers,
}

/// By what tells one waker from another.
type Writers = BTreeMap<usize, Waker>;

/// Input on its way to the guest: the session fills, the guest drains.
#[derive(Debug, Default)]
pub struct Input {
    state: Mutex<InputState>,
}

#[derive(Debug, Default)]
struct InputState {
    chunks: VecDeque<BytesMut>,
    bytes: usize,
    open: bool,
    reader: Option<Waker>,
    feeder: Option<Waker>,
}

impl Output {
    /// Takes as much of `data` as there is room for. Ready with the number of bytes taken and whether the buffer was
    /// empty before (the drainer must be told).
    pub fn poll_write(&self, cx: &mut Context<'_>, stream: Stream, data: &[u8]) -> Poll<(usize, bool)> {
        let mut state = self.state.lock();
        if state.detached || data.is_empty() {
            return Poll::Ready((data.len(), false));
        }
        let room = limits::OUTPUT_BUFFER.saturating_sub(state.bytes);
        // Small pieces of two streams by turns take more room than their bytes.
        let crowded = state.chunks.len() >= limits::OUTPUT_PIECES;
        if room == 0 || crowded {
            state.await_room(cx);
            return Poll::Pending;
        }
        let (taken, was_empty) = (&data[..room.min(data.len())], state.bytes == 0);
        match state.chunks.back_mut() {
            Some((last, chunk)) if *last == stream => chunk.extend_from_slice(taken),
            _ => state.chunks.push_back((stream, taken.to_vec())),
        }
        state.bytes += taken.len();
        Poll::Ready((taken.len(), was_empty))
    }

    /// Ready when a write would take at least one byte.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.detached || state.bytes < limits::OUTPUT_BUFFER && state.chunks.len() < limits::OUTPUT_PIECES {
            return Poll::Ready(());
        }
        state.await_room(cx);
        Poll::Pending
    }

    /// Takes up to `max` bytes of one stream, in the order they were written.
    pub fn take(&self, max: usize) -> Option<(Stream, Vec<u8>)> {
        let (chunk, writers) = {
            let mut state = self.state.lock();
            if max == 0 {
                return None;
            }
            let (stream, mut chunk) = state.chunks.pop_front()?;
            if chunk.len() > max {
                let rest = chunk.split_off(max);
                state.chunks.push_front((stream, rest));
            }
            state.bytes -= chunk.len();
            ((stream, chunk), std::mem::take(&mut state.writers))
        };
        writers.into_values().for_each(Waker::wake);
        Some(chunk)
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.state.lock().bytes
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is there will be drained, and nothing else is taken: writes succeed and vanish.
    pub fn close(&self) {
        let writers = {
            let mut state = self.state.lock();
            state.detached = true;
            std::mem::take(&mut state.writers)
        };
        writers.into_values().for_each(Waker::wake);
    }

    /// Nobody will drain any more.
    pub fn detach(&self) {
        let writers = {
            let mut state = self.state.lock();
            state.detached = true;
            state.chunks.clear();
            state.bytes = 0;
            std::mem::take(&mut state.writers)
        };
        writers.into_values().for_each(Waker::wake);
    }
}

impl OutputState {
    /// Whoever finds no room is woken when there is some, or nobody drains any more; all are, since one may have ended.
    fn await_room(&mut self, cx: &Context<'_>) {
        self.writers.insert(cx.waker().data().addr(), cx.waker().clone());
    }
}

impl Input {
    /// An input at its end.
    pub fn empty() -> &'static Input {
        static EMPTY: Input = Input {
            state: Mutex::new(InputState {
                chunks: VecDeque::new(),
                bytes: 0,
                open: false,
                reader: None,
                feeder: None,
            }),
        };
        &EMPTY
    }

    /// An input that somebody will fill; the default one is at its end.
    pub fn open() -> Input {
        Input { state: Mutex::new(InputState { open: true, ..InputState::default() }) }
    }

    /// Up to `max` bytes; empty at the end of input.
    pub fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Bytes> {
        let (data, feeder) = {
            let mut state = self.state.lock();
            if max == 0 {
                return Poll::Ready(Bytes::new());
            }
            let Some(mut chunk) = state.chunks.pop_front() else {
                if !state.open {
                    return Poll::Ready(Bytes::new());
                }
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let data = chunk.split_to(max.min(chunk.len()));
            if !chunk.is_empty() {
                state.chunks.push_front(chunk);
            }
            state.bytes -= data.len();
            (data.freeze(), state.feeder.take())
        };
        feeder.into_iter().for_each(Waker::wake);
        Poll::Ready(data)
    }

    /// Ready with the number of bytes a read would find (0: the end).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut state = self.state.lock();
        if state.bytes > 0 || !state.open {
            return Poll::Ready(state.bytes);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Hands bytes over when there is room. `Err` when the coroutine has ended: nobody will read them.
    pub fn poll_feed(&self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), Closed>> {
        let reader = {
            let mut state = self.state.lock();
            if !state.open {
                return Poll::Ready(Err(Closed));
            }
            let room = limits::STDIN_BUFFER.saturating_sub(state.bytes);
            if room == 0 && !data.is_empty() {
                state.feeder = Some(cx.waker().clone());
                return Poll::Pending;
            }
            // Copied: a piece as it came is part of a packet, which would stay with it, and may be a single byte.
            let part = data.split_to(room.min(data.len()));
            state.bytes += part.len();
            match state.chunks.back_mut() {
                Some(last) if part.len() < INPUT_PIECE && last.len() < INPUT_PIECE => last.extend_from_slice(&part),
                _ if part.is_empty() => {}
                _ => state.chunks.push_back(BytesMut::from(&part[..])),
            }
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
        if data.is_empty() { Poll::Ready(Ok(())) } else { self.poll_feed(cx, data) }
    }

    /// No more input: the guest reads what is there and then the end.
    pub fn finish(&self) {
        let (reader, feeder) = {
            let mut state = self.state.lock();
            state.open = false;
            (state.reader.take(), state.feeder.take())
        };
        reader.into_iter().chain(feeder).for_each(Waker::wake);
    }
}

/// Pieces of input smaller than this are put together.
const INPUT_PIECE: usize = 4 << 10;

/// The reading side is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn output_keeps_order_across_streams_and_makes_a_full_writer_wait() {
        let output = Output::default();
        assert_eq!(output.poll_write(&mut cx(), Stream::Stdout, b"ab"), Poll::Ready((2, true)));
        assert_eq!(output.poll_write(&mut cx(), Stream::Stdout, b"c"), Poll::Ready((1, false)));
        assert_eq!(output.poll_write(&mut cx(), Stream::Stderr, b"d"), Poll::Ready((1, false)));
        let big = vec![b'x'; limits::OUTPUT_BUFFER];
        assert_eq!(output.poll_write(&mut cx(), Stream::Stdout, &big), Poll::Ready((limits::OUTPUT_BUFFER - 4, false)));
        assert_eq!(output.poll_write(&mut cx(), Stream::Stdout, b"y"), Poll::Pending);
        assert_eq!(output.take(2), Some((Stream::Stdout, b"ab".to_vec())));
        assert_eq!(output.take(10), Some((Stream::Stdout, b"c".to_vec())));
        assert_eq!(output.take(10), Some((Stream::Stderr, b"d".to_vec())));
        assert_eq!(output.poll_writable(&mut cx()), Poll::Ready(()));
        while output.take(limits::OUTPUT_BUFFER).is_some() {}
        let mut pieces = 0;
        while output.poll_write(&mut cx(), [Stream::Stdout, Stream::Stderr][pieces % 2], b"z").is_ready() {
            pieces += 1;
        }
        assert_eq!((pieces, output.len()), (limits::OUTPUT_PIECES, limits::OUTPUT_PIECES), "one byte each");
        assert_eq!(output.poll_writable(&mut cx()), Poll::Pending);
        output.detach();
        assert!(output.is_empty());
        assert_eq!(output.poll_write(&mut cx(), Stream::Stdout, &big), Poll::Ready((big.len(), false)));
    }

    #[test]
    fn of_several_who_wait_for_room_each_is_woken_once() {
        #[derive(Default)]
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let output = Output::default();
        let full = vec![b'x'; limits::OUTPUT_BUFFER];
        assert!(output.poll_write(&mut cx(), Stream::Stdout, &full).is_ready());
        let coroutines: [Arc<Count>; 3] = Default::default();
        for coroutine in coroutines.iter().chain(&coroutines) {
            let waker = Waker::from(Arc::clone(coroutine));
            assert!(output.poll_write(&mut Context::from_waker(&waker), Stream::Stdout, b"y").is_pending());
        }
        let woken = || coroutines.each_ref().map(|coroutine| coroutine.0.load(Ordering::Relaxed));
        assert_eq!(woken(), [0, 0, 0]);
        output.take(1);
        assert_eq!(woken(), [1, 1, 1]);
        output.take(1);
        assert_eq!(woken(), [1, 1, 1], "nobody waits any more");
    }

    #[test]
    fn input_is_bounded_and_ends() {
        let input = Input::open();
        assert_eq!(input.poll_read(&mut cx(), 10), Poll::Pending);
        let mut data = Bytes::from(vec![1; limits::STDIN_BUFFER + 5]);
        assert_eq!(input.poll_feed(&mut cx(), &mut data), Poll::Pending);
        assert_eq!(data.len(), 5);
        assert_eq!(input.poll_read(&mut cx(), 10).map(|data| data.len()), Poll::Ready(10));
        assert_eq!(input.poll_feed(&mut cx(), &mut data), Poll::Ready(Ok(())));
        input.finish();
        assert_eq!(input.poll_feed(&mut cx(), &mut Bytes::from_static(b"z")), Poll::Ready(Err(Closed)));
        let mut rest = 0;
        while let Poll::Ready(data) = input.poll_read(&mut cx(), 1 << 20) {
            if data.is_empty() {
                break;
            }
            rest += data.len();
        }
        assert_eq!(rest, limits::STDIN_BUFFER - 5);
        assert_eq!(Input::default().poll_read(&mut cx(), 1), Poll::Ready(Bytes::new()), "no stdin: at its end");
    }
}
