//! Unmodified WASI programs in Rust, C and Go, run as if they ran here: argv, streams, exit codes, environment, time.

use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The same program in three languages, and what each prints first.
const HELLOS: [(&str, &str); 3] =
    [("hello", "hello from Rust\n"), ("hello-c", "hello from C\n"), ("hello-go", "hello from Go\n")];

/// Answers with its exit code: bit 0 to 2 say which of its streams are terminals.
const IS_A_TTY: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $tty (param $fd i32) (result i32)
        (drop (call $stat (local.get $fd) (i32.const 0)))
        (i32.shl
            (i32.and
                (i32.eq (i32.load8_u (i32.const 0)) (i32.const 2))
                (i64.eqz (i64.and (i64.load (i32.const 8)) (i64.const 36))))
            (local.get $fd)))
    (func (export "_start")
        (call $exit (i32.add
            (i32.add (call $tty (i32.const 0)) (call $tty (i32.const 1)))
            (call $tty (i32.const 2))))))"#;

/// Exits with 0 if clocks move, are not absurd, and two draws of randomness differ.
const CLOCKS_AND_RANDOM: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get" (func $resolution (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $check (param $holds i32) (param $code i32)
        (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $code)))))
    (func (export "_start")
        (call $check (i32.eqz (call $time (i32.const 0) (i64.const 1) (i32.const 0))) (i32.const 1))
        (call $check (i32.eqz (call $time (i32.const 1) (i64.const 1) (i32.const 8))) (i32.const 2))
        (call $check (i64.gt_u (i64.load (i32.const 0)) (i64.const 1700000000000000000)) (i32.const 3))
        (call $check (i32.eqz (call $yield)) (i32.const 4))
        (call $check (i32.eqz (call $time (i32.const 1) (i64.const 1) (i32.const 16))) (i32.const 5))
        (call $check (i64.ge_u (i64.load (i32.const 16)) (i64.load (i32.const 8))) (i32.const 6))
        (call $check (i32.eqz (call $resolution (i32.const 1) (i32.const 24))) (i32.const 7))
        (call $check (i64.gt_u (i64.load (i32.const 24)) (i64.const 0)) (i32.const 8))
        (call $check (i32.eqz (call $random (i32.const 32) (i32.const 8))) (i32.const 9))
        (call $check (i32.eqz (call $random (i32.const 40) (i32.const 8))) (i32.const 10))
        (call $check (i64.ne (i64.load (i32.const 32)) (i64.load (i32.const 40))) (i32.const 11))))"#;

/// `corovan run FILE -- ARGV` on the node.
fn run(node: &NodeProcess, file: &Path, options: &[&str], argv: &[&str]) -> Vec<std::ffi::OsString> {
    let file = file.display().to_string();
    node.args(&[options, &[&file, "--"], argv].concat())
}

#[test]
fn arguments_standard_error_exit_codes_and_environment_are_the_programs_own() {
    let place = Place::new();
    let node = place.node(&[]);
    for (name, greeting) in HELLOS {
        let file = job(name);
        for (options, argv, code, out, err) in [
            (
                &[][..],
                &["one", "two words", "--flag=x", "", "ä€"][..],
                0,
                "arg 1: one\narg 2: two words\narg 3: --flag=x\narg 4: \narg 5: ä€\n",
                "",
            ),
            (&[], &["--err", "to stderr"], 0, "arg 1: --err\narg 2: to stderr\n", "to stderr\n"),
            (&[], &["--exit", "0"], 0, "arg 1: --exit\narg 2: 0\n", ""),
            (&[], &["--exit", "7"], 7, "arg 1: --exit\narg 2: 7\n", ""),
            (&[], &["--exit", "119"], 119, "arg 1: --exit\narg 2: 119\n", ""),
            (&[], &["--exit", "120"], 120, "arg 1: --exit\narg 2: 120\n", "corovan: the job exited with code 120\n"),
            (&[], &["--exit", "255"], 120, "arg 1: --exit\narg 2: 255\n", "corovan: the job exited with code 255\n"),
            (
                &[],
                &["--sleep", "20", "--err", "later"],
                0,
                "arg 1: --sleep\narg 2: 20\narg 3: --err\narg 4: later\n",
                "later\n",
            ),
            (&["--env", "A=b=c", "--env", "XDG_TEST"], &[], 0, "env A=b=c\nenv XDG_TEST=given\n", ""),
            // Not read: the program ends all the same.
            (&[], &[], 0, "", ""),
        ] {
            let mut command = place.command(run(&node, &file, options, argv));
            command.env("XDG_TEST", "given").env("NOT_FOR_GUESTS", "1");
            let done = Running::start(command).wait();
            done.has_code(code);
            assert_eq!(done.out(), format!("{greeting}{out}"), "{name} {argv:?}");
            assert_eq!(done.stderr, err, "{name} {argv:?}");
        }
    }
}

#[test]
fn a_megabyte_through_standard_input_comes_out_unchanged() {
    let place = Place::new();
    let node = place.node(&[]);
    let input: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, greeting) in HELLOS {
        let done = place.run_with(run(&node, &job(name), &[], &["--cat"]), &input);
        let expected = [format!("{greeting}arg 1: --cat\n").as_bytes(), &input].concat();
        done.has_code(0);
        assert!(done.stdout == expected, "{name}: {} bytes came", done.stdout.len());
    }
    let (name, greeting) = HELLOS[0];
    let done = place.run_with(run(&node, &job(name), &[], &["--cat"]), b"");
    assert_eq!(done.has_code(0).out(), format!("{greeting}arg 1: --cat\n"), "an empty input ends at once");
}

