//! Nodes that accept no connections, among others: full members, whoever has a connection with them.

use super::cluster::{Cluster, id, number};
use crate::net::{CALM, ROUGH, SECOND, Weather};
use crate::seeds;
use corovan_core::limits;
use corovan_core::membership::swim::Output;
use corovan_core::membership::view::State;
use std::collections::BTreeSet;

/// A cluster in which these are dial-out, and all know all.
fn cluster(seed: u64, size: usize, weather: Weather, behind: impl IntoIterator<Item = usize>) -> Cluster {
    let mut cluster = Cluster::new(seed, size, weather);
    cluster.nat.put_behind(behind);
    for index in 0..size {
        cluster.start(index, &[0, 1]);
    }
    assert!(cluster.converge(30 * SECOND).is_some(), "{}", cluster.disagreement());
    cluster
}

/// Nobody was told that one failed which lives, since the news were cleared.
#[track_caller]
fn only_the_dead_failed(cluster: &Cluster) {
    for (index, node) in cluster.nodes.iter().enumerate() {
        let lives =
            |news: &&Output| matches!(news, Output::Failed(it) if cluster.living().contains(&number(it.presence.node)));
        assert_eq!(node.news.iter().find(lives), None, "told to {index}");
    }
}

fn gateways(cluster: &Cluster, of: usize) -> Vec<usize> {
    let member = cluster.swim(0).member(id(of)).expect("a member");
    member.about.expect("its record").gateways.iter().map(|node| number(*node)).collect()
}

/// Goes on until all dial-out nodes have said whom to hand their datagrams to.
#[track_caller]
fn until_reached(cluster: &mut Cluster) {
    let behind: Vec<usize> = cluster.living().into_iter().filter(|index| cluster.nat.is_behind(*index)).collect();
    let open = cluster.living().len() - behind.len();
    for _ in 0..30 {
        if cluster.agree() && behind.iter().all(|of| gateways(cluster, *of).len() == open.min(limits::GATEWAYS)) {
            return;
        }
        cluster.run(SECOND);
    }
    panic!("{:?}", behind.iter().map(|of| gateways(cluster, *of)).collect::<Vec<_>>());
}

#[test]
fn nobody_that_lives_is_given_up_whoever_accepts_connections() {
    seeds::each(4, |seed| {
        for (size, behind) in [(3, 1), (12, 4), (12, 11)] {
            let weather = if seed % 2 == 0 { ROUGH } else { CALM };
            let mut cluster = cluster(seed, size, weather, size - behind..size);
            if behind < size - 1 {
                until_reached(&mut cluster);
            }
            cluster.run(300 * SECOND);
            assert_eq!(cluster.false_failures, 0, "{behind} of {size} nodes, five minutes");
        }
    });
}

#[test]
fn one_that_dies_is_noticed_as_soon_as_another_and_one_that_comes_back_is_too() {
    seeds::each(10, |seed| {
        let mut cluster = cluster(seed, 12, if seed % 2 == 0 { CALM } else { ROUGH }, 8..12);
        until_reached(&mut cluster);
        cluster.crash(9);
        assert!(cluster.converge(20 * SECOND).is_some(), "{}", cluster.disagreement());
        cluster.start(9, &[0]);
        assert!(cluster.converge(20 * SECOND).is_some(), "{}", cluster.disagreement());
        cluster.leave(10);
        assert!(cluster.converge(20 * SECOND).is_some(), "{}", cluster.disagreement());
        until_reached(&mut cluster);
        assert_eq!(cluster.false_failures, 0);
    });
}

#[test]
fn who_loses_its_gateways_all_at_once_is_not_given_up_and_finds_others() {
    seeds::each(20, |seed| {
        let mut cluster = cluster(seed, 12, if seed % 2 == 0 { CALM } else { ROUGH }, [10, 11]);
        until_reached(&mut cluster);
        let lost = gateways(&cluster, 11);
        cluster.nodes.iter_mut().for_each(|node| node.news.clear());
        // The first is asked by the test.
        lost.iter().filter(|gateway| **gateway != 0).for_each(|gateway| cluster.crash(*gateway));
        assert!(cluster.converge(25 * SECOND).is_some(), "{}", cluster.disagreement());
        until_reached(&mut cluster);
        cluster.run(30 * SECOND);
        only_the_dead_failed(&cluster);
    });
}

