//! Who suspects a member asks it, and others in turn, until the suspicion is refuted or its time is over: gossip tells a
//! refutation to nearly everybody soon and then falls silent, and the one that missed it would give up a member that lives.
//!
//! Only the node that found the suspicion itself asks, as only it has a timer for it. It asks for nothing that changes how
//! soon a dead member is given up.

use super::codec::{self, MEMBER};
use super::datagram::{Kind, Rejected};
use super::presence::Presence;
use super::swim::{Due, Swim};
use crate::limits;
use foca::{Member, State};

/// Own suspicions that are not refuted yet: whose, and of which of its incarnations.
#[derive(Default)]
pub(super) struct Doubts(Vec<(Presence, u16)>);

impl Swim {
    /// A suspicion has begun here: asks now, and again until it ends. There are few at a time: one member is probed each
    /// second, and its suspicion lasts seconds.
    pub(super) fn doubt(&mut self, now: u64, who: Presence, incarnation: u16) {
        if self.doubts.0.contains(&(who, incarnation)) {
            return;
        }
        self.doubts.0.push((who, incarnation));
        self.ask_about(who, incarnation);
        if self.doubts.0.len() == 1 {
            let due = self.soon(now, limits::DOUBT_PERIOD);
            self.timers.insert(due, Due::Doubt);
        }
    }

    /// Asks again about all that are still suspects.
    pub(super) fn doubt_again(&mut self, now: u64) {
        let mut doubts = std::mem::take(&mut self.doubts.0);
        doubts.retain(|(who, incarnation)| self.is_suspect(who, *incarnation));
        for (who, incarnation) in &doubts {
            self.ask_about(*who, *incarnation);
        }
        if !doubts.is_empty() {
            let due = self.soon(now, limits::DOUBT_PERIOD);
            self.timers.insert(due, Due::Doubt);
        }
        self.doubts.0 = doubts;
    }

    /// The suspect, and one other: the way to or from the suspect may be what fails.
    fn ask_about(&mut self, who: Presence, incarnation: u16) {
        let me = self.me().node;
        let others = self.view.alive().map(|entry| entry.presence);
        let others: Vec<Presence> = others.filter(|it| it.node != me && it.node != who.node).collect();
        let other = others.get(self.rng.below(others.len())).copied();
        for asked in std::iter::once(who).chain(other) {
            self.send_member(&asked, Kind::Doubt, &Member::new(who, incarnation, State::Suspect));
        }
    }

    /// Somebody suspects a member: answers with what refutes it, if that is known here.
    pub(super) fn read_doubt(&mut self, sender: &Presence, mut rest: &[u8]) -> Result<(), Rejected> {
        let doubted = codec::take_member(&mut rest).map_err(|_| Rejected::Malformed)?;
        let (who, incarnation) = (*doubted.id(), doubted.incarnation());
        let answer = if who == self.me() {
            self.apply(Member::new(who, incarnation, State::Suspect));
            // It may be in a later incarnation already; the next one is enough. After the last comes another life.
            match incarnation.checked_add(1).filter(|_| self.me() == who) {
                Some(next) => Some(Member::new(who, next, State::Alive)),
                None => Some(Member::alive(self.me())),
            }
        } else if who.node == self.me().node {
            Some(Member::alive(self.me())).filter(|_| self.me().life() > who.life())
        } else {
            let known = self.foca.iter_membership_state().find(|known| known.id().node == who.node);
            let later = |known: &&Member<Presence>| {
                (known.id().life(), known.incarnation()) > (who.life(), incarnation) && known.state() == State::Alive
            };
            known.filter(later).cloned()
        };
        if let Some(answer) = answer {
            self.send_member(sender, Kind::Refuted, &answer);
        }
        Ok(())
    }

    /// The answer, taken only of a member that is doubted here. Told on, as the suspicion was.
    pub(super) fn read_refutation(&mut self, mut rest: &[u8]) -> Result<(), Rejected> {
        let member = codec::take_member(&mut rest).map_err(|_| Rejected::Malformed)?;
        let asked = self.doubts.0.iter().any(|(who, _)| who.node == member.id().node);
        if asked && member.state() == State::Alive {
            let _ = self.foca.apply_many(std::iter::once(member), true, &mut self.effects);
        }
        Ok(())
    }

    fn send_member(&mut self, to: &Presence, kind: Kind, member: &Member<Presence>) {
        let mut body = Vec::with_capacity(MEMBER);
        // A vector has room.
        let _ = codec::put_member(member, &mut body);
        self.send(to.address, to.node, kind, &body);
    }
}
