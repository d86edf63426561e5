//! Which nodes take which jobs, what is said where none does, and what changes when nodes and allocations do.

use super::*;
use crate::limits;

/// The rules that are told for a node, as text.
fn told(refusals: &Refusals, name: &str) -> String {
    refusals.nodes.iter().find(|node| node.name == name).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn jobs_for_which_no_node_can_ever_do_are_refused_and_told_why_nearest_first() {
    let offers = [
        labelled(1, 4, "zone", "eu"),
        Offer { contact: Contact::BothDialOut, ..labelled(2, 4, "zone", "us") },
        node(3, 0),
    ];
    let mut placer = placer(&offers);
    open(&mut placer, 1);
    let excluded = (1..=3).map(|number| (id(number), number)).collect();
    for (need, first, says) in [
        (at("zone=asia"), "n1", "n1: label zone=asia is wanted, it has zone=eu"),
        (
            at("zone=asia"),
            "n1",
            "n2: label zone=asia is wanted, it has zone=us; both are dial-out: neither accepts connections",
        ),
        (at("zone=asia"), "n1", "n3: label zone=asia is wanted, it has no label zone; it runs no jobs: it has 0 slots"),
        (at("n9"), "n1", "n1: name or address n9 is wanted"),
        (at("n1,cores>=9"), "n1", "n1: cores: 9 wanted, it has 8"),
        (at("disk>=2GiB"), "n1", "n1: disk: 2 GiB wanted, it has 1000 MiB"),
        (Need { memory: 1_000 * MIB + 1, ..need() }, "n1", "n1: memory: 1048576001 B wanted, it has 1048576000 B"),
        (Need { excluded, ..need() }, "n1", "n1: excluded: attempt 1 failed there"),
    ] {
        let Refused::Nowhere(refusals) = refused(placer.submit(1, 1, need)) else { panic!() };
        assert_eq!(refusals.nodes[0].name, first);
        assert!(refusals.to_string().lines().any(|line| line.trim() == says), "{says}: {refusals}");
    }
    let many: Vec<_> = (10..100).map(|number| node(number, 1)).collect();
    many.iter().for_each(|offer| placer.offer(offer).unwrap());
    let Refused::Nowhere(refusals) = refused(placer.submit(1, 1, at("gpu=*"))) else { panic!() };
    assert_eq!((refusals.nodes.len(), refusals.more), (limits::WHY_NODES, 93 - limits::WHY_NODES));
    // What was refused may be there later.
    placer.offer(&labelled(200, 1, "gpu", "a")).unwrap();
    assert_eq!(placed(placer.submit(1, 1, at("gpu=*"))).0, id(200));
}

#[test]
fn without_nodes_or_computation_a_job_is_refused() {
    let mut placer = placer(&[]);
    open(&mut placer, 1);
    assert_eq!(refused(placer.submit(1, 1, need())).to_string(), "no known node can take it: none is known");
    assert_eq!(refused(placer.submit(1, 2, need())), Refused::NoComputation);
    placer.offer(&node(1, 1)).unwrap();
    placed(placer.submit(1, 1, need()));
    assert_eq!(refused(placer.submit(1, 1, need())), Refused::Duplicate);
    assert_eq!(placer.open(1, opening(1)), Err(Error::Open));
    assert_eq!(placer.allocate(2, Vec::new()), Err(Error::NotOpen));
}

#[test]
fn a_job_waits_for_what_may_change_and_why_says_what_it_waits_for() {
    let drained = Offer { draining: true, ..node(2, 4) };
    let lost = Offer { contact: Contact::Unreachable, ..node(3, 4) };
    let busy = Offer { free: Free { slots: 4, cores: 8, memory: 10 * MIB, disk: 0 }, ..node(4, 4) };
    let mut placer = placer(&[node(1, 1), drained.clone(), lost.clone(), busy]);
    open(&mut placer, 1);
    let want = || Need { memory: 100 * MIB, ..need() };
    let (node_id, why) = placed(placer.submit(1, 1, want()));
    assert_eq!(node_id, id(1));
    assert_eq!(placer.why(1).unwrap().to_string(), format!("it is at n1, {why}"));
    assert_eq!(placer.submit(2, 1, want()), Answer::Waiting { position: 1 });
    assert_eq!(placer.submit(3, 1, want()), Answer::Waiting { position: 2 });
    let Some(Why::Waiting { ahead: 1, refusals }) = placer.why(3) else { panic!("{:?}", placer.why(3)) };
    for (name, says) in [
        ("n1", "n1: full: 1 of 1 slots are taken"),
        ("n2", "n2: it is drained: it takes no new work"),
        ("n3", "n3: it is not reachable"),
        ("n4", "n4: memory: 100 MiB wanted, 10 MiB free"),
    ] {
        assert_eq!(told(&refusals, name), says);
    }
    assert_eq!(polled(&mut placer), []);
    placer.offer(&Offer { draining: false, ..drained }).unwrap();
    placer.offer(&Offer { contact: Contact::Reached, ..lost }).unwrap();
    let starts = polled(&mut placer);
    assert_eq!(starts.iter().map(|start| start.job).collect::<Vec<_>>(), [2, 3]);
    assert!(starts.iter().all(|start| [id(2), id(3)].contains(&start.node)), "{starts:?}");
    assert_eq!(placer.why(4), None);
}

#[test]
fn a_kind_that_cannot_go_anywhere_holds_back_no_other() {
    let mut placer = placer(&[node(1, 1), labelled(2, 1, "gpu", "a")]);
    open(&mut placer, 1);
    placed(placer.submit(1, 1, at("gpu=a")));
    (2..10).for_each(|job| drop(placer.submit(job, 1, at("gpu=a"))));
    assert_eq!(placed(placer.submit(10, 1, need())).0, id(1));
    drop(placer.submit(11, 1, need()));
    assert!(placer.ended(10));
    assert_eq!(polled(&mut placer).iter().map(|start| start.job).collect::<Vec<_>>(), [11]);
    assert!(placer.ended(1));
    assert_eq!(polled(&mut placer)[0].job, 2);
}

#[test]
fn the_first_allocation_that_takes_a_node_limits_a_computation_there() {
    let allocation = |selector: &str, jobs| Allocation { selector: selector.parse().unwrap(), jobs };
    let mut placer = placer(&[node(1, 10), labelled(2, 10, "gpu", "a"), node(3, 10)]);
    let allocations = vec![allocation("gpu=*", Some(2)), allocation("n3", Some(0)), allocation("n*,cores>=8", Some(3))];
    placer.open(1, Opening { allocations, ..opening(1) }).unwrap();
    open(&mut placer, 2);
    (0..6).for_each(|job| drop(placer.submit(job, 1, need())));
    assert_eq!([1, 2, 3].map(|number| placer.running_at(id(number))), [3, 2, 0]);
    let Some(Why::Waiting { refusals, .. }) = placer.why(5) else { panic!() };
    assert_eq!(told(&refusals, "n1"), "n1: the allocation's limit: 3 of 3 jobs of the computation are there");
    assert_eq!(told(&refusals, "n3"), "n3: the allocation's limit: 0 of 0 jobs of the computation are there");
    placed(placer.submit(20, 2, need()));
    // More at one node, at run time; the job that waits goes there, and its list is not touched.
    placer.allocate(1, vec![allocation("n3", None)]).unwrap();
    let starts = polled(&mut placer);
    assert_eq!((starts.len(), starts[0].job, starts[0].node), (1, 5, id(3)));
    placer.allocate(1, vec![allocation("n9", None)]).unwrap();
    let Refused::Nowhere(refusals) = refused(placer.submit(6, 1, need())) else { panic!() };
    assert_eq!(told(&refusals, "n1"), "n1: no allocation of the computation takes it");
    placer.allocate(1, Vec::new()).unwrap();
    placed(placer.submit(6, 1, need()));
}

#[test]
fn a_grant_that_names_nodes_keeps_to_them() {
    let mut placer = placer(&[node(1, 10), node(2, 10)]);
    placer.open(1, Opening { nodes: Some(vec!["n2".into()]), ..opening(1) }).unwrap();
    for job in 0..5 {
        assert_eq!(placed(placer.submit(job, 1, need())).0, id(2));
    }
    let Refused::Nowhere(refusals) = refused(placer.submit(5, 1, at("n1"))) else { panic!() };
    assert_eq!(told(&refusals, "n1"), "n1: the grant does not name it");
}

#[test]
fn a_failed_attempts_node_is_not_tried_again_and_the_latest_failures_count() {
    let mut placer = placer(&(1..=10).map(|number| node(number, 10)).collect::<Vec<_>>());
    open(&mut placer, 1);
    let excluded: Vec<_> = (1..=9).map(|number| (id(number), number)).collect();
    for job in 0..10 {
        let need = Need { excluded: excluded.clone(), ..need() };
        // Of nine, the first is forgotten.
        assert!([id(1), id(10)].contains(&placed(placer.submit(job, 1, need)).0));
    }
}

#[test]
fn nodes_go_with_their_jobs_and_come_back() {
    let mut placer = placer(&[node(1, 2)]);
    open(&mut placer, 1);
    (0..2).for_each(|job| {
        placed(placer.submit(job, 1, need()));
    });
    drop(placer.submit(2, 1, need()));
    placer.gone(id(1));
    placer.gone(id(7));
    assert!(matches!(placer.submit(3, 1, need()), Answer::Refused(Refused::Nowhere(_))));
    assert_eq!(placer.running_at(id(1)), 2);
    assert!(placer.ended(0));
    // It is back; one of its jobs has not been told to have ended.
    placer.offer(&node(1, 2)).unwrap();
    assert_eq!(polled(&mut placer).len(), 1);
    placer.gone(id(1));
    assert!(placer.ended(1) && placer.ended(2) && !placer.ended(2));
    assert!(placer.known.is_empty() && placer.nodes.iter().all(Option::is_none));
    placer.offer(&node(2, 2)).unwrap();
    assert_eq!(placer.nodes.len(), 1, "its number is used again");
    assert_eq!(placed(placer.submit(3, 1, need())).0, id(2));
}

#[test]
fn closing_gives_back_what_waited_and_everything_is_forgotten() {
    let mut placer = placer(&[node(1, 1)]);
    for id in [1, 2] {
        open(&mut placer, id);
    }
    (0..5).for_each(|job| drop(placer.submit(job, 1, need())));
    drop(placer.submit(5, 2, Need { memory: MIB, ..need() }));
    let mut jobs = placer.close(1);
    jobs.sort_unstable();
    assert_eq!(jobs, [1, 2, 3, 4]);
    assert_eq!((placer.waiting(), placer.close(1)), (1, Vec::new()));
    assert!(placer.ended(0));
    assert_eq!(polled(&mut placer)[0].job, 5);
    assert!(placer.ended(5) && placer.close(2).is_empty());
    assert_eq!((placer.pools.len(), placer.computations.len(), placer.waiting()), (0, 0, 0));
    assert!(placer.nodes.iter().flatten().all(|node| node.pools.is_empty()));
}

#[test]
fn kinds_of_jobs_are_bounded_and_idle_ones_give_way() {
    let mut placer = placer(&[node(1, 1)]);
    open(&mut placer, 1);
    let kind = |memory: usize| Need { memory: memory as u64, ..need() };
    for number in 0..2 * limits::PLACEMENT_CLASSES {
        placed(placer.submit(1, 1, kind(number)));
        assert!(placer.ended(1));
    }
    assert_eq!(placer.pools.len(), limits::PLACEMENT_CLASSES);
    placed(placer.submit(0, 1, need()));
    (1..=limits::PLACEMENT_CLASSES).for_each(|number| drop(placer.submit(number as u64, 1, kind(number))));
    let text = refused(placer.submit(9_999, 1, kind(9_999))).to_string();
    assert!(text.contains("(PLACEMENT_CLASSES)"), "{text}");
}

#[test]
fn free_cores_and_memory_are_what_own_jobs_leave() {
    let mut placer = placer(&[node(1, 100)]);
    open(&mut placer, 1);
    (0..8).for_each(|job| {
        placed(placer.submit(job, 1, at("cores>=1")));
    });
    assert_eq!(placer.submit(8, 1, at("cores>=1")), Answer::Waiting { position: 1 });
    let Some(Why::Waiting { refusals, .. }) = placer.why(8) else { panic!() };
    assert_eq!(told(&refusals, "n1"), "n1: cores: 1 wanted, 0 free");
    // Who asks for none is not held back.
    (9..19).for_each(|job| {
        placed(placer.submit(job, 1, Need { memory: 100 * MIB, ..need() }));
    });
    assert!(matches!(placer.submit(19, 1, Need { memory: 1, ..need() }), Answer::Waiting { .. }));
}

#[test]
fn a_job_that_its_node_refused_goes_elsewhere_or_waits_before_its_kind_until_that_node_is_asked_again() {
    let mut placer = placer(&[node(1, 1), node(2, 1)]);
    open(&mut placer, 1);
    let (first, _) = placed(placer.submit(1, 1, need()));
    let (second, _) = placed(placer.put_back(1, need()).unwrap());
    assert_ne!(first, second, "the one that refused it is left alone");
    assert_eq!(placer.submit(2, 1, need()), Answer::Waiting { position: 1 });
    assert_eq!(placer.put_back(1, need()), Some(Answer::Waiting { position: 1 }));
    assert_eq!(polled(&mut placer), []);
    let Some(Why::Waiting { ahead: 0, refusals }) = placer.why(1) else { panic!() };
    assert!(refusals.nodes.iter().all(|refusal| refusal.rules == [Rule::Busy]), "{refusals}");
    placer.release();
    let jobs: Vec<u64> = polled(&mut placer).iter().map(|start| start.job).collect();
    assert_eq!(jobs, [1, 2], "who was placed before goes before who came later");
    assert_eq!(placer.put_back(1, need()), Some(Answer::Waiting { position: 1 }));
    assert!(placer.ended(2), "room at the other");
    assert_eq!(polled(&mut placer).len(), 1);
    assert_eq!(placer.put_back(2, need()), None, "it has ended");
}

#[test]
fn a_node_that_refused_a_job_is_used_again_when_one_of_this_home_ends_there() {
    let mut placer = placer(&[node(1, 3)]);
    open(&mut placer, 1);
    (1..=2).for_each(|job| _ = placed(placer.submit(job, 1, need())));
    assert_eq!(placer.put_back(2, need()), Some(Answer::Waiting { position: 1 }));
    assert_eq!(polled(&mut placer), []);
    assert!(placer.ended(1));
    assert_eq!(polled(&mut placer).len(), 1);
}
