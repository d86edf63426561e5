//! The mailbox's side: what was granted for each mailbox, what came, and what is to be granted next.
//!
//! Room is granted again as messages find it: a message that waits in the mailbox's queue of senders holds back as much of its
//! node's window. So nodes take turns there, first come first served, each with a window at most; where there is no room
//! windows are small and alike, where there is plenty they grow as they are used.

use super::{Amount, FIRST, Grant, Violation, WINDOW, contact_cost};
use crate::limits;
use crate::link::frame::Local;
use std::collections::{HashMap, VecDeque};

/// What the other node may send to mailboxes of this one.
#[derive(Debug, Default)]
pub struct Lender {
    records: HashMap<Local, Record>,
    /// Taken by first contacts that were not answered.
    taken: u64,
    /// Bytes of messages that came and have not found room.
    unsettled: u64,
    /// Mailboxes of which there may be something to say, each once.
    queue: VecDeque<Local>,
}

#[derive(Debug)]
struct Record {
    /// Told to the borrower; before, what a first contact may use.
    limit: Amount,
    arrived: Amount,
    /// Of these, found room or were dropped.
    settled: Amount,
    window: Amount,
    /// Room in the mailbox when last looked at.
    free: Amount,
    /// Taken of the allowance; `None` once the first contact is answered.
    contact: Option<u64>,
    /// Nothing comes after so much.
    returned: Option<Amount>,
    gone: Gone,
    queued: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gone {
    No,
    /// To be told.
    Yes,
    Told,
}

impl Lender {
    /// Of a session that begins.
    pub fn new() -> Lender {
        Lender::default()
    }

    /// A message of so many bytes has come for a mailbox, before anything else is done with it.
    pub fn arrived(&mut self, mailbox: Local, bytes: usize) -> Result<(), Violation> {
        let record = self.record(mailbox)?;
        record.arrived.add(bytes);
        if record.returned.is_some_and(|returned| !returned.holds(record.arrived)) || !record.may_be(record.arrived) {
            return Err(Violation::Beyond { mailbox, limit: record.limit });
        }
        let mut cost = 0;
        if let Some(contact) = &mut record.contact {
            cost = contact_cost(bytes);
            *contact += cost;
        }
        self.taken += cost;
        self.unsettled += bytes as u64;
        if self.taken > limits::FIRST_CONTACT_ALLOWANCE {
            return Err(Violation::Allowance);
        }
        // A first contact is answered at once, lest a full mailbox keeps what all others have together.
        if self.unsettled <= limits::LINK_UNSETTLED {
            self.look_at(mailbox);
        }
        Ok(())
    }

    /// A message that came in this session has found room in its mailbox, where so much is free now; or was dropped, because its mailbox is
    /// closed or its sender may not.
    pub fn settled(&mut self, mailbox: Local, bytes: usize, free: Amount) {
        let Some(record) = self.records.get_mut(&mailbox) else { return };
        record.settled.add(bytes);
        record.free = free;
        if !free.holds(FIRST) {
            record.window = record.window.halved().at_least(FIRST);
        }
        self.unsettled = self.unsettled.saturating_sub(bytes as u64);
        self.look_at(mailbox);
    }

    /// A mailbox is closed, or a message came for one that was never there. Its messages are still to be reported as settled.
    pub fn gone(&mut self, mailbox: Local) {
        if let Some(record) = self.records.get_mut(&mailbox)
            && record.gone == Gone::No
        {
            record.gone = Gone::Yes;
            self.look_at(mailbox);
        }
    }

    /// The borrower has sent so much and will send no more.
    pub fn returned(&mut self, mailbox: Local, sent: Amount) -> Result<(), Violation> {
        let record = self.record(mailbox)?;
        if !sent.holds(record.arrived) || !record.may_be(sent) || record.returned.is_some() {
            return Err(Violation::Returned { mailbox, returned: sent });
        }
        record.returned = Some(sent);
        self.look_at(mailbox);
        Ok(())
    }

