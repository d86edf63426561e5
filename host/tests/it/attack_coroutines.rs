//! Hostile guests against the coroutine model: what they take is charged and bounded, what they made ends with them, nobody
//! is held up by them for ever, and nothing is lost.

use crate::coroutine_faults::{Stage, module};
use crate::support::{Bench, Remember};
use corovan::runtime::Launch;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What a job of `jobs/api` is not given by its prelude.
const IMPORTS: &str = r#"
    (import "corovan" "channel_unsubscribe" (func $unsubscribe (param i32 i32 i64) (result i32)))
    (import "corovan" "channel_send" (func $publish (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "channel_transform" (func $transform (param i32 i32 i32 i32) (result i32)))
    (import "corovan" "channel_close" (func $close (param i32) (result i32)))
    (import "corovan" "lock_acquire" (func $lock_acquire (param i32 i64) (result i32)))
    (import "corovan" "lock_release" (func $lock_release (param i32) (result i32)))
    (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "unregister" (func $unregister (param i32 i32) (result i32)))
    (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))"#;

/// Subscriptions that hold the publisher, and that drop; channels `p` and `c`; a function that runs for a while.
const COMMON: &str = r#"
    (data (i32.const 512) "pc")
    (func $named (param $name i32) (result i32) (local $at i32)
        (local.set $at (call $room))
        (call $ok (call $channel_open (local.get $name) (i32.const 1) (local.get $at)))
        (local.get $at))
    (func $p (result i32) (call $named (i32.const 512)))
    (func $c (result i32) (call $named (i32.const 513)))
    (func $hold (param $channel i32) (param $who i32)
        (call $ok (call $channel_subscribe (local.get $channel) (local.get $who) (i32.const 1) (i32.const 2) (i64.const 0))))
    (func $spin (param $n i32)
        (loop $more
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $more (local.get $n))))"#;

fn guest(body: &str) -> String {
    module(&format!("{COMMON} {body}")).replacen("(module", &format!("(module {IMPORTS}"), 1)
}

/// Starts `f` of a job that may use so much CPU time.
fn start_bounded(bench: &Bench, wat: &str, cpu: Duration) -> Arc<Remember> {
    let seen = Arc::new(Remember::default());
    let launch = bench.launch(&bench.program(wat, "f"), &seen);
    bench.runtime.launch(Launch { cpu: Some(cpu), ..launch }).unwrap();
    seen
}

#[test]
fn the_cpu_time_of_a_job_is_used_up_by_all_that_it_makes_together() {
    let bench = Bench::threaded(64);
    // Each makes the next and ends, long before anybody looks at its slice.
    let wat = guest(
        r#"
        (data (i32.const 520) "f")
        (func (export "f")
            (call $spin (i32.const 100000))
            (drop (call $spawn (i32.const 520) (i32.const 1) (i32.const 168) (i32.const 1) (i32.const 0) (call $room))))"#,
    );
    let seen = start_bounded(&bench, &wat, Duration::from_millis(20));
    let is_over = |outcome: &Outcome| *outcome == Outcome::OutOfBudget { limit: 20_000_000 };
    loop {
        let (ended, over) = {
            let exits = seen.kin.exits.lock();
            // Its parent may have ended after it, on the other thread.
            (exits.len(), exits.iter().rev().take(2).any(|exit| is_over(&exit.outcome)))
        };
        // The first of them, where the machine was busy with others for long.
        let first = seen.exits.lock().last().is_some_and(|exit| is_over(&exit.outcome));
        if over || first {
            break;
        }
        assert!(ended < 50_000, "it goes on and on");
        std::thread::yield_now();
    }
    bench.close();
    assert_eq!(bench.runtime.registry.len(), 0);
}

