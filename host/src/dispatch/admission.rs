//! Admission: a job runs when there is an instance slot; until then it waits, tenants taking turns. Bounded.

use super::Job;
use corovan_core::code::Code;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Slots and the jobs that wait for one.
pub struct Admission {
    slots: usize,
    max_waiting: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    next_ticket: u64,
    /// Waiting jobs of each tenant, oldest first.
    lanes: HashMap<u32, BTreeMap<u64, Arc<Job>>>,
    /// Tenants with waiting jobs, in order of turn.
    turns: VecDeque<u32>,
}

impl Admission {
    pub fn new(slots: usize, max_waiting: usize) -> Admission {
        Admission { slots, max_waiting, state: Mutex::default() }
    }

    /// Starts the job, or lets it wait, or refuses it.
    pub(super) fn enter(&self, job: &Arc<Job>) {
        let starts = {
            let mut state = self.state.lock();
            if state.running < self.slots && state.waiting == 0 {
                state.running += 1;
                Ok(true)
            } else if state.waiting < self.max_waiting {
                state.wait(job);
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

    /// A job that had a slot has ended: the slot goes to the next.
    pub(super) fn leave(&self) {
        let next = self.state.lock().next();
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
            job = self.state.lock().next();
        }
    }
}

impl State {
    fn wait(&mut self, job: &Arc<Job>) {
        let tenant = job.share_id();
        self.next_ticket += 1;
        job.set_ticket(self.next_ticket);
        let lane = self.lanes.entry(tenant).or_default();
        if lane.is_empty() {
            self.turns.push_back(tenant);
        }
        lane.insert(self.next_ticket, Arc::clone(job));
        self.waiting += 1;
    }

    /// The next waiting job takes over the slot; without one the slot is free.
    fn next(&mut self) -> Option<Arc<Job>> {
        let next = self.turns.pop_front().and_then(|tenant| {
            let lane = self.lanes.get_mut(&tenant)?;
            let (_, job) = lane.pop_first()?;
            if lane.is_empty() {
                self.lanes.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            Some(job)
        });
        match &next {
            Some(_) => self.waiting -= 1,
            None => self.running -= 1,
        }
        next
    }
}
