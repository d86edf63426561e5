//! Borrower and lender against each other where the simulation does not get: their bounds, and a peer that cheats.

use super::*;
use std::collections::VecDeque;

const FREE: Amount = Amount::new(10_000, 16 << 20);

fn local(counter: u64) -> Local {
    Local { counter, secret: 1 }
}

/// Both, and mailboxes that take everything at once unless held back.
struct Pair {
    borrower: Borrower<u64>,
    lender: Lender,
    unsettled: Vec<(Local, usize)>,
    now: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair { borrower: Borrower::new(), lender: Lender::new(), unsettled: Vec::new(), now: 0 }
    }

    fn send(&mut self, mailbox: u64, bytes: usize) -> Acquired {
        let acquired = self.borrower.acquire(local(mailbox), bytes, self.now, || mailbox);
        if acquired == Acquired::Now {
            self.arrives(mailbox, bytes);
        }
        acquired
    }

    fn arrives(&mut self, mailbox: u64, bytes: usize) {
        self.lender.arrived(local(mailbox), bytes).unwrap();
        self.unsettled.push((local(mailbox), bytes));
    }

    fn settle(&mut self, free: Amount) {
        self.unsettled.drain(..).for_each(|(mailbox, bytes)| self.lender.settled(mailbox, bytes, free));
    }

    /// Exchanges what both have to say; who was woken, in order.
    fn talk(&mut self) -> Vec<u64> {
        let mut woken = Vec::new();
        loop {
            let returned = self.borrower.poll(self.now);
            if let Some((mailbox, sent)) = returned {
                self.lender.returned(mailbox, sent).unwrap();
            }
            let granted = self.lender.poll();
            if let Some((mailbox, grant)) = granted {
                woken.extend(self.borrower.credited(mailbox, grant, self.now).unwrap());
            }
            if returned.is_none() && granted.is_none() {
                return woken;
            }
        }
    }

    /// How many messages can be sent at once, after a window was used up so often.
    fn window(&mut self, rounds: usize, free: Amount) -> usize {
        let mut sent = 0;
        for _ in 0..rounds {
            sent = 0;
            let ticket = loop {
                match self.send(1, 1) {
                    Acquired::Now => sent += 1,
                    Acquired::Wait(ticket) => break ticket,
                    other => panic!("{other:?}"),
                }
            };
            self.borrower.withdraw(local(1), ticket);
            self.settle(free);
            self.talk();
        }
        sent
    }
}

#[test]
fn a_window_grows_while_it_is_used_and_there_is_room() {
    let first = limits::FIRST_CONTACT_MESSAGES as usize;
    assert_eq!(Pair::new().window(1, FREE), first);
    assert_eq!(Pair::new().window(40, Amount::default()), first, "no room, no more than that");
    assert!(Pair::new().window(40, FREE) > limits::CREDIT_WINDOW_MESSAGES as usize / 2);
    let mut pair = Pair::new();
    pair.window(40, FREE);
    assert!(pair.window(80, Amount::default()) <= 2 * first, "and shrinks when the room is gone");
}

#[test]
fn a_message_that_waits_for_room_holds_back_its_nodes_window() {
    let mut pair = Pair::new();
    let sent = (0..).take_while(|_| pair.send(1, 100) == Acquired::Now).count();
    assert_eq!(sent as u64, limits::FIRST_CONTACT_MESSAGES);
    assert_eq!(pair.talk(), [] as [u64; 0], "nothing has found room");
    assert_eq!(pair.send(2, 100), Acquired::Now, "others do not wait for it");
    pair.settle(Amount::default());
    assert_eq!(pair.talk(), [1]);
}

