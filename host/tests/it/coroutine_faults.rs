//! What goes wrong between coroutines, and what races: bounds hold, everybody who waits is told, everything comes back.

use crate::in_process::{Cluster, ECHO, prepare, run};
use crate::support::{Bench, Kin, Remember};
use corovan::runtime::{Group, Launch, Tenant};
use corovan_client::{Arguments, SubmitOptions};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits, Resource};
use corovan_core::wire::{ExitRecord, Outcome};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// See `jobs/api/README.md` for what it has.
const PRELUDE: &str = include_str!("../../../jobs/api/shared/prelude.wat");
const SECOND: Duration = Duration::from_secs(1);

pub fn module(body: &str) -> String {
    format!("(module {PRELUDE} {body})")
}

/// A computation of a tenant of its own.
pub struct Stage {
    pub bench: Bench,
    pub tenant: Arc<Tenant>,
    pub group: Arc<Group>,
}

impl Stage {
    pub fn new(bench: Bench) -> Stage {
        Stage::bounded(bench, 1 << 20, 1 << 30)
    }

    pub fn bounded(bench: Bench, coroutines: u64, held: u64) -> Stage {
        let limits = Limits { coroutines, memory: 1 << 40, held, connections: 0 };
        let tenant = Arc::new(Tenant::new("faulty", Arc::new(Ledger::new(limits)), Arc::new(Share::new(2, 100))));
        let group = bench.computation(&tenant);
        Stage { bench, tenant, group }
    }

    pub fn start(&self, wat: &str, deadline: Duration) -> Arc<Remember> {
        let seen = Arc::new(Remember::default());
        let launch = self.bench.launch(&self.bench.program(wat, "f"), &seen);
        let launch = Launch { group: Arc::clone(&self.group), deadline, ..launch };
        self.bench.runtime.launch(launch).unwrap();
        seen
    }

    /// Runs `f` on virtual time, which it has to end well on.
    pub fn run(&self, wat: &str) -> Arc<Remember> {
        let seen = self.start(wat, 3600 * SECOND);
        self.bench.advance(600 * SECOND);
        assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
        seen
    }

    /// The same with threads.
    pub fn race(&self, wat: &str) -> Arc<Remember> {
        let seen = self.start(wat, 3600 * SECOND);
        seen.wait(1);
        assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
        seen
    }

    /// Closes the computation: then nothing is left of it, and no partner has trapped.
    pub fn close(&self, kin: &Kin) {
        self.bench.runtime.close(&self.group);
        match self.bench.clock {
            Some(_) => self.bench.advance(100_000 * SECOND),
            None => self.settle(),
        }
        assert_eq!(self.group.population(), (0, 0));
        assert!(self.bench.runtime.registry.is_empty(), "{} residents", self.bench.runtime.registry.len());
        assert_eq!(self.bench.runtime.scheduler.timers(), 0, "timers");
        for resource in Resource::ALL {
            assert_eq!(self.tenant.ledger.used(resource), 0, "{resource}");
        }
        let traps = |record: &&ExitRecord| matches!(record.outcome, Outcome::Trapped { .. });
        let unexpected = |record: &&ExitRecord| traps(record) && !record.function.starts_with("helper_traps");
        assert_eq!(kin.exits.lock().iter().find(unexpected), None);
    }

    /// Until the threads have ended what is being ended; a stop timer of a termination may be left, and is let go.
    fn settle(&self) {
        while !self.bench.runtime.registry.is_empty() || self.bench.runtime.scheduler.timers() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn two_full_mailboxes_that_send_to_each_other_are_seen_in_status_and_ended_by_a_timeout_or_the_deadline() {
    let wat = |timeout: &str, expected: &str| {
        module(&format!(
            r#"
            (data (i32.const 512) "helper_right") (data (i32.const 530) "helper_watches")
            (data (i32.const 550) "\67waiting\64send") (data (i32.const 570) "\67senders\01")
            (func (export "f") (local $right i32)
                (local.set $right (call $child (i32.const 512) (i32.const 12)))
                (drop (call $child (i32.const 530) (i32.const 14)))
                (call $fill (local.get $right))
                (call $is (call $send (local.get $right) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const {timeout}))
                    (global.get {expected})))
            (func (export "helper_right") (local $left i32)
                (local.set $left (call $arg (i32.const 0)))
                (call $fill (local.get $left))
                (drop (call $send (local.get $left) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
            (func (export "helper_watches")
                (call $ok (call $sleep (global.get $SECOND)))
                (drop (call $status (call $arg (i32.const 0)) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)))
                (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 550) (i32.const 13)))
                (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 570) (i32.const 9)))
                (call $ok (call $finish (i32.const 168) (i32.const 1))))"#
        ))
    };
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&wat("5000000000", "$TIMEOUT"));
    assert_eq!(seen.exits.lock()[0].usage.wall, 5_000_000_000);
    stage.close(&seen.kin);

    let stage = Stage::new(Bench::manual());
    let seen = stage.start(&wat("-1", "$GONE"), 10 * SECOND);
    stage.bench.advance(20 * SECOND);
    assert_eq!(seen.outcome(), Outcome::Deadline { limit: 10_000_000_000 });
    let looked = seen.kin.exits.lock().iter().any(|exit| exit.outcome.value().is_some_and(|value| value.len() == 1));
    assert!(looked, "{:?}", seen.kin.exits.lock());
    stage.close(&seen.kin);
}

