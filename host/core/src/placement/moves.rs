//! What moves inside the placer: classes come and go, jobs join and leave their lists, nodes gain and lose room, and one is
//! chosen. Each costs a look at the pools of one node, or at four nodes of one pool.

use super::filter::{Constraint, Reach};
use super::placer::{Answer, Need, Placed, Placer};
use super::pool::Lane;
use super::queue::{Class, Entry, Seat};
use super::score::{self, Reason};
use super::selector::Selector;
use super::why::Refused;
use crate::ids::{ComputationId, ModuleHash, NodeId};
use crate::limits;
use crate::sync::slab_list::SlabList;
use std::cmp::Ordering;
use std::sync::Arc;

impl Placer {
    /// The class of such jobs, made where there is none.
    pub(super) fn class_for(&mut self, id: ComputationId, need: Need) -> Result<u32, Refused> {
        let class = match self.known_class(id, &need) {
            Some(class) => class,
            None => {
                let computation = self.computations.get(&id).ok_or(Refused::NoComputation)?;
                self.add_class(id, constraint(&computation.reach, &need))?
            }
        };
        if let Some(computation) = self.computations.get_mut(&id) {
            computation.latest = Some(class);
        }
        Ok(class)
    }

    /// The class of such jobs, if there is one.
    pub(super) fn known_class(&self, id: ComputationId, need: &Need) -> Option<u32> {
        let computation = self.computations.get(&id)?;
        // Jobs mostly come in many of a kind.
        if let Some(class) = computation.latest
            && let Some(pool) = self.classes.get(class).and_then(|class| self.pools.get(class.pool))
            && (pool.constraint.at.as_ref(), pool.constraint.memory) == (wanted(need), need.memory)
            && pool.constraint.excluded == excluded(&need.excluded)
        {
            return Some(class);
        }
        let pool = self.pools.find(&constraint(&computation.reach, need))?;
        computation.classes.get(&pool).copied()
    }

    fn add_class(&mut self, id: ComputationId, constraint: Constraint) -> Result<u32, Refused> {
        let tenant = self.computations.get(&id).map(|computation| computation.tenant).ok_or(Refused::NoComputation)?;
        let account = self.tenants.get_mut(&tenant).ok_or(Refused::NoComputation)?;
        if account.classes >= limits::PLACEMENT_CLASSES {
            let (waiting, limit) = (account.waiting, limits::PLACEMENT_CLASSES);
            let oldest = account.idle.first().and_then(|place| account.idle.get(place).copied());
            let oldest = oldest.ok_or(Refused::Overloaded { waiting, limit, name: "PLACEMENT_CLASSES" })?;
            self.drop_class(oldest);
        }
        let pool = self.pool_for(id, constraint);
        let class = self.classes.add(Class { computation: id, tenant, pool, jobs: SlabList::default(), idle: None });
        self.join_pool(class);
        if let Some(account) = self.tenants.get_mut(&tenant) {
            account.classes += 1;
        }
        self.rest(class);
        Ok(class)
    }

    fn pool_for(&mut self, id: ComputationId, constraint: Constraint) -> u32 {
        if let Some(pool) = self.pools.find(&constraint) {
            return pool;
        }
        let owner = constraint.reach.has_limits().then_some(id);
        let number = self.pools.add(constraint, owner);
        for at in 0..self.nodes.len() as u32 {
            self.judge_in(number, at);
            self.look_in(number, at);
        }
        number
    }

    /// Gives the jobs that waited in it.
    pub(super) fn drop_class(&mut self, number: u32) -> Option<SlabList<Entry>> {
        self.leave_pool(number);
        let class = self.classes.remove(number)?;
        if let Some(computation) = self.computations.get_mut(&class.computation) {
            computation.latest = computation.latest.filter(|latest| *latest != number);
        }
        if let Some(tenant) = self.tenants.get_mut(&class.tenant) {
            tenant.classes -= 1;
            tenant.waiting -= class.jobs.len();
            if let Some(place) = class.idle {
                tenant.idle.remove(place);
            }
        }
        Some(class.jobs)
    }

