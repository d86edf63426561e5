//! The names of one tenant on one node: who has which, and who waits for one. Decides who is to be woken; wakes nobody.
//!
//! In a mesh a name is a lease at a home node, and this is that home's table: each registration has a number, and where two
//! tables meet, the lower (number, address) wins.

pub mod fuzz;

use crate::ids::Address;
use crate::limits;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A tenant's names; `W` wakes one who waits.
#[derive(Debug)]
pub struct Names<W> {
    holders: HashMap<String, Registration>,
    /// Names of each holder.
    held: HashMap<Address, BTreeSet<String>>,
    waiting: HashMap<String, BTreeMap<u64, W>>,
    waiters: usize,
    next_number: u64,
}

/// A name's holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Registration {
    /// Counts registrations of this table; in a mesh it is comparable across tables.
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
        self.held.entry(holder).or_default().insert(name.to_owned());
        let waiting = self.waiting.remove(name).unwrap_or_default();
        self.waiters -= waiting.len();
        Ok(waiting.into_values().collect())
    }

    /// Takes back a registration of this name; `false` when it is not the present one.
    pub fn unregister(&mut self, name: &str, registration: Registration) -> bool {
        if self.holders.get(name) != Some(&registration) {
            return false;
        }
        self.holders.remove(name);
        let holder = registration.holder;
        if let Some(names) = self.held.get_mut(&holder) {
            names.remove(name);
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

    #[test]
    fn the_number_of_names_and_of_those_who_wait_is_bounded() {
        let holder = Address { counter: 1, ..Address::default() };
        let mut names = Names::default();
        for n in 0..limits::TENANT_NAMES {
            names.register(&n.to_string(), holder).unwrap();
            names.wait("nobody's", n).unwrap();
        }
        assert_eq!(names.register("one more", holder), Err(Refused::TooMany));
        assert_eq!(names.register("0", holder), Ok(vec![]), "it has that one already");
        assert_eq!(names.wait("nobody's", 0), Err(Refused::TooManyWait));
        names.forget(&holder);
        assert!(names.is_empty());
        assert_eq!(names.register("nobody's", holder).unwrap().len(), limits::TENANT_NAMES);
        assert!(names.wait("anybody's", 0).is_ok());
    }
}
