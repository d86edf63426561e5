//! The sender's side: what was used of each mailbox's limit, and who waits for more, first come first served.

use super::record::{IDLE, Record, Shared, State, Ticket};
use super::{Amount, Grant, Violation};
use crate::limits;
use crate::link::frame::Local;
use std::collections::{HashMap, VecDeque};

/// What this node may send to the other's mailboxes. `W` is what wakes a waiting sender.
#[derive(Debug)]
pub struct Borrower<W> {
    records: HashMap<Local, Record<W>>,
    link: Shared,
    /// To be returned.
    returns: VecDeque<Local>,
    /// Records that the lender is to close.
    returning: usize,
    waiting: usize,
    next_ticket: u64,
    closed: bool,
}

/// What has become of a wish to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// The message is paid for: push it now.
    Now,
    /// The sender waits, and is woken when its [`Fate`] is known.
    Wait(Ticket),
    /// The mailbox is closed: `gone`.
    Gone,
    /// Too many senders wait on this link: `overloaded`.
    Overloaded,
    /// The session has ended: `node-lost`.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Waiting,
    /// The message is paid for: push it now. Said once.
    Granted,
    /// The mailbox was closed first: `gone`. It was certainly not sent.
    Gone,
    /// The session ended first: `node-lost`.
    Lost,
}

impl<W> Borrower<W> {
    /// Of a session that begins.
    pub fn new() -> Self {
        let (returning, waiting, next_ticket, closed) = (0, 0, 0, false);
        let (records, returns) = (HashMap::new(), VecDeque::new());
        Borrower { records, link: Shared::new(), returns, returning, waiting, next_ticket, closed }
    }

