//! Gateways: members that pass datagrams on to a node that accepts no connections, and what passes through them.
//!
//! A dial-out node keeps a connection with a few members and says in its record who they are. Who has no connection with it
//! hands a datagram to one of them. Each datagram is passed on once, for a member, to a node that asked for it, and no more of
//! them than there may be. What a gateway says of the sender is believed, by the node that has chosen it and by no other.

use super::codec::{self, PRESENCE};
use super::datagram::{self, HEAD, Kind, PASSING, ROOM, Rejected};
use super::member::{About, Invalid, Record};
use super::presence::Presence;
use super::swim::{Due, Output, Swim, Unconnected, nanos};
use super::view::State;
use crate::ids::NodeId;
use crate::limits;
use crate::tenancy::rate::Rate;
use std::collections::BTreeMap;
use std::time::Duration;

/// Gateways of this node, and the nodes that this one is a gateway of.
#[derive(Debug)]
pub(super) struct Gateways {
    chosen: Vec<Gateway>,
    clients: BTreeMap<NodeId, Client>,
    /// By living member: how much more is passed on for it, and how often it may still ask to be dialled.
    senders: BTreeMap<NodeId, Rate>,
    callers: BTreeMap<NodeId, Rate>,
    calls: Rate,
    /// There is a timer.
    tended: bool,
}

/// A member that was asked.
#[derive(Debug)]
struct Gateway {
    node: NodeId,
    /// When it answered last, or was asked first; and when it was asked last.
    heard: u64,
    asked: u64,
    answers: bool,
}

/// A dial-out node that has asked.
#[derive(Debug)]
struct Client {
    asked: u64,
    rate: Rate,
}

/// What a node says of itself, if there is room for its gateways as well.
pub(super) fn fits(me: &Presence, about: About) -> Result<About, Invalid> {
    if me.dial_out {
        let longest = About { gateways: vec![NodeId::default(); limits::GATEWAYS], ..about.clone() };
        Record::new(me.node, u32::MAX, u64::MAX, longest)?;
    }
    Ok(About { gateways: Vec::new(), ..about })
}

impl Default for Gateways {
    fn default() -> Gateways {
        let (chosen, clients, senders, callers) = Default::default();
        let calls = rate(limits::CALL_BACK_ALL_INTERVAL, limits::CALL_BACK_ALL_BURST);
        Gateways { chosen, clients, senders, callers, calls, tended: false }
    }
}

impl Gateways {
    /// Of this node, as others may use them.
    pub fn answering(&self) -> Vec<NodeId> {
        self.chosen.iter().filter(|gateway| gateway.answers).map(|gateway| gateway.node).collect()
    }
}

impl Swim {
    // A dial-out node.

    /// Asks as many members as there are to be gateways, chosen at random so that no member has them all.
    pub(super) fn find_gateways(&mut self, now: u64) {
        let me = self.me();
        while me.dial_out && self.gateways.chosen.len() < limits::GATEWAYS {
            let chosen = |node: NodeId| self.gateways.chosen.iter().any(|gateway| gateway.node == node);
            let others = self.view.alive().map(|entry| entry.presence);
            let others: Vec<Presence> =
                others.filter(|it| it.node != me.node && !it.dial_out && !chosen(it.node)).collect();
            let Some(other) = others.get(self.rng.below(others.len())).copied() else { return };
            let heard = self.time(now);
            self.gateways.chosen.push(Gateway { node: other.node, heard, asked: heard, answers: false });
            self.output.push_back(Output::Keep(other.node, true));
            self.send(other.address, other.node, Kind::Gate, &[]);
        }
    }

    /// Gives up gateways that are silent, asks the others whether they are there, finds new ones and says who they are. Where
    /// this node is a gateway, it forgets those who ask no more.
    pub(super) fn tend_gateways(&mut self, now: u64) {
        self.gateways.tended = false;
        let time = self.time(now);
        let silent = |since: u64| time.saturating_sub(since) > nanos(limits::GATEWAY_SILENCE);
        let ended = self.gateways.clients.extract_if(.., |_, client| silent(client.asked)).map(|(node, _)| node);
        let ended: Vec<NodeId> =
            ended.chain(self.gateways.chosen.extract_if(.., |it| silent(it.heard)).map(|it| it.node)).collect();
        ended.into_iter().for_each(|node| self.output.push_back(Output::Keep(node, false)));
        let mut asked = Vec::new();
        for gateway in &mut self.gateways.chosen {
            let waits = time.saturating_sub(gateway.asked);
            if gateway.heard <= gateway.asked || waits >= nanos(limits::GATEWAY_PERIOD - limits::GATEWAY_RETRY / 2) {
                gateway.asked = time;
                asked.extend(self.view.get(gateway.node).map(|entry| entry.presence));
            }
        }
        asked.into_iter().for_each(|gateway| self.send(gateway.address, gateway.node, Kind::Gate, &[]));
        self.find_gateways(now);
        self.say_gateways(now);
        if self.me().dial_out || !self.gateways.clients.is_empty() {
            self.gate_in(now);
        }
    }

