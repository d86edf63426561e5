//! Who is told of whom, when: joining, failing, splits, stopped processes.

use super::cluster::Cluster;
use crate::net::{CALM, ROUGH, SECOND};
use crate::seeds;
use std::collections::BTreeSet;

#[test]
fn a_cluster_finds_itself_through_one_seed_and_notices_who_dies_leaves_and_comes_back() {
    seeds::each(40, |seed| {
        let size = 3 + (seed % 10) as usize;
        let mut cluster = Cluster::new(seed, size, if seed % 2 == 0 { CALM } else { ROUGH });
        for index in 0..size {
            cluster.start(index, &[0]);
        }
        let took = cluster.converge(15 * SECOND);
        assert!(took.is_some(), "{}", cluster.disagreement());
        cluster.crash(size - 1);
        assert!(cluster.converge(20 * SECOND).is_some(), "{}", cluster.disagreement());
        cluster.start(size - 1, &[0]);
        cluster.leave(1);
        assert!(cluster.converge(20 * SECOND).is_some(), "{}", cluster.disagreement());
    });
}

#[test]
fn halves_that_were_cut_apart_know_each_other_again_and_nobody_of_the_own_half_was_given_up() {
    seeds::each(40, |seed| {
        let size = 4 + (seed % 9) as usize;
        let mut cluster = Cluster::new(seed, size, if seed % 2 == 0 { CALM } else { ROUGH });
        for index in 0..size {
            cluster.start(index, &[0]);
        }
        assert!(cluster.converge(15 * SECOND).is_some(), "{}", cluster.disagreement());
        let half: BTreeSet<usize> = (0..size / 2).collect();
        cluster.split(&half, seed % 3 == 0);
        cluster.run(40 * SECOND);
        cluster.heal();
        let took = cluster.converge(60 * SECOND);
        assert!(took.is_some(), "{}", cluster.disagreement());
    });
}

#[test]
fn a_stopped_process_blames_nobody_when_it_goes_on_and_is_back_soon() {
    seeds::each(20, |seed| {
        let mut cluster = Cluster::new(seed, 5, CALM);
        for index in 0..5 {
            cluster.start(index, &[0]);
        }
        assert!(cluster.converge(15 * SECOND).is_some());
        cluster.freeze(3, (1 + seed) * SECOND);
        cluster.run((1 + seed) * SECOND);
        assert!(cluster.converge(30 * SECOND).is_some(), "{}", cluster.disagreement());
    });
}

#[test]
fn one_in_ten_lost_makes_nobody_fail() {
    seeds::each(2, |seed| {
        for size in [3, 12] {
            let mut cluster = Cluster::new(seed, size, ROUGH);
            for index in 0..size {
                cluster.start(index, &[0]);
            }
            assert!(cluster.converge(20 * SECOND).is_some());
            cluster.run(600 * SECOND);
            assert_eq!(cluster.false_failures, 0, "{size} nodes, ten minutes");
        }
    });
}
