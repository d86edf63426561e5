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
