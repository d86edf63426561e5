//! Jobs that run at a node other than the one that took them (`--at`): to a client the same, but for where.

use super::{connect, mesh, start_job};
use crate::in_process::run;
use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job};
use corovan_client::{Arguments, MapOptions, Module, Prepare};
use corovan_core::wire::Outcome;
use rustix::process::Signal;
use std::collections::BTreeMap;

/// Two nodes that know each other; the second has a label.
fn pair(place: &Place) -> [NodeProcess; 2] {
    let a = place.node_named("a", &[]);
    let b = place.node_named("b", &["--peer", &a.address, "--label", "ssd=fast", "--slots", "16"]);
    for node in [&a, &b] {
        place.until_known_at(node, &["a", "b"]);
    }
    [a, b]
}

fn faults(place: &Place, node: &NodeProcess, args: &[&str]) -> Running {
    start_job(place, node, "faults", args)
}

#[test]
fn a_job_runs_at_the_node_that_is_named_and_its_client_sees_all_of_it() {
    let place = Place::new();
    let [a, b] = pair(&place);
    let greet = job("greet").display().to_string();
    let done = place.run(a.args(&[&greet, "greet", "you", "3", "--at", "b"]));
    done.has_code(0).says(&["3 of 3"]);
    assert_eq!(done.out(), "hello, you\nhello, you\nhello, you\nbye\n3\n");
    // Each says where it runs, and begins to before anything else of it.
    for (at, node) in [("b", "b"), ("ssd=fast", "b"), ("a", "a")] {
        let done = place.run(a.args(&[&greet, "greet", "you", "1", "--at", at, "--json"]));
        let events: Vec<serde_json::Value> =
            done.has_code(0).out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!((&kinds[..2], kinds.last()), (&["placed", "started"][..], Some(&"exit")), "{kinds:?}");
        assert!(events.iter().all(|event| event["node"] == *node || event["node"].is_null()), "{events:?}");
        let said: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
        assert!(said.contains("hello, you"), "{events:?}");
    }
    // Any: both have some, as each that is there counts.
    let sleeps = job("rcoro_proc").display().to_string();
    let done = place.run(b.args(&[&sleeps, "rcoro_proc", "0.5", "--at", "any", "--count", "6"]));
    done.has_code(0).says(&[": a processing", ": b processing"]);
}

#[test]
fn results_output_arguments_and_failures_of_any_size_come_from_another_node_as_from_this_one() {
    let place = Place::new();
    let [a, _b] = pair(&place);
    for (args, code) in [
        (&["big_result", "10"][..], 0),
        (&["big_result", "3000000"], 0),
        (&["big_output", "1000000"], 0),
        (&["fails", "my-kind", "my text"], 120),
        (&["traps"], 0),
        (&["panics"], 0),
        (&["out_of_memory"], 0),
    ] {
        let here = faults(&place, &a, args).wait();
        let there = faults(&place, &a, &[args, &["--at", "b"]].concat()).wait();
        assert_eq!(there.code, here.code, "{args:?}: {there:?}");
        assert!(there.stdout == here.stdout, "{args:?}: {} and {} bytes", here.stdout.len(), there.stdout.len());
        let first = |text: &str| text.lines().next().map(str::to_owned);
        assert_eq!(first(&there.stderr), first(&here.stderr), "{args:?}");
        assert!(code == 0 || here.code == code, "{here:?}");
    }
    let large = format!("[{:?}]", "x".repeat(5_000_000));
    let file = place.file("large.json", large);
    let echo = job("echo").display().to_string();
    let file = file.display().to_string();
    let done = place.run(a.args(&[&echo, "same", "--args-file", &file, "--at", "b"]));
    assert_eq!(done.has_code(0).out().len(), 5_000_003);
    let hello = job("hello").display().to_string();
    let env = ["--env", "NAME=VALUE", "--at", "b", "--", "one", "two words"];
    let there = place.run(a.args(&[&[&hello[..]], &env[..]].concat()));
    let here = place.run(a.args(&[&[&hello[..], "--env", "NAME=VALUE"], &env[4..]].concat()));
    assert_eq!((there.code, &there.stdout), (here.code, &here.stdout), "{there:?}");
}