#[test]
fn first_contacts_share_an_allowance_and_all_are_served_in_turn() {
    let mut pair = Pair::new();
    let large = limits::MESSAGE_BYTES;
    let at_once = (1..=10).filter(|mailbox| pair.send(*mailbox, large) == Acquired::Now).count();
    assert_eq!(at_once, 3, "four of them and what a message takes beside are too much");
    assert!(matches!(pair.send(11, 1), Acquired::Wait(_)), "a small one does not overtake");
    let mut woken = Vec::new();
    while pair.borrower.waiting() > 0 {
        pair.settle(FREE);
        let now = pair.talk();
        now.iter().for_each(|mailbox| pair.arrives(*mailbox, if *mailbox == 11 { 1 } else { large }));
        woken.extend(now);
    }
    assert_eq!(woken, [4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn full_mailboxes_do_not_take_what_others_have_together() {
    let mut pair = Pair::new();
    let large = limits::MESSAGE_BYTES;
    let reached = |pair: &mut Pair, from: u64| {
        (from..from + 100)
            .take_while(|mailbox| {
                let sent = pair.send(*mailbox, large) == Acquired::Now;
                pair.talk();
                sent
            })
            .count() as u64
    };
    let full = reached(&mut pair, 1);
    assert_eq!(full, (limits::LINK_UNSETTLED + limits::FIRST_CONTACT_ALLOWANCE) / large as u64 - 1, "not for ever");
    pair.settle(FREE);
    assert_eq!(pair.talk(), [full + 1]);
    assert!(reached(&mut pair, 200) > 10);
}

#[test]
fn more_mailboxes_than_there_may_be_records_are_all_reached() {
    let mut pair = Pair::new();
    let all = 2 * limits::LINK_CREDITS as u64 + 10;
    let mut waiting = VecDeque::new();
    for mailbox in 1..=all {
        if let Acquired::Wait(ticket) = pair.send(mailbox, 10) {
            waiting.push_back((mailbox, ticket));
        }
    }
    while !waiting.is_empty() {
        assert!(pair.lender.len() <= limits::LINK_CREDITS);
        pair.settle(FREE);
        let woken = pair.talk();
        assert!(!woken.is_empty(), "stuck");
        for woken in woken {
            let (mailbox, ticket) = waiting.pop_front().unwrap();
            assert_eq!(woken, mailbox, "in turn");
            assert_eq!(pair.borrower.fate(local(mailbox), ticket), Fate::Granted);
            pair.arrives(mailbox, 10);
        }
    }
}

#[test]
fn whoever_waits_for_a_closed_mailbox_or_session_is_told() {
    let mut pair = Pair::new();
    while pair.send(1, 1) == Acquired::Now {}
    let Acquired::Wait(ticket) = pair.send(1, 1) else { panic!("no limit") };
    pair.lender.gone(local(1));
    assert_eq!(pair.talk(), [1, 1]);
    assert_eq!(pair.borrower.fate(local(1), ticket), Fate::Gone);
    assert_eq!(pair.send(1, 1), Acquired::Gone);
    pair.settle(Amount::default());
    pair.talk();
    assert_eq!((pair.borrower.len(), pair.lender.len()), (0, 0), "then all is forgotten");
    assert_eq!(pair.borrower.allowance(), limits::FIRST_CONTACT_ALLOWANCE);

    while pair.send(2, 1) == Acquired::Now {}
    let Acquired::Wait(ticket) = pair.send(2, 1) else { panic!("no limit") };
    assert_eq!(pair.borrower.close(), [2, 2]);
    assert_eq!(pair.borrower.fate(local(2), ticket), Fate::Lost);
    assert_eq!(pair.send(2, 1), Acquired::Lost);
}

#[test]
fn senders_that_wait_are_bounded_and_leave_nothing() {
    let mut pair = Pair::new();
    while pair.send(1, 1) == Acquired::Now {}
    while let Acquired::Wait(_) = pair.send(1, 1) {}
    assert_eq!(pair.borrower.waiting(), limits::LINK_SENDERS);
    assert_eq!(pair.send(1, 1), Acquired::Overloaded);
    assert_eq!(pair.send(2, 1), Acquired::Now, "who need not wait may send");
    assert_eq!(pair.borrower.len(), 2);
}

#[test]
fn a_borrower_that_cheats_is_found_out() {
    let mailbox = local(1);
    let beyond = |lender: &mut Lender, bytes| (0..100).find_map(|_| lender.arrived(mailbox, bytes).err());
    for bytes in [0, 40_000, limits::MESSAGE_BYTES] {
        assert!(matches!(beyond(&mut Lender::new(), bytes), Some(Violation::Beyond { .. })), "{bytes}");
    }
    let mut lender = Lender::new();
    let spread = (0..).find_map(|mailbox| lender.arrived(local(mailbox), 60_000).err());
    assert_eq!(spread, Some(Violation::Allowance));
    let mut lender = Lender::new();
    let many = (0..).find_map(|mailbox| lender.returned(local(mailbox), Amount::default()).err());
    assert_eq!(many, Some(Violation::Records));
    for returned in [Amount::new(0, 0), Amount::new(17, 10), Amount::new(2, u64::MAX)] {
        let mut lender = Lender::new();
        lender.arrived(mailbox, 10).unwrap();
        assert_eq!(lender.returned(mailbox, returned), Err(Violation::Returned { mailbox, returned }));
    }
    let mut lender = Lender::new();
    lender.returned(mailbox, Amount::new(1, 10)).unwrap();
    lender.arrived(mailbox, 10).unwrap();
    assert!(matches!(lender.arrived(mailbox, 0), Err(Violation::Beyond { .. })), "more than it said it had sent");
}

#[test]
fn a_lender_that_cheats_is_found_out() {
    let mailbox = local(1);
    let mut borrower = Borrower::new();
    assert_eq!(borrower.credited(mailbox, Grant::Limit(Amount::new(9, 9)), 0), Ok(vec![]), "nothing is kept for it");
    assert!(borrower.is_empty());
    assert_eq!(borrower.credited(mailbox, Grant::Closed, 0), Err(Violation::Closed { mailbox }));
    assert_eq!(borrower.acquire(mailbox, 1, 0, || 1), Acquired::Now);
    assert_eq!(borrower.credited(mailbox, Grant::Closed, 0), Err(Violation::Closed { mailbox }));
    assert_eq!(borrower.credited(mailbox, Grant::Limit(Amount::new(0, 0)), 0), Ok(vec![]));
    assert!(matches!(borrower.acquire(mailbox, 1, 0, || 1), Acquired::Wait(_)));
    assert_eq!(borrower.credited(mailbox, Grant::Limit(Amount::new(u64::MAX, u64::MAX)), 0), Ok(vec![1]));
}

#[test]
fn unused_credit_is_returned_after_a_while() {
    let mut pair = Pair::new();
    assert_eq!(pair.send(1, 1), Acquired::Now);
    pair.settle(FREE);
    pair.talk();
    assert_eq!((pair.borrower.len(), pair.lender.len()), (1, 1));
    pair.now = pair.borrower.next_deadline().unwrap();
    assert_eq!(pair.now, limits::CREDIT_IDLE.as_nanos() as u64);
    pair.talk();
    assert_eq!((pair.borrower.len(), pair.lender.len()), (0, 0));
}
