//! Nodes in processes of their own that form a mesh: the tutorial's programs of several nodes, as their user runs them.

mod dial_out;
mod memory;
mod placed;
mod placement;
mod restart;

use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job};
use corovan_client::{ConnectOptions, Credentials, Node};
use rustix::process::Signal;
use std::collections::BTreeSet;

/// So many nodes, each of which asks the first for the way.
fn mesh(place: &Place, nodes: usize) -> Vec<NodeProcess> {
    let mut mesh = vec![place.node_named("a", &[])];
    for name in ["b", "c", "d", "e"].iter().take(nodes - 1) {
        let first = mesh[0].address.clone();
        mesh.push(place.node_named(name, &["--peer", &first]));
    }
    mesh
}

/// As this tenant or operator, with a certificate that is made where there is none yet.
pub async fn connect(place: &Place, address: &str, role: &str) -> Node {
    let certs = place.certs();
    if !certs.join(format!("{role}.crt")).exists() {
        let (kind, name) = role.split_once('-').unwrap();
        place.run(["cert", kind, name, "--dir", &certs.display().to_string()]).has_code(0);
    }
    let file = |name: String| certs.join(name);
    let credentials =
        Credentials::load(file(format!("{role}.crt")), file(format!("{role}.key")), file("ca.crt".into())).unwrap();
    Node::connect(address, &credentials, ConnectOptions::default()).await.unwrap()
}

fn start(place: &Place, node: &NodeProcess, args: &[&str]) -> Running {
    start_job(place, node, "remote", args)
}

fn start_job(place: &Place, node: &NodeProcess, name: &str, args: &[&str]) -> Running {
    place.start(node.args(&[&[&job(name).display().to_string()[..]], args].concat()))
}

#[test]
fn client_and_server_are_two_programs_on_two_nodes_and_several_run_at_once() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    let mut running = Vec::new();
    // The clients of one look for their server before it is there.
    for (name, server, clients) in [("first", 0, 1), ("second", 2, 0), ("third", 1, 2)] {
        let name = format!("{name:?}");
        let clients = start(&place, &nodes[clients], &["clients", "10", "3", "0.05", &name]);
        running.push((start(&place, &nodes[server], &["server", "30", &name]), clients));
    }
    for (server, clients) in running {
        clients.wait().has_code(0);
        let done = server.wait();
        let out = done.has_code(0).out();
        let mut lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.pop(), Some("30"));
        let mut seen = BTreeSet::new();
        for (index, line) in lines.iter().enumerate() {
            let text = line.strip_prefix(&format!("processing {}: ", index + 1));
            let (n, x) = text.and_then(|text| text.split_once(" / ")).unwrap_or_else(|| panic!("{line:?}"));
            let (n, x): (u32, u32) = (n.parse().unwrap(), x.parse().unwrap());
            assert!(x == 0 || seen.contains(&(n, x - 1)), "{n} / {x} is before {n} / {}", x - 1);
            assert!(seen.insert((n, x)), "{line} came twice");
        }
        assert_eq!(seen.len(), 30);
    }
}

#[test]
fn a_channel_is_shared_by_programs_on_two_nodes_and_begins_when_both_are_there() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    let client = start_job(&place, &nodes[1], "remote_channel", &["client"]);
    let server = start_job(&place, &nodes[2], "remote_channel", &["server", "0.3"]);
    let (client, server) = (client.wait(), server.wait());
    let (client, server) = (client.has_code(0).out(), server.has_code(0).out());
    let received: Vec<String> = (0..10).map(|n| format!("received: {n}")).collect();
    let told = |line: &&str| line.starts_with("delivered");
    assert_eq!(server.lines().collect::<Vec<_>>(), received);
    assert_eq!(client.lines().filter(|line| !told(line)).collect::<Vec<_>>(), received);
    assert_eq!(client.lines().filter(told).collect::<Vec<_>>(), ["delivered to: 2"; 10]);
}

