//! Rows 1 to 3 from inside: a guest that makes others, two that play ping-pong, one that sends to another; beside bare
//! wasmtime, and beside Erlang where its program is given.

use super::Row;
use super::engine::{Bench, bare_loop, median};
use super::erlang;
use anyhow::Context;
use std::process::Command;
use std::time::Instant;

/// Messages of 64 bytes at 0; the partner's address at 128; the header of what is received at 192, its sender at 224.
pub const GUEST: &str = r#"(module
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "yield" (func $yield (result i32)))
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (memory (export "memory") 17)
    (data (i32.const 0) "a message of sixty-four bytes, which is what the rows ask for...")
    (data (i32.const 512) "pong")
    (data (i32.const 520) "sink")
    (data (i32.const 528) "empty")
    (data (i32.const 536) "\80")
    (func $make (param $name i32) (param $len i32)
        (if (call $spawn (local.get $name) (local.get $len) (i32.const 536) (i32.const 1) (i32.const 0) (i32.const 128))
            (then unreachable)))
    (func $get
        (if (i32.ne (call $receive (i64.const -1) (i32.const 0) (i32.const 192) (i32.const 0) (i32.const 64)) (i32.const 64))
            (then unreachable)))
    (func $put (param $to i32)
        (if (call $send (local.get $to) (i64.const 0) (i32.const 0) (i32.const 64) (i64.const -1)) (then unreachable)))
    (func (export "ping") (local $i i32)
        (call $make (i32.const 512) (i32.const 4))
        (loop $next
            (call $put (i32.const 128))
            (call $get)
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "pong") (local $i i32)
        (loop $next
            (call $get)
            (call $put (i32.const 224))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "source") (local $i i32)
        (call $make (i32.const 520) (i32.const 4))
        (loop $next
            (call $put (i32.const 128))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS))))
        (if (i32.lt_s (call $join (i32.const 128) (i64.const -1) (i32.const 192) (i32.const 1024) (i32.const 512)) (i32.const 0))
            (then unreachable)))
    (func (export "sink") (local $i i32)
        (loop $next
            (call $get)
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "breeder") (local $i i32)
        (loop $next
            (call $make (i32.const 528) (i32.const 5))
            (if (call $yield) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "maker") (local $i i32)
        (loop $next
            (call $make (i32.const 528) (i32.const 5))
            (if (i32.lt_s (call $join (i32.const 128) (i64.const -1) (i32.const 192) (i32.const 1024) (i32.const 512)) (i32.const 0))
                (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const ROUNDS)))))
    (func (export "empty")))"#;

const TURNS: usize = 5;

/// Row 1, from a guest: spawn, run, join.
pub fn spawn() -> anyhow::Result<Vec<Row>> {
    const ROUNDS: usize = 100_000;
    let mut bare = (0..3).map(|_| bare_loop(ROUNDS)).collect::<Result<Vec<_>, _>>()?;
    let (alone, _) = beside("breeder", "", ROUNDS)?;
    let (ours, erlang) = beside("maker", "spawn", ROUNDS)?;
    let bare = median(&mut bare);
    let row = |measure: &str, value: f64, target: &'static str, met| Row {
        number: "1",
        measure: measure.into(),
        value,
        unit: "1/s",
        baseline: Some((bare, "bare wasmtime, instantiate + call on a fiber")),
        target,
        met,
    };
    let mut rows = vec![
        row("spawn -> finish, from a guest", alone, ">= 0.6 of bare", Some(alone / bare >= 0.6)),
        row("spawn -> finish -> join, from a guest", ours, "", None),
    ];
    rows.extend(erlang.map(|erlang| Row {
        number: "1",
        measure: "the same beside Erlang".into(),
        value: ours,
        unit: "1/s",
        baseline: Some((erlang, "Erlang, spawn_monitor and its message; no sandbox")),
        target: "",
        met: None,
    }));
    Ok(rows)
}

/// Row 2.
pub fn ping_pong() -> anyhow::Result<Vec<Row>> {
    let (ours, erlang) = beside("ping", "pingpong", 500_000)?;
    Ok(vec![Row {
        number: "2",
        measure: "ping-pong of two coroutines, 64 bytes".into(),
        value: ours,
        unit: "round trips/s",
        baseline: erlang.map(|erlang| (erlang, "Erlang")),
        target: ">= Erlang",
        met: erlang.map(|erlang| ours >= erlang),
    }])
}

/// Row 3.
pub fn one_way() -> anyhow::Result<Vec<Row>> {
    let (ours, erlang) = beside("source", "oneway", 2_000_000)?;
    Ok(vec![Row {
        number: "3",
        measure: "one-way messages, 64 bytes".into(),
        value: ours,
        unit: "messages/s",
        baseline: erlang.map(|erlang| (erlang, "Erlang")),
        target: ">= 0.5 of Erlang",
        met: erlang.map(|erlang| ours >= 0.5 * erlang),
    }])
}

/// Ours, on as many workers as there are cores, and the peer's if it has such a measure, in turn; how many a second.
fn beside(function: &str, peer: &str, rounds: usize) -> anyhow::Result<(f64, Option<f64>)> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let bench = Bench::with_guest(workers, 1_000, &GUEST.replace("ROUNDS", &rounds.to_string()))?;
    let program = erlang::program("messages.escript");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let relay = bench.relay(function, 1)?;
        let begin = Instant::now();
        relay.launch().context("it was not launched")?;
        relay.wait()?;
        ours.push(rounds as f64 / begin.elapsed().as_secs_f64());
        anyhow::ensure!(relay.is_good(), "{function} did not end well");
        if let Some(program) = program.as_ref().filter(|_| !peer.is_empty()) {
            theirs.extend(erlang::numbers(Command::new(program).args([peer, &rounds.to_string()]))?);
        }
    }
    Ok((median(&mut ours), (!theirs.is_empty()).then(|| median(&mut theirs))))
}