#[test]
fn halves_with_dial_out_nodes_find_each_other_again() {
    seeds::each(20, |seed| {
        let mut cluster = cluster(seed, 12, if seed % 2 == 0 { CALM } else { ROUGH }, [2, 3, 10, 11]);
        until_reached(&mut cluster);
        let half: BTreeSet<usize> = (0..6).collect();
        cluster.split(&half, false);
        cluster.run(40 * SECOND);
        for (index, node) in cluster.nodes.iter().enumerate() {
            let own = |news: &&Output| matches!(news, Output::Failed(it) if half.contains(&number(it.presence.node)) == half.contains(&index));
            assert_eq!(node.news.iter().filter(own).count(), 0, "{index}: {:?}", node.news);
        }
        cluster.heal();
        assert!(cluster.converge(60 * SECOND).is_some(), "{}", cluster.disagreement());
        until_reached(&mut cluster);
    });
}

#[test]
fn a_hundred_with_a_third_of_them_dial_out_stay_whole_and_notice_who_goes() {
    seeds::each(2, |seed| {
        // Who has missed the news of a failure, dial-out nodes or not, finds it out when it probes that member: one a second, each of a
        // hundred once in two rounds of them at the latest.
        let (weather, limit) = if seed % 2 == 0 { (CALM, 20 * SECOND) } else { (ROUGH, 240 * SECOND) };
        let mut cluster = cluster(seed, 100, weather, 66..100);
        until_reached(&mut cluster);
        let lost = gateways(&cluster, 99);
        cluster.nodes.iter_mut().for_each(|node| node.news.clear());
        lost.iter().filter(|gateway| **gateway > 0).take(2).for_each(|gateway| cluster.crash(*gateway));
        cluster.crash(80);
        assert!(cluster.converge(limit).is_some(), "{}", cluster.disagreement());
        until_reached(&mut cluster);
        cluster.run(60 * SECOND);
        only_the_dead_failed(&cluster);
    });
}

#[test]
fn what_a_node_sends_does_not_grow_with_their_number() {
    let rates = [40, 160].map(|size| {
        let mut cluster = cluster(size as u64, size, CALM, size / 2..size);
        until_reached(&mut cluster);
        cluster.run(20 * SECOND);
        let sent = cluster.net.sent;
        cluster.run(20 * SECOND);
        (cluster.net.sent - sent) as f64 / 20.0 / size as f64
    });
    println!("datagrams a second and node: {rates:.2?}");
    assert!(rates[1] <= rates[0] * 1.1, "{rates:?}");
}

#[test]
fn who_is_to_be_dialled_is_asked_through_a_gateway_also_where_one_in_ten_is_lost() {
    seeds::each(10, |seed| {
        let mut cluster = cluster(seed, 12, if seed % 2 == 0 { CALM } else { ROUGH }, [10, 11]);
        until_reached(&mut cluster);
        // As links ask while a session waits.
        for _ in 0..limits::SILENCE.as_nanos() / limits::CALL_BACK_RETRY.as_nanos() {
            cluster.say(5, |swim, _| assert!(swim.call_back(id(11))));
            cluster.run(limits::CALL_BACK_RETRY.as_nanos() as u64);
        }
        assert!(cluster.nat.called.contains(&(11, 5)), "{:?}", cluster.nat.called);
        assert!(cluster.nat.called.iter().all(|called| *called == (11, 5)));
        cluster.crash(11);
        assert!(cluster.converge(20 * SECOND).is_some());
        cluster.say(5, |swim, _| assert!(!swim.call_back(id(11)), "it is no member"));
        assert_eq!(cluster.swim(5).view().get(id(11)).map(|entry| entry.state), Some(State::Failed));
    });
}
