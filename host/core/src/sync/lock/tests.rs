//! One rule a test; what any sequence of calls must keep is in `fuzz`.

use super::*;

fn waits(acquired: Acquired) -> Ticket {
    match acquired {
        Acquired::Waits(ticket) => ticket,
        Acquired::Now => panic!("it was to wait"),
    }
}

/// A condition that these hold no more and sleep for, in this order.
fn asleep(holders: std::ops::Range<u64>) -> (Lock<u64>, Vec<Ticket>) {
    let mut lock = Lock::new(Kind::Condition, 0);
    let sleep = |holder| {
        assert_eq!(lock.acquire(holder, || holder), Ok(Acquired::Now));
        waits(lock.wait(holder, || holder).unwrap().0)
    };
    let tickets = holders.map(sleep).collect();
    (lock, tickets)
}

#[test]
fn a_condition_is_given_up_while_it_is_waited_for_and_held_as_often_afterwards() {
    let mut lock = Lock::new(Kind::Condition, 0);
    assert_eq!(lock.notify(1, 1), Err(Refused::NotHeld));
    assert_eq!(lock.wait(1, || 1).unwrap_err(), Refused::NotHeld);
    for _ in 0..3 {
        assert_eq!(lock.acquire(1, || 1), Ok(Acquired::Now));
    }
    let first = waits(lock.wait(1, || 1).unwrap().0);
    assert_eq!(lock.acquire(2, || 2), Ok(Acquired::Now));
    assert_eq!(lock.notify(2, u32::MAX), Ok(1));
    assert_eq!(lock.fate(first), Fate::Certain, "it is still held by who notified");
    assert_eq!(lock.release(2), Ok(vec![1]));
    assert_eq!(lock.fate(first), Fate::Granted);
    assert_eq!(lock.held_by(1), 3);
}

#[test]
fn a_condition_that_is_not_notified_in_time_is_acquired_again_all_the_same() {
    let (mut lock, tickets) = asleep(1..2);
    lock.acquire(2, || 2).unwrap();
    assert_eq!(lock.give_up(tickets[0]), (GivenUp::HoldsAgain, vec![]));
    assert_eq!(lock.give_up(tickets[0]), (GivenUp::TooLate, vec![]), "it waits in the queue now");
    assert_eq!(lock.release(2), Ok(vec![1]));
    assert_eq!((lock.fate(tickets[0]), lock.held_by(1)), (Fate::Granted, 1));
    let again = waits(lock.wait(1, || 1).unwrap().0);
    assert_eq!(lock.give_up(again), (GivenUp::HoldsAgain, vec![1]), "nobody has it");
    assert_eq!(lock.fate(again), Fate::Granted);
}

#[test]
fn who_was_notified_cannot_give_up_and_the_notification_of_one_that_ends_goes_on() {
    let (mut lock, tickets) = asleep(1..4);
    lock.acquire(9, || 9).unwrap();
    assert_eq!(lock.notify(9, 1), Ok(1));
    assert_eq!(lock.give_up(tickets[0]), (GivenUp::TooLate, vec![]));
    assert_eq!(lock.withdraw(tickets[0]), [0; 0], "the second is notified now; it is still held");
    assert_eq!(lock.fate(tickets[1]), Fate::Certain);
    assert_eq!(lock.release(9), Ok(vec![2]));
    assert_eq!(lock.withdraw(tickets[1]), [3], "it had it already, and has not looked");
    assert_eq!((lock.fate(tickets[2]), lock.held_by(3)), (Fate::Granted, 1));
}

#[test]
fn an_event_wakes_all_and_stays_set() {
    let mut event = Lock::new(Kind::Event, 0);
    assert_eq!((event.is_set(), event.acquire(1, || 1)), (Ok(false), Err(Refused::Kind)));
    let tickets: Vec<_> = (0..3).map(|holder| waits(event.wait(holder, || holder).unwrap().0)).collect();
    assert_eq!(event.give_up(tickets[1]), (GivenUp::Over, vec![]));
    assert_eq!(event.set(), Ok(vec![0, 2]));
    event.clear().unwrap();
    let fates: Vec<_> = tickets.iter().map(|ticket| event.fate(*ticket)).collect();
    assert_eq!(fates, [Fate::Granted, Fate::Waiting, Fate::Granted], "also when it is cleared");
    event.set().unwrap();
    assert_eq!(event.wait(7, || 7).unwrap().0, Acquired::Now);
    assert_eq!(event.is_set(), Ok(true));
}

#[test]
fn a_lock_that_was_handed_to_one_who_ends_goes_on_to_the_next() {
    let mut lock = Lock::new(Kind::Lock, 0);
    lock.acquire(1, || 1).unwrap();
    let second = waits(lock.acquire(2, || 2).unwrap());
    let third = waits(lock.acquire(3, || 3).unwrap());
    assert_eq!(lock.end(1), [2]);
    assert_eq!(lock.give_up(second), (GivenUp::TooLate, vec![]));
    assert_eq!(lock.withdraw(second), [3]);
    assert_eq!(lock.fate(third), Fate::Granted);
}

#[test]
fn a_reentrant_lock_has_a_greatest_depth() {
    let mut lock = Lock::new(Kind::Reentrant, 0);
    for _ in 0..limits::LOCK_DEPTH {
        assert_eq!(lock.acquire(1, || 1), Ok(Acquired::Now));
    }
    assert_eq!(lock.acquire(1, || 1), Err(Refused::TooDeep));
    lock.release(1).unwrap();
    assert_eq!(lock.acquire(1, || 1), Ok(Acquired::Now));
}

#[test]
fn each_call_is_for_some_kinds_and_refused_by_the_others() {
    use Kind::*;
    for kind in [Lock, Reentrant, Event, Condition, Semaphore] {
        let mut lock = super::Lock::new(kind, 1);
        let refused = |outcome: Option<Refused>| outcome == Some(Refused::Kind);
        assert_eq!(refused(lock.acquire(1, || 1).err()), kind == Event, "{kind}: acquire");
        assert_eq!(refused(lock.notify(1, 1).err()), kind != Condition, "{kind}: notify");
        assert_eq!(refused(lock.release(1).err()), kind == Event, "{kind}: release");
        assert_eq!(refused(lock.set().err()), kind != Event, "{kind}: set");
        assert_eq!(refused(lock.is_set().err()), kind != Event, "{kind}: is_set");
        assert_eq!(refused(lock.clear().err()), kind != Event, "{kind}: clear");
        assert_eq!(refused(lock.wait(1, || 1).err()), !matches!(kind, Event | Condition), "{kind}: wait");
    }
}
