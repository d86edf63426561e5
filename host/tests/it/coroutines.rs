//! Coroutines by hand on virtual time, and with threads: outcomes, limits, preemption, and that everything comes back.

use crate::support::{Bench, Order, Remember, alone, resident};
use corovan::runtime::{Launch, Stop};
use corovan_core::code::Code;
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::Outcome;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Sleeps so many nanoseconds, then finishes with the CBOR item 7.
fn sleeper(nanos: u64) -> String {
    format!(
        r#"(module
            (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
            (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (memory (export "memory") 17)
            (data (i32.const 8) "\07")
            (func (export "f")
                (drop (call $sleep (i64.const {nanos})))
                (drop (call $finish (i32.const 8) (i32.const 1)))))"#
    )
}

#[test]
fn a_coroutine_sleeps_on_virtual_time_and_finishes_with_its_value() {
    let bench = Bench::manual();
    let seen = bench.run(&sleeper(10_000_000_000), "f", 9 * SECOND);
    assert!(seen.exits.lock().is_empty(), "still asleep");
    bench.advance(11 * SECOND);
    assert_eq!(seen.outcome(), Outcome::Finished(bytes::Bytes::from_static(&[7])));
    let usage = seen.exits.lock()[0].usage;
    assert_eq!(usage.wall, 10_000_000_000);
    assert_eq!(usage.memory_peak, 17 << 16);
    assert_eq!(bench.runtime.scheduler.timers(), 0);
}

#[test]
fn a_wasi_program_sleeps_on_virtual_time() {
    // poll_oneoff with one relative clock of 5 s, then proc_exit(3) if the monotonic clock moved by just that.
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (drop (call $time (i32.const 1) (i64.const 0) (i32.const 200)))
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24) (i64.const 5000000000))
            (if (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 140)) (then unreachable))
            (drop (call $time (i32.const 1) (i64.const 0) (i32.const 208)))
            (if (i64.ne (i64.sub (i64.load (i32.const 208)) (i64.load (i32.const 200))) (i64.const 5000000000))
                (then unreachable))
            (if (i32.ne (i32.load (i32.const 140)) (i32.const 1)) (then unreachable))
            (call $exit (i32.const 3))))"#;
    let bench = Bench::manual();
    let seen = bench.run(wat, "_start", 4 * SECOND);
    assert!(seen.exits.lock().is_empty());
    bench.advance(6 * SECOND);
    assert_eq!(seen.outcome(), Outcome::Exited(3));
}

