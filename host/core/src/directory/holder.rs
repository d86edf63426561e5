//! The holder's side: what coroutines of this node have registered, want to register and look for. Asks homes, asks again,
//! renews, and announces what it has wherever a home has changed.

use super::Output;
use super::clock::Clock;
use super::held::Held;
use super::message::{Message, Name, Registration, Request, Response};
use crate::code::Code;
use crate::ids::{Address, NodeId};
use crate::limits;
use crate::membership::home::Homes;
use crate::sync::timers::{TimerId, TimerQueue};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug)]
pub struct Holder {
    me: NodeId,
    clock: Clock,
    held: Held,
    calls: BTreeMap<u64, Call>,
    /// Calls by the token that their end is told under.
    tokens: BTreeMap<u64, u64>,
    /// What a tenant has and wants here, each at most `TENANT_NAMES`.
    counts: BTreeMap<String, Counts>,
    /// Never the number of a call of an earlier boot.
    next_call: u64,
    timers: TimerQueue<Due>,
    /// The names are to be renewed then; sooner after an announcement, since that is not answered.
    renew_at: Option<u64>,
    /// Until then renewals follow each other closely: a home that was told of names and has not heard it, or has answered
    /// and was not heard, gives them to others when its time to settle is over.
    announced_until: u64,
    requests: VecDeque<(NodeId, Request)>,
    told: VecDeque<Output>,
}

#[derive(Debug)]
struct Call {
    name: Name,
    what: What,
    home: NodeId,
    /// When it is asked again, and when it is given up.
    again: Option<TimerId>,
    deadline: TimerId,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Claim { token: u64, registration: Registration },
    Release { registration: Registration },
    Locate { token: u64, wait: bool },
}

#[derive(Default, Debug)]
struct Counts {
    names: usize,
    waiting: usize,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Again(u64),
    Deadline(u64),
}

