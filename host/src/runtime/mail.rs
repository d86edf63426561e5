//! Sending and receiving between coroutines of this node, and how long a call may wait.

use super::control::{Control, Waits};
use super::launch::Runtime;
use super::message::{Kind, Letter, Parcel, Payload, ReplyTo};
use super::post::Refused;
use super::refusal::Refusal;
use super::ties::Answer;
use super::timers::Sleep;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::sync::mailbox::{Fate, Filter, Ticket};
use corovan_core::tenancy::quota::{Permit, Resource};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// `timeout` for ever.
pub const FOREVER: u64 = u64::MAX;

/// How long a call may wait: not at all, until a moment, or for ever.
pub enum Patience {
    None,
    Until(Sleep),
    /// Most calls that wait: they need no timer, and so no hold on the scheduler.
    Forever,
}

/// A send that found no room. Boxed where it is given on: it is large, and rare.
#[derive(Debug)]
pub struct Unsent {
    to: Arc<Control>,
    letter: Letter,
}

/// What a coroutine that receives can take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of its buffer.
    pub buffer: usize,
    /// It may keep what does not fit under a token.
    pub token: bool,
}

impl Runtime {
    /// How long a call that begins now may wait.
    pub fn patience(&self, timeout: u64) -> Patience {
        match timeout {
            0 => Patience::None,
            FOREVER => Patience::Forever,
            _ => Patience::Until(self.scheduler.sleep_until(self.clock().now().saturating_add(timeout))),
        }
    }
}

impl Patience {
    /// Ready when the time is over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Patience::None => Poll::Ready(()),
            Patience::Until(sleep) => Pin::new(sleep).poll(cx),
            Patience::Forever => Poll::Pending,
        }
    }

    /// Nanoseconds from now on; `u64::MAX`: for ever.
    pub fn left(&self, now: u64) -> u64 {
        match self {
            Patience::None => 0,
            Patience::Until(sleep) => sleep.deadline().saturating_sub(now),
            Patience::Forever => FOREVER,
        }
    }

    /// The call does not wait at all.
    pub fn is_none(&self) -> bool {
        matches!(self, Patience::None)
    }
}

/// A message of `bytes` is too large? Asked before it is copied.
pub fn check_size(len: u32) -> Result<(), Refusal> {
    if len as usize <= limits::MESSAGE_BYTES {
        return Ok(());
    }
    let text = format!(
        "a message of {len} bytes is over the limit of {} (MESSAGE_BYTES): send it in parts, or a reference to it",
        limits::MESSAGE_BYTES
    );
    Err(Refusal::new(Code::TooLarge, text))
}

/// Sends a message of `size` bytes without waiting; it is made where it will lie. `Ok(Some)`: there is no room yet. Errors:
/// gone, overloaded (the tenant's quota).
#[inline]
pub fn try_send(
    from: &Control,
    to: &Arc<Control>,
    size: usize,
    make: impl FnOnce() -> Letter,
) -> Result<Option<Box<Unsent>>, Refusal> {
    let outcome = put(to, size, make);
    if matches!(outcome, Ok(None)) {
        from.traffic.sent(size);
    }
    outcome
}

/// The same for a message that no coroutine sends itself.
#[inline]
pub(super) fn put(
    to: &Arc<Control>,
    size: usize,
    make: impl FnOnce() -> Letter,
) -> Result<Option<Box<Unsent>>, Refusal> {
    let mut post = to.post.lock();
    match post.admits(size, 0) {
        Ok(()) => {
            post.put_and_wake(make());
            Ok(None)
        }
        Err(refused) => {
            drop(post);
            match refused {
                Refused::Full => Ok(Some(Box::new(Unsent { to: Arc::clone(to), letter: make() }))),
                Refused::Closed => Err(Refusal::gone(to.address)),
                Refused::Quota(exhausted) => Err(exhausted.into()),
            }
        }
    }
}

/// An ordinary message.
#[inline]
pub fn letter(sender: Address, tag: u64, payload: Payload) -> Letter {
    Letter { kind: Kind::Message, tag, sender, via: 0, size: payload.len(), body: Parcel::from(payload) }
}

