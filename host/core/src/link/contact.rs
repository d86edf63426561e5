//! One peer, as connections come and go: which session is held with it, which of several connections is the one in use, and
//! what a handshake leads to.
//!
//! The end that dialled sends its [`Hello`] first; the other answers, or closes the connection. At most one connection of a
//! pair is in use, at most one of one's own waits for the answer. Connections are named by numbers that the caller chooses
//! and never uses again.

use super::frame::LANES;
use super::session::{self, Decision, Hello, decide};
use crate::ids::NodeId;
use crate::limits;

/// What this node knows of one other.
#[derive(Debug)]
pub struct Contact {
    me: NodeId,
    incarnation: u32,
    peer: NodeId,
    /// The peer's latest incarnation; 0: never heard of.
    with: u32,
    /// The highest session number used with that incarnation.
    highest: u64,
    /// The session that is held; 0: none, or one that has no number yet.
    session: u64,
    turn: u64,
    /// A connection of one's own and the hello sent there, not answered yet.
    dialled: Option<(u64, Hello)>,
    /// The connection in use, and the turn of the peer's hello there.
    live: Option<(u64, u64)>,
}

/// What a hello leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meeting {
    pub decision: Decision,
    /// To be sent, where the peer dialled.
    pub answer: Option<Hello>,
    /// A connection to be closed: this one is used instead.
    pub replaces: Option<u64>,
}

/// Why a connection is closed and nothing else happens.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The other connection of this pair stays.
    #[error("another connection with this node stays")]
    Lesser,
    /// Since this node's hello was sent there, it has taken another connection or ended the session. It may dial again.
    #[error("this connection has been given up")]
    Stale,
    /// The peer is at fault.
    #[error(transparent)]
    Hello(#[from] session::Error),
}

impl Contact {
    /// Nothing is held with this peer. A contact is kept for as long as this node knows of the peer, so that a session number is
    /// not used again.
    pub fn new(me: NodeId, incarnation: u32, peer: NodeId) -> Contact {
        let (with, highest, session, turn) = (0, 0, 0, 0);
        Contact { me, incarnation, peer, with, highest, session, turn, dialled: None, live: None }
    }

    /// A connection that this node dialled stands: the hello to be sent on it. `None`: another is in use or was dialled before; close
    /// it. `received` is what [`super::lane::Incoming::received`] says of each lane; zeros without a session.
    pub fn dialled(&mut self, connection: u64, received: &[u64; LANES]) -> Option<Hello> {
        if self.live.is_some() || self.dialled.is_some() {
            return None;
        }
        let hello = self.hello(received);
        self.dialled = Some((connection, hello.clone()));
        Some(hello)
    }

    /// The peer's hello has come on a connection, which this node dialled (`own`) or the peer; `received` is as for
    /// [`Contact::dialled`]. Afterwards the connection is the one in use; if the session resumes, every lane takes up with the
    /// peer's `received` ([`super::lane::Outgoing::resume`]).
    pub fn heard(
        &mut self,
        connection: u64,
        own: bool,
        theirs: &Hello,
        received: &[u64; LANES],
    ) -> Result<Meeting, Refused> {
        if let Err(refused) = self.judge(own, theirs) {
            self.lost(connection);
            return Err(refused);
        }
        if own {
            let waited = self.dialled.take_if(|(dialled, _)| *dialled == connection);
            let (_, mine) = waited.ok_or(Refused::Stale)?;
            return Ok(Meeting { decision: self.adopt(connection, &mine, theirs), answer: None, replaces: None });
        }
        let given_up = self.dialled.take().map(|(dialled, _)| dialled);
        let replaces = self.live.take().map(|(live, _)| live).or(given_up);
        let mine = self.hello(received);
        let decision = self.adopt(connection, &mine, theirs);
        Ok(Meeting { decision, answer: Some(mine), replaces })
    }

    /// A connection is no more. `true` if it was the one in use: the session is held until it is resumed or ends by silence.
    pub fn lost(&mut self, connection: u64) -> bool {
        if self.dialled.as_ref().is_some_and(|(dialled, _)| *dialled == connection) {
            self.dialled = None;
        }
        self.live.take_if(|(live, _)| *live == connection).is_some()
    }

    /// The session has ended at this end: by silence, a violation, or a goodbye. The connections to be closed: what was said or
    /// agreed on them is no longer so.
    pub fn end(&mut self) -> Vec<u64> {
        self.session = 0;
        let (dialled, live) = (self.dialled.take(), self.live.take());
        dialled.map(|(connection, _)| connection).into_iter().chain(live.map(|(connection, _)| connection)).collect()
    }

    /// The number of the session that is held; 0: none, or one that has no number yet.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The connection in use.
    pub fn live(&self) -> Option<u64> {
        self.live.map(|(connection, _)| connection)
    }

    /// The peer's latest incarnation; 0: never heard of.
    pub fn peer_incarnation(&self) -> u32 {
        self.with
    }

    fn judge(&self, own: bool, theirs: &Hello) -> Result<(), Refused> {
        theirs.check()?;
        if theirs.node != self.peer {
            return Err(session::Error::Node(theirs.node).into());
        }
        if theirs.incarnation < self.with || theirs.incarnation == 0 {
            return Err(session::Error::Incarnation(theirs.incarnation, self.with).into());
        }
        if own {
            return Ok(());
        }
        let restarted = theirs.incarnation > self.with;
        match (&self.live, &self.dialled) {
            // A later hello of the peer says that it has given up the connection that is in use here.
            (Some((_, turn)), _) if !restarted && theirs.turn <= *turn => Err(Refused::Lesser),
            // Both dialled at once: the lower node's stays.
            (None, Some(_)) if self.me < self.peer => Err(Refused::Lesser),
            _ => Ok(()),
        }
    }

