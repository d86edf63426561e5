//! A job whose coroutine ended before those that it made, as its client sees it: nothing lost, one exit, and that last.

use crate::in_process::{Cluster, module, prepare, run};
use crate::process::Place;
use corovan_client::{Arguments, Computation, Event, Job, Prepare, SubmitOptions};
use corovan_core::limits;
use corovan_core::wire::Outcome;
use rustix::process::Signal;

/// What `floods` writes: far more than credit and buffer hold.
const FLOOD: usize = 256 * 4096;

/// `f` makes a coroutine of `child` with its own address as the argument, finishes with 7, and ends by `end`. Each child
/// first waits until `f` has ended.
fn leaves(child: &str, end: &str) -> String {
    format!(
        r#"(module
            (import "corovan" "self" (func $self (param i32) (result i32)))
            (import "corovan" "args" (func $args (param i32 i32) (result i32)))
            (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
            (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
            (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
            (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 0) "{child}")
            (data (i32.const 32) "alone\n\07")
            (data (i32.const 64) "\81\58\20")
            (func $alone
                (drop (call $args (i32.const 64) (i32.const 35)))
                (if (i32.lt_s
                        (call $join (i32.const 67) (i64.const -1) (i32.const 128) (i32.const 1024) (i32.const 1024))
                        (i32.const 0))
                    (then unreachable)))
            (func $say (param $at i32) (param $len i32)
                (i32.store (i32.const 160) (local.get $at))
                (i32.store (i32.const 164) (local.get $len))
                (if (call $write (i32.const 1) (i32.const 160) (i32.const 1) (i32.const 168)) (then unreachable)))
            (func (export "says") (call $alone) (call $say (i32.const 32) (i32.const 6)))
            (func (export "stays")
                (call $alone)
                (call $say (i32.const 32) (i32.const 6))
                (drop (call $sleep (i64.const 3600000000000))))
            (func (export "falls") (call $alone) unreachable)
            (func (export "hangs")
                (call $alone)
                (call $say (i32.const 32) (i32.const 6))
                (drop (call $receive (i64.const -1) (i32.const 0) (i32.const 128) (i32.const 1024) (i32.const 1024))))
            (func (export "floods") (local $left i32)
                (call $alone)
                (local.set $left (i32.const {FLOOD}))
                (loop $next
                    (i32.store (i32.const 160) (i32.const 65536))
                    (i32.store (i32.const 164) (local.get $left))
                    (if (i32.gt_u (local.get $left) (i32.const 65536))
                        (then (i32.store (i32.const 164) (i32.const 65536))))
                    (if (call $write (i32.const 1) (i32.const 160) (i32.const 1) (i32.const 168)) (then unreachable))
                    (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 168))))
                    (br_if $next (local.get $left))))
            (func (export "f")
                (drop (call $self (i32.const 67)))
                (if (call $spawn (i32.const 0) (i32.const {}) (i32.const 64) (i32.const 35) (i32.const 0) (i32.const 192))
                    (then unreachable))
                (drop (call $finish (i32.const 38) (i32.const 1)))
                {end}))"#,
        child.len()
    )
}

fn seven() -> Outcome {
    Outcome::Finished(vec![7].into())
}

async fn submit(computation: &Computation, wat: &str) -> Job {
    let spec = prepare(computation, wat, "f").await;
    computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap()
}

/// Takes events until the job's child has said that it is alone.
async fn until_alone(job: &mut Job) {
    loop {
        match job.next_event().await.expect("the job is not over") {
            Event::Stdout(bytes) if &bytes[..] == b"alone\n" => return,
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_printed_after_the_end_of_the_jobs_own_coroutine_arrives_under_credit_and_before_the_exit() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let mut job = submit(&computation, &leaves("floods", "")).await;
        assert!(FLOOD > limits::OUTPUT_CREDIT as usize + limits::OUTPUT_BUFFER, "or the child would not have to wait");
        // Its own coroutine has left and given its slot back; the other one waits for credit.
        while job.address().is_none() {
            tokio::task::yield_now().await;
        }
        cluster.has_load(1, 0).await;
        let (mut total, mut exits) = (0, Vec::new());
        while let Some(event) = job.next_event().await {
            assert!(exits.is_empty(), "{event:?} after the exit");
            match event {
                Event::Stdout(bytes) => total += bytes.len(),
                Event::Exit(record) => exits.push(record.outcome.clone()),
                _ => {}
            }
        }
        assert_eq!((total, exits), (FLOOD, vec![seven()]));
        computation.close().await.unwrap();
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn a_job_of_which_only_what_it_made_is_left_can_be_cancelled_and_keeps_its_result() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let mut job = submit(&computation, &leaves("stays", "")).await;
        until_alone(&mut job).await;
        job.cancel("enough", None);
        assert_eq!(job.result().await.outcome, seven(), "it had finished before");
        cluster.has_load(0, 0).await;
        computation.close().await.unwrap();
    });
}

