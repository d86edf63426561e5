//! Row 6 of channels: publishers on another node than the channel, each of which waits for the answer to every message.

use super::Row;
use super::engine::median;
use super::mesh::Mesh;

const MESSAGES: usize = 20_000;
const TURNS: usize = 3;

/// `hear` opens a channel, gives it the name `c`, and hears it until a message with the tag 1; `tell` has so many coroutines
/// publish their share of the messages, and then publishes that one. The channel's address goes to 128, a received message's
/// header to 512.
fn guests(publishers: usize) -> String {
    let each = MESSAGES / publishers;
    format!(
        r#"(module
        (import "corovan" "self" (func $self (param i32) (result i32)))
        (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
        (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
        (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
        (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
        (import "corovan" "channel_open" (func $open (param i32 i32 i32) (result i32)))
        (import "corovan" "channel_subscribe" (func $subscribe (param i32 i32 i32 i32 i64) (result i32)))
        (import "corovan" "channel_send" (func $publish (param i32 i64 i32 i32 i64) (result i32)))
        (memory (export "memory") 17)
        (data (i32.const 64) "c") (data (i32.const 70) "some") (data (i32.const 80) "\80")
        (func $ok (param i32) (if (i32.lt_s (local.get 0) (i32.const 0)) (then unreachable)))
        (func $find (call $ok (call $locate (i32.const 64) (i32.const 1) (i64.const -1) (i32.const 128))))
        (func $give (param i64)
            (call $ok (call $publish (i32.const 128) (local.get 0) (i32.const 2048) (i32.const 64) (i64.const -1))))
        (func (export "hear")
            (call $ok (call $open (i32.const 64) (i32.const 1) (i32.const 128)))
            (call $ok (call $self (i32.const 160)))
            (call $ok (call $subscribe (i32.const 128) (i32.const 160) (i32.const 9000) (i32.const 0) (i64.const -1)))
            (call $ok (call $register (i32.const 64) (i32.const 1) (i32.const 128) (i64.const -1)))
            (loop $next
                (call $ok (call $receive (i64.const -1) (i32.const 0) (i32.const 512) (i32.const 1024) (i32.const 64)))
                (br_if $next (i64.ne (i64.load (i32.const 520)) (i64.const 1)))))
        (func (export "some") (local $i i32)
            (call $find)
            (loop $next
                (call $give (i64.const 0))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {each})))))
        (func $at (param i32) (result i32) (i32.add (i32.const 8192) (i32.mul (local.get 0) (i32.const 32))))
        (func (export "tell") (local $i i32)
            (call $find)
            (loop $next
                (call $ok (call $spawn (i32.const 70) (i32.const 4) (i32.const 80) (i32.const 1) (i32.const 0)
                    (call $at (local.get $i))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {publishers}))))
            (loop $next
                (local.set $i (i32.sub (local.get $i) (i32.const 1)))
                (call $ok (call $join (call $at (local.get $i)) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 512)))
                (br_if $next (local.get $i)))
            (call $give (i64.const 1))))"#
    )
}

/// Row 6, of channels.
pub fn published() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for publishers in [1, 8, 64] {
        let dir = tempfile::tempdir()?;
        let mesh = Mesh::start(dir.path(), &guests(publishers))?;
        let mut rates = Vec::new();
        for _ in 0..TURNS {
            let (_, took) = mesh.pair(["hear", "tell"])?;
            rates.push(MESSAGES as f64 / took);
        }
        rows.push(Row {
            number: "6",
            measure: format!("64-byte messages to a channel of another node, publishers: {publishers}"),
            value: median(&mut rates),
            unit: "messages/s",
            baseline: None,
            target: "",
            met: None,
        });
    }
    Ok(rows)
}
