//! Durable jobs as their owners are shown them.

use super::{Home, Kept, kept};
use crate::dispatch::Refusal;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use corovan_core::wire::durable::{Attempt, DurableInfo};
use corovan_core::wire::jobs::{JobInfo, JobState, JobWhy};
use corovan_store::limits::PAGE;
use corovan_store::{FindError, Found, JobId, JobView, State};

impl Home {
    /// A page of a tenant's jobs, oldest first; of those that have not ended alone, and of all tenants' where none is named.
    pub async fn list(
        &self,
        tenant: Option<&str>,
        after: Option<JobId>,
        open: bool,
    ) -> Result<Vec<DurableInfo>, Refusal> {
        let tenant = tenant.map(str::to_owned);
        self.shown(move |store| {
            let mut after = after;
            match &tenant {
                Some(tenant) if !open => return store.list(tenant, after, PAGE),
                _ => {}
            }
            loop {
                let mut page = store.unfinished(after, PAGE)?;
                let Some(last) = page.last() else { return Ok(page) };
                after = Some(last.id);
                page.retain(|view| tenant.as_ref().is_none_or(|tenant| *tenant == view.tenant));
                if !page.is_empty() {
                    return Ok(page);
                }
            }
        })
        .await
    }

    /// Of all tenants, those that have not ended, and the latest that have, so many of each at most. None where nothing was ever kept.
    pub async fn latest(&self, most: usize) -> Result<Vec<DurableInfo>, Refusal> {
        if self.inner.store.get().is_none() {
            return Ok(Vec::new());
        }
        self.shown(move |store| {
            let mut views = store.unfinished(None, most)?;
            views.extend(store.ended(most)?);
            Ok(views)
        })
        .await
    }

    /// The jobs that the beginning of an id stands for; of all tenants', where none is named, only whole ids. Errors: invalid.
    pub async fn find(&self, tenant: Option<&str>, prefix: String) -> Result<Vec<DurableInfo>, Refusal> {
        let tenant = tenant.map(str::to_owned);
        let found = self.read(move |store| match tenant.as_ref().map(|tenant| store.find(tenant, &prefix)) {
            None => Ok(prefix.parse().map(|id| vec![id])),
            Some(found) => match found {
                Ok(Found::None) => Ok(Ok(Vec::new())),
                Ok(Found::One(id)) => Ok(Ok(vec![id])),
                Ok(Found::Many(ids)) => Ok(Ok(ids)),
                Err(FindError::Store(error)) => Err(error),
                Err(FindError::Malformed(error)) => Ok(Err(error)),
            },
        });
        let ids = found.await?.map_err(|error| Refusal::new(corovan_core::code::Code::Invalid, error.to_string()))?;
        self.shown(move |store| {
            let views = ids.into_iter().map(|id| store.get(id)).collect::<Result<Vec<_>, _>>()?;
            Ok(views.into_iter().flatten().collect())
        })
        .await
    }

    /// One, with the reasons why it is where it is. Errors: not-found.
    pub async fn why(&self, tenant: Option<&str>, job: JobId) -> Result<DurableInfo, Refusal> {
        let mut shown = self.shown(move |store| Ok(store.get(job)?.into_iter().collect())).await?;
        let found = shown.pop().filter(|info| tenant.is_none_or(|tenant| tenant == info.tenant));
        let mut info = found.ok_or_else(|| super::not_found(job))?;
        let view = self.read(move |store| store.get(job)).await?;
        let attempt = |attempt: corovan_store::Attempt| {
            let (over, why) = attempt.over.unzip();
            Attempt {
                number: attempt.number,
                node: attempt.node,
                since: attempt.since,
                over,
                why: why.unwrap_or_default(),
            }
        };
        info.history = view.into_iter().flat_map(|view| view.history).map(attempt).collect();
        info.why = Some(self.reasons(&info));
        Ok(info)
    }

    fn reasons(&self, info: &DurableInfo) -> JobWhy {
        let text = |text: String| JobWhy { text, ..JobWhy::default() };
        if let Some(outcome) = &info.outcome {
            return text(format!("it has ended: {outcome}; `corovan result` tells all that is known"));
        }
        let live = self.inner.lives.lock().get(&info.job).cloned();
        if let Some(job) = live.as_ref().and_then(|live| live.job()) {
            let asked = JobInfo {
                computation: 0,
                job: 0,
                tenant: String::new(),
                label: String::new(),
                module: info.module,
                function: String::new(),
                state: info.state,
                at: None,
                node: None,
                attempt: 0,
                why: None,
            };
            return job.show(asked, true).why.unwrap_or_default();
        }
        if live.is_some() {
            return text("its module is being made ready, or its end is being written".into());
        }
        match info.not_before.filter(|until| *until > self.now()) {
            Some(until) => {
                let seconds = (until - self.now()).div_ceil(1_000_000_000);
                text(format!("its next attempt is made in {seconds} s, as its retry policy has it"))
            }
            None => {
                let waiting = self.inner.queue.lock().waiting(&info.tenant);
                text(format!(
                    "it waits on disk: {waiting} of its tenant's jobs do, until fewer than {} are placed or wait for a node",
                    limits::DURABLE_IN_HAND
                ))
            }
        }
    }

    async fn shown(
        &self,
        views: impl FnOnce(&dyn corovan_store::Journal) -> Result<Vec<JobView>, corovan_store::Error> + Send + 'static,
    ) -> Result<Vec<DurableInfo>, Refusal> {
        self.read(|store| {
            let mut latest: Option<(bytes::Bytes, Option<Kept>)> = None;
            let mut all = Vec::new();
            for view in views(store)? {
                let spec = store.spec(view.id)?.unwrap_or_default();
                // Most have the spec of the one before.
                if latest.as_ref().is_none_or(|(known, _)| *known != spec) {
                    let kept = kept::read("its spec", &spec).ok();
                    latest = Some((spec, kept));
                }
                all.push(info(view, latest.as_ref().and_then(|(_, kept)| kept.as_ref())));
            }
            Ok(all)
        })
        .await
    }
}

fn info(view: JobView, kept: Option<&Kept>) -> DurableInfo {
    let node = view.history.last().map(|attempt| attempt.node.clone());
    let (state, ended, not_before, outcome) = match view.state {
        State::Waiting { not_before } => (JobState::Waiting, None, Some(not_before).filter(|at| *at > 0), None),
        State::Running { .. } => (JobState::Running, None, None, None),
        State::Ended(exit) => (JobState::Ended, Some(exit.at), None, Some(exit.outcome)),
    };
    DurableInfo {
        job: view.id,
        tenant: view.tenant,
        computation: view.computation,
        label: kept.map(|kept| kept.label.clone()).unwrap_or_default(),
        module: kept.map_or(ModuleHash([0; 32]), |kept| kept.prepare.module),
        function: kept.map(|kept| kept.prepare.function.clone().unwrap_or_else(|| "_start".into())).unwrap_or_default(),
        state,
        key: view.key,
        at: kept.and_then(|kept| kept.at.clone()),
        node,
        attempts: view.attempts,
        accepted: view.accepted,
        ended,
        not_before,
        outcome,
        cancelled: view.cancelled,
        history: Vec::new(),
        why: None,
    }
}
