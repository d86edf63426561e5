//! Heap allocations of one message and of one coroutine, counted: the difference between a run and one of twice the length,
//! driven by hand on this thread, so that what a run costs once and what others do drops out.

use crate::support::Bench;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A message's bytes at 0, the partner's address at 128, the header of what is received at 192 with its sender at 224.
const GUEST: &str = r#"(module
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "echo")
    (data (i32.const 72) "empty")
    (data (i32.const 80) "\80")
    (func $make (param $name i32) (param $len i32)
        (if (call $spawn (local.get $name) (local.get $len) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 128))
            (then unreachable)))
    (func $get
        (if (i32.ne (call $receive (i64.const -1) (i32.const 0) (i32.const 192) (i32.const 4096) (i32.const 4096)) (i32.const SIZE))
            (then unreachable)))
    (func $put (param $to i32)
        (if (call $send (local.get $to) (i64.const 0) (i32.const 8192) (i32.const SIZE) (i64.const -1)) (then unreachable)))
    (func (export "messages") (local $i i32)
        (call $make (i32.const 64) (i32.const 4))
        (loop $next
            (call $put (i32.const 128))
            (call $get)
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "echo") (local $i i32)
        (loop $next
            (call $get)
            (call $put (i32.const 224))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "spawns") (local $i i32)
        (loop $next
            (call $make (i32.const 72) (i32.const 5))
            (if (i32.lt_s (call $join (i32.const 128) (i64.const -1) (i32.const 192) (i32.const 1024) (i32.const 512)) (i32.const 0))
                (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "empty")))"#;

/// Allocations that `rounds` rounds of a function take on this thread.
fn count(function: &str, size: usize, rounds: usize) -> u64 {
    let bench = Bench::manual();
    let wat = GUEST.replace("SIZE", &size.to_string()).replace("ROUNDS", &rounds.to_string());
    let program = bench.program(&wat, function);
    let (_, seen) = bench.start(&program);
    let taken = allocation_counter::measure(|| bench.advance(HOUR));
    assert_eq!(seen.outcome().name(), "finished", "{:?}", seen.outcome());
    taken.count_total
}

/// Allocations of one round more.
fn of_one(function: &str, size: usize) -> f64 {
    const ROUNDS: usize = 1000;
    let (once, twice) = (count(function, size, ROUNDS), count(function, size, 2 * ROUNDS));
    let each = (twice - once) as f64 / ROUNDS as f64;
    println!("{function} of {size} bytes: {each:.2} allocations each");
    each
}

#[test]
fn a_message_and_a_coroutine_cost_a_known_number_of_allocations() {
    // A round is two messages, a message is two host calls that can wait, `send` and `receive`. For each of these wasmtime asks for a
    // boxed future and boxes one of its own. A larger message takes one more, which holds its bytes and is shared from there on.
    const SMALL: f64 = 4.0;
    const LARGE: f64 = 5.0;
    // Store, instance, fiber, task, control, record, the parent's two futures and what they read.
    const SPAWN: f64 = 38.0;
    for (function, size, a_round, most) in [
        ("messages", 16, 2.0, SMALL),
        ("messages", 64, 2.0, SMALL),
        ("messages", 1024, 2.0, LARGE),
        ("spawns", 16, 1.0, SPAWN),
    ] {
        let each = of_one(function, size) / a_round;
        assert!(each <= most + 0.1, "{function} of {size} bytes: {each} allocations");
        assert!(each >= 1.0, "{function} of {size} bytes: {each} allocations, so nothing was counted");
    }
}