#[test]
fn standard_input_reaches_a_program_at_another_node_until_it_has_read_enough() {
    let place = Place::new();
    let [a, _b] = pair(&place);
    // Copies what it reads: `fd_read` into 1024, and from there `fd_write`.
    let cat = place.wat("cat", &copies(""));
    let text: Vec<u8> = (0..2_000_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    let cat = cat.display().to_string();
    let done = place.run_with(a.args(&[&cat, "--at", "b"]), &text);
    assert!(done.code == 0 && done.stdout == text, "{} bytes came: {}", done.stdout.len(), done.stderr);
    assert_eq!(place.run_with(a.args(&[&cat, "--at", "b"]), b"").has_code(0).out(), "");
    // One that reads a little and ends is not held back by who writes more.
    let head = place.wat("head", &copies("(br $end)")).display().to_string();
    let done = place.run_with(a.args(&[&head, "--at", "b"]), &text);
    let read = done.has_code(0).stdout.len();
    assert!(read > 0 && done.stdout == text[..read], "{read} bytes");
}

/// A program that copies its standard input; after each piece, this.
fn copies(then: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 3)
        (func (export "_start") (local $at i32)
            (block $end
                (loop $next
                    (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 65536))
                    (br_if $end (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (br_if $end (i32.eqz (i32.load (i32.const 8))))
                    (local.set $at (i32.const 0))
                    (loop $more
                        (i32.store (i32.const 0) (i32.add (i32.const 1024) (local.get $at)))
                        (i32.store (i32.const 4) (i32.sub (i32.load (i32.const 8)) (local.get $at)))
                        (br_if $end (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
                        (local.set $at (i32.add (local.get $at) (i32.load (i32.const 12))))
                        (br_if $more (i32.lt_u (local.get $at) (i32.load (i32.const 8)))))
                    {then}
                    (br $next)))))"#
    )
}

#[test]
fn a_job_at_another_node_is_ended_by_its_client_by_its_deadline_and_with_that_node() {
    let place = Place::new();
    let [a, b] = pair(&place);
    let sleeps = || {
        let sleeps = faults(&place, &a, &["spins", "--at", "b", "--json"]);
        sleeps.stdout.wait_for("started", 1);
        sleeps
    };
    let ended = sleeps();
    ended.signal(Signal::INT);
    let done = ended.wait();
    assert!(done.code == 130 && done.out().contains("terminated"), "{done:?}");
    faults(&place, &a, &["spins", "--at", "b", "--timeout", "300ms"]).wait().says(&["deadline"]);
    // Its client is killed: none of as many as that node runs for a tenant goes on without, or another would wait for ever.
    let killed = faults(&place, &a, &["spins", "--at", "b", "--json", "--count", "16"]);
    killed.stdout.wait_for("started", 16);
    killed.signal(Signal::KILL);
    killed.wait();
    faults(&place, &b, &["progresses", "1"]).wait().has_code(0);
    let lost = sleeps();
    b.running.signal(Signal::KILL);
    let done = lost.wait();
    assert!(done.code == 123 && done.out().contains("node-lost"), "{done:?}");
}

#[test]
fn a_node_that_is_not_there_is_refused_with_what_to_do() {
    let place = Place::new();
    let nodes = mesh(&place, 1);
    for (at, says) in [("nowhere", "name or address nowhere is wanted"), ("ssd=fast", "it has no label ssd")] {
        let done = faults(&place, &nodes[0], &["progresses", "1", "--at", at]).wait();
        assert!(done.code != 0 && done.stderr.contains(says), "{done:?}");
    }
    let alone = Place::new();
    let file = job("faults").display().to_string();
    let done = alone.run(["run", &file, "progresses", "1", "--at", "elsewhere"]);
    assert!(done.code != 0 && done.stderr.contains("name or address elsewhere is wanted"), "{done:?}");
    let done = alone.run(["run", &file, "progresses", "1", "--at", "cores>=many"]);
    assert!(done.code == 125 && done.stderr.contains("cores"), "{done:?}");
    alone.run(["run", &file, "progresses", "1", "--at", "any"]).has_code(0);
}

#[test]
fn a_client_runs_a_function_at_every_node_once_and_over_many_inputs_wherever_there_is_room() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    nodes.iter().for_each(|node| place.until_known_at(node, &["a", "b", "c"]));
    run(async {
        let node = connect(&place, &nodes[0].address, "tenant-me").await;
        let computation = node.open("map").await.unwrap();
        let module = Module::from_file(job("echo")).unwrap();
        let spec = computation.prepare(Prepare::function(module, "echo")).await.unwrap();
        let each = computation.run_each(&spec, Arguments::of(&("here",)).unwrap()).await.unwrap();
        let mut seen = BTreeMap::new();
        for (node, mut job) in each {
            let record = job.result().await;
            assert_eq!(record.address.node, node.node, "{record:?}");
            assert!(matches!(record.outcome, Outcome::Finished(_)), "{record:?}");
            seen.insert(node.name, record.address.node);
        }
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        let inputs = (0..300_u32).map(|n| Arguments::of(&(n,)).unwrap());
        let mut map = computation.map(&spec, inputs, MapOptions { at: Some(String::new()), ..MapOptions::default() });
        let (mut count, mut ran) = (0, BTreeMap::new());
        while let Some(mapped) = map.next().await.unwrap() {
            let own = Arguments::of(&(count as u32,)).unwrap();
            assert_eq!(mapped.record.outcome, Outcome::Finished(own.as_bytes().clone()), "{mapped:?}");
            *ran.entry(mapped.record.address.node).or_insert(0) += 1;
            count += 1;
        }
        assert_eq!((count, ran.len()), (300, 3), "{ran:?}");
        assert!(ran.values().all(|jobs| *jobs > 30), "none is left out: {ran:?}");
        computation.close().await.unwrap();
        node.close().await;
    });
}
