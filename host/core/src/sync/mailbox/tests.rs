//! The mailbox against the simplest one, and what that one does not show: who is woken, and in which order.

use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { messages: 2, bytes: 100, reserved: 1 };

fn letter(body: u32, size: usize) -> Letter<u32> {
    Letter { kind: Kind::Message, tag: u64::from(body), sender: Address::default(), via: 0, size, body }
}

fn pop(mailbox: &mut Mailbox<u32, u32>, filter: &Filter) -> Option<(u32, Vec<u32>)> {
    let place = mailbox.find(filter)?;
    mailbox.take(place, |letter| letter.body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_simplest_mailbox_does(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        super::model::drive(&bytes);
    }
}

#[test]
fn the_receiver_is_woken_by_what_it_waits_for_and_once() {
    let mut mailbox: Mailbox<u32, u32> = Mailbox::new(BOUNDS);
    let seven = Filter { tag: Some(7), ..Filter::default() };
    mailbox.await_letter(&seven);
    assert!(!mailbox.push(letter(1, 0)).unwrap());
    assert!(mailbox.push(letter(7, 0)).unwrap());
    assert_eq!(pop(&mut mailbox, &seven), Some((7, vec![])));
    mailbox.await_letter(&Filter::ANY);
    assert!(mailbox.push(letter(2, 0)).unwrap());
    assert!(mailbox.push(letter(3, 0)).is_err(), "two are the most");
}

#[test]
fn it_is_awaited_while_it_is_empty_and_any_letter_wakes() {
    let mut mailbox: Mailbox<u32, u32> = Mailbox::new(BOUNDS);
    assert!(!mailbox.is_awaited());
    mailbox.await_letter(&Filter { tag: Some(7), ..Filter::ANY });
    assert!(!mailbox.is_awaited(), "another letter would not wake");
    mailbox.await_letter(&Filter::ANY);
    assert!(mailbox.is_awaited());
    mailbox.push(letter(1, 0)).unwrap();
    assert!(!mailbox.is_awaited());
    // As a wait for one of several letters does, of which none is there.
    mailbox.await_letter(&Filter::ANY);
    assert!(!mailbox.is_awaited(), "there is one");
    assert!(pop(&mut mailbox, &Filter::ANY).is_some());
    assert!(!mailbox.is_awaited(), "whoever takes one is awake");
}

#[test]
fn a_sender_that_waits_is_served_in_turn_and_may_give_up() {
    let mut mailbox: Mailbox<u32, u32> = Mailbox::new(BOUNDS);
    mailbox.push(letter(1, 60)).unwrap();
    let Full(large) = mailbox.push(letter(2, 60)).unwrap_err();
    let (large, _) = mailbox.wait(large, 2);
    let Full(small) = mailbox.push(letter(3, 1)).unwrap_err();
    let (small, _) = mailbox.wait(small, 3);
    assert_eq!((mailbox.fate(large), mailbox.fate(small)), (Fate::Waiting, Fate::Waiting), "nobody overtakes");
    let (given_up, _, woken) = mailbox.withdraw(large).unwrap();
    assert_eq!((given_up.body, woken), (2, vec![3]));
    assert_eq!(mailbox.fate(small), Fate::Accepted);
    assert!(mailbox.withdraw(small).is_none());
    assert_eq!(pop(&mut mailbox, &Filter::default()), Some((1, vec![])));
}

#[test]
fn a_letter_larger_than_the_mailbox_fits_an_empty_one() {
    let mut mailbox: Mailbox<u32, u32> = Mailbox::new(BOUNDS);
    mailbox.push(letter(1, 1_000)).unwrap();
    assert!(mailbox.is_full());
    assert!(mailbox.push(letter(2, 0)).is_err());
}

fn via(body: u32) -> Letter<u32> {
    Letter { via: 5, ..letter(body, 10) }
}

#[test]
fn a_publisher_is_woken_when_its_subscription_has_room_and_by_nothing_else() {
    let mut mailbox: Mailbox<u32, u32> = Mailbox::new(Bounds { messages: 9, bytes: 900, reserved: 0 });
    for body in [1, 2, 3] {
        assert!(mailbox.push(via(body)).is_ok());
    }
    assert!(mailbox.push(letter(4, 0)).is_ok());
    mailbox.hold(5, 2, 77);
    assert_eq!(pop(&mut mailbox, &Filter { tag: Some(4), ..Filter::default() }), Some((4, vec![])), "another's");
    assert_eq!(pop(&mut mailbox, &Filter::default()), Some((1, vec![])), "two are the most, and two are there");
    assert_eq!((mailbox.unread(5), mailbox.via_bytes()), (2, 20));
    assert_eq!(pop(&mut mailbox, &Filter::default()), Some((2, vec![77])));
    assert_eq!(mailbox.let_go(5), None, "once");
    mailbox.hold(5, 1, 78);
    assert_eq!(mailbox.let_go(5), Some(78));
    assert_eq!(pop(&mut mailbox, &Filter::default()), Some((3, vec![])), "it waits no more");
    mailbox.hold(5, 1, 79);
    assert_eq!(mailbox.close().holding, [79]);
}
