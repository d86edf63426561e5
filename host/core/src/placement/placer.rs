//! Decides where each job of this home runs, and who is next where all is full. No I/O and no clock; the host sends jobs where
//! this says, and tells what becomes of them and of the nodes.
//!
//! A job placed and ended costs a look at each *kind* of job that could use its node ([`super::pool`]), whatever the number of
//! nodes, of computations and of jobs that wait.

use super::accounts::{Computation, Opening, Reaches, Tenant, Used};
use super::offer::{Node, Offer};
use super::pool::Pools;
use super::queue::{ByJob, Classes, Modules, Seat};
use super::score::Reason;
use super::selector::{Allocation, Selector};
use super::why::{Refusal, Refusals, Refused, Why};
use crate::ids::{ComputationId, ModuleHash, NodeId};
use crate::limits;
use crate::membership::rng::SplitMix;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Placement of one home. After each call that may free something, [`Placer::poll_placed`] until it gives nothing.
#[derive(Debug)]
pub struct Placer {
    pub(super) rng: SplitMix,
    bounds: Bounds,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) free: Vec<u32>,
    pub(super) known: HashMap<NodeId, u32>,
    pub(super) pools: Pools,
    pub(super) classes: Classes,
    pub(super) tenants: HashMap<u32, Tenant>,
    pub(super) computations: HashMap<ComputationId, Computation>,
    pub(super) reaches: Reaches,
    pub(super) waiting: ByJob<Seat>,
    pub(super) placed: ByJob<Placed>,
    /// What tenants have reached, in jobs by weight, and a count of all starts.
    pub(super) floor: u64,
    pub(super) started: u64,
    opened: u64,
    /// Nodes, pools and lists that were looked at; counted because time cannot be asserted on.
    pub(super) steps: u64,
}

/// How many jobs may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub waiting: usize,
    pub tenant_waiting: usize,
}

/// What a job needs.
#[derive(Clone, PartialEq, Debug)]
pub struct Need {
    pub at: Option<Selector>,
    /// Bytes that it may come to have.
    pub memory: u64,
    pub module: ModuleHash,
    /// Nodes where an earlier attempt failed, with its number; of more than [`limits::PLACEMENT_EXCLUDED`] the last ones count.
    pub excluded: Vec<(NodeId, u32)>,
}

/// What becomes of a job at once.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Placed {
        node: NodeId,
        why: Reason,
    },
    /// Among jobs of its computation and kind, counted from 1.
    Waiting {
        position: u32,
    },
    Refused(Refused),
}

/// A job whose turn came.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Start {
    pub job: u64,
    pub node: NodeId,
    pub why: Reason,
}

/// A job at a node.
#[derive(Debug)]
pub(super) struct Placed {
    pub node: u32,
    pub computation: ComputationId,
    /// Which of that number, if it was opened again.
    pub opened: u64,
    pub memory: u64,
    pub why: Reason,
}

/// Something is known already, or there are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("more than {} nodes (PLACEMENT_NODES)", limits::PLACEMENT_NODES)]
    Nodes,
    #[error("more than {} allocations (ALLOCATIONS)", limits::ALLOCATIONS)]
    Allocations,
    #[error("the computation is open already")]
    Open,
    #[error("the computation is not open")]
    NotOpen,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { waiting: limits::PLACEMENT_WAITING, tenant_waiting: limits::PLACEMENT_TENANT_WAITING }
    }
}

impl Placer {
    pub fn new(seed: u64, bounds: Bounds) -> Placer {
        Placer {
            rng: SplitMix::new(seed),
            bounds,
            nodes: Vec::new(),
            free: Vec::new(),
            known: HashMap::new(),
            pools: Pools::default(),
            classes: Classes::default(),
            tenants: HashMap::new(),
            computations: HashMap::new(),
            reaches: Reaches::default(),
            waiting: ByJob::default(),
            placed: ByJob::default(),
            floor: 0,
            started: 0,
            opened: 0,
            steps: 0,
        }
    }

