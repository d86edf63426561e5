//! A mailbox beside the simplest thing that could be one, both driven by the same bytes: for property tests and the fuzz
//! target.

use super::{Bounds, Drop, Fate, Filter, Full, Kind, Letter, Mailbox, Ticket};
use crate::ids::Address;

const BOUNDS: Bounds = Bounds { messages: 4, bytes: 20, reserved: 3 };

/// A letter of the model: its number is its body.
type Plain = Letter<u32>;

#[derive(Default)]
struct Model {
    letters: Vec<Plain>,
    waiting: Vec<(Ticket, Plain)>,
    /// What the real one said of those that waited.
    accepted: Vec<Ticket>,
    reserved: usize,
    closed: bool,
}

/// Drives both by what the bytes say, and panics where they differ. Three bytes an operation.
pub fn drive(bytes: &[u8]) {
    let (mut real, mut model): (Mailbox<u32, u32>, _) = (Mailbox::new(BOUNDS), Model::default());
    let mut promised = 0;
    for (number, op) in bytes.chunks_exact(3).enumerate() {
        let letter = plain(number as u32, op[1], op[2]);
        match op[0] % 8 {
            0 | 1 => match real.push(letter.clone()) {
                Ok(_) => {
                    assert!(model.has_room(&letter));
                    model.letters.push(letter);
                }
                Err(Full(letter)) => {
                    assert!(!model.has_room(&letter));
                    if !model.closed {
                        model.waiting.push((real.wait(letter.clone(), letter.body).0, letter));
                    }
                }
            },
            2 | 3 => {
                let filter = filter(op[1], op[2]);
                let expected = model.letters.iter().position(|letter| filter.takes(letter));
                let got = real.find(&filter).and_then(|place| real.take(place, |letter| letter.clone()));
                assert_eq!(got.as_ref().map(|(letter, _)| letter.body), expected.map(|at| model.letters[at].body));
                if let Some(at) = expected {
                    let letter = model.letters.remove(at);
                    model.reserved -= usize::from(letter.kind != Kind::Message);
                    assert_eq!(got.map(|(_, woken)| woken), Some(model.admit()));
                }
            }
            4 => {
                if let Some((ticket, _)) = model.waiting.get(usize::from(op[1])).cloned() {
                    let was_first = op[1] == 0;
                    let (letter, _, woken) = real.withdraw(ticket).expect("it waits");
                    let (_, expected) = model.waiting.remove(usize::from(op[1]));
                    assert_eq!(letter.body, expected.body);
                    assert_eq!(woken, if was_first { model.admit() } else { vec![] });
                }
            }
            5 => {
                let is_free = model.reserved < BOUNDS.reserved && !model.closed;
                assert_eq!(real.reserve(), is_free);
                model.reserved += usize::from(is_free);
                promised += usize::from(is_free);
                if promised > 0 && op[1].is_multiple_of(2) {
                    promised -= 1;
                    let letter = Letter { kind: Kind::Timer, size: 0, via: 0, ..letter };
                    assert_eq!(real.push_reserved(letter.clone()).is_ok(), !model.closed);
                    if !model.closed {
                        model.letters.push(letter);
                    }
                }
            }
            6 => {
                let (cap, drop) =
                    (usize::from(op[2] % 3) + 1, if op[1].is_multiple_of(2) { Drop::Oldest } else { Drop::Newest });
                let letter = Letter { via: u64::from(op[1] % 2) + 1, ..letter };
                let outcome = real.push_via(letter.clone(), cap, drop);
                let (taken, dropped) = model.push_via(letter, cap, drop);
                let gone: Vec<_> = outcome.dropped.iter().map(|letter| letter.body).collect();
                assert_eq!((outcome.taken, gone), (taken, dropped));
            }
            _ if op[1] > 250 => {
                let closed = real.close();
                let bodies = |letters: &[Plain]| letters.iter().map(|letter| letter.body).collect::<Vec<_>>();
                assert_eq!(bodies(&closed.unread), bodies(&model.letters));
                assert_eq!(closed.waited.len(), model.waiting.len());
                for (ticket, _) in model.waiting.drain(..) {
                    assert_eq!(real.fate(ticket), Fate::Refused);
                }
                model.letters.clear();
                (model.reserved, promised, model.closed) = (0, 0, true);
            }
            _ => {}
        }
        check(&real, &model);
    }
}

fn check(real: &Mailbox<u32, u32>, model: &Model) {
    assert_eq!(real.len(), model.letters.len());
    assert_eq!(real.bytes(), model.bytes());
    assert_eq!(real.senders(), model.waiting.len());
    assert_eq!(real.reserved(), model.reserved);
    for (ticket, _) in &model.waiting {
        assert_eq!(real.fate(*ticket), Fate::Waiting);
    }
    for ticket in &model.accepted {
        assert_eq!(real.fate(*ticket), Fate::Accepted);
    }
    for via in 1..3 {
        assert_eq!(real.unread(via), model.unread(via));
    }
    let via_bytes: usize = model.letters.iter().filter(|letter| letter.via != 0).map(|letter| letter.size).sum();
    assert_eq!(real.via_bytes(), via_bytes);
}

impl Model {
    fn ordinary(&self) -> impl Iterator<Item = &Plain> {
        self.letters.iter().filter(|letter| letter.kind == Kind::Message)
    }

    fn bytes(&self) -> usize {
        self.ordinary().map(|letter| letter.size).sum()
    }

    fn unread(&self, via: u64) -> usize {
        self.ordinary().filter(|letter| letter.via == via).count()
    }

    fn fits(&self, letter: &Plain) -> bool {
        let count = self.ordinary().count();
        count == 0 || count < BOUNDS.messages && self.bytes() + letter.size <= BOUNDS.bytes
    }

    fn has_room(&self, letter: &Plain) -> bool {
        !self.closed && self.waiting.is_empty() && self.fits(letter)
    }

    fn admit(&mut self) -> Vec<u32> {
        let mut woken = Vec::new();
        while let Some((_, letter)) = self.waiting.first() {
            if !self.fits(letter) {
                break;
            }
            let (ticket, letter) = self.waiting.remove(0);
            woken.push(letter.body);
            self.accepted.push(ticket);
            self.letters.push(letter);
        }
        woken
    }

    /// Whether it was taken, and what was dropped.
    fn push_via(&mut self, letter: Plain, cap: usize, drop: Drop) -> (bool, Vec<u32>) {
        let mut dropped = Vec::new();
        if self.unread(letter.via) < cap && self.has_room(&letter) {
            self.letters.push(letter);
            return (true, dropped);
        }
        while drop == Drop::Oldest
            && let Some(at) = self.letters.iter().position(|old| old.via == letter.via)
        {
            dropped.push(self.letters.remove(at).body);
            if self.unread(letter.via) < cap && self.fits(&letter) {
                self.letters.push(letter);
                return (true, dropped);
            }
        }
        dropped.push(letter.body);
        (false, dropped)
    }
}

fn plain(number: u32, a: u8, b: u8) -> Plain {
    let sender = Address { counter: u64::from(b % 2), ..Address::default() };
    Letter { kind: Kind::Message, tag: u64::from(a % 3), sender, via: 0, size: usize::from(b % 12), body: number }
}

fn filter(a: u8, b: u8) -> Filter {
    let sender = Address { counter: u64::from(b % 2), ..Address::default() };
    Filter {
        tag: (a & 1 != 0).then_some(u64::from(b % 3)),
        kind: (a & 2 != 0).then_some(if b.is_multiple_of(2) { Kind::Message } else { Kind::Timer }),
        sender: (a & 4 != 0).then_some(sender),
    }
}
