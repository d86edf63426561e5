//! Channels as guests see them, on virtual time: who gets what, in which order, and what happens when there is no room.

#[path = "channels/errors.rs"]
mod errors;
#[path = "channels/hierarchy.rs"]
mod hierarchy;
#[path = "channels/stage.rs"]
mod stage;
#[path = "channels/storm.rs"]
mod storm;
#[path = "channels/transform.rs"]
mod transform;

use corovan_core::code::Code;
use corovan_core::ids::Address;
use stage::{FOREVER, SECOND, Stage, code};

const DROP_OLDEST: u32 = 0;
const DROP_NEWEST: u32 = 1;
const HOLD: u32 = 2;

/// Subscribes to `a` and reads all that comes.
fn reader(policy: u32) -> String {
    format!("(call $join (i32.const 0) (i32.const 10) (i32.const {policy})) (call $rest)")
}

/// Subscribes to `a` and reads nothing.
fn sleeper(cap: u32, policy: u32) -> String {
    format!("(call $join (i32.const 0) (i32.const {cap}) (i32.const {policy})) (call $idle)")
}

/// The same, and after so many seconds reads.
fn late_reader(cap: u32, policy: u32, seconds: u64) -> String {
    let nanos = seconds * SECOND;
    format!(
        "(call $join (i32.const 0) (i32.const {cap}) (i32.const {policy})) (drop (call $sleep (i64.const {nanos}))) (call $rest)"
    )
}

fn send(channel: u8, tags: std::ops::RangeInclusive<u64>, timeout: i64) -> String {
    let call = |tag| format!("(call $send (i32.const {channel}) (i64.const {tag}) (i64.const {timeout}))");
    tags.map(call).collect()
}

fn deliver(channel: u8, tag: u64, n: u32, timeout: i64) -> String {
    format!("(call $deliver (i32.const {channel}) (i64.const {tag}) (i32.const {n}) (i64.const {timeout}))")
}

#[test]
fn every_subscriber_gets_every_message_in_order_and_none_from_before_it_came() {
    let stage = Stage::new();
    let early = stage.play(&send(0, 1..=1, 0));
    assert_eq!(early.said(), [0], "nobody is there, and that is no failure");
    let guests: Vec<_> = [DROP_OLDEST, DROP_NEWEST, HOLD].map(|policy| stage.play(&reader(policy))).into();
    stage.play(&send(0, 2..=9, 0));
    for guest in &guests {
        assert_eq!(guest.said(), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(stage.channel(0).counts_of(&guest.control.address), Some((8, 0)));
    }
    stage.close();
}

#[test]
fn a_message_has_the_channel_as_its_sender_and_its_bytes() {
    let stage = Stage::new();
    let guest = stage.play(
        "(call $join (i32.const 0) (i32.const 1) (i32.const 0))
         (call $next (i64.const -1))
         (call $say (i32.load8_u (i32.const 5004)))
         (call $say (i32.load (i32.const 804)))
         (call $say (i64.eq (i64.load (i32.const 848)) (i64.load offset=16 (call $ch (i32.const 0)))))",
    );
    stage.play(&send(0, 5..=5, 0));
    assert_eq!(guest.said(), [0, 5, i64::from(b'o'), 0, 1]);
}

#[test]
fn a_subscriber_that_never_reads_keeps_what_its_policy_says_and_delays_nobody() {
    for (policy, kept) in [(DROP_OLDEST, [8, 9]), (DROP_NEWEST, [1, 2])] {
        let stage = Stage::new();
        let guest = stage.play(&late_reader(2, policy, 10));
        let publisher = stage.play(&send(0, 1..=9, FOREVER));
        assert_eq!(publisher.said(), [0; 9]);
        assert_eq!(guest.said(), [0]);
        stage.pass(11);
        assert_eq!(guest.said(), [[0].as_slice(), &kept].concat(), "{policy}");
        let counts = stage.channel(0).counts_of(&guest.control.address);
        assert_eq!(counts, Some((if policy == DROP_OLDEST { 9 } else { 2 }, 7)));
        stage.close();
    }
}

#[test]
fn a_full_mailbox_is_as_a_cap_that_is_reached() {
    // Two channels, each with all the room of the mailbox for its cap; the first fills it.
    let fill = "(call $open (i32.const 1)) (drop (call $channel_subscribe (call $ch (i32.const 1)) (call $me)
        (i32.const 10000) (i32.const 0) (i64.const 0)))
        (loop (drop (call $channel_send (call $ch (i32.const 1)) (i64.const 1) (i32.const 0) (i32.const 5) (i64.const 0)))
            (global.set $i (i32.add (global.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $i) (i32.const 10000))))";
    for (policy, said) in [(DROP_OLDEST, 0), (DROP_NEWEST, 0), (HOLD, code(Code::Timeout))] {
        let stage = Stage::new();
        let guest = stage.play(&format!(
            "{fill} (call $join (i32.const 0) (i32.const 10000) (i32.const {policy})) (drop (call $sleep (i64.const 5000000000)))
             (call $next (i64.const 0)) (call $idle)"
        ));
        let publisher = stage.play(&send(0, 7..=7, SECOND as i64));
        stage.pass(2);
        assert_eq!(publisher.said(), [said], "{policy}");
        assert_eq!(stage.channel(0).counts_of(&guest.control.address), Some((0, 1)), "{policy}");
        let held = stage.play(&send(0, 8..=8, 10 * SECOND as i64));
        stage.pass(4);
        assert_eq!(held.said(), [0], "once there is room, whoever waited has it");
        let expected = if policy == HOLD { Some((1, 1)) } else { Some((0, 2)) };
        assert_eq!(stage.channel(0).counts_of(&guest.control.address), expected, "{policy}");
        stage.close();
    }
}