#[test]
fn a_thousand_timers_of_a_mebibyte_for_a_victim_cost_their_sender_and_fill_no_more_than_one_mailbox() {
    const HELD: u64 = 40 << 20;
    let wat = module(
        r#"
        (data (i32.const 512) "helper_works_on")
        (data (i32.const 530) "\6dmailbox_bytes\1a\01\00\00\00")
        (func (export "f") (local $victim i32) (local $i i32) (local $set i32)
            (local.set $victim (call $child (i32.const 512) (i32.const 15)))
            (loop $more
                (if (i64.gt_s (call $send_after (global.get $SECOND) (local.get $victim) (i64.const 1) (i32.const 65536) (i32.const 1048576)) (i64.const 0))
                    (then (local.set $set (i32.add (local.get $set) (i32.const 1)))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
            (call $is (local.get $set) (i32.const 39))
            (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
            (drop (call $status (local.get $victim) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)))
            (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 530) (i32.const 19)))
            ;; The victim is there for others when it has read.
            (call $ok (call $resume (local.get $victim) (i32.const 0) (i32.const 0) (i64.const 0)))
            (call $ok (call $sleep (global.get $SECOND)))
            (call $is (call $request (local.get $victim) (i64.const 2) (i32.const 16) (i32.const 8) (global.get $SECOND)
                (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 8)))
        (func (export "helper_works_on") (local $size i32)
            (call $ok (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)))
            (loop $more
                (local.set $size (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (i32.const 65536) (i32.const 1048576)))
                (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return)))
                (drop (call $reply (i64.load offset=24 (global.get $MESSAGE)) (i32.const 65536) (local.get $size)))
                (br $more)))"#,
    );
    let stage = Stage::bounded(Bench::manual(), 100, HELD);
    let seen = stage.run(&wat);
    stage.close(&seen.kin);
}

