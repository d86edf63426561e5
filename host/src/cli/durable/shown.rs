//! Durable jobs in tables, in words, and as JSON; and which of them the beginning of an id stands for.

use crate::cli::jobs::{shown, why_json, with_nodes};
use anyhow::bail;
use corovan_client::{Attempt, Durable, DurableInfo, JobState, Ulid};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// All of the asker's jobs, or those alone that have not ended.
pub async fn list(durable: &Durable, open: bool) -> anyhow::Result<Vec<DurableInfo>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = durable.list(after, open).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.job);
        all.extend(page);
    }
}

/// The one job that the beginning of an id stands for.
pub async fn resolve(durable: &Durable, prefix: &str) -> anyhow::Result<Ulid> {
    if let Ok(whole) = prefix.parse() {
        return Ok(whole);
    }
    let found = durable.find(prefix).await?;
    match &found[..] {
        [one] => Ok(one.job),
        [] => bail!("no durable job's id begins with {}: `corovan ps --all` lists them", shown(prefix)),
        many => {
            let ids: Vec<String> =
                many.iter().map(|info| format!("{} ({})", info.job, shown(&info.function))).collect();
            bail!("{} stands for several jobs: write more of it: {}", shown(prefix), ids.join(", "))
        }
    }
}

pub async fn resolve_all(durable: &Durable, prefixes: &[String]) -> anyhow::Result<Vec<Ulid>> {
    let mut jobs = Vec::new();
    for prefix in prefixes {
        jobs.push(resolve(durable, prefix).await?);
    }
    Ok(jobs)
}

/// As the columns of `corovan ps`.
pub fn row(job: &DurableInfo) -> [String; 8] {
    let at = job.at.as_deref().map_or("", |at| if at.is_empty() { "any" } else { at });
    [
        job.job.to_string(),
        shown(&job.tenant),
        shown(&job.label),
        shown(&job.function),
        state(job),
        shown(at),
        shown(job.node.as_deref().unwrap_or_default()),
        job.attempts.to_string(),
    ]
}

fn state(job: &DurableInfo) -> String {
    match (&job.outcome, job.state, &job.cancelled) {
        (Some(outcome), ..) => shown(outcome),
        (None, JobState::Running | JobState::Waiting, Some(_)) => "ending".into(),
        (None, state, _) => state.name().into(),
    }
}

/// For people: what is known of it, its attempts, and why it is where it is.
pub fn told(job: &DurableInfo) -> String {
    let why = job.why.as_ref().map(|why| shown(&why.text)).unwrap_or_default();
    let mut lines = vec![format!("job {} ({}) is {}: {why}", job.job, shown(&job.function), state(job))];
    if let Some(reason) = &job.cancelled {
        lines.push(format!("  it is to end: {}", shown(reason)));
    }
    for Attempt { number, node, since, over, why } in &job.history {
        let over = over.map(|at| format!(", over at {}: {}", clock(at), shown(why)));
        let node = shown(node);
        lines.push(format!("  attempt {number} at {node} since {}{}", clock(*since), over.unwrap_or_default()));
    }
    with_nodes(lines, job.why.as_ref())
}

pub fn to_json(job: &DurableInfo) -> Value {
    let attempt = |attempt: &Attempt| {
        json!({
            "number": attempt.number, "node": attempt.node, "since": clock(attempt.since),
            "over": attempt.over.map(clock), "why": attempt.why,
        })
    };
    let mut value = json!({
        "id": job.job.to_string(), "durable": true, "tenant": job.tenant, "label": job.label, "computation": job.computation,
        "module": job.module.to_string(), "function": job.function, "state": job.state.name(), "at": job.at, "node": job.node,
        "attempt": job.attempts, "key": job.key, "accepted": clock(job.accepted), "ended": job.ended.map(clock),
        "not_before": job.not_before.map(clock), "outcome": job.outcome, "cancelled": job.cancelled,
    });
    if let (Some(why), Some(fields)) = (&job.why, value.as_object_mut()) {
        fields.insert("attempts".into(), job.history.iter().map(attempt).collect());
        fields.insert("why".into(), why_json(why));
    }
    value
}

/// Nanoseconds since 1970 as RFC 3339, in UTC and whole milliseconds.
pub fn clock(nanos: u64) -> String {
    let at = i128::from(nanos - nanos % 1_000_000);
    let at = OffsetDateTime::from_unix_timestamp_nanos(at).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| nanos.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_client::JobWhy;
    use corovan_core::ids::ModuleHash;

    #[test]
    fn a_job_is_told_with_its_attempts_and_its_texts_control_no_terminal() {
        let attempt = Attempt { number: 1, node: "b".into(), since: 5, over: Some(7), why: "was lost\u{1b}[2J".into() };
        let job = DurableInfo {
            job: Ulid(1 << 100),
            tenant: "me".into(),
            computation: 3,
            label: "l".into(),
            module: ModuleHash([0; 32]),
            function: "f".into(),
            state: JobState::Waiting,
            key: None,
            at: Some(String::new()),
            node: Some("b".into()),
            attempts: 1,
            accepted: 1_700_000_000_123_456_789,
            ended: None,
            not_before: None,
            outcome: None,
            cancelled: Some("enough".into()),
            history: vec![attempt],
            why: Some(JobWhy { text: "it waits".into(), ..JobWhy::default() }),
        };
        let text = told(&job);
        for part in ["(f) is ending: it waits", "to end: enough", "attempt 1 at b since 1970", "was lost"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(row(&job)[5], "any");
        let value = to_json(&job);
        assert_eq!(
            (&value["accepted"], &value["attempts"][0]["number"]),
            (&json!("2023-11-14T22:13:20.123Z"), &json!(1))
        );
    }
}
