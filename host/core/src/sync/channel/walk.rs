//! The walk that decides whether a new edge between two channels may be: it asks for the neighbours of one channel after
//! another, of whoever has that channel, and then knows. It reads nothing itself, so it goes across nodes as well.

use crate::ids::{Address, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An attempt to add an edge. Of two that are in each other's way the lower one goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Claim {
    pub number: u64,
    pub node: NodeId,
}

/// Why an edge may not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The child reaches the parent already.
    Cycle,
    /// Something above the parent reaches something below the child already.
    SecondPath,
    /// Another claim is in the way.
    Retry,
    /// There are as many edges as there may be.
    Full,
    /// A channel is not there.
    Unknown,
    /// The walk leads to another node, where this one cannot look.
    Elsewhere,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To those it gets messages from.
    Up,
    /// To those it gives messages to.
    Down,
}

/// One question: the neighbours of this channel in this direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    pub channel: Address,
    leg: Leg,
}

/// See [the module](self).
#[derive(Debug)]
pub struct Walk {
    claim: Claim,
    parent: Address,
    asks: Vec<Ask>,
    /// The parent and all that reach it.
    above: BTreeSet<Address>,
    /// The child and all that it reaches.
    below: BTreeSet<Address>,
    /// All that reach one of these.
    beside: BTreeSet<Address>,
    /// A lower claim was met.
    blocked: bool,
    /// Higher claims that were met.
    outranked: BTreeSet<Claim>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leg {
    Above,
    Below,
    Beside,
}

impl Ask {
    pub fn direction(&self) -> Direction {
        match self.leg {
            Leg::Below => Direction::Down,
            Leg::Above | Leg::Beside => Direction::Up,
        }
    }
}

impl Walk {
    /// Before it the edge has been reserved under this claim at both ends.
    pub fn new(claim: Claim, parent: Address, child: Address) -> Walk {
        let ask = |channel, leg| Ask { channel, leg };
        Walk {
            claim,
            parent,
            asks: vec![ask(parent, Leg::Above), ask(child, Leg::Below), ask(child, Leg::Beside)],
            above: BTreeSet::from([parent]),
            below: BTreeSet::from([child]),
            beside: BTreeSet::new(),
            blocked: false,
            outranked: BTreeSet::new(),
        }
    }

    /// The next question; `None` when all is known.
    pub fn next_ask(&mut self) -> Option<Ask> {
        self.asks.pop()
    }

    /// The answer to a question: the neighbours, each with the claim of its edge if that is only reserved.
    pub fn answer(&mut self, ask: Ask, neighbours: impl IntoIterator<Item = (Address, Option<Claim>)>) {
        for (channel, claim) in neighbours {
            match claim {
                Some(claim) if claim == self.claim => {}
                Some(claim) if claim < self.claim => self.blocked = true,
                Some(claim) => drop(self.outranked.insert(claim)),
                None => self.reach(channel, ask.leg),
            }
        }
    }

    /// What it comes to: the claims that have to give way, or why the edge may not be.
    pub fn verdict(self) -> Result<BTreeSet<Claim>, Refused> {
        if self.below.contains(&self.parent) {
            return Err(Refused::Cycle);
        }
        if self.above.iter().any(|channel| self.beside.contains(channel)) {
            return Err(Refused::SecondPath);
        }
        if self.blocked { Err(Refused::Retry) } else { Ok(self.outranked) }
    }

    fn reach(&mut self, channel: Address, leg: Leg) {
        let seen = match leg {
            Leg::Above => &mut self.above,
            Leg::Below => &mut self.below,
            Leg::Beside => &mut self.beside,
        };
        if seen.insert(channel) {
            self.asks.push(Ask { channel, leg });
            if leg == Leg::Below {
                self.asks.push(Ask { channel, leg: Leg::Beside });
            }
        }
    }
}
