//! What the status page shows, as JSON: no more than fits on a page, with how much more there is.

use super::Parts;
use crate::dispatch::Refusal;
use crate::home::Home;
use corovan_core::limits;
use corovan_core::membership::view::State;
use corovan_core::ulid::Ulid;
use corovan_core::wire::durable::{DurableInfo, EventKind};
use corovan_core::wire::jobs::{JobInfo, JobState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Serialize)]
pub struct Status {
    node: String,
    version: &'static str,
    draining: bool,
    slots_used: usize,
    waiting: usize,
    nodes: Vec<Node>,
    computations: Vec<Computation>,
    jobs: Vec<Job>,
    /// Durable jobs that wait on disk, and are not among those told.
    on_disk: usize,
    ended: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    id: String,
    state: &'static str,
    labels: String,
    cores: u32,
    draining: bool,
}

/// Its jobs by state.
#[derive(Serialize, Default)]
struct Computation {
    id: String,
    tenant: String,
    label: String,
    waiting: usize,
    running: usize,
    ended: usize,
}

#[derive(Serialize)]
struct Job {
    id: String,
    durable: bool,
    tenant: String,
    label: String,
    function: String,
    state: String,
    node: String,
    attempt: u32,
}

pub async fn status(parts: &Parts) -> Status {
    let (slots_used, waiting) = parts.dispatch.load();
    let attached = (parts.jobs)(limits::HTTP_JOBS);
    // A store that cannot be read shows none: the log says why.
    let durable = parts.home.latest(limits::HTTP_JOBS).await.unwrap_or_default();
    let mut computations: BTreeMap<(bool, u64), Computation> = BTreeMap::new();
    let mut count = |durable: bool, number: u64, tenant: &str, label: &str, state: JobState| {
        let known = computations.entry((durable, number)).or_insert_with(|| Computation {
            id: if durable { format!("{number:x}") } else { number.to_string() },
            tenant: tenant.to_owned(),
            label: label.to_owned(),
            ..Computation::default()
        });
        *match state {
            JobState::Waiting => &mut known.waiting,
            JobState::Running => &mut known.running,
            JobState::Ended => &mut known.ended,
        } += 1;
    };
    attached.iter().for_each(|job| count(false, job.computation, &job.tenant, &job.label, job.state));
    durable.iter().for_each(|job| count(true, job.computation, &job.tenant, &job.label, job.state));
    Status {
        node: parts.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        draining: parts.dispatch.takes_work().is_err(),
        slots_used,
        waiting,
        nodes: nodes(parts),
        computations: computations.into_values().collect(),
        jobs: durable.into_iter().map(durable_job).chain(attached.into_iter().map(attached_job)).collect(),
        on_disk: parts.home.load().1,
        ended: parts.dispatch.ended().collect(),
    }
}

/// What a job said from an event on, as text, a page of it.
pub async fn logs(home: &Home, job: Ulid, from: u64) -> Result<String, Refusal> {
    let page = home.read(move |store| store.events(job, from, limits::HTTP_EVENTS)).await?;
    let page = page.ok_or_else(|| crate::home::not_found(job))?;
    let mut text = String::new();
    if let Some((first, last)) = page.gap {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "(events {first} to {last} are not kept any more)");
    }
    for event in &page.events {
        match EventKind::from_number(event.kind) {
            Some(EventKind::Stdout | EventKind::Stderr) => text.push_str(&String::from_utf8_lossy(&event.bytes)),
            Some(EventKind::Log) => {
                let _ = writeln!(text, "log: {}", String::from_utf8_lossy(event.bytes.get(1..).unwrap_or_default()));
            }
            Some(EventKind::Note) => {
                let _ = writeln!(text, "corovan: {}", String::from_utf8_lossy(&event.bytes));
            }
            None => {}
        }
    }
    if page.events.len() >= limits::HTTP_EVENTS {
        let _ = writeln!(text, "(more: ?from={})", page.next);
    }
    Ok(text)
}

fn nodes(parts: &Parts) -> Vec<Node> {
    let row = |row: crate::cluster::roster::Row| {
        let about = row.member.about.as_deref().cloned().unwrap_or_default();
        let labels: Vec<String> = about.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let state = match row.state {
            State::Alive => "alive",
            State::Failed => "failed",
            State::Left => "left",
        };
        Node {
            name: about.name,
            id: row.member.presence.node.to_string(),
            state,
            labels: labels.join(" "),
            cores: about.cores,
            draining: about.draining,
        }
    };
    parts.roster.all().into_iter().map(row).collect()
}

fn durable_job(job: DurableInfo) -> Job {
    Job {
        id: job.job.to_string(),
        durable: true,
        tenant: job.tenant,
        label: job.label,
        function: job.function,
        state: job.outcome.unwrap_or_else(|| job.state.name().to_owned()),
        node: job.node.unwrap_or_default(),
        attempt: job.attempts,
    }
}

fn attached_job(job: JobInfo) -> Job {
    Job {
        id: format!("{}.{}", job.computation, job.job),
        durable: false,
        tenant: job.tenant,
        label: job.label,
        function: job.function,
        state: job.state.name().to_owned(),
        node: job.node.unwrap_or_default(),
        attempt: job.attempt,
    }
}