impl Unsent {
    /// Waits for room. Errors: gone, overloaded, timeout, interrupted.
    pub async fn wait(self: Box<Self>, from: &Arc<Control>, mut patience: Patience) -> Result<(), Refusal> {
        let Unsent { to, mut letter } = *self;
        let size = letter.size;
        if Arc::ptr_eq(from, &to) {
            let text = "its own mailbox is full: receive before sending to oneself";
            return Err(Refusal::new(Code::Overloaded, text));
        }
        if patience.is_none() {
            let text = format!("the mailbox of {} is full ({} messages)", to.address, to.post.lock().mailbox.len());
            return Err(Refusal::new(Code::Overloaded, text));
        }
        if size as u64 > limits::MAILBOX_FREE {
            // What waits to be taken is kept all the same.
            letter.body.held = Some(from.group.tenant.ledger.take(Resource::Held, size as u64)?);
        }
        let mut letter = Some(letter);
        let mut queued: Option<Queued<'_>> = None;
        let _waits = from.doing.wait(Waits::Send);
        let outcome = std::future::poll_fn(|cx| {
            let waiting = match &mut queued {
                Some(waiting) => waiting,
                None => {
                    let Some(letter) = letter.take() else { return Poll::Ready(Ok(())) };
                    let mut post = to.post.lock();
                    match post.admits(size, 0) {
                        Err(Refused::Full) => {
                            let (ticket, receiver) = post.wait(letter, cx.waker().clone());
                            drop(post);
                            receiver.into_iter().for_each(Waker::wake);
                            queued.insert(Queued::new(&to, ticket))
                        }
                        Err(Refused::Closed) => return Poll::Ready(Err(Refusal::gone(to.address))),
                        Err(Refused::Quota(exhausted)) => return Poll::Ready(Err(exhausted.into())),
                        Ok(()) => {
                            post.put_and_wake(letter);
                            return Poll::Ready(Ok(()));
                        }
                    }
                }
            };
            match waiting.fate() {
                Fate::Accepted => return Poll::Ready(Ok(())),
                Fate::Refused => return Poll::Ready(Err(Refusal::gone(to.address))),
                Fate::Waiting => {}
            }
            let given_up = match from.take_interrupt() {
                Some(reason) => Refusal::new(Code::Interrupted, reason),
                None if patience.poll(cx).is_ready() => {
                    Refusal::timeout("the receiver's mailbox had no room in time: the message was not sent")
                }
                None => return Poll::Pending,
            };
            if waiting.withdraw() {
                return Poll::Ready(Err(given_up));
            }
            // Between the look and now it was taken: then it was sent, and the interrupt is for the next call.
            if given_up.code == Code::Interrupted {
                from.interrupt(&given_up.detail);
            }
            Poll::Ready(Ok(()))
        })
        .await;
        if outcome.is_ok() {
            from.traffic.sent(size);
        }
        outcome
    }
}

/// A letter in the queue of senders; withdrawn when dropped.
pub(super) struct Queued<'a> {
    to: &'a Arc<Control>,
    ticket: Option<Ticket>,
}

