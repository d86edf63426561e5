//! Why a call did not do what was asked: a [`Code`] for the program, a detail for the person.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a call did not do what was asked. Numbers never change meaning; later versions add to them.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
            /// A code newer than this SDK.
            Unknown(u32),
        }

        impl Code {
            /// Every code this version knows, in order of number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The number that a call returns negated.
            pub fn number(self) -> u32 {
                match self { $(Code::$name => $number,)* Code::Unknown(number) => number }
            }

            /// The stable lower-case name, as `corovan` prints it.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* Code::Unknown(_) => "unknown" }
            }

            /// The code with this number.
            pub fn from_number(number: u32) -> Code {
                match number { $($number => Code::$name,)* other => Code::Unknown(other) }
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

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Unknown(number) => write!(f, "code {number}"),
            known => f.write_str(known.name()),
        }
    }
}

/// What a call gives when it did not do what was asked. It is an ordinary [`std::error::Error`], so `?` works in a
/// coroutine function that returns `Result`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// For the program to act on.
    pub code: Code,
    /// For a person: which limit, which grant, which name. May be empty.
    pub detail: String,
}

impl Error {
    pub fn new(code: Code, detail: impl Into<String>) -> Error {
        Error { code, detail: detail.into() }
    }

    /// From a negative result of an import; asks the node for the detail at once, before another call replaces it.
    pub(crate) fn from_result(result: i64) -> Error {
        let number = u32::try_from(result.unsigned_abs()).unwrap_or(u32::MAX);
        Error { code: Code::from_number(number), detail: crate::lifecycle::last_error() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { self.code.fmt(f) } else { write!(f, "{}: {}", self.code, self.detail) }
    }
}

impl std::error::Error for Error {}

/// The value of an import's result, or its error.
pub(crate) fn check(result: i32) -> Result<usize, Error> {
    usize::try_from(result).map_err(|_| Error::from_result(i64::from(result)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_numbers_and_names_of_the_node() {
        let ours: Vec<_> = Code::ALL.iter().map(|code| (code.number(), code.name())).collect();
        let theirs: Vec<_> =
            corovan_core::code::Code::ALL.iter().map(|code| (u32::from(code.number()), code.name())).collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn a_code_of_a_later_version_keeps_its_number() {
        let code = Code::from_number(900);
        assert_eq!((code, code.number(), code.to_string().as_str()), (Code::Unknown(900), 900, "code 900"));
    }

    #[test]
    fn an_error_reads_as_code_and_detail() {
        assert_eq!(Error::new(Code::Timeout, "").to_string(), "timeout");
        assert_eq!(Error::new(Code::TooLarge, "2 MiB, limit 1 MiB").to_string(), "too-large: 2 MiB, limit 1 MiB");
    }
}
