//! Sending: room in the lane, then credit, then the frame, all under the lane's lock, so that credit is never taken for a
//! frame that is not sent. Who finds neither waits, and nobody else does.

use super::pass::Pass;
use super::session::Session;
use bytes::Bytes;
use corovan_core::link::credit::{self, Acquired, Fate, Ticket};
use corovan_core::link::frame::{self, CONTROL, Header};
use corovan_core::link::lane::Refused;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A frame that begins something and is not sent yet: a message, or a call. Dropped before, it was certainly not sent.
#[derive(Debug)]
pub struct Sending {
    session: Arc<Session>,
    pass: Option<Arc<Pass>>,
    pub header: Header,
    payload: [Bytes; 2],
    stage: Stage,
}

/// How far it has come.
#[derive(Clone, Copy, Default, Debug)]
enum Stage {
    #[default]
    New,
    /// Waits for room in the lane.
    Room(u64),
    /// Waits for credit, or has it and waits for room.
    Credit(Ticket, Option<u64>),
    Over,
}

/// Why a frame was certainly not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSent {
    #[error("it has ended, or was never there")]
    Gone,
    #[error("so many wait to send to that node already")]
    Overloaded,
    #[error("the node cannot be reached")]
    Lost,
    #[error(transparent)]
    Frame(frame::Error),
}

impl Session {
    /// Sends a frame that begins something, whose payload is these parts one after the other, if that needs no waiting.
    /// `Ok(false)`: it does.
    #[inline]
    pub fn send_now(&self, pass: Option<&Pass>, header: &Header, payload: &[&[u8]]) -> Result<bool, NotSent> {
        let mut stage = Stage::New;
        match self.advance(pass, header, payload, &mut stage, Waker::noop()) {
            Poll::Ready(sent) => sent.map(|()| true),
            Poll::Pending => {
                self.withdraw(header, stage);
                Ok(false)
            }
        }
    }

    /// The same with waiting.
    pub fn send(self: &Arc<Self>, pass: Option<Arc<Pass>>, header: Header, payload: [Bytes; 2]) -> Sending {
        Sending { session: Arc::clone(self), pass, header, payload, stage: Stage::New }
    }

    fn advance(
        &self,
        pass: Option<&Pass>,
        header: &Header,
        payload: &[&[u8]],
        stage: &mut Stage,
        waker: &Waker,
    ) -> Poll<Result<(), NotSent>> {
        let size = frame::size(header.kind, payload).map_err(NotSent::Frame)?;
        let number = usize::from(header.lane());
        let lane = &self.lanes[number];
        let mut out = lane.out.lock();
        // A computation is shown in each lane before what is done for it.
        let shows = pass.filter(|pass| !pass.is_shown(number));
        let room = size + shows.map_or(0, |pass| frame::HEADER + pass.bytes().len());
        if out.has_ended() {
            *stage = Stage::Over;
            return Poll::Ready(Err(NotSent::Lost));
        }
        let (ticket, waits) = match *stage {
            Stage::New => (None, None),
            Stage::Room(number) => (None, Some(number)),
            Stage::Credit(ticket, waits) => (Some(ticket), waits),
            Stage::Over => return Poll::Ready(Ok(())),
        };
        if !out.has_room(header, room) {
            let number = out.wait(waits, waker.clone());
            *stage = ticket.map_or(Stage::Room(number), |ticket| Stage::Credit(ticket, Some(number)));
            return Poll::Pending;
        }
        waits.into_iter().for_each(|number| out.withdraw(number));
        if header.kind.needs_credit() {
            let len = size - frame::HEADER;
            let mut borrower = self.borrower.lock();
            let granted = match ticket {
                None => match borrower.acquire(header.to, len, self.clock.now(), || waker.clone()) {
                    Acquired::Now => Ok(()),
                    Acquired::Wait(ticket) => {
                        *stage = Stage::Credit(ticket, None);
                        drop((borrower, out));
                        // Somebody may have to give up a place for this one.
                        self.return_credit();
                        return Poll::Pending;
                    }
                    Acquired::Gone => Err(NotSent::Gone),
                    Acquired::Overloaded => Err(NotSent::Overloaded),
                    Acquired::Lost => Err(NotSent::Lost),
                },
                Some(ticket) => match borrower.fate(header.to, ticket) {
                    Fate::Granted => Ok(()),
                    Fate::Waiting => {
                        *stage = Stage::Credit(ticket, None);
                        return Poll::Pending;
                    }
                    Fate::Gone => Err(NotSent::Gone),
                    Fate::Lost => Err(NotSent::Lost),
                },
            };
            if let Err(refused) = granted {
                *stage = Stage::Over;
                return Poll::Ready(Err(refused));
            }
        }
        *stage = Stage::Over;
        let mut idle = false;
        let mut header = *header;
        header.grant = pass.map_or(0, |pass| pass.number);
        if let Some(pass) = shows {
            idle = out.push(&pass.header(&header), &[pass.bytes()]).map_err(not_pushed)?;
            pass.set_shown(number);
        }
        let pushed = out.push(&header, payload).map(|was_idle| was_idle || idle);
        drop(out);
        match pushed {
            Ok(true) => lane.work.notify_one(),
            Ok(false) => {}
            Err(refused) => return Poll::Ready(Err(not_pushed(refused))),
        }
        Poll::Ready(Ok(()))
    }

