//! Sessions of two nodes: the record that opens each connection, and what both ends decide from the two records.
//!
//! A session is (incarnation of one end, incarnation of the other, number), and never used again once ended.

use super::frame::LANES;
use crate::ids::NodeId;
use crate::limits;
use bytes::{Buf, BufMut, BytesMut};
use serde::{Deserialize, Serialize};

/// The first record of a connection, each way: `len u32`, then CBOR.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Newest protocol version the sender speaks, and the oldest it understands.
    pub newest: u16,
    pub oldest: u16,
    #[serde(with = "crate::wire::node_id")]
    pub node: NodeId,
    /// The sender's present incarnation.
    pub incarnation: u32,
    /// The receiver's latest incarnation that the sender knows of; 0: none. `session` and `highest` are with that one.
    pub with: u32,
    /// The session that the sender still holds; 0: none.
    pub session: u64,
    /// The highest number it ever used with the receiver.
    pub highest: u64,
    /// Counts the sender's hellos to the receiver: of two connections, the later one is the one it uses.
    pub turn: u64,
    /// Of `session`: number of the last frame received, per lane.
    pub received: Vec<u64>,
}

/// What both ends do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The session goes on: each side sends again what the other lacks.
    Resume { number: u64 },
    /// The session that was held ends *first* (`ends_old`; all that waits in it gets `node-lost`, its monitors fire), then this
    /// one begins. What was pushed for a session that had no number yet becomes part of it.
    New { number: u64, ends_old: Option<u64> },
}

/// Why a hello is none. The connection is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a hello of {0} bytes is over the limit of {max}", max = limits::HELLO_BYTES)]
    TooLarge(u64),
    #[error("the hello is not what it should be: {0}")]
    Record(String),
    #[error("the peer speaks versions {oldest} to {newest}", oldest = .0, newest = .1)]
    Version(u16, u16),
    #[error("it names {0}, which its certificate does not")]
    Node(NodeId),
    #[error("it has {0} lanes, not {LANES}")]
    Lanes(usize),
    #[error(
        "another node of this name was started later (incarnation {1}; this is {0}): each needs a name and a certificate of its own"
    )]
    Incarnation(u32, u32),
    #[error("session number {0} is out of range")]
    Number(u64),
}

impl Hello {
    /// Appends the record.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        let start = out.len();
        out.put_u32_le(0);
        if let Err(error) = ciborium::into_writer(self, (&mut *out).writer()) {
            out.truncate(start);
            return Err(Error::Record(error.to_string()));
        }
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        Ok(())
    }

    /// Takes the record off the front, or `None` until all of it is there. Unknown fields are accepted.
    pub fn decode(bytes: &mut BytesMut) -> Result<Option<Hello>, Error> {
        let Some(mut prefix) = bytes.get(..4) else { return Ok(None) };
        let len = prefix.get_u32_le() as usize;
        if len > limits::HELLO_BYTES {
            return Err(Error::TooLarge(len as u64));
        }
        if bytes.len() < 4 + len {
            return Ok(None);
        }
        bytes.advance(4);
        let record = bytes.split_to(len);
        ciborium::de::from_reader_with_recursion_limit(&record[..], limits::CBOR_DEPTH)
            .map(Some)
            .map_err(|error| Error::Record(error.to_string()))
    }

    /// What can be said of a peer's hello without knowing its past.
    pub fn check(&self) -> Result<(), Error> {
        if self.oldest > limits::PROTOCOL_VERSION || self.newest < limits::PROTOCOL_VERSION_MIN {
            return Err(Error::Version(self.oldest, self.newest));
        }
        if self.received.len() != LANES {
            return Err(Error::Lanes(self.received.len()));
        }
        // Room for a next one, whatever the peer says.
        let number = self.highest.max(self.session);
        if number > limits::SESSION_NUMBER { Err(Error::Number(number)) } else { Ok(()) }
    }

    /// The highest number used between these incarnations, as far as the sender knows.
    fn used(&self, other: &Hello) -> u64 {
        if self.with == other.incarnation { self.highest.max(self.session) } else { 0 }
    }
}

/// The same at both ends, whichever hello is one's own. Both must be checked.
pub fn decide(mine: &Hello, theirs: &Hello) -> Decision {
    let both = mine.with == theirs.incarnation && theirs.with == mine.incarnation;
    if both && mine.session != 0 && mine.session == theirs.session {
        return Decision::Resume { number: mine.session };
    }
    let number = mine.used(theirs).max(theirs.used(mine)) + 1;
    Decision::New { number, ends_old: (mine.session != 0).then_some(mine.session) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> impl Strategy<Value = Hello> {
        (1..4u32, 0..4u32, 0..5u64, 0..5u64).prop_map(|(incarnation, with, session, highest)| Hello {
            newest: 1,
            oldest: 1,
            node: NodeId([incarnation as u8; 12]),
            incarnation,
            with,
            session,
            highest: highest.max(session),
            turn: 1,
            received: vec![0; LANES],
        })
    }

    fn number(decision: Decision) -> (bool, u64) {
        match decision {
            Decision::Resume { number } => (true, number),
            Decision::New { number, .. } => (false, number),
        }
    }

    proptest! {
        #[test]
        fn both_ends_decide_alike_and_never_reuse_a_number(a in hello(), b in hello()) {
            let (at_a, at_b) = (decide(&a, &b), decide(&b, &a));
            prop_assert_eq!(number(at_a), number(at_b));
            for (mine, theirs, decision) in [(&a, &b, at_a), (&b, &a, at_b)] {
                match decision {
                    Decision::Resume { number } => {
                        prop_assert_eq!((number, mine.with), (mine.session, theirs.incarnation));
                        prop_assert!(number > 0);
                    }
                    Decision::New { number, ends_old } => {
                        prop_assert!(mine.with != theirs.incarnation || number > mine.highest);
                        prop_assert_eq!(ends_old.unwrap_or(0), mine.session, "nothing that is held is forgotten");
                    }
                }
            }
        }

        #[test]
        fn a_hello_is_read_back_from_its_bytes_however_they_come(hello in hello(), cut in 0..200usize) {
            let mut bytes = BytesMut::new();
            hello.encode(&mut bytes).unwrap();
            let late = bytes.split_off(cut.min(bytes.len() - 1));
            prop_assert_eq!(Hello::decode(&mut bytes), Ok(None));
            bytes.unsplit(late);
            prop_assert_eq!(Hello::decode(&mut bytes), Ok(Some(hello)));
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn a_hello_that_cannot_be_is_refused() {
        let sane = Hello {
            newest: 1,
            oldest: 1,
            node: NodeId([1; 12]),
            incarnation: 1,
            with: 0,
            session: 0,
            highest: 0,
            turn: 1,
            received: vec![0; LANES],
        };
        assert_eq!(sane.check(), Ok(()));
        let bad: [(Hello, Error); 4] = [
            (Hello { oldest: 9, newest: 9, ..sane.clone() }, Error::Version(9, 9)),
            (Hello { received: vec![0], ..sane.clone() }, Error::Lanes(1)),
            (Hello { highest: u64::MAX, ..sane.clone() }, Error::Number(u64::MAX)),
            (Hello { session: u64::MAX, ..sane }, Error::Number(u64::MAX)),
        ];
        for (hello, error) in bad {
            assert_eq!(hello.check(), Err(error));
        }
        assert_eq!(Hello::decode(&mut BytesMut::from(&[0xff; 8][..])), Err(Error::TooLarge(u32::MAX.into())));
    }
}