impl Holder {
    pub fn new(me: NodeId, incarnation: u32) -> Holder {
        Holder {
            me,
            clock: Clock::default(),
            held: Held::default(),
            calls: BTreeMap::new(),
            tokens: BTreeMap::new(),
            counts: BTreeMap::new(),
            next_call: u64::from(incarnation) << 32,
            timers: TimerQueue::default(),
            renew_at: None,
            announced_until: 0,
            requests: VecDeque::new(),
            told: VecDeque::new(),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a call of the host interface, with the time and the members")]
    pub fn register(
        &mut self,
        now: u64,
        wall: u64,
        token: u64,
        name: Name,
        holder: Address,
        deadline: u64,
        homes: &Homes,
    ) {
        if let Some(known) = self.held.get(&name) {
            let result = if known.registration.holder == holder { Ok(()) } else { Err(Code::Taken) };
            return self.told.push_back(Output::Registered(token, result));
        }
        let counts = self.counts.entry(name.tenant.clone()).or_default();
        if counts.names >= limits::TENANT_NAMES {
            return self.told.push_back(Output::Registered(token, Err(Code::Overloaded)));
        }
        counts.names += 1;
        let registration = Registration { number: self.clock.tick(wall), holder };
        self.call(now, name, What::Claim { token, registration }, deadline, homes);
    }

    pub fn unregister(&mut self, now: u64, name: &Name, holder: &Address) -> bool {
        match self.held.get(name).map(|entry| entry.registration) {
            Some(registration) if registration.holder == *holder => {
                self.release(now, name, registration);
                true
            }
            _ => false,
        }
    }

    pub fn forget(&mut self, now: u64, holder: &Address) {
        for name in self.held.of_holder(holder) {
            self.unregister(now, &name, holder);
        }
        let claims = self.calls.iter().filter_map(|(call, it)| match it.what {
            What::Claim { registration, .. } if registration.holder == *holder => Some(*call),
            _ => None,
        });
        for call in claims.collect::<Vec<_>>() {
            self.give_up(now, call);
        }
    }

    pub fn locate(&mut self, now: u64, token: u64, name: Name, wait: bool, deadline: u64, homes: &Homes) {
        if let Some(known) = self.held.get(&name) {
            return self.told.push_back(Output::Located(token, Ok(known.registration.holder)));
        }
        let counts = self.counts.entry(name.tenant.clone()).or_default();
        if counts.waiting >= limits::TENANT_NAMES {
            return self.told.push_back(Output::Located(token, Err(Code::Overloaded)));
        }
        counts.waiting += 1;
        self.call(now, name, What::Locate { token, wait }, deadline, homes);
    }

    /// A `locate` or `register` is not waited for any more. Of the latter nothing remains.
    pub fn withdraw(&mut self, now: u64, token: u64) {
        if let Some(call) = self.tokens.get(&token).copied() {
            self.give_up(now, call);
        }
    }

    /// All names that are registered from here.
    pub fn held(&self) -> impl Iterator<Item = (&Name, Registration)> {
        self.held.iter().map(|(name, entry)| (name, entry.registration))
    }

    /// Calls not yet answered.
    pub fn open(&self) -> usize {
        self.calls.len()
    }

    pub fn came(&mut self, now: u64, node: NodeId, homes: &Homes) {
        let moved = self.held.moves_to(node, homes);
        self.announce(now, node, moved);
        self.redirect(now, homes, |call| call.home == node || homes.home(call.name.spot()) == Some(node));
    }

    pub fn went(&mut self, now: u64, node: NodeId, homes: &Homes) {
        for (home, moved) in self.held.moves_from(node, homes, self.me) {
            self.announce(now, home, moved);
        }
        // What was to be given back there is free.
        let releases = self.calls.iter().filter(|(_, it)| it.home == node && matches!(it.what, What::Release { .. }));
        for call in releases.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.end(call);
        }
        self.redirect(now, homes, |call| call.home == node);
    }

    /// Others have dropped what this node had.
    pub fn announce_all(&mut self, now: u64) {
        for (home, _, _) in self.held.homes() {
            let names = self.held.at_home(home);
            self.announce(now, home, names);
        }
    }

    pub fn handle(&mut self, now: u64, from: NodeId, response: Response) {
        match response {
            Response::Registered { call, name, registration } => self.registered(now, from, call, name, registration),
            Response::Taken { call, by } => {
                if self.calls.get(&call).is_some_and(|it| it.home == from) {
                    self.clock.observe(by.number);
                }
                self.fail(from, call, Code::Taken);
            }
            Response::Refused { call, code } => self.fail(from, call, code),
            Response::NotFound { call } => self.fail(from, call, Code::NotFound),
            Response::Elsewhere { call } => {
                if self.calls.get(&call).is_some_and(|it| it.home == from) {
                    self.again_in(now, call, limits::NAME_ELSEWHERE);
                }
            }
            Response::Released { call } => {
                if self.calls.get(&call).is_some_and(|it| it.home == from && matches!(it.what, What::Release { .. })) {
                    self.end(call);
                }
            }
            Response::Found { call, registration } => {
                let asked = self.calls.get(&call).filter(|it| it.home == from).map(|it| it.what);
                if let Some(What::Locate { token, .. }) = asked {
                    self.clock.observe(registration.number);
                    self.end(call);
                    self.told.push_back(Output::Located(token, Ok(registration.holder)));
                }
            }
            // Asked again before the home forgets.
            Response::Waiting { call } => {
                if self.calls.get(&call).is_some_and(|it| it.home == from) {
                    self.again_in(now, call, limits::NAME_RENEW);
                }
            }
            Response::Unknown => {
                let names = self.held.at_home(from);
                self.announce(now, from, names);
            }
            Response::Lost { name, registration, winner } => {
                let known = self.held.get(&name).filter(|it| it.home == from && it.registration == registration);
                if known.is_some() {
                    self.clock.observe(winner.number);
                    self.drop_held(&name);
                    self.told.push_back(Output::NameLost(name, registration.holder));
                }
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_deadline().into_iter().chain(self.renew_at).min()
    }

    pub fn handle_timer(&mut self, now: u64, homes: &Homes) {
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Again(call) => self.again(now, call, homes),
                Due::Deadline(call) => self.give_up_late(now, call),
            }
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            let homes = self.held.homes();
            let after = if now < self.announced_until { limits::NAME_RETRY } else { limits::NAME_RENEW };
            self.renew_at = (!homes.is_empty()).then_some(now + nanos(after));
            for (home, count, sum) in homes {
                self.requests.push_back((home, Request::Renew { count, sum }));
            }
        }
    }

    pub(super) fn poll_request(&mut self) -> Option<(NodeId, Message)> {
        self.requests.pop_front().map(|(to, request)| (to, Message::Request(request)))
    }

    pub(super) fn poll_told(&mut self) -> Option<Output> {
        self.told.pop_front()
    }

    fn registered(&mut self, now: u64, from: NodeId, call: u64, name: Name, registration: Registration) {
        let open = self.calls.get(&call).filter(|it| it.home == from && it.name == name).map(|it| it.what);
        match open {
            Some(What::Claim { token, registration: wanted }) if wanted == registration => {
                self.end(call);
                match self.held.get(&name).map(|it| it.registration.holder) {
                    Some(holder) if holder != registration.holder => {
                        self.release_at(now, from, name, registration);
                        return self.told.push_back(Output::Registered(token, Err(Code::Taken)));
                    }
                    Some(_) => {}
                    None => self.counts.entry(name.tenant.clone()).or_default().names += 1,
                }
                self.held.put(name, registration, from);
                self.renew_in(now, limits::NAME_RENEW);
                self.told.push_back(Output::Registered(token, Ok(())));
            }
            _ => {
                // Given up meanwhile. What is not given back ends with its lease.
                let few = self.calls.len() - self.tokens.len() < limits::NAMES_RETURNED;
                let own = registration.holder.node == self.me && name.is_valid();
                if few && own && !self.wants(from, &name, &registration) {
                    self.release_at(now, from, name, registration);
                }
            }
        }
    }

    /// It has this registration, or has asked for it, or is giving it back already.
    fn wants(&self, home: NodeId, name: &Name, registration: &Registration) -> bool {
        let asked = |it: &Call| match it.what {
            What::Claim { registration: wanted, .. } => wanted == *registration,
            What::Release { registration: given } => given == *registration && it.home == home,
            What::Locate { .. } => false,
        };
        self.held.get(name).is_some_and(|it| it.registration == *registration) || self.calls.values().any(asked)
    }

    fn call(&mut self, now: u64, name: Name, what: What, deadline: u64, homes: &Homes) {
        let call = self.next_call;
        self.next_call += 1;
        if let What::Claim { token, .. } | What::Locate { token, .. } = what {
            self.tokens.insert(token, call);
        }
        let home = homes.home(name.spot()).unwrap_or(self.me);
        let deadline = self.timers.insert(deadline, Due::Deadline(call));
        self.calls.insert(call, Call { name, what, home, again: None, deadline });
        self.ask(now, call);
    }

    /// Sends a call to its home, and again later unless it is answered.
    fn ask(&mut self, now: u64, call: u64) {
        let Some(it) = self.calls.get(&call) else { return };
        let name = it.name.clone();
        let request = match it.what {
            What::Claim { registration, .. } => Request::Claim { call, name, registration },
            What::Release { registration } => Request::Release { call, name, registration },
            What::Locate { wait, .. } => Request::Locate { call, name, wait },
        };
        self.requests.push_back((it.home, request));
        self.again_in(now, call, limits::NAME_RETRY);
    }

    fn again_in(&mut self, now: u64, call: u64, after: Duration) {
        let Some(it) = self.calls.get_mut(&call) else { return };
        if let Some(before) = it.again.take() {
            self.timers.cancel(before);
        }
        it.again = Some(self.timers.insert(now + nanos(after), Due::Again(call)));
    }

    fn again(&mut self, now: u64, call: u64, homes: &Homes) {
        let Some(it) = self.calls.get_mut(&call) else { return };
        if !matches!(it.what, What::Release { .. }) {
            it.home = homes.home(it.name.spot()).unwrap_or(self.me);
        }
        self.ask(now, call);
    }

    /// Asks the new homes of open calls at once.
    fn redirect(&mut self, now: u64, homes: &Homes, moved: impl Fn(&Call) -> bool) {
        let calls = self.calls.iter().filter(|(_, it)| !matches!(it.what, What::Release { .. }) && moved(it));
        for call in calls.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.again(now, call, homes);
        }
    }