    /// A node came, or what it says has changed.
    pub fn offer(&mut self, offer: &Offer) -> Result<(), Error> {
        let number = match self.known.get(&offer.node) {
            Some(number) => *number,
            None if self.known.len() >= limits::PLACEMENT_NODES => return Err(Error::Nodes),
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.nodes.push(None);
                    (self.nodes.len() - 1) as u32
                });
                self.known.insert(offer.node, number);
                number
            }
        };
        let changed = match &mut self.nodes[number as usize] {
            Some(node) => node.update(offer),
            empty => {
                *empty = Some(Node::new(offer));
                true
            }
        };
        if changed {
            self.judge(number);
        }
        self.look(number);
        Ok(())
    }

    /// A node is not known any more. Its jobs are still counted until each has [ended](Placer::ended).
    pub fn gone(&mut self, node: NodeId) {
        let Some(number) = self.known.get(&node).copied() else { return };
        if let Some(node) = &mut self.nodes[number as usize] {
            node.facts = None;
            self.judge(number);
            self.forget(number);
        }
    }

    /// A node has a module; one to which a job was sent is taken to have its module.
    pub fn learned(&mut self, node: NodeId, module: ModuleHash) {
        if let Some(node) = self.known.get(&node).and_then(|number| self.nodes[*number as usize].as_mut()) {
            node.learned(module);
        }
    }

    pub fn open(&mut self, id: ComputationId, opening: Opening) -> Result<(), Error> {
        if self.computations.contains_key(&id) {
            return Err(Error::Open);
        }
        if opening.allocations.len() > limits::ALLOCATIONS {
            return Err(Error::Allocations);
        }
        let floor = self.floor;
        let tenant = self.tenants.entry(opening.tenant).or_insert_with(|| Tenant::new(opening.tenant_weight, floor));
        tenant.weight = opening.tenant_weight;
        tenant.computations += 1;
        self.opened += 1;
        let computation = Computation {
            opened: self.opened,
            tenant: opening.tenant,
            weight: opening.weight,
            policy: opening.policy,
            used: Used::new(tenant.floor),
            reach: self.reaches.intern(opening.allocations, opening.nodes),
            classes: HashMap::new(),
            latest: None,
            modules: Modules::default(),
            running: HashMap::new(),
            ticket: NonZeroU32::MIN,
        };
        self.computations.insert(id, computation);
        Ok(())
    }

    /// Gives the jobs that waited, which are not there any more. Those that are placed count until each has ended.
    pub fn close(&mut self, id: ComputationId) -> Vec<u64> {
        let Some(computation) = self.computations.get(&id) else { return Vec::new() };
        let (tenant, classes) = (computation.tenant, computation.classes.values().copied().collect::<Vec<_>>());
        let mut jobs = Vec::new();
        for class in classes {
            let Some(entries) = self.drop_class(class) else { continue };
            jobs.extend(entries.into_values().into_iter().map(|entry| entry.job));
        }
        for job in &jobs {
            self.waiting.remove(job);
        }
        if let Some(computation) = self.computations.remove(&id) {
            self.reaches.release(computation.reach);
        }
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.computations -= 1;
        }
        // One that has used more than others is remembered until they have: closing and opening wins nothing.
        let floor = self.floor;
        self.tenants.retain(|_, tenant| tenant.computations > 0 || !tenant.used.is_even(floor));
        jobs
    }

    /// Other allocations for a computation; jobs that are placed stay where they are.
    pub fn allocate(&mut self, id: ComputationId, allocations: Vec<Allocation>) -> Result<(), Error> {
        if allocations.len() > limits::ALLOCATIONS {
            return Err(Error::Allocations);
        }
        let computation = self.computations.get_mut(&id).ok_or(Error::NotOpen)?;
        if computation.reach.allocations == allocations {
            return Ok(());
        }
        let reach = self.reaches.intern(allocations, computation.reach.nodes.clone());
        let old = std::mem::replace(&mut computation.reach, reach);
        let classes: Vec<u32> = computation.classes.values().copied().collect();
        classes.into_iter().for_each(|class| self.move_class(class));
        self.reaches.release(old);
        Ok(())
    }

    /// A new job of an open computation; its number is not in use.
    pub fn submit(&mut self, job: u64, computation: ComputationId, need: Need) -> Answer {
        if self.waiting.contains_key(&job) || self.placed.contains_key(&job) {
            return Answer::Refused(Refused::Duplicate);
        }
        let module = need.module;
        let class = match self.class_for(computation, need) {
            Ok(class) => class,
            Err(refused) => return Answer::Refused(refused),
        };
        let Some((tenant, number)) = self.classes.get(class).map(|class| (class.tenant, class.pool)) else {
            return Answer::Refused(Refused::NoComputation);
        };
        if self.pools.get(number).is_some_and(|pool| !pool.is_possible()) {
            return Answer::Refused(Refused::Nowhere(self.nowhere(class, number)));
        }
        if let Some(placed) = self.place_now(job, class, module) {
            return placed;
        }
        if let Some(refused) = self.overloaded(tenant) {
            return Answer::Refused(refused);
        }
        Answer::Waiting { position: self.enqueue(job, class, module) }
    }

    /// A job that was placed has ended there, or will not run there after all.
    pub fn ended(&mut self, job: u64) -> bool {
        let Some(placed) = self.placed.remove(&job) else { return false };
        if let Some(computation) = self.computations.get_mut(&placed.computation)
            && computation.opened == placed.opened
            && let Some(running) = computation.running.get_mut(&placed.node)
        {
            *running -= 1;
            if *running == 0 {
                computation.running.remove(&placed.node);
            }
        }
        if let Some(node) = &mut self.nodes[placed.node as usize] {
            node.ended(placed.memory);
            self.look(placed.node);
            self.forget(placed.node);
        }
        true
    }

    /// The node where a job was placed has refused it, being full with what this home knows nothing of. The job goes elsewhere, or
    /// waits in front of its kind: it is not behind those who came later. The node is used again when a job of this home ends
    /// there, or after [`Placer::release`]. `None`: the job is not placed.
    pub fn put_back(&mut self, job: u64, need: Need) -> Option<Answer> {
        let placed = self.placed.get(&job)?;
        let (number, computation, module) = (placed.node, placed.computation, need.module);
        self.ended(job);
        if let Some(node) = &mut self.nodes[number as usize] {
            node.held = true;
            self.look(number);
        }
        let class = match self.class_for(computation, need) {
            Ok(class) => class,
            Err(refused) => return Some(Answer::Refused(refused)),
        };
        Some(self.place_now(job, class, module).unwrap_or_else(|| {
            self.enqueue_first(job, class, module);
            Answer::Waiting { position: 1 }
        }))
    }

    /// Nodes that refused jobs may be asked again.
    pub fn release(&mut self) {
        for number in 0..self.nodes.len() {
            if let Some(node) = self.nodes[number].as_mut().filter(|node| node.held) {
                node.held = false;
                self.look(number as u32);
            }
        }
    }

    /// A job that waits is not wanted any more.
    pub fn withdraw(&mut self, job: u64) -> bool {
        let Some(seat) = self.waiting.remove(&job) else { return false };
        self.leave(seat);
        true
    }

    /// A job whose turn came; to be sent there now.
    pub fn poll_placed(&mut self) -> Option<Start> {
        let number = self.next_pool()?;
        let pool = self.pools.get(number)?;
        let class = pool.lanes.get(&pool.turns.next()?)?.turns.next()?;
        let (place, entry) = {
            let jobs = &self.classes.get(class)?.jobs;
            let place = jobs.first()?;
            (place, *jobs.get(place)?)
        };
        let computation = self.computations.get(&self.classes.get(class)?.computation)?;
        let module = computation.modules.hash(entry.module);
        let (node, why) = self.choose(class, module)?;
        let node = self.start(entry.job, class, module, node, why);
        self.waiting.remove(&entry.job);
        self.leave(Seat { class, place });
        Some(Start { job: entry.job, node, why })
    }

    /// Where a job is, or what keeps it from each node. Looks at all nodes: for a person who asks.
    pub fn why(&self, job: u64) -> Option<Why> {
        if let Some(placed) = self.placed.get(&job) {
            let node = self.nodes[placed.node as usize].as_ref()?;
            let name = node.facts.as_ref().map(|facts| facts.name.clone()).unwrap_or_default();
            return Some(Why::Placed { node: node.id, name, reason: placed.why });
        }
        let seat = self.waiting.get(&job)?;
        let class = self.classes.get(seat.class)?;
        let ahead = class.ahead(class.jobs.get(seat.place)?);
        Some(Why::Waiting { ahead, refusals: self.refusals(seat.class)? })
    }

    /// Whether such a job is of a kind that its computation has already: then nothing has to be asked of all nodes.
    pub fn knows(&self, id: ComputationId, need: &Need) -> bool {
        !self.computations.contains_key(&id) || self.known_class(id, need).is_some()
    }

    /// Kinds of jobs that a computation has.
    pub fn kinds(&self, id: ComputationId) -> usize {
        self.computations.get(&id).map_or(0, |computation| computation.classes.len())
    }

    /// Whether a job waits; what keeps it from each node, [`Placer::why`] tells.
    pub fn is_waiting(&self, job: u64) -> bool {
        self.waiting.contains_key(&job)
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// This home's jobs at a node.
    pub fn running_at(&self, node: NodeId) -> u32 {
        let node = self.known.get(&node).and_then(|number| self.nodes[*number as usize].as_ref());
        node.map_or(0, Node::own)
    }

    fn overloaded(&self, tenant: u32) -> Option<Refused> {
        let of_tenant = self.tenants.get(&tenant).map_or(0, |tenant| tenant.waiting);
        let bounds = [
            (self.waiting.len(), self.bounds.waiting, "PLACEMENT_WAITING"),
            (of_tenant, self.bounds.tenant_waiting, "PLACEMENT_TENANT_WAITING"),
        ];
        let over = bounds.into_iter().find(|(waiting, limit, _)| waiting >= limit);
        over.map(|(waiting, limit, name)| Refused::Overloaded { waiting, limit, name })
    }

    fn nowhere(&mut self, class: u32, pool: u32) -> Arc<Refusals> {
        if let Some(known) = self.pools.get(pool).and_then(|pool| pool.nowhere.clone()) {
            return known;
        }
        let refusals = Arc::new(self.refusals(class).unwrap_or_default());
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.nowhere = Some(Arc::clone(&refusals));
        }
        refusals
    }

    fn refusals(&self, class: u32) -> Option<Refusals> {
        let class = self.classes.get(class)?;
        let (constraint, computation) =
            (&self.pools.get(class.pool)?.constraint, self.computations.get(&class.computation)?);
        let of = |number: usize, node: &Node| {
            let facts = node.facts.as_ref()?;
            let running = computation.running.get(&(number as u32)).copied().unwrap_or(0);
            let rules = constraint.rules(facts, node, running);
            Some(Refusal { node: facts.node, name: facts.name.clone(), rules })
        };
        let nodes = self.nodes.iter().enumerate().filter_map(|(number, node)| of(number, node.as_ref()?));
        Some(Refusals::nearest(nodes.collect(), limits::WHY_NODES))
    }
}
