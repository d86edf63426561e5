//! The programs of the tutorial, as their user runs them: each prints what the original prints, and ends.

use crate::process::{Done, Place, job};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Output lines and the result, which is the last line.
fn run(name: &str, args: &[&str]) -> (Vec<String>, Value) {
    let done = run_to_end(name, args);
    let out = done.has_code(0).out();
    let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
    let result = lines.pop().unwrap_or_default();
    (lines, serde_json::from_str(&result).unwrap_or_else(|error| panic!("{name}: {error} in {result:?}")))
}

fn run_to_end(name: &str, args: &[&str]) -> Done {
    let file = job(name).display().to_string();
    Place::new().run([&["run", &file, name], args].concat())
}

fn words(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn ten_sleepers_sleep_side_by_side_and_the_program_waits_for_all() {
    // The job itself ends at once, so its result comes before those that it made have ended.
    let done = run_to_end("sleepers", &[]);
    let out = done.has_code(0).out();
    for i in 0..10 {
        let at = |what: &str| {
            let line = format!("coroutine {i} {what}");
            assert_eq!(out.matches(&line).count(), 1, "{line:?} in {out}");
            out.find(&line)
        };
        assert!(at("sleeping for") < at("terminating"), "{out}");
    }
    assert_eq!(out.lines().count(), 21, "{out}");
    assert!(out.lines().any(|line| line == "10"), "the result: {out}");
}

#[test]
fn a_server_numbers_the_messages_of_ten_clients_and_does_not_keep_the_program_from_ending() {
    let (lines, result) = run("client_server", &[]);
    let mut seen = BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        let text = line.strip_prefix(&format!("processing {}: ", index + 1));
        let (n, x) = text.and_then(|text| text.split_once(" / ")).unwrap_or_else(|| panic!("{line:?}"));
        let (n, x): (u32, u32) = (n.parse().unwrap(), x.parse().unwrap());
        assert!(x == 0 || seen.contains(&(n, x - 1)), "{n} / {x} is before {n} / {}", x - 1);
        assert!(seen.insert((n, x)), "{line} came twice");
    }
    let expected: BTreeSet<(u32, u32)> = (0..10).flat_map(|n| (0..3).map(move |x| (n, x))).collect();
    assert_eq!((seen, result), (expected, json!(30)));
}

#[test]
fn numbers_sent_over_a_channel_are_added_by_one_and_multiplied_by_another() {
    let (mut lines, result) = run("channel", &["2.5", "4", "0.5"]);
    // Who is first to have all is not said.
    let mut last = lines.split_off(3);
    last.sort();
    assert_eq!(lines, words(&["sent 2.5", "sent 4", "sent 0.5"]));
    assert_eq!((last, result), (words(&["prod: 5", "sum: 7"]), json!([7.0, 5.0])));
}

