//! A node as the home of durable jobs: what it accepts is on disk before it says so, runs where placement finds room, is tried as often
//! as its policy says, and ends exactly once, whatever becomes of clients, of other nodes, and of this one.

mod feed;
mod kept;
mod live;
mod pins;
mod queue;
mod resume;
mod shown;
mod watch;

use crate::cluster::offers;
use crate::dispatch::{Dispatch, Refusal, Tenant, Tenants};
use crate::tasks::Tasks;
use crate::tenancy::grant::Verifier;
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::job::retry;
use corovan_core::limits;
use corovan_core::wire::durable::Keep;
use corovan_store::{Accepted, Error, JobId, Journal, NewJob, Quotas, Store};
use feed::Computations;
pub use kept::{Given, Kept};
use live::Live;
use parking_lot::Mutex;
use pins::Pins;
use queue::Queue;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
pub use watch::Watch;
use watch::Watches;

/// The durable jobs of this node; cheap to clone.
#[derive(Clone)]
pub struct Home {
    inner: Arc<Inner>,
}

/// What a home is made of.
pub struct Parts {
    pub dispatch: Dispatch,
    pub tenants: Arc<Tenants>,
    pub tasks: Tasks,
    pub grants: Arc<Verifier>,
    pub node: NodeId,
    pub node_name: String,
    pub cluster: String,
    /// Of this start of the node.
    pub incarnation: u32,
    /// The store's file; made with the first job.
    pub path: PathBuf,
}

struct Inner {
    parts: Parts,
    /// What was accepted before this start comes before the first of these, and what is accepted next after the second.
    ids: Mutex<(JobId, JobId)>,
    store: OnceCell<Arc<dyn Journal>>,
    queue: Mutex<Queue>,
    /// There is something for the feeder: a job that waits, or room for one.
    work: Notify,
    /// Jobs in hand.
    lives: Mutex<HashMap<JobId, Arc<Live>>>,
    computations: Computations,
    pins: Pins,
    watches: Watches,
    /// The node is shutting down: nothing more begins, and what waits stays on disk.
    closing: CancellationToken,
    /// A job in hand is so no more.
    put_down: Notify,
    /// The store is open: what is in it is to be taken up.
    opened: Notify,
}

/// A job to be accepted.
pub struct NewKept {
    /// As [`Home::new_id`] gave it.
    pub id: JobId,
    pub kept: Kept,
    pub given: Given,
    pub keep: Keep,
    /// Its computation's number on this node, since this start.
    pub computation: u64,
}

impl Home {
    pub fn new(parts: Parts) -> Home {
        let (store, queue, work, lives, watches, closing, put_down, opened) = Default::default();
        let pins = Pins::new(parts.dispatch.modules().clone());
        let computations = Computations::default();
        let ids = Mutex::new((JobId(0), JobId(0)));
        let inner =
            Inner { parts, ids, store, queue, work, lives, computations, pins, watches, closing, put_down, opened };
        Home { inner: Arc::new(inner) }
    }

