//! Who is subscribed to one channel, under which terms, and how it went for each.

use super::Policy;
use crate::ids::Address;
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One subscriber of one channel. `H` is what leads to it. Its terms may change while a message is on its way to it.
#[derive(Debug)]
pub struct Subscription<H> {
    /// The number that its letters carry; never used again.
    pub via: u64,
    pub subscriber: Address,
    pub to: H,
    /// Cap and policy in one, so that they are read together.
    terms: AtomicU64,
    over: AtomicBool,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

/// How many unread messages a subscriber may have of a channel, and what happens to those beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    pub cap: usize,
    pub policy: Policy,
}

/// All subscribers as they were at one moment, in the order in which they came.
pub type Snapshot<H> = Arc<[Arc<Subscription<H>>]>;

/// See [the module](self).
#[derive(Debug)]
pub struct Subscriptions<H> {
    /// By number, and so in order.
    all: BTreeMap<u64, Arc<Subscription<H>>>,
    by_subscriber: BTreeMap<Address, u64>,
    /// Until somebody comes or goes.
    snapshot: Option<Snapshot<H>>,
}

impl Terms {
    /// `None`: a cap that nobody can have, or no such policy.
    pub fn new(cap: u32, policy: u32) -> Option<Terms> {
        let (cap, policy) = (cap as usize, Policy::from_number(policy)?);
        (1..=limits::MAILBOX_MESSAGES).contains(&cap).then_some(Terms { cap, policy })
    }

    fn to_bits(self) -> u64 {
        (self.cap as u64) << 2 | self.policy as u64
    }

    fn from_bits(bits: u64) -> Terms {
        Terms { cap: (bits >> 2) as usize, policy: Policy::from_number(bits as u32 & 3).unwrap_or_default() }
    }
}

impl<H> Subscription<H> {
    pub fn terms(&self) -> Terms {
        Terms::from_bits(self.terms.load(Ordering::Acquire))
    }

    pub fn set_terms(&self, terms: Terms) {
        self.terms.store(terms.to_bits(), Ordering::Release);
    }

    /// It was ended: what is on its way to it is not to be delivered, and nobody waits for its room.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub fn count_delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that it was given, and messages that were dropped, of which some had been given before.
    pub fn counts(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

impl<H> Subscriptions<H> {
    /// New terms for one that is subscribed; `None` when it is not.
    pub fn change(&mut self, subscriber: &Address, terms: Terms) -> Option<Arc<Subscription<H>>> {
        let subscription = self.get(subscriber)?;
        subscription.set_terms(terms);
        Some(Arc::clone(subscription))
    }

    /// Adds one that is not subscribed. `via` was never used; `false` when there are too many.
    pub fn add(&mut self, via: u64, subscriber: Address, to: H, terms: Terms) -> bool {
        if self.is_full() || self.by_subscriber.contains_key(&subscriber) {
            return false;
        }
        let subscription = Subscription {
            via,
            subscriber,
            to,
            terms: AtomicU64::new(terms.to_bits()),
            over: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        self.by_subscriber.insert(subscriber, via);
        self.all.insert(via, Arc::new(subscription));
        self.snapshot = None;
        true
    }

    pub fn get(&self, subscriber: &Address) -> Option<&Arc<Subscription<H>>> {
        self.all.get(self.by_subscriber.get(subscriber)?)
    }

    /// Ends one.
    pub fn remove(&mut self, subscriber: &Address) -> Option<Arc<Subscription<H>>> {
        let via = self.by_subscriber.remove(subscriber)?;
        let removed = self.all.remove(&via)?;
        removed.over.store(true, Ordering::Release);
        self.snapshot = None;
        Some(removed)
    }

    /// Ends all.
    pub fn clear(&mut self) -> Vec<Arc<Subscription<H>>> {
        self.by_subscriber.clear();
        self.snapshot = None;
        let all: Vec<_> = std::mem::take(&mut self.all).into_values().collect();
        all.iter().for_each(|subscription| subscription.over.store(true, Ordering::Release));
        all
    }

    /// Who a message that is sent now goes to.
    pub fn snapshot(&mut self) -> Snapshot<H> {
        Arc::clone(self.snapshot.get_or_insert_with(|| self.all.values().cloned().collect()))
    }

    pub fn is_full(&self) -> bool {
        self.all.len() >= limits::CHANNEL_SUBSCRIBERS
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl<H> Default for Subscriptions<H> {
    fn default() -> Self {
        Subscriptions { all: BTreeMap::new(), by_subscriber: BTreeMap::new(), snapshot: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(counter: u64) -> Address {
        Address { counter, ..Address::default() }
    }

    #[test]
    fn terms_have_a_smallest_and_a_largest_cap_and_three_policies() {
        let most = limits::MAILBOX_MESSAGES as u32;
        for (cap, policy, good) in
            [(0, 0, false), (1, 0, true), (most, 2, true), (most + 1, 0, false), (1, 3, false), (u32::MAX, 1, false)]
        {
            let terms = Terms::new(cap, policy);
            assert_eq!(terms.is_some(), good, "{cap} {policy}");
            assert_eq!(terms.map(|terms| Terms::from_bits(terms.to_bits())), terms);
        }
    }

    #[test]
    fn a_channel_has_a_most_of_subscribers() {
        let (mut subscriptions, terms) = (Subscriptions::default(), Terms { cap: 1, policy: Policy::DropOldest });
        for subscriber in 0..limits::CHANNEL_SUBSCRIBERS as u64 {
            assert!(subscriptions.add(subscriber, address(subscriber), (), terms));
        }
        assert!(!subscriptions.add(u64::MAX, address(u64::MAX), (), terms));
        assert!(subscriptions.change(&address(7), terms).is_some(), "one that is there may still change");
        subscriptions.remove(&address(7)).unwrap();
        assert!(subscriptions.add(u64::MAX, address(7), (), terms));
    }
}
