//! The placer beside a model that looks at everything each time: what is placed is allowed, what waits could go nowhere, and
//! nothing is lost.

use super::*;
use crate::membership::rng::SplitMix;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Offer { node: u32, slots: u32, memory: u64, zone: u8, draining: bool, contact: u8 },
    Gone { node: u32 },
    Submit { computation: u64, memory: u64, zone: Option<u8>, excluded: Option<u32> },
    End { pick: usize },
    Withdraw { pick: usize },
    Close { computation: u64 },
    Allocate { computation: u64, zone: u8, jobs: Option<u32> },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4u32, 0..3u32, 0..4u64, 0..3u8, prop::bool::weighted(0.1), 0..10u8).prop_map(
            |(node, slots, memory, zone, draining, contact)| Op::Offer { node, slots, memory, zone, draining, contact }
        ),
        1 => (0..4u32).prop_map(|node| Op::Gone { node }),
        8 => (1..5u64, 0..3u64, prop::option::weighted(0.3, 0..3u8), prop::option::weighted(0.1, 0..4u32)).prop_map(
            |(computation, memory, zone, excluded)| Op::Submit { computation, memory, zone, excluded }
        ),
        5 => any::<usize>().prop_map(|pick| Op::End { pick }),
        1 => any::<usize>().prop_map(|pick| Op::Withdraw { pick }),
        1 => (1..5u64).prop_map(|computation| Op::Close { computation }),
        1 => (1..5u64, 0..3u8, prop::option::of(0..3u32)).prop_map(
            |(computation, zone, jobs)| Op::Allocate { computation, zone, jobs }
        ),
    ]
}

/// What a simple mind would write down.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<NodeId, Offer>,
    allocations: BTreeMap<u64, Vec<Allocation>>,
    /// Job: computation and need.
    waiting: BTreeMap<u64, (u64, Need)>,
    placed: BTreeMap<u64, (u64, Need, NodeId)>,
}

impl Model {
    /// Whether a job may be at a node at all, and whether it may go there now. Offers of this test say that nothing is in use but
    /// what this home has placed, so that what is free is simply what is left.
    fn may(&self, computation: u64, need: &Need, node: &Offer) -> (bool, bool) {
        let zone = node.labels.get("zone").map(String::as_str);
        let in_zone = |selector: &Selector| {
            let text = selector.to_string();
            text.is_empty() || text.strip_prefix("zone=") == zone
        };
        let allocations = &self.allocations[&computation];
        let limit = match allocations.iter().find(|allocation| in_zone(&allocation.selector)) {
            Some(allocation) => allocation.jobs.unwrap_or(u32::MAX),
            None if allocations.is_empty() => u32::MAX,
            None => 0,
        };
        let there = |of: Option<u64>| {
            let at_node = self.placed.values().filter(|(_, _, at)| *at == node.node);
            at_node.filter(move |(owner, ..)| of.is_none_or(|of| of == *owner)).map(|(_, need, _)| need.memory)
        };
        let ever = limit > 0
            && node.slots > 0
            && node.contact != Contact::BothDialOut
            && node.memory >= need.memory
            && need.at.as_ref().is_none_or(in_zone)
            && need.excluded.iter().all(|(excluded, _)| *excluded != node.node);
        let now = ever
            && !node.draining
            && node.contact == Contact::Reached
            && (there(Some(computation)).count() as u32) < limit
            && (there(None).count() as u32) < node.slots
            && node.memory.saturating_sub(there(None).sum()) >= need.memory;
        (ever, now)
    }

    fn any(&self, computation: u64, need: &Need) -> (bool, bool) {
        let all = self.nodes.values().map(|node| self.may(computation, need, node));
        all.fold((false, false), |sum, one| (sum.0 | one.0, sum.1 | one.1))
    }

    fn place(&mut self, job: u64, computation: u64, need: Need, node: NodeId) -> Result<(), TestCaseError> {
        prop_assert!(self.may(computation, &need, &self.nodes[&node]).1, "job {} may not go to {}", job, node);
        self.placed.insert(job, (computation, need, node));
        Ok(())
    }

    /// The placer knows the same, and says it in rules.
    fn check(&self, placer: &Placer) -> Result<(), TestCaseError> {
        prop_assert_eq!(placer.waiting(), self.waiting.len());
        prop_assert_eq!(placer.placed.len(), self.placed.len());
        for (job, (computation, need)) in &self.waiting {
            let Some(Why::Waiting { refusals, ahead }) = placer.why(*job) else {
                return Err(TestCaseError::fail(format!("{job} does not wait")));
            };
            let kind = self.waiting.iter().filter(|(_, other)| **other == (*computation, need.clone()));
            let (before, others) = kind.fold((0, 0), |(before, all), (other, _)| {
                (before + usize::from(other < job), all + usize::from(other != job))
            });
            prop_assert!((before..=others).contains(&(ahead as usize)), "{} of {}..={}", ahead, before, others);
            prop_assert_eq!(refusals.nodes.len(), self.nodes.len());
            for refusal in refusals.nodes {
                let (ever, now) = self.may(*computation, need, &self.nodes[&refusal.node]);
                prop_assert_eq!(refusal.rules.is_empty(), now, "{}", refusal);
                prop_assert_eq!(refusal.rules.iter().any(Rule::is_lasting), !ever, "{}", refusal);
            }
            prop_assert!(!self.any(*computation, need).1, "job {} waits and could go somewhere", job);
        }
        for (job, (.., at)) in &self.placed {
            let there = matches!(placer.why(*job), Some(Why::Placed { node, .. }) if node == *at);
            prop_assert!(there);
        }
        Ok(())
    }
}

