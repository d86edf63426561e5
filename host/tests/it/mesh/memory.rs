//! What is made on another node gets no more memory than whoever made it, or called a service for it, may have itself.

use super::mesh;
use crate::process::Place;

/// `grows` asks for 12.5 MiB more than its page or two. `here`, `at_b` and `calls` have one of it made, and give the number of its
/// outcome; `offers` lets others call it.
const GROWS: &str = r#"(module
    (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "serve" (func $serve (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "call" (func $call (param i32 i32 i32 i32 i64 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 16) "grows") (data (i32.const 24) "b") (data (i32.const 32) "\80")
    ;; The head of the outcome in an exit record; and spawn options.
    (data (i32.const 40) "\67outcome") (data (i32.const 64) "\38")
    (func (export "grows") (if (i32.eq (memory.grow (i32.const 200)) (i32.const -1)) (then unreachable)))
    (func $ok (param i32) (if (local.get 0) (then unreachable)))
    (func $makes
        (call $ok (call $spawn (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 1) (i32.const 64) (i32.const 128))))
    (func $tells (local $at i32) (local $end i32)
        (local.set $end (i32.add (i32.const 1024)
            (call $join (i32.const 128) (i64.const -1) (i32.const 192) (i32.const 1024) (i32.const 8192))))
        (local.set $at (i32.const 1024))
        (loop $next
            (if (i32.ge_s (local.get $at) (local.get $end)) (then unreachable))
            (if (i64.ne (i64.load (local.get $at)) (i64.load (i32.const 40)))
                (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next))))
        (call $ok (call $finish (i32.add (local.get $at) (i32.const 8)) (i32.const 1))))
    (func (export "here") (call $makes) (call $tells))
    (func (export "at_b")
        (i32.store (i32.const 76) (i32.const 24)) (i32.store (i32.const 80) (i32.const 1))
        (call $makes) (call $tells))
    (func (export "calls")
        (call $ok (call $call (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 1) (i64.const -1) (i32.const 128)))
        (call $tells))
    (func (export "offers")
        (call $ok (call $serve (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0)))
        (drop (call $sleep (i64.const -1)))))"#;

#[test]
fn what_is_made_elsewhere_or_called_has_no_more_memory_than_its_maker_may_have() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    let file = place.wat("grows.wasm", GROWS).display().to_string();
    let _offers = place.start(nodes[1].args(&[&file, "offers"]));
    const FINISHED: &str = "1";
    const OUT_OF_MEMORY: &str = "5";
    for (memory, outcome) in [("4MiB", OUT_OF_MEMORY), ("64MiB", FINISHED)] {
        for function in ["here", "at_b", "calls"] {
            let done = place.run(nodes[0].args(&["--memory", memory, &file, function]));
            assert_eq!(done.has_code(0).out().trim(), outcome, "{function} with {memory}");
        }
    }
}
