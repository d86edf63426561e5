//! Heap allocations, counted and not timed: what one message and one coroutine cost, so that what was taken out of these
//! paths does not come back unseen. Each figure is what one more round adds to a run, so that setting up cancels.

use crate::support::Bench;
use corovan::runtime::Launch;
use corovan::runtime::ports::Observer;
use corovan::runtime::stdio::Output;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::wire::{ExitRecord, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// What is counted: an export of [`GUEST`], the size of its messages, and what one of its rounds is.
struct Measure {
    what: &'static str,
    export: &'static str,
    bytes: usize,
    /// Messages, or coroutines, of one round.
    per_round: usize,
    /// So many allocations at most.
    bound: u64,
}

/// Messages of a size that is put in, or coroutines that do nothing, as many rounds as are put in.
const GUEST: &str = r#"(module
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "answers")
    (data (i32.const 16) "ends")
    (data (i32.const 32) "\80")
    ;; At 64 a partner's address, at 128 the header of what is received with its sender at 160, at 1024 results, at 8192
    ;; what is sent.
    (func $make (param $name i32) (param $len i32)
        (if (call $spawn (local.get $name) (local.get $len) (i32.const 32) (i32.const 1) (i32.const 0) (i32.const 64))
            (then unreachable)))
    (func $put (param $to i32)
        (if (call $send (local.get $to) (i64.const 0) (i32.const 8192) (i32.const BYTES) (i64.const -1)) (then unreachable)))
    (func $get
        (if (i32.ne (call $receive (i64.const -1) (i32.const 0) (i32.const 128) (i32.const 1024) (i32.const BYTES))
                (i32.const BYTES))
            (then unreachable)))
    ;; To another and back: each receive waits.
    (func (export "asks") (local $i i32)
        (call $make (i32.const 0) (i32.const 7))
        (loop $next
            (call $put (i32.const 64))
            (call $get)
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ROUNDS)))))
    (func (export "answers") (local $i i32)
        (loop $next
            (call $get)
            (call $put (i32.const 160))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ROUNDS)))))
    ;; To itself: no receive waits.
    (func (export "keeps") (local $i i32)
        (if (call $self (i32.const 64)) (then unreachable))
        (loop $next
            (call $put (i32.const 64))
            (call $get)
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ROUNDS)))))
    (func (export "makes") (local $i i32)
        (loop $next
            (call $make (i32.const 16) (i32.const 4))
            (if (i32.lt_s (call $join (i32.const 64) (i64.const -1) (i32.const 128) (i32.const 1024) (i32.const 4096)) (i32.const 0))
                (then unreachable))
            (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ROUNDS)))))
    (func (export "ends")))"#;

const MEASURES: &[Measure] = &[
    Measure { what: "message, 16 bytes, receive waits", export: "asks", bytes: 16, per_round: 2, bound: MESSAGE },
    Measure { what: "message, 1 KiB, receive waits", export: "asks", bytes: 1024, per_round: 2, bound: MESSAGE + COPY },
    Measure { what: "message, 16 bytes, is there", export: "keeps", bytes: 16, per_round: 1, bound: MESSAGE },
    Measure { what: "message, 1 KiB, is there", export: "keeps", bytes: 1024, per_round: 1, bound: MESSAGE + COPY },
    Measure { what: "spawn, finish, join", export: "makes", bytes: 16, per_round: 1, bound: COROUTINE },
];

/// More than the exits that are kept, so that each end makes one forgotten, and enough that growing tables are not seen.
const ROUNDS: usize = 12_000;
const _: () = assert!(ROUNDS > limits::EXITS_KEPT);
/// wasmtime boxes the future of a host call that may wait, one for `send` and one for `receive`, and we what is in that of
/// `receive`.
const MESSAGE: u64 = 3;
/// The bytes of a message that is too large to lie in its envelope.
const COPY: u64 = 1;
/// wasmtime's store, instance, fiber and table of modules are 17, and its two futures; the others are ours.
const COROUTINE: u64 = 34;
/// A table that doubles its size now and then: so much of an allocation a round.
const GROWTH: f64 = 0.05;

/// Follows all coroutines and remembers nothing, so that what is counted is the node's.
struct Silent(Output, Option<Arc<dyn Observer>>);

impl Observer for Silent {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.0
    }
    fn output_ready(&self) {}
    fn ended(&self, _: &Arc<ExitRecord>) {}
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        self.1.as_ref().map_or_else(|| unreachable!("only one level is made"), Arc::clone)
    }
}

#[test]
fn messages_and_spawns_allocate_no_more_than_they_did() {
    let mut over = Vec::new();
    for measure in MEASURES {
        let (once, twice) = (measure.allocations(ROUNDS), measure.allocations(2 * ROUNDS));
        let rounds = (ROUNDS * measure.per_round) as f64;
        let (count, bytes) = ((twice.0 - once.0) as f64 / rounds, (twice.1 - once.1) as f64 / rounds);
        println!("{}: {count:.2} allocations, {bytes:.0} bytes", measure.what);
        assert!(count >= 1.0, "{}: nothing was counted", measure.what);
        if count > measure.bound as f64 + GROWTH {
            over.push(format!("{}: {count:.2} allocations instead of {}", measure.what, measure.bound));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

impl Measure {
    /// How many there are in so many rounds, and of how many bytes.
    fn allocations(&self, rounds: usize) -> (u64, u64) {
        let bench = Bench::manual();
        let wat = GUEST.replace("ROUNDS", &rounds.to_string()).replace("BYTES", &self.bytes.to_string());
        let program = bench.program(&wat, self.export);
        let (_, warm) = bench.start(&program);
        bench.advance(Duration::from_secs(1));
        assert!(matches!(warm.outcome(), Outcome::Finished(_)), "{}: {:?}", self.what, warm.outcome());
        let child = Arc::new(Silent(Output::default(), None));
        let silent = Arc::new(Silent(Output::default(), Some(child)));
        let launch = Launch { observer: silent, ..bench.launch(&program, &warm) };
        bench.runtime.launch(launch).unwrap();
        let counted = allocation_counter::measure(|| bench.advance(Duration::from_secs(2)));
        (counted.count_total, counted.bytes_total)
    }
}
