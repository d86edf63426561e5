//! A node with `--dial-out` in a process of its own, as one behind NAT has it: jobs of all nodes run on it, and its jobs on all.

use super::start;
use crate::nodes::NodeProcess;
use crate::process::Place;
use rustix::process::Signal;

fn node(place: &Place, name: &str, first: &NodeProcess, more: &[&str]) -> NodeProcess {
    place.node_named(name, &[&["--peer", &first.address], more].concat())
}

/// A ring with a coroutine on each of these, made by a job at this node; how it ended.
fn ring(place: &Place, at: &NodeProcess, nodes: &str) -> String {
    let done = start(place, at, &["ring", nodes, "20"]).wait();
    done.has_code(0).out().lines().last().map(str::to_owned).unwrap_or_default()
}

#[test]
fn coroutines_are_made_on_a_node_that_only_dials_and_by_it_and_go_on_when_others_are_killed() {
    let place = Place::new();
    let a = place.node_named("a", &[]);
    let mut others = ["b", "c", "e"].map(|name| node(&place, name, &a, &[])).into_iter();
    let (b, c, e) = (others.next().unwrap(), others.next().unwrap(), others.next().unwrap());
    let d = node(&place, "d", &a, &["--dial-out"]);
    // Until the last that came is known there: a place that is not known is refused, and the ring is whole or not there.
    for at in [&a, &b, &c, &d, &e] {
        place.until_known_at(at, &["a", "b", "c", "d", "e"]);
    }
    assert_eq!(ring(&place, &a, r#"["b","d","c","d","e"]"#), "120");
    assert_eq!(ring(&place, &c, r#"["d","b","d","a"]"#), "100");
    assert_eq!(ring(&place, &d, r#"["a","b","c","e"]"#), "100");
    // Three of the four others are its gateways, so that of two at least one is.
    b.running.signal(Signal::KILL);
    assert_eq!(ring(&place, &e, r#"["d","c","d","a"]"#), "100");
    a.running.signal(Signal::KILL);
    assert_eq!(ring(&place, &c, r#"["d","e","d"]"#), "80");
    // Another of its kind knows it, and cannot reach it.
    let f = node(&place, "f", &c, &["--dial-out"]);
    place.until_known_at(&f, &["c", "d", "e", "f"]);
    let refused = start(&place, &f, &["sleeps_at", "d"]).wait();
    assert!(refused.code != 0 && refused.stderr.contains("--dial-out"), "{refused:?}");
    assert_eq!(ring(&place, &f, r#"["c","e"]"#), "60");
}

#[test]
fn nobody_can_connect_with_a_node_that_only_dials() {
    let place = Place::new();
    let behind = place.node_named("a", &["--dial-out"]);
    let other = node(&place, "b", &behind, &[]);
    behind.running.stderr.wait_for("accepts no connections of other nodes", 1);
    place.until_known_at(&other, &["b"]);
    let works = start(&place, &behind, &["ring", "[]", "1"]).wait();
    // Its clients can, which need no mesh.
    works.has_code(0);
}
