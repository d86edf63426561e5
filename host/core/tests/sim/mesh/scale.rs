//! Row 12 of docs/performance.md in virtual time: how soon all know of a newcomer and it of all, how soon a dead node is
//! noticed, and what membership costs a node, in clusters of growing size.

use super::cluster::Cluster;
use crate::net::{CALM, SECOND};

/// What was measured of a cluster of one size.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
struct Figures {
    nodes: usize,
    /// From nothing, all started at once with one seed.
    formed: f64,
    joined: f64,
    failed: f64,
    /// Datagrams and bytes that a node sends each second while nothing happens.
    datagrams: f64,
    bytes: f64,
}

#[test]
fn a_newcomer_is_known_to_two_hundred_within_fifteen_seconds_and_traffic_does_not_grow() {
    let small = measure(50);
    let large = measure(200);
    check(&small, &large);
}

#[test]
#[ignore = "row 12 with a thousand nodes: a minute optimised, several in debug; run with --ignored"]
fn a_newcomer_is_known_to_a_thousand_within_fifteen_seconds_and_traffic_does_not_grow() {
    let small = measure(100);
    let large = measure(1_000);
    check(&small, &large);
}

fn check(small: &Figures, large: &Figures) {
    for figures in [small, large] {
        println!("{figures:.2?}");
        assert!(figures.joined <= 15.0, "{figures:?}");
        assert!(figures.failed <= 15.0, "{figures:?}");
    }
    assert!(large.datagrams <= small.datagrams * 1.1, "{small:?} {large:?}");
    assert!(large.bytes <= small.bytes * 1.1, "{small:?} {large:?}");
}

fn measure(nodes: usize) -> Figures {
    let seconds = |nanos: u64| nanos as f64 / SECOND as f64;
    let mut cluster = Cluster::new(nodes as u64, nodes + 1, CALM);
    for index in 0..nodes {
        cluster.start(index, &[0]);
    }
    let formed = cluster.converge(120 * SECOND).expect("the cluster forms");
    cluster.run(30 * SECOND);
    let (sent, bytes) = (cluster.net.sent, cluster.bytes);
    cluster.run(20 * SECOND);
    let rate = |count: u64| count as f64 / 20.0 / nodes as f64;
    let (datagrams, bytes) = (rate(cluster.net.sent - sent), rate(cluster.bytes - bytes));
    cluster.start(nodes, &[nodes / 2]);
    let joined = cluster.converge(60 * SECOND).expect("a newcomer is known to all, and knows all");
    cluster.run(10 * SECOND);
    cluster.crash(nodes / 3);
    let failed = cluster.converge(60 * SECOND).expect("all know that it is gone");
    Figures { nodes, formed: seconds(formed), joined: seconds(joined), failed: seconds(failed), datagrams, bytes }
}
