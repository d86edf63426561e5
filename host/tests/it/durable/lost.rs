//! Homes and nodes that are killed, stopped and started again while durable jobs wait and run: nothing that was accepted is lost,
//! nothing ends twice, and no result is another's.

use super::{code, prepared, results};
use crate::in_process::run;
use crate::mesh::connect;
use crate::nodes::NodeProcess;
use crate::process::Place;
use corovan_client::{
    Accepted, Arguments, DurableOptions, Error, JobState, Module, Node, Prepare, Retry, SubmitOptions, Ulid,
};
use corovan_core::code::Code;
use corovan_core::wire::Outcome;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// Waits a moment, and gives its arguments; `sleeps` waits for long.
const SLOW: &str = r#"(module
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 1)
    (func (export "slow") (local $size i32)
        (drop (call $sleep (i64.const 20000000)))
        (local.set $size (call $args (i32.const 0) (i32.const 1024)))
        (drop (call $finish (i32.const 0) (local.get $size))))
    (func (export "sleeps") (drop (call $sleep (i64.const 3600000000000)))))"#;

fn patient() -> Retry {
    Retry { attempts: 100, node_loss: true, wait: 1_000_000, ..Retry::default() }
}

/// The jobs numbered from one to another, under their keys; those whose acceptance was not told are not in it.
async fn submit(node: &Node, numbers: std::ops::Range<u64>, at: Option<&str>, retry: Retry) -> BTreeMap<u64, Accepted> {
    let mut accepted = BTreeMap::new();
    let computation = node.open("crash").await.unwrap();
    let spec = prepared(&computation, SLOW, "slow").await;
    let mut waiting = Vec::new();
    for number in numbers {
        let (key, at) = (Some(format!("job {number}")), at.map(str::to_owned));
        let options = DurableOptions { key, at, retry: retry.clone(), ..DurableOptions::default() };
        match computation.submit_durable(&spec, Arguments::of(&(number,)).unwrap(), options).await {
            Ok(accepting) => waiting.push((number, accepting)),
            Err(_) => break,
        }
    }
    for (number, accepting) in waiting {
        if let Ok(answer) = accepting.await {
            accepted.insert(number, answer);
        }
    }
    accepted
}

fn own(number: u64) -> Outcome {
    Outcome::Finished(Arguments::of(&(number,)).unwrap().as_bytes().to_vec().into())
}

async fn kill(node: NodeProcess, signal: Signal) {
    node.running.signal(signal);
    tokio::task::spawn_blocking(move || node.running.wait()).await.unwrap();
}

#[test]
fn a_home_that_is_killed_again_and_again_loses_no_accepted_job_and_ends_each_once_with_its_own_result() {
    let crashes = std::env::var("COROVAN_CRASHES").ok().and_then(|count| count.parse().ok()).unwrap_or(3_u64);
    let place = Place::new();
    let mut home = place.node(&[]);
    // Not all of a computation's jobs run at once, so that some wait whenever it is killed.
    run(async {
        let (mut accepted, each) = (BTreeMap::new(), 120);
        for crash in 0..crashes {
            let node = connect(&place, &home.address, "tenant-me").await;
            let from = crash * each;
            let (submitting, after) =
                (submit(&node, from..from + each, None, patient()), Duration::from_millis(25 * (1 + crash % 7)));
            let known = async {
                tokio::time::sleep(after).await;
                kill(home, Signal::KILL).await;
            };
            let (told, ()) = tokio::join!(submitting, known);
            accepted.extend(told.into_iter().map(|(number, accepted)| (number, accepted.job)));
            home = place.node(&[]);
        }
        // Whoever was not told asks again, under the same keys.
        let node = connect(&place, &home.address, "tenant-me").await;
        let last = submit(&node, 0..crashes * each, None, patient()).await;
        assert_eq!(last.len() as u64, crashes * each);
        for (number, job) in &accepted {
            assert_eq!(last[number], Accepted { job: *job, known: true }, "{number} was accepted, and is lost");
        }
        let jobs: Vec<Ulid> = last.values().map(|accepted| accepted.job).collect();
        for (number, record) in results(&node.durable(), &jobs).await.into_iter().enumerate() {
            assert_eq!(record.outcome, own(number as u64));
        }
        let mut listed = 0;
        let mut after = None;
        loop {
            let page = node.durable().list(after, false).await.unwrap();
            let Some(last) = page.last() else { break };
            (listed, after) = (listed + page.len() as u64, Some(last.job));
            assert!(page.iter().all(|info| info.state == JobState::Ended && info.attempts >= 1), "{page:?}");
        }
        assert_eq!(listed, crashes * each, "one job a key, and no other");
        println!("{crashes} crashes, {} accepted before the last start", accepted.len());
    });
}

