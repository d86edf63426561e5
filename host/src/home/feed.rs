//! Takes durable jobs in hand: from the store to placement, as many of each tenant as there is room for.

use super::live::LOST;
use super::live::Live;
use super::{CLIENT, Given, Home, Kept, kept};
use crate::dispatch::placing::Opened;
use crate::dispatch::{Dispatch, Refusal, Spec, Start, Tenant};
use crate::runtime::Group;
use crate::tasks::TaskKind;
use bytes::Bytes;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::wire::records::Open;
use corovan_core::wire::{ExitRecord, Outcome};
use corovan_store::{JobId, JobView, Journal, NewExit, State};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Computations with jobs in hand, by their numbers on disk.
pub type Computations = Mutex<HashMap<u64, Weak<Computation>>>;

/// What the durable jobs of one computation share while some of them are in hand: a group, and places.
pub struct Computation {
    pub group: Arc<Group>,
    dispatch: Dispatch,
    _placed: Opened,
    /// The latest specs of its jobs, by what is kept of them.
    specs: Mutex<VecDeque<(Bytes, Arc<Prepared>)>>,
}

/// One of them, when it is ready.
struct Prepared {
    kept: Arc<Kept>,
    spec: OnceCell<Arc<Spec>>,
}

/// What is read of a job.
type Body = Option<(JobView, (Bytes, Bytes))>;

