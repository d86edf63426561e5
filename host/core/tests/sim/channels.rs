//! Edges between channels of many nodes: attempts that run at once, whose questions and answers are delayed and overtake each
//! other, among nodes that lose each other and channels that close. However that goes, no message could ever come twice or
//! round.

use crate::link::random::Random;
use crate::seeds::{each, replays};
use corovan_core::ids::{Address, NodeId};
use corovan_core::sync::channel::attempt::{Answer, Attempt, Question, Step};
use corovan_core::sync::channel::graph::Graph;
use corovan_core::sync::channel::walk::Refused;
use std::collections::{BTreeMap, BTreeSet};

/// Every node's graph, and what is on its way.
struct Net {
    random: Random,
    graphs: Vec<Graph>,
    /// Edges as the nodes of their children have them, which decide.
    edges: BTreeSet<(Address, Address)>,
    attempts: BTreeMap<usize, Running>,
    last: usize,
    made: usize,
    refused: BTreeMap<String, usize>,
}

struct Running {
    attempt: Attempt,
    edge: (Address, Address),
    waits: Waits,
}

/// Where the present question is.
enum Waits {
    Asked(Address, Question),
    Answered(Answer),
}

impl Net {
    fn new(seed: u64, nodes: usize, channels: u64) -> Net {
        let mut graphs: Vec<Graph> = (0..nodes).map(|_| Graph::default()).collect();
        for (node, graph) in graphs.iter_mut().enumerate() {
            for channel in 0..channels {
                assert!(graph.open(address(node, channel)));
            }
        }
        Net {
            random: Random::new(seed),
            graphs,
            edges: BTreeSet::new(),
            attempts: BTreeMap::new(),
            last: 0,
            made: 0,
            refused: BTreeMap::new(),
        }
    }

    fn pick(&mut self, channels: u64) -> Address {
        let node = self.random.below(self.graphs.len() as u64) as usize;
        address(node, self.random.below(channels))
    }

    /// Another attempt, if what stands for the parent may be there: as on a node it is made first.
    fn begin(&mut self, parent: Address, child: Address) {
        let graph = &mut self.graphs[index(&child)];
        // What stands for the parent there.
        graph.open(parent);
        if graph.has_edge(&parent, &child) {
            return;
        }
        match graph.lead(child.node, parent, child) {
            Err(refused) => self.count(refused),
            Ok(claim) => {
                self.last += 1;
                let mut attempt = Attempt::new(claim, parent, child);
                let Step::Ask(of, question) = attempt.step() else { panic!("it asks before it is over") };
                let waits = Waits::Asked(of, question);
                self.attempts.insert(self.last, Running { attempt, edge: (parent, child), waits });
            }
        }
    }

    /// One question or answer arrives, of any attempt.
    fn advance(&mut self) {
        let Some(at) = self.random_attempt() else { return };
        let Some(mut running) = self.attempts.remove(&at) else { return };
        match running.waits {
            Waits::Asked(of, question) => {
                let answer = self.graphs[index(&of)].respond(&of, question);
                if replays() {
                    println!("{at} {} of {}: {question:?} -> {answer:?}", show(running.edge), of);
                }
                running.waits = Waits::Answered(answer);
                self.attempts.insert(at, running);
            }
            Waits::Answered(ref mut answer) => {
                let answer = std::mem::replace(answer, Answer::Done);
                running.attempt.answer(answer);
                match running.attempt.step() {
                    Step::Ask(of, question) => {
                        running.waits = Waits::Asked(of, question);
                        self.attempts.insert(at, running);
                    }
                    Step::Commit => self.commit(&running),
                    Step::Refused(refused) => {
                        self.count(refused);
                        self.take_back(&running);
                    }
                }
            }
        }
        self.check();
    }

    fn commit(&mut self, running: &Running) {
        let (parent, child) = running.edge;
        match self.graphs[index(&child)].commit(running.attempt.claim()) {
            Ok(()) => {
                if replays() {
                    println!("{} is committed", show(running.edge));
                }
                self.graphs[index(&child)].end_lead(running.attempt.claim(), parent, child);
                self.made += 1;
                self.edges.insert((parent, child));
            }
            Err(refused) => {
                self.count(refused);
                self.take_back(running);
            }
        }
    }

    fn take_back(&mut self, running: &Running) {
        let (parent, child) = running.edge;
        if replays() {
            println!("{} is taken back", show(running.edge));
        }
        if parent.node != child.node {
            self.graphs[index(&parent)].forget_edge(&parent, &child);
        }
        self.graphs[index(&child)].end_lead(running.attempt.claim(), parent, child);
    }

