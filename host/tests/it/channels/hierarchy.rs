//! Channels that subscribe to channels.

use super::stage::{self, FOREVER, SECOND, Stage, code};
use super::{DROP_NEWEST, DROP_OLDEST, HOLD, deliver, send};
use corovan_core::code::Code;
use corovan_core::limits;

fn edge(parent: u8, child: u8, cap: u32, policy: u32) -> String {
    format!("(call $edge (i32.const {parent}) (i32.const {child}) (i32.const {cap}) (i32.const {policy}))")
}

fn read(channel: u8, cap: u32, policy: u32) -> String {
    format!("(call $join (i32.const {channel}) (i32.const {cap}) (i32.const {policy})) (call $rest)")
}

fn idle(channel: u8, cap: u32, policy: u32, seconds: u64) -> String {
    let nanos = seconds * SECOND;
    format!(
        "(call $join (i32.const {channel}) (i32.const {cap}) (i32.const {policy})) (drop (call $sleep (i64.const {nanos})))
         (call $rest)"
    )
}

#[test]
fn a_message_goes_down_all_levels_and_is_counted_across_them() {
    for policy in [DROP_OLDEST, HOLD] {
        let stage = Stage::new();
        let edges = [(0, 1), (0, 2), (2, 3)].map(|(parent, child)| edge(parent, child, 10, policy)).concat();
        assert_eq!(stage.play(&edges).said(), [0, 0, 0]);
        let guests: Vec<_> = [0, 1, 2, 3, 3].map(|channel| stage.play(&read(channel, 10, DROP_OLDEST))).into();
        assert_eq!(stage.play(&deliver(0, 1, 5, 0)).said(), [5]);
        assert_eq!(stage.play(&deliver(2, 2, 3, 0)).said(), [3], "from the middle it goes down only");
        let said: Vec<_> = guests.iter().map(|guest| guest.said()).collect();
        assert_eq!(said, [vec![0, 1], vec![0, 1], vec![0, 1, 2], vec![0, 1, 2], vec![0, 1, 2]], "{policy}");
        stage.close();
    }
}

#[test]
fn deliver_waits_for_a_subscriber_that_comes_far_below() {
    let stage = Stage::new();
    let waiting = stage.play(&deliver(0, 1, 2, FOREVER));
    stage.play(&[edge(0, 1, 10, DROP_OLDEST), edge(1, 2, 10, DROP_OLDEST)].concat());
    let _one = stage.play(&read(2, 10, DROP_OLDEST));
    assert!(waiting.said().is_empty());
    let _two = stage.play(&read(1, 10, DROP_OLDEST));
    assert_eq!(waiting.said(), [2]);
    // And for channels that have subscribers already.
    let waiting = stage.play(&deliver(3, 1, 2, FOREVER));
    assert!(waiting.said().is_empty());
    stage.play(&edge(3, 1, 10, DROP_OLDEST));
    assert_eq!(waiting.said(), [2]);
    stage.close();
}

#[test]
fn a_cycle_a_diamond_and_a_shortcut_are_refused() {
    let stage = Stage::new();
    let (cycle, second) = (code(Code::Cycle), code(Code::SecondPath));
    let tries = [
        ((0, 0), cycle),
        ((0, 1), 0),
        ((1, 0), cycle),
        ((1, 3), 0),
        ((0, 2), 0),
        ((2, 3), second),
        ((0, 3), second),
        ((0, 1), 0),
    ];
    for ((parent, child), expected) in tries {
        assert_eq!(stage.play(&edge(parent, child, 1, DROP_OLDEST)).said(), [expected], "{parent} {child}");
    }
    let unsubscribe = "(call $open (i32.const 0)) (call $open (i32.const 1))
        (call $say (call $channel_unsubscribe (call $ch (i32.const 0)) (call $ch (i32.const 1)) (i64.const 0)))";
    assert_eq!(stage.play(unsubscribe).said(), [0]);
    assert_eq!(stage.play(&edge(2, 3, 1, DROP_OLDEST)).said(), [0], "the other way is gone");
    stage.close();
}

/// Opens a channel of each two-letter name in turn, and subscribes it to the one before.
fn chain(length: u32) -> String {
    format!(
        "(loop
            (i32.store8 (i32.const 300) (i32.add (i32.const 65) (i32.div_u (global.get $i) (i32.const 10))))
            (i32.store8 (i32.const 301) (i32.add (i32.const 48) (i32.rem_u (global.get $i) (i32.const 10))))
            (if (call $channel_open (i32.const 300) (i32.const 2) (call $ch (global.get $i))) (then unreachable))
            (if (global.get $i) (then
                (if (call $channel_subscribe (call $ch (i32.sub (global.get $i) (i32.const 1))) (call $ch (global.get $i))
                    (i32.const 1) (i32.const 0) (i64.const 0)) (then unreachable))))
            (global.set $i (i32.add (global.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $i) (i32.const {length}))))"
    )
}