#[test]
fn a_message_whose_sender_gave_up_or_ended_never_arrives() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_sends") (data (i32.const 530) "helper_asks") (data (i32.const 545) "helper_traps_then")
        (func (export "f") (local $sender i32) (local $i i32)
            (call $fill (call $me))
            (local.set $sender (call $child (i32.const 512) (i32.const 12)))
            (drop (call $child (i32.const 530) (i32.const 11)))
            (drop (call $child (i32.const 545) (i32.const 17)))
            (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
            (call $ok (call $terminate (local.get $sender) (global.get $FOREVER)))
            (loop $more
                (call $ok (call $hear (i64.const 9)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $i) (i32.const 10000))))
            (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
        (func (export "helper_sends")
            (drop (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
        (func (export "helper_asks")
            (call $is (call $request (call $arg (i32.const 0)) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $SECOND)
                (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
        (func (export "helper_traps_then")
            (call $is (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $SECOND)) (global.get $TIMEOUT))
            unreachable)"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&wat);
    stage.close(&seen.kin);
}

#[test]
fn senders_that_wait_are_served_first_come_first_served_also_a_small_message_behind_a_large_one() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_large") (data (i32.const 530) "helper_small")
        (func (export "f") (local $i i32)
            (local.set $i (i32.const 16))
            (loop $more
                (call $ok (call $send (call $me) (i64.const 5) (i32.const 65536) (i32.const 1048576) (i64.const 0)))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (drop (call $child (i32.const 512) (i32.const 12)))
            (call $ok (call $yield))
            (drop (call $child (i32.const 530) (i32.const 12)))
            (call $ok (call $sleep (global.get $SECOND)))
            ;; Nobody passes those who wait.
            (call $refused (call $send (call $me) (i64.const 5) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $OVERLOADED))
            (local.set $i (i32.const 16))
            (loop $more
                (call $large (i64.const 5))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (call $large (i64.const 1))
            (call $is (call $hear (i64.const 2)) (i32.const 8)))
        (func $large (param $tag i64)
            (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (i32.const 65536) (i32.const 1048576)) (i32.const 1048576))
            (call $is64 (i64.load offset=8 (global.get $MESSAGE)) (local.get $tag)))
        (func (export "helper_large")
            (call $ok (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 65536) (i32.const 1048576) (global.get $FOREVER))))
        (func (export "helper_small")
            (call $ok (call $send (call $arg (i32.const 0)) (i64.const 2) (i32.const 16) (i32.const 8) (global.get $FOREVER))))"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&wat);
    stage.close(&seen.kin);
}

#[test]
fn a_hundred_thousand_timers_that_are_due_at_once_all_come() {
    let wat = module(
        r#"
        (func (export "f") (local $i i64) (local $me i32)
            (local.set $me (call $me))
            (loop $more
                (call $must (i64.gt_s (call $send_after (global.get $SECOND) (local.get $me) (local.get $i) (i32.const 0) (i32.const 0)) (i64.const 0)))
                (local.set $i (i64.add (local.get $i) (i64.const 1)))
                (br_if $more (i64.lt_u (local.get $i) (i64.const 100000))))
            (call $refused64 (call $send_after (global.get $SECOND) (local.get $me) (i64.const 1) (i32.const 0) (i32.const 0)) (global.get $OVERLOADED))
            (local.set $i (i64.const 0))
            (loop $more
                (call $ok (call $hear (local.get $i)))
                (local.set $i (i64.add (local.get $i) (i64.const 1)))
                (br_if $more (i64.lt_u (local.get $i) (i64.const 100000))))
            ;; Then there is room again.
            (call $must (i64.gt_s (call $send_after (i64.const 0) (local.get $me) (i64.const 7) (i32.const 0) (i32.const 0)) (i64.const 0)))
            (call $ok (call $hear (i64.const 7))))"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&wat);
    let usage = seen.exits.lock()[0].usage;
    assert_eq!((usage.wall, usage.messages_in, usage.messages_out), (1_000_000_000, 100_001, 0));
    stage.close(&seen.kin);
}

#[test]
fn coroutines_that_make_others_without_end_have_what_their_tenant_may_have_and_end_with_their_time() {
    const QUOTA: u64 = 50;
    let wat = module(
        r#"
        (data (i32.const 512) "f")
        (func (export "f") (local $i i32)
            (call $ok (call $sleep (global.get $SECOND)))
            (local.set $i (i32.const 3))
            (loop $more
                (drop (call $spawn (i32.const 512) (i32.const 1) (i32.const 168) (i32.const 1) (i32.const 0) (i32.const 8192)))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (call $ok (call $sleep (i64.div_u (global.get $SECOND) (i64.const 3)))))"#,
    );
    let stage = Stage::bounded(Bench::manual(), QUOTA, 1 << 20);
    let seen = stage.start(&wat, 60 * SECOND);
    let mut most = 0;
    for second in 1..70 {
        stage.bench.advance(second * SECOND);
        most = most.max(stage.tenant.ledger.used(Resource::Coroutines));
    }
    assert_eq!(most, QUOTA);
    let made = seen.kin.exits.lock().len();
    assert!(made > 1_000, "{made}");
    stage.close(&seen.kin);
}

#[test]
fn daemons_end_after_the_last_working_coroutine_and_a_working_child_is_waited_for() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_serves") (data (i32.const 530) "helper_works")
        (func (export "f")
            (drop (call $child (i32.const 512) (i32.const 13)))
            (drop (call $child_with (i32.const 530) (i32.const 12) (i32.const 0))))
        (func (export "helper_serves")
            (call $is (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INTERRUPTED))
            (call $ok (call $finish (i32.const 168) (i32.const 1))))
        (func (export "helper_works")
            (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 5))))
            ;; The last one that works, and works no more: that is the end, of this one as well.
            (call $ok (call $set_daemon (i32.const 1)))
            (call $is (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED))
            (call $is (call $spawn (i32.const 64) (i32.const 11) (i32.const 168) (i32.const 1) (i32.const 0) (i32.const 8192)) (global.get $SHUTTING_DOWN)))"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.start(&wat, 60 * SECOND);
    stage.bench.runtime.close(&stage.group);
    stage.bench.advance(4 * SECOND);
    assert_eq!((seen.exits.lock().len(), stage.group.population()), (1, (1, 1)));
    stage.bench.advance(6 * SECOND);
    let exits = seen.kin.exits.lock();
    let ends: Vec<_> = exits.iter().map(|exit| (&*exit.function, exit.usage.wall, &exit.outcome)).collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    for (function, wall, outcome) in ends {
        assert_eq!(wall, 5_000_000_000, "{function}");
        assert!(matches!(outcome, Outcome::Terminated { by, .. } if by == "node"), "{function}: {outcome:?}");
    }
    drop(exits);
    stage.close(&seen.kin);
}

#[test]
fn usage_counts_messages_and_their_bytes_of_those_who_sent_and_read_them() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_reads")
        (func (export "f") (local $who i32)
            (local.set $who (call $child (i32.const 512) (i32.const 12)))
            (call $say (local.get $who) (i64.const 1))
            (call $ok (call $send (local.get $who) (i64.const 1) (i32.const 65536) (i32.const 100000) (i64.const 0)))
            (call $is (call $request (local.get $who) (i64.const 1) (i32.const 16) (i32.const 11) (global.get $SECOND)
                (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 7))
            ;; None of these is sent.
            (drop (call $send (local.get $who) (i64.const 1) (i32.const 0) (i32.const -1) (i64.const 0)))
            (drop (call $send (call $forged) (i64.const 1) (i32.const 0) (i32.const 10) (i64.const 0)))
            (call $end_of (local.get $who)))
        (func (export "helper_reads")
            (drop (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)))
            (drop (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (i32.const 0)))
            (drop (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
            (call $ok (call $reply (i64.load offset=24 (global.get $MESSAGE)) (global.get $BUF) (i32.const 7))))"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.run(&wat);
    let (own, reader) = (seen.exits.lock()[0].usage, seen.kin.exits.lock()[0].usage);
    assert_eq!((own.messages_out, own.bytes_out, own.messages_in, own.bytes_in), (3, 100_011, 1, 7));
    assert_eq!((reader.messages_in, reader.bytes_in, reader.messages_out, reader.bytes_out), (3, 100_011, 1, 7));
    stage.close(&seen.kin);
}

#[test]
fn a_coroutine_that_ends_with_everything_open_leaves_nothing_and_tells_everybody() {
    let body = |end: &str| {
        module(&format!(
            r#"
            (data (i32.const 512) "helper_asks") (data (i32.const 530) "helper_sends") (data (i32.const 550) "helper_joins")
            (data (i32.const 570) "helper_swaps")
            (func (export "f") (local $idler i32)
                (call $tokens)
                (local.set $idler (call $idler))
                (call $must (i64.gt_s (call $send_after (i64.mul (global.get $SECOND) (i64.const 99)) (call $me) (i64.const 1) (i32.const 65536) (i32.const 100000)) (i64.const 0)))
                (call $must (i64.gt_s (call $send_after (i64.mul (global.get $SECOND) (i64.const 99)) (local.get $idler) (i64.const 1) (i32.const 65536) (i32.const 100000)) (i64.const 0)))
                (call $must (i64.gt_s (call $send_after (global.get $FOREVER) (local.get $idler) (i64.const 1) (i32.const 65536) (i32.const 100000)) (i64.const 0)))
                (call $ok (call $monitor (local.get $idler)))
                (call $ok (call $monitor (call $ended)))
                (call $ok (call $resume (call $me) (i32.const 65536) (i32.const 100000) (i64.const 0)))
                (drop (call $child (i32.const 512) (i32.const 11)))
                (drop (call $child (i32.const 550) (i32.const 12)))
                (drop (call $child (i32.const 570) (i32.const 12)))
                (call $ok (call $sleep (global.get $SECOND)))
                ;; A reply that is owed, and one that was not read.
                (call $ok (call $drop (i64.const 1)))
                (call $must (i32.ge_s (call $receive (i64.const 0) (call $by_tag (i64.const 1)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 0)))
                (drop (call $child (i32.const 512) (i32.const 11)))
                (call $ok (call $sleep (global.get $SECOND)))
                (call $fill (call $me))
                (drop (call $child (i32.const 530) (i32.const 12)))
                (call $ok (call $sleep (global.get $SECOND)))
                (call $ok (call $finish (i32.const 168) (i32.const 1)))
                {end})
            (func (export "helper_asks") (local $code i32)
                (local.set $code (call $request (call $arg (i32.const 0)) (i64.const 1) (i32.const 65536) (i32.const 100000) (global.get $FOREVER)
                    (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
                (call $must (i32.or (i32.eq (local.get $code) (global.get $GONE)) (i32.eq (local.get $code) (global.get $CLOSED))))
                (call $ok (call $finish (i32.const 168) (i32.const 1))))
            (func (export "helper_sends")
                (call $is (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 65536) (i32.const 100000) (global.get $FOREVER)) (global.get $GONE))
                (call $ok (call $finish (i32.const 168) (i32.const 1))))
            (func (export "helper_joins")
                (call $must (i32.gt_s (call $join (call $arg (i32.const 0)) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (i32.const 0)) (i32.const 0)))
                (call $ok (call $finish (i32.const 168) (i32.const 1))))
            (func (export "helper_swaps")
                (call $is (call $swap (call $arg (i32.const 0)) (i32.const 0) (i32.const 64) (i32.const 11) (global.get $FOREVER)) (global.get $GONE))
                (call $ok (call $finish (i32.const 168) (i32.const 1))))"#
        ))
    };
    type Check = fn(&Outcome) -> bool;
    // How it ends, and how many of the five who wait for it live to be told: at the deadline they end with it.
    let ends: &[(&str, usize, Check)] = &[
        ("", 5, |outcome| matches!(outcome, Outcome::Finished(_))),
        ("unreachable", 5, |outcome| matches!(outcome, Outcome::Trapped { .. })),
        ("(drop (call $args (global.get $NOWHERE) (i32.const 9)))", 5, |outcome| {
            matches!(outcome, Outcome::Trapped { .. })
        }),
        ("(call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))", 5, |outcome| {
            matches!(outcome, Outcome::Failed { .. })
        }),
        (
            "(drop (call $terminate (call $me) (i64.const 0))) (drop (call $sleep (global.get $FOREVER)))",
            5,
            |outcome| matches!(outcome, Outcome::Terminated { value: Some(_), .. }),
        ),
        ("(drop (call $sleep (global.get $FOREVER)))", 0, |outcome| matches!(outcome, Outcome::Deadline { .. })),
    ];
    for (end, waiting, expected) in ends {
        let stage = Stage::new(Bench::manual());
        let seen = stage.start(&body(end), 50 * SECOND);
        stage.bench.advance(60 * SECOND);
        assert!(expected(&seen.outcome()), "{end:?}: {:?}", seen.outcome());
        let told =
            seen.kin.exits.lock().iter().filter(|exit| exit.outcome.value().is_some_and(|v| v.len() == 1)).count();
        assert_eq!(told, *waiting, "{end:?}: {:?}", seen.kin.exits.lock());
        stage.close(&seen.kin);
    }
}

#[test]
fn a_hundred_thousand_coroutines_have_each_an_address_of_its_own_and_their_own_result() {
    const MADE: usize = 100_000;
    // In windows of 100: makes them with their number as the argument, then joins each and looks for that number.
    let wat = module(&format!(
        r#"
        (data (i32.const 512) "helper_gives") (data (i32.const 530) "\65bytes\45")
        (func $big (param $at i32) (param $n i32)
            (i32.store8 (local.get $at) (i32.const 0x1a))
            (i32.store8 offset=1 (local.get $at) (i32.shr_u (local.get $n) (i32.const 24)))
            (i32.store8 offset=2 (local.get $at) (i32.shr_u (local.get $n) (i32.const 16)))
            (i32.store8 offset=3 (local.get $at) (i32.shr_u (local.get $n) (i32.const 8)))
            (i32.store8 offset=4 (local.get $at) (local.get $n)))
        (func (export "f") (local $first i32) (local $i i32)
            (loop $window
                (local.set $i (i32.const 0))
                (i32.store8 (i32.const 600) (i32.const 0x81))
                (loop $more
                    (call $big (i32.const 601) (i32.add (local.get $first) (local.get $i)))
                    (call $ok (call $spawn (i32.const 512) (i32.const 12) (i32.const 600) (i32.const 6) (i32.const 0)
                        (i32.add (i32.const 16384) (i32.mul (local.get $i) (i32.const 32)))))
                    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
                (local.set $i (i32.const 0))
                (loop $more
                    (call $end_of (i32.add (i32.const 16384) (i32.mul (local.get $i) (i32.const 32))))
                    (call $big (i32.const 537) (i32.add (local.get $first) (local.get $i)))
                    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 530) (i32.const 12)))
                    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
                (br_if $window (i32.lt_u (local.tee $first (i32.add (local.get $first) (i32.const 100))) (i32.const {MADE})))))
        (func (export "helper_gives")
            (call $is (call $args (global.get $BUF) (global.get $CAP)) (i32.const 6))
            (call $ok (call $finish (i32.add (global.get $BUF) (i32.const 1)) (i32.const 5))))"#
    ));
    let stage = Stage::new(Bench::threaded(1_000));
    let seen = stage.race(&wat);
    // Whoever joins may know of an end before its observer does.
    stage.close(&seen.kin);
    let addresses: HashSet<_> = seen.kin.exits.lock().iter().map(|exit| exit.address.to_bytes()).collect();
    assert_eq!(addresses.len(), MADE);
}

#[test]
fn questions_and_answers_between_threads_lose_nothing() {
    let wat = module(
        r#"
        (func (export "f") (local $i i32) (local $who i32)
            (local.set $who (call $answerer))
            (loop $more
                (i32.store (i32.const 600) (local.get $i))
                (call $is (call $request (local.get $who) (i64.const 1) (i32.const 600) (i32.const 4) (i64.const 60000000000)
                    (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 4))
                (call $is (i32.load (global.get $BUF)) (local.get $i))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000))))
            (call $ok (call $terminate (local.get $who) (global.get $FOREVER))))"#,
    );
    let bench = Bench::threaded(64);
    let (_, seen) = bench.start(&bench.program(&wat, "f"));
    seen.wait(1);
    assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
    bench.close();
    for resource in Resource::ALL {
        assert_eq!(bench.tenant.ledger.used(resource), 0, "{resource}");
    }
}

#[test]
fn messages_of_many_senders_come_in_the_order_of_each_though_the_mailbox_is_full_all_the_time() {
    // The tag is the sender's number, the bytes count its messages. 8 times 5,000 through a mailbox of 10,000.
    let wat = module(
        r#"
        (data (i32.const 512) "helper_sends")
        (func (export "f") (local $i i32) (local $next i32)
            (loop $more
                (call $ok (call $resume (call $child_with (i32.const 512) (i32.const 12) (i32.const 0)) (i32.const 600) (i32.const 4) (i64.const 0)))
                (i32.store (i32.const 600) (local.tee $i (i32.add (local.get $i) (i32.const 1))))
                (br_if $more (i32.lt_u (local.get $i) (i32.const 8))))
            (local.set $i (i32.const 40000))
            (loop $more
                (call $is (call $receive (i64.const 60000000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 4))
                (local.set $next (i32.add (i32.const 16384) (i32.mul (i32.const 4) (i32.load offset=8 (global.get $MESSAGE)))))
                (call $is (i32.load (global.get $BUF)) (i32.load (local.get $next)))
                (i32.store (local.get $next) (i32.add (i32.load (local.get $next)) (i32.const 1)))
                (br_if $more (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
        (func (export "helper_sends") (local $i i32)
            (call $is (call $suspend (global.get $FOREVER) (global.get $PART) (i32.const 600) (i32.const 4)) (i32.const 4))
            (loop $more
                (i32.store (i32.const 604) (local.get $i))
                (call $ok (call $send (call $arg (i32.const 0)) (i64.load32_u (i32.const 600)) (i32.const 604) (i32.const 4) (i64.const 60000000000)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5000)))))"#,
    );
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&wat);
    stage.close(&seen.kin);
}

#[test]
fn whoever_waits_for_room_is_told_when_the_receiver_ends_at_that_moment() {
    // 200 rounds: four senders wait at a mailbox that its coroutine leaves.
    let wat = module(
        r#"
        (data (i32.const 512) "helper_leaves") (data (i32.const 530) "helper_insists")
        (func (export "f") (local $round i32) (local $i i32) (local $victim i32)
            (loop $more
                (global.set $room_next (i32.const 8192))
                (local.set $victim (call $child (i32.const 512) (i32.const 13)))
                (memory.copy (i32.const 1500) (local.get $victim) (i32.const 32))
                (local.set $i (i32.const 4))
                (loop $sender
                    (i32.store (i32.const 1100) (i32.const 0x00205881))
                    (memory.copy (i32.const 1103) (i32.const 1500) (i32.const 32))
                    (call $ok (call $spawn (i32.const 530) (i32.const 14) (i32.const 1100) (i32.const 35) (call $options (i32.const 2)) (call $room)))
                    (br_if $sender (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
                (local.set $i (i32.const 4))
                (loop $end
                    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
                    (call $outcome_is (global.get $BUF) (i32.load (global.get $MESSAGE)) (i32.const 1))
                    (br_if $end (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
                (br_if $more (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 200)))))
        ;; Reads a little, so that some who wait are let in, and goes.
        (func (export "helper_leaves") (local $i i32)
            (loop $more
                (drop (call $receive (i64.const 60000000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100)))))
        ;; Of 1 MiB there is room for 16.
        (func (export "helper_insists") (local $code i32)
            (loop $more
                (local.set $code (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 65536) (i32.const 1048576) (i64.const 60000000000)))
                (br_if $more (i32.eqz (local.get $code))))
            (call $is (local.get $code) (global.get $GONE)))"#,
    );
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&wat);
    stage.close(&seen.kin);
}

#[test]
fn an_end_that_races_with_monitor_join_or_terminate_is_told_once_to_each() {
    let wat = module(
        r#"
        (func (export "f") (local $i i32) (local $who i32)
            (loop $more
                (global.set $room_next (i32.const 8192))
                ;; It ends while we ask for the message of its end.
                (local.set $who (call $child (i32.const 64) (i32.const 11)))
                (call $ok (call $monitor (local.get $who)))
                (call $exit_of (local.get $who))
                ;; While we wait for it.
                (call $end_of (call $child (i32.const 64) (i32.const 11)))
                ;; While we end it; a message comes all the same.
                (local.set $who (call $child_with (i32.const 64) (i32.const 11) (i32.const 3)))
                (call $ok (call $terminate (local.get $who) (i64.const 60000000000)))
                (call $exit_of (local.get $who))
                ;; While we send to it, and take the monitor back: then there is none, or one that has come.
                (local.set $who (call $child_with (i32.const 64) (i32.const 11) (i32.const 3)))
                (drop (call $send (local.get $who) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const 60000000000)))
                (if (call $demonitor (local.get $who)) (then (call $exit_of (local.get $who))))
                ;; While it is linked with us: its end as it should be is not ours.
                (call $end_of (call $child_with (i32.const 64) (i32.const 11) (i32.const 5)))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000))))
            (call $is (call $receive (i64.const 1000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
        (func $exit_of (param $who i32)
            (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
            (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 1))
            (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32))))"#,
    );
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&wat);
    stage.close(&seen.kin);
}

#[test]
fn swaps_that_race_with_the_end_an_interrupt_or_messages_leave_one_coroutine_with_all_its_messages() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_swaps") (data (i32.const 530) "helper_counts") (data (i32.const 550) "helper_ends_soon")
        (func $swapped (param $who i32) (result i32)
            (call $swap (local.get $who) (i32.const 0) (i32.const 530) (i32.const 13) (i64.const 60000000000)))
        (func (export "f") (local $i i32) (local $who i32) (local $code i32)
            (loop $more
                (global.set $room_next (i32.const 8192))
                ;; Messages that come while it is swapped are counted by the one that takes over, and none is lost.
                (local.set $who (call $child (i32.const 512) (i32.const 12)))
                (call $say (local.get $who) (i64.const 1))
                (call $ok (call $swapped (local.get $who)))
                (call $say (local.get $who) (i64.const 1))
                (call $say (local.get $who) (i64.const 2))
                (call $is (call $hear (i64.const 3)) (i32.const 4))
                (call $is (i32.load (global.get $BUF)) (i32.const 2))
                (call $end_of (local.get $who))
                ;; It ends, or is ended, while it is asked.
                (call $is (call $swapped (call $child (i32.const 550) (i32.const 16))) (global.get $GONE))
                (local.set $who (call $child (i32.const 512) (i32.const 12)))
                (call $ok (call $resume (call $child_of (local.get $who)) (i32.const 0) (i32.const 0) (i64.const 0)))
                (local.set $code (call $swapped (local.get $who)))
                (call $must (i32.or (i32.eqz (local.get $code)) (i32.or
                    (i32.eq (local.get $code) (global.get $GONE)) (i32.eq (local.get $code) (global.get $SWAP_FAILED)))))
                (call $end_of (local.get $who))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))))
        ;; One that terminates it.
        (data (i32.const 570) "helper_ends_it")
        (func $child_of (param $whom i32) (result i32) (local $out i32)
            (local.set $out (call $room))
            (i32.store (i32.const 1100) (i32.const 0x00205881))
            (memory.copy (i32.const 1103) (local.get $whom) (i32.const 32))
            (call $ok (call $spawn (i32.const 570) (i32.const 14) (i32.const 1100) (i32.const 35) (call $options (i32.const 1)) (local.get $out)))
            (local.get $out))
        (func (export "helper_ends_it")
            (drop (call $suspend (i64.const 60000000000) (global.get $PART) (global.get $BUF) (global.get $CAP)))
            (call $ok (call $terminate (call $arg (i32.const 0)) (i64.const 60000000000))))
        (func (export "helper_swaps")
            (drop (call $arg (i32.const 0)))
            (if (i32.lt_s (call $receive (i64.const 60000000000) (call $by_kind (i32.const 4)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 0))
                (then (return)))
            (drop (call $swap_point (global.get $ARGS) (i32.const 35))))
        (func (export "helper_counts") (local $parent i32) (local $n i32)
            (call $is (call $args (global.get $ARGS) (i32.const 100)) (i32.const 36))
            (local.set $parent (i32.add (global.get $ARGS) (i32.const 4)))
            (loop $more
                (if (i32.lt_s (call $receive (i64.const 60000000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 0))
                    (then (return)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $more (i64.eq (i64.load offset=8 (global.get $MESSAGE)) (i64.const 1))))
            (i32.store (i32.const 600) (i32.sub (local.get $n) (i32.const 1)))
            (drop (call $send (local.get $parent) (i64.const 3) (i32.const 600) (i32.const 4) (i64.const 0))))
        (func (export "helper_ends_soon") (drop (call $yield)))"#,
    );
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&wat);
    stage.close(&seen.kin);
}

#[test]
fn a_resume_an_interrupt_or_a_timer_that_races_with_the_wait_for_it_is_not_lost() {
    let wat = module(
        r#"
        (data (i32.const 512) "helper_repeats")
        (func (export "f") (local $i i32) (local $who i32) (local $timer i64)
            (local.set $who (call $child (i32.const 512) (i32.const 14)))
            (loop $more
                (i32.store (i32.const 600) (local.get $i))
                (call $ok (call $resume (local.get $who) (i32.const 600) (i32.const 4) (i64.const 0)))
                (call $is (call $suspend (i64.const 60000000000) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 4))
                (call $is (i32.load (global.get $BUF)) (local.get $i))
                (call $ok (call $interrupt (local.get $who) (i32.const 96) (i32.const 4) (i64.const 0)))
                (call $ok (call $hear (i64.const 4)))
                ;; A timer of ten microseconds, taken back or come: one of both.
                (local.set $timer (call $send_after (i64.const 10000) (call $me) (i64.const 5) (i32.const 0) (i32.const 0)))
                (drop (call $yield))
                (if (call $cancel_timer (local.get $timer)) (then (call $ok (call $hear (i64.const 5)))))
                ;; The first address is that of the partner.
                (global.set $room_next (i32.const 8224))
                (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5000))))
            (call $is (call $receive (i64.const 1000000) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))
        (func (export "helper_repeats") (local $size i32)
            (loop $more
                (local.set $size (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)))
                (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return)))
                (call $ok (call $resume (call $arg (i32.const 0)) (global.get $BUF) (local.get $size) (i64.const 0)))
                (call $is (call $suspend (i64.const 60000000000) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INTERRUPTED))
                (call $say (call $arg (i32.const 0)) (i64.const 4))
                (br $more)))"#,
    );
    let stage = Stage::new(Bench::threaded(64));
    let seen = stage.race(&wat);
    stage.close(&seen.kin);
}

#[test]
fn of_those_who_are_linked_all_end_with_the_one_that_ends_badly_and_none_with_the_one_that_does_not() {
    // A chain of 50: each makes the next, linked. The last traps, or returns.
    let wat = |last: &str| {
        module(&format!(
            r#"
            (data (i32.const 512) "helper_link")
            (func (export "f")
                (i32.store8 (i32.const 600) (i32.const 0x81)) (i32.store8 (i32.const 601) (i32.const 0x18)) (i32.store8 (i32.const 602) (i32.const 50))
                (call $ok (call $spawn (i32.const 512) (i32.const 11) (i32.const 600) (i32.const 3) (call $options (i32.const 1)) (i32.const 8192)))
                (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 9)))))
            (func (export "helper_link") (local $n i32)
                (call $is (call $args (i32.const 600) (i32.const 3)) (i32.const 3))
                (local.set $n (i32.load8_u (i32.const 602)))
                (i32.store8 (i32.const 602) (i32.sub (local.get $n) (i32.const 1)))
                (if (i32.eq (local.get $n) (i32.const 25)) (then {last}))
                (call $ok (call $spawn (i32.const 512) (i32.const 11) (i32.const 600) (i32.const 3) (call $options (i32.const 5)) (i32.const 8192)))
                (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))"#
        ))
    };
    for (last, ended, outcome) in [
        ("(call $ok (call $sleep (global.get $SECOND))) (return)", 1, "finished"),
        (
            "(call $ok (call $sleep (global.get $SECOND))) (call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
            26,
            "terminated",
        ),
    ] {
        let stage = Stage::new(Bench::manual());
        let seen = stage.start(&wat(last), 3600 * SECOND);
        stage.bench.advance(5 * SECOND);
        let names: Vec<_> = seen.kin.exits.lock().iter().map(|exit| exit.outcome.name()).collect();
        assert_eq!((names.len(), names.last().copied()), (ended, Some(outcome)), "{last}: {names:?}");
        stage.bench.advance(20 * SECOND);
        assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{last}: who is not linked goes on");
        stage.close(&seen.kin);
    }
}

