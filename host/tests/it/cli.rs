//! `corovan run` as its user sees it: arguments, results, output, options.

use crate::process::{Place, job};
use serde_json::{Value, json};

/// A program that writes each of the 256 bytes to standard output and to standard error.
const PRINTS_ALL_BYTES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $fill (local $i i32)
        (loop $next
            (i32.store8 (i32.add (i32.const 1024) (local.get $i)) (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 256)))))
    (func (export "_start")
        (call $fill)
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 256))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

#[test]
fn a_result_is_the_last_line_and_arguments_are_json_or_text() {
    let place = Place::new();
    let node = place.node(&[]);
    let (proc_, echo, greet) = (job("rcoro_proc"), job("echo"), job("greet"));
    for (file, words, expected) in [
        (&proc_, &["rcoro_proc", "0.01"][..], "0.01\n"),
        (&echo, &["same", "-1.5"], "-1.5\n"),
        (&echo, &["echo", "-1", "2", "-3e2"], "[-1,2,-300.0]\n"),
        (
            &echo,
            &["echo", "true", "null", "[1,{\"a\":2}]", "plain words", "\"1\"", ""],
            "[true,null,[1,{\"a\":2}],\"plain words\",\"1\",\"\"]\n",
        ),
        (&echo, &["echo"], "[]\n"),
        (&echo, &["echo", "--args-json", "[1, \"two\", -3]"], "[1,\"two\",-3]\n"),
        (&echo, &["--args-json", "[]", "echo"], "[]\n"),
        (&greet, &["greet", "you", "1"], "hello, you\nbye\n1\n"),
        (&greet, &["greet", "you", "1", "--quiet"], "hello, you\nbye\n1\n"),
    ] {
        let done = place.run(node.args(&[&[&file.display().to_string()[..]], words].concat()));
        assert_eq!(done.has_code(0).out(), expected, "{words:?}");
    }
}

#[test]
fn without_a_node_one_runs_in_the_process_and_keeps_its_data_where_it_is_told() {
    let place = Place::new();
    let file = job("rcoro_proc");
    let done = place.run(["run".as_ref(), file.as_os_str(), "rcoro_proc".as_ref(), "0.01".as_ref()]);
    assert_eq!(done.has_code(0).out(), "0.01\n");
    assert!(place.path("cache/corovan/incarnation").is_file(), "the cache is used");
}

#[test]
fn several_jobs_say_where_they_run_and_what_they_finished_with() {
    let place = Place::new();
    let node = place.node(&[]);
    let file = job("rcoro_proc").display().to_string();
    let done = place.run(node.args(&[&file, "rcoro_proc", "0.01", "--count", "3"]));
    done.has_code(0).says(&["job 1: a processing [0.01]", "job 3: a processing [0.01]"]);
    let mut lines: Vec<String> = done.out().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        ["job 1 on a: finished with 0.01", "job 2 on a: finished with 0.01", "job 3 on a: finished with 0.01"]
    );

    let done = place.run(node.args(&[&file, "rcoro_proc", "0.01", "--count", "3", "--quiet"]));
    assert_eq!(done.has_code(0).stderr, "");
    assert_eq!(done.out().lines().count(), 3);
}