#[test]
fn a_cycle_of_a_hundred_is_refused() {
    let stage = Stage::new();
    let body = format!(
        "{} (call $say (call $channel_subscribe (call $ch (i32.const 99)) (call $ch (i32.const 0)) (i32.const 1)
         (i32.const 0) (i64.const 0)))",
        chain(100)
    );
    assert_eq!(stage.play(&body).said(), [code(Code::Cycle)]);
    stage.close();
}

#[test]
fn a_message_goes_so_far_and_no_further() {
    let stage = Stage::new();
    let hops = limits::CHANNEL_HOPS as u32;
    let listen = |at: u32| {
        format!(
            "(drop (call $channel_subscribe (call $ch (i32.const {at})) (call $me) (i32.const 5) (i32.const 0) (i64.const 0)))"
        )
    };
    let body = format!(
        "{} {} {} (call $say (call $channel_deliver (call $ch (i32.const 0)) (i64.const 7) (i32.const 0) (i32.const 5)
         (i32.const 1) (i64.const 0)))",
        chain(hops + 2),
        listen(hops),
        listen(hops + 1)
    );
    assert_eq!(stage.play(&body).said(), [1], "one mailbox within reach, and none wanted beyond it");
    let far: u64 = (b'A'..=b'B')
        .flat_map(|ten| (b'0'..=b'9').map(move |one| [ten, one]))
        .filter_map(|name| stage.bench.tenant.channels.get(std::str::from_utf8(&name).unwrap()))
        .map(|channel| channel.figures().far)
        .sum();
    assert_eq!(far, 1, "counted where it stopped");
}

#[test]
fn two_subscriptions_that_close_a_cycle_together_are_not_both_taken() {
    let bench = crate::support::Bench::threaded(64);
    for round in 0..20 {
        let name = |ch: u32| {
            format!(
                "(i32.store (i32.const 300) (i32.const {})) (drop (call $channel_open (i32.const 300) (i32.const 4) (call $ch (i32.const {ch}))))",
                0x6161_6161 + round * 256 + ch
            )
        };
        let body = |parent: u32, child: u32| {
            format!(
                "{} {} (call $say (call $channel_subscribe (call $ch (i32.const {parent})) (call $ch (i32.const {child}))
                 (i32.const 1) (i32.const 0) (i64.const 0)))",
                name(0),
                name(1)
            )
        };
        let programs =
            [(0, 1), (1, 0)].map(|(parent, child)| bench.program(&stage::with_body(&body(parent, child), ""), "f"));
        let seen = programs.map(|program| bench.start(&program).1);
        seen.iter().for_each(|seen| seen.wait(1));
        let mut said: Vec<_> = seen.iter().map(|seen| seen.progress.lock()[0].0 as i64).collect();
        said.sort_unstable();
        assert_eq!(said, [code(Code::Cycle), 0]);
    }
}