/// A module whose function `f` has this body, with one page of memory and the imports the table needs.
fn with_body(body: &str) -> String {
    format!(
        r#"(module
            (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (import "corovan" "fail" (func $fail (param i32 i32 i32 i32)))
            (import "corovan" "wait" (func $wait (param i32 i32 i64) (result i32)))
            (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
            (import "corovan" "last_error" (func $last_error (param i32 i32) (result i32)))
            (import "corovan" "args" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\07kindtext")
            (func $deep (call $deep))
            (func $want (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))
            (func (export "f") {body}))"#
    )
}

#[test]
fn every_way_to_end_is_told_apart() {
    let ok = |outcome: &Outcome| matches!(outcome, Outcome::Finished(_));
    type Check = fn(&Outcome) -> bool;
    let code = |code: Code| -i32::from(code.number());
    let twice = format!(
        "(drop (call $finish (i32.const 0) (i32.const 1)))
         (call $want (call $finish (i32.const 0) (i32.const 1)) (i32.const {}))",
        code(Code::Already)
    );
    let invalid = format!(
        "(call $want (call $finish (i32.const 1) (i32.const 2)) (i32.const {}))
         (call $want (call $wait (i32.const 0) (i32.const 0) (i64.const 0)) (i32.const {}))
         (call $want (call $wait (i32.const 0) (i32.const 257) (i64.const 0)) (i32.const {}))
         (call $want (call $log (i32.const 9) (i32.const 0) (i32.const 0)) (i32.const {}))
         (if (i32.lt_s (call $last_error (i32.const 100) (i32.const 200)) (i32.const 10)) (then unreachable))",
        code(Code::Invalid),
        code(Code::Invalid),
        code(Code::Invalid),
        code(Code::Invalid)
    );
    let too_large = format!(
        "(call $want (call $finish (i32.const 0) (i32.const 0x7fffffff)) (i32.const {}))",
        code(Code::TooLarge)
    );
    let cases: &[(&str, &str, Check)] = &[
        ("returns", "", |o| *o == Outcome::Finished(bytes::Bytes::new())),
        ("finishes", "(drop (call $finish (i32.const 0) (i32.const 1)))", |o| {
            *o == Outcome::Finished(bytes::Bytes::from_static(&[7]))
        }),
        ("finishes twice", &twice, |o| matches!(o, Outcome::Finished(value) if value[..] == [7])),
        ("is refused", &invalid, ok),
        ("too large a result", &too_large, ok),
        ("fails", "(call $fail (i32.const 1) (i32.const 4) (i32.const 5) (i32.const 4))", |o| {
            *o == Outcome::Failed { kind: "kind".into(), text: "text".into() }
        }),
        ("unreachable", "unreachable", |o| matches!(o, Outcome::Trapped { kind, .. } if kind == "unreachable")),
        ("stack overflow", "(call $deep)", |o| matches!(o, Outcome::Trapped { kind, .. } if kind == "stack-overflow")),
        (
            "division",
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            |o| matches!(o, Outcome::Trapped { kind, .. } if kind == "division-by-zero"),
        ),
        (
            "load outside",
            "(drop (i32.load (i32.const 0x7fffffff)))",
            |o| matches!(o, Outcome::Trapped { kind, .. } if kind == "memory-out-of-bounds"),
        ),
        (
            "bad pointer",
            "(drop (call $finish (i32.const 65535) (i32.const 2)))",
            |o| matches!(o, Outcome::Trapped { kind, backtrace } if kind == "host-call" && backtrace.contains("outside of its memory")),
        ),
        (
            "bad pointer from WASI",
            "(drop (call $fd_write (i32.const 1) (i32.const -8) (i32.const 2) (i32.const 0)))",
            |o| matches!(o, Outcome::Trapped { kind, .. } if kind == "host-call"),
        ),
        (
            "closed descriptor",
            "(call $want (call $fd_write (i32.const 7) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 8))",
            ok,
        ),
        (
            "memory refused, then a trap",
            "(call $want (memory.grow (i32.const 2000)) (i32.const -1)) unreachable",
            |o| matches!(o, Outcome::OutOfMemory { limit } if *limit == 64 << 20),
        ),
        ("memory refused and borne", "(call $want (memory.grow (i32.const 2000)) (i32.const -1))", ok),
        ("args", "(call $want (call $args (i32.const 0) (i32.const 10)) (i32.const 1))", ok),
    ];
    let bench = Bench::manual();
    for (name, body, expected) in cases {
        let seen = bench.run(&with_body(body), "f", Duration::ZERO);
        assert!(expected(&seen.outcome()), "{name}: {:?}", seen.outcome());
        assert_eq!(seen.exits.lock().len(), 1, "{name}");
    }
    for resource in Resource::ALL {
        bench.close();
        assert_eq!(bench.ledger.used(resource), 0, "{resource}");
    }
}

#[test]
fn a_trap_carries_the_names_of_the_guests_functions() {
    let wat = r#"(module (func $inner unreachable) (func $outer (export "f") (call $inner)))"#;
    let seen = Bench::manual().run(wat, "f", Duration::ZERO);
    match seen.outcome() {
        Outcome::Trapped { backtrace, .. } => {
            assert!(backtrace.contains("inner") && backtrace.contains("outer"), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
}

const SPIN: &str = r#"(module (func (export "f") (loop (br 0))) (func (export "quick")))"#;

#[test]
fn a_guest_that_never_yields_is_stopped_by_order_budget_and_deadline_and_disturbs_nobody() {
    let bench = Bench::threaded(64);
    let spin = bench.program(SPIN, "f");
    let quick = bench.program(SPIN, "quick");
    let spins: Vec<_> = (0..4).map(|_| Arc::new(Remember::default())).collect();
    let mut controls = Vec::new();
    for (i, seen) in spins.iter().enumerate() {
        let mut launch = bench.launch(&spin, seen);
        match i {
            0 => launch.cpu = Some(Duration::from_millis(50)),
            1 => launch.deadline = Duration::from_millis(100),
            _ => {}
        }
        controls.push(bench.runtime.launch(launch).unwrap());
    }
    let neighbours = Arc::new(Remember::default());
    for _ in 0..100 {
        bench.runtime.launch(bench.launch(&quick, &neighbours)).unwrap();
    }
    neighbours.wait(100);
    spins[0].wait(1);
    spins[1].wait(1);
    assert_eq!(spins[0].outcome(), Outcome::OutOfBudget { limit: 50_000_000 });
    assert_eq!(spins[1].outcome(), Outcome::Deadline { limit: 100_000_000 });
    assert!(spins[2].exits.lock().is_empty() && spins[3].exits.lock().is_empty());
    bench.runtime.terminate(&controls[2], "operator", "test", Duration::ZERO);
    controls[3].stop(Stop::Terminated);
    spins[2].wait(1);
    spins[3].wait(1);
    let expected = Outcome::Terminated { by: "operator".into(), reason: "test".into(), value: None };
    assert_eq!(spins[2].outcome(), expected);
    assert!(spins[2].exits.lock()[0].usage.cpu > 0);
}

/// Burns so many slices of fuel without ever yielding.
fn burner(slices: u64) -> String {
    let rounds = slices * corovan_core::limits::SLICE_FUEL / 5;
    format!(
        r#"(module (func (export "f") (local $i i64)
            (loop (local.set $i (i64.add (local.get $i) (i64.const 1)))
                (br_if 0 (i64.lt_u (local.get $i) (i64.const {rounds}))))))"#
    )
}

#[test]
fn a_tenant_with_many_busy_coroutines_gets_no_more_than_one_with_two() {
    let bench = Bench::manual();
    let (many, few) = (Arc::new(Remember::default()), Arc::new(Remember::default()));
    // 20 x 5 slices for one tenant, 2 x 25 for the other.
    let (small, large) = (bench.program(&burner(5), "f"), bench.program(&burner(25), "f"));
    for _ in 0..20 {
        bench.runtime.launch(bench.launch(&small, &many)).unwrap();
    }
    let other = bench.computation(&bench.other_tenant());
    let order = Order::default();
    many.note_order(&order, "many");
    few.note_order(&order, "few");
    for _ in 0..2 {
        let launch = Launch { group: Arc::clone(&other), ..bench.launch(&large, &few) };
        bench.runtime.launch(launch).unwrap();
    }
    bench.advance(Duration::ZERO);
    let order = order.lock();
    assert_eq!(order.len(), 22);
    // Half of the slices are theirs, so the two end first. Taking turns by coroutine they would end last: all 20 are done
    // after five turns each.
    assert_eq!(order[..2], ["few", "few"], "{order:?}");
}

#[test]
fn a_start_function_that_loops_for_ever_is_stopped() {
    let bench = Bench::threaded(64);
    let seen = Arc::new(Remember::default());
    let program = bench.program(r#"(module (func $s (loop (br 0))) (start $s) (func (export "f")))"#, "f");
    bench.runtime.launch(bench.launch(&program, &seen)).unwrap();
    seen.wait(1);
    assert!(matches!(seen.outcome(), Outcome::Failed { kind, .. } if kind == "start"), "{:?}", seen.outcome());
}

#[test]
fn a_termination_interrupts_once_then_stops_after_the_grace_period() {
    // Sleeps for ever; if interrupted (code 6), finishes with the item 7 when told to, or sleeps on.
    let body = |after: &str| {
        format!(
            r#"(module
            (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
            (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\07")
            (func (export "f")
                (if (i32.ne (call $sleep (i64.const -1)) (i32.const -6)) (then unreachable))
                {after}))"#
        )
    };
    let obeys = body("(drop (call $finish (i32.const 0) (i32.const 1)))");
    let ignores = body("(drop (call $sleep (i64.const -1)))");
    let bench = Bench::manual();
    for (wat, value, at) in [(obeys, Some(bytes::Bytes::from_static(&[7])), 0), (ignores, None, 2)] {
        let seen = Arc::new(Remember::default());
        let program = bench.program(&wat, "f");
        let control = bench.runtime.launch(bench.launch(&program, &seen)).unwrap();
        let start = bench.runtime.clock().now();
        bench.advance(Duration::from_nanos(start));
        bench.runtime.terminate(&control, "client", "enough", 2 * SECOND);
        bench.advance(Duration::from_nanos(start) + 3 * SECOND);
        assert_eq!(seen.outcome(), Outcome::Terminated { by: "client".into(), reason: "enough".into(), value });
        assert_eq!(seen.exits.lock()[0].usage.wall, at * 1_000_000_000);
    }
}

#[test]
fn a_hundred_thousand_coroutines_leave_nothing_behind() {
    alone("coroutines::a_hundred_thousand_coroutines");
}

#[test]
#[ignore = "run by the test above in a process of its own, where nothing else takes memory"]
fn a_hundred_thousand_coroutines() {
    let bench = Bench::threaded(1_000);
    let program = bench.program(&sleeper(1_000), "f");
    let before = resident();
    for round in 0..100u64 {
        let seen = Arc::new(Remember::default());
        for _ in 0..1_000 {
            bench.runtime.launch(bench.launch(&program, &seen)).unwrap();
        }
        seen.wait(1_000);
        assert!(seen.exits.lock().iter().all(|exit| matches!(exit.outcome, Outcome::Finished(_))), "round {round}");
    }
    for resource in Resource::ALL {
        bench.close();
        assert_eq!(bench.ledger.used(resource), 0, "{resource}");
    }
    assert_eq!(bench.runtime.scheduler.timers(), 0);
    assert_eq!(bench.runtime.scheduler.ready(), 0);
    let pool = bench.runtime.engine.pooling_allocator_metrics().unwrap();
    assert_eq!((pool.core_instances(), pool.memories(), pool.stacks()), (0, 0, 0));
    // Warm slots and allocator caches may stay; memory per coroutine may not (100,000 x 1 KiB would be 100 MB).
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB more than before", grown >> 20);
}
