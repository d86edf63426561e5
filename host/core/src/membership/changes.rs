//! From what foca has found out to what this node sends and tells: who came, changed and went, in which order.

use super::datagram::{self, Kind};
use super::effects::Note;
use super::member::{Member, Record};
use super::presence::Presence;
use super::swim::{Due, Output, Swim, Unconnected, nanos};
use super::view::State;
use crate::ids::NodeId;
use foca::Timer;

impl Swim {
    /// Puts into effect what the last call gave.
    pub(super) fn absorb(&mut self, now: u64) {
        let me = self.me().node;
        for (to, body) in std::mem::take(&mut self.effects.sends) {
            if to.node == me {
                // One of its own past lives, asked whether it is back.
                continue;
            }
            let node = Some(to.node).filter(|node| *node != NodeId::default());
            let bytes = datagram::seal(self.cluster, Kind::Swim, &body);
            let unconnected = if to.dial_out { self.pass(to.node, &bytes) } else { Unconnected::Dial };
            self.push_bounded(Output::Send { to: to.address, node, bytes, unconnected });
        }
        for (after, timer) in std::mem::take(&mut self.effects.timers) {
            let own = match &timer {
                Timer::ChangeSuspectToDown { member_id, incarnation, .. } => Some((*member_id, *incarnation)),
                _ => None,
            };
            self.timers.insert(self.time(now) + nanos(after), Due::Foca(timer));
            if let Some((who, incarnation)) = own {
                self.doubt(now, who, incarnation);
            }
        }
        for note in std::mem::take(&mut self.effects.notes) {
            self.note(now, note);
        }
        for node in self.records.take_changed() {
            let Some(entry) = self.view.get(node).copied() else { continue };
            let news = self.read_serial(&entry.presence) && entry.state == State::Alive && node != self.me().node;
            // One that joined within this very call was told with it.
            let told = self.output.iter().any(|output| matches!(output, Output::Joined(member) if member.presence == entry.presence && member.about.is_some()));
            if news && !told {
                let member = self.member_of(entry.presence);
                self.output.push_back(Output::Changed(member));
            }
        }
        self.records.prune(|node| self.view.get(node).is_some());
    }

    fn note(&mut self, now: u64, note: Note) {
        let me = self.me().node;
        match note {
            // foca keeps the past lives of this node as members that are down, one after the other.
            Note::Up(who) | Note::Down(who) | Note::Replaced(who, _) if who.node == me => {}
            Note::Up(who) => self.came(now, who),
            Note::Replaced(old, new) => {
                let alive = self.view.get(old.node).is_some_and(|entry| entry.state == State::Alive);
                match alive {
                    true if old.incarnation < new.incarnation => {
                        self.went(now, old);
                        self.came(now, new);
                    }
                    true => {
                        self.view.set(new, State::Alive, now);
                        self.read_serial(&new);
                        if old.address != new.address {
                            self.output.push_back(Output::Changed(self.member_of(new)));
                        }
                    }
                    false => self.view.set(new, State::Failed, now),
                }
            }
            Note::Down(who) => self.went(now, who),
            Note::Connected => self.connected = true,
            Note::Alone => self.lonely(now),
            Note::Renewed => {
                let me = self.me();
                self.view.set(me, State::Alive, now);
                self.read_serial(&me);
                self.output.push_back(Output::Renewed(me));
                self.lonely(now);
            }
        }
    }

    fn came(&mut self, now: u64, who: Presence) {
        if self.view.get(who.node).is_some_and(|entry| entry.state == State::Alive && entry.presence == who) {
            return;
        }
        self.view.set(who, State::Alive, now);
        self.read_serial(&who);
        self.output.push_back(Output::Joined(self.member_of(who)));
        self.find_gateways(now);
    }

    fn went(&mut self, now: u64, who: Presence) {
        self.gateways_went(who.node);
        let member = self.member_of(who);
        let left = member.about.as_ref().is_some_and(|about| about.leaving);
        self.view.set(who, if left { State::Left } else { State::Failed }, now);
        self.output.push_back(if left { Output::Left(member) } else { Output::Failed(member) });
    }

    /// Whether the newest record of this life is one that the view had not.
    fn read_serial(&mut self, who: &Presence) -> bool {
        let serial =
            self.records.get(who.node).filter(|record| record.incarnation == who.incarnation).map(|r| r.serial);
        let news = serial.is_some_and(|serial| self.view.get(who.node).is_some_and(|entry| entry.serial != serial));
        if let Some(serial) = serial {
            self.view.set_serial(who.node, serial);
        }
        news
    }

    pub(super) fn member_of(&self, presence: Presence) -> Member {
        let record = self.records.get(presence.node).filter(|record| record.incarnation == presence.incarnation);
        Member { presence, about: record.map(|record| record.about) }
    }

    pub(super) fn say(&mut self, now: u64, record: &Record) {
        // Larger than a datagram it cannot be, and it is news: its serial was just raised.
        let _ = self.foca.add_broadcast(&record.bytes);
        self.absorb(now);
    }
}
