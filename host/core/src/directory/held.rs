//! The names that coroutines of this node have, and where each is at home: by name, by home, and by holder.

use super::message::{Name, Registration, sum};
use crate::ids::{Address, NodeId};
use crate::membership::home::{Homes, Spot};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default, Debug)]
pub(super) struct Held {
    names: BTreeMap<Name, Entry>,
    by_home: BTreeMap<NodeId, Share>,
    by_holder: BTreeMap<Address, BTreeSet<Name>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub registration: Registration,
    pub home: NodeId,
    spot: Spot,
}

#[derive(Default, Debug)]
struct Share {
    names: BTreeSet<Name>,
    sum: u64,
}

impl Held {
    pub fn get(&self, name: &Name) -> Option<&Entry> {
        self.names.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.names.iter()
    }

    pub fn put(&mut self, name: Name, registration: Registration, home: NodeId) {
        self.remove(&name);
        let spot = name.spot();
        let share = self.by_home.entry(home).or_default();
        share.names.insert(name.clone());
        share.sum ^= sum(spot, &registration);
        self.by_holder.entry(registration.holder).or_default().insert(name.clone());
        self.names.insert(name, Entry { registration, home, spot });
    }

    pub fn remove(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.names.remove(name)?;
        if let Some(share) = self.by_home.get_mut(&entry.home) {
            share.names.remove(name);
            share.sum ^= sum(entry.spot, &entry.registration);
            if share.names.is_empty() {
                self.by_home.remove(&entry.home);
            }
        }
        let holder = entry.registration.holder;
        if let Some(names) = self.by_holder.get_mut(&holder) {
            names.remove(name);
            if names.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
        Some(entry)
    }

    pub fn of_holder(&self, holder: &Address) -> Vec<Name> {
        self.by_holder.get(holder).into_iter().flatten().cloned().collect()
    }

    pub fn at_home(&self, home: NodeId) -> Vec<(Name, Registration)> {
        let names = self.by_home.get(&home).into_iter().flat_map(|share| &share.names);
        names.filter_map(|name| Some((name.clone(), self.names.get(name)?.registration))).collect()
    }

    /// Each home with how many names are there and their sum.
    pub fn homes(&self) -> Vec<(NodeId, u64, u64)> {
        self.by_home.iter().map(|(home, share)| (*home, share.names.len() as u64, share.sum)).collect()
    }

    /// Names that the newcomer wants more than their home does. It has none of them, also if it is their home: it is new.
    pub fn moves_to(&mut self, newcomer: NodeId, homes: &Homes) -> Vec<(Name, Registration)> {
        // A node that only dials keeps its names itself while it is alone, and is home to none.
        let is_home = |node: NodeId| homes.incarnation(node).is_some();
        let wants =
            |entry: &Entry| !is_home(entry.home) || entry.spot.weight(newcomer) >= entry.spot.weight(entry.home);
        let moved = self.names.iter().filter(|(_, entry)| wants(entry));
        let moved: Vec<(Name, Registration)> = moved.map(|(name, entry)| (name.clone(), entry.registration)).collect();
        for (name, registration) in &moved {
            self.put(name.clone(), *registration, newcomer);
        }
        moved
    }

    /// Names whose home went, by their new one.
    pub fn moves_from(
        &mut self,
        gone: NodeId,
        homes: &Homes,
        me: NodeId,
    ) -> BTreeMap<NodeId, Vec<(Name, Registration)>> {
        let mut moved: BTreeMap<NodeId, Vec<(Name, Registration)>> = BTreeMap::new();
        for (name, registration) in self.at_home(gone) {
            let home = homes.home(name.spot()).unwrap_or(me);
            self.put(name.clone(), registration, home);
            moved.entry(home).or_default().push((name, registration));
        }
        moved
    }
}
