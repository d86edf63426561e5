//! What comes in: frames of each lane, once and in order, and marks. What the other node may not do is a [`Fault`].

use super::session::{Answer, Fault, Session};
use bytes::Bytes;
use corovan_core::link::credit::{Amount, Grant};
use corovan_core::link::frame::{self, Decoded, Decoder, Frame, Kind};
use corovan_core::link::lane::{Mark, Stream, Verdict};
use std::sync::Arc;
use std::task::Waker;

impl Session {
    /// Handles a piece of a lane's stream. `true`: it is to be acknowledged now, before more is read.
    pub(super) fn piece(
        self: &Arc<Self>,
        lane: usize,
        stream: &mut Stream,
        decoder: &mut Decoder,
        piece: Bytes,
    ) -> Result<bool, Fault> {
        decoder.feed(piece);
        let mut incoming = self.incoming[lane].lock();
        while let Some(decoded) = decoder.next().map_err(|error| Fault(error.to_string()))? {
            let size = match &decoded {
                Decoded::Frame(frame) => frame::HEADER + frame.payload.len(),
                Decoded::Ignored(size) => *size,
            };
            let verdict = incoming.accept(stream, size);
            if let (Decoded::Frame(frame), Verdict::New(_)) = (decoded, verdict) {
                if usize::from(frame.header.lane()) != lane {
                    return Err(Fault(format!("a {:?} in lane {lane}", frame.header.kind)));
                }
                self.frame(frame)?;
            }
        }
        Ok(incoming.is_due())
    }

    /// A mark of the connection's first stream.
    pub(super) fn mark(self: &Arc<Self>, mark: Mark) -> Result<(), Fault> {
        match mark {
            Mark::Lane { lane, number } => {
                // Decoding has seen that there is such a lane.
                let Some(lane) = self.lanes.get(usize::from(lane)) else { return Ok(()) };
                let (woken, more) = lane.out.lock().acknowledge(number)?;
                if more {
                    lane.work.notify_one();
                }
                woken.into_iter().for_each(Waker::wake);
            }
            Mark::Alive { answer: true } => self.pulse.lock().asked(self.clock.now()),
            Mark::Alive { answer: false } => {}
        }
        Ok(())
    }

    fn frame(self: &Arc<Self>, frame: Frame) -> Result<(), Fault> {
        let Frame { header, payload } = &frame;
        match header.kind {
            Kind::Message | Kind::Deliver | Kind::Request => {
                let ready = {
                    let mut lender = self.lender.lock();
                    lender.arrived(header.to, payload.len())?;
                    lender.is_ready()
                };
                self.inbox.message(self, frame)?;
                if ready {
                    self.grant_credit();
                }
            }
            Kind::Delivered | Kind::Reply | Kind::Unanswered | Kind::Answer => {
                let answered = self.calls.lock().answered(header.call)?;
                if let Some(answered) = answered {
                    // Shares memory with what was read around it, which a small one that waits should not keep.
                    let payload = match payload.len() {
                        len if len <= COPIED => Bytes::copy_from_slice(payload),
                        _ => payload.clone(),
                    };
                    // Whoever waited has just given up: nobody wants it.
                    drop(answered.send(Answer::Given { kind: header.kind, tag: header.tag, payload }));
                }
            }
            Kind::Call => self.inbox.call(self, frame)?,
            Kind::Grant => self.inbox.grant(self, frame)?,
            Kind::Exit => {
                let watcher = self.monitors.lock().answered(header.call)?;
                let exit = (header.flags, Bytes::copy_from_slice(payload));
                watcher.into_iter().for_each(|watcher| watcher.ended(Some(exit.clone())));
            }
            Kind::Credit => {
                let grant = Grant::from_header(header);
                let woken = self.borrower.lock().credited(header.from, grant, self.clock.now())?;
                woken.into_iter().for_each(Waker::wake);
                self.return_credit();
            }
            Kind::CreditReturn => {
                self.lender.lock().returned(header.to, Amount::new(header.call, header.tag))?;
                self.grant_credit();
            }
            Kind::Goodbye => {
                self.leave(&String::from_utf8_lossy(payload));
            }
        }
        Ok(())
    }
}

/// Bytes of an answer that are worth a copy.
const COPIED: usize = 4 << 10;
