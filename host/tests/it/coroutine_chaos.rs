//! Coroutines that call whatever comes to their mind on whomever they know: nothing of the node gives way, and when their
//! computation is closed nothing is left of them. On virtual time a seed gives the same run again.

use crate::support::{Bench, Remember};
use corovan::runtime::{Launch, Tenant};
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits, Resource};
use corovan_core::wire::Outcome;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PRELUDE: &str = include_str!("../../../jobs/api/shared/prelude.wat");
/// Each makes so many calls, unless it is ended before.
const CALLS: u32 = 200;
/// Coroutines at a time; a bench has 64 instances, of which a swap takes a second one.
const COROUTINES: u64 = 30;
/// Until then they multiply.
const TIME: Duration = Duration::from_millis(300);
/// So little that the tenant's quota is met now and then.
const HELD: u64 = 3 << 20;
const SEEDS: u64 = 4;

/// 16 addresses lie at 16384; the last reply, timer and token at 600, 608, 616; bytes to send at 65536.
fn chaos(seed: u64) -> String {
    format!(
        r#"(module
        (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
        (import "corovan" "unregister" (func $unregister (param i32 i32) (result i32)))
        (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
        (import "corovan" "channel_unsubscribe" (func $channel_unsubscribe (param i32 i32 i64) (result i32)))
        (import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
        (import "corovan" "channel_deliver" (func $channel_deliver (param i32 i64 i32 i32 i32 i64) (result i32)))
        (import "corovan" "channel_transform" (func $channel_transform (param i32 i32 i32 i32) (result i32)))
        (import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
        (import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
        (import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
        (import "corovan" "lock_wait" (func $lock_wait (param i32 i64) (result i32)))
        (import "corovan" "lock_notify" (func $lock_notify (param i32 i32) (result i32)))
        (import "corovan" "lock_set" (func $lock_set (param i32) (result i32)))
        (import "corovan" "lock_clear" (func $lock_clear (param i32) (result i32)))
        (import "corovan" "lock_close" (func $lock_close (param i32) (result i32)))
        {PRELUDE}
        (data (i32.const 512) "f") (data (i32.const 520) "name-0")
        (global $seed (mut i64) (i64.const 0))
        (func $random (param $below i32) (result i32)
            (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 13))))
            (global.set $seed (i64.xor (global.get $seed) (i64.shr_u (global.get $seed) (i64.const 7))))
            (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 17))))
            (i32.wrap_i64 (i64.rem_u (i64.shr_u (global.get $seed) (i64.const 20)) (i64.extend_i32_u (local.get $below)))))
        ;; Somebody.
        (func $who (result i32) (i32.add (i32.const 16384) (i32.mul (i32.const 32) (call $random (i32.const 16)))))
        ;; None, or up to 3 ms.
        (func $time (result i64) (i64.extend_i32_u (i32.mul (call $random (i32.const 4)) (call $random (i32.const 1000000)))))
        ;; Small, or large now and then.
        (func $size (result i32)
            (if (result i32) (call $random (i32.const 10)) (then (call $random (i32.const 100))) (else (call $random (i32.const 1048577)))))
        (func $cap (result i32) (if (result i32) (call $random (i32.const 3)) (then (global.get $CAP)) (else (i32.const 0))))
        (func $tag (result i64) (i64.extend_i32_u (call $random (i32.const 3))))
        (func $filter (result i32) (local $which i32)
            (local.set $which (call $random (i32.const 4)))
            (if (i32.eqz (local.get $which)) (then (return (call $by_kind (call $random (i32.const 6))))))
            (if (i32.eq (local.get $which) (i32.const 1)) (then (return (call $by_tag (call $tag)))))
            (i32.const 0))
        (func $note (i64.store (i32.const 616) (i64.load offset=16 (global.get $MESSAGE))))
        (func $make
            (i32.store (i32.const 1100) (i32.const 0x00205881))
            (call $ok (call $self (i32.const 1103)))
            (drop (call $spawn (i32.const 512) (i32.const 1) (i32.const 1100) (i32.const 35)
                (call $options (call $random (i32.const 8))) (call $who))))
        (func $do (param $what i32) (result i32)
            (block $29 (block $28 (block $27 (block $26 (block $25 (block $24 (block $23 (block $22 (block $21 (block $20
            (block $19 (block $18 (block $17 (block $16 (block $15 (block $14 (block $13 (block $12 (block $11 (block $10
            (block $9 (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
            (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $12 $13 $14 $15 $16 $17 $18 $19 $20 $21 $22 $23 $24 $25 $26 $27 $28 $29
                (local.get $what))
            ) (return (call $send (call $who) (call $tag) (i32.const 65536) (call $size) (call $time)))
            ) (return (call $deliver (call $who) (call $tag) (i32.const 65536) (call $size) (call $time)))
            ) (drop (call $receive (call $time) (call $filter) (global.get $MESSAGE) (global.get $BUF) (call $cap))) (call $note)
              (i64.store (i32.const 600) (i64.load offset=24 (global.get $MESSAGE))) (return (i32.const 0))
            ) (drop (call $receive (call $time) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (call $cap))) (call $note)
              (i64.store (i32.const 600) (i64.load offset=24 (global.get $MESSAGE))) (return (i32.const 0))
            ) (drop (call $request (call $who) (call $tag) (i32.const 65536) (call $size) (call $time)
                (global.get $MESSAGE) (global.get $BUF) (call $cap))) (call $note) (return (i32.const 0))
            ) (return (call $reply (i64.load (i32.const 600)) (i32.const 65536) (call $size)))
            ) (return (call $take (i64.load (i32.const 616)) (i32.const 65536)))
            ) (return (call $drop (i64.load (i32.const 616))))
            ) (call $make) (return (i32.const 0))
            ) (call $make) (return (i32.const 0))
            ) (if (i32.eqz (call $random (i32.const 4))) (then (return (call $terminate (call $who) (call $time))))) (return (i32.const 0))
            ) (return (call $interrupt (call $who) (i32.const 96) (i32.const 4) (i64.const 0)))
            ) (return (call $monitor (call $who)))
            ) (return (call $demonitor (call $who)))
            ) (return (call $join (call $who) (call $time) (global.get $PART) (global.get $BUF) (call $cap)))
            ) (return (call $resume (call $who) (i32.const 65536) (call $size) (i64.const 0)))
            ) (return (call $suspend (call $time) (global.get $PART) (global.get $BUF) (call $cap)))
            ) (i64.store (i32.const 608) (call $send_after (call $time) (call $who) (call $tag) (i32.const 65536) (call $size))) (return (i32.const 0))
            ) (return (call $cancel_timer (i64.load (i32.const 608))))
            ) (return (call $swap (call $who) (i32.const 0) (i32.const 512) (i32.const 1) (call $time)))
            ) (return (call $swap_point (i32.const 1102) (i32.const 34)))
            ) (return (call $swap_refuse (i32.const 96) (i32.const 4)))
            ) (return (call $set_daemon (call $random (i32.const 2))))
            ) (return (call $status (call $who) (i64.const 0) (global.get $PART) (global.get $BUF) (call $cap)))
            ) (i32.store8 (i32.const 525) (i32.add (i32.const 48) (call $random (i32.const 4))))
              (return (call $register (i32.const 520) (i32.const 6) (call $who) (i64.const 0)))
            ) (return (call $unregister (i32.const 520) (i32.const 6)))
            ) (i32.store8 (i32.const 525) (i32.add (i32.const 48) (call $random (i32.const 4))))
              (return (call $locate (i32.const 520) (i32.const 6) (call $time) (call $who)))
            ) (return (call $sleep (call $time)))
            ) (call $watch (i32.const 32768)) (call $watch (i32.const 32800)) (return (call $wait (i32.const 32768) (i32.const 2) (call $time)))
            ) (call $yield))
        ;; One of two channels, of five locks of all kinds, of which one is open at a time.
        (global $lock (mut i32) (i32.const -1))
        (func $kind (result i32) (i32.add (i32.const 1) (call $random (i32.const 5))))
        (func $either (result i32) (i32.add (i32.const 16896) (i32.mul (i32.const 32) (call $random (i32.const 2)))))
        (func $broadcast (param $what i32) (result i32)
            (i32.store8 (i32.const 525) (i32.add (i32.const 48) (call $random (i32.const 3))))
            (if (i32.eq (local.get $what) (i32.const 0)) (then (return (call $channel_open (i32.const 520) (i32.const 6) (call $either)))))
            (if (i32.eq (local.get $what) (i32.const 1)) (then (return
                (call $channel_subscribe (call $either) (call $who) (call $random (i32.const 4)) (call $random (i32.const 4)) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 2)) (then (return
                (call $channel_subscribe (call $either) (call $either) (i32.const 3) (call $random (i32.const 3)) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 3)) (then (return (call $channel_unsubscribe (call $either) (call $who) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 4)) (then (return
                (call $channel_send (call $either) (call $tag) (i32.const 65536) (call $size) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 5)) (then (return
                (call $channel_deliver (call $either) (call $tag) (i32.const 65536) (call $size) (call $random (i32.const 4)) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 6)) (then (return
                (call $channel_transform (call $either) (i32.const 0) (i32.const 64) (i32.mul (i32.const 11) (call $random (i32.const 2)))))))
            (if (i32.eq (local.get $what) (i32.const 7)) (then
                (if (call $random (i32.const 4)) (then (return (i32.const 0)))) (return (call $channel_close (call $either)))))
            (if (i32.lt_s (global.get $lock) (i32.const 0)) (then
                (i32.store8 (i32.const 525) (i32.add (i32.const 48) (local.get $what)))
                (local.set $what (call $kind))
                (i32.store8 (i32.const 525) (i32.add (i32.const 48) (local.get $what)))
                (global.set $lock (call $lock_open (local.get $what) (i32.const 520) (i32.const 6)
                    (i32.mul (call $random (i32.const 3)) (i32.eq (local.get $what) (i32.const 5)))))
                (return (i32.const 0))))
            (if (i32.lt_s (local.get $what) (i32.const 10)) (then (return (call $lock_acquire (global.get $lock) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 10)) (then (return (call $lock_release (global.get $lock)))))
            (if (i32.eq (local.get $what) (i32.const 11)) (then (return (call $lock_wait (global.get $lock) (call $time)))))
            (if (i32.eq (local.get $what) (i32.const 12)) (then (return (call $lock_notify (global.get $lock) (call $random (i32.const 3))))))
            (if (i32.eq (local.get $what) (i32.const 13)) (then (return (call $lock_set (global.get $lock)))))
            (if (i32.eq (local.get $what) (i32.const 14)) (then (return (call $lock_clear (global.get $lock)))))
            (call $ok (call $lock_close (global.get $lock)))
            (global.set $lock (i32.const -1))
            (i32.const 0))
        (func $watch (param $at i32)
            (memory.fill (local.get $at) (i32.const 0) (i32.const 32))
            (i32.store (local.get $at) (if (result i32) (call $random (i32.const 2)) (then (i32.const 5)) (else (i32.const 2))))
            (i64.store offset=8 (local.get $at) (i64.extend_i32_u
                (if (result i32) (i32.eq (i32.load (local.get $at)) (i32.const 5)) (then (call $who)) (else (i32.const 0))))))
        (func (export "f") (local $i i32)
            ;; All are oneself at first, then the parent, if there is one: it is in the arguments, or a swap left it there.
            (local.set $i (i32.const 16))
            (loop $more
                (call $ok (call $self (i32.add (i32.const 16352) (i32.mul (local.get $i) (i32.const 32)))))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (if (i32.gt_u (call $args (global.get $ARGS) (i32.const 100)) (i32.const 34))
                (then (memory.copy (i32.const 16384) (i32.add (global.get $ARGS) (i32.const 3)) (i32.const 32))))
            (i32.store (i32.const 1100) (i32.const 0x00205881))
            (call $ok (call $self (i32.const 1103)))
            (global.set $seed (i64.add (i64.load (i32.const 1127)) (i64.const {seed})))
            (local.set $i (i32.const {CALLS}))
            (loop $more
                ;; Only what a trap is for may not happen.
                (call $must (i32.gt_s (call $do (call $random (i32.const 30))) (i32.const -20)))
                (call $must (i32.gt_s (call $broadcast (call $random (i32.const 16))) (i32.const -20)))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (if (call $random (i32.const 8)) (then (return)))
            unreachable))"#
    )
}

/// How often each outcome was.
type Tally = BTreeMap<&'static str, usize>;

fn run(bench: &Bench, seed: u64) -> Tally {
    let limits = Limits { coroutines: COROUTINES, memory: 1 << 40, held: HELD, connections: 0 };
    let tenant = Arc::new(Tenant::new("chaos", Arc::new(Ledger::new(limits)), Arc::new(Share::new(2, 100))));
    let group = bench.computation(&tenant);
    let seen = Arc::new(Remember::default());
    let program = bench.program(&chaos(seed), "f");
    let mut started = 0;
    for _ in 0..4 {
        let launch = bench.launch(&program, &seen);
        let launch = Launch { group: Arc::clone(&group), deadline: TIME, ..launch };
        // With threads the first may have filled the quota by now.
        started += usize::from(bench.runtime.launch(launch).is_ok());
    }
    drop(program);
    match &bench.clock {
        Some(_) => bench.advance(Duration::from_nanos(bench.runtime.clock().now()) + Duration::from_secs(30)),
        None => seen.wait(started),
    }
    bench.runtime.end(&group, "test", "it is over", Duration::from_millis(10));
    match &bench.clock {
        Some(_) => bench.advance(Duration::from_nanos(bench.runtime.clock().now()) + Duration::from_secs(30)),
        None => {
            while !bench.runtime.registry.is_empty() || bench.runtime.scheduler.timers() > 0 {
                std::thread::yield_now();
            }
        }
    }
    assert_eq!(group.population(), (0, 0), "seed {seed}");
    assert!(bench.runtime.registry.is_empty(), "seed {seed}: {} residents", bench.runtime.registry.len());
    assert_eq!((bench.runtime.scheduler.timers(), bench.runtime.scheduler.ready()), (0, 0), "seed {seed}");
    let kept = (tenant.names.len(), tenant.channels.len(), group.locks.len());
    assert_eq!(kept, (0, 0, 0), "seed {seed}: names, channels, locks");
    for resource in Resource::ALL {
        assert_eq!(tenant.ledger.used(resource), 0, "seed {seed}: {resource}");
    }
    let mut tally = Tally::new();
    for exit in seen.exits.lock().iter().chain(seen.kin.exits.lock().iter()) {
        let expected = match &exit.outcome {
            Outcome::Trapped { kind, backtrace } => kind == "unreachable" && !backtrace.contains("must"),
            Outcome::Failed { .. } => false,
            _ => true,
        };
        assert!(expected, "seed {seed}: {:?}", exit.outcome);
        *tally.entry(exit.outcome.name()).or_default() += 1;
    }
    tally
}

#[test]
fn whatever_coroutines_call_by_chance_nothing_is_left_of_them() {
    let bench = Bench::manual();
    let mut all = Tally::new();
    for seed in 1..=SEEDS {
        for (outcome, count) in run(&bench, seed) {
            *all.entry(outcome).or_default() += count;
        }
    }
    for outcome in ["finished", "trapped", "terminated"] {
        assert!(all.get(outcome).is_some_and(|count| *count > 10), "{outcome}: {all:?}");
    }
}

#[test]
fn the_same_with_threads() {
    let bench = Bench::threaded(64);
    let all: usize = (1..=SEEDS).map(|seed| run(&bench, seed).values().sum::<usize>()).sum();
    assert!(all > 4 * SEEDS as usize, "none made others: {all}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    assert_eq!(run(&Bench::manual(), 7), run(&Bench::manual(), 7));
}