    fn announce(&mut self, now: u64, home: NodeId, names: Vec<(Name, Registration)>) {
        if names.is_empty() {
            return;
        }
        for names in names.chunks(limits::NAME_BATCH) {
            self.requests.push_back((home, Request::Announce { names: names.to_vec() }));
        }
        // Whether it has arrived is seen by the next renewals.
        self.announced_until = now + nanos(limits::NAME_SETTLE);
        self.renew_in(now, limits::NAME_RETRY);
    }

    fn release(&mut self, now: u64, name: &Name, registration: Registration) {
        let home = self.held.get(name).map(|entry| entry.home);
        self.drop_held(name);
        if let Some(home) = home {
            self.release_at(now, home, name.clone(), registration);
        }
    }

    /// Gives a registration back, if it is there; asked until it is answered or the lease is over.
    fn release_at(&mut self, now: u64, home: NodeId, name: Name, registration: Registration) {
        let call = self.next_call;
        self.next_call += 1;
        let deadline = self.timers.insert(now + nanos(limits::NAME_LEASE), Due::Deadline(call));
        self.calls.insert(call, Call { name, what: What::Release { registration }, home, again: None, deadline });
        self.ask(now, call);
    }

    fn fail(&mut self, from: NodeId, call: u64, code: Code) {
        let Some(it) = self.calls.get(&call).filter(|it| it.home == from) else { return };
        match it.what {
            What::Claim { token, .. } => self.told.push_back(Output::Registered(token, Err(code))),
            What::Locate { token, .. } => self.told.push_back(Output::Located(token, Err(code))),
            What::Release { .. } => return,
        }
        self.end(call);
    }

