//! A simulated cluster: nodes with their state machines, the network between them, and what happens to both.

use super::ledger::Ledger;
use super::nat::Nat;
use crate::net::{MILLISECOND, Net, SECOND, Weather};
use corovan_core::directory::message::Message;
use corovan_core::directory::{self, Directory};
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::membership::datagram::Rejected;
use corovan_core::membership::member::{About, Member};
use corovan_core::membership::presence::Presence;
use corovan_core::membership::swim::{Output, Swim, Unconnected};
use corovan_core::membership::view::State;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

pub struct Cluster {
    pub net: Net<Event>,
    pub nodes: Vec<Node>,
    pub bytes: u64,
    /// What was asked and told about names.
    pub ledger: Ledger,
    /// Failures told of nodes that lived, were not cut off and had not been so for a while, and new lives begun for such.
    pub false_failures: u64,
    seed: u64,
    /// When anything last happened that may make views differ.
    pub disturbed: u64,
    /// Who accepts no connections.
    pub nat: Nat,
}

pub struct Node {
    pub id: NodeId,
    pub incarnation: u32,
    pub address: SocketAddr,
    pub swim: Option<Swim>,
    pub directory: Directory,
    /// How far its time of day is ahead of an hour before the others', in milliseconds.
    skew: u64,
    /// What it was told of members but that they came.
    pub news: Vec<Output>,
    /// The latest boots that this boot was told of.
    seen: BTreeMap<NodeId, u32>,
    /// What this node was told: the members by their boots. Checked against its view.
    told: BTreeMap<NodeId, u32>,
    /// It does nothing until then, as a stopped process.
    frozen_until: u64,
    due: Option<u64>,
}

#[derive(Clone)]
pub enum Event {
    Datagram { to: usize, from: SocketAddr, sender: NodeId, bytes: Vec<u8> },
    Names { to: usize, sender: NodeId, boots: (u32, u32), message: Message },
    Timer(usize),
}

impl Cluster {
    pub fn new(seed: u64, nodes: usize, weather: Weather) -> Cluster {
        let node = |index: usize| Node {
            id: id(index),
            incarnation: 0,
            address: address(index),
            swim: None,
            directory: Directory::new(&Presence::new(id(index), 0, address(index))),
            skew: (seed ^ (index as u64 * 7_919)) % 3_000,
            news: Vec::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            frozen_until: 0,
            due: None,
        };
        let nodes = (0..nodes).map(node).collect();
        Cluster {
            net: Net::new(seed, weather),
            nodes,
            bytes: 0,
            ledger: Ledger::default(),
            false_failures: 0,
            seed,
            disturbed: 0,
            nat: Nat::default(),
        }
    }

    /// Starts a node, or starts it anew, with these as ways in.
    pub fn start(&mut self, index: usize, seeds: &[usize]) {
        self.disturbed = self.disturbed.max(self.net.now);
        let now = self.net.now;
        let node = &mut self.nodes[index];
        node.incarnation += 1;
        node.told.clear();
        node.seen.clear();
        let me = Presence::new(node.id, node.incarnation, node.address);
        let me = Presence { dial_out: self.nat.is_behind(index), ..me };
        let about = About { name: format!("node-{index}"), cores: 8, version: "0.1.0".into(), ..About::default() };
        let seed = self.seed ^ (index as u64) << 32 ^ u64::from(node.incarnation);
        let mut swim = Swim::new(now, me, about, "dev", seed).unwrap();
        for other in seeds {
            assert!(swim.announce(now, address(*other)));
        }
        node.swim = Some(swim);
        node.directory = Directory::new(&me);
        node.due = None;
        self.settle(index);
    }

    pub fn crash(&mut self, index: usize) {
        self.trace(index, &"crashes");
        self.disturbed = self.disturbed.max(self.net.now);
        self.stop(index);
    }

    pub fn leave(&mut self, index: usize) {
        self.disturbed = self.disturbed.max(self.net.now);
        let now = self.net.now;
        if let Some(swim) = &mut self.nodes[index].swim {
            swim.leave(now).unwrap();
            self.settle(index);
        }
        self.stop(index);
    }

    fn stop(&mut self, index: usize) {
        self.nat.stopped(index);
        if self.nodes[index].swim.take().is_some() {
            self.ledger.stopped(self.net.now, self.nodes[index].id, self.nodes[index].incarnation);
        }
    }

    /// Has a node say something else of itself.
    pub fn say(&mut self, index: usize, what: impl FnOnce(&mut Swim, u64)) {
        if let Some(swim) = &mut self.nodes[index].swim {
            what(swim, self.net.now);
        }
        self.settle(index);
    }

    /// Asks a node's directory for something, now.
    pub fn ask(&mut self, index: usize, what: impl FnOnce(&mut Directory, u64, u64)) {
        let now = self.net.now;
        let node = &mut self.nodes[index];
        let wall = 3_600_000 + now / MILLISECOND + node.skew;
        what(&mut node.directory, now, wall);
        self.settle(index);
    }

