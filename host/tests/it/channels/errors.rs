//! Every refusal and every trap of every function of channels.

use super::stage::{self, FOREVER, SECOND, Stage, code, literal};
use super::{DROP_OLDEST, HOLD, deliver, reader, send, sleeper};
use corovan::runtime::{Group, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::{Ledger, Limits};
use corovan_core::wire::Outcome;
use std::sync::Arc;

/// Calls with the address that is given at 4096 for a channel, and whether a coroutine subscribes.
const CALLS: &[(&str, &str)] = &[
    ("subscribe", "(call $channel_subscribe (i32.const 4096) (call $me) (i32.const 1) (i32.const 0) (i64.const 0))"),
    ("unsubscribe", "(call $channel_unsubscribe (i32.const 4096) (call $me) (i64.const 0))"),
    ("send", "(call $channel_send (i32.const 4096) (i64.const 0) (i32.const 0) (i32.const 5) (i64.const 0))"),
    (
        "deliver",
        "(call $channel_deliver (i32.const 4096) (i64.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i64.const 0))",
    ),
    ("transform", "(call $channel_transform (i32.const 4096) (i32.const 0) (i32.const 16) (i32.const 6))"),
    ("close", "(call $channel_close (i32.const 4096))"),
];

/// What a body says in this computation when it is given this address.
fn say(stage: &Stage, group: &Arc<Group>, call: &str, given: Address) -> i64 {
    let seen = Arc::new(crate::support::Remember::default());
    let program = stage.bench.program(&stage::with_body(&format!("(call $say {call})"), &literal(given)), "f");
    let mut launch = stage.bench.launch(&program, &seen);
    launch.group = Arc::clone(group);
    stage.bench.runtime.launch(launch).unwrap();
    stage.pass(0);
    let said = seen.progress.lock().first().map(|(said, ..)| *said as i64);
    said.unwrap_or_else(|| panic!("{call} said nothing: {:?}", seen.outcome()))
}

/// Offers itself as a service, and says the four words of its address.
const SERVICE: &str = r#"(module
    (import "corovan" "serve" (func $serve (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "f")
    (func $say (param i32) (drop (call $progress (i64.load (local.get 0)) (i64.const 0) (i32.const 0) (i32.const 0))))
    (func (export "f")
        (drop (call $serve (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)))
        (drop (call $locate (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))
        (call $say (i32.const 64)) (call $say (i32.const 72)) (call $say (i32.const 80)) (call $say (i32.const 88))
        (drop (call $sleep (i64.const -1)))))"#;

fn service_of(stage: &Stage, group: &Arc<Group>) -> Address {
    let seen = Arc::new(crate::support::Remember::default());
    let mut launch = stage.bench.launch(&stage.bench.program(SERVICE, "f"), &seen);
    launch.group = Arc::clone(group);
    stage.bench.runtime.launch(launch).unwrap();
    stage.pass(0);
    let words: Vec<u8> = seen.progress.lock().iter().flat_map(|(word, ..)| word.to_le_bytes()).collect();
    Address::from_bytes(words.try_into().unwrap())
}

#[test]
fn every_call_tells_what_is_gone_what_is_anothers_and_what_is_elsewhere() {
    let stage = Stage::new();
    let stranger = stage.computation(&stage.bench.other_tenant());
    let theirs = stage.play_in(&stranger, &reader(DROP_OLDEST));
    let ended = stage.play_in(&stranger, "(nop)");
    let their_service = service_of(&stage, &stranger);
    let their_channel = stranger.tenant.channels.get("a").unwrap().address;
    stage.play("(call $open (i32.const 1)) (drop (call $channel_close (call $ch (i32.const 1))))");
    stage.play(&send(0, 1..=1, 0));
    let channel = stage.channel(0).address;
    let coroutine = stage.play("(call $idle)").control.address;
    let elsewhere = Address { node: NodeId([9; 12]), ..channel };
    let before = Address { incarnation: 0, ..channel };
    let guessed = Address { secret: channel.secret ^ 1, ..channel };
    let cases = [
        (their_channel, Code::Denied),
        (theirs.control.address, Code::Denied),
        (ended.control.address, Code::Denied),
        (their_service, Code::Denied),
        (elsewhere, Code::NodeLost),
        (before, Code::Gone),
        (guessed, Code::Gone),
        (coroutine, Code::Gone),
    ];
    for (name, call) in CALLS {
        for (given, expected) in cases {
            assert_eq!(say(&stage, &stage.bench.group, call, given), code(expected), "{name} {expected:?}");
        }
    }
    assert_eq!(theirs.said(), [0], "nothing came through");
    // The same for who is to be subscribed.
    let subscribe = "(block (result i32) (call $open (i32.const 0)) (call $channel_subscribe (call $ch (i32.const 0))
        (i32.const 4096) (i32.const 1) (i32.const 0) (i64.const 0)))";
    let ended = stage.play("").control.address;
    let cases = [
        (their_channel, Code::Denied),
        (theirs.control.address, Code::Denied),
        (their_service, Code::Denied),
        (Address { node: NodeId([9; 12]), ..coroutine }, Code::NodeLost),
        (ended, Code::Gone),
        (guessed, Code::Gone),
    ];
    for (given, expected) in cases {
        assert_eq!(say(&stage, &stage.bench.group, subscribe, given), code(expected), "{given} {expected:?}");
    }
    stage.close();
}

#[test]
fn another_computation_of_the_tenant_may_send_and_subscribe_but_not_hold_close_or_transform() {
    let stage = Stage::new();
    stage.play(&send(0, 1..=1, 0));
    let channel = stage.channel(0).address;
    let other = stage.computation(&stage.bench.tenant);
    let hold = "(call $channel_subscribe (i32.const 4096) (call $me) (i32.const 1) (i32.const 2) (i64.const 0))";
    let calls = CALLS.iter().copied().chain([("hold", hold)]);
    for (name, call) in calls {
        let expected = match name {
            "transform" | "close" | "hold" => code(Code::Denied),
            // Each guest is another, and ends.
            "unsubscribe" => code(Code::NotFound),
            _ => 0,
        };
        assert_eq!(say(&stage, &other, call, channel), expected, "{name}");
    }
    let own = stage.play(&sleeper(1, HOLD));
    assert_eq!(own.said(), [0]);
    assert_eq!(say(&stage, &stage.bench.group, CALLS[1].1, channel), code(Code::NotFound));
    stage.close();
}

#[test]
fn values_that_a_call_does_not_take_are_told() {
    let stage = Stage::new();
    let long = limits::NAME_BYTES + 1;
    let subscribe = |cap: u32, policy: u32| {
        format!(
            "(block (result i32) (call $open (i32.const 0)) (call $channel_subscribe (call $ch (i32.const 0)) (call $me)
             (i32.const {cap}) (i32.const {policy}) (i64.const 0)))"
        )
    };
    let size = limits::MESSAGE_BYTES + 1;
    let transform = |module: u32, at: u32, len: u32| {
        format!(
            "(block (result i32) (call $open (i32.const 0)) (call $channel_transform (call $ch (i32.const 0)) (i32.const {module})
             (i32.const {at}) (i32.const {len})))"
        )
    };
    let cases = [
        ("(call $channel_open (i32.const 100) (i32.const 0) (i32.const 200))".to_owned(), Code::Invalid),
        (format!("(call $channel_open (i32.const 6000) (i32.const {long}) (i32.const 200))"), Code::Invalid),
        (subscribe(0, 0), Code::Invalid),
        (subscribe(limits::MAILBOX_MESSAGES as u32 + 1, 0), Code::Invalid),
        (subscribe(1, 3), Code::Invalid),
        (
            format!(
                "(block (result i32) (call $open (i32.const 0)) (call $channel_send (call $ch (i32.const 0)) (i64.const 0)
                 (i32.const 0) (i32.const {size}) (i64.const 0)))"
            ),
            Code::TooLarge,
        ),
        (
            format!(
                "(block (result i32) (call $open (i32.const 0)) (call $channel_deliver (call $ch (i32.const 0)) (i64.const 0)
                 (i32.const 0) (i32.const {size}) (i32.const 0) (i64.const 0)))"
            ),
            Code::TooLarge,
        ),
        (transform(0, 100, 5), Code::UnknownFunction),
        (transform(0, 6000, 129), Code::UnknownFunction),
        (transform(7000, 16, 6), Code::NeedModule),
    ];
    for (call, expected) in cases {
        assert_eq!(say(&stage, &stage.bench.group, &call, Address::default()), code(expected), "{call}");
    }
    let fits = subscribe(limits::MAILBOX_MESSAGES as u32, 2);
    assert_eq!(say(&stage, &stage.bench.group, &fits, Address::default()), 0);
    stage.close();
}