#[test]
fn a_job_that_ran_when_its_home_was_killed_is_lost_or_tried_again_as_its_policy_says() {
    let place = Place::new();
    let home = place.node(&[]);
    run(async {
        let node = connect(&place, &home.address, "tenant-me").await;
        let computation = node.open("test").await.unwrap();
        let spec = prepared(&computation, SLOW, "sleeps").await;
        let mut jobs = Vec::new();
        for retry in [Retry::default(), patient()] {
            let options = DurableOptions { retry, ..DurableOptions::default() };
            let accepting = computation.submit_durable(&spec, Arguments::none(), options).await.unwrap();
            let job = accepting.await.unwrap().job;
            super::until("it runs", &node, job, |info| info.state == JobState::Running).await;
            jobs.push(job);
        }
        kill(home, Signal::KILL).await;
        let home = place.node(&[]);
        let node = connect(&place, &home.address, "tenant-me").await;
        let once = results(&node.durable(), &jobs[..1]).await.remove(0);
        assert!(matches!(once.outcome, Outcome::NodeLost(_)) && once.attempt == 1, "{once:?}");
        let info = super::until("it runs again", &node, jobs[1], |info| info.state == JobState::Running).await;
        assert_eq!(info.attempts, 2);
        assert!(info.history[0].why.contains("was lost"), "{info:?}");
        // Stopped in good order, what runs under a policy for that waits for the next start.
        kill(home, Signal::TERM).await;
        let home = place.node(&[]);
        let node = connect(&place, &home.address, "tenant-me").await;
        let info = super::until("it runs once more", &node, jobs[1], |info| info.state == JobState::Running).await;
        assert_eq!(info.attempts, 3);
        assert!(info.history[1].why.contains("shutting down"), "{info:?}");
        node.durable().cancel(&jobs[1..], "enough").await.unwrap();
        let ended = results(&node.durable(), &jobs[1..]).await.remove(0);
        assert!(matches!(ended.outcome, Outcome::Terminated { .. }) && ended.attempt == 3, "{ended:?}");
    });
}

#[test]
fn jobs_at_a_node_that_is_killed_are_tried_again_when_the_other_attempt_has_certainly_ended() {
    let place = Place::new();
    let a = place.node(&["--label", "home=yes"]);
    let b = place.node_named("b", &["--peer", &a.address, "--label", "work=yes"]);
    [&a, &b].iter().for_each(|node| place.until_known_at(node, &["a", "b"]));
    run(async {
        let node = connect(&place, &a.address, "tenant-me").await;
        let computation = node.open("test").await.unwrap();
        let spec = prepared(&computation, SLOW, "sleeps").await;
        let options = |retry| DurableOptions { at: Some("work=yes".into()), retry, ..DurableOptions::default() };
        let mut jobs = Vec::new();
        for retry in [Retry::default(), patient()] {
            let accepting = computation.submit_durable(&spec, Arguments::none(), options(retry)).await.unwrap();
            let job = accepting.await.unwrap().job;
            super::until("it runs at b", &node, job, |info| info.node.as_deref() == Some("b")).await;
            jobs.push(job);
        }
        kill(b, Signal::KILL).await;
        let once = results(&node.durable(), &jobs[..1]).await.remove(0);
        assert!(matches!(once.outcome, Outcome::NodeLost(_)), "{once:?}");
        let info = super::until("it waits", &node, jobs[1], |info| info.state == JobState::Waiting).await;
        let text = info.why.unwrap().text;
        assert!(text.contains("next attempt") || text.contains("waits"), "{text}");
        // Another node that may take it.
        let c = place.node_named("c", &["--peer", &a.address, "--label", "work=yes"]);
        let info = super::until("it runs at c", &node, jobs[1], |info| info.node.as_deref() == Some("c")).await;
        assert_eq!((info.attempts, &info.history[0].node[..]), (2, "b"));
        // The home goes as well, and finds it on disk.
        kill(a, Signal::KILL).await;
        let a = place.node(&["--peer", &c.address, "--label", "home=yes"]);
        let node = connect(&place, &a.address, "tenant-me").await;
        let info = super::until("it runs at c again", &node, jobs[1], |info| info.attempts == 3).await;
        assert_eq!(info.node.as_deref(), Some("c"), "{info:?}");
        node.durable().cancel(&jobs[1..], "enough").await.unwrap();
        let ended = results(&node.durable(), &jobs[1..]).await.remove(0);
        assert!(matches!(ended.outcome, Outcome::Terminated { .. }), "{ended:?}");
    });
}

#[test]
fn a_damaged_store_is_told_and_left_as_it_is_and_the_node_does_all_else() {
    let place = Place::new();
    let home = place.node(&[]);
    run(async {
        let node = connect(&place, &home.address, "tenant-me").await;
        let jobs = submit(&node, 0..3, None, Retry::default()).await;
        let jobs: Vec<Ulid> = jobs.values().map(|accepted| accepted.job).collect();
        assert_eq!(results(&node.durable(), &jobs).await.len(), 3);
        drop(node);
        kill(home, Signal::TERM).await;
        let file = place.path("data").join("jobs.redb");
        let good = std::fs::read(&file).unwrap();
        let mut damaged = good.clone();
        damaged.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&file, &damaged).unwrap();
        let home = place.node(&[]);
        home.running.stderr.wait_for("durable jobs are not taken up", 1);
        let node = connect(&place, &home.address, "tenant-me").await;
        let computation = node.open("test").await.unwrap();
        let module = Module::from_bytes(wat::parse_str(SLOW).unwrap()).unwrap();
        let spec = computation.prepare(Prepare::function(module, "slow")).await.unwrap();
        let mut attached =
            computation.submit(&spec, Arguments::of(&(7_u64,)).unwrap(), SubmitOptions::default()).await.unwrap();
        assert_eq!(attached.result().await.outcome, own(7));
        let refused =
            computation.submit_durable(&spec, Arguments::none(), DurableOptions::default()).await.unwrap().await;
        let refused = refused.unwrap_err();
        assert_eq!(code(&refused), Some(Code::Internal));
        let Error::Refused { text, .. } = refused else { unreachable!() };
        assert!(text.contains("jobs.redb is damaged and was left as it is"), "{text}");
        assert!(std::fs::read(&file).unwrap() == damaged, "it is not touched");
        // A copy in its place is enough.
        std::fs::write(&file, &good).unwrap();
        let kept = node.durable().list(None, false).await.unwrap();
        assert_eq!(kept.iter().map(|info| info.job).collect::<Vec<_>>(), jobs);
        for (number, record) in results(&node.durable(), &jobs).await.into_iter().enumerate() {
            assert_eq!(record.outcome, own(number as u64));
        }
    });
}
