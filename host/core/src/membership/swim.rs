//! Membership as a state machine: datagrams and timers in, datagrams and changes out. SWIM is foca's; here are the way into
//! the mesh and back, the guard against blaming others for one's own sleep, and what others are told of a member.
//!
//! After each call, [`Swim::poll_output`] until it is empty, and a timer at [`Swim::next_deadline`].

use super::codec::{self, Binary, MEMBER};
use super::datagram::{self, HEAD, Kind, ROOM, Rejected};
use super::doubt::Doubts;
use super::effects::{Effects, Note};
use super::gateways::{self, Gateways};
use super::member::{About, Invalid, Member, Record};
use super::presence::Presence;
use super::records::Records;
use super::rng::SplitMix;
use super::view::{State, View};
use crate::ids::NodeId;
use crate::limits;
use crate::sync::timers::{TimerId, TimerQueue};
use bytes::Buf;
use foca::{Codec, Foca, Header, Message, Timer};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

pub struct Swim {
    pub(super) foca: Foca<Presence, Binary, SplitMix, Records>,
    pub(super) effects: Effects,
    pub(super) view: View,
    pub(super) records: Records,
    pub(super) rng: SplitMix,
    pub(super) cluster: u64,
    /// The last comparison brought news: the next comes soon.
    pub(super) hungry: bool,
    pub(super) timers: TimerQueue<Due>,
    pub(super) doubts: Doubts,
    pub(super) gateways: Gateways,
    /// Timers run on a clock that stands still while this node does; so far behind it is.
    slept: u64,
    ask: Option<TimerId>,
    seeds: Vec<SocketAddr>,
    /// Somebody is known to know this node.
    pub(super) connected: bool,
    leaving: bool,
    serial: u64,
    pub(super) output: VecDeque<Output>,
    waiting_sends: usize,
    dropped: u64,
}

/// What is to be done or known outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// A datagram; `node` is who it is for, where that is known.
    Send {
        to: SocketAddr,
        node: Option<NodeId>,
        bytes: Vec<u8>,
        unconnected: Unconnected,
    },
    Joined(Member),
    /// It says something else of itself, or has another address.
    Changed(Member),
    Failed(Member),
    Left(Member),
    /// Others had given this node up; it is back as this.
    Renewed(Presence),
    Rejected(SocketAddr, Rejected),
    /// Whether a connection with this node is to be kept though nobody uses it: one of the two is a gateway of the other.
    Keep(NodeId, bool),
    /// This node is dial-out, and a member wants to be dialled.
    CallBack(NodeId),
}

/// What becomes of a datagram where there is no connection with the node that it is for.
#[derive(Clone, PartialEq, Debug)]
pub enum Unconnected {
    /// One is made.
    Dial,
    /// That node cannot be dialled: these bytes go to a gateway of it.
    Pass { to: SocketAddr, node: NodeId, bytes: Vec<u8> },
    /// It is lost.
    Drop,
}

#[derive(Debug)]
pub(super) enum Due {
    Foca(Timer<Presence>),
    /// Ask the seeds.
    Ask,
    /// Compare views.
    Compare,
    /// Ask about those suspected here.
    Doubt,
    /// See to gateways.
    Gate,
}

impl Swim {
    /// Takes part in the cluster of this name from now on; alone until [`Swim::announce`] or until another announces itself.
    pub fn new(now: u64, me: Presence, about: About, cluster: &str, seed: u64) -> Result<Swim, Invalid> {
        let record = Record::new(me.node, me.incarnation, 1, gateways::fits(&me, about)?)?;
        let records = Records::default();
        let mut rng = SplitMix::new(seed);
        let foca_rng = SplitMix::new(rng.word());
        let mut swim = Swim {
            foca: Foca::with_custom_broadcast(me, config(), foca_rng, Binary, records.clone()),
            effects: Effects::default(),
            view: View::new(me, now),
            records,
            rng,
            cluster: datagram::cluster_number(cluster),
            hungry: false,
            timers: TimerQueue::default(),
            doubts: Doubts::default(),
            gateways: Gateways::default(),
            slept: 0,
            ask: None,
            seeds: Vec::new(),
            connected: false,
            leaving: false,
            serial: 1,
            output: VecDeque::new(),
            waiting_sends: 0,
            dropped: 0,
        };
        swim.say(now, &record);
        swim.ask_in(now, limits::SEED_ALONE);
        swim.compare_in(now, limits::SYNC_PERIOD);
        if me.dial_out {
            swim.gate_in(now);
        }
        Ok(swim)
    }

