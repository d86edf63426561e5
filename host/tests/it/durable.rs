//! Durable jobs: accepted once they are on disk, ended exactly once, asked for by their ids.

mod commands;
mod lost;
mod many;

use crate::in_process::{Cluster, ECHO, FLOOD, module, run};
use corovan_client::{
    Arguments, Computation, ComputationOptions, Durable, DurableEvent, DurableInfo, DurableOptions, Error, EventKind,
    JobState, Node, Prepare, Retry, Spec, Ulid,
};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::{ExitRecord, Outcome};
use std::collections::HashSet;
use std::time::Duration;

/// Spins up to a trap; prints a line before.
const TRAPS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00")
    (data (i32.const 16) "boom\n")
    (func (export "traps")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        unreachable))"#;

async fn prepared(computation: &Computation, wat: &str, function: &str) -> Spec {
    computation.prepare(Prepare::function(module(wat), function)).await.unwrap()
}

async fn submit(computation: &Computation, spec: &Spec, number: u64, options: DurableOptions) -> Ulid {
    let arguments = Arguments::of(&(number,)).unwrap();
    let accepting = computation.submit_durable(spec, arguments, options).await.unwrap();
    accepting.await.unwrap().job
}

/// Waits for all of them, in their order.
async fn results(durable: &Durable, jobs: &[Ulid]) -> Vec<ExitRecord> {
    let mut all: Vec<Option<ExitRecord>> = vec![None; jobs.len()];
    for (part, jobs) in jobs.chunks(limits::DURABLE_ASKED).enumerate() {
        let mut results = durable.results(jobs, true).await.unwrap();
        while let Some((at, record)) = results.next().await.unwrap() {
            let place = &mut all[part * limits::DURABLE_ASKED + at];
            assert!(place.replace(record.unwrap()).is_none(), "told twice");
        }
    }
    all.into_iter().map(Option::unwrap).collect()
}