    /// An edge is given up by its child's node.
    fn cut(&mut self) {
        let Some(at) = self.random_below(self.edges.len()) else { return };
        let Some(&(parent, child)) = self.edges.iter().nth(at) else { return };
        if replays() {
            println!("{} is cut", show((parent, child)));
        }
        self.edges.remove(&(parent, child));
        self.graphs[index(&child)].disconnect(&parent, &child);
        if parent.node != child.node {
            self.graphs[index(&parent)].forget_edge(&parent, &child);
        }
    }

    /// Two nodes lose each other: what one has of the other goes at both, and attempts that ask over that way are refused.
    fn lose(&mut self) {
        let (one, other) = (self.pick(1).node, self.pick(1).node);
        if one == other {
            return;
        }
        if replays() {
            println!("{one} and {other} lose each other");
        }
        for (node, lost) in [(one, other), (other, one)] {
            let own: Vec<Address> =
                (0..8).map(|channel| Address { node, counter: channel, ..Address::default() }).collect();
            let graph = &mut self.graphs[index(&own[0])];
            own.iter().for_each(|channel| graph.forget_node(channel, lost));
            // What stands there for channels of the lost node.
            (0..8).for_each(|counter| graph.close(&Address { node: lost, counter, ..Address::default() }));
        }
        let between = |a: NodeId, b: NodeId| (a, b) == (one, other) || (a, b) == (other, one);
        self.edges.retain(|(parent, child)| !between(parent.node, child.node));
        for at in self.attempts.keys().copied().collect::<Vec<_>>() {
            let running = &self.attempts[&at];
            let (parent, child) = running.edge;
            let asks = matches!(running.waits, Waits::Asked(of, _) if between(of.node, child.node));
            if between(parent.node, child.node) || asks {
                let running = self.attempts.remove(&at).unwrap();
                self.count(Refused::Unknown);
                self.take_back(&running);
            }
        }
    }

    /// No two ways lead from one channel to another, and none back; what the ends have is the same where nothing is under way.
    fn check(&self) {
        let mut below: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
        self.edges.iter().for_each(|(parent, child)| below.entry(*parent).or_default().push(*child));
        for start in below.keys() {
            let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
            while let Some(channel) = next.pop() {
                for child in below.get(&channel).into_iter().flatten() {
                    assert!(*child != *start, "a way leads round: {:?}", self.edges);
                    assert!(seen.insert(*child), "two ways lead from {start} to {child}: {:?}", self.edges);
                    next.push(*child);
                }
            }
        }
        if self.attempts.is_empty() {
            let mut known = 0;
            for (parent, child) in &self.edges {
                assert!(
                    self.graphs[index(parent)].has_edge(parent, child)
                        && self.graphs[index(child)].has_edge(parent, child)
                );
                known += 1 + usize::from(parent.node != child.node);
            }
            assert_eq!(known, self.graphs.iter().map(Graph::edges).sum::<usize>(), "an end has what the other has not");
        }
    }

    fn count(&mut self, refused: Refused) {
        *self.refused.entry(format!("{refused:?}")).or_default() += 1;
    }

    fn random_attempt(&mut self) -> Option<usize> {
        let at = self.random_below(self.attempts.len())?;
        self.attempts.keys().nth(at).copied()
    }

    fn random_below(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.random.below(len as u64) as usize)
    }
}

#[test]
fn no_message_could_come_twice_or_round_whatever_is_subscribed_at_once() {
    let mut made = 0;
    let mut refused = BTreeMap::<String, usize>::new();
    each(300, |seed| {
        let (nodes, channels) = [(2, 4), (3, 3), (6, 2), (12, 1)][seed as usize % 4];
        let mut net = Net::new(seed, nodes, channels);
        for _ in 0..400 {
            match net.random.below(40) {
                0..8 if net.attempts.len() < 6 => {
                    let (parent, child) = (net.pick(channels), net.pick(channels));
                    net.begin(parent, child);
                }
                8 => net.cut(),
                9 if seed % 2 == 0 => net.lose(),
                _ => net.advance(),
            }
        }
        while !net.attempts.is_empty() {
            net.advance();
        }
        net.check();
        made += net.made;
        net.refused.into_iter().for_each(|(why, count)| *refused.entry(why).or_default() += count);
    });
    if replays() {
        return;
    }
    // It was no empty play: all that can happen did.
    assert!(
        made > 100 && ["Cycle", "SecondPath", "Retry"].iter().all(|why| refused.contains_key(*why)),
        "{made} {refused:?}"
    );
}

fn show((parent, child): (Address, Address)) -> String {
    format!("{parent} -> {child}")
}

fn address(node: usize, channel: u64) -> Address {
    let mut id = [0; 12];
    id[0] = node as u8;
    Address { node: NodeId(id), counter: channel, ..Address::default() }
}

fn index(address: &Address) -> usize {
    usize::from(address.node.0[0])
}
