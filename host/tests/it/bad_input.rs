//! Bad guests of every kind, thrown at one node process: each is told what is wrong, and nothing of it disturbs the job
//! beside it, ends the node or stays in its memory.

use crate::nodes::NodeProcess;
use crate::process::{Place, Running, job};
use corovan_core::limits;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A guest, what it is run with, the exit code, and what is said.
type Case<'a> = (PathBuf, &'a [&'a str], i32, &'a [&'a str]);

/// Neither code nor data that a job left may add up to this, in bytes.
const GROWTH: u64 = 96 << 20;

#[test]
fn what_is_not_a_module_to_run_is_refused_with_the_reason() {
    let place = Place::new();
    let proc_ = std::fs::read(job("rcoro_proc")).unwrap();
    let wat = |name: &str, text: &str| place.wat(name, text);
    let file = |name: &str, bytes: &[u8]| place.file(name, bytes);
    let big_memory = wat("memory.wasm", "(module (memory 2000) (func (export \"f\")))");
    let cases: &[Case] = &[
        (file("empty", b""), &["f"], 122, &["not a WebAssembly module", "empty"]),
        (file("text", b"hello\n"), &["f"], 122, &["not a WebAssembly module", "\\0asm"]),
        (file("native", b"\x7fELF\x02\x01"), &["f"], 122, &["native program (ELF)", "wasm32-wasip1"]),
        (file("f.wat", b"(module (func (export \"f\")))"), &["f"], 122, &["WebAssembly text (WAT)", "wat2wasm"]),
        (file("cut", &proc_[..proc_.len() / 2]), &["rcoro_proc", "1"], 122, &["cut off", "ship the whole file"]),
        (file("cut-magic", &proc_[..3]), &["f"], 122, &["cut off in its first four bytes"]),
        (file("version", b"\0asm\x09\0\0\0"), &["f"], 122, &["binary version 9"]),
        (wat("component", "(component)"), &["f"], 122, &["component", "later", "wasm32-wasip1"]),
        (file("garbage", b"\0asm\x01\0\0\0\xff\xff\xff"), &["f"], 122, &["corovan: node a refused"]),
        (
            file("large", &vec![0; limits::MODULE_BYTES + 1]),
            &["f"],
            125,
            &["the module has 33554433 bytes", "33554432"],
        ),
        (job("rcoro_proc"), &["rcoro_prok", "1"], 122, &["no function \"rcoro_prok\"", "it has: rcoro_proc"]),
        (job("echo"), &[], 122, &["no _start", "name a function", "echo", "same", "who"]),
        (job("rcoro_proc"), &["memory"], 122, &["\"memory\" is exported as a memory", "rcoro_proc"]),
        (
            wat("sig", "(module (func (export \"f\") (param i32)) (func (export \"g\")))"),
            &["f"],
            122,
            &["signature", "(i32)", "takes and returns nothing", "coroutine functions are: g"],
        ),
        (wat("none", "(module (memory (export \"memory\") 1))"), &["f"], 122, &["nothing to run"]),
        (
            wat(
                "import",
                r#"(module (import "corovan" "slep" (func (param i64) (result i32)))
            (import "elsewhere" "f" (func)) (func (export "f")))"#,
            ),
            &["f"],
            122,
            &["corovan", "slep", "sleep", "elsewhere"],
        ),
        (
            wat("import-sig", r#"(module (import "corovan" "sleep" (func)) (func (export "f")))"#),
            &["f"],
            122,
            &["sleep", "(i64)"],
        ),
        (big_memory.clone(), &["f"], 122, &["131072000 bytes of memory", "--memory"]),
        (big_memory, &["--memory", "256MiB", "f"], 0, &[]),
        (wat("huge", "(module (memory 20000) (func (export \"f\")))"), &["f"], 122, &["memory", "1073741824"]),
        (wat("table", "(module (table 1000000 funcref) (func (export \"f\")))"), &["f"], 122, &["table", "20000"]),
        (
            wat("start-trap", "(module (func $s unreachable) (start $s) (func (export \"f\")))"),
            &["f"],
            120,
            &["trapped: unreachable"],
        ),
    ];
    throw(&place, cases);
}

#[test]
fn a_guest_that_goes_wrong_ends_alone_and_says_how() {
    let place = Place::new();
    let (faults, proc_) = (job("faults"), job("rcoro_proc"));
    let wat = |name: &str, text: &str| place.wat(name, text);
    let cases: &[Case] = &[
        (proc_.clone(), &["rcoro_proc", "soon"], 122, &["bad-argument", "soon"]),
        (proc_.clone(), &["rcoro_proc"], 122, &["bad-argument"]),
        (proc_.clone(), &["rcoro_proc", "1", "2"], 122, &["bad-argument"]),
        (proc_, &["rcoro_proc", "{}"], 122, &["bad-argument"]),
        (faults.clone(), &["panics", "on purpose"], 120, &["panicked: on purpose", "jobs/examples/faults.rs:"]),
        (job("rcoro_proc-go"), &["panics"], 120, &["panic"]),
        (faults.clone(), &["out_of_memory"], 120, &["ran out of memory", "64 MiB", "--memory"]),
        (faults.clone(), &["--memory", "8MiB", "out_of_memory"], 120, &["8 MiB"]),
        (faults.clone(), &["stack_overflow"], 120, &["trapped: stack-overflow", "faults::deeper"]),
        (faults.clone(), &["spins", "--timeout", "100ms"], 124, &["deadline of 100ms"]),
        (faults.clone(), &["spins", "--cpu", "50ms"], 121, &["CPU time of 50ms", "--cpu"]),
        (faults.clone(), &["traps"], 120, &["trapped: unreachable", "abort"]),
        (faults.clone(), &["reads_outside"], 120, &["trapped: memory-out-of-bounds", "reads_outside"]),
        (faults.clone(), &["fails", "sad", "no bread"], 120, &["failed (sad): no bread"]),
        (faults.clone(), &["errs", "no luck"], 120, &["failed (error)", "no luck"]),
        (faults.clone(), &["big_result", "17000000"], 120, &["too-large", "16777216"]),
        (faults, &["big_result", "-1"], 122, &["bad-argument"]),
        (wat("returns", "(module (func (export \"f\")))"), &["f"], 0, &[]),
        (
            wat(
                "pointer",
                r#"(module (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "f") (drop (call $finish (i32.const 65535) (i32.const 2)))))"#,
            ),
            &["f"],
            120,
            &["trapped: host-call", "0xffff"],
        ),
        (
            wat(
                "not-text",
                r#"(module (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\ff\fe")
            (func (export "f") (drop (call $log (i32.const 1) (i32.const 0) (i32.const 2)))))"#,
            ),
            &["f"],
            120,
            &["trapped: host-call", "UTF-8"],
        ),
        (
            wat(
                "no-memory",
                r#"(module (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (func (export "f") (drop (call $finish (i32.const 0) (i32.const 1)))))"#,
            ),
            &["f"],
            120,
            &["trapped: host-call", "memory"],
        ),
        (
            wat(
                "clock",
                r#"(module (import "wasi_snapshot_preview1" "clock_time_get"
            (func $time (param i32 i64 i32) (result i32))) (memory (export "memory") 1)
            (func (export "_start") (drop (call $time (i32.const 99) (i64.const 0) (i32.const 0)))))"#,
            ),
            &[],
            120,
            &["trapped: host-call", "clock"],
        ),
        (
            wat("divide", "(module (func (export \"f\") (drop (i32.div_u (i32.const 1) (i32.const 0)))))"),
            &["f"],
            120,
            &["trapped: division-by-zero"],
        ),
        (
            wat(
                "null",
                "(module (type $t (func)) (table 1 funcref) (func (export \"f\") (call_indirect (type $t) (i32.const 0))))",
            ),
            &["f"],
            120,
            &["trapped: indirect-call-to-null"],
        ),
        // A value that is no CBOR item reaches only whoever asked for it.
        (
            wat(
                "not-cbor",
                r#"(module (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\ff")
            (func (export "f") (drop (call $finish (i32.const 0) (i32.const 1)))))"#,
            ),
            &["f"],
            0,
            &[],
        ),
        // Every growth of memory that a guest can ask for, refused without harm.
        (
            wat(
                "grow",
                r#"(module (memory (export "memory") 1)
            (func (export "f") (if (i32.ne (memory.grow (i32.const 65000)) (i32.const -1)) (then unreachable))))"#,
            ),
            &["f"],
            0,
            &[],
        ),
    ];
    throw(&place, cases);
}