#[test]
fn a_job_that_is_ended_cannot_go_on_by_making_coroutines_while_it_ends() {
    // Each that is interrupted makes another before it goes.
    let wat = module(
        r#"
        (data (i32.const 512) "f")
        (func (export "f")
            (drop (call $sleep (global.get $FOREVER)))
            (drop (call $spawn (i32.const 512) (i32.const 1) (i32.const 168) (i32.const 1) (i32.const 0) (i32.const 8192)))
            (drop (call $spawn (i32.const 512) (i32.const 1) (i32.const 168) (i32.const 1) (i32.const 0) (i32.const 8192)))
            (drop (call $sleep (global.get $FOREVER))))"#,
    );
    for grown in [false, true] {
        let stage = Stage::bounded(Bench::manual(), 50, 1 << 20);
        let observer = Arc::new(Remember::default());
        let launch = stage.bench.launch(&stage.bench.program(&wat, "f"), &observer);
        let launch = Launch { group: Arc::clone(&stage.group), ..launch };
        let control = stage.bench.runtime.launch(launch).unwrap();
        stage.bench.advance(SECOND);
        if grown {
            control.interrupt("make some");
            stage.bench.advance(SECOND);
            assert_eq!(stage.group.population(), (3, 0));
        }
        stage.bench.runtime.terminate_tree(&control.tree, "client", "enough", SECOND);
        stage.bench.runtime.terminate(&control, "client", "enough", SECOND);
        stage.bench.advance(10 * SECOND);
        assert_eq!(stage.group.population(), (0, 0));
        let by = |record: &ExitRecord| matches!(&record.outcome, Outcome::Terminated { by, .. } if by == "client");
        assert!(by(&observer.exits.lock()[0]) && observer.kin.exits.lock().iter().all(by));
        stage.close(&observer.kin);
    }
}