    pub(super) fn gate_in(&mut self, now: u64) {
        if !std::mem::replace(&mut self.gateways.tended, true) {
            let dial_out = self.me().dial_out;
            let due = self.soon(now, if dial_out { limits::GATEWAY_RETRY } else { limits::GATEWAY_PERIOD });
            self.timers.insert(due, Due::Gate);
        }
    }

    /// A member passes datagrams on to this node.
    pub(super) fn read_gated(&mut self, now: u64, sender: &Presence) -> Result<(), Rejected> {
        let time = self.time(now);
        let gateway = self.gateways.chosen.iter_mut().find(|gateway| gateway.node == sender.node);
        let gateway = gateway.ok_or(Rejected::Stranger)?;
        (gateway.heard, gateway.answers) = (time, true);
        // The first is said at once; others with the next round, so that they are said together.
        if self.said_gateways().is_empty() {
            self.say_gateways(now);
        }
        Ok(())
    }

    /// A datagram that a gateway passes on. Who it is from is what the gateway says, as the gateway's word on members is taken
    /// anyway; but it must be a known one, and where that is, is not what the gateway says.
    pub(super) fn read_passed(&mut self, now: u64, gateway: &Presence, body: &[u8]) -> Result<(), Rejected> {
        if !self.gateways.chosen.iter().any(|it| it.node == gateway.node) {
            return Err(Rejected::Stranger);
        }
        let (sender, bytes) = node_and_datagram(self.cluster, body)?;
        let known = self.view.get(sender).map(|entry| entry.presence.address);
        let from = known.filter(|_| sender != self.me().node).ok_or(Rejected::Stranger)?;
        match datagram::open(self.cluster, bytes)? {
            (Kind::Swim, body) => self.swim(from, Some(sender), body),
            (kind, body) => self.compare(now, kind, from, Some(sender), body),
        }
    }

    /// A member asks to be dialled.
    pub(super) fn read_call(&mut self, now: u64, sender: &Presence) -> Result<(), Rejected> {
        let known = self.view.get(sender.node).filter(|entry| entry.state == State::Alive);
        let known = known.map(|entry| entry.presence).ok_or(Rejected::Stranger)?;
        if !self.me().dial_out || known.dial_out {
            return Err(Rejected::NotDialled);
        }
        if known.address != sender.address {
            return Err(Rejected::Elsewhere);
        }
        let fresh = || rate(limits::CALL_BACK_INTERVAL, limits::CALL_BACK_BURST);
        let own = self.gateways.callers.entry(sender.node).or_insert_with(fresh);
        if !own.take(now) || !self.gateways.calls.take(now) {
            return Err(Rejected::Calls);
        }
        self.output.push_back(Output::CallBack(sender.node));
        Ok(())
    }

    fn say_gateways(&mut self, now: u64) {
        let (mut said, mut are) = (self.said_gateways(), self.gateways.answering());
        said.sort_unstable();
        are.sort_unstable();
        if said != are && self.me().dial_out {
            let about = self.records.get(self.me().node).map(|record| (*record.about).clone()).unwrap_or_default();
            // What was said before was possible, with room for these.
            let _ = self.update(now, about);
        }
    }

    fn said_gateways(&self) -> Vec<NodeId> {
        self.records.get(self.me().node).map(|record| record.about.gateways.clone()).unwrap_or_default()
    }

    // A gateway.

    /// A dial-out node wants its datagrams passed on to it.
    pub(super) fn read_gate(&mut self, now: u64, sender: &Presence) -> Result<(), Rejected> {
        if !sender.dial_out || self.me().dial_out {
            return Err(Rejected::NoGateway);
        }
        let (time, clients) = (self.time(now), &mut self.gateways.clients);
        if clients.len() >= limits::GATEWAY_CLIENTS && !clients.contains_key(&sender.node) {
            return Err(Rejected::Gateways);
        }
        let fresh = || Client { asked: time, rate: rate(limits::PASS_TO_INTERVAL, limits::PASS_TO_BURST) };
        let known = clients.len();
        clients.entry(sender.node).or_insert_with(fresh).asked = time;
        if clients.len() > known {
            self.output.push_back(Output::Keep(sender.node, true));
        }
        self.gate_in(now);
        self.send(sender.address, sender.node, Kind::Gated, &[]);
        Ok(())
    }

