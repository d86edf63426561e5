//! Conditions: given up while waited for, held again afterwards, and no notification lost.

use crate::script::Stage;

#[test]
fn a_consumer_waits_until_a_producer_notifies_and_both_hold_it_in_turn() {
    let stage = Stage::new();
    let consumer = stage.play(
        "open condition c; acquire 1 0; acquire 1 0; wait 1 forever; sleep 1; wait 1 forever; release 1; release 1",
    );
    let producer = stage.play(
        "open condition c; acquire 1 0; sleep 1; notify 1 1; sleep 1; release 1; acquire 1 forever; notify 1 1; release 1",
    );
    stage.pass(9);
    assert_eq!(producer.said(), "1@0 0@0 1@1 0@2 0@3 1@3 0@3");
    assert_eq!(consumer.said(), "1@0 0@0 0@0 0@2 0@3 0@3 0@3", "held twice, as before");
    stage.close();
}

#[test]
fn so_many_are_woken_as_were_asked_for_and_go_on_one_after_the_other() {
    let stage = Stage::new();
    let guests = [0; 4].map(|_| stage.play("open condition c; acquire 1 0; wait 1 forever; sleep 1; release 1"));
    let notifier = stage.play("open condition c; acquire 1 0; notify 1 0; notify 1 2; release 1; sleep 5; acquire 1 0; notify 1 -1; notify 1 -1");
    stage.pass(9);
    assert_eq!(notifier.said(), "1@0 0@0 0@0 2@0 0@0 0@5 2@5 0@5");
    let said = guests.map(|guest| guest.said());
    assert_eq!(said, ["1@0 0@0 0@0 0@1", "1@0 0@0 0@1 0@2", "1@0 0@0 0@5 0@6", "1@0 0@0 0@6 0@7"]);
    stage.close();
}

#[test]
fn who_waits_or_notifies_must_hold_it() {
    let stage = Stage::new();
    let guest = stage.play("open condition c; wait 1 0; wait 1 forever; notify 1 1; release 1");
    assert_eq!(guest.said(), "1@0 not-held@0 not-held@0 not-held@0 not-held@0");
    assert!(guest.detail().contains("condition \"c\""), "{}", guest.detail());
    stage.close();
}

#[test]
fn one_that_is_not_notified_in_time_holds_it_again_before_it_is_told() {
    let stage = Stage::new();
    let guest = stage.play("open condition c; acquire 1 0; wait 1 2; release 1; release 1");
    let other = stage.play("open condition c; acquire 1 0; sleep 5; notify 1 -1; release 1");
    let third = stage.play("open condition c; acquire 1 forever; sleep 1");
    stage.pass(9);
    assert_eq!(guest.said(), "1@0 0@0 timeout@6 0@6 not-held@6", "behind those who came before its time was over");
    assert_eq!(third.said(), "1@0 0@5");
    assert_eq!(other.said(), "1@0 0@0 0@5 0@5", "nobody waited for a notification any more");
    stage.close();
}

#[test]
fn one_that_was_notified_in_time_is_told_so_however_late_it_holds_it() {
    let stage = Stage::new();
    let guest = stage.play("open condition c; acquire 1 0; wait 1 2; sleep 1; wait 1 0");
    stage.play("open condition c; acquire 1 0; sleep 1; notify 1 1; sleep 4; release 1");
    stage.pass(3);
    guest.control.interrupt("too late too");
    stage.pass(9);
    assert_eq!(guest.said(), "1@0 0@0 0@5 timeout@5", "the interrupt was left to its sleep");
    stage.close();
}

#[test]
fn a_wait_that_only_looks_does_not_give_it_up() {
    let stage = Stage::new();
    let guest = stage.play("open condition c; acquire 1 0; sleep 1; wait 1 0; sleep 1; release 1");
    let next = stage.play("open condition c; acquire 1 forever");
    stage.pass(2);
    assert_eq!(guest.said(), "1@0 0@0 timeout@1 0@2");
    assert_eq!(next.said(), "1@0 0@2");
    stage.close();
}

#[test]
fn one_that_is_interrupted_holds_it_again_before_it_is_told() {
    let stage = Stage::new();
    let guest = stage.play("open condition c; acquire 1 0; wait 1 forever; release 1; release 1");
    stage.play("open condition c; acquire 1 0; sleep 3; release 1");
    stage.pass(1);
    guest.control.interrupt("look up");
    stage.pass(1);
    assert_eq!(guest.said(), "1@0 0@0", "another holds it");
    stage.pass(1);
    assert_eq!(guest.said(), "1@0 0@0 interrupted@3 0@3 not-held@3");
    stage.close();
}

#[test]
fn the_notification_of_one_that_is_stopped_before_it_goes_on_is_the_next_ones() {
    let stage = Stage::new();
    let guests = [0; 3].map(|_| stage.play("open condition c; acquire 1 0; wait 1 forever; release 1"));
    let notifier = stage.play("open condition c; acquire 1 0; notify 1 1; sleep 2; release 1; hang");
    stage.kill(&guests[0]);
    stage.pass(2);
    assert_eq!(notifier.said(), "1@0 0@0 1@0 0@2");
    assert_eq!([guests[1].said(), guests[2].said()], ["1@0 0@0 0@2 0@2", "1@0 0@0"]);
    stage.kill(&guests[2]);
    stage.close();
}