#[test]
fn a_job_that_makes_coroutines_without_end_on_a_node_has_its_tenants_slots_and_ends_when_its_client_says_so() {
    const SLOTS: u32 = 256;
    // Each makes others for ever, also when it is interrupted, and when it is told that there is no room.
    let wat = r#"(module
        (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "f\80")
        (func (export "f")
            (loop $more
                (drop (call $spawn (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 64)))
                (drop (call $sleep (i64.const 1000000)))
                (br $more))))"#;
    run(async {
        let cluster = Cluster::start(SLOTS).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, wat, "f").await;
        let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
        cluster.has_load(SLOTS as usize, 0).await;
        // Others are served all the same.
        let neighbour = cluster.open("neighbour").await;
        let echo = prepare(&neighbour, ECHO, "echo").await;
        let record = neighbour.run(&echo, Arguments::of(&(7,)).unwrap()).await.unwrap();
        assert!(matches!(record.outcome, Outcome::Finished(_)), "{record:?}");
        job.cancel("enough", Some(SECOND / 10));
        let record = job.result().await;
        assert!(matches!(record.outcome, Outcome::Terminated { .. }), "{record:?}");
        cluster.has_load(0, 0).await;
        computation.close().await.unwrap();
        let tenant = cluster.node.service().tenants.get("me");
        for resource in [Resource::Coroutines, Resource::Memory] {
            assert_eq!(tenant.ledger.used(resource), 0, "{resource}");
        }
    });
}