    /// To the pool that is right after its computation's allocations have changed. No job of it is touched.
    pub(super) fn move_class(&mut self, number: u32) {
        let Some(class) = self.classes.get(number) else { return };
        let (id, old) = (class.computation, class.pool);
        let Some(reach) = self.computations.get(&id).map(|computation| Arc::clone(&computation.reach)) else { return };
        let Some(constraint) = self.pools.get(old).map(|pool| pool.constraint.clone()) else { return };
        let pool = self.pool_for(id, Constraint { reach, ..constraint });
        self.leave_pool(number);
        if let Some(class) = self.classes.get_mut(number) {
            class.pool = pool;
        }
        self.join_pool(number);
    }

    fn join_pool(&mut self, number: u32) {
        let Some(class) = self.classes.get(number) else { return };
        let waiting = class.jobs.len();
        if let Some(computation) = self.computations.get_mut(&class.computation) {
            computation.classes.insert(class.pool, number);
        }
        let Some(pool) = self.pools.get_mut(class.pool) else { return };
        let lane: &mut Lane = pool.lanes.entry(class.tenant).or_default();
        (lane.classes, lane.waiting) = (lane.classes + 1, lane.waiting + waiting);
        (pool.classes, pool.waiting) = (pool.classes + 1, pool.waiting + waiting);
        if waiting > 0 {
            lane.turns.wait(number);
            pool.turns.wait(class.tenant);
        }
        self.pools.note(class.pool);
    }

    fn leave_pool(&mut self, number: u32) {
        let Some(class) = self.classes.get(number) else { return };
        let (waiting, tenant, at) = (class.jobs.len(), class.tenant, class.pool);
        if let Some(computation) = self.computations.get_mut(&class.computation) {
            computation.classes.remove(&at);
        }
        let Some(pool) = self.pools.get_mut(at) else { return };
        (pool.classes, pool.waiting) = (pool.classes - 1, pool.waiting - waiting);
        if let Some(lane) = pool.lanes.get_mut(&tenant) {
            (lane.classes, lane.waiting) = (lane.classes - 1, lane.waiting - waiting);
            lane.turns.remove(number);
            if lane.waiting == 0 {
                pool.turns.rest(tenant);
            }
            if lane.classes == 0 {
                pool.lanes.remove(&tenant);
                pool.turns.part(tenant);
            }
        }
        self.pools.note(at);
        if self.pools.get(at).is_some_and(|pool| pool.classes == 0) {
            self.pools.remove(at);
            self.nodes.iter_mut().flatten().for_each(|node| node.pools.retain(|pool| *pool != at));
        }
    }

    /// Gives its place among jobs of its kind, counted from 1.
    pub(super) fn enqueue(&mut self, job: u64, number: u32, module: ModuleHash) -> u32 {
        let Some(class) = self.classes.get_mut(number) else { return 0 };
        let Some(computation) = self.computations.get_mut(&class.computation) else { return 0 };
        let entry = Entry { job, ticket: computation.next_ticket(), module: computation.modules.number(module) };
        let place = class.jobs.push(entry);
        let position = class.ahead(&entry).saturating_add(1);
        self.seated(job, Seat { class: number, place });
        position
    }

    /// The same, before all others of its kind.
    pub(super) fn enqueue_first(&mut self, job: u64, number: u32, module: ModuleHash) {
        let Some(class) = self.classes.get_mut(number) else { return };
        let Some(computation) = self.computations.get_mut(&class.computation) else { return };
        let first = class.jobs.first().and_then(|place| class.jobs.get(place));
        let ticket = first.map(|first| first.ticket).unwrap_or_else(|| computation.next_ticket());
        let place = class.jobs.push_front(Entry { job, ticket, module: computation.modules.number(module) });
        self.seated(job, Seat { class: number, place });
    }

    fn seated(&mut self, job: u64, seat: Seat) {
        self.waiting.insert(job, seat);
        let number = seat.class;
        let Some(class) = self.classes.get_mut(number) else { return };
        if let Some(tenant) = self.tenants.get_mut(&class.tenant) {
            tenant.waiting += 1;
            if let Some(place) = class.idle.take() {
                tenant.idle.remove(place);
            }
        }
        self.pools.count(class.pool, class.tenant, number, class.jobs.len(), true);
    }

