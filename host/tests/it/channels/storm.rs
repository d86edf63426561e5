//! Many at once, on threads: nothing is lost where nothing may be, nothing is out of order, nothing stays behind.

use super::stage::with_body;
use crate::support::{Bench, Remember};
use corovan_core::tenancy::quota::Resource;
use std::sync::Arc;
use std::time::Duration;

const PUBLISHERS: u64 = 4;
const EACH: u64 = 300;

fn run(bench: &Bench, body: &str) -> Arc<Remember> {
    bench.start(&bench.program(&with_body(body, ""), "f")).1
}

/// Numbers that a guest said, without the answer to its subscription.
fn heard(guest: &Remember) -> Vec<u64> {
    guest.progress.lock().iter().skip(1).map(|(tag, ..)| *tag).collect()
}

#[test]
fn publishers_of_parent_and_child_come_to_all_below_in_one_order() {
    let bench = Bench::threaded(64);
    // Over the edge to 1 nobody is held, and nothing is dropped, since it has room for all; that to 2 holds the publisher.
    let edges = run(
        &bench,
        "(call $edge (i32.const 0) (i32.const 1) (i32.const 10000) (i32.const 0))
         (call $edge (i32.const 0) (i32.const 2) (i32.const 1) (i32.const 2))",
    );
    edges.wait(1);
    let total = PUBLISHERS * EACH;
    let read = |channel: u32, cap: u32| {
        format!(
            "(call $join (i32.const {channel}) (i32.const {cap}) (i32.const 2))
             (loop (call $next (i64.const -1)) (global.set $i (i32.add (global.get $i) (i32.const 1)))
                (br_if 0 (i32.lt_u (global.get $i) (i32.const {total}))))"
        )
    };
    // Half of the publishers send to the parent, half to its first child.
    let to_all = total / 2;
    let readers: Vec<_> = [(1, 3), (1, 50)].map(|(channel, cap)| run(&bench, &read(channel, cap))).into();
    let above: Vec<_> = [(0, 1), (2, 2), (2, 7)]
        .map(|(channel, cap)| run(&bench, &read(channel, cap).replace(&format!("{total})"), &format!("{to_all})"))))
        .into();
    let publish = |n: u64| {
        let (channel, wanted, first) = (n % 2, if n.is_multiple_of(2) { 5 } else { 2 }, n * 1_000);
        format!(
            "(global.set $i (i32.const {first}))
             (call $deliver (i32.const {channel}) (i64.const {first}) (i32.const {wanted}) (i64.const -1))
             (loop (global.set $i (i32.add (global.get $i) (i32.const 1)))
                (call $send (i32.const {channel}) (i64.extend_i32_u (global.get $i)) (i64.const -1))
                (br_if 0 (i32.lt_u (global.get $i) (i32.const {}))))",
            first + EACH - 1
        )
    };
    let publishers: Vec<_> = (0..PUBLISHERS).map(|n| run(&bench, &publish(n))).collect();
    publishers.iter().chain(&above).chain(&readers).for_each(|guest| guest.wait(1));
    let (below, top) = (heard(&readers[0]), heard(&above[0]));
    assert_eq!((below.len() as u64, heard(&readers[1])), (total, below.clone()));
    assert_eq!((top.len() as u64, heard(&above[1]), heard(&above[2])), (to_all, top.clone(), top.clone()));
    let of_parent: Vec<_> = below.iter().copied().filter(|tag| tag / 1_000 % 2 == 0).collect();
    assert_eq!(of_parent, top, "the parent's order is kept among what else comes to the child");
    for n in 0..PUBLISHERS {
        let one: Vec<_> = below.iter().copied().filter(|tag| tag / 1_000 == n).collect();
        assert_eq!(one, (n * 1_000..n * 1_000 + EACH).collect::<Vec<_>>(), "each publisher's order");
    }
    end(&bench);
}

#[test]
fn subscribers_that_come_and_go_and_channels_that_close_under_load_leave_nothing() {
    let bench = Bench::threaded(64);
    let publish = "(loop
        (call $open (i32.const 0))
        (drop (call $channel_send (call $ch (i32.const 0)) (i64.const 1) (i32.const 0) (i32.const 100) (i64.const 1000000)))
        (global.set $i (i32.add (global.get $i) (i32.const 1)))
        (br_if 0 (i32.lt_u (global.get $i) (i32.const 400))))";
    // Subscribes itself to a channel, under another policy each time, reads a little, and leaves or ends.
    let come_and_go = |channel: u32| {
        format!(
            "(loop
                (call $open (i32.const {channel}))
                (drop (call $channel_subscribe (call $ch (i32.const {channel})) (call $me) (i32.const 2)
                    (i32.rem_u (global.get $i) (i32.const 3)) (i64.const 0)))
                (drop (call $receive (i64.const 300000) (i32.const 0) (i32.const 800) (i32.const 5000) (i32.const 1000)))
                (if (i32.and (global.get $i) (i32.const 1)) (then
                    (drop (call $channel_unsubscribe (call $ch (i32.const {channel})) (call $me) (i64.const 0)))))
                (global.set $i (i32.add (global.get $i) (i32.const 1)))
                (br_if 0 (i32.lt_u (global.get $i) (i32.const 100))))"
        )
    };
    let rebuild = "(loop
        (call $open (i32.const 0)) (call $open (i32.const 1))
        (drop (call $channel_subscribe (call $ch (i32.const 0)) (call $ch (i32.const 1)) (i32.const 3)
            (i32.rem_u (global.get $i) (i32.const 3)) (i64.const 0)))
        (drop (call $sleep (i64.const 200000)))
        (drop (call $channel_close (call $ch (i32.rem_u (global.get $i) (i32.const 2)))))
        (global.set $i (i32.add (global.get $i) (i32.const 1)))
        (br_if 0 (i32.lt_u (global.get $i) (i32.const 60))))";
    let mut guests: Vec<_> = (0..4).map(|_| run(&bench, publish)).collect();
    guests.extend((0..8).map(|n| run(&bench, &come_and_go(n % 2))));
    guests.push(run(&bench, rebuild));
    guests.iter().for_each(|guest| guest.wait(1));
    for guest in guests {
        assert!(matches!(guest.outcome(), corovan_core::wire::Outcome::Finished(_)), "{:?}", guest.outcome());
    }
    end(&bench);
}

fn end(bench: &Bench) {
    bench.close();
    assert!(bench.tenant.channels.is_empty());
    // A pump may have its last words still to say.
    let begun = std::time::Instant::now();
    while Resource::ALL.iter().any(|resource| bench.ledger.used(*resource) != 0) {
        let left = Resource::ALL.map(|resource| bench.ledger.used(resource));
        assert!(begun.elapsed() < Duration::from_secs(60), "left after a minute: {left:?}");
        std::thread::yield_now();
    }
}