#[test]
fn a_swap_whose_new_module_never_starts_fails_and_one_that_is_never_answered_is_given_up() {
    // The target tells how it went, and goes on.
    let old = module(
        r#"
        (data (i32.const 512) "helper_swaps") (data (i32.const 530) "g")
        (func (export "f") (local $who i32)
            (local.set $who (call $child (i32.const 512) (i32.const 12)))
            (call $is (call $swap (local.get $who) (call $arg (i32.const 0)) (i32.const 530) (i32.const 1) (global.get $FOREVER))
                (global.get $SWAP_FAILED))
            (call $ok (call $hear (i64.const 7))))
        (func (export "helper_swaps")
            (call $is (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 1))
            (call $refused (call $swap_point (i32.const 168) (i32.const 1)) (global.get $SWAP_FAILED))
            (call $say (call $arg (i32.const 0)) (i64.const 7)))"#,
    );
    for endless in [
        r#"(module (func $start (loop (br 0))) (start $start) (func (export "g")))"#,
        r#"(module (func (export "_initialize") (loop (br 0))) (func (export "g")))"#,
    ] {
        let stage = Stage::new(Bench::threaded(64));
        let hash = stage.bench.ship(endless);
        let args = [&[0x81, 0x58, 32][..], &hash.0].concat();
        let seen = Arc::new(Remember::default());
        let launch = stage.bench.launch(&stage.bench.program(&old, "f"), &seen);
        stage.bench.runtime.launch(Launch { group: Arc::clone(&stage.group), args: args.into(), ..launch }).unwrap();
        seen.wait(1);
        assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
        stage.close(&seen.kin);
    }

    let wat = module(
        r#"
        (data (i32.const 512) "helper_ends")
        (func (export "f")
            (call $refused (call $swap (call $idler) (i32.const 0) (i32.const 512) (i32.const 11) (global.get $FOREVER)) (global.get $TIMEOUT)))"#,
    );
    let stage = Stage::new(Bench::manual());
    let seen = stage.start(&wat, 2 * limits::SWAP_TIME);
    stage.bench.advance(2 * limits::SWAP_TIME);
    assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
    assert_eq!(u128::from(seen.exits.lock()[0].usage.wall), limits::SWAP_TIME.as_nanos());
    stage.close(&seen.kin);
}