#[test]
fn output_of_several_jobs_is_prefixed_by_line_and_of_one_it_is_not() {
    let place = Place::new();
    let node = place.node(&[]);
    let file = job("greet").display().to_string();
    let done = place.run(node.args(&[&file, "greet", "you", "1", "--count", "2", "--quiet"]));
    done.has_code(0).says(&["[1] 1 of 1\n", "[2] 1 of 1\n"]);
    let mut lines: Vec<String> = done.out().lines().map(str::to_owned).collect();
    lines.sort();
    let expected = [
        "[1] bye",
        "[1] hello, you",
        "[2] bye",
        "[2] hello, you",
        "job 1 on a: finished with 1",
        "job 2 on a: finished with 1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn every_line_of_json_output_parses_and_says_which_event_it_is() {
    let place = Place::new();
    let node = place.node(&[]);
    let greet = job("greet").display().to_string();
    let faults = job("faults").display().to_string();
    for (count, words) in [("1", ["greet", "you", "1"]), ("3", ["greet", "you", "1"])] {
        let done = place.run(node.args(&[&[&greet[..], "--json", "--count", count], &words[..]].concat()));
        let events = events(&done.has_code(0).out());
        let exits: Vec<&Value> = events.iter().filter(|event| event["event"] == "exit").collect();
        assert_eq!(exits.len().to_string(), count);
        for exit in exits {
            assert_eq!((&exit["outcome"], &exit["value"], &exit["node"]), (&json!("finished"), &json!(1), &json!("a")));
            assert!(exit["usage"]["wall_ns"].is_u64() && exit["address"].is_string(), "{exit}");
        }
        let said: String = events
            .iter()
            .filter(|event| event["event"] == "stdout" && event["job"] == 1)
            .map(|event| event["text"].as_str().unwrap())
            .collect();
        assert_eq!(said, "hello, you\nbye");
        assert_eq!(events.iter().filter(|event| event["event"] == "started").count().to_string(), count);
    }
    let done = place.run(node.args(&[&faults, "fails", "my-kind", "my text", "--json"]));
    let events = events(&done.has_code(120).out());
    let exit = events.last().unwrap();
    assert_eq!(
        (&exit["outcome"], &exit["kind"], &exit["text"]),
        (&json!("failed"), &json!("my-kind"), &json!("my text"))
    );
}

fn events(out: &str) -> Vec<Value> {
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["event"].is_string() && event["job"].is_u64()), "{out}");
    events
}

#[test]
fn progress_and_log_lines_are_told() {
    let place = Place::new();
    let faults = job("faults").display().to_string();
    let node = place.node(&[]);
    let done = place.run(node.args(&[&faults, "progresses", "1"]));
    done.has_code(0).says(&["error: an error", "warning: a warning", "info: an information", "1 of 1 step 1"]);
    assert_eq!(done.out(), "1\n");
    let done = place.run(node.args(&[&faults, "progresses", "1", "--quiet"]));
    done.has_code(0).says(&["an error"]);
    assert!(!done.stderr.contains("an information") && !done.stderr.contains("step 1"), "{}", done.stderr);
}

#[test]
fn a_file_of_arguments_is_one_job_a_line() {
    let place = Place::new();
    let node = place.node(&[]);
    let echo = job("echo").display().to_string();
    let lines = "[1]\n\n[2, \"b\"]\n  [3]  \n";
    let file = place.file("jobs.txt", lines).display().to_string();
    let expected =
        ["job 1 on a: finished with [1]", "job 2 on a: finished with [2,\"b\"]", "job 3 on a: finished with [3]"];
    for (source, input) in [(&file[..], ""), ("-", lines)] {
        let done = place.run_with(node.args(&[&echo, "echo", "--args-file", source]), input.as_bytes());
        let mut out: Vec<String> = done.has_code(0).out().lines().map(str::to_owned).collect();
        out.sort();
        assert_eq!(out, expected, "{source}");
    }
    for (lines, parts) in
        [("[1]\n[2\n", &["line 2", "not JSON"][..]), ("[1]\n\n{}\n", &["line 3", "JSON array"]), ("\n", &["no job"])]
    {
        let file = place.file("bad.txt", lines).display().to_string();
        place.run(node.args(&[&echo, "echo", "--args-file", &file])).has_code(125).says(&["--args-file"]).says(parts);
    }
}

#[test]
fn arguments_and_results_of_a_megabyte_pass() {
    let place = Place::new();
    let echo = job("echo").display().to_string();
    let line = json!(["x".repeat(1 << 20), [1, 2, 3]]).to_string();
    let file = place.file("large.txt", &line).display().to_string();
    let done = place.run(["run", &echo, "echo", "--quiet", "--args-file", &file]);
    assert_eq!(done.has_code(0).out(), line + "\n");
    let over = json!(["x".repeat(16 << 20)]).to_string();
    let file = place.file("over.txt", &over).display().to_string();
    place.run(["run", &echo, "echo", "--args-file", &file]).has_code(125).says(&["line 1", "16777216"]);
}

