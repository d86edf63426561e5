//! The home's side: the leases of the names at home here, who waits for one, and when it is too early to say that a name is
//! free. Decides by its own view of the members; where views differ, two homes may give a name, and the older registration
//! wins when they meet.

use super::message::{Name, Registration, Request, Response, sum};
use crate::code::Code;
use crate::ids::NodeId;
use crate::limits;
use crate::membership::home::{Homes, Spot};
use crate::sync::timers::{TimerId, TimerQueue};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

#[derive(Debug)]
pub struct Home {
    me: NodeId,
    leases: BTreeMap<Name, Lease>,
    by_node: BTreeMap<NodeId, Share>,
    /// Names of each tenant here, and of its nodes that wait.
    counts: BTreeMap<String, Counts>,
    waiting: BTreeMap<Name, BTreeMap<(NodeId, u64), TimerId>>,
    /// Held back until it is known what holders have.
    deferred: BTreeMap<(NodeId, u64), (u64, Request)>,
    /// Nothing that is not known here is taken for free until then.
    doubt_until: u64,
    /// The same for what members that went had wanted more.
    heirs: VecDeque<(u64, NodeId)>,
    /// Who speaks for whom: the present boots.
    members: BTreeMap<NodeId, u32>,
    /// Boots of members that went, oldest first: one that comes back in the same boot was on the other side of a split.
    past: VecDeque<(NodeId, u32)>,
    timers: TimerQueue<Due>,
    output: VecDeque<(NodeId, Response)>,
}

#[derive(Debug)]
struct Lease {
    registration: Registration,
    since: u64,
    /// It lasts until then, or longer if its node has renewed what it has here since.
    until: u64,
    timer: TimerId,
}

/// What one node has here.
#[derive(Default, Debug)]
struct Share {
    names: BTreeSet<Name>,
    sum: u64,
    /// When it was last renewed as a whole.
    renewed: u64,
}

#[derive(Default, Debug)]
struct Counts {
    names: usize,
    waiting: usize,
}

#[derive(Debug)]
enum Due {
    Lease(Name),
    Waiting(Name, NodeId, u64),
    Deferred(NodeId, u64),
}

impl Home {
    pub fn new(me: NodeId) -> Home {
        Home {
            me,
            leases: BTreeMap::new(),
            by_node: BTreeMap::new(),
            counts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deferred: BTreeMap::new(),
            doubt_until: 0,
            heirs: VecDeque::new(),
            members: BTreeMap::new(),
            past: VecDeque::new(),
            timers: TimerQueue::default(),
            output: VecDeque::new(),
        }
    }

    /// Answers at once, or later.
    pub fn handle(&mut self, now: u64, from: NodeId, request: Request, homes: &Homes) {
        match request {
            Request::Claim { call, name, registration } => {
                if registration.holder.node != from || !name.is_valid() {
                    return self.say(from, Response::Refused { call, code: Code::Denied });
                }
                if !self.is_present(from, &registration) {
                    // Given up here though it lives, or not known yet: a moment later this home knows more.
                    return self.say(from, Response::Elsewhere { call });
                }
                self.claim(now, from, call, name, registration, homes);
            }
            Request::Announce { names } => {
                for (name, registration) in names.into_iter().take(limits::NAME_BATCH) {
                    let its_own = registration.holder.node == from && name.is_valid();
                    if its_own && self.is_present(from, &registration) {
                        self.announced(now, from, name, registration, homes);
                    }
                }
            }
            Request::Renew { count, sum } => match self.by_node.get_mut(&from) {
                Some(share) if share.names.len() as u64 == count && share.sum == sum => {
                    share.renewed = now;
                }
                None if count == 0 => {}
                _ => self.say(from, Response::Unknown),
            },
            Request::Release { call, name, registration } => {
                self.deferred.retain(|(node, _), (_, request)| {
                    let its = matches!(request, Request::Claim { registration: other, .. } if *other == registration);
                    *node != from || !its
                });
                if registration.holder.node == from && self.find(&name) == Some(registration) {
                    self.end(&name);
                }
                self.say(from, Response::Released { call });
            }
            Request::Locate { call, name, wait } => self.locate(now, from, call, name, wait, homes),
            Request::Withdraw { call, name } => {
                self.deferred.remove(&(from, call));
                self.forget_waiting(&name, from, call);
            }
        }
    }

    /// A member came that can be home to names: what it wants more is no longer here. Were it kept until the lease ends, it
    /// could come back as the older registration when the newcomer goes soon.
    pub fn hand_over(&mut self, newcomer: NodeId) {
        let wants = |name: &&Name| name.spot().weight(newcomer) > name.spot().weight(self.me);
        for name in self.leases.keys().filter(wants).cloned().collect::<Vec<_>>() {
            self.end(&name);
        }
    }

