//! Nodes that only dial: what is for one of them arrives by a connection that it has made, or not at all.

use crate::net::{MILLISECOND, SECOND};
use std::collections::{BTreeMap, BTreeSet};

/// Who is behind it, and who of the others has a connection with whom of these.
#[derive(Default)]
pub struct Nat {
    behind: BTreeSet<usize>,
    /// By who dialled and who was dialled: until when that connection is there.
    open: BTreeMap<(usize, usize), u64>,
    /// Those that one of the two wants kept.
    kept: BTreeSet<(usize, usize)>,
    /// Who was asked to dial whom.
    pub called: Vec<(usize, usize)>,
}

impl Nat {
    pub fn put_behind(&mut self, nodes: impl IntoIterator<Item = usize>) {
        self.behind.extend(nodes);
    }

    pub fn is_behind(&self, node: usize) -> bool {
        self.behind.contains(&node)
    }

    /// Something of the first has arrived at the second, so that there is a connection.
    pub fn arrived(&mut self, now: u64, from: usize, to: usize) {
        if self.is_behind(from) {
            let lasts = if self.kept.contains(&(from, to)) { KEPT } else { UNUSED };
            self.open.insert((from, to), now + lasts);
        }
    }

    pub fn keeps(&mut self, now: u64, (node, other): (usize, usize), keeps: bool) {
        for pair in [(node, other), (other, node)].into_iter().filter(|(from, _)| self.behind.contains(from)) {
            if keeps {
                self.kept.insert(pair);
                self.open.entry(pair).and_modify(|until| *until = now + KEPT);
            } else {
                self.kept.remove(&pair);
            }
        }
    }

    /// Whether something gets from the first to the second.
    pub fn lets(&self, now: u64, from: usize, to: usize) -> bool {
        !self.is_behind(to) || self.open.get(&(to, from)).is_some_and(|until| now < *until)
    }

    pub fn stopped(&mut self, node: usize) {
        self.open.retain(|(from, to), _| *from != node && *to != node);
        self.kept.retain(|(from, to)| *from != node && *to != node);
    }
}

/// How long a connection is there that is kept and broke, as quiet ones are on nodes: a little longer than the silence that ends it.
const KEPT: u64 = 3 * SECOND;
/// One that is not: shorter than on nodes, so that nearly all that is not answered at once has to be passed on.
const UNUSED: u64 = 200 * MILLISECOND;