    /// A job is not in its list any more.
    pub(super) fn leave(&mut self, seat: Seat) {
        let Some(class) = self.classes.get_mut(seat.class) else { return };
        class.jobs.discard(seat.place);
        let (left, pool, tenant) = (class.jobs.len(), class.pool, class.tenant);
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.waiting -= 1;
        }
        self.pools.count(pool, tenant, seat.class, left, false);
        if left == 0 {
            self.rest(seat.class);
        }
    }

    fn rest(&mut self, number: u32) {
        let Some(class) = self.classes.get_mut(number) else { return };
        if let Some(tenant) = self.tenants.get_mut(&class.tenant) {
            class.idle = Some(tenant.idle.push(number));
        }
    }

    /// Of the pools in which somebody could start now, that of the tenant, and then of the computation, that has used least.
    pub(super) fn next_pool(&mut self) -> Option<u32> {
        let key = |number: u32| {
            let pool = self.pools.get(number)?;
            let tenant = pool.turns.next()?;
            let class = self.classes.get(pool.lanes.get(&tenant)?.turns.next()?)?;
            let (tenant, computation) = (self.tenants.get(&tenant)?, self.computations.get(&class.computation)?);
            let oldest = class.jobs.first().and_then(|place| class.jobs.get(place))?.ticket;
            Some((tenant.used.key(self.floor), computation.used.key(tenant.floor), oldest))
        };
        self.steps += self.pools.hungry().len() as u64;
        self.pools.hungry().iter().copied().min_by_key(|number| (key(*number).is_none(), key(*number)))
    }

    /// The best of a few nodes of the class's pool, at random among equals; `None`: none has room.
    pub(super) fn choose(&mut self, class: u32, module: Option<ModuleHash>) -> Option<(u32, Reason)> {
        let class = self.classes.get(class)?;
        let policy = self.computations.get(&class.computation)?.policy;
        let room = self.pools.get(class.pool)?.room();
        let (mut best, mut compared, mut equals): (Option<(u64, u32, Reason)>, u32, usize) = (None, 0, 0);
        for at in score::sample(&mut self.rng, room.len()) {
            let number = *room.get(at)?;
            let node = self.nodes.get(number as usize)?.as_ref()?;
            let (taken, slots) = score::taken(node);
            let module = module.is_some_and(|module| node.has(&module));
            let cores = node.facts.as_ref().map_or(0, |facts| facts.cores);
            let score = score::score(policy, (taken, slots, cores), module);
            compared += 1;
            let known = best.as_ref().map_or(u64::MAX, |(known, ..)| *known);
            equals = match score.cmp(&known) {
                Ordering::Less => 1,
                Ordering::Equal => equals + 1,
                Ordering::Greater => equals,
            };
            // Each of several equals is taken as likely as the others.
            if score < known || (score == known && self.rng.below(equals) == 0) {
                let open = u32::try_from(room.len()).unwrap_or(u32::MAX);
                best = Some((score, number, Reason { policy, open, compared: 0, taken, slots, module }));
            }
        }
        self.steps += u64::from(compared);
        best.map(|(_, number, reason)| (number, Reason { compared, ..reason }))
    }

    /// Has it go where there is room, if nobody who waits could go anywhere now: nobody is overtaken.
    pub(super) fn place_now(&mut self, job: u64, class: u32, module: ModuleHash) -> Option<Answer> {
        if !self.pools.hungry().is_empty() {
            return None;
        }
        let (node, why) = self.choose(class, Some(module))?;
        Some(Answer::Placed { node: self.start(job, class, Some(module), node, why), why })
    }

    /// Counts a job as being there, from now on. It may still be in its list.
    pub(super) fn start(
        &mut self,
        job: u64,
        class: u32,
        module: Option<ModuleHash>,
        number: u32,
        why: Reason,
    ) -> NodeId {
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_mut) else { return NodeId::default() };
        let id = node.id;
        let Some(class) = self.classes.get(class) else { return id };
        let (computation, tenant) = (class.computation, class.tenant);
        let memory = self.pools.get(class.pool).map_or(0, |pool| pool.constraint.memory);
        node.started(memory, module);
        let opened = self.computations.get(&computation).map_or(0, |computation| computation.opened);
        self.placed.insert(job, Placed { node: number, computation, opened, memory, why });
        self.charge(number, tenant, computation);
        self.look(number);
        id
    }

    /// A start counts for whoever waits for the same node, in whichever pool.
    fn charge(&mut self, number: u32, tenant: u32, id: ComputationId) {
        let Some(account) = self.tenants.get_mut(&tenant) else { return };
        let Some(computation) = self.computations.get_mut(&id) else { return };
        *computation.running.entry(number).or_default() += 1;
        self.started += 1;
        account.used.charge(account.weight, &mut self.floor, self.started);
        computation.used.charge(computation.weight, &mut account.floor, self.started);
        let costs = (super::turns::cost(account.weight), super::turns::cost(computation.weight));
        let node = self.nodes.get(number as usize).and_then(Option::as_ref);
        for at in node.map_or(&[][..], |node| &node.pools) {
            self.steps += 1;
            let Some(pool) = self.pools.get_mut(*at).filter(|pool| pool.waiting > 0) else { continue };
            pool.turns.charge(tenant, costs.0);
            if let Some(lane) = pool.lanes.get_mut(&tenant)
                && let Some(class) = computation.classes.get(at)
            {
                lane.turns.charge(*class, costs.1);
            }
        }
    }

    /// What a node is, or says, has changed: in which pools it may be used.
    pub(super) fn judge(&mut self, number: u32) {
        let pools: Vec<u32> = self.pools.iter_mut().map(|(pool, _)| pool).collect();
        if let Some(node) = &mut self.nodes[number as usize] {
            node.pools.clear();
        }
        pools.into_iter().for_each(|pool| self.judge_in(pool, number));
    }

    fn judge_in(&mut self, pool: u32, number: u32) {
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let Some(judged) = self.pools.get_mut(pool) else { return };
        if judged.judge(number, node.facts.as_ref()) {
            node.pools.push(pool);
        }
        self.pools.note(pool);
    }

    /// What is free at a node has changed: in which pools it has room.
    pub(super) fn look(&mut self, number: u32) {
        // Taken out while the rest is borrowed; nothing below touches it.
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let pools = std::mem::take(&mut node.pools);
        pools.iter().for_each(|pool| self.look_in(*pool, number));
        if let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_mut) {
            node.pools = pools;
        }
    }

    fn look_in(&mut self, at: u32, number: u32) {
        self.steps += 1;
        let Some(node) = self.nodes.get(number as usize).and_then(Option::as_ref) else { return };
        let Some(pool) = self.pools.get_mut(at) else { return };
        let owner = pool.owner.and_then(|owner| self.computations.get(&owner));
        let running = owner.and_then(|owner| owner.running.get(&number)).copied().unwrap_or(0);
        let takes = pool.takes(number, node, running);
        pool.set_room(number, takes);
        self.pools.note(at);
    }

    /// Forgets a node that is gone and has no job of this home left.
    pub(super) fn forget(&mut self, number: u32) {
        let Some(Some(node)) = self.nodes.get(number as usize) else { return };
        if node.facts.is_none() && node.own() == 0 {
            self.known.remove(&node.id);
            self.nodes[number as usize] = None;
            self.free.push(number);
        }
    }
}

fn constraint(reach: &Arc<Reach>, need: &Need) -> Constraint {
    Constraint {
        reach: Arc::clone(reach),
        at: wanted(need).cloned(),
        memory: need.memory,
        excluded: excluded(&need.excluded),
    }
}

fn wanted(need: &Need) -> Option<&Selector> {
    need.at.as_ref().filter(|at| !at.is_any())
}

/// The last attempts, in order of nodes, each node once.
fn excluded(all: &[(NodeId, u32)]) -> Vec<(NodeId, u32)> {
    let mut excluded = all.to_vec();
    excluded.sort_unstable_by_key(|(_, attempt)| std::cmp::Reverse(*attempt));
    excluded.truncate(limits::PLACEMENT_EXCLUDED);
    excluded.sort_by_key(|(node, _)| *node);
    excluded.dedup_by_key(|(node, _)| *node);
    excluded
}