    fn adopt(&mut self, connection: u64, mine: &Hello, theirs: &Hello) -> Decision {
        let decision = decide(mine, theirs);
        if let Decision::New { number, .. } = decision {
            (self.session, self.highest) = (number, number);
        }
        self.with = theirs.incarnation;
        self.live = Some((connection, theirs.turn));
        decision
    }

    fn hello(&mut self, received: &[u64; LANES]) -> Hello {
        self.turn += 1;
        Hello {
            newest: limits::PROTOCOL_VERSION,
            oldest: limits::PROTOCOL_VERSION_MIN,
            node: self.me,
            incarnation: self.incarnation,
            with: self.with,
            session: self.session,
            highest: self.highest,
            turn: self.turn,
            received: received.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u64; LANES] = [0; LANES];

    /// The lower node and the higher.
    fn both() -> (Contact, Contact) {
        let (low, high) = (NodeId([1; 12]), NodeId([2; 12]));
        (Contact::new(low, 5, high), Contact::new(high, 7, low))
    }

    /// The first dials the second; the decisions of both.
    fn meet(dials: &mut Contact, other: &mut Contact, connection: u64) -> (Meeting, Meeting) {
        let hello = dials.dialled(connection, &NONE).unwrap();
        let there = other.heard(connection, false, &hello, &NONE).unwrap();
        let here = dials.heard(connection, true, there.answer.as_ref().unwrap(), &NONE).unwrap();
        (here, there)
    }

    #[test]
    fn of_two_that_dial_at_once_the_lower_nodes_connection_stays() {
        let (mut low, mut high) = both();
        let (from_low, from_high) = (low.dialled(1, &NONE).unwrap(), high.dialled(2, &NONE).unwrap());
        assert_eq!(low.heard(2, false, &from_high, &NONE), Err(Refused::Lesser));
        let there = high.heard(1, false, &from_low, &NONE).unwrap();
        assert_eq!(there.replaces, Some(2));
        assert_eq!(high.heard(2, true, &from_low, &NONE), Err(Refused::Stale), "an answer on the one given up");
        low.heard(1, true, &there.answer.unwrap(), &NONE).unwrap();
        assert_eq!((low.live(), high.live()), (Some(1), Some(1)));
        assert_eq!(low.dialled(3, &NONE), None, "one is enough");
    }

    #[test]
    fn a_later_turn_replaces_the_connection_in_use_and_an_earlier_one_does_not() {
        for low_dials in [true, false] {
            let (mut low, mut high) = both();
            let (a, b) = if low_dials { (&mut low, &mut high) } else { (&mut high, &mut low) };
            // Sent before the peer gave up dialling, comes long after.
            let stale = b.dialled(1, &NONE).unwrap();
            b.lost(1);
            meet(a, b, 2);
            assert_eq!(a.heard(1, false, &stale, &NONE), Err(Refused::Lesser));
            assert!(b.lost(2), "only one end has noticed");
            let hello = b.dialled(3, &NONE).unwrap();
            let meeting = a.heard(3, false, &hello, &NONE).unwrap();
            assert_eq!((meeting.decision, meeting.replaces), (Decision::Resume { number: 1 }, Some(2)));
        }
    }

    #[test]
    fn a_session_that_one_end_ended_is_ended_by_the_other_before_the_next() {
        let (mut low, mut high) = both();
        let first = Decision::New { number: 1, ends_old: None };
        let (here, there) = meet(&mut low, &mut high, 1);
        assert_eq!((here.decision, there.decision), (first, first));
        assert_eq!(low.end(), [1]);
        assert!(high.lost(1));
        let (here, there) = meet(&mut high, &mut low, 2);
        assert_eq!(here.decision, Decision::New { number: 2, ends_old: Some(1) });
        assert_eq!(there.decision, Decision::New { number: 2, ends_old: None });
    }

    #[test]
    fn an_end_that_ends_its_session_while_it_dials_takes_no_answer() {
        let (mut low, mut high) = both();
        meet(&mut low, &mut high, 1);
        assert!(low.lost(1) && high.lost(1));
        let hello = low.dialled(2, &NONE).unwrap();
        let there = high.heard(2, false, &hello, &NONE).unwrap();
        assert_eq!(there.decision, Decision::Resume { number: 1 });
        assert_eq!(low.end(), [2]);
        assert_eq!(low.heard(2, true, &there.answer.unwrap(), &NONE), Err(Refused::Stale));
    }

    #[test]
    fn a_restarted_peer_is_new_and_its_past_and_others_are_refused() {
        let (mut low, mut high) = both();
        meet(&mut low, &mut high, 1);
        let old = high.hello(&NONE);
        let mut again = Contact::new(high.me, 8, low.me);
        let (here, there) = meet(&mut again, &mut low, 2);
        assert_eq!(here.decision, Decision::New { number: 1, ends_old: None }, "numbers are of two incarnations");
        assert_eq!((there.decision, there.replaces), (Decision::New { number: 1, ends_old: Some(1) }, Some(1)));
        let error = session::Error::Incarnation(7, 8);
        assert_eq!(low.heard(3, false, &old, &NONE), Err(Refused::Hello(error)));
        let forged = Hello { node: NodeId([9; 12]), turn: 99, ..old };
        let error = session::Error::Node(forged.node);
        assert_eq!(low.heard(4, false, &forged, &NONE), Err(Refused::Hello(error)));
        assert_eq!(low.live(), Some(2), "and change nothing");
    }
}
