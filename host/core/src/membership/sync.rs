//! Comparing views: once in a while with one other member, by sums; where they differ, each sends the other what it has.
//! SWIM alone tells news only while they are news; this brings up to date who has just joined or has missed some.
//!
//! A comparison never makes a member fail: who is held for failed elsewhere is asked to begin a new life, and whether it is
//! still there this node finds out itself. Else the end of a split would look like a failure of all on the own side.

use super::codec::{self, MEMBER, PRESENCE};
use super::datagram::{self, HEAD, Kind, ROOM, Rejected};
use super::member::Record;
use super::presence::Presence;
use super::swim::Swim;
use super::view::{BUCKETS, State, bucket};
use crate::ids::NodeId;
use crate::limits;
use bytes::Buf;
use foca::Member;
use std::net::SocketAddr;

impl Swim {
    pub(super) fn compare_with_one(&mut self, now: u64) {
        let me = self.me().node;
        let others: Vec<Presence> = self.view.alive().map(|entry| entry.presence).filter(|it| it.node != me).collect();
        if let Some(other) = others.get(self.rng.below(others.len())) {
            let sums: Vec<u8> = self.view.sums().iter().flat_map(|sum| sum.to_le_bytes()).collect();
            self.send(other.address, other.node, Kind::Digest, &sums);
        }
        let hungry = std::mem::take(&mut self.hungry);
        // A member that has said nothing of itself yet: what it said was lost.
        let lacks = self.view.alive().any(|entry| entry.serial == 0);
        self.compare_in(
            now,
            match (hungry, lacks) {
                (true, _) => limits::SYNC_HURRY,
                (_, true) => limits::SYNC_LACKING,
                _ => limits::SYNC_PERIOD,
            },
        );
    }

    /// Takes a datagram of a comparison, or about a doubt, or one that concerns gateways.
    pub(super) fn compare(
        &mut self,
        now: u64,
        kind: Kind,
        from: SocketAddr,
        proven: Option<NodeId>,
        body: &[u8],
    ) -> Result<(), Rejected> {
        let (sender, rest) = datagram::sender(body, from)?;
        self.check_sender(&sender, proven)?;
        match kind {
            Kind::Renew => return self.renew(rest),
            Kind::Passed => return self.read_passed(now, &sender, rest),
            _ => {}
        }
        match self.view.get(sender.node) {
            Some(entry) if entry.presence == sender && entry.state == State::Alive => {}
            Some(entry) if entry.presence == sender => {
                // It lives, and was given up here.
                self.ask_to_renew(&sender, from);
                return Ok(());
            }
            _ if !self.has_room() => return Err(Rejected::Full),
            _ => self.apply(Member::alive(sender)),
        }
        match kind {
            Kind::Digest => self.answer_digest(&sender, from, rest),
            Kind::Want => {
                let mask = rest.split_first_chunk().map(|(mask, _)| u64::from_le_bytes(*mask));
                self.send_pages(&sender, from, mask.ok_or(Rejected::Malformed)?);
                Ok(())
            }
            Kind::Doubt => self.read_doubt(&sender, rest),
            Kind::Refuted => self.read_refutation(rest),
            Kind::Gate => self.read_gate(now, &sender),
            Kind::Gated => self.read_gated(now, &sender),
            Kind::Pass => self.pass_on(now, &sender, rest),
            Kind::Call => self.read_call(now, &sender),
            _ => self.read_page(now, rest),
        }
    }