    fn withdraw(&self, header: &Header, stage: Stage) {
        let lane = &self.lanes[usize::from(header.lane())];
        let (ticket, waits) = match stage {
            Stage::New | Stage::Over => return,
            Stage::Room(number) => (None, Some(number)),
            Stage::Credit(ticket, waits) => (Some(ticket), waits),
        };
        waits.into_iter().for_each(|number| lane.out.lock().withdraw(number));
        let woken = ticket.map(|ticket| self.borrower.lock().withdraw(header.to, ticket)).unwrap_or_default();
        woken.into_iter().for_each(Waker::wake);
    }

    /// A large answer would be taken now, or the lane holds little. Others are queued.
    pub fn has_room_for(&self, header: &Header, len: usize) -> bool {
        let lane = &self.lanes[usize::from(header.lane())];
        let mut out = lane.out.lock();
        (len <= SMALL && !out.is_jammed()) || out.has_room(header, frame::HEADER + len)
    }

    /// Answers wait where this frame would go, so many that only what must be told should be; beyond a bound, the session ends.
    pub fn is_jammed(&self, header: &Header) -> bool {
        self.lanes[usize::from(header.lane())].out.lock().is_jammed()
    }

    /// Gives back credit that is not used.
    pub(super) fn return_credit(&self) {
        let lane = &self.lanes[usize::from(CONTROL)];
        let mut wake = false;
        {
            let mut out = lane.out.lock();
            while !out.has_ended() && out.has_room(&ANSWER, frame::HEADER) {
                let Some((mailbox, sent)) = self.borrower.lock().poll(self.clock.now()) else { break };
                // There is room, and such a frame has no payload.
                wake |= out.push(&credit::return_header(mailbox, sent), &[]).unwrap_or(false);
            }
        }
        if wake {
            lane.work.notify_one();
        }
    }

    /// Says what the other node may send.
    pub(super) fn grant_credit(&self) {
        let lane = &self.lanes[usize::from(CONTROL)];
        let mut wake = false;
        {
            let mut out = lane.out.lock();
            while !out.has_ended() && out.has_room(&ANSWER, frame::HEADER) {
                let Some((mailbox, grant)) = self.lender.lock().poll() else { break };
                wake |= out.push(&grant.header(mailbox), &[]).unwrap_or(false);
            }
        }
        if wake {
            lane.work.notify_one();
        }
    }
}

impl Sending {
    /// Ready when the frame is in its lane.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotSent>> {
        let Sending { session, pass, header, payload, stage } = self;
        session.advance(pass.as_deref(), header, &[&payload[0], &payload[1]], stage, cx.waker())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.session.withdraw(&self.header, self.stage);
    }
}

/// Bytes of an answer that is queued in any case.
const SMALL: usize = 4 << 10;

/// Room was seen under the lock, so this does not come up.
fn not_pushed(refused: Refused) -> NotSent {
    match refused {
        Refused::Full => NotSent::Overloaded,
        Refused::Frame(error) => NotSent::Frame(error),
    }
}

/// Frames about credit take the room that answers have.
const ANSWER: Header = Header {
    kind: frame::Kind::Credit,
    flags: 0,
    grant: 0,
    call: 0,
    tag: 0,
    to: frame::Local { counter: 0, secret: 0 },
    from: frame::Local { counter: 0, secret: 0 },
};
