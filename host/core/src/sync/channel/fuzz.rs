//! The parts of a channel beside simple models of them, fed with any bytes; for the fuzz targets and for proptest alike.
//! Each function panics only if part and model differ.

use super::graph::Graph;
use super::subscriptions::{Subscriptions, Terms};
use super::turn::{Next, Posted, Ticket, Turn};
use super::walk::{Claim, Refused, Walk};
use crate::ids::{Address, NodeId};
use crate::sync::mailbox::Drop;
use std::collections::{BTreeMap, VecDeque};

/// A part's name and the function that feeds it.
pub type Target = (&'static str, fn(&[u8]));

/// One entry a part.
pub const TARGETS: &[Target] = &[
    ("channel_graph", graph),
    ("channel_claims", claims),
    ("channel_subscriptions", subscriptions),
    ("channel_turn", turn),
];

/// Feeds one part by name. A name that is not in [`TARGETS`] is a mistake in the fuzz target.
pub fn feed(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, feed)) = target else { panic!("no part is called {name}") };
    feed(data);
}

/// So few channels that edges meet.
const CHANNELS: u8 = 9;

/// Edges that come and go. Each byte pair is one; the model counts the ways between any two channels.
pub fn graph(data: &[u8]) {
    let (mut graph, mut model) = (Graph::default(), Vec::<(u8, u8)>::new());
    (0..CHANNELS).for_each(|channel| assert!(graph.open(address(channel))));
    for pair in data.chunks_exact(2) {
        let (parent, child) = (pair[0] % CHANNELS, pair[1] % CHANNELS);
        if pair[0] >= 224 {
            assert_eq!(graph.disconnect(&address(parent), &address(child)), model.contains(&(parent, child)));
            model.retain(|edge| *edge != (parent, child));
        } else if pair[0] >= 216 {
            graph.close(&address(parent));
            assert!(graph.open(address(parent)));
            model.retain(|(one, other)| *one != parent && *other != parent);
        } else {
            let expected = allowed(&model, parent, child);
            assert_eq!(
                graph.connect(NodeId::default(), address(parent), address(child)),
                expected,
                "{model:?} {parent} {child}"
            );
            if expected.is_ok() && !model.contains(&(parent, child)) {
                model.push((parent, child));
            }
        }
        assert_eq!(graph.edges(), model.len());
    }
    for channel in 0..CHANNELS {
        let above = (0..CHANNELS).filter(|other| ways(&model, *other, channel) > 0).count();
        // A channel is above itself.
        assert_eq!(graph.above(&address(channel)).len(), above + 1);
    }
}

/// Several claims at once, their steps between those of others: what is committed never has two ways or a cycle, and a
/// claim is refused, unless another is in its way, only with the reason that the model has.
pub fn claims(data: &[u8]) {
    let mut graph = Graph::default();
    (0..CHANNELS).for_each(|channel| assert!(graph.open(address(channel))));
    let (mut reserved, mut walked, mut committed) = (VecDeque::new(), VecDeque::new(), Vec::new());
    for (number, triple) in data.chunks_exact(3).enumerate() {
        let (parent, child) = (triple[0] % CHANNELS, triple[1] % CHANNELS);
        // Numbers that are not in the order of arrival, as those of two nodes are not.
        let claim = Claim { number: u64::from(triple[2]), node: NodeId([number as u8; 12]) };
        if graph.reserve(claim, address(parent), address(child)).is_ok() {
            reserved.push_back((claim, parent, child));
        }
        if triple[2].is_multiple_of(2) || reserved.len() > 3 {
            walked.extend(walk(&mut graph, &mut reserved, &committed));
        }
        if triple[2].is_multiple_of(5) {
            commit(&mut graph, &mut walked, &mut committed);
        }
    }
    while !reserved.is_empty() {
        walked.extend(walk(&mut graph, &mut reserved, &committed));
    }
    while !walked.is_empty() {
        commit(&mut graph, &mut walked, &mut committed);
    }
    assert_eq!(graph.edges(), committed.len(), "no claim is left");
}

type Claimed = (Claim, u8, u8);

