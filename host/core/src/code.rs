//! One stable number per meaning, shared by the wire, the host interface and (later) HTTP. Numbers never change meaning.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a call or request did not do what was asked. A guest sees the negated number.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)* }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable lower-case name, as `corovan` prints it.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            pub fn from_number(number: u16) -> Option<Code> {
                match number { $($number => Some(Code::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// The time given to the call ran out. It may still take effect, at most once.
    Timeout = 1, "timeout";
    /// The target has ended, or was never there.
    Gone = 2, "gone";
    /// A right is missing; the detail names the grant and where to add it.
    Denied = 3, "denied";
    /// A bound is reached and the call does not wait for room.
    Overloaded = 4, "overloaded";
    /// Larger than the limit; the detail names the limit.
    TooLarge = 5, "too-large";
    /// Another coroutine interrupted this call.
    Interrupted = 6, "interrupted";
    /// The other node cannot be reached. It may still take effect, at most once.
    NodeLost = 7, "node-lost";
    /// It was done before and can be done once only.
    Already = 8, "already";
    /// It ended, and what was kept about it is no longer kept.
    Expired = 9, "expired";
    /// An argument has a value that the call does not take.
    Invalid = 10, "invalid";
    /// No such name, function, file or handle.
    NotFound = 11, "not-found";
    /// The name belongs to another.
    Taken = 12, "taken";
    /// The subscription would close a cycle.
    Cycle = 13, "cycle";
    /// The subscription would make a second path between two channels.
    SecondPath = 14, "second-path";
    /// Another operation was in the way; try again.
    Retry = 15, "retry";
    /// The other side has closed.
    Closed = 16, "closed";
    /// This node, or this version, does not have it.
    Unsupported = 17, "unsupported";
    /// The new instance could not start; the old one continues.
    SwapFailed = 18, "swap-failed";
    /// Released by one that does not hold it.
    NotHeld = 19, "not-held";
    /// A fault of the node; its log has the cause.
    Internal = 20, "internal";
    /// The module cannot be used; the detail says why.
    BadModule = 21, "bad-module";
    /// The module has no such function, or one that is not a coroutine function.
    UnknownFunction = 22, "unknown-function";
    /// The node does not have this module from this tenant: send its bytes.
    NeedModule = 23, "need-module";
    /// The two sides share no protocol version.
    Version = 24, "version";
    /// The peer sent what the protocol does not allow.
    Protocol = 25, "protocol";
    /// The node is stopping and takes no new work.
    ShuttingDown = 26, "shutting-down";
    /// The node's disk is full or the tenant's share of it is used up.
    NoSpace = 27, "no-space";
    /// The client cancelled it.
    Cancelled = 28, "cancelled";
}

impl Code {
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u16(self.number())
    }
}

/// A number this version does not know becomes `internal`: the text beside it still says what happened.
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Code::from_number(u16::deserialize(d)?).unwrap_or(Code::Internal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_read_back() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.number() as usize, i + 1, "no gaps, no reuse");
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert_eq!(Code::ALL.iter().filter(|other| other.name() == code.name()).count(), 1);
        }
        assert_eq!(Code::from_number(0), None);
    }
}
