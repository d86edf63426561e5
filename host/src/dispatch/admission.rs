//! Admission: a job runs when there is an instance slot; until then it waits, tenants taking turns. Bounded.

use super::Job;
use crate::runtime::Refusal;
use corovan_core::code::Code;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Slots and the jobs that wait for one.
pub struct Admission {
    /// Of the node, and how many of them one tenant may take.
    slots: usize,
    tenant_slots: usize,
    max_waiting: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    /// The same by tenant.
    running_of: HashMap<u32, usize>,
    waiting: usize,
    next_ticket: u64,
    /// Waiting jobs of each tenant, oldest first.
    lanes: HashMap<u32, BTreeMap<u64, Arc<Job>>>,
    /// Tenants with waiting jobs and room for one, in order of turn.
    turns: VecDeque<u32>,
}

impl Admission {
    /// `tenant_slots`: how many of `slots` one tenant may take. The others are there for tenants that come later.
    pub fn new(slots: usize, tenant_slots: usize, max_waiting: usize) -> Admission {
        Admission { slots, tenant_slots, max_waiting, state: Mutex::default() }
    }

    /// Starts the job, or lets it wait, or refuses it.
    pub(super) fn enter(&self, job: &Arc<Job>) {
        let starts = {
            let mut state = self.state.lock();
            let tenant = job.share_id();
            let has_room = state.has_room(tenant, self.tenant_slots);
            if state.running < self.slots && has_room && !state.lanes.contains_key(&tenant) {
                state.takes(tenant);
                Ok(true)
            } else if state.waiting < self.max_waiting {
                state.wait(job, has_room);
                Ok(false)
            } else {
                Err(state.waiting)
            }
        };
        match starts {
            Ok(true) => self.start(Some(Arc::clone(job))),
            Ok(false) => {}
            Err(waiting) => {
                let text = format!("{waiting} jobs wait on this node already, which is its limit: submit later");
                job.refuse(Code::Overloaded, text);
            }
        }
    }

    /// A slot for a coroutine that another makes, which cannot wait. Errors: overloaded.
    pub(super) fn squeeze(&self, tenant: u32) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.running < self.slots && state.has_room(tenant, self.tenant_slots) {
            state.takes(tenant);
            return Ok(());
        }
        let text = format!(
            "{} coroutines run on this node, which is its limit: spawn again when some have ended",
            state.running
        );
        Err(Refusal::new(Code::Overloaded, text))
    }

    /// A job that had a slot has ended: the slot goes to the next.
    pub(super) fn leave(&self, tenant: u32) {
        let next = self.state.lock().next(tenant, self.tenant_slots);
        self.start(next);
    }

    /// Takes a job that waits no longer out of its queue, if it is still there.
    pub(super) fn withdraw(&self, tenant: u32, ticket: u64) {
        let mut state = self.state.lock();
        let Some(lane) = state.lanes.get_mut(&tenant) else { return };
        let was_there = lane.remove(&ticket).is_some();
        if lane.is_empty() {
            state.lanes.remove(&tenant);
            state.turns.retain(|turn| *turn != tenant);
        }
        state.waiting -= usize::from(was_there);
    }

    /// Jobs with a slot, and jobs that wait.
    pub fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.running, state.waiting)
    }

    /// Starts this job; if it cannot be started, the next, and so on.
    fn start(&self, mut job: Option<Arc<Job>>) {
        while let Some(starting) = job {
            if starting.start() {
                return;
            }
            job = self.state.lock().next(starting.share_id(), self.tenant_slots);
        }
    }
}

impl State {
    fn has_room(&self, tenant: u32, tenant_slots: usize) -> bool {
        self.running_of.get(&tenant).is_none_or(|running| *running < tenant_slots)
    }

    fn takes(&mut self, tenant: u32) {
        self.running += 1;
        *self.running_of.entry(tenant).or_default() += 1;
    }

    fn gives_back(&mut self, tenant: u32) {
        self.running -= 1;
        if let Some(running) = self.running_of.get_mut(&tenant) {
            *running -= 1;
            if *running == 0 {
                self.running_of.remove(&tenant);
            }
        }
    }

    fn wait(&mut self, job: &Arc<Job>, has_room: bool) {
        let tenant = job.share_id();
        self.next_ticket += 1;
        job.set_ticket(self.next_ticket);
        let lane = self.lanes.entry(tenant).or_default();
        if lane.is_empty() && has_room {
            self.turns.push_back(tenant);
        }
        lane.insert(self.next_ticket, Arc::clone(job));
        self.waiting += 1;
    }

    /// The slot of this tenant's job that has ended goes to the next waiting job; without one it is free.
    fn next(&mut self, from: u32, tenant_slots: usize) -> Option<Arc<Job>> {
        let was_full = !self.has_room(from, tenant_slots);
        self.gives_back(from);
        if was_full && self.lanes.contains_key(&from) {
            self.turns.push_back(from);
        }
        let tenant = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&tenant)?;
        let (_, job) = lane.pop_first()?;
        let more = !lane.is_empty();
        if !more {
            self.lanes.remove(&tenant);
        }
        self.waiting -= 1;
        self.takes(tenant);
        if more && self.has_room(tenant, tenant_slots) {
            self.turns.push_back(tenant);
        }
        Some(job)
    }
}
