//! Nodes of one mesh as people see them: `corovan nodes`, `corovan peer`, and the options by which nodes find each other.

use crate::nodes::NodeProcess;
use crate::process::{Done, Place, Running, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsStr;

impl Place {
    fn operator(&self) {
        let certs = self.certs();
        let words = ["cert", "operator", "root", "--dir"].map(OsStr::new);
        self.run(words.into_iter().chain([certs.as_os_str()])).has_code(0);
    }

    /// `corovan COMMAND ... --node NODE`, with certificates.
    fn ask(&self, node: &NodeProcess, words: &[&str]) -> Running {
        let certs = self.certs().display().to_string();
        self.start([words, &["--node", &node.address, "--certs", &certs]].concat())
    }

    /// The nodes as one of them knows them, by name.
    fn nodes(&self, of: &NodeProcess) -> Vec<Value> {
        let done = self.ask(of, &["nodes", "--json"]).wait();
        done.has_code(0);
        lines(&done.out())
    }

    #[track_caller]
    fn until_known(&self, of: &NodeProcess, expected: &[(&str, &str)]) -> Vec<Value> {
        until("a node knows these", || {
            let nodes = self.nodes(of);
            let known: Vec<_> =
                nodes.iter().filter_map(|it| Some((it["name"].as_str()?, it["state"].as_str()?))).collect();
            (known == expected).then_some(nodes)
        })
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stop(node: NodeProcess) -> Done {
    node.running.signal(Signal::TERM);
    node.running.wait()
}

#[test]
fn nodes_that_were_told_of_each_other_are_listed_with_what_they_say_until_they_leave_and_after_they_fail() {
    let place = Place::new();
    place.operator();
    let a = place.node_named("a", &["--label", "zone=x"]);
    let b = place.node_named("b", &["--peer", &a.address, "--label", "gpu=2", "--workers", "2"]);
    let c = place.node_named("c", &["--peer", &b.address]);
    let watching = place.ask(&b, &["nodes", "--watch", "--json"]);
    let nodes = place.until_known(&c, &[("a", "alive"), ("b", "alive"), ("c", "alive")]);
    assert_eq!((&nodes[0]["labels"], &nodes[0]["addresses"]), (&json!({"zone": "x"}), &json!([a.address])));
    assert_eq!((&nodes[1]["labels"], &nodes[1]["cores"]), (&json!({"gpu": "2"}), &json!(2)));
    assert_eq!((&nodes[0]["asked"], &nodes[2]["asked"]), (&json!(false), &json!(true)));
    assert!(nodes[1]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{}", nodes[1]);
    stop(c).has_code(0);
    place.until_known(&b, &[("a", "alive"), ("b", "alive"), ("c", "left")]);
    a.running.signal(Signal::KILL);
    place.until_known(&b, &[("a", "failed"), ("b", "alive"), ("c", "left")]);
    drop(a);
    let c = place.node_named("c", &["--peer", &b.address]);
    let again = place.until_known(&b, &[("a", "failed"), ("b", "alive"), ("c", "alive")]);
    assert!(again[2]["incarnation"].as_u64() > nodes[2]["incarnation"].as_u64(), "another boot");

    until("the watch has told it, too", || {
        let text = watching.stdout.text();
        let told = lines(&text[..text.rfind('\n').map_or(0, |end| end + 1)]);
        told.iter()
            .rfind(|it| it["name"] == "c")
            .filter(|it| it["state"] == "alive" && it["incarnation"] == again[2]["incarnation"])
            .cloned()
    });
    let told = lines(&watching.stdout.text());
    let of = |name: &str| told.iter().filter(|it| it["name"] == name).map(|it| it["state"].clone()).collect::<Vec<_>>();
    assert_eq!(of("a"), ["alive", "failed"], "{told:?}");
    watching.signal(Signal::INT);
    watching.wait().has_code(130);
    drop(c);
}

#[test]
fn a_running_node_is_asked_by_an_operator_to_join_and_by_nobody_else() {
    let place = Place::new();
    let (a, b) = (place.node_named("a", &[]), place.node_named("b", &[]));
    let denied = place.ask(&a, &["peer", &b.address]).wait();
    denied.has_code(125).says(&["corovan cert operator"]);
    // A tenant sees who is there.
    let done = place.ask(&a, &["nodes", "--json"]).wait();
    let seen = lines(&done.has_code(0).out());
    assert_eq!((seen.len(), seen[0].get("addresses"), &seen[0]["name"]), (1, None, &json!("a")));
    place.operator();
    place.ask(&a, &["peer", &a.address]).wait().has_code(122).says(&["this node itself"]);
    place.ask(&a, &["peer", "nobody.invalid:1"]).wait().has_code(122).says(&["nobody.invalid", "cannot be resolved"]);
    place.ask(&a, &["peer", "nowhere"]).wait().has_code(125).says(&["no port"]);
    let done = place.ask(&a, &["peer", &b.address]).wait();
    assert_eq!(done.has_code(0).out(), format!("a asks {} for a way into its mesh\n", b.address));
    place.until_known(&b, &[("a", "alive"), ("b", "alive")]);
    let table = place.ask(&b, &["nodes"]).wait();
    let text = table.has_code(0).out();
    for part in ["NAME", "ADDRESS", "b*", "alive", &a.address] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn nodes_of_one_cluster_find_each_other_on_the_network() {
    let place = Place::new();
    place.operator();
    let a = place.node_named("a", &["--discover"]);
    let b = place.node_named("b", &["--discover"]);
    if !multicast_on_loopback() {
        eprintln!("SKIPPED: this machine passes no multicast on loopback, so nothing is found there");
        return;
    }
    place.until_known(&a, &[("a", "alive"), ("b", "alive")]);
    place.until_known(&b, &[("a", "alive"), ("b", "alive")]);
    stop(a).has_code(0);
    stop(b).has_code(0);
}

/// Whether a datagram to a group comes back to this machine.
fn multicast_on_loopback() -> bool {
    use std::net::{Ipv4Addr, UdpSocket};
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = receiver.local_addr().unwrap().port();
    receiver.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_ok()
        && sender.set_multicast_loop_v4(true).is_ok()
        && sender.send_to(b"?", (group, port)).is_ok()
        && receiver.recv(&mut [0; 1]).is_ok()
}