    /// A member came. `first`: this node was alone before, and what others have it does not know.
    pub fn came(&mut self, now: u64, node: NodeId, incarnation: u32, first: bool) {
        self.members.insert(node, incarnation);
        let returns = self.past.iter().any(|(past, boot)| *past == node && *boot == incarnation);
        self.past.retain(|(past, _)| *past != node);
        // One that is about to learn who is there learns of others still.
        if first || returns || now < self.doubt_until {
            self.doubt(now);
        }
        self.heirs.retain(|(_, heir)| *heir != node);
    }

    /// A member went: its names are free, and names that were at home there may be here now.
    pub fn went(&mut self, now: u64, node: NodeId, incarnation: u32) {
        for name in self.by_node.get(&node).map(|share| share.names.clone()).unwrap_or_default() {
            self.end(&name);
        }
        self.by_node.remove(&node);
        self.members.remove(&node);
        self.past.push_back((node, incarnation));
        if self.past.len() > limits::MESH_GONE {
            self.past.pop_front();
        }
        self.heirs.retain(|(until, _)| *until > now);
        self.heirs.push_back((now + nanos(limits::NAME_SETTLE), node));
    }

    /// Holders may have names that are not known here yet.
    pub fn doubt(&mut self, now: u64) {
        self.doubt_until = now + nanos(limits::NAME_SETTLE);
    }

    pub fn find(&self, name: &Name) -> Option<Registration> {
        self.leases.get(name).map(|lease| lease.registration)
    }

    /// All leases here.
    pub fn leases(&self) -> impl Iterator<Item = (&Name, Registration)> {
        self.leases.iter().map(|(name, lease)| (name, lease.registration))
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_deadline()
    }

