//! `corovan node` as an operator sees it: start, refusals to start, shutdown, restart.

use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job};
use rustix::process::Signal;
use std::net::UdpSocket;

impl Place {
    /// A node with a CA of its own in its data directory, as a developer starts it.
    fn own_node(&self, options: &[&str]) -> NodeProcess {
        let mut command = self.command(["node", "--listen", "127.0.0.1:0", "--data", "own"]);
        command.args(options);
        NodeProcess::started(Running::start(command), self.path("own/dev-ca"))
    }
}

#[test]
fn a_node_without_certificates_makes_its_own_and_serves_with_them() {
    let place = Place::new();
    let mut node = place.own_node(&[]);
    assert!(node.address.starts_with("127.0.0.1:") && !node.address.ends_with(":0"), "{}", node.address);
    node.works(&place);
    let listening = format!("listening on {}\n", node.address);
    node.running.signal(Signal::TERM);
    let done = node.running.wait();
    done.has_code(0).says(&["SIGTERM: stopping", "stopped"]);
    assert_eq!(done.out(), listening, "nothing else is printed");
}

#[test]
fn an_idle_node_ends_with_code_0_on_either_signal() {
    let place = Place::new();
    for signal in [Signal::TERM, Signal::INT] {
        let node = place.own_node(&[]);
        node.running.signal(signal);
        node.running.wait().has_code(0);
    }
}

#[test]
fn shutdown_ends_running_jobs_after_the_grace_and_tells_their_clients_by_whom() {
    let place = Place::new();
    let sleeper = job("rcoro_proc").display().to_string();
    let faults = job("faults").display().to_string();
    // Sleepers leave when they are interrupted, a spinner is stopped hard; neither keeps the node.
    for (grace, words, outcome) in [
        ("60s", &[&sleeper[..], "rcoro_proc", "3600"][..], "terminated by node: the node is shutting down"),
        ("300ms", &[&faults, "spins"], "terminated by node: the node is shutting down"),
    ] {
        let node = place.own_node(&["--grace", grace]);
        let client = place.start(node.args(&[words, &["--count", "5"]].concat()));
        client.stderr.wait_for("processing", 5);
        node.running.signal(Signal::TERM);
        node.running.wait().has_code(0);
        let done = client.wait();
        done.has_code(121);
        assert_eq!(done.stderr.matches(outcome).count(), 5, "{}", done.stderr);
    }
}

#[test]
fn a_second_signal_stops_a_node_at_once() {
    let place = Place::new();
    let node = place.own_node(&["--grace", "60s"]);
    let faults = job("faults").display().to_string();
    let client = place.start(node.args(&[&faults[..], "spins", "--json"]));
    client.stdout.wait_for("started", 1);
    node.running.signal(Signal::TERM);
    node.running.stderr.wait_for("stopping", 1);
    node.running.signal(Signal::TERM);
    node.running.wait().has_code(0);
    let code = client.wait().code;
    assert!([121, 123].contains(&code), "{code}");
}

#[test]
fn a_node_that_shuts_down_takes_no_new_work_and_says_so() {
    let place = Place::new();
    let node = place.own_node(&["--grace", "60s"]);
    let faults = job("faults").display().to_string();
    let client = place.start(node.args(&[&faults[..], "spins", "--json"]));
    client.stdout.wait_for("started", 1);
    node.running.signal(Signal::TERM);
    node.running.stderr.wait_for("stopping", 1);
    let done = place.run(node.args(&[&faults[..], "progresses", "0"]));
    assert!([122, 123].contains(&done.code), "{done:?}");
    done.says(&["shutting down"]);
}