#[test]
fn what_is_sent_at_the_top_of_a_hierarchy_is_heard_at_all_levels_and_a_cycle_is_refused() {
    let (lines, result) = run("hierarchy", &[]);
    assert_eq!((lines[0].as_str(), result), ("refused: cycle", json!([3, 2, 1])));
    for (listener, news) in
        [("country", &["country"][..]), ("city", &["country", "city"]), ("street", &["country", "city", "street"])]
    {
        let expected: Vec<String> =
            news.iter().map(|level| format!("{listener} heard: news for the {level}")).collect();
        let heard: Vec<&String> = lines.iter().filter(|line| line.starts_with(listener)).collect();
        assert_eq!(heard, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn philosophers_eat_all_their_meals_and_no_two_have_one_fork() {
    let (mut lines, result) = run("philosophers", &["5", "4", "0.001"]);
    let meal = |i: u32, meal: u32| format!("philosopher {i} eats meal {meal}");
    let mut expected: Vec<String> = (0..5).flat_map(|i| (1..=4).map(move |n| meal(i, n))).collect();
    lines.sort();
    expected.sort();
    assert_eq!((lines, result), (expected, json!(20)));
}

#[test]
fn a_server_goes_on_as_another_function_with_the_messages_that_wait_for_it() {
    let (lines, result) = run("hot_swap", &["2"]);
    let expected = words(&[
        "message 0 received",
        "message 1 received",
        "not swapped: unknown-function",
        "not swapped: swap-failed",
        "* message 2 received",
        "* message 3 received",
    ]);
    assert_eq!((lines, result), (expected, json!(4)));
}

#[test]
fn even_numbers_are_received_first_and_each_category_in_its_order() {
    let (lines, result) = run("categories", &["5", "0"]);
    let expected = words(&["even: 0", "even: 2", "even: 4", "odd: 1", "odd: 3"]);
    assert_eq!((lines, result), (expected, json!([0, 2, 4, 1, 3])));
}

#[test]
fn a_child_that_crashes_is_started_again_until_its_work_is_done() {
    let (mut lines, result) = run("supervise", &["2"]);
    // The worker's own word comes after it was made, which is not to say after the supervisor has told of it.
    let done = lines.iter().position(|line| line == "the work is done").unwrap_or_else(|| panic!("{lines:?}"));
    assert!((4..=5).contains(&done), "after the second crash, before its end is told: {lines:?}");
    lines.remove(done);
    let expected = words(&[
        "worker started",
        "worker ended: worker failed (panic): crash number 1",
        "worker started",
        "worker ended: worker failed (panic): crash number 2",
        "worker started",
        "worker ended: worker finished",
    ]);
    assert_eq!((lines, result), (expected, json!(3)));
}

#[test]
fn a_child_that_crashes_too_often_is_given_up() {
    let done = run_to_end("supervise", &["100"]);
    assert_ne!(done.code, 0);
    done.says(&["overloaded", "crash number 6"]);
    assert_eq!(done.out().matches("worker started").count(), 6, "once, and five times again: {}", done.out());
}

#[test]
fn a_supervisors_strategy_says_who_is_started_anew_and_no_child_outlives_it() {
    let (lines, result) = run("supervisors", &[]);
    let crash = "b ended: child failed (as-asked): woken";
    let (begin, end) =
        (["a started", "b started", "c started", crash], ["c is stopped", "b is stopped", "a is stopped"]);
    let expected = |between: &[&str]| json!([&begin, between, &end].concat());
    assert!(lines.is_empty(), "{lines:?}");
    assert_eq!(result["one_for_one"], expected(&["b started"]));
    let all = ["c is stopped", "a is stopped", "a started", "b started", "c started"];
    assert_eq!(result["one_for_all"], expected(&all));
    assert_eq!(result["rest_for_one"], expected(&["c is stopped", "b started", "c started"]));
}

#[test]
fn a_token_goes_round_a_ring_of_ten_thousand() {
    let (lines, result) = run("ring", &["10000", "2"]);
    assert_eq!(result, json!(20_000));
    assert!(lines[0].starts_with("10000 coroutines in") && lines[1].starts_with("passed 20000 times"), "{lines:?}");
}

#[test]
fn every_function_of_the_rust_sdk_does_on_a_node_what_it_says() {
    for (interface, out) in
        [("coroutines", ""), ("swaps", "42\n"), ("messages", ""), ("timers", ""), ("broadcasts", ""), ("all_locks", "")]
    {
        let file = job("api_sdk").display().to_string();
        assert_eq!(Place::new().run(["run", &file, interface]).has_code(0).out(), out, "{interface}");
    }
}

#[test]
fn a_job_imports_what_it_calls_and_no_more() {
    let imports = |name: &str| {
        let file = job(name).display().to_string();
        let out = Place::new().run(["inspect", &file]).has_code(0).out();
        let line = out.lines().find_map(|line| line.trim().strip_prefix("corovan: ").map(str::to_owned));
        line.unwrap_or_else(|| panic!("no imports from corovan in {out}"))
    };
    assert_eq!(imports("rcoro_proc"), "args, fail, finish, last_error, sleep");
    assert_eq!(imports("sleepers"), "args, fail, finish, last_error, now, sleep, spawn");
    let ring = imports("ring");
    assert_eq!(ring, "args, drop, fail, finish, last_error, monotonic, receive, self, send, spawn, take");
}