#[test]
fn a_transform_uses_the_cpu_time_of_who_set_it() {
    let bench = Bench::threaded(64);
    let wat = guest(
        r#"
        (data (i32.const 520) "spins")
        (func (export "spins") (call $spin (i32.const 10000000)))
        (func (export "f") (local $p i32) (local $n i32)
            (local.set $p (call $p))
            (call $ok (call $transform (local.get $p) (i32.const 0) (i32.const 520) (i32.const 5)))
            (local.set $n (i32.const 200))
            (loop $more
                (drop (call $publish (local.get $p) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER)))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $more (local.get $n))))"#,
    );
    let seen = start_bounded(&bench, &wat, Duration::from_millis(200));
    seen.wait(1);
    assert_eq!(seen.outcome(), Outcome::OutOfBudget { limit: 200_000_000 });
    bench.close();
}

#[test]
fn what_a_transform_makes_ends_with_it() {
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&guest(
        r#"
        (data (i32.const 520) "makes") (data (i32.const 530) "says")
        (func (export "makes")
            (call $ok (call $spawn (i32.const 530) (i32.const 4) (i32.const 168) (i32.const 1) (i32.const 0) (call $room))))
        (func (export "says")
            (drop (call $sleep (global.get $SECOND)))
            (drop (call $log (i32.const 3) (i32.const 530) (i32.const 4))))
        (func (export "f") (local $p i32)
            (local.set $p (call $p))
            (call $ok (call $transform (local.get $p) (i32.const 0) (i32.const 520) (i32.const 5)))
            (call $ok (call $publish (local.get $p) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER)))
            (call $ok (call $sleep (i64.const 3000000000))))"#,
    ));
    assert_eq!(*seen.logs.lock(), [], "it went on after the message was sent");
    stage.close(&seen.kin);
}

/// A pump that waits for room in a full mailbox is let go with the subscription for whose sake it waits.
#[test]
fn channels_that_are_opened_and_closed_over_a_full_mailbox_leave_nobody_waiting_there() {
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&guest(
        r#"
        (data (i32.const 520) "\67senders\00")
        (func (export "f") (local $me i32) (local $p i32) (local $c i32) (local $n i32)
            (local.set $me (call $me))
            (call $fill (local.get $me))
            (local.set $n (i32.const 100))
            (loop $more
                (local.set $p (call $p))
                (local.set $c (call $c))
                (call $hold (local.get $c) (local.get $me))
                (call $ok (call $channel_subscribe (local.get $p) (local.get $c) (i32.const 1) (i32.const 0) (i64.const 0)))
                (call $ok (call $publish (local.get $p) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 0)))
                (call $ok (call $yield))
                (call $ok (call $close (local.get $c)))
                (call $ok (call $close (local.get $p)))
                (global.set $room_next (i32.const 8224))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $more (local.get $n)))
            (call $ok (call $sleep (global.get $SECOND)))
            (drop (call $status (call $me) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)))
            (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 520) (i32.const 9))))"#,
    ));
    stage.close(&seen.kin);
}

