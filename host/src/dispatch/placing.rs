//! Where jobs run that may run elsewhere: the home's placer, with the jobs that wait for it. Whatever changes what is free has
//! those whose turn it is started, by one thread at a time, and never under the lock.

use super::Job;
use crate::cluster::offers;
use crate::runtime::{Refusal, Tenant};
use corovan_core::code::Code;
use corovan_core::ids::{ComputationId, NodeId};
use corovan_core::limits;
use corovan_core::placement::{self, Allocation, Answer, Bounds, Need, Offer, Opening, Placer, Policy, Refused, Why};
use corovan_core::tenancy::rate::Rate;
use corovan_core::text::cut;
use corovan_core::wire::jobs::NodeAllocation;
use corovan_core::wire::records::Open;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The placement of one home; cheap to clone.
#[derive(Clone)]
pub struct Placing {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Numbers jobs, from 1.
    last: AtomicU64,
    /// A node has refused a job, so that it is to be asked again after a while.
    refused: Notify,
    closed: CancellationToken,
}

struct State {
    placer: Placer,
    /// Those that wait.
    jobs: HashMap<u64, Arc<Job>>,
    /// Of each tenant, what it may still ask of all nodes.
    looks: HashMap<String, Rate>,
    /// Somebody starts those whose turn it is, and will see whatever changes meanwhile.
    starting: bool,
}

/// A computation that places jobs; dropped, it does no more.
pub struct Opened {
    placing: Placing,
    id: ComputationId,
    tenant: String,
}

/// A computation's share where nothing else is said.
const WEIGHT: u32 = 100;

impl Placing {
    pub fn new(seed: u64) -> Placing {
        let state = State {
            placer: Placer::new(seed, Bounds::default()),
            jobs: HashMap::new(),
            looks: HashMap::new(),
            starting: false,
        };
        let inner = Inner {
            state: Mutex::new(state),
            last: AtomicU64::new(1),
            refused: Notify::new(),
            closed: CancellationToken::new(),
        };
        Placing { inner: Arc::new(inner) }
    }

    /// A node came, or what it says has changed.
    pub fn offer(&self, offer: &Offer) {
        if let Err(error) = self.inner.state.lock().placer.offer(offer) {
            tracing::warn!(node = %offer.node, "no jobs go to it: {error}");
        }
        self.start();
    }

    pub fn gone(&self, node: NodeId) {
        self.inner.state.lock().placer.gone(node);
        self.start();
    }

    /// As its client wants it. `granted`: names of nodes that its grant gives; `None`: all. Errors: invalid, too-large (the nodes that it
    /// lists), internal (it is open already).
    pub fn open(
        &self,
        id: ComputationId,
        tenant: &Tenant,
        wanted: &Open,
        granted: Option<Vec<String>>,
    ) -> Result<Opened, Refusal> {
        let opening = Opening {
            tenant: tenant.share.id(),
            tenant_weight: tenant.share.weight(),
            weight: wanted.weight.unwrap_or(WEIGHT).clamp(1, placement::MAX_WEIGHT),
            allocations: allocations(&wanted.nodes)?,
            nodes: granted,
            policy: if wanted.pack { Policy::Pack } else { Policy::Spread },
        };
        self.inner.state.lock().placer.open(id, opening).map_err(refusal)?;
        Ok(Opened { placing: self.clone(), id, tenant: tenant.name().to_owned() })
    }

    /// Nodes that refused a job are asked again after a while. Until it is closed.
    pub async fn run(self) {
        let again = async {
            loop {
                self.inner.refused.notified().await;
                tokio::time::sleep(limits::PLACEMENT_HELD).await;
                self.inner.state.lock().placer.release();
                self.start();
            }
        };
        tokio::select! {
            () = again => {}
            () = self.inner.closed.cancelled() => {}
        }
    }

    /// No node is asked again.
    pub(super) fn close(&self) {
        self.inner.closed.cancel();
    }

    /// One question that is asked of all nodes, for a tenant. Errors: overloaded (it has asked too many).
    pub fn look(&self, tenant: &str, now: u64) -> Result<(), Refusal> {
        self.inner.state.lock().look(tenant, now)
    }

    /// Has it run where there is room, or lets it wait, or refuses it.
    pub(super) fn place(&self, job: &Arc<Job>, need: Need) {
        let key = self.inner.last.fetch_add(1, Ordering::Relaxed);
        let answer = {
            let mut state = self.inner.state.lock();
            if !state.placer.knows(job.group.id, &need)
                && let Err(Refusal { code, detail }) = state.look(job.group.tenant.name(), job.now())
            {
                drop(state);
                return job.refuse(code, detail);
            }
            job.set_key(key);
            let answer = state.placer.submit(key, job.group.id, need);
            state.keep(key, job, &answer);
            answer
        };
        job.answered(answer);
    }