#[test]
fn a_tenant_has_a_most_of_channels_and_a_quota_for_all_of_them() {
    let stage = Stage::new();
    // Names of four letters, one for each number.
    let many = |limit: u32| {
        format!(
            "(loop
                (i32.store (i32.const 300) (i32.add (i32.const 0x61616161) (i32.add (i32.and (global.get $i) (i32.const 15))
                    (i32.add (i32.shl (i32.and (i32.shr_u (global.get $i) (i32.const 4)) (i32.const 15)) (i32.const 8))
                        (i32.shl (i32.shr_u (global.get $i) (i32.const 8)) (i32.const 16))))))
                (i32.store8 (i32.const 303) (i32.add (i32.const 97) (i32.shr_u (global.get $i) (i32.const 12))))
                (i32.store8 (i32.const 302) (i32.add (i32.const 97)
                    (i32.and (i32.shr_u (global.get $i) (i32.const 8)) (i32.const 15))))
                (local.set $code (call $channel_open (i32.const 300) (i32.const 4) (i32.const 400)))
                (if (i32.eqz (local.get $code)) (then
                    (global.set $i (i32.add (global.get $i) (i32.const 1)))
                    (br_if 1 (i32.lt_u (global.get $i) (i32.const {limit}))))))
             (call $say (local.get $code)) (call $say (global.get $i))"
        )
    };
    let most = limits::TENANT_CHANNELS as u32;
    let body = format!("(local $code i32) {}", many(most + 1));
    assert_eq!(stage.play(&body).said(), [code(Code::Overloaded), i64::from(most)]);
    stage.close();

    let held = 10 * limits::CHANNEL_BYTES;
    let ledger = Ledger::new(Limits { coroutines: 100, memory: 1 << 40, held, connections: 0 });
    let tenant = Arc::new(Tenant::new("small", Arc::new(ledger), Arc::new(Share::new(2, 100))));
    let small = stage.computation(&tenant);
    assert_eq!(stage.play_in(&small, &body).said(), [code(Code::Overloaded), 9]);
    // What is left is less than a subscription and a message take.
    let left = "(call $open (i32.const 0))";
    assert!(stage.play_in(&small, left).has_ended());
    let channel = tenant.channels.get("baaa").unwrap().address;
    let full = [
        CALLS[0].1,
        "(call $channel_send (i32.const 4096) (i64.const 0) (i32.const 0) (i32.const 2000) (i64.const 0))",
        "(call $channel_deliver (i32.const 4096) (i64.const 0) (i32.const 0) (i32.const 2000) (i32.const 0) (i64.const 0))",
    ];
    let filler = tenant.ledger.take(corovan_core::tenancy::quota::Resource::Held, 900).unwrap();
    for call in full {
        assert_eq!(say(&stage, &small, call, channel), code(Code::Overloaded), "{call}");
    }
    drop(filler);
}