impl<'a> Queued<'a> {
    pub fn new(to: &'a Arc<Control>, ticket: Ticket) -> Queued<'a> {
        Queued { to, ticket: Some(ticket) }
    }

    pub fn fate(&mut self) -> Fate {
        let Some(ticket) = self.ticket else { return Fate::Accepted };
        let fate = self.to.post.lock().fate(ticket);
        if fate != Fate::Waiting {
            self.ticket = None;
        }
        fate
    }

    /// `true`: it was not sent, and will not be.
    pub fn withdraw(&mut self) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let (withdrawn, fate, receiver) = {
            let mut post = self.to.post.lock();
            let withdrawn = post.mailbox.withdraw(ticket);
            let receiver = post.receiver(withdrawn.as_ref().is_some_and(|(_, wake, _)| *wake));
            (withdrawn, post.fate(ticket), receiver)
        };
        receiver.into_iter().for_each(Waker::wake);
        match withdrawn {
            Some((_, _, senders)) => {
                senders.into_iter().for_each(Waker::wake);
                true
            }
            None => fate == Fate::Refused,
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// There is no message, and the next wakes the coroutine. `false`: [`try_receive`] is to look.
#[inline]
pub fn has_to_wait(control: &Control, filter: &Filter) -> bool {
    filter.is_any() && control.post.is_awaited() && !control.is_interrupted()
}

/// Takes the oldest message that the filter takes: `give` reads it where it lies, with what the tenant is charged for it if
/// it does not fit the buffer, under the mailbox's lock. `None`: there is none, and the next such wakes the coroutine.
/// Errors: interrupted, overloaded.
#[inline]
pub fn try_receive<R>(
    control: &Control,
    filter: &Filter,
    room: Room,
    give: impl FnOnce(&mut Letter, Option<Permit>) -> R,
) -> Option<Result<R, Refusal>> {
    if let Some(reason) = control.take_interrupt() {
        return Some(Err(Refusal::new(Code::Interrupted, reason)));
    }
    let mut post = control.post.lock();
    let Some(place) = post.mailbox.find(filter) else {
        // What comes in reserved room comes all the same.
        if !filter.is_any() && !filter.kind.is_some_and(Kind::is_reserved) && post.mailbox.is_full() {
            let text = format!(
                "the mailbox is full ({} messages) and none is wanted: receive what is there",
                post.mailbox.len()
            );
            return Some(Err(Refusal::new(Code::Overloaded, text)));
        }
        post.mailbox.await_letter(filter);
        return None;
    };
    let size = post.mailbox.get(place).map_or(0, |letter| letter.body.payload.len());
    let held = match claim(control, size, room) {
        Ok(held) => held,
        Err(refusal) => return Some(Err(refusal)),
    };
    let (given, senders) = post.take(place, |letter| give(letter, held))?;
    if post.mailbox.is_empty() {
        // It will want the next: see `postbox`. Where it does not, that costs a poll.
        post.mailbox.await_letter(&Filter::ANY);
    }
    drop(post);
    senders.into_iter().for_each(Waker::wake);
    control.traffic.received(size);
    Some(Ok(given))
}

/// Sees whether a result of this size can be given: it fits the buffer, or is kept under a token and charged for.
pub fn claim(control: &Control, size: usize, room: Room) -> Result<Option<Permit>, Refusal> {
    if size <= room.buffer {
        return Ok(None);
    }
    if !room.token {
        let text = format!(
            "{} results wait to be taken, which is the limit, and this one of {size} bytes does not fit its buffer: take or \
             drop some (PENDING_TOKENS)",
            limits::PENDING_TOKENS
        );
        return Err(Refusal::new(Code::Overloaded, text));
    }
    Ok(Some(control.group.tenant.ledger.take(Resource::Held, size as u64)?))
}

/// Sends a request; its reply then comes to [`await_reply`]. The caller gives the letter to `try_send`.
pub fn request(from: &Arc<Control>, tag: u64, payload: Payload) -> Letter {
    let number = from.ties.lock().ask();
    let mut letter = letter(from.address, tag, payload);
    letter.body.reply = Some(ReplyTo::new(from, number));
    letter
}

/// The reply to the request of this coroutine. Errors: gone (the request was not read), closed (it was read and will not
/// be answered), timeout, interrupted, overloaded.
pub async fn await_reply(
    control: &Arc<Control>,
    room: Room,
    mut patience: Patience,
) -> Result<(Payload, Option<Permit>), Refusal> {
    let _waits = control.doing.wait(Waits::Request);
    let answer = std::future::poll_fn(|cx| {
        {
            let mut ties = control.ties.lock();
            match ties.asked.as_ref().map(|asked| &asked.answer) {
                Some(Answer::Awaited) => {}
                _ => return Poll::Ready(Ok(ties.asked.take())),
            }
        }
        if let Some(reason) = control.take_interrupt() {
            return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
        }
        patience.poll(cx).map(|()| Err(Refusal::timeout("no reply came in time: the request may still take effect")))
    })
    .await;
    let answer = match answer {
        Ok(asked) => asked,
        Err(given_up) => {
            // One that was given at this moment counts: whoever gave it was told so.
            let asked = control.ties.lock().asked.take();
            match asked.filter(|asked| matches!(asked.answer, Answer::Given(..))) {
                None => return Err(given_up),
                asked => {
                    if given_up.code == Code::Interrupted {
                        control.interrupt(&given_up.detail);
                    }
                    asked
                }
            }
        }
    };
    match answer.map(|asked| asked.answer) {
        Some(Answer::Given(payload, held)) => {
            // It cannot come again, so what it is charged already is what its token is charged; a small one is not.
            let kept = || held.unwrap_or_else(|| Permit::nothing(&control.group.tenant.ledger, Resource::Held));
            let held = (payload.len() > room.buffer).then(kept);
            control.traffic.received(payload.len());
            Ok((payload, held))
        }
        Some(Answer::None { read: false }) => {
            Err(Refusal::new(Code::Gone, "the receiver ended before it read the request"))
        }
        _ => Err(Refusal::new(Code::Closed, "the receiver gave up the request without an answer")),
    }
}

/// Waits until there is a message that one of the filters takes; for `wait` and `poll_oneoff`.
pub fn poll_message(control: &Control, filter: &Filter) -> bool {
    let mut post = control.post.lock();
    let is_there = post.mailbox.find(filter).is_some();
    if !is_there {
        // Several may be waited for at once: every message then wakes, and each is looked for again.
        post.mailbox.await_letter(&Filter::ANY);
    }
    is_there
}

/// Runs a future that is given up when the time is over, or at an interrupt.
pub(crate) async fn bounded<T>(
    control: &Control,
    waits: Waits,
    mut patience: Patience,
    what: &str,
    call: impl Future<Output = T>,
) -> Result<T, Refusal> {
    let mut call = pin!(call);
    let mut doing = None;
    std::future::poll_fn(|cx| {
        if let Some(reason) = control.take_interrupt() {
            return Poll::Ready(Err(Refusal::new(Code::Interrupted, reason)));
        }
        if let Poll::Ready(done) = call.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        if patience.poll(cx).is_ready() {
            return Poll::Ready(Err(Refusal::timeout(what)));
        }
        if doing.is_none() {
            doing = Some(control.doing.wait(waits));
        }
        Poll::Pending
    })
    .await
}