    pub fn handle_timer(&mut self, now: u64, homes: &Homes) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Lease(name) => self.lease_due(now, name),
                Due::Waiting(name, node, call) => drop(self.forget_waiting(&name, node, call)),
                Due::Deferred(node, call) => {
                    if let Some((_, request)) = self.deferred.remove(&(node, call)) {
                        self.handle(now, node, request, homes);
                    }
                }
            }
        }
    }

    pub(super) fn poll(&mut self) -> Option<(NodeId, Response)> {
        self.output.pop_front()
    }

    fn claim(&mut self, now: u64, from: NodeId, call: u64, name: Name, registration: Registration, homes: &Homes) {
        if homes.home(name.spot()) != Some(self.me) && !homes.is_empty() {
            return self.say(from, Response::Elsewhere { call });
        }
        match self.find(&name) {
            Some(known) if known.holder != registration.holder => {
                return self.say(from, Response::Taken { call, by: known });
            }
            Some(_) => {}
            None => {
                if let Some(until) = self.doubtful(now, name.spot()) {
                    let request = Request::Claim { call, name, registration };
                    return self.defer(until, from, call, request);
                }
                if self.counts.get(&name.tenant).is_some_and(|counts| counts.names >= limits::TENANT_NAMES) {
                    return self.say(from, Response::Refused { call, code: Code::Overloaded });
                }
            }
        }
        self.put(now, limits::NAME_LEASE, name.clone(), registration);
        self.say(from, Response::Registered { call, name, registration });
    }

    fn announced(&mut self, now: u64, from: NodeId, name: Name, registration: Registration, homes: &Homes) {
        // Its holder may know sooner than this node that this is its home, and then renews at once; or it has changed its mind,
        // and then no old lease is to stay here.
        let mine = homes.is_empty() || homes.home(name.spot()) == Some(self.me);
        let lease = if mine { limits::NAME_LEASE } else { limits::NAME_RETRY * 2 };
        match self.find(&name) {
            Some(known) if known.holder != registration.holder => {
                let (winner, loser) = (known.min(registration), known.max(registration));
                if winner == registration {
                    self.put(now, lease, name.clone(), registration);
                }
                let node = if loser == registration { from } else { loser.holder.node };
                self.say(node, Response::Lost { name, registration: loser, winner });
            }
            // Over the bound it is not leased, and its holder asks again.
            None if self.counts.get(&name.tenant).is_some_and(|counts| counts.names >= limits::TENANT_NAMES) => {}
            _ => self.put(now, lease, name, registration),
        }
    }

    fn locate(&mut self, now: u64, from: NodeId, call: u64, name: Name, wait: bool, homes: &Homes) {
        if let Some(registration) = self.find(&name) {
            return self.say(from, Response::Found { call, registration });
        }
        if homes.home(name.spot()) != Some(self.me) && !homes.is_empty() {
            return self.say(from, Response::Elsewhere { call });
        }
        if !wait {
            return match self.doubtful(now, name.spot()) {
                Some(until) => self.defer(until, from, call, Request::Locate { call, name, wait }),
                None => self.say(from, Response::NotFound { call }),
            };
        }
        if !name.is_valid() {
            return self.say(from, Response::Refused { call, code: Code::Invalid });
        }
        let known = self.forget_waiting(&name, from, call);
        let counts = self.counts.entry(name.tenant.clone()).or_default();
        if !known && counts.waiting >= limits::TENANT_NAMES {
            return self.say(from, Response::Refused { call, code: Code::Overloaded });
        }
        counts.waiting += 1;
        // Asked again before that, or nobody is there any more.
        let timer = self.timers.insert(now + nanos(limits::NAME_LEASE), Due::Waiting(name.clone(), from, call));
        self.waiting.entry(name).or_default().insert((from, call), timer);
        self.say(from, Response::Waiting { call });
    }

    /// Until when a name that is not known here may be another's nevertheless.
    fn doubtful(&self, now: u64, spot: Spot) -> Option<u64> {
        let mine = spot.weight(self.me);
        let heirs = self.heirs.iter().filter(|(_, node)| spot.weight(*node) > mine).map(|(until, _)| *until);
        heirs.chain([self.doubt_until]).max().filter(|until| *until > now)
    }

    fn defer(&mut self, until: u64, from: NodeId, call: u64, request: Request) {
        if self.deferred.len() >= limits::NAMES_DEFERRED {
            return self.say(from, Response::Refused { call, code: Code::Overloaded });
        }
        // Asked again meanwhile, it keeps its place.
        self.deferred.entry((from, call)).or_insert_with(|| {
            self.timers.insert(until, Due::Deferred(from, call));
            (until, request)
        });
    }

    /// Leases the name, and tells who waits.
    fn put(&mut self, now: u64, lease: Duration, name: Name, registration: Registration) {
        self.end(&name);
        let until = now + nanos(lease);
        let timer = self.timers.insert(until, Due::Lease(name.clone()));
        let share = self.by_node.entry(registration.holder.node).or_default();
        share.names.insert(name.clone());
        share.sum ^= sum(name.spot(), &registration);
        self.counts.entry(name.tenant.clone()).or_default().names += 1;
        for ((node, call), timer) in self.waiting.remove(&name).unwrap_or_default() {
            self.timers.cancel(timer);
            self.count_waiting_down(&name.tenant);
            self.say(node, Response::Found { call, registration });
        }
        self.leases.insert(name, Lease { registration, since: now, until, timer });
    }

    fn end(&mut self, name: &Name) {
        let Some(lease) = self.leases.remove(name) else { return };
        self.timers.cancel(lease.timer);
        let node = lease.registration.holder.node;
        if let Some(share) = self.by_node.get_mut(&node) {
            share.names.remove(name);
            share.sum ^= sum(name.spot(), &lease.registration);
            if share.names.is_empty() {
                self.by_node.remove(&node);
            }
        }
        if let Some(counts) = self.counts.get_mut(&name.tenant) {
            counts.names -= 1;
        }
        self.drop_counts(&name.tenant);
    }

    /// Over, or renewed meanwhile.
    fn lease_due(&mut self, now: u64, name: Name) {
        let Some(lease) = self.leases.get_mut(&name) else { return };
        let renewed = self.by_node.get(&lease.registration.holder.node).map_or(0, |share| share.renewed);
        // A renewal before it was here was not about it.
        let longer = if renewed >= lease.since { renewed + nanos(limits::NAME_LEASE) } else { 0 };
        let until = lease.until.max(longer);
        if until > now {
            lease.timer = self.timers.insert(until, Due::Lease(name));
        } else {
            self.end(&name);
        }
    }

    fn forget_waiting(&mut self, name: &Name, node: NodeId, call: u64) -> bool {
        let Some(waiting) = self.waiting.get_mut(name) else { return false };
        let Some(timer) = waiting.remove(&(node, call)) else { return false };
        if waiting.is_empty() {
            self.waiting.remove(name);
        }
        self.timers.cancel(timer);
        self.count_waiting_down(&name.tenant);
        true
    }

    fn count_waiting_down(&mut self, tenant: &str) {
        if let Some(counts) = self.counts.get_mut(tenant) {
            counts.waiting -= 1;
        }
        self.drop_counts(tenant);
    }

    fn drop_counts(&mut self, tenant: &str) {
        if self.counts.get(tenant).is_some_and(|counts| counts.names == 0 && counts.waiting == 0) {
            self.counts.remove(tenant);
        }
    }

    /// A node speaks for coroutines of its present boot, while it is a member.
    fn is_present(&self, from: NodeId, registration: &Registration) -> bool {
        from == self.me || self.members.get(&from) == Some(&registration.holder.incarnation)
    }

    fn say(&mut self, to: NodeId, response: Response) {
        self.output.push_back((to, response));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