    /// Pays for a message of so many bytes. Whoever gets `Now` pushes the frame before it does anything else, so first asks
    /// the lane for room ([`crate::link::lane::Outgoing::has_room`]) under the lane's lock.
    pub fn acquire(&mut self, mailbox: Local, bytes: usize, now: u64, waker: impl FnOnce() -> W) -> Acquired {
        if self.closed {
            return Acquired::Lost;
        }
        let record = self.records.entry(mailbox).or_insert_with(|| Record::new(now));
        if record.is_gone() {
            return Acquired::Gone;
        }
        record.last_use = now;
        // First contacts take turns: a small one does not go on and on before a large one.
        let in_turn = self.link.held_up.is_empty() || !matches!(record.state, State::Contact { .. });
        if in_turn && record.waiting.is_empty() && record.may_send(bytes, &self.link) {
            record.pay(mailbox, bytes, &mut self.link);
            return Acquired::Now;
        }
        if self.waiting >= limits::LINK_SENDERS {
            self.forget_unused(mailbox);
            return Acquired::Overloaded;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting += 1;
        record.waiting.push_back((ticket, bytes, waker()));
        record.queue_up(mailbox, &mut self.link);
        Acquired::Wait(ticket)
    }

    /// What has become of a ticket that was not withdrawn. Asked for under the lane's lock when the lane has room, since
    /// `Granted` means to push at once.
    pub fn fate(&mut self, mailbox: Local, ticket: Ticket) -> Fate {
        if self.closed {
            return Fate::Lost;
        }
        let Some(record) = self.records.get_mut(&mailbox) else { return Fate::Gone };
        if record.take_granted(ticket).is_some() {
            self.return_gone(mailbox);
            return Fate::Granted;
        }
        if record.find(ticket).is_some() { Fate::Waiting } else { Fate::Gone }
    }

    /// The sender waits no longer and will not send: whoever may send in its place.
    pub fn withdraw(&mut self, mailbox: Local, ticket: Ticket) -> Vec<W> {
        let Some(record) = self.records.get_mut(&mailbox) else { return Vec::new() };
        if let Some(at) = record.find(ticket) {
            record.waiting.remove(at);
            self.waiting -= 1;
        } else if let Some(bytes) = record.take_granted(ticket) {
            record.give_back(bytes, &mut self.link);
            self.return_gone(mailbox);
        }
        let mut woken = self.serve(mailbox);
        self.forget_unused(mailbox);
        woken.extend(self.serve_held_up());
        woken
    }

    /// The lender has spoken: whom to wake.
    pub fn credited(&mut self, mailbox: Local, grant: Grant, now: u64) -> Result<Vec<W>, Violation> {
        let Some(record) = self.records.get_mut(&mailbox).filter(|record| record.shown.is_some()) else {
            return match grant {
                Grant::Closed => Err(Violation::Closed { mailbox }),
                // Said before it was told that nothing more is to come.
                Grant::Limit(_) | Grant::Gone => Ok(Vec::new()),
            };
        };
        let mut woken = match (grant, record.state) {
            (Grant::Limit(limit), State::Contact { taken }) => {
                self.link.allowance += taken;
                record.state = State::Open { limit };
                self.serve(mailbox)
            }
            (Grant::Limit(limit), State::Open { limit: old }) => {
                // Never less: what was granted may have been used.
                let limit = Amount::new(limit.messages.max(old.messages), limit.bytes.max(old.bytes));
                record.state = State::Open { limit };
                self.serve(mailbox)
            }
            (Grant::Limit(_), State::Gone { .. } | State::Returning { .. }) => Vec::new(),
            (Grant::Gone, state) => {
                record.state = match state {
                    State::Returning { taken, .. } => State::Returning { taken, gone: true },
                    _ => State::Gone { taken: record.taken() },
                };
                self.waiting -= record.waiting.len();
                let waited = std::mem::take(&mut record.waiting);
                self.return_gone(mailbox);
                waited.into_iter().map(|(.., waker)| waker).collect()
            }
            (Grant::Closed, State::Returning { taken, .. }) if !self.returns.contains(&mailbox) => {
                self.link.allowance += taken;
                self.returning -= 1;
                record.renew(now, &mut self.link);
                let woken = self.serve(mailbox);
                self.forget_unused(mailbox);
                woken
            }
            (Grant::Closed, _) => return Err(Violation::Closed { mailbox }),
        };
        woken.extend(self.serve_held_up());
        Ok(woken)
    }

    /// What is to be returned now ([`super::return_header`]). To be asked until `None`, while the control lane has room: after
    /// [`Borrower::credited`], when the time of [`Borrower::next_deadline`] has come, and when a sender has to wait.
    pub fn poll(&mut self, now: u64) -> Option<(Local, Amount)> {
        self.retire(now);
        let mailbox = self.returns.pop_front()?;
        self.records.get(&mailbox).map(|record| (mailbox, record.used))
    }

    /// When a record may have been idle for long enough.
    pub fn next_deadline(&self) -> Option<u64> {
        self.link.shown.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// The session has ended: everybody is woken, and nothing can be acquired any more.
    pub fn close(&mut self) -> Vec<W> {
        let records = std::mem::take(self).records;
        self.closed = true;
        let mut waited: Vec<_> = records.into_values().flat_map(|record| record.waiting).collect();
        waited.sort_unstable_by_key(|(ticket, ..)| *ticket);
        waited.into_iter().map(|(.., waker)| waker).collect()
    }

    /// Mailboxes with a record.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Nothing is used, nobody waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Left for first contacts: bytes, with [`limits::LETTER_BYTES`] for each message.
    pub fn allowance(&self) -> u64 {
        self.link.allowance
    }

    /// Senders that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Pays for those who wait for a mailbox, in order, as far as it goes.
    fn serve(&mut self, mailbox: Local) -> Vec<W> {
        let mut woken = Vec::new();
        let Some(record) = self.records.get_mut(&mailbox) else { return woken };
        while let Some((_, bytes, _)) = record.waiting.front()
            && record.may_send(*bytes, &self.link)
            && let Some((ticket, bytes, waker)) = record.waiting.pop_front()
        {
            record.pay(mailbox, bytes, &mut self.link);
            record.granted.push_back((ticket, bytes));
            self.waiting -= 1;
            woken.push(waker);
        }
        record.queue_up(mailbox, &mut self.link);
        woken
    }

    /// Allowance or a record may have become free: those who want it, the first first.
    fn serve_held_up(&mut self) -> Vec<W> {
        let mut woken = Vec::new();
        while let Some((_, mailbox)) = self.link.held_up.first_key_value() {
            let mailbox = *mailbox;
            let served = self.serve(mailbox);
            if served.is_empty() {
                break;
            }
            woken.extend(served);
        }
        woken
    }

    /// Chooses what is to be returned: what was not used for a while, and anything unused at this moment when others want
    /// its place.
    fn retire(&mut self, now: u64) {
        for looked_at in 0.. {
            let full = self.link.shown.len() >= limits::LINK_CREDITS;
            let wanted = full && self.returning < self.link.held_up.len() && looked_at < LOOKED_AT;
            let Some((place, mailbox)) = self.link.shown.first_key_value().map(|(place, mailbox)| (*place, *mailbox))
            else {
                return;
            };
            if place.0 > now && !wanted {
                return;
            }
            let Some(record) = self.records.get_mut(&mailbox) else { return };
            let idle_at = record.last_use.saturating_add(IDLE);
            let unused = record.waiting.is_empty() && record.granted.is_empty() && !record.is_over();
            let retires = unused && (idle_at <= now || wanted);
            self.link.shown.remove(&place);
            // One that is over needs no more looking at, but has its place until it is closed.
            let again = match retires || record.is_over() {
                true => u64::MAX,
                false if idle_at > now => idle_at,
                false => now.saturating_add(IDLE),
            };
            record.shown = Some(self.link.next(again));
            self.link.shown.extend(record.shown.map(|place| (place, mailbox)));
            if again == u64::MAX && place.0 == u64::MAX {
                return;
            }
            if retires {
                record.state = State::Returning { taken: record.taken(), gone: false };
                self.returning += 1;
                self.returns.push_back(mailbox);
            }
        }
    }

    /// A record of a closed mailbox is returned once nothing of it waits to be pushed.
    fn return_gone(&mut self, mailbox: Local) {
        if let Some(record) = self.records.get_mut(&mailbox)
            && let State::Gone { taken } = record.state
            && record.granted.is_empty()
        {
            record.state = State::Returning { taken, gone: true };
            self.returning += 1;
            self.returns.push_back(mailbox);
        }
    }

    fn forget_unused(&mut self, mailbox: Local) {
        let unused =
            |record: &Record<W>| record.shown.is_none() && record.waiting.is_empty() && record.granted.is_empty();
        if self.records.get(&mailbox).is_some_and(unused)
            && let Some(record) = self.records.remove(&mailbox)
            && let Some(place) = record.held_up
        {
            self.link.held_up.remove(&place);
        }
    }
}

impl<W> Default for Borrower<W> {
    fn default() -> Self {
        Borrower::new()
    }
}

/// Records looked at in one go before their time.
const LOOKED_AT: usize = 64;