    /// What is to be said next ([`Grant::header`]), while the control lane has room; once taken, it must be sent.
    pub fn poll(&mut self) -> Option<(Local, Grant)> {
        while let Some(mailbox) = self.queue.pop_front() {
            let Some(record) = self.records.get_mut(&mailbox) else { continue };
            record.queued = false;
            if record.is_complete() {
                self.taken -= record.contact.unwrap_or(0);
                self.records.remove(&mailbox);
                return Some((mailbox, Grant::Closed));
            }
            if record.gone == Gone::Yes {
                record.gone = Gone::Told;
                return Some((mailbox, Grant::Gone));
            }
            if record.is_due() {
                self.taken -= record.contact.take().unwrap_or(0);
                return Some((mailbox, Grant::Limit(record.raise())));
            }
        }
        None
    }

    /// There may be something to say.
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Mailboxes with a record.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The borrower holds nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of messages that came and have not found room.
    pub fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// There may be something to say of it.
    fn look_at(&mut self, mailbox: Local) {
        if let Some(record) = self.records.get_mut(&mailbox)
            && record.is_due()
            && !std::mem::replace(&mut record.queued, true)
        {
            self.queue.push_back(mailbox);
        }
    }

    fn record(&mut self, mailbox: Local) -> Result<&mut Record, Violation> {
        if self.records.len() >= limits::LINK_CREDITS && !self.records.contains_key(&mailbox) {
            return Err(Violation::Records);
        }
        Ok(self.records.entry(mailbox).or_insert_with(Record::new))
    }
}

impl Record {
    fn new() -> Record {
        let (arrived, settled, free) = (Amount::default(), Amount::default(), Amount::default());
        let (contact, returned, gone, queued) = (Some(0), None, Gone::No, false);
        Record { limit: FIRST, arrived, settled, window: FIRST, free, contact, returned, gone, queued }
    }

    /// So much can have been sent under the limit. The message that uses it up may be larger than what was left, and, as lanes
    /// overtake each other, may come before those that were sent before it.
    fn may_be(&self, sent: Amount) -> bool {
        let beyond = limits::MESSAGE_BYTES as u64;
        sent.messages <= self.limit.messages && sent.bytes < self.limit.bytes.saturating_add(beyond)
    }

    /// All that was sent has come, and was settled.
    fn is_complete(&self) -> bool {
        self.returned.is_some_and(|returned| self.arrived == returned && self.settled == returned)
    }

    /// There is something to say.
    fn is_due(&self) -> bool {
        if self.returned.is_some() || self.gone != Gone::No {
            return self.is_complete() || self.gone == Gone::Yes;
        }
        self.contact.is_some() || !self.settled.plus(self.window.halved()).is_within(self.limit)
    }

    /// The next limit. A window that is used up while there is room for twice as much, grows.
    fn raise(&mut self) -> Amount {
        if self.free.holds(self.window.doubled()) {
            self.window = self.window.doubled().at_most(WINDOW);
        }
        self.limit = self.limit.at_least(self.settled.plus(self.window));
        self.limit
    }
}

impl Amount {
    fn holds(self, other: Amount) -> bool {
        self.messages >= other.messages && self.bytes >= other.bytes
    }

    fn doubled(self) -> Amount {
        Amount { messages: self.messages * 2, bytes: self.bytes * 2 }
    }

    fn halved(self) -> Amount {
        Amount { messages: self.messages / 2, bytes: self.bytes / 2 }
    }

    fn at_least(self, other: Amount) -> Amount {
        Amount { messages: self.messages.max(other.messages), bytes: self.bytes.max(other.bytes) }
    }

    fn at_most(self, other: Amount) -> Amount {
        Amount { messages: self.messages.min(other.messages), bytes: self.bytes.min(other.bytes) }
    }
}
