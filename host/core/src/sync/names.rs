//! The names of one tenant on one node: who has which, and who waits for one. Decides who is to be woken; wakes nobody.
//!
//! In a mesh a name is a lease at a home node, and this is that home's table: each registration has a number, and where two
//! tables meet, the lower (number, address) wins.

use crate::ids::Address;
use crate::limits;
use std::collections::{BTreeMap, HashMap};

/// A tenant's names; `W` wakes one who waits.
#[derive(Debug)]
pub struct Names<W> {
    holders: HashMap<String, Registration>,
    /// Names of each holder.
    held: HashMap<Address, Vec<String>>,
    waiting: HashMap<String, BTreeMap<u64, W>>,
    waiters: usize,
    next_number: u64,
}

/// A name's holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Registration {
    /// Counts registrations of this table.
    pub number: u64,
    pub holder: Address,
}

/// Why a name was not given, or not waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("it belongs to {0}")]
    Taken(Address),
    #[error("the tenant has {} names, which is the limit (TENANT_NAMES)", limits::TENANT_NAMES)]
    TooMany,
    #[error("{} coroutines of the tenant wait for names, which is the limit (TENANT_NAMES)", limits::TENANT_NAMES)]
    TooManyWait,
}

/// One who waits for a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

impl<W> Names<W> {
    /// Gives the name to the holder, and says whom to wake. Registering what one has already changes nothing.
    pub fn register(&mut self, name: &str, holder: Address) -> Result<Vec<W>, Refused> {
        match self.holders.get(name) {
            Some(registration) if registration.holder == holder => return Ok(Vec::new()),
            Some(registration) => return Err(Refused::Taken(registration.holder)),
            None if self.holders.len() >= limits::TENANT_NAMES => return Err(Refused::TooMany),
            None => {}
        }
        self.next_number += 1;
        self.holders.insert(name.to_owned(), Registration { number: self.next_number, holder });
        self.held.entry(holder).or_default().push(name.to_owned());
        let waiting = self.waiting.remove(name).unwrap_or_default();
        self.waiters -= waiting.len();
        Ok(waiting.into_values().collect())
    }

    /// Takes the name from its holder; `false` when nobody has it.
    pub fn unregister(&mut self, name: &str) -> bool {
        let Some(Registration { holder, .. }) = self.holders.remove(name) else { return false };
        if let Some(names) = self.held.get_mut(&holder) {
            names.retain(|held| held != name);
            if names.is_empty() {
                self.held.remove(&holder);
            }
        }
        true
    }

    /// A holder has ended: its names are free.
    pub fn forget(&mut self, holder: &Address) {
        for name in self.held.remove(holder).unwrap_or_default() {
            self.holders.remove(&name);
        }
    }

    pub fn find(&self, name: &str) -> Option<Registration> {
        self.holders.get(name).copied()
    }

    /// Waits for a holder of this name; [`Names::withdraw`] when no longer.
    pub fn wait(&mut self, name: &str, waiter: W) -> Result<Ticket, Refused> {
        if self.waiters >= limits::TENANT_NAMES {
            return Err(Refused::TooManyWait);
        }
        self.next_number += 1;
        self.waiters += 1;
        self.waiting.entry(name.to_owned()).or_default().insert(self.next_number, waiter);
        Ok(Ticket(self.next_number))
    }

    /// Waits no longer; its waker, unless it was woken.
    pub fn withdraw(&mut self, name: &str, ticket: Ticket) -> Option<W> {
        let waiting = self.waiting.get_mut(name)?;
        let waiter = waiting.remove(&ticket.0)?;
        self.waiters -= 1;
        if waiting.is_empty() {
            self.waiting.remove(name);
        }
        Some(waiter)
    }

    pub fn len(&self) -> usize {
        self.holders.len()
    }

    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }
}

impl<W> Default for Names<W> {
    fn default() -> Self {
        let (holders, held, waiting) = (HashMap::new(), HashMap::new(), HashMap::new());
        Names { holders, held, waiting, waiters: 0, next_number: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Register(u8, u8),
        Unregister(u8),
        Forget(u8),
        Wait(u8),
        Withdraw(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..5u8, 0..4u8).prop_map(|(name, holder)| Op::Register(name, holder)),
            (0..5u8).prop_map(Op::Unregister),
            (0..4u8).prop_map(Op::Forget),
            (0..5u8).prop_map(Op::Wait),
            (0..20usize).prop_map(Op::Withdraw),
        ]
    }

    fn address(counter: u8) -> Address {
        Address { counter: u64::from(counter), ..Address::default() }
    }

    proptest! {
        #[test]
        fn a_name_has_one_holder_and_whoever_waits_is_woken_once(ops in prop::collection::vec(op(), 0..200)) {
            let mut names = Names::default();
            let mut model: BTreeMap<u8, u8> = BTreeMap::new();
            // Name, ticket, and whether it still waits.
            let mut waiters: Vec<(u8, Ticket, bool)> = Vec::new();
            for op in ops {
                match op {
                    Op::Register(name, holder) => {
                        let outcome = names.register(&name.to_string(), address(holder));
                        match model.get(&name) {
                            Some(other) if *other != holder => {
                                prop_assert_eq!(outcome.unwrap_err(), Refused::Taken(address(*other)));
                            }
                            Some(_) => prop_assert!(outcome.unwrap().is_empty()),
                            None => {
                                model.insert(name, holder);
                                let woken = outcome.unwrap();
                                let expected: Vec<usize> = (0..waiters.len()).filter(|at| waiters[*at].0 == name && waiters[*at].2).collect();
                                prop_assert_eq!(&woken, &expected);
                                woken.into_iter().for_each(|at: usize| waiters[at].2 = false);
                            }
                        }
                    }
                    Op::Unregister(name) => {
                        prop_assert_eq!(names.unregister(&name.to_string()), model.remove(&name).is_some());
                    }
                    Op::Forget(holder) => {
                        names.forget(&address(holder));
                        model.retain(|_, other| *other != holder);
                    }
                    Op::Wait(name) => {
                        let ticket = names.wait(&name.to_string(), waiters.len()).unwrap();
                        waiters.push((name, ticket, true));
                    }
                    Op::Withdraw(at) if at < waiters.len() => {
                        let (name, ticket, waits) = waiters[at];
                        prop_assert_eq!(names.withdraw(&name.to_string(), ticket), waits.then_some(at));
                        waiters[at].2 = false;
                    }
                    Op::Withdraw(_) => {}
                }
                prop_assert_eq!(names.len(), model.len());
                for name in 0..5 {
                    prop_assert_eq!(names.find(&name.to_string()).map(|found| found.holder), model.get(&name).map(|holder| address(*holder)));
                }
                prop_assert_eq!(names.waiters, waiters.iter().filter(|waiter| waiter.2).count());
                prop_assert_eq!(names.held.values().map(Vec::len).sum::<usize>(), model.len());
            }
        }
    }

    #[test]
    fn the_number_of_names_and_of_those_who_wait_is_bounded() {
        let mut names = Names::default();
        for n in 0..limits::TENANT_NAMES {
            names.register(&n.to_string(), address(1)).unwrap();
            names.wait("nobody's", n).unwrap();
        }
        assert_eq!(names.register("one more", address(1)), Err(Refused::TooMany));
        assert_eq!(names.wait("nobody's", 0), Err(Refused::TooManyWait));
        names.forget(&address(1));
        assert!(names.is_empty() && names.register("one more", address(1)).is_ok());
    }
}