/// The second step of the oldest claim: itself, if it may be committed.
fn walk(graph: &mut Graph, reserved: &mut VecDeque<Claimed>, committed: &[(u8, u8)]) -> Option<Claimed> {
    let (claim, parent, child) = reserved.pop_front()?;
    let mut walk = Walk::new(claim, address(parent), address(child));
    while let Some(ask) = walk.next_ask() {
        walk.answer(ask, graph.neighbours(&ask.channel, ask.direction()));
    }
    match walk.verdict() {
        Ok(outranked) => {
            assert!(outranked.iter().all(|other| *other > claim), "the lower claim goes on");
            for other in outranked {
                graph.abort(other);
            }
            return Some((claim, parent, child));
        }
        Err(Refused::Retry) => {}
        Err(refused) => assert_eq!(allowed(committed, parent, child), Err(refused)),
    }
    graph.abort(claim);
    None
}

/// The third step of the claim that walked first.
fn commit(graph: &mut Graph, walked: &mut VecDeque<Claimed>, committed: &mut Vec<(u8, u8)>) {
    let Some((claim, parent, child)) = walked.pop_front() else { return };
    match graph.commit(claim) {
        Ok(()) => {
            assert_eq!(allowed(committed, parent, child), Ok(()));
            committed.push((parent, child));
        }
        Err(refused) => assert_eq!(refused, Refused::Retry, "it had to give way"),
    }
}

/// Whether an edge may be, by counting ways.
fn allowed(edges: &[(u8, u8)], parent: u8, child: u8) -> Result<(), Refused> {
    if edges.contains(&(parent, child)) {
        return Ok(());
    }
    if parent == child || ways(edges, child, parent) > 0 {
        return Err(Refused::Cycle);
    }
    let mut more = edges.to_vec();
    more.push((parent, child));
    let twice = (0..CHANNELS).any(|from| (0..CHANNELS).any(|to| ways(&more, from, to) > 1));
    if twice { Err(Refused::SecondPath) } else { Ok(()) }
}

/// Ways of at least one edge; there is no cycle.
fn ways(edges: &[(u8, u8)], from: u8, to: u8) -> usize {
    edges.iter().filter(|edge| edge.0 == from).map(|edge| usize::from(edge.1 == to) + ways(edges, edge.1, to)).sum()
}

/// Subscribers that come, change and go, beside a list.
pub fn subscriptions(data: &[u8]) {
    let (mut subscriptions, mut model) = (Subscriptions::default(), Vec::<(u64, u8, Terms)>::new());
    for (via, pair) in (1u64..).zip(data.chunks_exact(2)) {
        let who = pair[0] % 8;
        let known = model.iter().position(|(_, subscriber, _)| *subscriber == who);
        match Terms::new(u32::from(pair[1] / 4), u32::from(pair[1] % 4)) {
            Some(terms) if pair[0] < 160 => match known {
                Some(at) => {
                    assert!(subscriptions.change(&address(who), terms).is_some());
                    model[at].2 = terms;
                }
                None => {
                    assert!(subscriptions.change(&address(who), terms).is_none());
                    assert!(subscriptions.add(via, address(who), who, terms));
                    model.push((via, who, terms));
                }
            },
            _ => {
                let removed = subscriptions.remove(&address(who));
                assert_eq!(
                    removed.map(|removed| (removed.via, removed.is_over())),
                    known.map(|at| (model[at].0, true))
                );
                model.retain(|(_, subscriber, _)| *subscriber != who);
            }
        }
        let seen: Vec<_> = subscriptions.snapshot().iter().map(|one| (one.via, one.to, one.terms())).collect();
        assert_eq!(seen, model);
    }
}