    pub fn me(&self) -> Presence {
        *self.foca.identity()
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    /// A member with what it says of itself.
    pub fn member(&self, node: NodeId) -> Option<Member> {
        self.view.get(node).map(|entry| self.member_of(entry.presence))
    }

    /// Datagrams that found no room on their way out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A way into the mesh: asked now, and again while alone or while nobody is there. `false`: there are too many.
    pub fn announce(&mut self, now: u64, seed: SocketAddr) -> bool {
        let known = self.seeds.contains(&seed);
        if !known && self.seeds.len() >= limits::MESH_SEEDS {
            return false;
        }
        if !known {
            self.seeds.push(seed);
        }
        self.ask(seed);
        self.absorb(now);
        true
    }

    /// A way into the mesh that is one no longer.
    pub fn forget_seed(&mut self, seed: SocketAddr) {
        self.seeds.retain(|known| *known != seed);
    }

    /// Says something else of this node from now on.
    pub fn update(&mut self, now: u64, about: About) -> Result<(), Invalid> {
        let me = self.me();
        let about = About { gateways: self.gateways.answering(), ..gateways::fits(&me, about)? };
        let record = Record::new(me.node, me.incarnation, self.serial + 1, about)?;
        self.serial += 1;
        self.say(now, &record);
        Ok(())
    }

    /// This node's address has changed: others see it as a new life.
    pub fn move_to(&mut self, now: u64, address: SocketAddr) {
        let next = foca::Identity::renew(&self.me()).map(|me| Presence { address, ..me });
        if let Some(me) = next.filter(|_| !self.leaving) {
            let _ = self.foca.change_identity(me, &mut self.effects);
            self.effects.notes.push(Note::Renewed);
            self.absorb(now);
        }
    }

    /// Says good-bye; the datagrams that this gives are the last.
    pub fn leave(&mut self, now: u64) -> Result<(), Invalid> {
        let me = self.me();
        let about = self.records.get(me.node).map(|record| (*record.about).clone()).unwrap_or_default();
        self.update(now, About { leaving: true, ..about })?;
        let _ = self.foca.leave_cluster(&mut self.effects);
        // Nothing is repeated later: once more, to others.
        let _ = self.foca.gossip(&mut self.effects);
        self.leaving = true;
        self.absorb(now);
        Ok(())
    }

    /// Takes a datagram that came from there. `proven` is the node that the connection has proved, if it has.
    pub fn handle_datagram(&mut self, now: u64, from: SocketAddr, proven: Option<NodeId>, bytes: &[u8]) {
        if self.leaving {
            return;
        }
        let handled = datagram::open(self.cluster, bytes).and_then(|(kind, body)| match kind {
            Kind::Swim => self.swim(from, proven, body),
            _ => self.compare(now, kind, from, proven, body),
        });
        self.absorb(now);
        if let Err(why) = handled {
            self.push_bounded(Output::Rejected(from, why));
        }
    }

    /// Asks a dial-out member, by one of its gateways, to dial this node. `false`: no gateway of it is known.
    pub fn call_back(&mut self, node: NodeId) -> bool {
        let alive = self.view.get(node).filter(|entry| entry.state == State::Alive && entry.presence.dial_out);
        let Some(presence) = alive.map(|entry| entry.presence).filter(|_| !self.leaving) else { return false };
        let known = !self.gateways_of(node).is_empty();
        self.send(presence.address, node, Kind::Call, &[]);
        known
    }

    pub fn next_deadline(&self) -> Option<u64> {
        if self.leaving { None } else { self.timers.next_deadline().map(|due| due + self.slept) }
    }

    /// Does what is due. Handled late, it moves all timers by as much: others are not to blame, and what they have sent
    /// meanwhile is to be read first.
    pub fn handle_timer(&mut self, now: u64) {
        let late = self.next_deadline().map_or(0, |due| now.saturating_sub(due));
        if late > nanos(limits::LATE) {
            self.slept += late + nanos(limits::LATE);
        }
        while let Some(due) = self.timers.pop_due(now.saturating_sub(self.slept)) {
            match due {
                // foca would tell the suspect that it is given up, and so make it begin a new life.
                Due::Foca(Timer::ChangeSuspectToDown { member_id, incarnation, .. })
                    if !self.is_suspect(&member_id, incarnation) => {}
                // What it may refuse (a probe of someone who has gone) it has settled itself.
                Due::Foca(timer) => drop(self.foca.handle_timer(timer, &mut self.effects)),
                Due::Ask => self.ask_around(now),
                Due::Compare => self.compare_with_one(now),
                Due::Doubt => self.doubt_again(now),
                Due::Gate => self.tend_gateways(now),
            }
            self.absorb(now);
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.output.pop_front()?;
        if matches!(output, Output::Send { .. } | Output::Rejected(..)) {
            self.waiting_sends -= 1;
        }
        Some(output)
    }

    // Datagrams of foca.

    pub(super) fn swim(&mut self, from: SocketAddr, proven: Option<NodeId>, body: &[u8]) -> Result<(), Rejected> {
        let mut rest = body;
        let header = Binary.decode_header(&mut rest).map_err(|_| Rejected::Malformed)?;
        let src = header.src.seen_from(from);
        self.check_sender(&src, proven)?;
        let header = Header { src, dst: self.receiver(&header)?, ..header };
        self.check_room(&src, rest)?;
        let mut bytes = Vec::with_capacity(body.len());
        Binary.encode_header(&header, &mut bytes).map_err(|_| Rejected::Malformed)?;
        bytes.extend_from_slice(rest);
        let undead = header.message == Message::TurnUndead;
        let handled = self.foca.handle_data(&bytes, &mut self.effects);
        if undead {
            // Who gave this node up is the first to hear that it lives.
            self.ask(from);
        }
        handled.map_err(|_| Rejected::Malformed)
    }

    /// Who is meant: this node, also by one who does not know its id or its latest life yet. That an earlier life is over,
    /// however, is no news.
    fn receiver(&self, header: &Header<Presence>) -> Result<Presence, Rejected> {
        let (me, dst) = (self.me(), header.dst);
        let asked = header.message == Message::Announce;
        let anyone = asked && dst.node == NodeId::default();
        let mine = dst.node == me.node && (asked || dst == me);
        let earlier = dst.node == me.node && dst.incarnation == me.incarnation && dst.generation < me.generation;
        let meant = anyone || mine || (earlier && header.message != Message::TurnUndead);
        if meant { Ok(me) } else { Err(Rejected::NotForUs) }
    }

    pub(super) fn check_sender(&self, sender: &Presence, proven: Option<NodeId>) -> Result<(), Rejected> {
        if proven.is_some_and(|proven| proven != sender.node) {
            return Err(Rejected::Impostor);
        }
        if sender.node == self.me().node {
            return Err(Rejected::Ourselves);
        }
        if self.view.is_past(sender) { Err(Rejected::Stale) } else { Ok(()) }
    }

    /// With the table full only what is about nodes in it is taken; those gone the longest make room first.
    fn check_room(&mut self, src: &Presence, updates: &[u8]) -> Result<(), Rejected> {
        if self.foca.iter_membership_state().len() + limits::MESH_DATAGRAM / MEMBER < limits::MESH_NODES {
            return Ok(());
        }
        self.make_room();
        let known: BTreeSet<NodeId> = self.foca.iter_membership_state().map(|member| member.id().node).collect();
        let mut data = updates;
        let count = data.try_get_u16().unwrap_or(0);
        let mut nodes = vec![src.node];
        for _ in 0..count {
            nodes.push(codec::take_member(&mut data).map_err(|_| Rejected::Malformed)?.id().node);
        }
        if nodes.iter().all(|node| known.contains(node)) { Ok(()) } else { Err(Rejected::Full) }
    }

    /// Forgets an eighth of the table, of those who are down: first who was never seen alive, then who went first.
    fn make_room(&mut self) {
        let down = self.foca.iter_membership_state().filter(|member| member.state() == foca::State::Down);
        let since = |who: &Presence| self.view.get(who.node).map_or(0, |entry| entry.since);
        let mut down: Vec<(u64, Presence)> = down.map(|member| (since(member.id()), *member.id())).collect();
        down.sort_by_key(|(since, who)| (*since, who.node));
        for (_, who) in down.into_iter().take(limits::MESH_NODES / 8) {
            let _ = self.foca.handle_timer(Timer::RemoveDown(who), &mut self.effects);
        }
    }

    /// Whether a suspicion was not refuted.
    pub(super) fn is_suspect(&self, who: &Presence, incarnation: u16) -> bool {
        let same = |member: &&foca::Member<Presence>| member.id() == who && member.incarnation() == incarnation;
        let known = self.foca.iter_membership_state().find(same);
        known.is_some_and(|member| member.state() == foca::State::Suspect)
    }

    pub(super) fn has_room(&self) -> bool {
        self.foca.iter_membership_state().len() + 1 < limits::MESH_NODES
    }

    // The way in.

    pub(super) fn lonely(&mut self, now: u64) {
        self.connected = false;
        if let Some(ask) = self.ask.take() {
            self.timers.cancel(ask);
        }
        self.ask_in(now, limits::SEED_ALONE);
    }

    fn ask(&mut self, address: SocketAddr) {
        let _ = self.foca.announce(Presence::anyone(address), &mut self.effects);
    }

    /// Unknown to all: every seed, and some that this node remembers. Otherwise one seed that is not among the members.
    fn ask_around(&mut self, now: u64) {
        if self.connected {
            let members: BTreeSet<SocketAddr> = self.view.alive().map(|entry| entry.presence.address).collect();
            let missing: Vec<SocketAddr> = self.seeds.iter().copied().filter(|seed| !members.contains(seed)).collect();
            if let Some(seed) = missing.get(self.rng.below(missing.len())) {
                self.ask(*seed);
            }
            return self.ask_in(now, limits::SEED_PERIOD);
        }
        for seed in self.seeds.clone() {
            self.ask(seed);
        }
        let me = self.me();
        let known: Vec<Presence> =
            self.view.iter().map(|entry| entry.presence).filter(|it| it.node != me.node).collect();
        for _ in 0..limits::REVIVE_FANOUT {
            if let Some(member) = known.get(self.rng.below(known.len())) {
                let _ = self.foca.announce(*member, &mut self.effects);
            }
        }
        self.ask_in(now, limits::SEED_ALONE);
    }

    fn ask_in(&mut self, now: u64, after: Duration) {
        let due = self.soon(now, after);
        self.ask = Some(self.timers.insert(due, Due::Ask));
    }

    pub(super) fn compare_in(&mut self, now: u64, after: Duration) {
        let due = self.soon(now, after);
        self.timers.insert(due, Due::Compare);
    }

    /// Up to an eighth earlier, so that nodes started together do not stay in step.
    pub(super) fn soon(&mut self, now: u64, after: Duration) -> u64 {
        let after = nanos(after);
        self.time(now) + after - self.rng.word() % (after / 8 + 1)
    }

    pub(super) fn time(&self, now: u64) -> u64 {
        now.saturating_sub(self.slept)
    }

    pub(super) fn send(&mut self, to: SocketAddr, node: NodeId, kind: Kind, body: &[u8]) {
        let bytes = datagram::seal_from(self.cluster, kind, &self.me(), body);
        let dial_out = self.view.get(node).is_some_and(|entry| entry.presence.dial_out);
        let unconnected = if dial_out { self.pass(node, &bytes) } else { Unconnected::Dial };
        self.push_bounded(Output::Send { to, node: Some(node), bytes, unconnected });
    }

    pub(super) fn push_bounded(&mut self, output: Output) {
        if self.waiting_sends >= limits::MESH_OUTPUT {
            self.dropped += 1;
            return;
        }
        self.waiting_sends += 1;
        self.output.push_back(output);
    }
}

fn config() -> foca::Config {
    let periodic = |frequency, members: usize| {
        Some(foca::PeriodicParams { frequency, num_members: NonZeroUsize::new(members).unwrap_or(NonZeroUsize::MIN) })
    };
    foca::Config {
        probe_period: limits::PROBE_PERIOD,
        probe_rtt: limits::PROBE_ROUND_TRIP,
        num_indirect_probes: NonZeroUsize::new(limits::PROBE_HELPERS).unwrap_or(NonZeroUsize::MIN),
        max_transmissions: NonZeroU8::new(limits::GOSSIP_TIMES).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: limits::SUSPICION,
        remove_down_after: Some(limits::MESH_FORGET),
        max_packet_size: NonZeroUsize::new(ROOM - HEAD).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        // Comparing views finds all that this would, and what members say of themselves as well.
        periodic_announce: None,
        periodic_announce_to_down_members: periodic(limits::REVIVE_PERIOD, limits::REVIVE_FANOUT),
        periodic_gossip: periodic(limits::GOSSIP_PERIOD, limits::GOSSIP_FANOUT),
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
