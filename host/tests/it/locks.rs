//! Locks as guests see them, on virtual time: who gets what and when, what is refused, and that nothing stays held.

#[path = "locks/conditions.rs"]
mod conditions;
#[path = "locks/handles.rs"]
mod handles;

use crate::script::{Stage, module};
use crate::support::{Bench, Remember};
use corovan_core::limits;
use std::sync::Arc;

#[test]
fn a_lock_goes_to_whoever_waited_longest_and_nobody_comes_in_between() {
    let stage = Stage::new();
    let first = stage.play("open lock a; acquire 1 forever; sleep 2; release 1; acquire 1 forever; release 1");
    let second = stage.play("open lock a; acquire 1 forever; sleep 1; release 1");
    let third = stage.play("open lock a; acquire 1 9; sleep 1; release 1");
    stage.pass(9);
    assert_eq!(second.said(), "1@0 0@2 0@3");
    assert_eq!(third.said(), "1@0 0@3 0@4");
    assert_eq!(first.said(), "1@0 0@0 0@2 0@4 0@4", "it asked again at once, and came last");
    stage.close();
}

#[test]
fn who_does_not_get_it_in_time_is_not_in_the_way_of_the_next() {
    let stage = Stage::new();
    stage.play("open lock a; acquire 1 forever; sleep 5");
    let looks = stage.play("open lock a; acquire 1 0");
    let late = stage.play("open lock a; acquire 1 3; acquire 1 4");
    let next = stage.play("open lock a; acquire 1 forever");
    stage.pass(9);
    assert_eq!(looks.said(), "1@0 timeout@0");
    assert!(looks.detail().contains("\"a\""), "{}", looks.detail());
    assert_eq!(next.said(), "1@0 0@5");
    assert_eq!(late.said(), "1@0 timeout@3 0@5", "behind the other, who ended at once");
    stage.close();
}

#[test]
fn an_event_lets_all_through_while_it_is_set() {
    let stage = Stage::new();
    let waits = ["wait 1 forever", "wait 1 9; is_set 1", "wait 1 1; wait 1 forever"];
    let guests = waits.map(|wait| stage.play(&format!("open event go; {wait}")));
    let setter = stage
        .play("open event go; is_set 1; sleep 2; set 1; set 1; is_set 1; sleep 1; clear 1; clear 1; wait 1 0; hang");
    stage.pass(2);
    let late = stage.play("open event go; wait 1 0; sleep 3; wait 1 1");
    stage.pass(9);
    assert_eq!(guests.map(|guest| guest.said()), ["1@0 0@2", "1@0 0@2 1@2", "1@0 timeout@1 0@2"]);
    assert_eq!(setter.said(), "1@0 0@0 0@2 0@2 1@2 0@3 0@3 timeout@3");
    assert_eq!(late.said(), "1@2 0@2 timeout@6");
    stage.close();
}

#[test]
fn who_was_let_through_stays_so_also_when_the_event_is_cleared_at_once() {
    let stage = Stage::new();
    let guests = [0, 1].map(|_| stage.play("open event go; wait 1 forever"));
    stage.play("open event go; set 1; clear 1");
    assert_eq!(guests.map(|guest| guest.said()), ["1@0 0@0", "1@0 0@0"]);
    stage.close();
}

#[test]
fn a_reentrant_lock_is_free_when_it_was_released_as_often_as_taken() {
    let stage = Stage::new();
    let holder = stage.play(
        "open reentrant a; acquire 1 0; acquire 1 0; acquire 1 0; release 1; sleep 1; release 1; sleep 1; release 1; release 1",
    );
    let next = stage.play("open reentrant a; release 1; acquire 1 forever");
    stage.pass(3);
    assert_eq!(holder.said(), "1@0 0@0 0@0 0@0 0@0 0@1 0@2 not-held@2");
    assert_eq!(next.said(), "1@0 not-held@0 0@2");
    stage.close();
}

#[test]
fn a_reentrant_lock_has_a_greatest_depth() {
    let stage = Stage::new();
    let guest =
        stage.play("open reentrant a; wat (call $deep (i32.const 1)); acquire 1 forever; release 1; acquire 1 0");
    assert_eq!(guest.said(), format!("1@0 {}@0 overloaded@0 0@0 0@0", limits::LOCK_DEPTH));
    assert!(guest.detail().contains("LOCK_DEPTH"), "{}", guest.detail());
    stage.close();
}

#[test]
fn a_lock_that_is_not_reentrant_is_waited_for_also_by_its_holder() {
    let stage = Stage::new();
    let guest = stage.play("open lock a; acquire 1 0; acquire 1 2; release 1; release 1");
    stage.pass(2);
    assert_eq!(guest.said(), "1@0 0@0 timeout@2 0@2 not-held@2");
    stage.close();
}

#[test]
fn a_semaphore_lets_as_many_in_as_it_counts() {
    let stage = Stage::new();
    let both = stage.play(
        "open semaphore s 2; acquire 1 0; acquire 1 0; acquire 1 0; sleep 1; release 1; sleep 1; release 1; release 1",
    );
    let next = [0, 1].map(|_| stage.play("open semaphore s 0; release 1; acquire 1 forever; sleep 5"));
    stage.pass(9);
    assert_eq!(both.said(), "1@0 0@0 0@0 timeout@0 0@1 0@2 not-held@2");
    assert_eq!(next.map(|guest| guest.said()), ["1@0 not-held@0 0@1", "1@0 not-held@0 0@2"]);
    stage.close();
}