fn pick<T>(map: &BTreeMap<u64, T>, pick: usize) -> Option<u64> {
    map.keys().nth(pick % map.len().max(1)).copied()
}

fn run(ops: Vec<Op>, seed: u64) -> Result<(), TestCaseError> {
    let (mut placer, mut model, mut jobs) = (Placer::new(seed, Bounds::default()), Model::default(), 0);
    let mut rng = SplitMix::new(seed);
    for computation in 1..5 {
        let policy = if rng.below(2) == 0 { Policy::Spread } else { Policy::Pack };
        placer.open(computation, Opening { policy, ..opening(computation as u32 % 3) }).unwrap();
        model.allocations.insert(computation, Vec::new());
    }
    for op in ops {
        match op {
            Op::Offer { node: number, slots, memory, zone, draining, contact } => {
                let contact = match contact {
                    0 => Contact::Unreachable,
                    1 => Contact::BothDialOut,
                    _ => Contact::Reached,
                };
                let offer = labelled(number, slots, "zone", &zone.to_string());
                let offer = Offer { memory, draining, contact, ..offer }.all_free();
                placer.offer(&offer).unwrap();
                model.nodes.insert(offer.node, offer);
            }
            Op::Gone { node } => {
                placer.gone(id(node));
                model.nodes.remove(&id(node));
            }
            Op::Submit { computation, memory, zone, excluded } => {
                jobs += 1;
                let at = zone.map(|zone| format!("zone={zone}").parse().unwrap());
                let excluded = excluded.map(|node| (id(node), 1)).into_iter().collect();
                let need = Need { at, memory, excluded, ..need() };
                match placer.submit(jobs, computation, need.clone()) {
                    Answer::Placed { node, .. } => model.place(jobs, computation, need, node)?,
                    Answer::Waiting { .. } => {
                        prop_assert!(model.any(computation, &need).0, "it waits for ever");
                        model.waiting.insert(jobs, (computation, need));
                    }
                    Answer::Refused(Refused::Nowhere(_)) => prop_assert!(!model.any(computation, &need).0),
                    Answer::Refused(other) => prop_assert!(false, "{}", other),
                }
            }
            Op::End { pick: at } => {
                let Some(job) = pick(&model.placed, at) else { continue };
                model.placed.remove(&job);
                prop_assert!(placer.ended(job));
            }
            Op::Withdraw { pick: at } => {
                let Some(job) = pick(&model.waiting, at) else { continue };
                model.waiting.remove(&job);
                prop_assert!(placer.withdraw(job));
            }
            Op::Close { computation } => {
                let closed = placer.close(computation);
                let count = model.waiting.len();
                model.waiting.retain(|_, (owner, _)| *owner != computation);
                prop_assert_eq!(closed.len(), count - model.waiting.len());
                // Its jobs that are placed are another's for the limits of the new one.
                for (owner, ..) in model.placed.values_mut().filter(|(owner, ..)| *owner == computation) {
                    *owner = 0;
                }
                placer.open(computation, opening(computation as u32 % 3)).unwrap();
                model.allocations.insert(computation, Vec::new());
            }
            Op::Allocate { computation, zone, jobs } => {
                let allocation = Allocation { selector: format!("zone={zone}").parse().unwrap(), jobs };
                let rest = Allocation { selector: Selector::any(), jobs: Some(1) };
                let allocations = if zone == 2 { Vec::new() } else { vec![allocation, rest] };
                placer.allocate(computation, allocations.clone()).unwrap();
                model.allocations.insert(computation, allocations);
            }
        }
        while let Some(start) = placer.poll_placed() {
            let (computation, need) = model.waiting.remove(&start.job).unwrap();
            let earlier = model.waiting.iter().filter(|(job, _)| **job < start.job);
            let overtaken = earlier.filter(|(_, other)| **other == (computation, need.clone())).count();
            prop_assert_eq!(overtaken, 0, "jobs of a kind go in order");
            model.place(start.job, computation, need, start.node)?;
        }
        model.check(&placer)?;
    }
    // Everything returns to nothing.
    for computation in 1..5 {
        placer.close(computation);
    }
    model.placed.keys().for_each(|job| assert!(placer.ended(*job)));
    (0..4).for_each(|node| placer.gone(id(node)));
    prop_assert_eq!((placer.pools.len(), placer.known.len(), placer.waiting()), (0, 0, 0));
    Ok(())
}

proptest! {
    #[test]
    fn it_does_what_looking_at_everything_would(ops in prop::collection::vec(op(), 0..80), seed in any::<u64>()) {
        run(ops, seed)?;
    }
}