    fn answer_digest(&mut self, sender: &Presence, from: SocketAddr, sums: &[u8]) -> Result<(), Rejected> {
        if sums.len() != BUCKETS * 8 {
            return Err(Rejected::Malformed);
        }
        let theirs = sums.chunks_exact(8).map(|sum| sum.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
        let differing = self.view.sums().iter().zip(theirs).enumerate().filter(|(_, (ours, theirs))| **ours != *theirs);
        let mask = differing.fold(0, |mask, (bucket, _)| mask | 1u64 << bucket);
        if mask != 0 {
            self.send(from, sender.node, Kind::Want, &mask.to_le_bytes());
            self.send_pages(sender, from, mask);
        }
        Ok(())
    }

    /// All that is known of these buckets, or as much as one answer may be; begins anywhere, so that in the long run
    /// nothing is left out.
    fn send_pages(&mut self, to: &Presence, from: SocketAddr, mask: u64) {
        let wanted = |node: NodeId| mask & 1 << bucket(node) != 0;
        let mut members: Vec<Member<Presence>> =
            self.foca.iter_membership_state().filter(|member| wanted(member.id().node)).cloned().collect();
        if wanted(self.me().node) {
            members.push(Member::alive(self.me()));
        }
        members.sort_by_key(|member| (bucket(member.id().node), member.id().node));
        let first = self.rng.below(members.len());
        members.rotate_left(first);
        let mut page = Vec::new();
        let mut pages = 0;
        for member in &members {
            let entry = self.entry(member);
            if HEAD + PRESENCE + page.len() + entry.len() > ROOM {
                self.send(from, to.node, Kind::Page, &page);
                page.clear();
                pages += 1;
                if pages == limits::SYNC_PAGES {
                    return;
                }
            }
            page.extend_from_slice(&entry);
        }
        if !page.is_empty() {
            self.send(from, to.node, Kind::Page, &page);
        }
    }

    /// A member and its record, behind the record's length.
    fn entry(&self, member: &Member<Presence>) -> Vec<u8> {
        let who = member.id();
        let alive = member.state() != foca::State::Down;
        let record = self.records.get(who.node).filter(|record| alive && record.incarnation == who.incarnation);
        let bytes = record.map(|record| record.bytes).unwrap_or_default();
        let mut entry = Vec::with_capacity(MEMBER + 2 + bytes.len());
        // A vector has room, and a record is shorter than what two bytes can count.
        let _ = codec::put_member(member, &mut entry);
        entry.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        entry.extend_from_slice(&bytes);
        entry
    }

    fn read_page(&mut self, now: u64, mut rest: &[u8]) -> Result<(), Rejected> {
        while !rest.is_empty() {
            let member = codec::take_member(&mut rest).map_err(|_| Rejected::Malformed)?;
            let len = usize::from(rest.try_get_u16_le().map_err(|_| Rejected::Malformed)?);
            let (bytes, after) = rest.split_at_checked(len).ok_or(Rejected::Malformed)?;
            rest = after;
            if !bytes.is_empty() {
                let record = Record::parse(bytes).map_err(|_| Rejected::Malformed)?;
                let its_own = record.node == member.id().node && record.node != self.me().node;
                self.hungry |= its_own && self.records.offer(record);
            }
            self.read_member(member)?;
            self.absorb(now);
        }
        Ok(())
    }

    fn read_member(&mut self, member: Member<Presence>) -> Result<(), Rejected> {
        let who = *member.id();
        let failed = member.state() == foca::State::Down;
        if who.node == self.me().node {
            // Others hold this very life for failed.
            if failed && who == self.me() {
                self.apply(Member::down(who));
            }
            return Ok(());
        }
        match self.view.get(who.node).copied() {
            None if failed => Ok(()),
            None if !self.has_room() => Err(Rejected::Full),
            Some(entry) if entry.presence.life() >= who.life() => {
                if failed && entry.presence == who && entry.state == State::Alive {
                    self.ask_to_renew(&who, who.address);
                }
                Ok(())
            }
            _ => {
                self.hungry = true;
                self.apply(Member::new(
                    who,
                    member.incarnation(),
                    if failed { foca::State::Down } else { foca::State::Alive },
                ));
                Ok(())
            }
        }
    }

    fn ask_to_renew(&mut self, who: &Presence, address: SocketAddr) {
        let mut body = Vec::with_capacity(PRESENCE);
        let _ = codec::put_presence(who, &mut body);
        self.send(address, who.node, Kind::Renew, &body);
    }

    fn renew(&mut self, mut rest: &[u8]) -> Result<(), Rejected> {
        let who = codec::take_presence(&mut rest).map_err(|_| Rejected::Malformed)?;
        if who != self.me() {
            return Err(Rejected::NotForUs);
        }
        self.apply(Member::down(who));
        Ok(())
    }

    /// Not told on: who compares views hears of it the same way.
    pub(super) fn apply(&mut self, member: Member<Presence>) {
        let _ = self.foca.apply_many(std::iter::once(member), false, &mut self.effects);
    }
}
