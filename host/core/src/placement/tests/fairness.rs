//! Who goes next, how jobs spread, what it costs and how much may wait.

use super::*;
use crate::limits;
use crate::membership::rng::SplitMix;

/// Ends jobs one by one, each as soon as it is placed; gives the computation of each start by `of`.
fn serve(placer: &mut Placer, mut running: Vec<u64>, times: usize) -> Vec<u64> {
    let mut order = Vec::new();
    while order.len() < times {
        let Some(job) = running.pop() else { break };
        assert!(placer.ended(job));
        for start in polled(placer) {
            running.insert(0, start.job);
            order.push(start.job);
        }
    }
    order
}

fn count(order: &[u64], computation: u64) -> usize {
    order.iter().filter(|job| *job >> 32 == computation).count()
}

#[test]
fn a_single_job_of_another_waits_for_a_turn_at_most_behind_a_hundred_thousand() {
    for same_tenant in [false, true] {
        let mut placer = placer(&[node(1, 1)]);
        placer.open(1, opening(1)).unwrap();
        placer.open(2, opening(if same_tenant { 1 } else { 2 })).unwrap();
        (0..100_000).for_each(|job| drop(placer.submit(1 << 32 | job, 1, need())));
        assert_eq!(placer.submit(2 << 32, 2, need()), Answer::Waiting { position: 1 });
        let order = serve(&mut placer, vec![1 << 32], 3);
        assert!(order[..2].contains(&(2 << 32)), "{order:?}");
    }
}

#[test]
fn tenants_and_their_computations_take_turns_by_weight_and_jobs_go_in_order() {
    let mut placer = placer(&[node(1, 1)]);
    // Tenant 1 has weight 300 and two computations of weights 100 and 200; tenant 2 has weight 100.
    for (id, tenant, tenant_weight, weight) in [(1, 1, 300, 100), (2, 1, 300, 200), (3, 2, 100, 100)] {
        placer.open(id, Opening { tenant_weight, weight, ..opening(tenant) }).unwrap();
        (0..5_000).for_each(|job| drop(placer.submit(id << 32 | job, id, need())));
    }
    let order = serve(&mut placer, vec![1 << 32], 4_000);
    for (id, expected) in [(1, 1_000), (2, 2_000), (3, 1_000)] {
        assert!(count(&order, id).abs_diff(expected) <= 2, "{id}: {}", count(&order, id));
        let jobs: Vec<_> = order.iter().filter(|job| **job >> 32 == id).collect();
        assert!(jobs.is_sorted());
    }
}

#[test]
fn many_kinds_of_jobs_win_no_more_turns() {
    let mut placer = placer(&[node(1, 1)]);
    for id in [1, 2] {
        open(&mut placer, id);
    }
    for job in 0..1_000 {
        drop(placer.submit(1 << 32 | job, 1, Need { memory: (job % 100) * MIB, ..need() }));
        drop(placer.submit(2 << 32 | job, 2, need()));
    }
    assert_eq!(placer.pools.len(), 100);
    let order = serve(&mut placer, vec![1 << 32], 1_000);
    assert!(count(&order, 1).abs_diff(500) <= 5, "{}", count(&order, 1));
}

#[test]
fn weights_hold_among_those_who_wait_for_few_nodes_while_others_are_busy() {
    let mut placer = placer(&[node(1, 10_000), labelled(2, 1, "gpu", "a")]);
    for (id, weight) in [(1, 100), (2, 300), (3, 100)] {
        placer.open(id, Opening { tenant_weight: weight, ..opening(id as u32) }).unwrap();
    }
    for job in 0..2_000 {
        drop(placer.submit(1 << 32 | job, 1, at("gpu=a")));
        drop(placer.submit(2 << 32 | job, 2, at("gpu=a")));
    }
    let (mut running, mut order) = (1 << 32, Vec::new());
    for turn in 0..1_000_u64 {
        // A third one is busy on other nodes.
        for job in 0..5 {
            let job = 3 << 32 | turn << 8 | job;
            placed(placer.submit(job, 3, at("n1")));
            assert!(placer.ended(job));
        }
        assert!(placer.ended(running));
        running = placer.poll_placed().unwrap().job;
        order.push(running);
    }
    assert!(count(&order, 1).abs_diff(250) <= 3, "{}", count(&order, 1));
    // It did not lose its place there by it, either.
    drop(placer.submit(3 << 32 | 1 << 30, 3, at("gpu=a")));
    let order = serve(&mut placer, vec![running], 3);
    assert_eq!(count(&order, 3), 1, "{order:?}");
}

#[test]
fn reopening_a_computation_for_each_job_wins_nothing() {
    let mut placer = placer(&[node(1, 1)]);
    open(&mut placer, 1);
    (0..1_000).for_each(|job| drop(placer.submit(1 << 32 | job, 1, need())));
    let (mut running, mut other) = (1 << 32, 0);
    for turn in 2..202_u64 {
        if !placer.computations.contains_key(&turn) {
            placer.open(turn, opening(2)).unwrap();
            drop(placer.submit(turn << 32, turn, need()));
        }
        assert!(placer.ended(running));
        running = placer.poll_placed().unwrap().job;
        if running >> 32 != 1 {
            other += 1;
        }
        placer.close(turn);
    }
    assert!(other <= 101, "{other} of 200");
}

