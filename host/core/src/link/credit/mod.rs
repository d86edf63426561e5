//! How much a node may send to a mailbox of another. Limits are cumulative, so that telling one twice changes nothing.
//!
//! The sender's node has a [`Borrower`], the mailbox's a [`Lender`], one each a session and direction. A record of both begins with
//! the first message to a mailbox (*first contact*, for which nothing was granted yet) and is closed by the lender when
//! the borrower has returned it and everything sent has found room. Frames about it go in the control lane, so in order.
//!
//! A message may be sent while anything is left of the limit, also one that is larger than what is left: so no message is
//! too large for a window, and what is sent beyond a limit is less than one message.

mod borrower;
mod lender;
mod record;

pub use borrower::{Acquired, Borrower, Fate};
pub use lender::Lender;
pub use record::Ticket;

use super::frame::{self, Header, Kind, Local};
use crate::limits;

/// Messages and their bytes (payloads), counted since a record began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

/// What the lender says of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// So much may be sent, since the record began.
    Limit(Amount),
    /// The mailbox is closed: whoever waits is refused. The borrower returns the record.
    Gone,
    /// The record is over; a next message is a first contact.
    Closed,
}

/// What the other side did and may not do. The connection is closed, the session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    #[error("it sent a message beyond its credit of {limit:?} for mailbox {mailbox}", mailbox = .mailbox.counter)]
    Beyond { mailbox: Local, limit: Amount },
    #[error("its first contacts take more than {max} bytes", max = limits::FIRST_CONTACT_ALLOWANCE)]
    Allowance,
    #[error("it holds credit for more than {max} mailboxes", max = limits::LINK_CREDITS)]
    Records,
    #[error("it returns the credit for mailbox {mailbox} after {returned:?}, which it cannot have sent", mailbox = .mailbox.counter)]
    Returned { mailbox: Local, returned: Amount },
    #[error("it closes the credit for mailbox {mailbox}, which was not returned", mailbox = .mailbox.counter)]
    Closed { mailbox: Local },
}

impl Amount {
    pub const fn new(messages: u64, bytes: u64) -> Amount {
        Amount { messages, bytes }
    }

    /// With one message more.
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    fn sub(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes as u64;
    }

    fn plus(self, other: Amount) -> Amount {
        Amount { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }

    /// Something is left before this limit.
    fn is_within(self, limit: Amount) -> bool {
        self.messages < limit.messages && self.bytes < limit.bytes
    }
}

impl Grant {
    /// The frame that says it, of a mailbox of the node that sends the frame.
    pub fn header(self, mailbox: Local) -> Header {
        let header = Header { from: mailbox, ..Header::new(Kind::Credit) };
        match self {
            Grant::Limit(limit) => Header { call: limit.messages, tag: limit.bytes, ..header },
            Grant::Gone => Header { flags: frame::GONE, ..header },
            Grant::Closed => Header { flags: frame::CLOSED, ..header },
        }
    }

    /// Reads the same.
    pub fn from_header(header: &Header) -> Grant {
        match header.flags {
            flags if flags & frame::CLOSED != 0 => Grant::Closed,
            flags if flags & frame::GONE != 0 => Grant::Gone,
            _ => Grant::Limit(Amount::new(header.call, header.tag)),
        }
    }
}

/// The frame by which a borrower returns a record of a mailbox of the other node.
pub fn return_header(mailbox: Local, sent: Amount) -> Header {
    Header { to: mailbox, call: sent.messages, tag: sent.bytes, ..Header::new(Kind::CreditReturn) }
}

/// What one message of a first contact takes of the allowance.
fn contact_cost(bytes: usize) -> u64 {
    bytes as u64 + limits::LETTER_BYTES
}

const FIRST: Amount = Amount::new(limits::FIRST_CONTACT_MESSAGES, limits::FIRST_CONTACT_BYTES);
const WINDOW: Amount = Amount::new(limits::CREDIT_WINDOW_MESSAGES, limits::CREDIT_WINDOW_BYTES);

#[cfg(test)]
mod tests;