#[test]
fn a_module_whose_start_never_ends_is_stopped_while_others_run() {
    let place = Place::new();
    let mut node = place.node(&[]);
    let mut neighbour = Neighbour::start(&place, &node);
    neighbour.answers();
    let running: Vec<Running> = [
        ("start", "(module (func $s (loop $x (br $x))) (start $s) (func (export \"f\")))"),
        ("initialize", "(module (func (export \"_initialize\") (loop $x (br $x))) (func (export \"f\")))"),
    ]
    .map(|(name, text)| place.start(node.args(&[&place.wat(name, text).display().to_string()[..], "f"])))
    .into();
    neighbour.answers();
    node.works(&place);
    for running in running {
        running.wait().has_code(120).says(&["start function or _initialize", "within 5s"]);
    }
    neighbour.ends();
}

#[test]
fn a_full_disk_is_said_and_the_node_goes_on() {
    let place = Place::new();
    let Some(_full) = SmallDisk::mount(&place.path("data")) else { return };
    let mut node = place.node(&[]);
    let go = job("hello-go").display().to_string();
    place.run(node.args(&[&go[..]])).has_code(122).says(&["no space is left", "data", "no-space"]);
    // What fits still runs, and the node is as good as before.
    let small = place.wat("small", "(module (func (export \"f\")))").display().to_string();
    place.run(node.args(&[&small[..], "f"])).has_code(0);
    assert!(!node.running.has_ended());
    node.running.signal(rustix::process::Signal::TERM);
    node.running.wait().has_code(0);
}