#[test]
fn whatever_ends_a_holder_all_that_it_held_goes_to_the_next() {
    let holds = "open lock a; acquire 1 0; open reentrant b; acquire 2 0; acquire 2 0; open condition c; acquire 3 0; acquire 3 0;
         open semaphore d 3; acquire 4 0; acquire 4 0; acquire 4 0";
    let wants = ["open lock a", "open reentrant b", "open condition c", "open semaphore d 3"];
    for end in ["", "trap", "release 99", "hang"] {
        let stage = Stage::new();
        let holder = stage.play(&format!("{holds}; sleep 1; {end}"));
        let next = wants.map(|want| stage.play(&format!("{want}; acquire 1 forever; sleep 9")));
        let last = stage.play("open semaphore d 3; acquire 1 0; acquire 1 forever; acquire 1 forever; hang");
        stage.pass(1);
        if end == "hang" {
            stage.kill(&holder);
        }
        assert_eq!(holder.said(), "1@0 0@0 2@0 0@0 0@0 3@0 0@0 0@0 4@0 0@0 0@0 0@0");
        assert_eq!(next.map(|guest| guest.said()), ["1@0 0@1"; 4], "ended by {end:?}");
        assert_eq!(last.said(), "1@0 timeout@0 0@1 0@1", "all three of the semaphore are free");
        stage.close();
    }
}

#[test]
fn one_that_is_stopped_while_it_waits_is_passed_over() {
    let stage = Stage::new();
    stage.play("open lock a; acquire 1 0; open event b; sleep 1; set 2; release 1; hang");
    let stopped = ["open lock a; acquire 1 forever", "open event b; wait 1 forever"].map(|script| stage.play(script));
    let next = ["open lock a; acquire 1 forever", "open event b; wait 1 forever"].map(|script| stage.play(script));
    stopped.iter().for_each(|guest| stage.kill(guest));
    stage.pass(1);
    assert_eq!(next.map(|guest| guest.said()), ["1@0 0@1", "1@0 0@1"]);
    stage.close();
}

#[test]
fn an_interrupt_ends_the_waiting_once_and_takes_nothing() {
    let stage = Stage::new();
    let holder = stage.play("open lock a; acquire 1 0; sleep 2; release 1; acquire 1 0");
    let guest = stage.play("open lock a; acquire 1 forever; acquire 1 forever");
    stage.pass(1);
    guest.control.interrupt("look up");
    stage.pass(0);
    assert_eq!((guest.said(), guest.detail()), ("1@0 interrupted@1".into(), "look up".into()));
    stage.pass(1);
    assert_eq!(guest.said(), "1@0 interrupted@1 0@2");
    assert_eq!(holder.said(), "1@0 0@0 0@2 timeout@2");
    let early = stage.play("open event e; sleep 1; wait 1 0; wait 1 0");
    early.control.interrupt("pending");
    stage.pass(1);
    assert_eq!(early.said(), "1@2 timeout@2 timeout@2", "its sleep was interrupted");
    stage.close();
}

#[test]
fn locks_belong_to_one_computation() {
    let stage = Stage::new();
    let here = stage.play("open lock a; acquire 1 0; hang");
    for tenant in [Arc::clone(&stage.bench.tenant), stage.bench.other_tenant()] {
        let elsewhere = stage.computation(&tenant);
        let there = stage.play_in(&elsewhere, "open event a; set 1; close 1; open lock a; acquire 2 0");
        assert_eq!(there.said(), "1@0 0@0 0@0 2@0 0@0");
        assert_eq!(elsewhere.locks.len(), 0);
    }
    assert_eq!(here.said(), "1@0 0@0");
    assert_eq!(stage.bench.group.locks.len(), 1);
    stage.close();
}

#[test]
fn another_instance_that_takes_over_keeps_locks_handles_and_names() {
    let stage = Stage::new();
    let guest = stage.play("open lock a; acquire 1 0; register printer self; sleep 1; wat (call $agree)");
    let next = stage.play("open lock a; acquire 1 forever; sleep 1; locate printer 0");
    let asker = stage.play_with("wat (call $ask)", guest.control.address);
    stage.pass(4);
    assert_eq!(asker.said(), "0@1");
    assert_eq!(guest.said(), "1@0 0@0 0@0 0@2 not-held@2");
    assert_eq!(next.said(), format!("1@0 0@2 {}@3", guest.control.address.counter));
    stage.close();
}

#[test]
fn two_hundred_on_two_threads_leave_no_lock_behind() {
    let bench = Bench::threaded(256);
    let script = "open lock a; acquire 1 forever; release 1; open semaphore s 3; acquire 2 forever; open event e; set 3; wait 3 0;
         open condition c; acquire 4 forever; notify 4 1; wait 4 0; close 1; open lock a; acquire 5 forever";
    let program = bench.program(&module(script, None), "f");
    let seen = Arc::new(Remember::default());
    for _ in 0..200 {
        bench.runtime.launch(bench.launch(&program, &seen)).unwrap();
    }
    seen.wait(200);
    bench.close();
    let progress = seen.progress.lock();
    let timeout = -i64::from(corovan_core::code::Code::Timeout.number());
    assert_eq!(progress.len(), 200 * 15);
    assert_eq!(progress.iter().filter(|(given, ..)| (*given as i64) < 0).count(), 200);
    assert!(progress.iter().all(|(given, ..)| (*given as i64) >= 0 || *given as i64 == timeout));
    assert_eq!(bench.group.locks.len(), 0);
}