#[test]
fn a_data_directory_belongs_to_one_node_and_a_port_to_one_program() {
    let place = Place::new();
    let mut node = place.own_node(&[]);
    place.run(["node", "--listen", "127.0.0.1:0", "--data", "own"]).has_code(125).says(&[
        "data directory own",
        "in use by another node",
        "--data",
    ]);
    place.run(["node", "--listen", &node.address, "--data", "other"]).has_code(125).says(&[
        "cannot listen on",
        &node.address,
        "another program uses this port",
        "port 0",
    ]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    place
        .run(["node", "--listen", &address, "--data", "other"])
        .has_code(125)
        .says(&["another program uses this port"]);
    node.works(&place);
}

#[test]
fn what_keeps_a_node_from_starting_is_said_with_what_to_do() {
    let place = Place::new();
    place.file("a-file", "");
    let certs = place.certs().display().to_string();
    for (args, parts) in [
        (&["--data", "a-file/data"][..], &["a-file/data"][..]),
        (&["--data", "/proc/corovan"], &["/proc/corovan"]),
        (&["--listen", "0.0.0.0:0"], &["0.0.0.0:0 is not a loopback address", "corovan cert init", "--certs"]),
        (&["--listen", "[::]:0"], &["not a loopback address"]),
        (&["--listen", "192.0.2.1:0", "--certs", &certs, "--name", "a"], &["192.0.2.1:0", "no such address"]),
        (&["--listen", "localhost"], &["--listen"]),
        (&["--name", "Node 1"], &["1 to 63 of a-z"]),
        (&["--name", ""], &["1 to 63 of a-z"]),
        (&["--name", "b", "--certs", &certs], &["no node-b.crt", "corovan cert node b --dir"]),
        (&["--certs", "nowhere", "--name", "a"], &["nowhere", "corovan cert"]),
        (&["--grace", "soon"], &["--grace"]),
    ] {
        // What the case does not give is fine.
        let mut command = place.command(["node"]);
        command.args(args);
        for (option, value) in [("--listen", "127.0.0.1:0"), ("--data", "data")] {
            if !args.contains(&option) {
                command.args([option, value]);
            }
        }
        Running::start(command).wait().has_code(125).says(parts);
    }
    // Each of those gave back what it had taken.
    place.node(&[]).works(&place);
}

#[test]
fn a_restarted_node_is_the_same_node_in_its_next_incarnation() {
    let place = Place::new();
    let echo = job("echo").display().to_string();
    let mut seen: Vec<(String, u32)> = Vec::new();
    for round in 1..=3 {
        let node = place.node(&[]);
        let done = place.run(node.args(&[&echo[..], "who", "--json"]));
        let exit = done.has_code(0).out();
        let exit: serde_json::Value = serde_json::from_str(exit.lines().last().unwrap()).unwrap();
        let mut address = exit["address"].as_str().unwrap().split('.');
        let (id, incarnation): (_, u32) = (address.next().unwrap(), address.next().unwrap().parse().unwrap());
        let kept = std::fs::read_to_string(place.path("data/incarnation")).unwrap();
        assert_eq!(kept.trim(), incarnation.to_string());
        assert!(seen.last().is_none_or(|(before, boot)| before == id && *boot < incarnation), "{seen:?} {id}");
        seen.push((id.to_owned(), incarnation));
        // Also one that was killed has raised it.
        node.running.signal(if round == 1 { Signal::KILL } else { Signal::TERM });
        node.running.wait();
    }
}

#[test]
fn a_module_shipped_before_a_restart_or_damaged_since_still_runs() {
    let place = Place::new();
    let sleeper = job("rcoro_proc").display().to_string();
    for _ in 0..2 {
        let node = place.node(&[]);
        let done = place.run(node.args(&[&sleeper[..], "rcoro_proc", "0"]));
        assert_eq!(done.has_code(0).out(), "0.0\n");
        node.running.signal(Signal::TERM);
        node.running.wait().has_code(0);
        // Every file of modules and native code, cut in half.
        let mut cut = 0;
        for file in files_below(&place.path("data")) {
            let len = file.metadata().unwrap().len();
            if len > 10_000 {
                std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(len / 2).unwrap();
                cut += 1;
            }
        }
        assert!(cut > 0, "nothing is kept in {:?}", files_below(&place.path("data")));
    }
    place.node(&[]).works(&place);
}

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