#[test]
fn bad_pointers_and_bad_text_end_the_coroutine() {
    let far = "(i32.const 0x7fffff00)";
    let ch = "(call $ch (i32.const 0))";
    let calls = [
        format!("(call $channel_open {far} (i32.const 5) (i32.const 400))"),
        format!("(call $channel_open (i32.const 100) (i32.const 1) {far})"),
        "(call $channel_open (i32.const 6000) (i32.const 1) (i32.const 400))".to_owned(),
        format!("(call $channel_subscribe {far} (call $me) (i32.const 1) (i32.const 0) (i64.const 0))"),
        format!("(call $channel_subscribe {ch} {far} (i32.const 1) (i32.const 0) (i64.const 0))"),
        format!("(call $channel_unsubscribe {far} (call $me) (i64.const 0))"),
        format!("(call $channel_unsubscribe {ch} {far} (i64.const 0))"),
        format!("(call $channel_send {far} (i64.const 0) (i32.const 0) (i32.const 5) (i64.const 0))"),
        format!("(call $channel_send {ch} (i64.const 0) {far} (i32.const 5) (i64.const 0))"),
        format!("(call $channel_deliver {far} (i64.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i64.const 0))"),
        format!("(call $channel_deliver {ch} (i64.const 0) {far} (i32.const 5) (i32.const 0) (i64.const 0))"),
        format!("(call $channel_transform {far} (i32.const 0) (i32.const 16) (i32.const 6))"),
        format!("(call $channel_transform {ch} {far} (i32.const 16) (i32.const 6))"),
        format!("(call $channel_transform {ch} (i32.const 0) {far} (i32.const 6))"),
        format!("(call $channel_transform {ch} (i32.const 0) (i32.const 6000) (i32.const 1))"),
        format!("(call $channel_close {far})"),
    ];
    let stage = Stage::new();
    for call in calls {
        // A byte at 6000 that begins no character.
        let body = format!("(i32.store8 (i32.const 6000) (i32.const 0xff)) (call $open (i32.const 0)) (drop {call})");
        let guest = stage.play(&body);
        match guest.seen.outcome() {
            Outcome::Trapped { kind, .. } => assert_eq!(kind, "host-call", "{call}"),
            other => panic!("{call}: {other:?}"),
        }
    }
    stage.close();
}