    /// Has it on disk and runs it from then on; whether it was there already, under its key. Errors: invalid, too-large, overloaded
    /// (quota, modules), shutting-down, internal (the store cannot be used).
    pub async fn accept(&self, tenant: &Tenant, new: NewKept) -> Result<(JobId, bool), Refusal> {
        let NewKept { id, kept, given, keep, computation } = new;
        retry::check(&keep.retry).map_err(|error| Refusal::new(Code::Invalid, error.to_string()))?;
        if let Some(at) = &kept.at {
            offers::selector(at)?;
        }
        let (module, args) = (kept.prepare.module, kept::write(&given));
        if args.len() > limits::DURABLE_BYTES {
            let text = format!(
                "arguments of {} bytes are over what is kept of a durable job, {}: pass less, or run it attached",
                args.len(),
                limits::DURABLE_BYTES
            );
            return Err(Refusal::new(Code::TooLarge, text));
        }
        let store = self.store().await?;
        let clock = self.inner.parts.dispatch.runtime().clock();
        let job = NewJob {
            id,
            tenant: tenant.name().to_owned(),
            computation: u64::from(self.inner.parts.incarnation) << 32 | computation & u64::from(u32::MAX),
            key: keep.key,
            digest: kept::digest(&kept, &args),
            spec: kept::write(&kept),
            args,
            reserve: 0,
            now: clock.unix(),
        };
        let name: Arc<str> = tenant.name().into();
        self.inner.pins.pin(&name, module, 1)?;
        let accepted = loop {
            if self.inner.closing.is_cancelled() {
                break Err(Error::Closed);
            }
            match store.accept(job.clone()).await {
                // So many that the disk is behind: whoever sends them waits for his answer.
                Err(Error::Overloaded { .. }) => tokio::time::sleep(BEHIND).await,
                other => break other,
            }
        };
        match accepted {
            Ok(Accepted::New) => {
                self.inner.queue.lock().push(&name, id);
                self.inner.work.notify_one();
                Ok((id, false))
            }
            Ok(Accepted::Known(known)) => {
                self.inner.pins.unpin(&name, module);
                Ok((known, true))
            }
            Err(error) => {
                self.inner.pins.unpin(&name, module);
                Err(refusal(&error))
            }
        }
    }

    /// The same as a job that is kept, as a new one. Errors: those of `accept`, and not-found.
    pub async fn again(&self, tenant: &Tenant, job: JobId) -> Result<(JobId, bool), Refusal> {
        let (view, spec, args) = self.owned(Some(tenant.name()), job).await?;
        let (kept, given): (Kept, Given) = (kept::read("its spec", &spec)?, kept::read("its arguments", &args)?);
        if !self.inner.parts.dispatch.modules().has(tenant.name(), &kept.prepare.module) {
            let text = format!("its module {} is not here any more: submit it anew", kept.prepare.module);
            return Err(Refusal::new(Code::NeedModule, text));
        }
        let keep = Keep { key: None, retry: kept.retry.clone() };
        let computation = view.computation & u64::from(u32::MAX);
        self.accept(tenant, NewKept { id: self.new_id(), kept, given, keep, computation }).await
    }

    /// It is to end, whatever it is doing. Errors: not-found, internal.
    pub async fn cancel(&self, tenant: Option<&str>, job: JobId, reason: &str, grace: Duration) -> Result<(), Refusal> {
        let (_, spec, _) = self.owned(tenant, job).await?;
        let store = self.store().await?;
        let reason = corovan_core::text::cut(reason.to_owned(), limits::TEXT_BYTES);
        if !store.cancel(job, reason.clone()).await.map_err(|error| refusal(&error))? {
            return Ok(());
        }
        let live = self.inner.lives.lock().get(&job).cloned();
        match live {
            Some(live) => live.cancel(CLIENT, &reason, grace),
            // Whoever takes it in hand in this moment finds it cancelled, or ended.
            None => self.end_unrun(&store, job, &spec, &reason).await,
        }
        Ok(())
    }

    /// Its exit has been taken. Errors: not-found (also while it has not ended), internal.
    pub async fn acknowledge(&self, tenant: Option<&str>, job: JobId) -> Result<(), Refusal> {
        self.owned(tenant, job).await?;
        self.store().await?.acknowledge(job).await.map_err(|error| refusal(&error))
    }

    /// What it keeps them in, which is opened with the first question about any.
    pub async fn store(&self) -> Result<Arc<dyn Journal>, Refusal> {
        let open = async || {
            let path = self.inner.parts.path.clone();
            let opened = tokio::task::spawn_blocking(move || Store::open(path, Quotas::default())).await;
            let store = opened.unwrap_or(Err(Error::Closed)).map_err(|error| refusal(&error))?;
            let last = store.last_unfinished().map_err(|error| refusal(&error))?;
            let first = last.map_or(JobId(0), JobId::after);
            {
                // Clocks are set back at times.
                let mut ids = self.inner.ids.lock();
                *ids = (first, ids.1.max(first));
            }
            self.inner.opened.notify_one();
            Ok(Arc::new(store) as Arc<dyn Journal>)
        };
        self.inner.store.get_or_try_init(open).await.cloned()
    }