fn code(error: &Error) -> Option<Code> {
    match error {
        Error::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

async fn until(what: &str, node: &Node, job: Ulid, is: impl Fn(&DurableInfo) -> bool) -> DurableInfo {
    loop {
        let info = node.durable().find(&job.to_string()).await.unwrap().remove(0);
        if is(&info) {
            return node.durable().why(job).await.unwrap();
        }
        assert!(info.state != JobState::Ended, "{what}: {info:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn many_jobs_are_accepted_run_and_asked_for_each_with_its_own_result_until_they_are_acknowledged() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let spec = prepared(&computation, ECHO, "echo").await;
        let mut accepting = Vec::new();
        for number in 0..500_u64 {
            let arguments = Arguments::of(&(number,)).unwrap();
            accepting.push(computation.submit_durable(&spec, arguments, DurableOptions::default()).await.unwrap());
        }
        let mut jobs = Vec::new();
        for accepting in accepting {
            let accepted = accepting.await.unwrap();
            assert!(!accepted.known);
            jobs.push(accepted.job);
        }
        computation.close().await.unwrap();
        assert_eq!(jobs.iter().collect::<HashSet<_>>().len(), jobs.len());
        // Another connection, after the one that submitted them has gone.
        drop(computation);
        let node = cluster.connect("me").await;
        let durable = node.durable();
        for (number, record) in results(&durable, &jobs).await.into_iter().enumerate() {
            let own = Arguments::of(&(number,)).unwrap();
            assert_eq!((record.outcome, record.attempt), (Outcome::Finished(own.as_bytes().to_vec().into()), 1));
        }
        let listed = durable.list(None, false).await.unwrap();
        assert!(listed.iter().map(|info| info.job).eq(jobs.iter().copied()), "oldest first");
        assert!(listed.iter().all(|info| info.state == JobState::Ended && info.outcome.as_deref() == Some("finished")));
        let prefix = &jobs[7].to_string()[..24];
        assert!(durable.find(prefix).await.unwrap().iter().any(|info| info.job == jobs[7]));
        assert_eq!(code(&durable.find("il").await.unwrap_err()), Some(Code::Invalid));
        // Another tenant knows nothing of them.
        let other = cluster.connect("other").await.durable();
        assert!(other.list(None, false).await.unwrap().is_empty() && other.find(prefix).await.unwrap().is_empty());
        let (_, told) = other.results(&jobs[..1], true).await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(code(&told.unwrap_err()), Some(Code::NotFound));
        for refused in [
            other.cancel(&jobs[..1], "").await,
            other.acknowledge(&jobs[..1]).await,
            other.why(jobs[0]).await.map(drop),
            other.again(&jobs[..1]).await.map(drop),
            other.events(jobs[0], 1, false).await.unwrap().next().await.map(drop),
        ] {
            assert_eq!(code(&refused.unwrap_err()), Some(Code::NotFound));
        }
        let again = durable.again(&jobs[3..4]).await.unwrap();
        let again = results(&durable, &again).await;
        assert_eq!(again[0].outcome, Outcome::Finished(Arguments::of(&(3,)).unwrap().as_bytes().to_vec().into()));
        durable.acknowledge(&jobs).await.unwrap();
        assert_eq!(durable.list(None, false).await.unwrap().len(), 1);
        assert_eq!(code(&durable.acknowledge(&jobs[..1]).await.unwrap_err()), Some(Code::NotFound));
    });
}

#[test]
fn the_same_key_is_the_same_job_and_another_under_it_is_refused() {
    run(async {
        let cluster = Cluster::start(8).await;
        let computation = cluster.open("me").await;
        let spec = prepared(&computation, ECHO, "echo").await;
        let keyed = || DurableOptions { key: Some("k".into()), ..DurableOptions::default() };
        let first = submit(&computation, &spec, 1, keyed()).await;
        let again = computation.submit_durable(&spec, Arguments::of(&(1_u64,)).unwrap(), keyed()).await.unwrap();
        let again = again.await.unwrap();
        assert_eq!((again.job, again.known), (first, true));
        let other = computation.submit_durable(&spec, Arguments::of(&(2_u64,)).unwrap(), keyed()).await.unwrap();
        assert_eq!(code(&other.await.unwrap_err()), Some(Code::Taken));
        // What another tenant calls its jobs is its own business.
        let theirs = cluster.open("other").await;
        let spec = prepared(&theirs, ECHO, "echo").await;
        assert_ne!(submit(&theirs, &spec, 1, keyed()).await, first);
    });
}

#[test]
fn a_job_is_tried_as_often_as_its_policy_says_and_every_attempt_is_told() {
    run(async {
        let cluster = Cluster::start(8).await;
        let node = cluster.connect("me").await;
        let computation = node.open("test").await.unwrap();
        let spec = prepared(&computation, TRAPS, "traps").await;
        let retry = Retry { attempts: 3, trap: true, wait: 1_000_000, ..Retry::default() };
        let tried = submit(&computation, &spec, 1, DurableOptions { retry, ..DurableOptions::default() }).await;
        let once = submit(&computation, &spec, 1, DurableOptions::default()).await;
        let records = results(&node.durable(), &[tried, once]).await;
        assert!(records.iter().all(|record| matches!(record.outcome, Outcome::Trapped { .. })), "{records:?}");
        assert_eq!((records[0].attempt, records[1].attempt), (3, 1));
        let info = node.durable().why(tried).await.unwrap();
        let attempts: Vec<_> = info.history.iter().map(|attempt| (attempt.number, &attempt.node[..])).collect();
        assert_eq!(attempts, [(1, "a"), (2, "a"), (3, "a")]);
        assert!(info.history[0].why.contains("trapped: unreachable"), "{info:?}");
        // What all of them said is one sequence.
        let mut events = node.durable().events(tried, 1, true).await.unwrap();
        let (mut printed, mut notes, mut last) = (String::new(), 0, 0);
        while let Some(event) = events.next().await.unwrap() {
            let DurableEvent::Said { sequence, kind, bytes, .. } = event else { panic!("{event:?}") };
            assert_eq!(sequence, last + 1);
            last = sequence;
            match kind {
                EventKind::Stdout => printed += std::str::from_utf8(&bytes).unwrap(),
                EventKind::Note => notes += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((&printed[..], notes), ("boom\nboom\nboom\n", 2));
        for refused in [
            DurableOptions { retry: Retry { attempts: 1_001, ..Retry::default() }, ..DurableOptions::default() },
            DurableOptions { key: Some("k".repeat(200)), ..DurableOptions::default() },
        ] {
            let refused = computation.submit_durable(&spec, Arguments::none(), refused).await.unwrap().await;
            assert!(matches!(code(&refused.unwrap_err()), Some(Code::Invalid | Code::TooLarge)));
        }
    });
}

#[test]
fn a_job_is_cancelled_wherever_it_is_and_ends_once() {
    run(async {
        let cluster = Cluster::start(8).await;
        let node = cluster.connect("me").await;
        let options = ComputationOptions::new("few").node("a", Some(2));
        let computation = node.open_with(options).await.unwrap();
        let spec = prepared(&computation, ECHO, "sleeps").await;
        let mut jobs = Vec::new();
        for number in 0..6 {
            let retry = Retry { attempts: 9, node_loss: true, trap: true, ..Retry::default() };
            jobs.push(submit(&computation, &spec, number, DurableOptions { retry, ..DurableOptions::default() }).await);
        }
        until("the first runs", &node, jobs[0], |info| info.state == JobState::Running).await;
        until("the second runs", &node, jobs[1], |info| info.state == JobState::Running).await;
        let waiting = loop {
            let info = node.durable().why(jobs[5]).await.unwrap();
            if info.why.as_ref().is_some_and(|why| !why.nodes.is_empty()) {
                break info;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        };
        assert!(
            waiting.why.unwrap().nodes[0].rules.iter().any(|rule| rule.contains("2 of 2 jobs of the computation")),
            "full, and told so"
        );
        let durable = node.durable();
        let (_, told) = durable.results(&jobs[..1], false).await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(code(&told.unwrap_err()), Some(Code::Retry), "it has not ended");
        durable.cancel(&jobs, "enough").await.unwrap();
        durable.cancel(&jobs, "once more").await.unwrap();
        for record in results(&durable, &jobs).await {
            let Outcome::Terminated { by, reason, .. } = &record.outcome else { panic!("{record:?}") };
            assert_eq!((&by[..], &reason[..]), ("client", "enough"));
        }
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn output_is_kept_within_bounds_with_its_gaps_told_and_followed_to_its_end() {
    run(async {
        let cluster = Cluster::start(8).await;
        let node = cluster.connect("me").await;
        let computation = node.open("test").await.unwrap();
        let spec = prepared(&computation, FLOOD, "flood").await;
        let job = submit_command(&computation, &spec).await;
        let mut followed = node.durable().events(job, 1, true).await.unwrap();
        let (mut heard, mut missed) = (0, 0);
        while let Some(event) = followed.next().await.unwrap() {
            match event {
                DurableEvent::Said { bytes, .. } => heard += bytes.len(),
                DurableEvent::Gap { first, last } => missed += last - first + 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(heard <= 4096 * 4096 && (heard == 4096 * 4096 || missed > 0), "{heard} bytes, {missed} events missed");
        // From its beginning, when all is over: what is kept, and that the rest is not.
        let mut events = node.durable().events(job, 1, false).await.unwrap();
        assert!(matches!(events.next().await.unwrap(), Some(DurableEvent::Gap { first: 1, .. })));
        let mut kept = 0;
        while let Some(DurableEvent::Said { bytes, .. }) = events.next().await.unwrap() {
            kept += bytes.len() as u64;
        }
        assert!(kept > 512 << 10 && kept <= corovan_store::limits::EVENTS_BYTES, "{kept}");
    });
}

async fn submit_command(computation: &Computation, spec: &Spec) -> Ulid {
    let accepting = computation.submit_durable(spec, Arguments::none(), DurableOptions::default()).await.unwrap();
    accepting.await.unwrap().job
}

#[test]
fn what_is_too_large_or_cannot_be_is_refused_or_told_and_large_values_come_whole() {
    run(async {
        let cluster = Cluster::start(8).await;
        let node = cluster.connect("me").await;
        let computation = node.open("test").await.unwrap();
        let spec = prepared(&computation, ECHO, "echo").await;
        let text = |size: usize| Arguments::of(&("x".repeat(size),)).unwrap();
        for size in [70_000, 900_000] {
            let job = computation.submit_durable(&spec, text(size), DurableOptions::default()).await.unwrap();
            let record = results(&node.durable(), &[job.await.unwrap().job]).await.remove(0);
            assert!(record.outcome == Outcome::Finished(text(size).as_bytes().to_vec().into()), "{size}");
        }
        let refused =
            computation.submit_durable(&spec, text(2_000_000), DurableOptions::default()).await.unwrap().await;
        assert_eq!(code(&refused.unwrap_err()), Some(Code::TooLarge));
        let nowhere = DurableOptions { at: Some("gpu=1".into()), ..DurableOptions::default() };
        let job = submit(&computation, &spec, 1, nowhere).await;
        let record = results(&node.durable(), &[job]).await.remove(0);
        let Outcome::Refused { code: Code::NotFound, why } = &record.outcome else { panic!("{record:?}") };
        assert!(why.contains("gpu"), "{why}");
        let unknown = Ulid(7);
        let (_, told) = node.durable().results(&[unknown], true).await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(code(&told.unwrap_err()), Some(Code::NotFound));
        let many = vec![unknown; limits::DURABLE_ASKED + 1];
        assert!(matches!(node.durable().results(&many, true).await, Err(Error::TooMany { .. })));
        // A value larger than what is kept is told, and is not the job's value.
        let big = r#"(module
            (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
            (memory (export "memory") 20)
            (data (i32.const 0) "\5a\00\12\4f\7b")
            (func (export "big") (drop (call $finish (i32.const 0) (i32.const 1200000)))))"#;
        let spec = prepared(&computation, big, "big").await;
        let job = submit(&computation, &spec, 1, DurableOptions::default()).await;
        let record = results(&node.durable(), &[job]).await.remove(0);
        assert!(matches!(&record.outcome, Outcome::Failed { kind, .. } if kind == "too-large"), "{record:?}");
    });
}