/// What of this node needs no waiting.
fn now<T>(call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    match call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_detail_names_what_was_asked_for() {
    let stage = Stage::new();
    let guest = stage.play("(call $idle)");
    let runtime = &stage.bench.runtime;
    let address = runtime.open_channel(&guest.control, "news").unwrap();
    let stranger = stage.play_in(&stage.computation(&stage.bench.tenant), "(call $idle)");
    let detail = now(runtime.close_channel(&stranger.control, &address)).unwrap_err().detail;
    assert!(detail.contains("\"news\"") && detail.contains("computation"), "{detail}");
    let detail = now(runtime.unsubscribe(&guest.control, &address, &guest.control.address, 0)).unwrap_err().detail;
    assert!(detail.contains("not subscribed"), "{detail}");
    stage.close();
}

#[test]
fn a_call_that_may_not_wait_is_told_so_and_has_no_effect() {
    let stage = Stage::new();
    let slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let _held = stage.play(&send(0, 2..=2, FOREVER));
    assert_eq!(stage.play(&send(0, 3..=3, 0)).said(), [code(Code::Overloaded)]);
    assert_eq!(stage.play(&deliver(0, 4, 1, 0)).said(), [0]);
    assert_eq!(stage.play(&deliver(0, 5, 9, 0)).said(), [0]);
    assert_eq!(stage.channel(0).counts_of(&slow.control.address), Some((1, 0)));
    let late = stage.play(&deliver(0, 6, 1, SECOND as i64));
    stage.pass(2);
    assert_eq!(late.said(), [0]);
    stage.close();
}