    /// A member hands over a datagram for a node that this one is a gateway of.
    pub(super) fn pass_on(&mut self, now: u64, sender: &Presence, body: &[u8]) -> Result<(), Rejected> {
        let (node, bytes) = node_and_datagram(self.cluster, body)?;
        let member = |node: NodeId| self.view.get(node).filter(|entry| entry.state == State::Alive);
        member(sender.node).filter(|_| sender.node != node).ok_or(Rejected::Stranger)?;
        let to = member(node).map(|entry| entry.presence.address).ok_or(Rejected::NoGateway)?;
        let client = self.gateways.clients.get_mut(&node).ok_or(Rejected::NoGateway)?;
        let fresh = || rate(limits::PASS_INTERVAL, limits::PASS_BURST);
        let own = self.gateways.senders.entry(sender.node).or_insert_with(fresh);
        if !own.take(now) || !client.rate.take(now) {
            return Err(Rejected::Flood);
        }
        let body = [&sender.node.0[..], bytes].concat();
        let bytes = datagram::seal_from(self.cluster, Kind::Passed, &self.me(), &body);
        self.push_bounded(Output::Send { to, node: Some(node), bytes, unconnected: Unconnected::Drop });
        Ok(())
    }

    // All others.

    /// What becomes of a datagram for a dial-out node that this one has no connection with.
    pub(super) fn pass(&mut self, node: NodeId, bytes: &[u8]) -> Unconnected {
        let gateways = self.gateways_of(node);
        let Some(gateway) = gateways.get(self.rng.below(gateways.len())).filter(|_| bytes.len() <= ROOM) else {
            return Unconnected::Drop;
        };
        let body = [&node.0[..], bytes].concat();
        let bytes = datagram::seal_from(self.cluster, Kind::Pass, &self.me(), &body);
        Unconnected::Pass { to: gateway.address, node: gateway.node, bytes }
    }

    /// The members that pass on to this node. Where none is known that lives, any may do so that accepts connections: news of a
    /// newcomer come before its record, and in a mesh of many that only dial there are few others.
    pub(super) fn gateways_of(&self, node: NodeId) -> Vec<Presence> {
        let me = self.me().node;
        let said = self.records.get(node).map(|record| record.about.gateways.clone()).unwrap_or_default();
        let living = said.iter().filter_map(|gateway| self.view.get(*gateway)).filter(|it| it.state == State::Alive);
        let of_use = |it: &Presence| it.node != me && !it.dial_out;
        let found: Vec<Presence> = living.map(|entry| entry.presence).filter(of_use).collect();
        match found.is_empty() {
            true => self.view.alive().map(|entry| entry.presence).filter(of_use).collect(),
            false => found,
        }
    }

    /// This node is no member any more.
    pub(super) fn gateways_went(&mut self, node: NodeId) {
        let (chosen, clients) = (self.gateways.chosen.len(), self.gateways.clients.len());
        self.gateways.chosen.retain(|gateway| gateway.node != node);
        self.gateways.clients.remove(&node);
        self.gateways.senders.remove(&node);
        self.gateways.callers.remove(&node);
        if (chosen, clients) != (self.gateways.chosen.len(), self.gateways.clients.len()) {
            self.output.push_back(Output::Keep(node, false));
        }
    }
}

/// The node that a datagram is for or from, and the datagram, if it may be passed on.
fn node_and_datagram(cluster: u64, body: &[u8]) -> Result<(NodeId, &[u8]), Rejected> {
    let (node, bytes) = body.split_first_chunk::<12>().ok_or(Rejected::Malformed)?;
    match datagram::open(cluster, bytes)?.0 {
        Kind::Gate | Kind::Gated | Kind::Pass | Kind::Passed => Err(Rejected::Relayed),
        _ => Ok((NodeId(*node), bytes)),
    }
}

fn rate(interval: Duration, burst: u64) -> Rate {
    Rate::new(nanos(interval), burst)
}

/// A record and the sums of a comparison fit what may be passed on.
const _: () = assert!(
    HEAD + PRESENCE + limits::MEMBER_BYTES + codec::MEMBER + 2 <= ROOM && PASSING + ROOM <= limits::MESH_DATAGRAM
);