#[test]
fn a_thousand_jobs_spread_over_ten_nodes() {
    for with_module in [false, true] {
        let mut placer = placer(&(0..10).map(|number| node(number, 200)).collect::<Vec<_>>());
        open(&mut placer, 1);
        if with_module {
            placer.learned(id(3), need().module);
        }
        (0..1_000).for_each(|job| {
            placed(placer.submit(job, 1, need()));
        });
        let counts: Vec<u32> = (0..10).map(|number| placer.running_at(id(number))).collect();
        assert!(counts.iter().all(|count| (80..=120).contains(count)), "{counts:?}");
    }
}

#[test]
fn homes_that_know_the_same_do_not_all_choose_the_same() {
    let offers: Vec<_> = (0..10).map(|number| node(number, 200)).collect();
    let mut counts = [0; 10];
    for home in 0..1_000 {
        let mut placer = Placer::new(home, Bounds::default());
        offers.iter().for_each(|offer| placer.offer(offer).unwrap());
        open(&mut placer, 1);
        let (node, _) = placed(placer.submit(1, 1, need()));
        counts[node.0[3] as usize] += 1;
    }
    assert!(counts.iter().all(|count| (70..=130).contains(count)), "{counts:?}");
}

#[test]
fn a_packed_computation_fills_one_node_after_another_as_far_as_four_choices_see() {
    let mut placer = placer(&(0..4).map(|number| node(number, 10)).collect::<Vec<_>>());
    placer.open(1, Opening { policy: Policy::Pack, ..opening(1) }).unwrap();
    (0..20).for_each(|job| {
        placed(placer.submit(job, 1, need()));
    });
    let mut counts: Vec<u32> = (0..4).map(|number| placer.running_at(id(number))).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 10, 10]);
}

/// Steps of one job's end and of the next one's start.
fn cost(nodes: u32, waiting: u64, computations: u64) -> u64 {
    let mut placer = placer(&(0..nodes).map(|number| node(number, 2)).collect::<Vec<_>>());
    (1..=computations).for_each(|id| open(&mut placer, id));
    let running = u64::from(nodes) * 2;
    (0..running + waiting).for_each(|job| drop(placer.submit(job, 1 + job % computations, need())));
    assert_eq!(placer.waiting() as u64, waiting);
    placer.steps = 0;
    let mut most = 0;
    for job in 0..50 {
        let before = placer.steps;
        assert!(placer.ended(job));
        assert_eq!(polled(&mut placer).len(), 1);
        most = most.max(placer.steps - before);
    }
    most
}

#[test]
fn a_placement_costs_the_same_whatever_waits_and_however_many_nodes_there_are() {
    let least = cost(50, 100, 1);
    assert!(least <= 8, "{least} steps");
    for (nodes, waiting, computations) in [(50, 20_000, 1), (2_000, 100, 1), (50, 5_000, 200)] {
        assert_eq!(cost(nodes, waiting, computations), least, "{nodes} nodes, {waiting} waiting, {computations}");
    }
    // Where there is room, four are looked at.
    let mut placer = placer(&(0..1_000).map(|number| node(number, 100)).collect::<Vec<_>>());
    open(&mut placer, 1);
    placed(placer.submit(1, 1, need()));
    placer.steps = 0;
    placed(placer.submit(2, 1, need()));
    assert!(placer.steps <= 8, "{}", placer.steps);
}

#[test]
fn a_million_jobs_wait_and_no_more() {
    let mut placer = placer(&[node(1, 1)]);
    for id in [1, 2, 3] {
        open(&mut placer, id);
    }
    placed(placer.submit(0, 1, need()));
    let million = limits::PLACEMENT_WAITING as u64;
    for job in 1..=million {
        let answer = placer.submit(job, 1 + job % 2, need());
        assert!(matches!(answer, Answer::Waiting { .. }), "{job}: {answer:?}");
    }
    let text = refused(placer.submit(million + 1, 3, need())).to_string();
    assert!(text.contains("1000000 jobs wait already") && text.contains("(PLACEMENT_WAITING)"), "{text}");
    // Buckets of 17 bytes, seven eighths of a power of two; entries of 24 in lists that double.
    let bytes = placer.waiting.capacity() * 8 / 7 * 17 + 2 * (1 << 19) * 24;
    assert!(bytes <= 64 * limits::PLACEMENT_WAITING, "{bytes}");
    // Anywhere in the queue.
    let mut rng = SplitMix::new(1);
    for _ in 0..100 {
        let job = 1 + rng.below(million as usize) as u64;
        let waits = placer.waiting.contains_key(&job);
        assert_eq!(placer.withdraw(job), waits);
    }
    assert!(placer.ended(0));
    assert_eq!(polled(&mut placer).len(), 1);
}

#[test]
fn one_tenant_leaves_room_to_others() {
    let mut placer = Placer::new(1, Bounds { waiting: 10, tenant_waiting: 5 });
    placer.offer(&node(1, 1)).unwrap();
    for id in [1, 2] {
        open(&mut placer, id);
    }
    (0..6).for_each(|job| drop(placer.submit(job, 1, need())));
    let text = refused(placer.submit(6, 1, need())).to_string();
    assert_eq!(text, "overloaded: 5 jobs wait already, the limit is 5 (PLACEMENT_TENANT_WAITING)");
    assert_eq!(placer.submit(7, 2, need()), Answer::Waiting { position: 1 });
    assert!(placer.withdraw(5) && !placer.withdraw(5));
    assert_eq!(placer.submit(6, 1, need()), Answer::Waiting { position: 5 });
}