#[test]
fn a_subscriber_that_holds_the_publisher_loses_nothing_and_others_have_it_at_once() {
    let stage = Stage::new();
    let slow = stage.play(&late_reader(2, HOLD, 10));
    let other = stage.play(&reader(DROP_OLDEST));
    let publisher = stage.play(&send(0, 1..=5, 60 * SECOND as i64));
    assert_eq!((publisher.said(), other.said()), (vec![0, 0], vec![0, 1, 2, 3]), "the third is in the other's mailbox");
    stage.pass(11);
    assert_eq!(publisher.said(), [0; 5]);
    assert_eq!((slow.said(), other.said()), (vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4, 5]));
    stage.close();
}

#[test]
fn a_publisher_is_held_no_longer_than_it_says_and_the_next_goes_on() {
    let stage = Stage::new();
    let slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let first = stage.play(&send(0, 2..=2, 5 * SECOND as i64));
    let second = stage.play(&send(0, 3..=3, 7 * SECOND as i64));
    let hasty = stage.play(&send(0, 4..=4, 0));
    assert_eq!(hasty.said(), [code(Code::Overloaded)], "another is on its way");
    stage.pass(6);
    assert_eq!((first.said(), second.said()), (vec![code(Code::Timeout)], vec![]));
    stage.pass(2);
    assert_eq!(second.said(), [code(Code::Timeout)]);
    let hasty = stage.play(&send(0, 5..=5, 0));
    assert_eq!(hasty.said(), [code(Code::Timeout)], "one does not have it: others may");
    assert_eq!(stage.channel(0).counts_of(&slow.control.address), Some((1, 3)));
    let ended = stage.play(&send(0, 6..=6, FOREVER));
    assert!(ended.said().is_empty());
    slow.control.stop(corovan::runtime::Stop::Terminated);
    stage.pass(0);
    assert_eq!(ended.said(), [0], "whoever held it has ended");
    assert_eq!(stage.figures(0).subscribers, 0);
    stage.close();
}

#[test]
fn a_publisher_that_is_held_by_itself_is_told_so() {
    let stage = Stage::new();
    let body = format!("(call $join (i32.const 0) (i32.const 1) (i32.const 2)) {}", send(0, 1..=2, FOREVER));
    assert_eq!(stage.play(&body).said(), [0, 0, code(Code::Timeout)]);
}