/// A file system of a megabyte, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a line for the test's output, where mounting is not allowed.
    fn mount(at: &Path) -> Option<SmallDisk> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            println!("skipped: a full disk needs the right to mount one: {mounted:?}");
            return None;
        }
        Some(SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failed test left behind may still use it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Runs every case on one node, beside an innocent job that talks with its client all the time.
#[track_caller]
fn throw(place: &Place, cases: &[Case]) {
    let mut node = place.node(&[]);
    // What a first job of either kind needs is there already.
    node.works(place);
    let mut neighbour = Neighbour::start(place, &node);
    neighbour.answers();
    let before = node.resident();
    let mut failures = Vec::new();
    for (file, words, code, parts) in cases {
        let file = file.display().to_string();
        let done = place.run(node.args(&[&[&file[..]], *words].concat()));
        let said = done.stderr.to_lowercase();
        let missing: Vec<_> = parts.iter().filter(|part| !said.contains(&part.to_lowercase())).collect();
        if done.code != *code || !missing.is_empty() {
            let name = file.rsplit('/').next().unwrap_or_default();
            failures.push(format!("{name} {words:?}: {} for {code}, without {missing:?}: {}", done.code, done.stderr));
        }
        assert!(!node.running.has_ended(), "the node died of {file} {words:?}: {}", node.running.stderr.text());
        neighbour.answers();
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    neighbour.ends();
    node.works(place);
    let after = node.resident();
    assert!(after < before + GROWTH, "{before} bytes before and {after} after");
}

/// A job that answers every line, until its input ends.
struct Neighbour {
    running: Running,
    stdin: std::process::ChildStdin,
    lines: usize,
}

impl Neighbour {
    fn start(place: &Place, node: &NodeProcess) -> Neighbour {
        let mut command = place.command(node.args(&[&job("hello").display().to_string()[..], "--", "--cat"]));
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let stdin = running.stdin();
        Neighbour { running, stdin, lines: 0 }
    }

    #[track_caller]
    fn answers(&mut self) {
        self.lines += 1;
        writeln!(self.stdin, "line").unwrap();
        self.running.stdout.wait_for("line\n", self.lines);
    }

    #[track_caller]
    fn ends(self) {
        drop(self.stdin);
        self.running.wait().has_code(0);
    }
}
