//! A job's output and the command's end: slow readers, readers that go away, Ctrl-C, and nodes that see their clients go.

use crate::nodes::NodeProcess;
use crate::process::{LIMIT, Place, Running, job};
use rustix::process::Signal;
use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

/// Bytes that neither pipes nor any buffer on the way hold.
const MUCH: usize = 10 << 20;

#[test]
fn much_output_arrives_complete_at_a_reader_that_is_slow() {
    let place = Place::new();
    let file = job("faults").display().to_string();
    let mut child = place.command(["run", &file, "big_output", &MUCH.to_string()]).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let _running = Running::watch(child);
    let (mut lines, mut total, mut buffer, mut last) = (0, 0, [0; 4096], Vec::new());
    loop {
        // Small reads with a pause for each megabyte: the writer is always ahead.
        let n = pipe.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        lines += buffer[..n].iter().filter(|byte| **byte == b'\n').count();
        if (total + n) >> 20 > total >> 20 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        total += n;
        last = buffer[..n].to_vec();
    }
    // The job's own lines of a hundred bytes, then its result on a line.
    let result = format!("{MUCH}\n");
    assert_eq!((total, lines), (MUCH + result.len(), MUCH.div_ceil(100) + 1));
    assert!(last.ends_with(result.as_bytes()));
}

#[test]
fn a_reader_that_has_enough_ends_the_command() {
    let place = Place::new();
    let mut node = place.node(&["--slots", "16"]);
    let file = job("faults").display().to_string();
    for count in ["1", "3"] {
        let words = [&file[..], "big_output", "1000000000000", "--count", count];
        let mut child = place.command(node.args(&words)).spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut [0; 300]).unwrap();
        drop(pipe);
        Running::watch(child).wait().has_code(141);
    }
    node.works(&place);
}

