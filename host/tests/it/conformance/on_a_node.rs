//! The same jobs on a node, through its protocol and on real time: programs that a node makes of shipped modules, slots
//! and quotas that it gives, threads.

use super::{Case, EXACTLY, Given, Job, Need, has_ended_well, jobs_with, shared};
use crate::in_process::{Cluster, module, run};
use corovan_client::{self as client, Arguments, Computation, Prepare, SubmitOptions};
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::tenancy::quota::Resource;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What only a bench can be made to give.
const ONLY_ON_A_BENCH: &[Need] =
    &[Need::BadModule, Need::FewCoroutines, Need::LittleHeld, Need::OneWorker, Need::Ending, Need::Alone];

/// Cases that run at a time: a second has to be long enough for what each does in it.
const AT_A_TIME: usize = 48;
/// How often a case is run before it counts as failed; all but the first time alone.
const ATTEMPTS: usize = 3;

#[test]
fn every_host_function_does_the_same_on_a_node() {
    run(async {
        let prelude: Vec<String> = shared("prelude.wat").lines().map(at_least).collect();
        let cluster = Cluster::start(1_000).await;
        let other = cluster.open("other").await;
        let own = cluster.open("me").await;
        let (given, waiting) = give(&other, &own).await;
        let given = Arc::new(given);
        let tenant = cluster.node.service().tenants.get("me");
        // Else a case would make what it is to find.
        while tenant.names.is_empty() {
            tokio::task::yield_now().await;
        }
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let mut set = JoinSet::new();
        for job in jobs_with(&prelude.join("\n")) {
            let (given, turns) = (Arc::clone(&given), Arc::clone(&turns));
            set.spawn(job_on(cluster.open("me").await, Arc::new(job), given, turns));
        }
        let mut failures = Vec::new();
        while let Some(failed) = set.join_next().await {
            failures.extend(failed.unwrap());
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        drop(waiting);
        for computation in [other, own] {
            computation.close().await.unwrap();
        }
        cluster.has_load(0, 0).await;
        for resource in [Resource::Coroutines, Resource::Memory] {
            assert_eq!(tenant.ledger.used(resource), 0, "{resource}");
        }
        assert_eq!((tenant.names.len(), tenant.channels.len()), (0, 0), "names and channels");
    });
}

/// A real clock's moments are not exact.
fn at_least(line: &str) -> String {
    if line.ends_with(EXACTLY) { line.replace("i64.ne", "i64.lt_s") } else { line.to_owned() }
}

/// Ships the modules beside the suite, and has coroutines of another tenant's and of another computation wait.
async fn give(other: &Computation, own: &Computation) -> (Given, [client::Job; 2]) {
    let (partner, broken) = (module(&shared("partner.wat")), module(&shared("broken.wat")));
    let hash = |prepared: corovan_client::Spec| prepared.module();
    let given = own.prepare(Prepare::function(partner.clone(), "gives")).await.unwrap();
    let unstartable = own.prepare(Prepare::function(broken, "gives")).await.unwrap();
    let ((idles, address), (offers, other_computation)) = (waits(other, "idles").await, waits(own, "offers").await);
    let (module, unstartable, bad_module) = (hash(given), hash(unstartable), ModuleHash([0; 32]));
    let own = Address { counter: 0, secret: 7, ..address };
    (Given { own, other: address, module, unstartable, bad_module, other_computation }, [idles, offers])
}

/// A coroutine that waits until its job is dropped.
async fn waits(computation: &Computation, function: &str) -> (client::Job, Address) {
    let spec = computation.prepare(Prepare::function(module(&shared("partner.wat")), function)).await.unwrap();
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    loop {
        if let Some(address) = job.address() {
            return (job, address);
        }
        assert!(job.next_event().await.is_some(), "it waits");
    }
}

/// Runs all cases of a job in a computation of their own; those that failed, and how.
async fn job_on(computation: Computation, job: Arc<Job>, given: Arc<Given>, turns: Arc<Semaphore>) -> Vec<String> {
    let computation = Arc::new(computation);
    let mut set = JoinSet::new();
    let possible = |case: &Case| !case.needs.iter().any(|need| ONLY_ON_A_BENCH.contains(need));
    for index in (0..job.cases.len()).filter(|index| possible(&job.cases[*index])) {
        let (computation, job) = (Arc::clone(&computation), Arc::clone(&job));
        let (given, turns) = (Arc::clone(&given), Arc::clone(&turns));
        set.spawn(async move {
            let case = &job.cases[index];
            let mut outcome = Ok(());
            for attempt in 0..ATTEMPTS {
                let wanted = if attempt == 0 { 1 } else { AT_A_TIME as u32 };
                let turn = turns.acquire_many(wanted).await.unwrap();
                outcome = case_on(&computation, &job, case, &given).await;
                drop(turn);
                if outcome.is_ok() {
                    break;
                }
            }
            outcome.map_err(|why| format!("{}.{}: {why}", job.name, case.name))
        });
    }
    let mut failures = Vec::new();
    while let Some(outcome) = set.join_next().await {
        failures.extend(outcome.unwrap().err());
    }
    if let Err(error) = computation.close().await {
        failures.push(format!("{}: {error}", job.name));
    }
    failures
}

async fn case_on(computation: &Computation, job: &Job, case: &Case, given: &Given) -> Result<(), String> {
    let spec = computation.prepare(Prepare::function(module(&job.wat), &case.name)).await;
    let spec = spec.map_err(|error| error.to_string())?;
    let args = Arguments::from_cbor(given.args(&case.needs)).unwrap();
    let record = computation.run(&spec, args).await.map_err(|error| error.to_string())?;
    has_ended_well(case, &record.outcome)
}