#[test]
fn people_on_four_nodes_hear_the_same_chat_in_the_same_order() {
    let place = Place::new();
    let nodes = mesh(&place, 4);
    let people = [("ann", 1), ("ben", 2), ("cem", 3)];
    let talking: Vec<Running> = people
        .iter()
        .map(|(who, at)| {
            let said = ["talk", &format!("{who:?}"), "3", r#"["hello", "SHOUT", "well"]"#];
            start_job(&place, &nodes[*at], "chat", &said)
        })
        .collect();
    let room = start_job(&place, &nodes[0], "chat", &["room", "3"]).wait();
    let heard = room.has_code(0).out();
    for talking in talking {
        assert_eq!(talking.wait().has_code(0).out(), heard);
    }
    let mut lines: Vec<&str> = heard.lines().collect();
    for (who, _) in people {
        let theirs: Vec<&str> = lines.extract_if(.., |line| line.starts_with(who)).collect();
        let expected = [" has joined", " says: hello", " says: well", " has left"].map(|rest| format!("{who}{rest}"));
        assert_eq!(theirs, expected);
    }
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn a_service_is_called_from_another_node_and_both_sides_learn_how_each_call_ends() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    let client = start_job(&place, &nodes[0], "services", &["client", "5"]);
    let server = start_job(&place, &nodes[1], "services", &["server", "5"]);
    let mut lines: Vec<String> = client.wait().has_code(0).out().lines().map(str::to_owned).collect();
    lines.sort();
    let ends = ["finished with 0", "invalid invocation", "finished with 1", "invalid invocation", "finished with 2"];
    for (n, (line, end)) in lines.iter().zip(ends).enumerate() {
        assert!(line.starts_with(&format!("{n}: ")) && line.contains(end), "{line}");
    }
    let served = server.wait();
    let served = served.has_code(0).out();
    assert_eq!((lines.len(), served.lines().count()), (5, 5), "{served}");
    assert_eq!(served.matches("invalid invocation").count(), 2, "{served}");
}

#[test]
fn agents_on_three_nodes_find_each_other_and_all_come_to_know_the_same() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    let agents: Vec<Running> = nodes
        .iter()
        .zip(["7", "-3", "20"])
        .map(|(node, number)| start_job(&place, node, "agents", &["agent", number, "2"]))
        .collect();
    for agent in agents {
        let done = agent.wait();
        let out = done.has_code(0).out();
        assert_eq!(out.lines().last(), Some("[-3,20]"), "{out}");
    }
}

#[test]
fn a_watcher_reads_the_logs_of_all_nodes_also_of_one_that_comes_later() {
    let place = Place::new();
    let mut nodes = mesh(&place, 2);
    let watch = start_job(&place, &nodes[0], "log_watch", &["watch", "\"error\"", "4"]);
    let lines = r#"["error: disk", "all is well", "error: net"]"#;
    start_job(&place, &nodes[1], "log_watch", &["logs", lines, "1"]).wait().has_code(0);
    watch.stdout.wait_for("b: error: net", 1);
    let first = nodes[0].address.clone();
    nodes.push(place.node_named("c", &["--peer", &first]));
    start_job(&place, &nodes[2], "log_watch", &["logs", lines, "1"]).wait().has_code(0);
    let done = watch.wait();
    let expected = ["b: error: disk", "b: error: net", "c: error: disk", "c: error: net"];
    assert_eq!(done.has_code(0).out().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_killed_node_takes_its_names_with_it_and_comes_back_as_itself() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    let first = nodes[0].address.clone();
    let _lost = start(&place, &nodes[2], &["server", "1"]);
    // One message shows that it is there.
    start(&place, &nodes[1], &["clients", "1", "1", "0"]).wait().has_code(0);
    let second = start(&place, &nodes[2], &["server", "5"]);
    start(&place, &nodes[1], &["clients", "1", "1", "0"]).wait().has_code(0);
    nodes[2].running.signal(Signal::KILL);
    second.wait().has_code(123);
    let again = place.node_named("c", &["--peer", &first]);
    let server = start(&place, &again, &["server", "10"]);
    start(&place, &nodes[1], &["clients", "10", "1", "0.01"]).wait().has_code(0);
    assert!(server.wait().has_code(0).out().ends_with("\n10\n"));
}

#[test]
fn a_job_makes_coroutines_on_nodes_that_never_saw_its_module_and_they_end_with_it() {
    let place = Place::new();
    let mut nodes = mesh(&place, 5);
    let ring = r#"["b","c","d","e","a"]"#;
    let done = start(&place, &nodes[0], &["ring", ring, "20"]).wait();
    let out = done.has_code(0).out();
    assert_eq!(out.lines().count(), 6, "{out}");
    assert_eq!(out.lines().last(), Some("120"), "{out}");
    let failed = start(&place, &nodes[0], &["fails_at", "c"]).wait();
    assert!(failed.has_code(0).out().contains("as it was asked"), "{failed:?}");
    let nowhere = start(&place, &nodes[0], &["sleeps_at", "z"]).wait();
    assert!(nowhere.stderr.contains("no node of the mesh is \"z\""), "{nowhere:?}");
    // Ended by its deadline, what it made elsewhere goes as well.
    let args = nodes[0].args(&["--timeout", "1s", &job("remote").display().to_string(), "sleeps_at", "d"]);
    let ended = place.run(args);
    assert_eq!(ended.out(), "asleep\n", "{ended:?}");
    // And with a node that is lost.
    let sleeps = start(&place, &nodes[0], &["sleeps_at", "e"]);
    sleeps.stdout.wait_for("asleep", 1);
    nodes[4].running.signal(Signal::KILL);
    let lost = sleeps.wait();
    assert!(lost.stderr.contains("node-lost") || lost.stderr.contains("node lost"), "{lost:?}");
    nodes.truncate(4);
    for node in &mut nodes {
        node.works(&place);
    }
}

#[test]
fn a_node_that_is_told_to_stop_says_how_its_coroutines_ended_before_it_goes() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    let sleeps = start(&place, &nodes[0], &["sleeps_at", "b"]);
    sleeps.stdout.wait_for("asleep", 1);
    nodes[1].running.signal(Signal::TERM);
    let told = sleeps.wait();
    assert!(told.code != 0 && told.stderr.contains("the node is shutting down"), "{told:?}");
    assert!(!told.stderr.contains("node-lost"), "{told:?}");
    nodes[0].running.stderr.wait_for("as it says: the node is shutting down", 1);
}