    /// The process is stopped for a while; what arrives waits for it.
    pub fn freeze(&mut self, index: usize, time: u64) {
        self.trace(index, &("stands still", time));
        let until = self.nodes[index].frozen_until.max(self.net.now + time);
        self.disturbed = self.disturbed.max(until);
        self.nodes[index].frozen_until = until;
        self.ledger.frozen(index, until);
    }

    /// Nothing goes from one part to the other, nor back unless `one_way`.
    pub fn split(&mut self, part: &BTreeSet<usize>, one_way: bool) {
        self.trace(0, &("cut off", part, one_way));
        self.disturbed = self.disturbed.max(self.net.now);
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if part.contains(&a) && !part.contains(&b) {
                    self.net.cut(a, b);
                    if !one_way {
                        self.net.cut(b, a);
                    }
                }
            }
        }
    }

    pub fn heal(&mut self) {
        self.trace(0, &"the network is whole");
        self.disturbed = self.disturbed.max(self.net.now);
        self.net.heal();
    }

    /// Lets time pass, and checks after each event what always holds.
    pub fn run(&mut self, time: u64) {
        let until = self.net.now + time;
        while let Some(event) = self.net.next(until) {
            let (Event::Timer(index) | Event::Datagram { to: index, .. } | Event::Names { to: index, .. }) = &event;
            let index = *index;
            let now = self.net.now;
            let node = &mut self.nodes[index];
            if node.frozen_until > now {
                let until = node.frozen_until;
                self.net.at(until, event);
                continue;
            }
            let Some(swim) = &mut node.swim else { continue };
            match event {
                Event::Datagram { from, sender, bytes, .. } => {
                    self.nat.arrived(now, number(sender), index);
                    swim.handle_datagram(now, from, Some(sender), &bytes);
                }
                Event::Timer(_) if node.due.is_some_and(|due| due <= now) => {
                    node.due = None;
                    if swim.next_deadline().is_some_and(|due| due <= now) {
                        swim.handle_timer(now);
                    }
                    node.directory.handle_timer(now);
                }
                // A link knows the boots of its ends, and carries nothing from or to others.
                Event::Names { sender, boots: (from, to), message, .. } => {
                    let known = swim.view().get(sender).map_or(from, |entry| entry.presence.incarnation);
                    if to == node.incarnation && known <= from {
                        node.directory.handle(now, sender, message);
                    }
                }
                Event::Timer(_) => continue,
            }
            self.settle(index);
        }
    }

    /// Runs until all living nodes know each other and nobody else; how long that took, or `None` if longer than `limit`.
    pub fn converge(&mut self, limit: u64) -> Option<u64> {
        let begin = self.net.now;
        while !self.agree() {
            if self.net.now - begin >= limit {
                return None;
            }
            self.run(limits::GOSSIP_PERIOD.as_nanos() as u64 / 2);
        }
        Some(self.net.now - begin)
    }

    /// All living nodes see exactly the living ones, in the same lives, with their records.
    pub fn agree(&self) -> bool {
        let living = self.living();
        let mut sums = living.iter().map(|index| self.swim(*index).view());
        let Some(first) = sums.next() else { return true };
        let alive = |index: &usize| {
            let entry = first.get(self.nodes[*index].id);
            entry.is_some_and(|e| {
                e.state == State::Alive && e.presence.incarnation == self.nodes[*index].incarnation && e.serial > 0
            })
        };
        first.alive_count() == living.len() && living.iter().all(alive) && sums.all(|view| view.sums() == first.sums())
    }

    pub fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].swim.is_some()).collect()
    }

    pub fn swim(&self, index: usize) -> &Swim {
        self.nodes[index].swim.as_ref().unwrap()
    }

    /// Why they do not agree, for the message of a failed check.
    pub fn disagreement(&self) -> String {
        let mut text = String::new();
        for index in self.living() {
            let entries = self.swim(index).view().iter();
            let seen = entries.map(|e| {
                format!(
                    "{}:{:?}.{}.{} says {}",
                    number(e.presence.node),
                    e.state,
                    e.presence.incarnation,
                    e.presence.generation,
                    e.serial
                )
            });
            text +=
                &format!("{index} (boot {}): {}\n", self.nodes[index].incarnation, seen.collect::<Vec<_>>().join(" "));
        }
        text
    }

    /// Sends what a node has to send, takes note of what it is told, and asks for its next timer.
    fn settle(&mut self, index: usize) {
        let now = self.net.now;
        let mut outputs = Vec::new();
        if let Some(swim) = &mut self.nodes[index].swim {
            outputs.extend(std::iter::from_fn(|| swim.poll_output()));
            assert!(outputs.len() <= limits::MESH_OUTPUT, "more output than there may be");
        }
        for output in outputs {
            if !matches!(output, Output::Send { .. }) {
                self.trace(index, &output);
            }
            if let Output::Changed(_) | Output::Failed(_) | Output::Left(_) = &output {
                self.nodes[index].news.push(output.clone());
            }
            match output {
                Output::Send { to, bytes, node, unconnected } => self.send(index, (to, node), bytes, unconnected),
                Output::Keep(node, keeps) => self.nat.keeps(now, (index, number(node)), keeps),
                Output::CallBack(node) => self.nat.called.push((index, number(node))),
                Output::Joined(member) => {
                    self.told(index, &member, true);
                    self.nodes[index].directory.came(now, &member.presence);
                }
                Output::Failed(member) | Output::Left(member) => {
                    self.told(index, &member, false);
                    self.nodes[index].directory.went(now, &member.presence);
                    let failed = number(member.presence.node);
                    let (node, boot) = (&self.nodes[failed], member.presence.incarnation);
                    let lives = node.swim.is_some() && node.incarnation == boot;
                    let calm = self.net.is_whole() && now > self.disturbed + 30 * SECOND;
                    self.false_failures += u64::from(lives && calm);
                }
                Output::Rejected(_, why) => {
                    assert!(!matches!(why, Rejected::Malformed | Rejected::Impostor | Rejected::TooLarge), "{why:?}");
                }
                Output::Renewed(_) => {
                    self.false_failures += u64::from(self.net.is_whole() && now > self.disturbed + 30 * SECOND);
                    self.nodes[index].directory.renewed(now);
                }
                Output::Changed(_) => {}
            }
        }
        while let Some(output) = self.nodes[index].directory.poll_output() {
            match output {
                directory::Output::Send(to, message) => {
                    self.trace(index, &(number(to), &message));
                    let (sender, boot, to) = (self.nodes[index].id, self.nodes[index].incarnation, number(to));
                    let known = self.nodes[index].swim.as_ref().and_then(|swim| swim.view().get(id(to)));
                    let boots = (boot, known.map_or(0, |entry| entry.presence.incarnation));
                    self.net.message(index, to, Event::Names { to, sender, boots, message });
                }
                told => {
                    self.trace(index, &told);
                    self.ledger.told(now, index, told);
                }
            }
        }
        let node = &mut self.nodes[index];
        let due = node
            .swim
            .as_ref()
            .and_then(|swim| swim.next_deadline().into_iter().chain(node.directory.next_deadline()).min());
        if let Some(due) = due.filter(|due| Some(*due) != node.due) {
            let due = due.max(now);
            node.due = Some(due);
            self.net.at(due, Event::Timer(index));
        }
    }

    /// What happens, for one who replays a seed.
    fn trace(&self, index: usize, what: &impl std::fmt::Debug) {
        if crate::seeds::replays() {
            eprintln!("{:9.3} s {index}: {what:?}", self.net.now as f64 / SECOND as f64);
        }
    }

    fn send(&mut self, index: usize, (to, node): (SocketAddr, Option<NodeId>), bytes: Vec<u8>, else_: Unconnected) {
        assert!(bytes.len() <= limits::MESH_DATAGRAM);
        let Some(target) = index_of(to) else { panic!("{to} is nobody's address ({node:?})") };
        if !self.nat.lets(self.net.now, index, target) {
            if let Unconnected::Pass { to, node, bytes } = else_ {
                assert!(index_of(to).is_some_and(|gateway| !self.nat.is_behind(gateway)), "a gateway that is none");
                self.send(index, (to, Some(node)), bytes, Unconnected::Dial);
            }
            return;
        }
        self.bytes += bytes.len() as u64;
        let (from, sender) = (self.nodes[index].address, self.nodes[index].id);
        self.net.datagram(index, target, Event::Datagram { to: target, from, sender, bytes });
    }

    /// A member comes only where it was not, and goes only where it was; its old boot goes before the new one comes.
    fn told(&mut self, index: usize, member: &Member, there: bool) {
        let (node, incarnation) = (member.presence.node, member.presence.incarnation);
        if there {
            let seen = self.nodes[index].seen.insert(node, incarnation);
            assert!(seen <= Some(incarnation), "{index} was told of an earlier boot of {node}");
        }
        let told = &mut self.nodes[index].told;
        if there {
            assert_eq!(told.insert(node, incarnation), None, "{index} was told twice that {node} is there");
        } else {
            assert_eq!(told.remove(&node), Some(incarnation), "{index} was told that {node} went, which was not there");
        }
    }
}

impl Node {
    /// Until when it does nothing.
    pub fn frozen(&self) -> u64 {
        self.frozen_until
    }
}

pub fn id(index: usize) -> NodeId {
    let mut node = NodeId([0xab; 12]);
    node.0[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
    node
}

pub fn number(node: NodeId) -> usize {
    u64::from_le_bytes(node.0[..8].try_into().unwrap()) as usize - 1
}

pub fn address(index: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + index as u32).into(), 4710)
}

fn index_of(address: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(v4) = address else { return None };
    usize::try_from(u32::from(*v4.ip()).checked_sub(0x0a00_0000)?).ok()
}
