//! Names while everything happens to the nodes: who is told what, and what is so when it is quiet again.

use super::cluster::{Cluster, number};
use super::ledger::lease_bound;
use crate::net::{CALM, MILLISECOND, ROUGH, SECOND};
use crate::seeds;
use corovan_core::code::Code;
use corovan_core::directory::message::Name;
use corovan_core::ids::Address;
use corovan_core::limits;
use std::collections::BTreeSet;

#[test]
fn names_have_one_holder_where_views_agree_and_exactly_one_after_every_trouble() {
    seeds::each(120, |seed| Story::new(seed).run());
}

struct Story {
    cluster: Cluster,
    names: Vec<Name>,
    coroutines: u64,
    /// Since when views have agreed.
    agreed: Option<u64>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let size = 3 + (seed % 10) as usize;
        let weather = if seed.is_multiple_of(2) { CALM } else { ROUGH };
        let mut cluster = Cluster::new(seed, size, weather);
        // In some, a third of the nodes only dial, and are home to no name.
        cluster.nat.put_behind((size - size / 3..size).filter(|_| seed % 5 == 4));
        for index in 0..size {
            cluster.start(index, &[0, 1]);
        }
        let names = (0..6).map(|n| Name::new("a", &format!("name-{n}")).unwrap()).collect();
        Story { cluster, names, coroutines: 0, agreed: None }
    }

    /// Without it there are still some who find each other: where nobody accepts connections, those left are cut apart.
    fn can_spare(&self, node: usize) -> bool {
        let nat = &self.cluster.nat;
        let others: Vec<usize> = self.cluster.living().into_iter().filter(|other| *other != node).collect();
        others.len() > 1 && others.iter().any(|other| !nat.is_behind(*other))
    }

    fn run(&mut self) {
        for _ in 0..120 {
            self.something_happens();
            self.watch(300 * MILLISECOND);
        }
        self.quiet();
        for _ in 0..10 {
            // Only what coroutines do; these answers are the ones that must be right.
            self.somebody_asks();
            self.watch(3 * SECOND);
        }
        self.quiet();
        self.all_is_well();
    }

    fn something_happens(&mut self) {
        let any = self.any();
        let lives = self.cluster.nodes[any].swim.is_some();
        match self.cluster.net.rng.below(100) {
            0..2 if lives && self.cluster.living().len() > 2 => self.cluster.crash(any),
            2..3 if lives && self.cluster.living().len() > 2 => self.cluster.leave(any),
            3..7 if !lives => self.start(any),
            7..8 if lives => {
                // The process is gone and back before anybody notices.
                self.cluster.crash(any);
                self.start(any);
            }
            8..10 => {
                let part: BTreeSet<usize> =
                    (0..self.cluster.nodes.len()).filter(|_| self.cluster.net.rng.below(2) == 0).collect();
                let one_way = self.cluster.net.chance(300);
                self.cluster.split(&part, one_way);
            }
            10..14 => self.cluster.heal(),
            14..15 if lives => {
                let time = self.cluster.net.rng.below(8_000) as u64 * MILLISECOND;
                self.cluster.freeze(any, time);
            }
            15..60 => self.somebody_asks(),
            _ => {}
        }
    }

    fn somebody_asks(&mut self) {
        let living = self.cluster.living();
        let node = living[self.cluster.net.rng.below(living.len())];
        let name = self.names[self.cluster.net.rng.below(self.names.len())].clone();
        let deadline = self.cluster.net.now + (1 + self.cluster.net.rng.below(8) as u64) * SECOND;
        let until = deadline.max(self.cluster.nodes[node].frozen());
        let here = |it: &&(Name, Address)| number(it.1.node) == node;
        let held = self.cluster.ledger.holders.iter().filter(here).cloned().collect::<Vec<_>>();
        match (self.cluster.net.rng.below(10), held.first().cloned()) {
            (0..5, _) => {
                let holder = self.coroutine(node);
                let token = self.cluster.ledger.ask(node, &name, Some(holder), until);
                self.cluster.ask(node, |it, now, wall| it.register(now, wall, token, name, holder, deadline));
            }
            (5, Some((name, holder))) => {
                self.cluster.ledger.gave_back(Some(&name), &holder);
                self.cluster.ask(node, |it, now, _| assert!(it.unregister(now, &name, &holder)));
            }
            (6, Some((_, holder))) => {
                self.cluster.ledger.gave_back(None, &holder);
                self.cluster.ask(node, |it, now, _| it.forget(now, &holder));
            }
            (wait, _) => {
                let token = self.cluster.ledger.ask(node, &name, None, until);
                self.cluster.ask(node, |it, now, _| it.locate(now, token, name, wait < 8, deadline));
            }
        }
    }

    /// Lets time pass in small steps, and checks after each what always holds.
    fn watch(&mut self, time: u64) {
        let until = self.cluster.net.now + time;
        while self.cluster.net.now < until {
            self.cluster.run(100 * MILLISECOND);
            let now = self.cluster.net.now;
            if self.cluster.agree() && self.cluster.net.is_whole() {
                self.agreed.get_or_insert(now);
            } else {
                self.agreed = None;
            }
            self.always();
        }
    }

    fn always(&mut self) {
        let now = self.cluster.net.now;
        let stable = self.agreed.is_some_and(|since| now > since + lease_bound());
        for (_, name, holder) in std::mem::take(&mut self.cluster.ledger.granted) {
            let holders = self.cluster.ledger.holders_of(&name);
            let still = holders.contains(&holder);
            assert!(
                !stable || !still || holders.len() == 1,
                "{name:?} was given to {holder}, and was another's: {holders:?}"
            );
        }
        self.cluster.ledger.check_deadlines(now);
        for index in self.cluster.living() {
            let node = &self.cluster.nodes[index];
            if node.frozen() > now {
                continue;
            }
            for (name, lease) in node.directory.home.leases() {
                let over = self.cluster.ledger.over_for(now, &lease.holder).unwrap_or(0);
                assert!(over <= lease_bound(), "{index} leases {name:?} to {}, gone for {over} ns", lease.holder);
            }
            assert!(node.directory.holder.open() <= 400, "calls are heaped up");
            for (name, registration) in node.directory.holder.held() {
                let told = self.cluster.ledger.holders.contains(&(name.clone(), registration.holder));
                assert!(told, "{index} holds {name:?} for {} behind its back", registration.holder);
            }
        }
    }

    /// The network is whole, and nothing happens but time.
    fn quiet(&mut self) {
        self.cluster.heal();
        self.watch(60 * SECOND);
        assert!(self.cluster.agree(), "views differ a minute later:\n{}", self.cluster.disagreement());
    }

    /// What a minute after the last trouble must be so: each name has one holder or none, its home knows it, and all find it.
    fn all_is_well(&mut self) {
        for name in self.names.clone() {
            let holders = self.cluster.ledger.holders_of(&name);
            assert!(holders.len() <= 1, "{name:?} has holders {holders:?}");
            let mut leased = BTreeSet::new();
            let mut tokens = Vec::new();
            for index in self.cluster.living() {
                leased.extend(self.cluster.nodes[index].directory.home.find(&name).map(|it| it.holder));
                let deadline = self.cluster.net.now + 5 * SECOND;
                let token = self.cluster.ledger.ask(index, &name, None, deadline);
                let asked = name.clone();
                self.cluster.ask(index, |it, now, _| it.locate(now, token, asked, false, deadline));
                tokens.push(token);
            }
            assert_eq!(leased, holders.iter().copied().collect(), "leases of {name:?}");
            self.watch(5 * SECOND);
            let expected = holders.first().copied().ok_or(Code::NotFound);
            for token in tokens {
                assert_eq!(self.cluster.ledger.answers[&token], expected, "{name:?}");
            }
            // And a free one can be had.
            if holders.is_empty() {
                let node = self.cluster.living()[0];
                let (holder, deadline) = (self.coroutine(node), self.cluster.net.now + 5 * SECOND);
                let token = self.cluster.ledger.ask(node, &name, Some(holder), deadline);
                let asked = name.clone();
                self.cluster.ask(node, |it, now, wall| it.register(now, wall, token, asked, holder, deadline));
                self.watch(5 * SECOND);
                assert_eq!(self.cluster.ledger.holders_of(&name), [holder]);
            }
        }
    }

    /// With ways in that live; with none, two nodes that were started anew could never know of each other.
    fn start(&mut self, index: usize) {
        let seeds = self.cluster.living();
        self.cluster.start(index, &seeds);
    }

    fn any(&mut self) -> usize {
        self.cluster.net.rng.below(self.cluster.nodes.len())
    }

    fn coroutine(&mut self, node: usize) -> Address {
        self.coroutines += 1;
        let it = &self.cluster.nodes[node];
        Address { node: it.id, incarnation: it.incarnation, counter: self.coroutines, secret: 1 }
    }
}