#[test]
fn a_server_at_another_node_goes_on_as_another_function_and_what_it_prints_reaches_the_client() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    let here = place.start(nodes[0].args(&[&job("hot_swap").display().to_string(), "hot_swap", "3"]));
    let there = place.start(nodes[0].args(&[&job("hot_swap").display().to_string(), "hot_swap", "3", "\"b\""]));
    let (here, there) = (here.wait(), there.wait());
    let (here, there) = (here.has_code(0).out(), there.has_code(0).out());
    // Each coroutine's lines are in their order.
    let of = |out: &str, whose: &str| -> Vec<String> {
        out.lines().filter(|line| line.ends_with(whose)).map(str::to_owned).collect()
    };
    assert_eq!(of(&there, "received").len(), 6, "{there}");
    assert_eq!(of(&there, "received"), of(&here, "received"));
    let lines = |out: &str| out.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(lines(&there), lines(&here));
    assert_eq!(there.lines().last(), Some("6"));
}

#[test]
fn two_programs_with_a_node_each_in_their_own_process_need_no_other() {
    let place = Place::new();
    let certs = place.certs().display().to_string();
    let file = job("remote").display().to_string();
    // One that is free now; who takes it meanwhile makes this test fail, and not pass.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = |options: &[&str], call: &[&str]| {
        let words = [&["run", "--certs", &certs][..], options, &[&file], call].concat();
        place.start(words)
    };
    let server = run(&["--bind", &free], &["server", "30"]);
    let clients = run(&["--peer", &free], &["clients"]);
    clients.wait().has_code(0);
    let done = server.wait();
    assert_eq!(done.has_code(0).out().lines().last(), Some("30"));
    let refused = place.run(["run", "--peer", "127.0.0.1:1", &file, "clients"]);
    assert!(refused.code != 0 && refused.stderr.contains("--certs DIR"), "{refused:?}");
}

#[test]
fn a_node_that_stands_still_is_lost_to_others_until_it_goes_on() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    let server = start(&place, &nodes[1], &["answers", "still"]);
    let asks = start(&place, &nodes[0], &["asks", "still"]);
    asks.stdout.wait_for("answered 2", 3);
    nodes[1].running.signal(Signal::STOP);
    asks.stdout.wait_for("NodeLost", 1);
    nodes[1].running.signal(Signal::CONT);
    // The node answers again, and says that the server has ended: its own client took the node for lost as well.
    let done = asks.wait();
    let out = done.has_code(0).out();
    assert_eq!(out.lines().last(), Some("Gone"), "{out}");
    server.wait().has_code(123);
}

impl Place {
    /// Waits until that node knows all of these as alive.
    pub fn until_known_at(&self, node: &NodeProcess, names: &[&str]) {
        let certs = self.certs().display().to_string();
        crate::process::until("a node knows these", || {
            let done = self.run(["nodes", "--json", "--node", &node.address, "--certs", &certs]);
            let text = done.has_code(0).out();
            let alive = |name: &&str| {
                text.lines().any(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    line["name"] == **name && line["state"] == "alive"
                })
            };
            names.iter().all(alive).then_some(())
        });
    }
}
