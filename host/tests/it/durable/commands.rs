//! Durable jobs on the command line: submitted, listed, followed, waited for, asked, ended, tried anew and forgotten.

use crate::nodes::NodeProcess;
use crate::process::{Done, Place, job};
use serde_json::Value;
use std::ffi::OsString;

/// A command that asks a node.
fn ask(place: &Place, node: &NodeProcess, words: &[&str]) -> Done {
    let certs = place.certs().display().to_string();
    let (command, rest) = words.split_first().unwrap();
    let options = [*command, "--node", &node.address, "--certs", &certs];
    place.run(options.iter().chain(rest).map(OsString::from))
}

fn submit(place: &Place, node: &NodeProcess, words: &[&str]) -> Vec<String> {
    let done = ask(place, node, &[&["submit"], words].concat());
    done.has_code(0).out().lines().map(str::to_owned).collect()
}

/// It ended well or not, and says these things on standard output.
#[track_caller]
fn prints(done: &Done, code: i32, parts: &[&str]) {
    let out = done.has_code(code).out();
    parts.iter().for_each(|part| assert!(out.contains(part), "{part:?} is not in\n{out}"));
}

fn json(done: &Done) -> Vec<Value> {
    done.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn jobs_are_submitted_followed_asked_tried_anew_and_forgotten() {
    let place = Place::new();
    let node = place.node(&[]);
    let (greet, faults) = (job("greet").display().to_string(), job("faults").display().to_string());
    let ids = submit(&place, &node, &[&greet, "greet", "you", "2", "--key", "k", "--label", "greeting"]);
    assert_eq!(
        submit(&place, &node, &[&greet, "greet", "you", "2", "--key", "k"]),
        ids,
        "the same key is the same job"
    );
    let id = &ids[0][..];
    assert_eq!(ids.len(), 1);
    prints(&ask(&place, &node, &["wait", id]), 0, &[id, "finished with 2"]);
    // By the beginning of its id, which nothing else has yet; what it said is there though it is over.
    let short = &id[..12];
    let logs = ask(&place, &node, &["logs", short]);
    assert_eq!(logs.has_code(0).out(), "hello, you\nhello, you\nbye");
    let result = ask(&place, &node, &["result", short, "--logs"]);
    assert_eq!(result.has_code(0).out(), "hello, you\nhello, you\nbye\n2\n");
    let attached = ask(&place, &node, &["attach", short]);
    assert_eq!(attached.has_code(0).out(), result.out());
    let logs = json(ask(&place, &node, &["logs", "-f", id, "--json", "--from", "2"]).has_code(0));
    assert!(logs.iter().all(|event| event["sequence"].as_u64() >= Some(2)), "{logs:?}");
    let listed = json(ask(&place, &node, &["ps", "--all", "--json"]).has_code(0));
    let row = listed.iter().find(|row| row["id"] == *id).unwrap();
    assert_eq!((&row["outcome"], &row["label"], &row["key"]), (&"finished".into(), &"greeting".into(), &"k".into()));
    assert!(!ask(&place, &node, &["ps"]).has_code(0).out().contains(id), "it has ended");
    prints(&ask(&place, &node, &["why", short]), 0, &["is finished", "attempt 1 at a since 20"]);
    let again = ask(&place, &node, &["retry", id]);
    let again = again.has_code(0).out().trim().to_owned();
    assert_ne!(again, id);
    prints(&ask(&place, &node, &["result", "--wait", &again]), 0, &["2"]);
    ask(&place, &node, &["forget", id, &again]).has_code(0);
    ask(&place, &node, &["result", id]).has_code(122).says(&["no job", "is kept here"]);
    // One that runs, and is ended; and one that fails.
    let spins = &submit(&place, &node, &[&faults, "spins"])[0];
    ask(&place, &node, &["result", spins]).has_code(124).says(&["has not ended yet"]);
    prints(&ask(&place, &node, &["ps"]), 0, &[spins, "spins"]);
    ask(&place, &node, &["cancel", spins, "--reason", "enough of it"]).has_code(0);
    prints(&ask(&place, &node, &["wait", spins]), 121, &["was terminated by client: enough of it"]);
    let tried = ["--attempts", "2", "--retry-on", "trap", "--retry-wait", "1ms"];
    let fails = &submit(&place, &node, &[&[&faults, "fails", "my-kind", "my text"], &tried[..]].concat())[0];
    let told = json(ask(&place, &node, &["wait", fails, "--json"]).has_code(120)).remove(0);
    assert_eq!((&told["job"], &told["attempt"], &told["kind"]), (&fails[..].into(), &2.into(), &"my-kind".into()));
    let parts = ["attempt 1 at a", "failed (my-kind): my text", "attempt 2"];
    prints(&ask(&place, &node, &["why", fails]), 0, &parts);
    // Many at once, in their order.
    let many = submit(&place, &node, &[&greet, "greet", "you", "0", "--count", "50"]);
    let mut sorted = many.clone();
    sorted.sort();
    assert!(sorted == many && many.len() == 50);
    let words: Vec<&str> = ["result", "--wait"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert_eq!(ask(&place, &node, &words).has_code(0).out().lines().count(), 50);
}

#[test]
fn what_cannot_be_is_told_with_what_to_do() {
    let place = Place::new();
    let node = place.node(&[]);
    let greet = job("greet").display().to_string();
    for (words, code, says) in [
        (&["result", "01zzz"][..], 125, "no durable job's id begins with 01zzz"),
        (&["result", "il"], 122, "a job's id is up to 26 digits and letters"),
        (&["wait", "01arz3ndektsv4rrffq69g5fav"], 122, "no job 01arz3ndektsv4rrffq69g5fav is kept here"),
        (&["submit", "nowhere.wasm", "f"], 125, "nowhere.wasm"),
        (&["submit", &greet, "nothing"], 122, "nothing"),
        (&["submit", &greet, "greet", "--attempts", "0"], 125, "--attempts: 1 to 1000"),
        (&["submit", &greet, "greet", "--retry-on", "rain"], 125, "write node-loss, trap, exit, or exit:CODE"),
        (&["submit", &greet, "greet", "--at", "cores>=x"], 125, "cores>=x"),
        (&["why", "1.2.3"], 125, "COMPUTATION.JOB"),
    ] {
        ask(&place, &node, words).has_code(code).says(&[says]);
    }
    submit(&place, &node, &[&greet, "greet", "you", "0", "--count", "2"]);
    ask(&place, &node, &["result", "0"]).has_code(125).says(&["stands for several jobs: write more of it"]);
    let nowhere = &submit(&place, &node, &[&greet, "greet", "you", "0", "--at", "gpu=1"])[0];
    prints(&ask(&place, &node, &["wait", nowhere]), 122, &["was refused", "gpu"]);
}