#[test]
fn a_slow_sub_channel_does_not_hold_its_parent() {
    let stage = Stage::new();
    stage.play(&edge(0, 1, 2, DROP_OLDEST));
    let slow = stage.play(&idle(1, 1, HOLD, 10));
    let quick = stage.play(&read(0, 10, DROP_OLDEST));
    let publisher = stage.play(&send(0, 1..=6, FOREVER));
    assert_eq!(publisher.said(), [0; 6]);
    assert_eq!(quick.said(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(stage.figures(1).waiting, 2, "one is under way, so many wait, others were dropped");
    let own = stage.play(&send(1, 7..=7, FOREVER));
    assert!(own.said().is_empty(), "the sub-channel's own publisher comes after what came before");
    stage.pass(11);
    assert_eq!(slow.said(), [0, 1, 2, 5, 6, 7]);
    assert_eq!(own.said(), [0]);
    assert_eq!(stage.channel(0).counts_of(&stage.channel(1).address), Some((4, 2)));
    stage.close();
}

#[test]
fn an_edge_that_drops_the_newest_keeps_the_first() {
    let stage = Stage::new();
    stage.play(&edge(0, 1, 2, DROP_NEWEST));
    let slow = stage.play(&idle(1, 1, HOLD, 10));
    stage.play(&send(0, 1..=6, FOREVER));
    stage.pass(11);
    assert_eq!(slow.said(), [0, 1, 2, 3, 4]);
    assert_eq!(stage.channel(0).counts_of(&stage.channel(1).address), Some((4, 2)));
    stage.close();
}

#[test]
fn an_edge_that_holds_the_publisher_loses_nothing() {
    let stage = Stage::new();
    stage.play(&edge(0, 1, 1, HOLD));
    let slow = stage.play(&idle(1, 1, HOLD, 10));
    let publisher = stage.play(&send(0, 1..=4, 60 * SECOND as i64));
    assert_eq!(publisher.said(), [0], "the second waits");
    stage.pass(11);
    assert_eq!((publisher.said(), slow.said()), (vec![0; 4], vec![0, 1, 2, 3, 4]));
    stage.close();
}

#[test]
fn a_publisher_of_a_parent_waits_for_the_turn_of_a_sub_channel_no_longer_than_it_says() {
    let stage = Stage::new();
    stage.play(&edge(0, 1, 1, HOLD));
    let _slow = stage.play(&idle(1, 1, HOLD, 100));
    stage.play(&send(1, 1..=1, 0));
    let has_the_turn = stage.play(&send(1, 2..=2, FOREVER));
    assert!(has_the_turn.said().is_empty());
    assert_eq!(stage.play(&send(0, 3..=3, 0)).said(), [code(Code::Timeout)], "it does not wait at all");
    let publisher = stage.play(&send(0, 4..=4, 3 * SECOND as i64));
    stage.pass(4);
    assert_eq!(publisher.said(), [code(Code::Timeout)]);
    assert_eq!(stage.channel(0).counts_of(&stage.channel(1).address), Some((0, 2)));
    stage.close();
}

#[test]
fn deliver_waits_for_what_was_left_to_a_sub_channel() {
    let stage = Stage::new();
    stage.play(&edge(0, 1, 5, DROP_OLDEST));
    let _quick = stage.play(&read(0, 10, DROP_OLDEST));
    let _slow = stage.play(&idle(1, 1, HOLD, 10));
    assert_eq!(stage.play(&deliver(0, 1, 2, 0)).said(), [2]);
    let under_way = stage.play(&deliver(0, 2, 2, 60 * SECOND as i64));
    let queued = stage.play(&deliver(0, 3, 2, 60 * SECOND as i64));
    let short = stage.play(&deliver(0, 4, 2, SECOND as i64));
    stage.pass(2);
    assert_eq!((under_way.said(), queued.said(), short.said()), (vec![], vec![], vec![1]));
    stage.pass(10);
    assert_eq!((under_way.said(), queued.said()), (vec![2], vec![2]));
    stage.close();
}

#[test]
fn a_sub_channel_that_closes_is_unsubscribed_and_frees_who_waited_for_it() {
    let stage = Stage::new();
    stage.play(&[edge(0, 1, 1, HOLD), edge(0, 2, 1, DROP_OLDEST)].concat());
    for channel in [1, 2] {
        let slow = stage.play(&idle(channel, 1, HOLD, 100));
        stage.play(&send(channel, 1..=1, 0));
        assert_eq!(slow.said(), [0]);
    }
    let busy = stage.play(&send(1, 2..=2, FOREVER));
    let waiting = stage.play(&send(0, 3..=3, FOREVER));
    assert_eq!((busy.said(), waiting.said()), (vec![], vec![]));
    let close = |channel: u32| {
        format!("(call $open (i32.const {channel})) (call $say (call $channel_close (call $ch (i32.const {channel}))))")
    };
    assert_eq!(stage.play(&close(1)).said(), [0]);
    assert_eq!((busy.said(), waiting.said()), (vec![0], vec![0]));
    assert_eq!(stage.figures(0).subscribers, 1);
    // A pump of the second holds a message; it goes with its channel.
    stage.play(&send(0, 4..=5, 0));
    assert_eq!(stage.play(&close(2)).said(), [0]);
    assert_eq!(stage.figures(0).subscribers, 0);
    assert_eq!(stage.play(&close(0)).said(), [0]);
    stage.pass(1);
    stage.close();
}

#[test]
fn a_large_fan_out_lets_others_run_also_across_sub_channels() {
    let stage = Stage::new();
    // Two hundred subscriptions of one coroutine, over as many channels below one.
    let body = "(call $open (i32.const 0))
        (loop
            (i32.store16 (i32.const 300) (i32.add (i32.const 0x6161) (i32.add (i32.rem_u (global.get $i) (i32.const 16))
                (i32.mul (i32.const 256) (i32.div_u (global.get $i) (i32.const 16))))))
            (if (call $channel_open (i32.const 300) (i32.const 2) (i32.const 400)) (then unreachable))
            (if (call $channel_subscribe (i32.const 400) (call $me) (i32.const 1) (i32.const 0) (i64.const 0)) (then unreachable))
            (if (call $channel_subscribe (call $ch (i32.const 0)) (i32.const 400) (i32.const 1) (i32.const 0) (i64.const 0))
                (then unreachable))
            (global.set $i (i32.add (global.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $i) (i32.const 200))))
        (call $idle)";
    stage.play(body);
    let order = crate::support::Order::default();
    let publisher = stage.start_in(&stage.bench.group, &deliver(0, 1, 200, 0));
    let other = stage.start_in(&stage.bench.group, "");
    publisher.seen.note_order(&order, "publisher");
    other.seen.note_order(&order, "other");
    stage.pass(0);
    assert_eq!(publisher.said(), [200]);
    assert_eq!(*order.lock(), ["other", "publisher"]);
    stage.close();
}