    fn give_up_late(&mut self, now: u64, call: u64) {
        let Some(it) = self.calls.get(&call) else { return };
        match it.what {
            What::Claim { token, .. } => self.told.push_back(Output::Registered(token, Err(Code::Timeout))),
            What::Locate { token, .. } => self.told.push_back(Output::Located(token, Err(Code::Timeout))),
            What::Release { .. } => {}
        }
        self.give_up(now, call);
    }

    /// Ends a call that may still have an effect, and takes that back.
    fn give_up(&mut self, now: u64, call: u64) {
        let Some(Call { name, what, home, .. }) = self.end(call) else { return };
        match what {
            What::Claim { registration, .. } => self.release_at(now, home, name, registration),
            What::Locate { .. } => self.requests.push_back((home, Request::Withdraw { call, name })),
            What::Release { .. } => {}
        }
    }

    /// Takes a call off the list.
    fn end(&mut self, call: u64) -> Option<Call> {
        let it = self.calls.remove(&call)?;
        self.timers.cancel(it.deadline);
        if let Some(again) = it.again {
            self.timers.cancel(again);
        }
        match it.what {
            What::Claim { token, .. } => {
                self.tokens.remove(&token);
                self.uncount_name(&it.name.tenant);
            }
            What::Locate { token, .. } => {
                self.tokens.remove(&token);
                self.uncount(&it.name.tenant, |counts| counts.waiting -= 1);
            }
            What::Release { .. } => {}
        }
        Some(it)
    }

    fn drop_held(&mut self, name: &Name) {
        if self.held.remove(name).is_some() {
            self.uncount_name(&name.tenant);
        }
    }

    fn uncount_name(&mut self, tenant: &str) {
        self.uncount(tenant, |counts| counts.names -= 1);
    }

    fn uncount(&mut self, tenant: &str, less: impl Fn(&mut Counts)) {
        let Some(counts) = self.counts.get_mut(tenant) else { return };
        less(counts);
        if counts.names == 0 && counts.waiting == 0 {
            self.counts.remove(tenant);
        }
    }

    fn renew_in(&mut self, now: u64, after: Duration) {
        let at = now + nanos(after);
        self.renew_at = Some(self.renew_at.map_or(at, |before| before.min(at)));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
