//! `corovan map` and `corovan top` at a running node.

use crate::nodes::NodeProcess;
use crate::process::{Done, Place, job};
use std::ffi::OsString;

fn words(place: &Place, node: &NodeProcess, words: &[&str]) -> Vec<OsString> {
    let certs = place.certs().display().to_string();
    let (command, rest) = words.split_first().unwrap();
    let options = [*command, "--node", &node.address, "--certs", &certs];
    options.iter().chain(rest).map(OsString::from).collect()
}

fn map(place: &Place, node: &NodeProcess, more: &[&str], input: &str) -> Done {
    place.run_with(words(place, node, &[&["map"], more].concat()), input.as_bytes())
}

#[test]
fn lines_become_jobs_and_results_lines_in_their_order_or_as_they_come() {
    let place = Place::new();
    let node = place.node(&[]);
    let (echo, faults) = (job("echo").display().to_string(), job("faults").display().to_string());
    let lines: String = (0..300).map(|n| format!("{n}\n")).collect();
    for window in ["1", "7", "1000"] {
        let done = map(&place, &node, &["--in-flight", window, &echo, "same"], &lines);
        assert_eq!(done.has_code(0).out(), lines);
    }
    let done = map(&place, &node, &["--unordered", "--at", "a", &echo, "same"], &lines);
    let mut told: Vec<u32> = done.has_code(0).out().lines().map(|line| line.parse().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, (0..300).collect::<Vec<_>>());
    // Any value and any text is one argument, an array is all of them; nothing is nothing.
    let done = map(&place, &node, &[&echo, "same"], "{\"a\":1}\nplain text\n[\"one\"]\n");
    assert_eq!(done.has_code(0).out(), "{\"a\":1}\n\"plain text\"\n\"one\"\n");
    assert_eq!(map(&place, &node, &[&echo, "same"], "").has_code(0).out(), "");
    // One that fails has its line, and its code is that of the command; the others are not disturbed.
    let done = map(&place, &node, &[&faults, "fails"], "[\"my-kind\", \"my text\"]\n[\"other\", \"text\"]\n");
    done.has_code(120).says(&["line 1: the job failed (my-kind): my text", "line 2"]);
    assert_eq!(done.out(), "null\nnull\n");
    for (more, input, says) in [
        (&[&echo[..], "same"][..], "[1\n", "line 1"),
        (&[&echo[..], "same", "--at", "cores>=x"], "1\n", "cores>=x"),
        (&["none.wasm", "f"], "1\n", "none.wasm"),
        (&[&echo[..], "same", "--in-flight", "0"], "1\n", "--in-flight"),
    ] {
        map(&place, &node, more, input).has_code(125).says(&[says]);
    }
}

#[test]
fn nodes_and_jobs_are_counted_on_a_screen() {
    let place = Place::new();
    let node = place.node(&[]);
    let faults = job("faults").display().to_string();
    place.run(words(&place, &node, &["submit", "--label", "long", "--count", "3", &faults, "spins"])).has_code(0);
    let told = crate::process::until("all three run", || {
        let told = place.run(words(&place, &node, &["top"])).has_code(0).out();
        told.contains("running at: a 3").then_some(told)
    });
    assert!(told.starts_with("1 nodes: a\n"), "{told}");
    let row: Vec<&str> = told.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["me", "long", "spins", "0", "3", "0"], "{told}");
}