/// Jobs that are read from the store at once.
const READ_AT_ONCE: usize = 64;
/// A job that waits for a time is looked at again after so long at the latest, whatever clocks do meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Home {
    /// Until the node shuts down.
    pub async fn run(self) {
        loop {
            let (batch, due) = {
                let mut queue = self.inner.queue.lock();
                queue.release(self.now());
                let batch: Vec<_> = std::iter::from_fn(|| queue.take()).take(READ_AT_ONCE).collect();
                (batch, queue.next_due())
            };
            if batch.is_empty() {
                let wait = due.map_or(LOOK_AGAIN, |due| Duration::from_nanos(due.saturating_sub(self.now())));
                tokio::select! {
                    () = self.inner.work.notified() => {}
                    () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
                    () = self.inner.closing.cancelled() => return,
                }
                continue;
            }
            let ids: Vec<JobId> = batch.iter().map(|(_, id)| *id).collect();
            let read = self.read(move |store| {
                ids.into_iter().map(|id| Ok(store.get(id)?.zip(store.body(id)?))).collect::<Result<Vec<Body>, _>>()
            });
            match read.await.map(|bodies| (self.inner.store.get().cloned(), bodies)) {
                Ok((Some(store), bodies)) => {
                    for ((tenant, id), body) in batch.into_iter().zip(bodies) {
                        self.take_up(&store, tenant, id, body);
                    }
                }
                failed => {
                    if let Err(refusal) = failed {
                        tracing::warn!("durable jobs wait: {refusal}");
                    }
                    let mut queue = self.inner.queue.lock();
                    let until = self.now() + u64::try_from(limits::DURABLE_DISK_RETRY.as_nanos()).unwrap_or_default();
                    for (tenant, id) in batch {
                        queue.delay(&tenant, id, until);
                        queue.put_down(&tenant, 0);
                    }
                }
            }
        }
    }

    fn take_up(&self, store: &Arc<dyn Journal>, tenant: Arc<str>, id: JobId, body: Body) {
        let leave = || self.inner.queue.lock().put_down(&tenant, 0);
        // Listed twice, where reading the list failed and was begun again.
        if self.inner.lives.lock().contains_key(&id) {
            return leave();
        }
        // Ended while it waited, by whoever cancelled it.
        let Some((view, (spec, args))) = body.filter(|(view, _)| matches!(view.state, State::Waiting { .. })) else {
            return leave();
        };
        let (size, patient) = (spec.len() + args.len(), view.attempts > 0 || self.is_old(id));
        let found = self.prepared(&view, &spec);
        let given = found.and_then(|found| Ok((found, kept::read::<Given>("its arguments", &args)?)));
        let ((computation, prepared), given) = match given {
            Ok(given) => given,
            Err(refusal) => return self.end_unread(store, (tenant, id), &spec, refusal),
        };
        self.inner.queue.lock().holds(&tenant, size);
        let of = (Arc::clone(&prepared.kept), Arc::clone(&computation));
        let live = Live::new(self, Arc::clone(store), (id, tenant), of, (size, patient));
        self.inner.lives.lock().insert(id, Arc::clone(&live));
        if let Some(reason) = &view.cancelled {
            live.cancel(CLIENT, reason, Duration::ZERO);
        }
        let start = self.start_of(&live.kept, given, &view);
        if let Some(spec) = prepared.spec.get() {
            return self.submit(&computation, spec, start, &live);
        }
        let home = self.clone();
        self.inner.parts.tasks.spawn(TaskKind::Stream, "durable spec", async move {
            let dispatch = &home.inner.parts.dispatch;
            let prepare = prepared.kept.prepare.clone();
            let spec = prepared.spec.get_or_try_init(|| dispatch.prepare(&computation.group.tenant, prepare)).await;
            match spec {
                Ok(spec) => home.submit(&computation, spec, start, &live),
                Err(refusal) => live.refuse(refusal),
            }
            Ok::<(), Infallible>(())
        });
    }

    fn submit(&self, computation: &Computation, spec: &Arc<Spec>, start: Start, live: &Arc<Live>) {
        let job = self.inner.parts.dispatch.submit(&computation.group, spec, start, Arc::clone(live) as _);
        live.attach(&job);
    }

    /// Always by placement, also where it is for this node: it begins when there is room, and not when it is asked for.
    fn start_of(&self, kept: &Kept, given: Given, view: &JobView) -> Start {
        let at = kept.at.clone().unwrap_or_else(|| self.inner.parts.node.to_string());
        let Given { argv, args } = given;
        let (args, attempt) = (Bytes::from(args.into_vec()), view.attempts.saturating_add(1));
        Start { args, argv, input: None, at: Some(at), excluded: self.excluded(kept, view), attempt }
    }

    /// Nodes that were lost with it a moment ago: they may look as if they were there.
    fn excluded(&self, kept: &Kept, view: &JobView) -> Vec<(NodeId, u32)> {
        let kept_off = u64::try_from(limits::DURABLE_EXCLUDED.as_nanos()).unwrap_or(u64::MAX);
        let since = self.now().saturating_sub(kept_off);
        let lost = view
            .history
            .iter()
            .rev()
            .filter(|attempt| attempt.over.as_ref().is_some_and(|(at, why)| *at >= since && why.ends_with(LOST)));
        // A job for this node alone has no other.
        let lost = lost.filter(|attempt| kept.at.is_some() && attempt.node != self.inner.parts.node_name);
        let node =
            |name: &str| Principal::new(&self.inner.parts.cluster, Role::Node, name).ok().map(|node| node.node_id());
        lost.filter_map(|lost| Some((node(&lost.node)?, lost.number))).take(limits::PLACEMENT_EXCLUDED).collect()
    }

    /// The computation that a job is of, and its spec.
    fn prepared(&self, view: &JobView, spec: &Bytes) -> Result<(Arc<Computation>, Arc<Prepared>), Refusal> {
        let mut computations = self.inner.computations.lock();
        let known = computations.get(&view.computation).and_then(Weak::upgrade);
        let (computation, kept) = match known {
            Some(computation) => (computation, None),
            None => {
                let kept: Kept = kept::read("its spec", spec)?;
                let computation = Arc::new(self.open_computation(&view.tenant, &kept)?);
                computations.retain(|_, computation| computation.strong_count() > 0);
                computations.insert(view.computation, Arc::downgrade(&computation));
                (computation, Some(kept))
            }
        };
        drop(computations);
        let prepared = {
            let mut specs = computation.specs.lock();
            match specs.iter().find(|(known, _)| known == spec) {
                Some((_, prepared)) => Arc::clone(prepared),
                None => {
                    let kept = Arc::new(kept.map_or_else(|| kept::read("its spec", spec), Ok)?);
                    let prepared = Arc::new(Prepared { kept, spec: OnceCell::new() });
                    specs.push_back((spec.clone(), Arc::clone(&prepared)));
                    if specs.len() > limits::DURABLE_SPECS {
                        specs.pop_front();
                    }
                    prepared
                }
            }
        };
        Ok((computation, prepared))
    }

    fn open_computation(&self, tenant: &str, kept: &Kept) -> Result<Computation, Refusal> {
        let parts = &self.inner.parts;
        let tenant: Arc<Tenant> = parts.tenants.get(tenant);
        let grant = kept.grant.as_ref().map(|grant| parts.grants.verify(grant, self.now()));
        let granted = match &grant {
            Some(Ok(grant)) => grant.nodes.clone(),
            // Without one that counts nothing of it goes to other nodes.
            _ => Some(vec![parts.node_name.clone()]),
        };
        let open = Open {
            nodes: kept.nodes.clone(),
            weight: kept.weight,
            pack: kept.pack,
            ..Open::new(String::new(), kept.label.clone())
        };
        let id = parts.dispatch.next_computation();
        let placed = parts.dispatch.placing().open(id, &tenant, &open, granted)?;
        let group = parts.dispatch.group(id, &tenant, || ());
        if let (Some(Ok(_)), Some(bytes)) = (grant, &kept.grant) {
            group.set_grant(Bytes::copy_from_slice(bytes));
        }
        Ok(Computation { group, dispatch: parts.dispatch.clone(), _placed: placed, specs: Mutex::default() })
    }

    /// One that is in hand is so no more: it has ended, or waits until a time.
    /// `crowded`: its tenant has too much, or the home.
    pub(super) fn put_down(&self, live: &Arc<Live>, waits: Option<u64>, crowded: bool) {
        let inner = &self.inner;
        inner.lives.lock().remove(&live.id);
        {
            let mut queue = inner.queue.lock();
            if let Some(until) = waits {
                queue.delay(&live.tenant, live.id, until);
                if crowded {
                    queue.pause(&live.tenant, until);
                }
            }
            queue.put_down(&live.tenant, live.size);
        }
        if waits.is_none() {
            inner.pins.unpin(&live.tenant, live.kept.prepare.module);
        }
        inner.watches.stir(live.id);
        inner.work.notify_one();
        inner.put_down.notify_waiters();
    }

    /// A job ends that is not in hand, and never ran.
    pub(super) async fn end_unrun(&self, store: &Arc<dyn Journal>, id: JobId, spec: &[u8], reason: &str) {
        let outcome = Outcome::Terminated { by: CLIENT.into(), reason: reason.to_owned(), value: None };
        self.end_with(store, id, spec, 0, outcome).await;
    }

    /// The end of a job of which nothing is in hand.
    pub(super) async fn end_with(
        &self,
        store: &Arc<dyn Journal>,
        id: JobId,
        spec: &[u8],
        attempt: u32,
        outcome: Outcome,
    ) {
        let kept: Result<Kept, _> = kept::read("its spec", spec);
        let record = record(kept.as_ref().ok(), outcome);
        let record = kept::fitting(&record, attempt);
        let exit = NewExit {
            attempt,
            outcome: record.outcome.name().to_owned(),
            record: kept::write(&record.to_head().0),
            value: Bytes::new(),
            now: self.now(),
        };
        match store.end(id, exit).await {
            Ok(corovan_store::Ended::First) => {
                if let (Ok(kept), Ok(Some(view))) = (kept, store.get(id)) {
                    self.inner.pins.unpin(&view.tenant.as_str().into(), kept.prepare.module);
                }
            }
            Ok(corovan_store::Ended::Superseded) => {}
            Err(error) => tracing::warn!(job = %id, "its end is not on disk: {error}"),
        }
        self.inner.watches.stir(id);
    }

    /// It cannot be run by this version.
    fn end_unread(&self, store: &Arc<dyn Journal>, (tenant, id): (Arc<str>, JobId), spec: &Bytes, refusal: Refusal) {
        let (home, store, spec) = (self.clone(), Arc::clone(store), spec.clone());
        self.inner.parts.tasks.spawn(TaskKind::Stream, "durable refusal", async move {
            let Refusal { code, detail: why } = refusal;
            home.end_with(&store, id, &spec, 0, Outcome::Refused { code, why }).await;
            home.inner.queue.lock().put_down(&tenant, 0);
            Ok::<(), Infallible>(())
        });
    }

    pub(super) fn now(&self) -> u64 {
        self.inner.parts.dispatch.runtime().clock().unix()
    }
}

impl Drop for Computation {
    /// With its last job in hand its daemons go.
    fn drop(&mut self) {
        self.dispatch.runtime().close(&self.group);
    }
}

/// The record of one of which nothing is in hand.
pub(super) fn record(kept: Option<&Kept>, outcome: Outcome) -> ExitRecord {
    let function = kept.map(|kept| kept.prepare.function.as_deref().unwrap_or("_start")).unwrap_or_default();
    ExitRecord {
        address: Address::default(),
        module: kept.map_or(ModuleHash([0; 32]), |kept| kept.prepare.module),
        function: function.into(),
        attempt: 0,
        outcome,
        usage: Default::default(),
    }
}