#[test]
fn dropping_a_job_of_which_only_what_it_made_is_left_ends_that_also_while_its_output_waits() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        for child in ["stays", "floods"] {
            let mut job = submit(&computation, &leaves(child, "")).await;
            assert!(matches!(job.next_event().await, Some(Event::Started { .. })));
            assert!(matches!(job.next_event().await, Some(Event::Stdout(_))));
            drop(job);
            cluster.has_load(0, 0).await;
        }
        computation.close().await.unwrap();
    });
}

#[test]
fn what_a_job_made_has_what_is_left_of_its_time() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let mut wanted = Prepare::function(module(&leaves("stays", "")), "f");
        wanted.limits.deadline = Some(1_000_000_000);
        let spec = computation.prepare(wanted).await.unwrap();
        let record = computation.run(&spec, Arguments::none()).await.unwrap();
        // The child would have slept for an hour. That it was stopped does not take back what the job had finished with.
        assert_eq!(record.outcome, seven());
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn a_job_that_fails_does_not_wait_for_what_it_made() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let mut job = submit(&computation, &leaves("stays", "unreachable")).await;
        assert!(matches!(&job.result().await.outcome, Outcome::Trapped { kind, .. } if kind == "unreachable"));
        cluster.has_load(0, 0).await;
        computation.close().await.unwrap();
    });
}

#[test]
fn the_result_is_the_last_line_also_where_others_print_after_it_was_given() {
    let place = Place::new();
    let file = place.wat("leaves.wasm", &leaves("says", "")).display().to_string();
    assert_eq!(place.run(["run", &file, "f"]).has_code(0).out(), "alone\n7\n");
    let done = place.run(["run", "--json", &file, "f"]);
    let events: Vec<serde_json::Value> =
        done.has_code(0).out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["started", "stdout", "exit"]);
}

#[test]
fn an_interrupt_ends_what_a_job_made_when_nothing_else_of_it_is_left() {
    let place = Place::new();
    let mut node = place.node(&["--slots", "1"]);
    let file = place.wat("leaves.wasm", &leaves("stays", "")).display().to_string();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = place.start(node.args(&[&file[..], "f"]));
        running.stdout.wait_for("alone", 1);
        running.signal(signal);
        // What it had finished with is still told, in its place.
        assert_eq!(running.wait().has_code(code).out(), "alone\n7\n");
    }
    node.works(&place);
}

#[test]
fn the_client_is_told_of_a_coroutine_that_failed_though_nobody_watched_it() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let mut job = submit(&computation, &leaves("falls", "")).await;
        let (mut logs, mut outcome) = (Vec::new(), None);
        while let Some(event) = job.next_event().await {
            match event {
                Event::Log { level, text, .. } => logs.push((level, text)),
                Event::Exit(record) => outcome = Some(record.outcome.clone()),
                _ => assert!(outcome.is_none(), "the exit is the last"),
            }
        }
        assert_eq!(outcome, Some(seven()), "the job itself is well");
        let [(2, text)] = &logs[..] else { panic!("one warning: {logs:?}") };
        assert!(text.starts_with("falls, which the job made, trapped: unreachable\n"), "{text}");
    });
}

#[test]
fn who_cancels_a_job_that_hangs_is_told_what_it_waited_for() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        for (child, expected) in [("hangs", Some("when it was ended, there waited: hangs in receive")), ("stays", None)]
        {
            let mut job = submit(&computation, &leaves(child, "")).await;
            until_alone(&mut job).await;
            // It has said so, and is on its way into the call.
            let runtime = cluster.node.service().dispatch.runtime();
            while expected.is_some() && runtime.registry.coroutines(|it| it.waits_for_others().is_some()).is_empty() {
                tokio::task::yield_now().await;
            }
            job.cancel("enough", None);
            let mut told = None;
            while let Some(event) = job.next_event().await {
                if let Event::Log { level: 3, text, .. } = event {
                    told = Some(text);
                }
            }
            assert_eq!(told.as_deref(), expected);
        }
    });
}
