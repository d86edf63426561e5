//! What coroutines asked and were told about names, to be compared with what may be told.

use crate::net::SECOND;
use corovan_core::code::Code;
use corovan_core::directory::Output;
use corovan_core::directory::message::Name;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Ledger {
    next_token: u64,
    /// Asked and not answered: by whom, for what, and until when it must be answered.
    open: BTreeMap<u64, Question>,
    /// Those who were told that they have a name.
    pub holders: BTreeSet<(Name, Address)>,
    pub lost: u64,
    /// Boots that are over, and since when.
    stopped: BTreeMap<(NodeId, u32), u64>,
    pub answers: BTreeMap<u64, Result<Address, Code>>,
    /// Registrations that were granted, with when: looked at by the scenario.
    pub granted: Vec<(u64, Name, Address)>,
}

struct Question {
    node: usize,
    name: Name,
    holder: Option<Address>,
    until: u64,
}

impl Ledger {
    /// A token for a question; with a holder it is a registration.
    pub fn ask(&mut self, node: usize, name: &Name, holder: Option<Address>, until: u64) -> u64 {
        self.next_token += 1;
        self.open.insert(self.next_token, Question { node, name: name.clone(), holder, until });
        self.next_token
    }

    pub fn told(&mut self, now: u64, node: usize, output: Output) {
        match output {
            Output::Registered(token, result) => {
                let question = self.answered(now, node, token);
                let holder = question.holder.expect("a registration");
                if result.is_ok() {
                    self.holders.insert((question.name.clone(), holder));
                    self.granted.push((now, question.name, holder));
                }
            }
            Output::Located(token, result) => {
                let question = self.answered(now, node, token);
                assert!(question.holder.is_none());
                self.answers.insert(token, result);
            }
            Output::NameLost(name, holder) => {
                let had = self.holders.remove(&(name.clone(), holder));
                assert!(had, "{holder} was told that it lost {name:?}, which it did not have (any more)");
                self.lost += 1;
            }
            Output::Send(..) => panic!("not told to anybody"),
        }
    }

    /// A coroutine has ended, or gave its name back.
    pub fn gave_back(&mut self, name: Option<&Name>, holder: &Address) {
        self.holders.retain(|(held, by)| by != holder || name.is_some_and(|name| name != held));
        if name.is_none() {
            self.open.retain(|_, question| question.holder != Some(*holder));
        }
    }

    pub fn stopped(&mut self, now: u64, node: NodeId, incarnation: u32) {
        self.stopped.insert((node, incarnation), now);
        self.holders.retain(|(_, holder)| (holder.node, holder.incarnation) != (node, incarnation));
        let index = super::cluster::number(node);
        self.open.retain(|_, question| question.node != index);
    }

    /// A node does nothing until then, and so answers nothing.
    pub fn frozen(&mut self, node: usize, until: u64) {
        for question in self.open.values_mut().filter(|question| question.node == node) {
            question.until = question.until.max(until);
        }
    }

    /// How long a boot has been over.
    pub fn over_for(&self, now: u64, holder: &Address) -> Option<u64> {
        self.stopped.get(&(holder.node, holder.incarnation)).map(|since| now - since)
    }

    /// Everything asked is answered by its deadline.
    pub fn check_deadlines(&self, now: u64) {
        for (token, question) in &self.open {
            assert!(now <= question.until + SECOND, "{token} ({:?}) was not answered", question.name);
        }
    }

    pub fn holders_of(&self, name: &Name) -> Vec<Address> {
        self.holders.iter().filter(|(held, _)| held == name).map(|(_, holder)| *holder).collect()
    }

    fn answered(&mut self, now: u64, node: usize, token: u64) -> Question {
        let question = self.open.remove(&token).unwrap_or_else(|| panic!("{token} was answered twice, or never asked"));
        assert_eq!(question.node, node);
        assert!(now <= question.until + SECOND, "answered long after the deadline");
        question
    }
}

/// After this time nothing of a boot that is over is left, even if nobody noticed its end.
pub fn lease_bound() -> u64 {
    (limits::NAME_LEASE + limits::NAME_RENEW).as_nanos() as u64 + SECOND
}
