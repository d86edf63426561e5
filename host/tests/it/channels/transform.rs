//! A function that sees each message before it is sent on.

use super::stage::{FOREVER, SECOND, Stage, code, with_body};
use super::{DROP_OLDEST, HOLD, deliver, reader, send};
use corovan_core::code::Code;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where the functions' names lie.
const NAMES: &[(&str, u32, u32)] =
    &[("change", 16, 6), ("drop", 22, 4), ("fail", 26, 4), ("trap", 30, 4), ("slow", 34, 4), ("none", 0, 0)];

fn set(channel: u8, function: &str) -> String {
    let (_, at, len) = NAMES.iter().find(|(name, ..)| *name == function).unwrap();
    format!(
        "(call $open (i32.const {channel})) (call $say (call $channel_transform (call $ch (i32.const {channel})) (i32.const 0)
         (i32.const {at}) (i32.const {len})))"
    )
}

#[test]
fn a_transform_changes_drops_or_fails_and_the_sender_learns_of_the_failure() {
    // What it does, what the sender gets, how many have it, the first letter they read.
    let cases = [
        ("change", 0, 1, Some('J')),
        ("drop", 0, 0, None),
        ("fail", code(Code::Invalid), 0, None),
        ("trap", code(Code::Invalid), 0, None),
        ("none", 0, 1, Some('h')),
    ];
    for (function, sent, has, letter) in cases {
        let stage = Stage::new();
        let guest = stage.play(
            "(call $join (i32.const 0) (i32.const 9) (i32.const 0)) (call $next (i64.const -1))
             (call $say (i32.load8_u (i32.const 5000))) (call $idle)",
        );
        assert_eq!(stage.play(&set(0, function)).said(), [0], "{function}");
        assert_eq!(stage.play(&send(0, 3..=3, FOREVER)).said(), [sent], "{function}");
        let expected: Vec<i64> =
            [0].into_iter().chain(letter.map(|_| 3)).chain(letter.map(|letter| letter as i64)).collect();
        let said = guest.said();
        assert_eq!(said, expected, "{function}");
        let figures = stage.figures(0);
        assert_eq!(
            (figures.withheld, figures.failed),
            (u64::from(function == "drop"), u64::from(sent != 0)),
            "{function}"
        );
        let delivered = stage.play(&deliver(0, 4, 0, FOREVER));
        assert_eq!(delivered.said(), [if sent == 0 { has } else { sent }], "{function}");
        stage.close();
    }
}

#[test]
fn messages_stay_in_order_behind_a_slow_transform_and_its_time_is_limited() {
    let stage = Stage::new();
    let guest = stage.play(&reader(DROP_OLDEST));
    stage.play(&set(0, "slow"));
    let first = stage.play(&send(0, 1..=1, FOREVER));
    let second = stage.play(&send(0, 2..=2, FOREVER));
    let hasty = stage.play(&send(0, 3..=3, SECOND as i64));
    stage.pass(2);
    assert_eq!((first.said(), hasty.said(), guest.said()), (vec![], vec![code(Code::Timeout)], vec![0]));
    stage.pass(5);
    assert_eq!((first.said(), second.said(), guest.said()), (vec![0], vec![0], vec![0, 1, 2]));
    // It has the turn, but not the time.
    let hasty = stage.play(&send(0, 4..=4, SECOND as i64));
    stage.pass(2);
    assert_eq!((hasty.said(), guest.said()), (vec![code(Code::Timeout)], vec![0, 1, 2]));
    stage.close();
}

#[test]
fn a_transform_that_waits_for_its_own_channel_is_stopped() {
    let stage = Stage::new();
    // The same function sets itself, and as a transform sends to the channel whose turn it holds up.
    let body = format!(
        "(drop (call $args (i32.const 200) (i32.const 100)))
         (if (i32.eq (i32.load8_u (i32.const 200)) (i32.const 0x80)) (then
            (call $open (i32.const 0))
            (call $say (call $channel_transform (call $ch (i32.const 0)) (i32.const 0) (i32.const 4096) (i32.const 1)))
            return))
         {}",
        send(0, 9..=9, FOREVER)
    );
    let seen = stage.bench.run(&with_body(&body, "f"), "f", Duration::ZERO);
    assert_eq!(seen.progress.lock()[0].0, 0);
    let publisher = stage.play(&send(0, 1..=1, FOREVER));
    stage.pass(4);
    assert!(publisher.said().is_empty());
    stage.pass(2);
    assert_eq!(publisher.said(), [code(Code::Invalid)]);
    assert_eq!((stage.figures(0).waiting, stage.figures(0).failed), (0, 1));
    stage.close();
}

#[test]
fn whoever_waits_not_at_all_cannot_send_through_a_transform() {
    let stage = Stage::new();
    let guest = stage.play(&reader(DROP_OLDEST));
    stage.play(&set(0, "change"));
    assert_eq!(stage.play(&send(0, 3..=3, 0)).said(), [code(Code::Overloaded)]);
    assert_eq!(guest.said(), [0]);
    stage.close();
}

#[test]
fn runs_of_a_transform_leave_no_records_that_would_push_out_those_of_others() {
    let stage = Stage::new();
    stage.play(&set(0, "change"));
    let before = stage.bench.runtime.registry.len();
    let publisher = stage.play(&send(0, 1..=9, FOREVER));
    assert_eq!(publisher.said(), [0; 9]);
    assert_eq!(stage.bench.runtime.registry.len(), before + 1, "the publisher's own");
    stage.close();
}

#[test]
fn a_transform_needs_room_for_its_coroutine() {
    let stage = Stage::new();
    let guest = stage.play(&reader(DROP_OLDEST));
    stage.play(&set(0, "change"));
    let room = stage.bench.modules().room.swap(0, Ordering::Relaxed);
    assert_eq!(stage.play(&send(0, 3..=3, FOREVER)).said(), [code(Code::Overloaded)]);
    stage.bench.modules().room.store(room, Ordering::Relaxed);
    assert_eq!(stage.play(&send(0, 4..=4, FOREVER)).said(), [0]);
    assert_eq!((guest.said(), stage.figures(0).failed), (vec![0, 4], 1));
    assert_eq!(stage.bench.modules().room.load(Ordering::Relaxed), room, "it is given back");
    stage.close();
}

#[test]
fn a_sub_channel_with_a_transform_does_not_hold_its_parent_unless_it_says_so() {
    for (policy, at_once) in [(DROP_OLDEST, vec![0, 0]), (HOLD, vec![])] {
        let stage = Stage::new();
        stage.play(&format!(
            "(call $edge (i32.const 0) (i32.const 1) (i32.const 9) (i32.const {policy})) {}",
            set(1, "slow")
        ));
        let guest = stage.play("(call $join (i32.const 1) (i32.const 9) (i32.const 0)) (call $rest)");
        let publisher = stage.play(&send(0, 1..=2, FOREVER));
        assert_eq!(publisher.said(), at_once, "{policy}");
        stage.pass(7);
        assert_eq!((publisher.said(), guest.said()), (vec![0, 0], vec![0, 1, 2]), "{policy}");
        // A failure below is counted there, and none of the sender's business.
        stage.play(&set(1, "trap"));
        assert_eq!(stage.play(&send(0, 3..=3, FOREVER)).said(), [0]);
        assert_eq!(stage.figures(1).failed, 1);
        stage.close();
    }
}