#[test]
fn where_nodes_only_die_leave_and_start_nobody_loses_a_name_and_none_has_two_holders_ever() {
    seeds::each(40, |seed| {
        let mut story = Story::new(seed & !1);
        story.cluster.converge(20 * SECOND).expect("views agree");
        story.cluster.run(3 * SECOND);
        for _ in 0..150 {
            let any = story.any();
            let lives = story.cluster.nodes[any].swim.is_some();
            match story.cluster.net.rng.below(20) {
                0 if lives && story.can_spare(any) => story.cluster.crash(any),
                1 if lives && story.can_spare(any) => story.cluster.leave(any),
                2 | 3 if !lives => story.start(any),
                _ => story.somebody_asks(),
            }
            story.watch(200 * MILLISECOND);
            for name in &story.names {
                let holders = story.cluster.ledger.holders_of(name);
                assert!(holders.len() <= 1, "{name:?} has holders {holders:?}");
            }
        }
        assert_eq!(story.cluster.ledger.lost, 0);
    });
}

#[test]
fn a_name_costs_one_round_trip_however_many_nodes_there_are() {
    for size in [3, 12, 48] {
        let mut cluster = Cluster::new(size as u64, size, CALM);
        for index in 0..size {
            cluster.start(index, &[0]);
        }
        cluster.converge(30 * SECOND).expect("views agree");
        cluster.run(limits::NAME_SETTLE.as_nanos() as u64 * 3);
        for n in 0..20 {
            let (from, asker) = (n % size, (n + 1) % size);
            let name = Name::new("a", &n.to_string()).unwrap();
            let (id, incarnation) = (cluster.nodes[from].id, 1);
            let holder = Address { node: id, incarnation, counter: 1, secret: 1 };
            let deadline = cluster.net.now + SECOND;
            let token = cluster.ledger.ask(from, &name, Some(holder), deadline);
            cluster.ask(from, |it, now, wall| it.register(now, wall, token, name.clone(), holder, deadline));
            // There and back take at most 3 ms in this weather.
            cluster.run(3 * MILLISECOND);
            assert_eq!(cluster.ledger.holders_of(&name), [holder], "{size} nodes");
            let token = cluster.ledger.ask(asker, &name, None, deadline);
            cluster.ask(asker, |it, now, _| it.locate(now, token, name.clone(), false, deadline));
            cluster.run(3 * MILLISECOND);
            assert_eq!(cluster.ledger.answers.get(&token), Some(&Ok(holder)), "{size} nodes");
        }
    }
}
