//! What a home goes on with when it starts: jobs that wait, and jobs that ran when it went. And what it forgets: results that nobody
//! has taken for long.

use super::live::LOST;
use super::{Home, Kept, kept};
use crate::dispatch::Refusal;
use corovan_core::ids::NodeId;
use corovan_core::job::retry;
use corovan_core::limits;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::wire::Outcome;
use corovan_store::{JobView, Journal, State};
use std::sync::Arc;

impl Home {
    /// Opens the store, if there is one from an earlier start. Where it cannot be read the node does all else, and each question
    /// about durable jobs is told why.
    pub async fn open(&self) {
        let path = self.inner.parts.path.clone();
        if !tokio::task::spawn_blocking(move || path.exists()).await.unwrap_or(true) {
            return;
        }
        if let Err(refusal) = self.store().await {
            tracing::error!("durable jobs are not taken up: {refusal}");
        }
    }

    /// Takes up what is on disk once the store is open, until the node shuts down.
    pub async fn resume(self) {
        tokio::select! {
            () = self.inner.opened.notified() => {}
            () = self.inner.closing.cancelled() => return,
        }
        while let Err(refusal) = self.take_up_all().await {
            tracing::error!("durable jobs of earlier starts wait: {refusal}");
            tokio::select! {
                () = tokio::time::sleep(limits::DURABLE_SWEEP) => {}
                () = self.inner.closing.cancelled() => return,
            }
        }
    }

    async fn take_up_all(&self) -> Result<(), Refusal> {
        let store = self.store().await?;
        self.pin_modules().await?;
        let (mut after, mut waiting, mut ran) = (None, 0_usize, 0_usize);
        loop {
            let page = self.read(move |store| store.unfinished(after, corovan_store::limits::PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for view in page {
                // What was accepted since we began is in the queue already.
                if !self.is_old(view.id) {
                    continue;
                }
                match view.state {
                    State::Waiting { not_before } => {
                        waiting += 1;
                        self.wait_on(&view, not_before);
                    }
                    State::Running { .. } => {
                        ran += 1;
                        self.was_running(&store, view).await;
                    }
                    State::Ended(_) => {}
                }
            }
            self.inner.work.notify_one();
        }
        if waiting + ran > 0 {
            tracing::info!(
                waiting,
                ran,
                "goes on with durable jobs; those that ran were lost with this node's last start"
            );
        }
        Ok(())
    }

    /// Forgets what is too old, until the node shuts down.
    pub async fn sweep(self) {
        let mut look = tokio::time::interval(limits::DURABLE_SWEEP);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.inner.closing.cancelled() => return,
            }
            // Not opened: nothing is in it that we know of.
            let Some(store) = self.inner.store.get() else { continue };
            let kept = u64::try_from(limits::DURABLE_RETENTION.as_nanos()).unwrap_or(u64::MAX);
            let before = self.now().saturating_sub(kept);
            let mut forgotten = 0;
            loop {
                match store.sweep(before).await {
                    Ok(0) => break,
                    Ok(some) => forgotten += some,
                    Err(error) => {
                        tracing::warn!("old results are not forgotten: {error}");
                        break;
                    }
                }
            }
            if forgotten > 0 {
                tracing::info!(forgotten, "results that nobody has taken for long are gone");
            }
        }
    }

    /// Before anything that comes may push them out.
    async fn pin_modules(&self) -> Result<(), Refusal> {
        let specs = self.read(|store| {
            let mut specs = Vec::new();
            store.specs(&mut |tenant, spec, jobs| {
                let module = kept::read::<Kept>("a spec", spec).map(|kept| kept.prepare.module);
                specs.push((tenant.to_owned(), module, jobs));
            })?;
            Ok(specs)
        });
        for (tenant, module, jobs) in specs.await? {
            let pinned = module.and_then(|module| self.inner.pins.pin(&tenant.as_str().into(), module, jobs));
            // Its jobs will tell, if it is missing then.
            pinned.unwrap_or_else(|refusal| tracing::warn!(tenant, "a module of durable jobs may go: {refusal}"));
        }
        Ok(())
    }

    fn wait_on(&self, view: &JobView, not_before: u64) {
        let tenant: Arc<str> = view.tenant.as_str().into();
        let mut queue = self.inner.queue.lock();
        match not_before > self.now() {
            true => queue.delay(&tenant, view.id, not_before),
            false => queue.push(&tenant, view.id),
        }
    }

    /// Its attempt was lost, with this node or because of it: whoever ran it elsewhere stops when he hears nothing.
    async fn was_running(&self, store: &Arc<dyn Journal>, view: JobView) {
        let State::Running { attempt, node, .. } = &view.state else { return };
        let spec = match store.spec(view.id) {
            Ok(spec) => spec.unwrap_or_default(),
            Err(error) => return tracing::warn!(job = %view.id, "{error}"),
        };
        let parts = &self.inner.parts;
        let named = Principal::new(&parts.cluster, Role::Node, node).ok();
        let lost = Outcome::NodeLost(named.map_or(NodeId::default(), |named| named.node_id()));
        let policy = kept::read::<Kept>("its spec", &spec).map(|kept| kept.retry).unwrap_or_default();
        let wait = match &view.cancelled {
            Some(reason) => return self.end_unrun(store, view.id, &spec, reason).await,
            None => retry::next(&policy, *attempt, &lost, parts.dispatch.runtime().random.number()),
        };
        let Some(wait) = wait else { return self.end_with(store, view.id, &spec, *attempt, lost).await };
        let now = self.now();
        // What ran in this process ended with it.
        let wait = if *node == parts.node_name { wait.saturating_sub(limits::DURABLE_LEASE) } else { wait };
        let not_before = now + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        // That node is not to blame.
        let why = format!("its home {LOST} while it ran at {node}");
        match store.put_back(view.id, *attempt, not_before, why, now).await {
            Ok(_) => self.wait_on(&view, not_before),
            Err(error) => tracing::warn!(job = %view.id, "it is left as it is: {error}"),
        }
    }
}