#[test]
fn two_publishers_are_seen_in_one_order_by_all() {
    let bench = crate::support::Bench::threaded(64);
    let read = format!(
        "(call $join (i32.const 0) (i32.const 10000) (i32.const {HOLD}))
         (loop (call $next (i64.const -1)) (global.set $i (i32.add (global.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $i) (i32.const 400))))"
    );
    let publish = |first: u64| {
        format!(
            "(global.set $i (i32.const {first}))
             (call $deliver (i32.const 0) (i64.extend_i32_u (global.get $i)) (i32.const 3) (i64.const -1))
             (loop (global.set $i (i32.add (global.get $i) (i32.const 1)))
                (call $send (i32.const 0) (i64.extend_i32_u (global.get $i)) (i64.const -1))
                (br_if 0 (i32.lt_u (global.get $i) (i32.const {}))))",
            first + 199
        )
    };
    let run = |body: &str| bench.start(&bench.program(&stage::with_body(body, ""), "f")).1;
    let readers: Vec<_> = (0..3).map(|_| run(&read)).collect();
    let publishers: Vec<_> = [1_000, 2_000].map(|first| run(&publish(first))).into();
    readers.iter().chain(&publishers).for_each(|guest| guest.wait(1));
    let heard = |n: usize| -> Vec<u64> { readers[n].progress.lock().iter().skip(1).map(|(tag, ..)| *tag).collect() };
    assert_eq!(heard(0).len(), 400);
    assert_eq!((heard(1), heard(2)), (heard(0), heard(0)));
    for first in [1_000, 2_000] {
        let of_one: Vec<_> = heard(0).into_iter().filter(|tag| (first..first + 200).contains(tag)).collect();
        assert_eq!(of_one, (first..first + 200).collect::<Vec<_>>());
    }
}

#[test]
fn subscribing_again_changes_the_terms_and_frees_whoever_waited_under_the_old_ones() {
    let stage = Stage::new();
    let slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let held = stage.play(&send(0, 2..=2, FOREVER));
    assert!(held.said().is_empty());
    let change = |cap: u32, policy: u32| {
        let given = stage::literal(slow.control.address);
        let body = format!(
            "(call $open (i32.const 0)) (call $say (call $channel_subscribe (call $ch (i32.const 0)) (i32.const 4096)
             (i32.const {cap}) (i32.const {policy}) (i64.const 0)))"
        );
        let seen = stage.bench.run(&stage::with_body(&body, &given), "f", std::time::Duration::ZERO);
        assert_eq!(seen.progress.lock()[0].0, 0);
    };
    change(2, HOLD);
    stage.pass(0);
    assert_eq!(held.said(), [0], "there is room now");
    let held = stage.play(&send(0, 3..=3, FOREVER));
    assert!(held.said().is_empty());
    change(1, DROP_NEWEST);
    stage.pass(0);
    assert_eq!(held.said(), [0], "nobody is held any more");
    assert_eq!(stage.channel(0).counts_of(&slow.control.address), Some((2, 1)), "one subscription all the while");
    stage.close();
}

#[test]
fn deliver_waits_for_as_many_as_it_wants_and_says_how_many_have_it() {
    let stage = Stage::new();
    let late = stage.play(&deliver(0, 1, 2, 5 * SECOND as i64));
    let one = stage.play(&reader(DROP_OLDEST));
    stage.pass(6);
    assert_eq!((late.said(), one.said()), (vec![0], vec![0]), "one is not enough, and nothing was sent");
    let patient = stage.play(&deliver(0, 2, 2, 60 * SECOND as i64));
    stage.pass(5);
    assert_eq!((patient.said(), one.said()), (vec![], vec![0]));
    let two = stage.play(&reader(DROP_OLDEST));
    assert_eq!((patient.said(), one.said(), two.said()), (vec![2], vec![0, 2], vec![0, 2]));
    let any = stage.play(&deliver(0, 3, 0, 0));
    assert_eq!(any.said(), [2], "none is wanted, two have it");
    stage.close();
}

#[test]
fn deliver_counts_mailboxes_that_have_it_and_at_its_timeout_these_are_fewer() {
    let stage = Stage::new();
    let _reader = stage.play(&reader(DROP_OLDEST));
    let _full = stage.play(&sleeper(1, DROP_NEWEST));
    let _held = stage.play(&late_reader(1, HOLD, 20));
    assert_eq!(stage.play(&deliver(0, 1, 3, 0)).said(), [3]);
    let short = stage.play(&deliver(0, 2, 3, 5 * SECOND as i64));
    let behind = stage.play(&deliver(0, 3, 3, SECOND as i64));
    stage.pass(6);
    assert_eq!(short.said(), [1], "neither the one that is full nor the one that holds");
    assert_eq!(behind.said(), [0], "its turn did not come in time");
    let long = stage.play(&deliver(0, 4, 3, 60 * SECOND as i64));
    stage.pass(20);
    assert_eq!(long.said(), [2]);
    stage.close();
}