#[test]
fn an_interrupt_terminates_the_jobs_on_the_node_before_the_command_ends() {
    let place = Place::new();
    // As few slots as a node can have: a job left behind would hold one.
    let mut node = place.node(&["--slots", "1"]);
    let file = job("rcoro_proc").display().to_string();
    for (signal, code, word) in [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")] {
        for round in 1..=2 {
            let words = [&file[..], "rcoro_proc", "3600", "--count", "40"];
            let running = place.start(node.args(&words));
            // All slots are taken.
            running.stderr.wait_for("processing", started(&node).min(40));
            running.signal(signal);
            let done = running.wait();
            done.has_code(code).says(&[word, "job(s)", "was terminated by client"]);
            // Some of the 40 may not have been submitted yet when the signal came.
            let told = done.stderr.split("terminating ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            let told: usize = told.unwrap_or_else(|| panic!("round {round}: {}", done.stderr));
            assert!((started(&node).min(40)..=40).contains(&told), "round {round}: {}", done.stderr);
            assert_eq!(done.stderr.matches("was terminated by client").count(), told, "round {round}: {}", done.stderr);
        }
        node.works(&place);
    }
}

/// Slots of the node, as it says at its start.
fn started(node: &NodeProcess) -> usize {
    // The line may still be on its way when the node takes connections already.
    node.running.stderr.wait_for("slots", 1);
    node.running.stderr.wait_for("ready", 1);
    let text = node.running.stderr.text();
    let plain: String = strip_colours(&text);
    let at = plain.find("slots=").expect("the node says how many slots it has") + "slots=".len();
    plain[at..].split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn strip_colours(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').map_or("", |(_, rest)| rest);
    }
    out + rest
}

#[test]
fn a_single_interrupted_job_says_so() {
    let place = Place::new();
    for (name, function, argument) in [("rcoro_proc", "rcoro_proc", "3600"), ("faults", "spins", "")] {
        let file = job(name).display().to_string();
        let words = ["run", "--json", &file, function, argument];
        let running = place.start(words.iter().filter(|word| !word.is_empty()));
        running.stdout.wait_for("started", 1);
        running.signal(Signal::INT);
        let done = running.wait();
        assert!(done.has_code(130).out().contains("\"terminated\""), "{function}: {}", done.out());
    }
}

#[test]
fn a_second_interrupt_does_not_wait_and_the_node_ends_the_jobs_all_the_same() {
    let place = Place::new();
    let mut node = place.node(&["--slots", "1"]);
    let slots = started(&node);
    let file = job("faults").display().to_string();
    let running = place.start(node.args(&[&file[..], "spins", "--count", &slots.to_string()]));
    running.stderr.wait_for("processing", slots);
    running.signal(Signal::INT);
    running.stderr.wait_for("once more to leave at once", 1);
    running.signal(Signal::INT);
    running.wait().has_code(130);
    node.works(&place);
}

#[test]
fn an_interrupt_ends_the_command_also_before_a_job_runs() {
    let place = Place::new();
    let file = job("rcoro_proc").display().to_string();
    let certs = place.certs().display().to_string();
    for (signal, code, word) in [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")] {
        // Somebody who takes the connection's packets and never answers.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let running = place.start(["run", "--node", &address, "--certs", &certs, &file, "rcoro_proc", "1"]);
        silent.recv_from(&mut [0; 2048]).unwrap();
        running.signal(signal);
        let done = running.wait();
        let told = format!("corovan: {word} while the node made ready: nothing has run\n");
        assert_eq!(done.has_code(code).stderr, told);
    }
}

#[test]
fn a_node_killed_in_mid_job_is_noticed_in_seconds_and_the_lost_jobs_are_named() {
    let place = Place::new();
    let file = job("rcoro_proc").display().to_string();
    let node = place.node(&[]);
    let many = place.start(node.args(&[&file[..], "rcoro_proc", "3600", "--count", "3"]));
    let one = place.start(node.args(&[&file[..], "rcoro_proc", "3600", "--json"]));
    many.stderr.wait_for("processing", 3);
    one.stdout.wait_for("started", 1);
    let killed = Instant::now();
    node.running.signal(Signal::KILL);
    let done = many.wait();
    for number in 1..=3 {
        done.says(&[&format!("job {number} on a: is lost: node a at {}", node.address), "silent for 2.5s"]);
    }
    done.has_code(123);
    assert!(one.wait().has_code(123).out().contains("node-lost"));
    assert!(killed.elapsed() < LIMIT);
}

#[test]
fn jobs_are_shared_by_several_nodes_and_the_loss_of_one_is_not_the_others() {
    let place = Place::new();
    let (a, mut b) = (place.node(&[]), place.node_named("b", &[]));
    let file = job("rcoro_proc").display().to_string();
    let both = |more: &[&str]| b.args(&[&["--node", &a.address, &file[..], "rcoro_proc"], more].concat());
    // Jobs that take a moment: of those that are over at once one node could take all.
    let done = place.run(both(&["0.3", "--count", "8"]));
    done.has_code(0);
    for name in ["a", "b"] {
        assert!(done.out().contains(&format!(" on {name}: finished")), "{}", done.out());
    }
    let running = place.start(both(&["3600", "--count", "8"]));
    running.stderr.wait_for("processing", 8);
    a.running.signal(Signal::KILL);
    running.stderr.wait_for("on a: is lost", 4);
    running.signal(Signal::INT);
    let done = running.wait();
    done.has_code(130).says(&["on a: is lost: node a at", &a.address]);
    assert_eq!(done.stderr.matches("on a: is lost").count(), 4, "{done:?}");
    assert_eq!(done.stderr.matches("on b: was terminated by client").count(), 4, "{done:?}");
    b.works(&place);
}

#[test]
fn lost_jobs_are_named_also_while_more_of_them_wait_to_be_submitted() {
    let place = Place::new();
    let file = job("rcoro_proc").display().to_string();
    let node = place.node(&["--slots", "16"]);
    // More than the command has in flight at a time.
    let many = place.start(node.args(&[&file[..], "rcoro_proc", "3600", "--count", "20000"]));
    many.stderr.wait_for("processing", 16);
    node.running.signal(Signal::KILL);
    let done = many.wait();
    done.has_code(123).says(&["job 1 on a: is lost", "job 2 on a: is lost", &node.address]);
}

#[test]
fn jobs_of_a_client_that_was_killed_give_their_slots_back() {
    let place = Place::new();
    let mut node = place.node(&["--slots", "1"]);
    let half = started(&node) / 2;
    let (sleeper, spinner) = (job("rcoro_proc").display().to_string(), job("faults").display().to_string());
    let mut clients = Vec::new();
    for words in [&[&sleeper[..], "rcoro_proc", "3600"][..], &[&spinner, "spins"]] {
        let client = place.start(node.args(&[words, &["--count", &half.to_string()]].concat()));
        client.stderr.wait_for("processing", half);
        clients.push(client);
    }
    for client in clients {
        client.signal(Signal::KILL);
        client.wait().has_code(256 + 9);
    }
    // Every slot is taken until the node has noticed.
    node.works(&place);
    node.running.stderr.wait_for("disconnected", 2);
}

#[test]
fn the_output_of_a_job_whose_reader_stands_still_is_kept_and_the_node_goes_on() {
    let place = Place::new();
    let mut node = place.node(&[]);
    let file = job("faults").display().to_string();
    let words = [&file[..], "big_output", "50000000"];
    let mut child = place.command(node.args(&words)).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 1000]).unwrap();
    let running = Running::watch(child);
    // Nobody reads. Others are served, and neither side takes the rest into memory.
    node.works(&place);
    let before = node.resident();
    for _ in 0..3 {
        node.works(&place);
    }
    assert!(node.resident() < before + (20 << 20), "{} then {}", before, node.resident());
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1000, 50_000_000 + "50000000\n".len());
    running.wait().has_code(0);
}