#[test]
fn a_publisher_in_a_full_mailbox_goes_on_when_the_subscription_ends_or_holds_it_no_longer() {
    for end in [
        "(call $ok (call $unsubscribe (local.get $p) (local.get $me) (i64.const 0)))",
        "(call $ok (call $channel_subscribe (local.get $p) (local.get $me) (i32.const 1) (i32.const 1) (i64.const 0)))",
    ] {
        let stage = Stage::new(Bench::manual());
        let seen = stage.run(&guest(&format!(
            r#"
            (data (i32.const 520) "helper_publishes")
            (func (export "helper_publishes")
                (call $ok (call $publish (call $p) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
            (func (export "f") (local $me i32) (local $p i32) (local $who i32)
                (local.set $me (call $me))
                (local.set $p (call $p))
                (call $fill (local.get $me))
                (call $hold (local.get $p) (local.get $me))
                (local.set $who (call $child (i32.const 520) (i32.const 16)))
                (call $ok (call $sleep (global.get $SECOND)))
                {end}
                (call $must (i32.gt_s (call $join (local.get $who) (global.get $SECOND) (global.get $PART) (global.get $BUF)
                    (global.get $CAP)) (i32.const 0)))
                (call $outcome_is (global.get $BUF) (i32.load (global.get $PART)) (i32.const 1)))"#
        )));
        stage.close(&seen.kin);
    }
}

#[test]
fn a_publisher_that_waits_for_a_sub_channels_turn_goes_on_when_that_is_unsubscribed() {
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&guest(
        r#"
        (data (i32.const 520) "helper_to_p") (data (i32.const 540) "helper_to_c")
        (func (export "helper_to_p")
            (call $ok (call $publish (call $p) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
        (func (export "helper_to_c")
            (drop (call $publish (call $c) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
        (func (export "f") (local $me i32) (local $p i32) (local $c i32) (local $who i32)
            (local.set $me (call $me))
            (local.set $p (call $p))
            (local.set $c (call $c))
            (call $hold (local.get $c) (local.get $me))
            (call $hold (local.get $p) (local.get $c))
            ;; The first fills what we take of the channel, the second waits with the channel's turn.
            (drop (call $child (i32.const 540) (i32.const 11)))
            (drop (call $child (i32.const 540) (i32.const 11)))
            (call $ok (call $sleep (global.get $SECOND)))
            (local.set $who (call $child (i32.const 520) (i32.const 11)))
            (call $ok (call $sleep (global.get $SECOND)))
            (call $ok (call $unsubscribe (local.get $p) (local.get $c) (i64.const 0)))
            (call $must (i32.gt_s (call $join (local.get $who) (global.get $SECOND) (global.get $PART) (global.get $BUF)
                (global.get $CAP)) (i32.const 0)))
            (call $outcome_is (global.get $BUF) (i32.load (global.get $PART)) (i32.const 1)))"#,
    ));
    stage.close(&seen.kin);
}

#[test]
fn arguments_are_charged_while_a_module_is_waited_for_and_an_interrupt_ends_that_wait() {
    let stage = Stage::new(Bench::manual());
    let hash = stage.bench.ship("(module (func (export \"never\")))");
    stage.bench.modules().never_ready(hash);
    let hash: String = hash.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let wat = guest(&format!(
        r#"
        (data (i32.const 520) "never") (data (i32.const 530) "{hash}")
        ;; An array of one byte string of a mebibyte.
        (data (i32.const 16384) "\81\5a\00\10\00\00")
        (func (export "f") (local $options i32)
            (call $interrupter)
            (local.set $options (call $options (i32.const 0)))
            (i32.store offset=8 (local.get $options) (i32.const 530))
            (call $refused (call $spawn (i32.const 520) (i32.const 5) (i32.const 16384) (i32.const 1048582)
                (local.get $options) (call $room)) (global.get $INTERRUPTED)))"#
    ));
    let seen = stage.start(&wat, 3600 * SECOND);
    stage.bench.advance(SECOND / 2);
    assert!(stage.tenant.ledger.used(Resource::Held) > 1 << 20);
    stage.bench.advance(600 * SECOND);
    assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
    stage.close(&seen.kin);
}

#[test]
fn the_state_of_a_swap_is_charged_as_long_as_it_is_there() {
    let stage = Stage::new(Bench::manual());
    let wat = guest(
        r#"
        (data (i32.const 520) "helper_asks") (data (i32.const 540) "idles")
        (data (i32.const 16384) "\5a\00\10\00\00")
        (func (export "helper_asks")
            (call $ok (call $swap (call $arg (i32.const 0)) (i32.const 0) (i32.const 540) (i32.const 5) (global.get $FOREVER))))
        (func (export "idles") (call $ok (call $sleep (global.get $SECOND))))
        (func (export "f")
            (drop (call $child (i32.const 520) (i32.const 11)))
            (call $is (call $hear (i64.const 0)) (i32.const 5))
            (drop (call $swap_point (i32.const 16384) (i32.const 1048581)))
            unreachable)"#,
    );
    let seen = stage.start(&wat, 3600 * SECOND);
    stage.bench.advance(SECOND / 2);
    assert!(stage.tenant.ledger.used(Resource::Held) > 1 << 20);
    stage.bench.advance(600 * SECOND);
    assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
    stage.close(&seen.kin);
}

#[test]
fn a_new_instance_that_fails_in_its_start_function_takes_no_lock_from_the_one_that_goes_on() {
    for (what, call) in [
        ("lock", "(drop (call $lock_open (i32.const 1) (i32.const 600) (i32.const 1) (i32.const 0)))"),
        ("swap", "(drop (call $swap_point (i32.const 168) (i32.const 1)))"),
        (
            "message",
            "(drop (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (i32.const 0) (i32.const 64)))",
        ),
    ] {
        let stage = Stage::new(Bench::manual());
        let next = stage.bench.ship(&guest(&format!(
            r#"(data (i32.const 600) "l") (start $begins)
            (func $begins {call} unreachable)
            (func (export "next"))"#
        )));
        let next: String = next.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let seen = stage.run(&guest(&format!(
            r#"
            (data (i32.const 520) "helper_asks") (data (i32.const 540) "next")
            (data (i32.const 560) "{next}") (data (i32.const 600) "l")
            (func (export "helper_asks")
                (call $refused (call $swap (call $arg (i32.const 0)) (i32.const 560) (i32.const 540) (i32.const 4) (global.get $FOREVER))
                    (global.get $SWAP_FAILED)))
            (func (export "f") (local $lock i32) (local $who i32)
                (local.set $lock (call $lock_open (i32.const 1) (i32.const 600) (i32.const 1) (i32.const 0)))
                (call $ok (call $lock_acquire (local.get $lock) (i64.const 0)))
                (local.set $who (call $child (i32.const 520) (i32.const 11)))
                (call $is (call $hear (i64.const 0)) (i32.const 4))
                (call $say (call $me) (i64.const 7))
                (call $refused (call $swap_point (i32.const 168) (i32.const 1)) (global.get $SWAP_FAILED))
                (call $is (call $hear (i64.const 7)) (i32.const 0))
                (call $ended_as (local.get $who) (i32.const 1))
                (call $ok (call $lock_release (local.get $lock))))"#
        )));
        assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{what}");
        stage.close(&seen.kin);
    }
}

#[test]
fn who_waits_for_an_end_is_told_also_while_its_mailbox_is_full() {
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&guest(
        r#"
        (func (export "f") (local $who i32)
            (local.set $who (call $idler))
            (call $ok (call $monitor (local.get $who)))
            (call $interrupter)
            (call $fill (call $me))
            (call $is (call $receive (global.get $FOREVER) (call $by_kind (i32.const 1)) (global.get $MESSAGE) (global.get $BUF)
                (global.get $CAP)) (global.get $INTERRUPTED))
            (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
            (call $must (i32.gt_s (call $receive (global.get $FOREVER) (call $by_kind (i32.const 1)) (global.get $MESSAGE)
                (global.get $BUF) (global.get $CAP)) (i32.const 0)))
            ;; What is wanted would come as a message, which has no room to come in.
            (call $refused (call $receive (global.get $FOREVER) (call $by_tag (i64.const 3)) (global.get $MESSAGE)
                (global.get $BUF) (global.get $CAP)) (global.get $OVERLOADED)))"#,
    ));
    stage.close(&seen.kin);
}

#[test]
fn an_answer_comes_also_where_the_tenant_has_used_up_its_quota_meanwhile() {
    let stage = Stage::bounded(Bench::manual(), 1 << 20, 1 << 20);
    let seen = stage.run(&guest(
        r#"
        (data (i32.const 520) "helper_takes_all")
        (func (export "helper_takes_all") (local $me i32) (local $size i32)
            (local.set $me (call $me))
            (call $is (call $hear (i64.const 5)) (i32.const 0))
            (local.set $size (i32.const 65536))
            (loop $smaller
                (loop $more
                    (br_if $more (i64.gt_s (call $send_after (i64.const 50000000000) (local.get $me) (i64.const 0)
                        (i32.const 16384) (local.get $size)) (i64.const 0))))
                (local.set $size (i32.shr_u (local.get $size) (i32.const 1)))
                (br_if $smaller (local.get $size)))
            (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (i32.const 16384) (i32.const 1000)))
            (call $ok (call $sleep (global.get $SECOND))))
        (func (export "f") (local $who i32)
            (local.set $who (call $child (i32.const 520) (i32.const 16)))
            (call $is (call $request (local.get $who) (i64.const 5) (i32.const 0) (i32.const 0) (global.get $FOREVER)
                (global.get $MESSAGE) (global.get $BUF) (i32.const 0)) (i32.const 1000))
            (call $ok (call $take (i64.load offset=16 (global.get $MESSAGE)) (global.get $BUF))))"#,
    ));
    stage.close(&seen.kin);
}

#[test]
fn a_wait_set_has_so_many_filters_and_no_more() {
    let stage = Stage::new(Bench::manual());
    let most = limits::WAIT_FILTERS;
    let seen = stage.run(&guest(&format!(
        r#"
        (func $filters (param $n i32) (result i32) (local $filter i32)
            (local.set $filter (call $by_tag (i64.const 3)))
            (memory.fill (i32.const 16384) (i32.const 0) (i32.const 8192))
            (loop $more
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (i32.store (i32.add (i32.const 16384) (i32.mul (local.get $n) (i32.const 32))) (i32.const 2))
                (i64.store offset=8 (i32.add (i32.const 16384) (i32.mul (local.get $n) (i32.const 32)))
                    (i64.extend_i32_u (local.get $filter)))
                (br_if $more (local.get $n)))
            (i32.const 16384))
        (func (export "f")
            (call $refused (call $wait (call $filters (i32.const {most})) (i32.const {most}) (i64.const 0)) (global.get $TIMEOUT))
            (call $refused (call $wait (call $filters (i32.const {})) (i32.const {}) (i64.const 0)) (global.get $INVALID)))"#,
        most + 1,
        most + 1
    )));
    stage.close(&seen.kin);
}

#[test]
fn a_guest_that_tries_an_address_of_another_tenant_without_end_fills_no_log() {
    /// Counts warnings.
    struct Warnings(Arc<AtomicUsize>);
    impl tracing::Subscriber for Warnings {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            if event.metadata().target().starts_with("corovan::runtime") {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let stage = Stage::new(Bench::manual());
    let idles = stage.bench.program(&guest(""), "helper_idles");
    let (other, _) = stage.bench.start(&idles);
    let other: String = address(&other.address);
    let wat = guest(&format!(
        r#"
        (data (i32.const 520) "{other}")
        (func $try (local $n i32)
            (local.set $n (i32.const 1000))
            (loop $more
                (call $is (call $send (i32.const 520) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $DENIED))
                (call $is (call $publish (i32.const 520) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $DENIED))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $more (local.get $n))))
        (func (export "f")
            (call $try)
            (call $ok (call $sleep (global.get $SECOND)))
            (call $try))"#
    ));
    let count = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&count)), || stage.run(&wat));
    assert_eq!(count.load(Ordering::Relaxed), 2, "one a second");
}

#[test]
fn who_waits_for_an_end_has_its_result_also_where_the_next_ends_push_the_record_out() {
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&guest(
        r#"
        (data (i32.const 520) "helper_gives_much") (data (i32.const 540) "helper_joins")
        ;; 16 MiB, which is all that the exit records of a computation may take, and 16 bytes more of memory.
        (func (export "helper_gives_much")
            (call $ok (call $sleep (global.get $SECOND)))
            (drop (memory.grow (i32.const 257)))
            (i32.store (i32.const 2621440) (i32.const 0xffff005a))
            (i32.store8 (i32.const 2621444) (i32.const 0xfb))
            (call $ok (call $finish (i32.const 2621440) (i32.const 0x1000000))))
        (func $size (param $who i32) (call $is (i32.const 1) (i32.gt_s
            (call $join (local.get $who) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (i32.const 0))
            (i32.const 0xfffff0))))
        (func (export "helper_joins")
            (call $is (call $hear (i64.const 3)) (i32.const 32))
            (call $size (global.get $BUF)))
        (func (export "f") (local $first i32)
            (local.set $first (call $child (i32.const 520) (i32.const 17)))
            (drop (call $child (i32.const 520) (i32.const 17)))
            ;; One who is woken before us: we come after the second has ended as well.
            (call $ok (call $send (call $child (i32.const 540) (i32.const 12)) (i64.const 3) (local.get $first) (i32.const 32)
                (i64.const 0)))
            (call $ok (call $sleep (i64.const 500000000)))
            (call $size (local.get $first))
            (call $ok (call $sleep (global.get $SECOND)))
            (call $is (call $join (local.get $first) (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 0))
                (global.get $EXPIRED))
            ;; The last is there, however large it is.
            (local.set $first (call $child (i32.const 520) (i32.const 17)))
            (call $size (local.get $first))
            (call $ok (call $sleep (global.get $SECOND)))
            (call $size (local.get $first)))"#,
    ));
    stage.close(&seen.kin);
}

/// Everything that can be done to a coroutine is done while it ends, on another thread; it holds a lock that others wait for.
#[test]
fn an_end_that_races_with_subscribe_register_monitor_lock_and_messages_leaves_nothing_and_is_told_once() {
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&guest(
        r#"
        (data (i32.const 520) "helper_holds")
        (func $holds (local $lock i32)
            (local.set $lock (call $lock_open (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 0)))
            (call $ok (call $lock_acquire (local.get $lock) (global.get $FOREVER))))
        (func (export "helper_holds") (call $holds))
        (func $may (param $code i32)
            (if (i32.ne (local.get $code) (global.get $GONE)) (then (call $ok (local.get $code)))))
        (func (export "f") (local $who i32) (local $p i32) (local $n i32)
            (local.set $p (call $p))
            (local.set $n (i32.const 2000))
            (loop $more
                (global.set $room_next (i32.const 8448))
                (local.set $who (call $child_with (i32.const 520) (i32.const 12) (i32.const 0)))
                (call $ok (call $monitor (local.get $who)))
                (call $may (call $channel_subscribe (local.get $p) (local.get $who) (i32.const 1) (i32.and (local.get $n) (i32.const 1)) (i64.const 0)))
                (call $may (call $register (i32.const 512) (i32.const 2) (local.get $who) (i64.const 0)))
                (call $ok (call $publish (local.get $p) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER)))
                (call $may (call $send (local.get $who) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 0)))
                (call $ended_as (local.get $who) (i32.const 1))
                ;; Whoever learns of its end finds its name free.
                (call $ok (call $register (i32.const 512) (i32.const 2) (local.get $p) (i64.const 0)))
                (call $ok (call $unregister (i32.const 512) (i32.const 2)))
                ;; Its end is told once.
                (call $must (i32.gt_s (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF)
                    (global.get $CAP)) (i32.const 0)))
                (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 1))
                (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
                (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
                    (global.get $TIMEOUT))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $more (local.get $n)))
            (call $holds))"#,
    ));
    assert!(stage.tenant.names.is_empty());
    assert_eq!(stage.tenant.channels.get("p").unwrap().figures().subscribers, 0);
    stage.close(&seen.kin);
    assert!(stage.group.locks.is_empty());
}

/// As a WAT string.
fn address(address: &Address) -> String {
    address.to_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
}