/// Publishers that wait, give up and leave, and messages of parents, beside one list in order of arrival.
pub fn turn(data: &[u8]) {
    const CAP: usize = 2;
    let mut turn = Turn::<u64, (u64, u64)>::default();
    let mut model = VecDeque::<(u64, Option<u64>)>::new();
    let mut tickets = BTreeMap::<u64, Ticket>::new();
    // Who has the turn: a publisher by its number, or 0 for one who found it free, or the pump.
    let mut holder: Option<u64> = None;
    for (number, byte) in (1u64..).zip(data) {
        match byte % 6 {
            0 => {
                let free = holder.is_none();
                assert_eq!(turn.try_take(), free);
                if free {
                    holder = Some(0);
                }
            }
            1 if holder.is_some() => {
                tickets.insert(number, turn.wait(number));
                model.push_back((number, None));
            }
            2 | 3 if holder.is_some() => {
                let (edge, drop) = (u64::from(byte / 6 % 3), if byte % 2 == 0 { Drop::Oldest } else { Drop::Newest });
                let mine: Vec<_> = model.iter().filter(|(_, of)| *of == Some(edge)).map(|(n, _)| *n).collect();
                let expected = match (mine.first(), drop) {
                    (Some(oldest), Drop::Oldest) if mine.len() >= CAP => Posted::Replaced((edge, *oldest)),
                    (_, Drop::Newest) if mine.len() >= CAP => Posted::Dropped((edge, number)),
                    _ => Posted::Taken,
                };
                if let Posted::Replaced((_, oldest)) = expected {
                    model.retain(|(n, _)| *n != oldest);
                }
                if !matches!(expected, Posted::Dropped(_)) {
                    model.push_back((number, Some(edge)));
                }
                assert_eq!(turn.post(edge, (edge, number), CAP, drop), expected);
            }
            4 if holder.is_some() => holder = left(turn.leave(), &mut turn, &mut model),
            5 => {
                let Some((&publisher, &ticket)) = tickets.iter().nth(usize::from(byte / 6) % tickets.len().max(1))
                else {
                    continue;
                };
                tickets.remove(&publisher);
                assert_eq!(turn.is_of(ticket), holder == Some(publisher));
                let next = turn.withdraw(ticket);
                if holder == Some(publisher) {
                    holder = left(next, &mut turn, &mut model);
                } else {
                    assert_eq!(next, Next::Nothing);
                    model.retain(|(n, of)| of.is_some() || *n != publisher);
                }
            }
            _ => {}
        }
        assert_eq!((turn.len(), turn.is_free()), (model.len(), holder.is_none()));
        assert!(!turn.is_free() || turn.is_empty(), "nobody waits for a turn that is free");
    }
    let (publishers, messages) = turn.close();
    assert_eq!(publishers.len() + messages.len(), model.len());
    assert!(!turn.try_take());
}

/// Who has the turn after it was left; a pump delivers what is before the next publisher and leaves as well.
fn left(next: Next<u64>, turn: &mut Turn<u64, (u64, u64)>, model: &mut VecDeque<(u64, Option<u64>)>) -> Option<u64> {
    match next {
        Next::Nothing => {
            assert!(model.is_empty());
            None
        }
        Next::Wake(publisher) => {
            assert_eq!(model.pop_front(), Some((publisher, None)));
            Some(publisher)
        }
        Next::Pump => {
            while let Some((edge, number)) = turn.next_post() {
                assert_eq!(model.pop_front(), Some((number, Some(edge))));
            }
            assert!(model.front().is_none_or(|(_, of)| of.is_none()));
            let next = turn.leave();
            left(next, turn, model)
        }
    }
}

fn address(channel: u8) -> Address {
    Address { counter: u64::from(channel), ..Address::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_edge_may_be_exactly_where_no_two_ways_come_of_it(data in prop::collection::vec(any::<u8>(), 0..120)) {
            graph(&data);
        }

        #[test]
        fn claims_in_any_order_never_make_two_ways_together(data in prop::collection::vec(any::<u8>(), 0..120)) {
            claims(&data);
        }

        #[test]
        fn subscribers_are_seen_in_the_order_they_came_with_their_last_terms(
            data in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            subscriptions(&data);
        }

        #[test]
        fn turns_are_taken_in_the_order_of_arrival(data in prop::collection::vec(any::<u8>(), 0..300)) {
            turn(&data);
        }
    }

    #[test]
    fn a_part_is_fed_by_its_name() {
        TARGETS.iter().for_each(|(name, _)| feed(name, &[1, 2, 3, 4, 5, 6]));
    }
}