    /// The node where it was placed has refused it and certainly does not run it: it goes elsewhere, or waits.
    pub(super) fn put_back(&self, job: &Arc<Job>, need: Need) {
        let key = job.key();
        let answer = {
            let mut state = self.inner.state.lock();
            let Some(answer) = state.placer.put_back(key, need) else { return };
            state.keep(key, job, &answer);
            answer
        };
        self.inner.refused.notify_one();
        job.answered(answer);
        self.start();
    }

    /// A job with this key is over, wherever it was.
    pub(super) fn ended(&self, key: u64) {
        {
            let mut state = self.inner.state.lock();
            if !state.placer.ended(key) {
                state.placer.withdraw(key);
            }
            state.jobs.remove(&key);
        }
        self.start();
    }

    pub(super) fn is_waiting(&self, key: u64) -> bool {
        self.inner.state.lock().placer.is_waiting(key)
    }

    /// Where a job is, or what keeps it from each node.
    pub(super) fn why(&self, key: u64) -> Option<Why> {
        self.inner.state.lock().placer.why(key)
    }

    /// Starts those whose turn it is. What another thread changes meanwhile is seen by the one that starts.
    fn start(&self) {
        let mut state = self.inner.state.lock();
        if std::mem::replace(&mut state.starting, true) {
            return;
        }
        while let Some(placed) = state.placer.poll_placed() {
            let job = state.jobs.remove(&placed.job);
            // Whoever ends this job in this moment tells the placer so after us.
            parking_lot::MutexGuard::unlocked(&mut state, || {
                job.into_iter().for_each(|job| job.go_to(placed.node, placed.why));
            });
        }
        state.starting = false;
    }
}

impl State {
    fn look(&mut self, tenant: &str, now: u64) -> Result<(), Refusal> {
        if self.looks.len() >= limits::PLACEMENT_LOOKERS {
            self.looks.retain(|_, rate| !rate.is_clear(now));
        }
        let interval = u64::try_from(limits::PLACEMENT_LOOK_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        if !self.looks.contains_key(tenant) {
            self.looks.insert(tenant.to_owned(), Rate::new(interval, limits::PLACEMENT_LOOKS));
        }
        let Some(rate) = self.looks.get_mut(tenant) else { return Ok(()) };
        if rate.take(now) {
            return Ok(());
        }
        let text = "too many new kinds of jobs, changed allocations and questions why at a time (PLACEMENT_LOOKS): jobs that differ only \
                    in their arguments are of one kind; try again in a moment";
        Err(Refusal::new(Code::Overloaded, text))
    }

    fn keep(&mut self, key: u64, job: &Arc<Job>, answer: &Answer) {
        if matches!(answer, Answer::Waiting { .. }) {
            self.jobs.insert(key, Arc::clone(job));
        }
    }
}

impl Opened {
    /// Other nodes from now on. Errors: too-large, overloaded.
    pub fn allocate(&self, nodes: Vec<Allocation>, now: u64) -> Result<(), Refusal> {
        let changed = {
            let mut state = self.placing.inner.state.lock();
            state.look(&self.tenant, now)?;
            // Each of its kinds asks all nodes anew.
            let kinds = state.placer.kinds(self.id) as u64;
            state.looks.get_mut(&self.tenant).into_iter().for_each(|rate| rate.charge(now, kinds));
            state.placer.allocate(self.id, nodes)
        };
        self.placing.start();
        changed.map_err(refusal)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let jobs: Vec<Arc<Job>> = {
            let mut state = self.placing.inner.state.lock();
            let waiting = state.placer.close(self.id);
            waiting.iter().filter_map(|key| state.jobs.remove(key)).collect()
        };
        // None, where its client's jobs have been ended before.
        for job in jobs {
            job.cancel("node", "its computation is over", std::time::Duration::ZERO);
        }
        self.placing.start();
    }
}

/// Nodes as a computation lists them. Errors: invalid (which of them, and why), too-large.
pub fn allocations(nodes: &[NodeAllocation]) -> Result<Vec<Allocation>, Refusal> {
    if nodes.len() > limits::ALLOCATIONS {
        return Err(refusal(placement::Error::Allocations));
    }
    let read = |node: &NodeAllocation| Ok(Allocation { selector: offers::selector(&node.selector)?, jobs: node.jobs });
    nodes.iter().map(read).collect()
}

/// The refusal of a job for which there is no place.
pub(super) fn refused(refused: &Refused) -> Refusal {
    let code = match refused {
        Refused::Nowhere(_) => Code::NotFound,
        Refused::Overloaded { .. } => Code::Overloaded,
        Refused::NoComputation | Refused::Duplicate => Code::Internal,
    };
    Refusal::new(code, cut(refused.to_string(), limits::TEXT_BYTES))
}

fn refusal(error: placement::Error) -> Refusal {
    let code = match error {
        placement::Error::Nodes | placement::Error::Allocations => Code::TooLarge,
        placement::Error::Open | placement::Error::NotOpen => Code::Internal,
    };
    Refusal::new(code, error.to_string())
}