    /// Something that is read from the store, on a thread that may wait for the disk.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Journal) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store().await?;
        let read = tokio::task::spawn_blocking(move || question(&*store)).await;
        read.unwrap_or(Err(Error::Closed)).map_err(|error| refusal(&error))
    }

    /// Whoever asks is told when one of them stirs.
    pub fn watch(&self, jobs: &[JobId]) -> Arc<Watch> {
        self.inner.watches.watch(jobs)
    }

    pub fn forget(&self, jobs: &[JobId]) {
        self.inner.watches.forget(jobs);
    }

    /// Nothing begins any more; what runs is ended, and what waits stays on disk. Waits until all that has been noted, or this is over.
    pub async fn shut_down(&self, grace: Duration) {
        self.inner.closing.cancel();
        let lives: Vec<_> = self.inner.lives.lock().values().cloned().collect();
        lives.iter().for_each(|live| live.cancel("node", SHUT_DOWN, grace));
        let all = async {
            loop {
                let mut put_down = std::pin::pin!(self.inner.put_down.notified());
                put_down.as_mut().enable();
                if self.inner.lives.lock().is_empty() {
                    return;
                }
                put_down.await;
            }
        };
        if tokio::time::timeout(grace + limits::TERMINATE_GRACE, all).await.is_err() {
            tracing::warn!("some durable jobs did not end in time; they are found on disk as running");
        }
    }

    /// Jobs in hand, and jobs that wait on disk.
    pub fn load(&self) -> (usize, usize) {
        (self.inner.lives.lock().len(), self.inner.queue.lock().len())
    }

    /// What is kept of all tenants' jobs; `None` where that is not known, or no store is open.
    pub async fn usage(&self) -> Option<corovan_store::Usage> {
        self.inner.store.get()?;
        self.read(|store| store.usage("")).await.ok()
    }

    /// Errors: not-found, also where it is another tenant's.
    async fn owned(
        &self,
        tenant: Option<&str>,
        job: JobId,
    ) -> Result<(corovan_store::JobView, bytes::Bytes, bytes::Bytes), Refusal> {
        let found = self.read(move |store| Ok(store.get(job)?.zip(store.body(job)?))).await?;
        match found {
            Some((view, (spec, args))) if tenant.is_none_or(|tenant| tenant == view.tenant) => Ok((view, spec, args)),
            _ => Err(not_found(job)),
        }
    }

    /// The id of a job that is to be accepted: they are sorted as they came.
    pub fn new_id(&self) -> JobId {
        let runtime = self.inner.parts.dispatch.runtime();
        let random = u128::from(runtime.random.number()) << 64 | u128::from(runtime.random.number());
        let mut ids = self.inner.ids.lock();
        ids.1 = JobId::new(runtime.clock().unix(), random).max(ids.1.after());
        ids.1
    }

    /// It was accepted before this start of the node.
    fn is_old(&self, job: JobId) -> bool {
        job < self.inner.ids.lock().0
    }
}

pub fn not_found(job: JobId) -> Refusal {
    let text = format!("no job {job} is kept here: it was acknowledged, or is too old, or another node is its home");
    Refusal::new(Code::NotFound, text)
}

/// What whoever asked is told of the store's refusal.
pub fn refusal(error: &Error) -> Refusal {
    let code = match error {
        Error::Quota { .. } | Error::Overloaded { .. } | Error::Full { .. } => Code::Overloaded,
        Error::KeyReused { .. } => Code::Taken,
        Error::TooLarge { .. } => Code::TooLarge,
        Error::NotFound(_) => Code::NotFound,
        Error::Closed => Code::ShuttingDown,
        _ => Code::Internal,
    };
    Refusal::new(code, format!("the store of durable jobs: {error}"))
}

/// Who ends what a client wants to end.
const CLIENT: &str = "client";
/// The reason for an end that is not the job's own.
const SHUT_DOWN: &str = "the node is shutting down";
/// A disk that is behind has written many thousand jobs after so long.
const BEHIND: Duration = Duration::from_millis(5);