#[test]
fn who_asked_for_a_swap_that_was_agreed_to_learns_how_it_went_and_is_interrupted_afterwards() {
    // The new module takes three seconds to start. Meanwhile the asker's time is over, and it is interrupted.
    let slow = r#"(module
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (func (export "_initialize") (if (call $sleep (i64.const 3000000000)) (then unreachable)))
        (func (export "g")))"#;
    let wat = module(
        r#"
        (data (i32.const 512) "helper_swaps") (data (i32.const 530) "g")
        (func (export "f") (local $before i64)
            (local.set $before (call $monotonic))
            (call $interrupter)
            (call $ok (call $swap (call $child (i32.const 512) (i32.const 12)) (call $arg (i32.const 0)) (i32.const 530) (i32.const 1)
                (i64.mul (global.get $SECOND) (i64.const 2))))
            (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.mul (global.get $SECOND) (i64.const 3)))
            (call $refused (call $sleep (global.get $SECOND)) (global.get $INTERRUPTED))
            (call $ok (call $sleep (global.get $SECOND))))
        (func (export "helper_swaps")
            (call $is (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 1))
            (drop (call $swap_point (i32.const 168) (i32.const 1)))
            unreachable)"#,
    );
    let stage = Stage::new(Bench::manual());
    let args = [&[0x81, 0x58, 32][..], &stage.bench.ship(slow).0].concat();
    let seen = Arc::new(Remember::default());
    let launch = stage.bench.launch(&stage.bench.program(&wat, "f"), &seen);
    stage.bench.runtime.launch(Launch { group: Arc::clone(&stage.group), args: args.into(), ..launch }).unwrap();
    stage.bench.advance(10 * SECOND);
    assert!(matches!(seen.outcome(), Outcome::Finished(_)), "{:?}", seen.outcome());
    stage.close(&seen.kin);
}