#[test]
fn inspect_shows_what_a_module_offers_and_what_a_node_would_say_of_it() {
    let place = Place::new();
    let echo = job("echo").display().to_string();
    let out = place.run(["inspect", &echo]).has_code(0).out();
    for part in ["echo", "same", "who", "corovan", "finish"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let json: Value = serde_json::from_str(&place.run(["inspect", &echo, "--json"]).has_code(0).out()).unwrap();
    assert!(json.to_string().contains("\"same\""), "{json}");
    let bad =
        place.wat("bad", r#"(module (import "corovan" "slep" (func)) (func (export "f")))"#).display().to_string();
    place.run(["inspect", &bad]).has_code(122).says(&["would refuse", "slep", "sleep"]);
    let text = place.file("text", "hello").display().to_string();
    place.run(["inspect", &text]).has_code(122).says(&["text", "not a WebAssembly module"]);
    place.run(["inspect", "missing"]).has_code(125).says(&["missing"]);
}

#[test]
fn a_job_past_its_timeout_is_stopped_and_the_others_are_not() {
    let place = Place::new();
    let node = place.node(&[]);
    let file = job("rcoro_proc").display().to_string();
    place.run(node.args(&[&file, "rcoro_proc", "60", "--timeout", "50ms"])).has_code(124).says(&["deadline", "50ms"]);
    let jobs = place.file("jobs.txt", "[60]\n[0]\n").display().to_string();
    let done = place.run(node.args(&[&file, "rcoro_proc", "--args-file", &jobs, "--timeout", "2s"]));
    done.has_code(124).says(&["job 1 on a: was stopped at its deadline"]);
    assert_eq!(done.out(), "job 2 on a: finished with 0.0\n");
}

#[test]
fn wrong_usage_says_what_is_right() {
    let place = Place::new();
    let file = job("echo").display().to_string();
    let missing = place.path("missing.wasm").display().to_string();
    for (args, parts) in [
        (&["run"][..], &["FILE"][..]),
        (&["run", &missing, "f"], &["missing.wasm", "no such file"]),
        (&["run", &file, "echo", "1", "--args-json", "[1]"], &["either after FUNCTION or by --args-json"]),
        (&["run", &file, "--args-json", "[1]"], &["FUNCTION", "name it"]),
        (&["run", &file, "echo", "--args-json", "[1"], &["--args-json", "not JSON", "line 1"]),
        (&["run", &file, "echo", "--args-json", "1"], &["--args-json", "JSON array", "for example"]),
        (&["run", &file, "echo", "--", "x"], &["FUNCTION ARGS or -- ARGV"]),
        (&["run", &file, "echo", "--count", "0"], &["--count"]),
        (&["run", &file, "echo", "--timeout", "soon"], &["--timeout"]),
        (&["run", &file, "echo", "--memory", "lots"], &["not a size", "64MiB"]),
        (&["run", &file, "echo", "--memory", "5GiB"], &["over the limit of 1024 MiB"]),
        (&["run", &file, "echo", "--env", "COROVAN_NOT_SET_HERE"], &["COROVAN_NOT_SET_HERE=VALUE"]),
        (&["run", &file, "echo", "--node", "127.0.0.1:1"], &["--certs DIR", "COROVAN_CERTS"]),
        (&["run", &file, "echo", "--node", "127.0.0.1", "--certs", "nowhere"], &["nowhere"]),
        (&["--log", "a=b=c", "run", &file], &["log filter"]),
        (&["node", "--grace", "1h"], &["--grace", "at most"]),
        (&["fly"], &["unrecognized subcommand"]),
    ] {
        place.run(args).has_code(125).says(parts);
    }
    for flag in ["--help", "--version"] {
        let done = place.run([flag]);
        assert!(done.has_code(0).out().contains("corovan"), "{}", done.out());
    }
    let done = place.run(["run", "--help"]);
    for part in ["Examples:", "--args-file", "negative numbers need no --"] {
        assert!(done.has_code(0).out().contains(part), "{part}");
    }
}

#[test]
fn all_bytes_pass_through_a_pipe_unchanged() {
    let place = Place::new();
    let file = place.wat("bytes.wasm", PRINTS_ALL_BYTES);
    let all: Vec<u8> = (0..=255).collect();
    let running = place.start(["run".as_ref(), file.as_os_str()]);
    let stderr = running.stderr.clone();
    let done = running.wait();
    assert_eq!(done.has_code(0).stdout, all);
    assert_eq!(stderr.bytes(), all);
}