#[test]
fn a_line_of_input_is_answered_before_the_next_is_given() {
    let place = Place::new();
    // In the node of the command itself, as most people use it.
    let mut command = place.command(["run", &job("hello").display().to_string(), "--", "--cat"]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut stdin = running.stdin();
    for line in ["first\n", "second\n", "third\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        running.stdout.wait_for(line, 1);
    }
    drop(stdin);
    running.wait().has_code(0);
}

#[test]
fn a_program_that_ends_does_not_wait_for_input_that_never_ends() {
    let place = Place::new();
    let node = place.node(&[]);
    for name in ["hello", "hello-c"] {
        for argv in [&[][..], &["--exit", "3"]] {
            // Our end of the pipe stays open and silent.
            let mut command = place.command(run(&node, &job(name), &[], argv));
            command.stdin(Stdio::piped());
            let mut running = Running::start(command);
            let stdin = running.stdin();
            running.wait().has_code(if argv.is_empty() { 0 } else { 3 });
            drop(stdin);
            // And one that never stops talking.
            let mut command = place.command(run(&node, &job(name), &[], argv));
            command.stdin(std::fs::File::open("/dev/zero").unwrap());
            Running::start(command).wait().has_code(if argv.is_empty() { 0 } else { 3 });
        }
    }
}

#[test]
fn clocks_and_randomness_work() {
    let place = Place::new();
    let file = place.wat("clocks.wasm", CLOCKS_AND_RANDOM);
    place.run(["run".as_ref(), file.as_os_str()]).has_code(0);
}

#[test]
fn streams_are_terminals_for_a_program_where_they_are_for_the_command() {
    let place = Place::new();
    let file = place.wat("tty.wasm", IS_A_TTY).display().to_string();
    place.run(["run", &file]).has_code(0);
    let program = env!("CARGO_BIN_EXE_corovan");
    for (redirections, code) in [("", 7), ("</dev/null", 6), (">out", 5), ("2>err", 3), ("</dev/null >out 2>err", 0)] {
        let line = format!("{program} run {file} {redirections}");
        place.on_a_terminal(&line).has_code(code);
    }
}

#[test]
fn control_characters_of_a_job_reach_a_terminal_only_on_request() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_corovan");
    let hello = job("hello").display().to_string();
    for (option, seen, hidden) in [("", "red\\x1b[31m", "red\x1b"), ("--raw", "red\x1b[31m", "red\\x1b")] {
        let line = format!("{program} run {option} {hello} -- \"$(printf 'red\\033[31m')\"");
        let done = place.on_a_terminal(&line);
        let out = done.has_code(0).out();
        assert!(out.contains(seen) && !out.contains(hidden), "{option}: {out:?}");
    }
}

#[test]
fn a_function_that_main_runs_gets_its_name_and_arguments() {
    let place = Place::new();
    let node = place.node(&[]);
    let file = job("by_entry").display().to_string();
    for (words, out) in [(&["sum", "1", "2.5", "-3"][..], "0.5\n"), (&["join", "a", "b c"], "\"a b c\"\n")] {
        let done = place.run(node.args(&[&[&file[..]], words].concat()));
        assert_eq!(done.has_code(0).out(), out);
    }
}

impl Place {
    /// Runs a line of shell on a pseudo-terminal.
    fn on_a_terminal(&self, line: &str) -> crate::process::Done {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", line]).arg("/dev/null");
        command.current_dir(self.path("")).env("XDG_CACHE_HOME", self.path("cache"));
        // `script` copies its own input to the terminal until it ends.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("script (Debian: bsdutils): {error}"));
        let _stdin = child.stdin.take();
        Running::watch(child).wait()
    }
}

#[test]
fn the_first_output_comes_before_the_program_ends() {
    let place = Place::new();
    let mut child =
        place.command(["run", &job("hello").display().to_string(), "--", "--sleep", "3600000"]).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let running = Running::watch(child);
    let mut first = [0; 16];
    pipe.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"hello from Rust\n");
    drop(running);
}

#[test]
fn goroutines_receive_messages_beside_others_that_sleep() {
    let place = Place::new();
    let file = job("mailbox-go").display().to_string();
    // Neither the sleepers nor who waits for messages would get through if one kept the other from running.
    let lines = (1..=3).flat_map(|round| {
        let echo = format!("round {round} echo of {round}000 bytes\n");
        [format!("round {round} tick 1\n"), format!("round {round} tick 2\n"), echo]
    });
    let expected = lines.collect::<String>() + "it has ended\n3\n";
    assert_eq!(place.run(["run", &file, "mailbox", "3"]).has_code(0).out(), expected);
}

#[test]
fn a_goroutine_that_waits_for_a_message_hears_that_its_job_is_to_end() {
    let place = Place::new();
    let node = place.node(&[]);
    let file = job("mailbox-go").display().to_string();
    let running = place.start(node.args(&[&file[..], "echoes", "--json"]));
    running.stdout.wait_for("waits for messages", 1);
    running.signal(Signal::INT);
    // It goes on to its own last words, instead of being stopped when its grace is over.
    let out = running.wait().has_code(130).out();
    assert!(out.contains("echoes no more: interrupted") && out.contains("\"terminated\""), "{out}");
}
