//! Row 7b: durable jobs, from a client in this process to a node in one of its own, beside a bare sync of the same disk and a raw
//! QUIC echo.

use super::engine::median;
use super::jobs::{EMPTY, echo_p50, runtime};
use super::process::{self, Server};
use super::{Row, percentile};
use anyhow::ensure;
use corovan_client::{
    Accepting, Arguments, Computation, ConnectOptions, Credentials, DurableOptions, Module, Node, Prepare, Spec, Ulid,
};
use corovan_core::limits;
use corovan_core::wire::Outcome;
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Jobs that are accepted one after the other, and together.
const SINGLE: usize = 500;
const MANY: usize = 100_000;

pub fn accepted() -> anyhow::Result<Vec<Row>> {
    // On a disk: what /tmp is need not be one.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let credentials = process::certificates(dir.path())?;
    let (node, echo) = (Server::node(dir.path())?, Server::echo(dir.path())?);
    let sync = sync_p50(dir.path())?;
    runtime()?.block_on(async {
        let raw = echo_p50(&echo.address, &credentials, 2_000).await?;
        let (client, computation, spec) = open(&node.address, &credentials).await?;
        let mut samples = Vec::new();
        for _ in 0..SINGLE {
            let begin = Instant::now();
            submit(&computation, &spec).await?.await?;
            samples.push(begin.elapsed());
        }
        let p50 = percentile(&mut samples, 0.5).as_secs_f64() * 1e6;
        let (mut accepted, mut ended) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let begin = Instant::now();
            let jobs = submit_many(&computation, &spec, 8_192).await?;
            accepted.push(MANY as f64 / begin.elapsed().as_secs_f64());
            collect(&client, &jobs).await?;
            ended.push(MANY as f64 / begin.elapsed().as_secs_f64());
        }
        let (rate, whole) = (median(&mut accepted), median(&mut ended));
        let row = |measure: &str, value, unit, baseline, target, met| Row {
            number: "7b",
            measure: measure.into(),
            value,
            unit,
            baseline,
            target,
            met,
        };
        let bound = 2.0 * sync + raw;
        Ok(vec![
            row(
                "durable job, submit -> accepted, p50",
                p50,
                "us",
                Some((bound, "two fdatasync of the same disk and a raw quinn round trip")),
                "<= 2 fdatasync + a round trip",
                Some(p50 <= bound),
            ),
            row(
                "durable jobs, accepted together, window 8,192, while those before them run",
                rate,
                "jobs/s",
                None,
                ">= 20,000 accepted/s",
                Some(rate >= 20_000.0),
            ),
            row("durable jobs, submit -> result -> acknowledged", whole, "jobs/s", None, "", None),
        ])
    })
}

fn sync_p50(dir: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(dir.join("bare"))?;
    let mut samples: Vec<Duration> = Vec::new();
    for _ in 0..SINGLE {
        let begin = Instant::now();
        file.write_all(&[1; 512])?;
        file.sync_data()?;
        samples.push(begin.elapsed());
    }
    Ok(percentile(&mut samples, 0.5).as_secs_f64() * 1e6)
}

async fn open(address: &str, credentials: &Credentials) -> anyhow::Result<(Node, Computation, Spec)> {
    let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
    let computation = node.open("bench").await?;
    let spec = computation.prepare(Prepare::function(Module::from_bytes(wat::parse_str(EMPTY)?)?, "f")).await?;
    Ok((node, computation, spec))
}

async fn submit(computation: &Computation, spec: &Spec) -> anyhow::Result<Accepting> {
    Ok(computation.submit_durable(spec, Arguments::none(), DurableOptions::default()).await?)
}

async fn submit_many(computation: &Computation, spec: &Spec, window: usize) -> anyhow::Result<Vec<Ulid>> {
    let (mut waiting, mut jobs) = (VecDeque::new(), Vec::with_capacity(MANY));
    for _ in 0..MANY {
        if waiting.len() >= window
            && let Some(oldest) = waiting.pop_front()
        {
            let oldest: Accepting = oldest;
            jobs.push(oldest.await?.job);
        }
        waiting.push_back(submit(computation, spec).await?);
    }
    for accepting in waiting {
        jobs.push(accepting.await?.job);
    }
    Ok(jobs)
}

async fn collect(node: &Node, jobs: &[Ulid]) -> anyhow::Result<()> {
    let durable = node.durable();
    for some in jobs.chunks(limits::DURABLE_ASKED) {
        let mut results = durable.results(some, true).await?;
        while let Some((_, record)) = results.next().await? {
            let record = record?;
            ensure!(matches!(record.outcome, Outcome::Finished(_)), "{:?}", record.outcome);
        }
        durable.acknowledge(some).await?;
    }
    Ok(())
}
