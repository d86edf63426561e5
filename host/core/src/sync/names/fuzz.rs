//! A table of names beside a simple model of it, fed with any bytes; for the fuzz target and for proptest alike. Panics only if
//! table and model differ, or something is left when all have ended.

use super::{Names, Refused, Registration, Ticket};
use crate::ids::Address;
use std::collections::BTreeMap;

/// So few that they meet.
const NAMES: u8 = 5;
const HOLDERS: u8 = 4;

/// Who has each name, and who waits or has waited: the name, and the ticket while it waits.
#[derive(Default)]
struct Model {
    holders: BTreeMap<u8, u8>,
    waiters: Vec<(u8, Option<Ticket>)>,
}

/// Each pair of bytes is one call.
pub fn names(data: &[u8]) {
    let (mut names, mut model) = (Names::default(), Model::default());
    // One that is no longer valid must never take a name away.
    let mut earlier: Vec<(u8, Registration)> = Vec::new();
    for pair in data.chunks_exact(2) {
        let (name, other) = (pair[1] % NAMES, pair[1] / NAMES);
        let text = name.to_string();
        match pair[0] % 8 {
            0..=2 => {
                model.register(&mut names, name, other % HOLDERS);
                earlier.extend(names.find(&text).map(|found| (name, found)));
            }
            3 => {
                let found = names.find(&text);
                let had = model.holders.remove(&name).is_some();
                assert_eq!(found.is_some_and(|found| names.unregister(&text, found)), had);
            }
            4 => {
                names.forget(&address(other % HOLDERS));
                model.holders.retain(|_, holder| *holder != other % HOLDERS);
            }
            5 => {
                let ticket = names.wait(&text, model.waiters.len()).ok();
                model.waiters.push((name, ticket));
            }
            6 => model.withdraw(&mut names, usize::from(pair[1])),
            _ => {
                for (name, registration) in &earlier {
                    let text = name.to_string();
                    if names.find(&text) != Some(*registration) {
                        assert!(!names.unregister(&text, *registration), "a later one stays");
                    }
                }
            }
        }
        model.compare(&names);
    }
    (0..HOLDERS).for_each(|holder| names.forget(&address(holder)));
    model.holders.clear();
    (0..model.waiters.len()).for_each(|at| model.withdraw(&mut names, at));
    model.compare(&names);
    assert!(names.holders.is_empty() && names.held.is_empty() && names.waiting.is_empty());
}

impl Model {
    fn register(&mut self, names: &mut Names<usize>, name: u8, holder: u8) {
        let outcome = names.register(&name.to_string(), address(holder));
        match self.holders.get(&name) {
            Some(other) if *other != holder => assert_eq!(outcome, Err(Refused::Taken(address(*other)))),
            Some(_) => assert_eq!(outcome, Ok(vec![])),
            None => {
                self.holders.insert(name, holder);
                let waits = |at: &usize| self.waiters[*at].0 == name && self.waiters[*at].1.is_some();
                let expected: Vec<usize> = (0..self.waiters.len()).filter(waits).collect();
                expected.iter().for_each(|at| self.waiters[*at].1 = None);
                assert_eq!(outcome, Ok(expected), "who waits is woken once, the first first");
            }
        }
    }

    fn withdraw(&mut self, names: &mut Names<usize>, at: usize) {
        let Some((name, ticket)) = self.waiters.get_mut(at) else { return };
        if let Some(ticket) = ticket.take() {
            let name = name.to_string();
            assert_eq!(names.withdraw(&name, ticket), Some(at));
            assert_eq!(names.withdraw(&name, ticket), None);
        }
    }

    fn compare(&self, names: &Names<usize>) {
        for name in 0..NAMES {
            let found = names.find(&name.to_string()).map(|found| found.holder);
            assert_eq!(found, self.holders.get(&name).map(|holder| address(*holder)));
        }
        assert_eq!(names.len(), self.holders.len());
        assert_eq!(names.held.values().map(|names| names.len()).sum::<usize>(), self.holders.len());
        assert_eq!(names.waiters, self.waiters.iter().filter(|(_, ticket)| ticket.is_some()).count());
    }
}

fn address(counter: u8) -> Address {
    Address { counter: u64::from(counter), ..Address::default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_name_has_one_holder_and_whoever_waits_is_woken_once(data in prop::collection::vec(any::<u8>(), 0..300)) {
            super::names(&data);
        }
    }
}