#[test]
fn a_closed_channel_is_gone_for_all_who_wait_and_its_name_is_free() {
    let stage = Stage::new();
    let slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let held = stage.play(&send(0, 2..=2, FOREVER));
    let queued = stage.play(&send(0, 3..=3, FOREVER));
    let waiting = stage.play(&deliver(0, 4, 9, FOREVER));
    let before = stage.channel(0).address;
    let closer = stage.play(
        "(call $open (i32.const 0)) (call $say (call $channel_close (call $ch (i32.const 0))))
         (call $say (call $channel_close (call $ch (i32.const 0))))",
    );
    assert_eq!(closer.said(), [0, code(Code::Gone)]);
    assert_eq!(held.said(), [0], "it waited for one who is no longer subscribed");
    assert_eq!((queued.said(), waiting.said()), (vec![code(Code::Gone)], vec![code(Code::Gone)]));
    assert!(!slow.has_ended(), "a subscriber goes on");
    stage.play(&send(0, 1..=1, 0));
    assert_ne!(stage.channel(0).address, before, "another channel of the same name");
    stage.close();
}

#[test]
fn a_channel_ends_with_the_computation_that_opened_it() {
    let stage = Stage::new();
    let other = stage.computation(&stage.bench.tenant);
    let subscriber = stage.play_in(&other, &reader(DROP_OLDEST));
    let channel = stage.channel(0).address;
    stage.play(&send(0, 1..=1, 0));
    assert_eq!(subscriber.said(), [0, 1], "anyone of the tenant finds it");
    stage.bench.runtime.end(&other, "test", "over", std::time::Duration::ZERO);
    stage.pass(0);
    assert!(subscriber.has_ended());
    assert!(stage.bench.tenant.channels.get("a").is_none());
    assert!(stage.bench.runtime.registry.get(&channel).is_none());
    stage.close();
}

#[test]
fn an_interrupt_ends_a_wait_of_a_publisher_wherever_it_waits() {
    let stage = Stage::new();
    let _slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let guests =
        [send(0, 2..=2, FOREVER), send(0, 3..=3, FOREVER), deliver(0, 4, 1, FOREVER), deliver(0, 5, 9, FOREVER)];
    for guest in guests.map(|body| stage.play(&body)).iter().rev() {
        assert!(guest.said().is_empty());
        guest.control.interrupt("enough");
        stage.pass(0);
        assert_eq!(guest.said(), [code(Code::Interrupted)]);
    }
    stage.close();
}

#[test]
fn a_publisher_that_is_stopped_while_it_has_the_turn_leaves_it() {
    let stage = Stage::new();
    let _slow = stage.play(&sleeper(1, HOLD));
    stage.play(&send(0, 1..=1, 0));
    let held = stage.play(&send(0, 2..=2, FOREVER));
    let next = stage.play(&send(0, 3..=3, SECOND as i64));
    held.control.stop(corovan::runtime::Stop::Terminated);
    stage.pass(2);
    assert!(held.has_ended());
    assert_eq!(next.said(), [code(Code::Timeout)], "it had the turn, and waited itself");
    stage.close();
}

#[test]
fn a_channel_can_be_given_a_name_and_loses_it_when_it_closes() {
    let stage = Stage::new();
    stage.play(&send(0, 1..=1, 0));
    let guest = stage.play("(call $idle)");
    let address: Address = stage.channel(0).address;
    stage.bench.runtime.register_here(&guest.control, "news", &address).unwrap();
    assert_eq!(stage.bench.tenant.names.len(), 1);
    stage.play("(call $open (i32.const 0)) (drop (call $channel_close (call $ch (i32.const 0))))");
    assert_eq!(stage.bench.tenant.names.len(), 0);
    let gone = stage.bench.runtime.register_here(&guest.control, "news", &address).unwrap_err();
    assert_eq!(gone.code, Code::Gone);
    stage.close();
}
