//! Where jobs go that may go anywhere: as many as a computation allows, no more than a node takes, and why told at any time.

use super::{connect, mesh};
use crate::in_process::run;
use crate::process::{Place, job};
use corovan_client::{
    Arguments, Computation, ComputationOptions, Error, Event, Job, JobInfo, JobState, Module, NodeAllocation, Prepare,
    Spec, SubmitOptions,
};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::Outcome;
use std::time::Duration;

async fn spins(computation: &Computation) -> Spec {
    let module = Module::from_file(job("faults")).unwrap();
    computation.prepare(Prepare::function(module, "spins")).await.unwrap()
}

async fn submit(computation: &Computation, spec: &Spec, at: &str) -> Job {
    let options = SubmitOptions { at: Some(at.into()), ..SubmitOptions::default() };
    computation.submit(spec, Arguments::none(), options).await.unwrap()
}

async fn until(job: &mut Job, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = job.next_event().await.expect("it has not ended");
        if wanted(&event) {
            return event;
        }
    }
}

fn rules(info: &JobInfo, node: &str) -> String {
    let why = info.why.as_ref().unwrap();
    let node = why.nodes.iter().find(|refusal| refusal.name == node);
    node.unwrap_or_else(|| panic!("{why:?}")).rules.join("; ")
}

#[test]
fn a_computations_nodes_run_as_many_of_its_jobs_as_it_says_and_it_may_say_otherwise_at_any_time() {
    let place = Place::new();
    let nodes = mesh(&place, 3);
    nodes.iter().for_each(|node| place.until_known_at(node, &["a", "b", "c"]));
    run(async {
        let node = connect(&place, &nodes[0].address, "tenant-me").await;
        let options = ComputationOptions::new("few").node("b", Some(1)).node("c", Some(0));
        let computation = node.open_with(options).await.unwrap();
        let spec = spins(&computation).await;
        let mut first = submit(&computation, &spec, "").await;
        let placed = until(&mut first, |event| matches!(event, Event::Placed { .. })).await;
        assert!(
            matches!(&placed, Event::Placed { name, attempt: 1, why, .. } if name == "b" && why.contains("the only node"))
        );
        let mut second = submit(&computation, &spec, "").await;
        assert_eq!(until(&mut second, |_| true).await, Event::Queued { position: 1 });
        let info = computation.why(&second).await.unwrap();
        assert_eq!((info.state, info.node.as_deref(), &info.function[..]), (JobState::Waiting, None, "spins"));
        assert!(rules(&info, "b").contains("1 of 1 jobs of the computation"), "{info:?}");
        assert!(rules(&info, "c").contains("0 of 0 jobs"), "{info:?}");
        assert!(rules(&info, "a").contains("no allocation"), "{info:?}");
        let info = computation.why(&first).await.unwrap();
        assert_eq!((info.state, info.node.as_deref()), (JobState::Running, Some("b")), "{info:?}");
        // Another tenant is told of none of them, an operator of all.
        let other = connect(&place, &nodes[0].address, "tenant-other").await;
        assert_eq!(other.jobs(None).await.unwrap(), []);
        let refused = other.why(computation.id(), second.id()).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { code: Code::NotFound, .. }), "{refused:?}");
        let operator = connect(&place, &nodes[0].address, "operator-op").await;
        let states: Vec<JobState> = operator.jobs(None).await.unwrap().iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Running, JobState::Waiting]);
        // The one that waits goes where it may now, the other stays.
        computation.allocate(vec![NodeAllocation { selector: "c".into(), jobs: None }]).await.unwrap();
        let placed = until(&mut second, |event| matches!(event, Event::Placed { .. })).await;
        assert!(matches!(placed, Event::Placed { name, .. } if name == "c"));
        for mut job in [first, second] {
            job.cancel("enough", Some(Duration::ZERO));
            assert!(matches!(job.result().await.outcome, Outcome::Terminated { .. }));
        }
        let wrong = computation.allocate(vec![NodeAllocation { selector: "cores>=x".into(), jobs: None }]).await;
        assert!(wrong.unwrap_err().to_string().contains("cores"));
        computation.close().await.unwrap();
        node.close().await;
    });
}

#[test]
fn a_node_that_others_have_filled_is_asked_again_and_a_job_for_it_waits_and_is_told_why() {
    let place = Place::new();
    let a = place.node_named("a", &[]);
    let config = place.file("b.toml", "[capacity]\njobs = 2\n");
    let b = place.node_named("b", &["--peer", &a.address, "--config", &config.display().to_string()]);
    let c = place.node_named("c", &["--peer", &a.address]);
    [&a, &b, &c].into_iter().for_each(|node| place.until_known_at(node, &["a", "b", "c"]));
    run(async {
        let (one, two) =
            (connect(&place, &a.address, "tenant-me").await, connect(&place, &c.address, "tenant-me").await);
        let (first, second) = (one.open("first").await.unwrap(), two.open("second").await.unwrap());
        let (spec, other) = (spins(&first).await, spins(&second).await);
        let mut there = Vec::new();
        for _ in 0..2 {
            let mut job = submit(&first, &spec, "b").await;
            until(&mut job, |event| matches!(event, Event::Started { .. })).await;
            there.push(job);
        }
        // This home knows of no job there.
        let mut waits = submit(&second, &other, "b").await;
        until(&mut waits, |event| matches!(event, Event::Queued { position: 1 })).await;
        let info = second.why(&waits).await.unwrap();
        let text = info.why.as_ref().unwrap().text.clone();
        assert!(
            info.state == JobState::Waiting && text.contains("b refused it last: this node has 2 jobs"),
            "{info:?}"
        );
        // Its own home knows that it is full.
        let mut third = submit(&first, &spec, "b").await;
        assert_eq!(until(&mut third, |_| true).await, Event::Queued { position: 1 });
        let info = first.why(&third).await.unwrap();
        assert!(rules(&info, "b").contains("2 of 2 slots"), "{info:?}");
        third.cancel("enough", None);
        assert!(matches!(third.result().await.outcome, Outcome::Terminated { .. }));
        for mut job in there {
            job.cancel("enough", Some(Duration::ZERO));
            job.result().await;
        }
        until(&mut waits, |event| matches!(event, Event::Started { .. })).await;
        waits.cancel("enough", Some(Duration::ZERO));
        waits.result().await;
        first.close().await.unwrap();
        second.close().await.unwrap();
    });
}

#[test]
fn open_jobs_are_listed_and_explained_on_the_command_line() {
    let place = Place::new();
    let a = place.node_named("a", &[]);
    let file = job("faults").display().to_string();
    let waits = place.start(a.args(&[&file, "spins", "--at", "any", "--json"]));
    waits.stdout.wait_for("started", 1);
    place.run(["cert", "operator", "op", "--dir", &place.certs().display().to_string()]).has_code(0);
    let asks = ["--node", &a.address, "--certs", &place.certs().display().to_string()].map(str::to_owned);
    let ask = |words: &[&str]| place.run(words.iter().map(ToString::to_string).chain(asks.clone()));
    let listed = ask(&["ps", "--tenant", "me"]);
    listed.has_code(0);
    assert!(["JOB", "spins", "running", "any"].iter().all(|part| listed.out().contains(part)), "{listed:?}");
    let one: serde_json::Value = serde_json::from_str(&ask(&["ps", "--json"]).out()).unwrap();
    let id = one["id"].as_str().unwrap();
    assert_eq!((&one["state"], &one["node"]), (&"running".into(), &"a".into()));
    let why = ask(&["why", id]);
    assert!(why.has_code(0).out().contains("the only node with room"), "{why:?}");
    ask(&["why", "999.1"]).has_code(122).says(&["corovan ps"]);
    ask(&["why", "x"]).has_code(125).says(&["COMPUTATION.JOB"]);
    waits.signal(rustix::process::Signal::INT);
    waits.wait();
    assert_eq!(ask(&["ps", "--json"]).out(), "");
}

#[test]
fn who_asks_all_nodes_without_end_is_refused_and_others_are_not() {
    let place = Place::new();
    let a = place.node_named("a", &[]);
    run(async {
        let (one, two) =
            (connect(&place, &a.address, "tenant-me").await, connect(&place, &a.address, "tenant-other").await);
        let (computation, quiet) = (one.open("loud").await.unwrap(), two.open("quiet").await.unwrap());
        let (spec, other) = (spins(&computation).await, spins(&quiet).await);
        let mut refused = 0;
        for number in 0..2 * limits::PLACEMENT_LOOKS {
            let mut job = submit(&computation, &spec, &format!("nowhere-{number}")).await;
            let outcome = job.result().await.outcome.clone();
            match outcome {
                Outcome::Refused { code: Code::NotFound, .. } => {}
                Outcome::Refused { code: Code::Overloaded, why } if why.contains("PLACEMENT_LOOKS") => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(refused > 0);
        // Another tenant's kinds are not counted with these.
        for number in 0..8 {
            let mut job = submit(&quiet, &other, &format!("nowhere-{number}")).await;
            assert!(matches!(&job.result().await.outcome, Outcome::Refused { code: Code::NotFound, .. }));
        }
        computation.close().await.unwrap();
        quiet.close().await.unwrap();
    });
}

#[test]
fn a_drained_node_takes_no_new_jobs_and_those_for_it_wait_until_it_is_undrained() {
    let place = Place::new();
    let nodes = mesh(&place, 2);
    nodes.iter().for_each(|node| place.until_known_at(node, &["a", "b"]));
    let asks = |word: &str, node: usize, role: &str| {
        let certs = place.certs().display().to_string();
        let words =
            [&[word, "--node", &nodes[node].address, "--certs", &certs], &role.split(' ').collect::<Vec<_>>()[..]];
        place.run(words.concat())
    };
    run(async {
        let node = connect(&place, &nodes[0].address, "tenant-me").await;
        drop(connect(&place, &nodes[0].address, "operator-op").await);
        let computation = node.open("drains").await.unwrap();
        let spec = spins(&computation).await;
        let mut runs = submit(&computation, &spec, "b").await;
        until(&mut runs, |event| matches!(event, Event::Started { .. })).await;
        asks("drain", 1, "--tenant me").has_code(122).says(&["only an operator"]);
        asks("drain", 1, "--operator op").has_code(0);
        // Its home hears of it a moment later: until then that node refuses it.
        let mut waits = submit(&computation, &spec, "b").await;
        until(&mut waits, |event| matches!(event, Event::Queued { .. })).await;
        loop {
            let info = computation.why(&waits).await.unwrap();
            assert_eq!(info.state, JobState::Waiting);
            if rules(&info, "b").contains("drained") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        asks("undrain", 1, "--operator op").has_code(0);
        until(&mut waits, |event| matches!(event, Event::Started { .. })).await;
        // One that is drained itself takes its own clients' jobs no more, but has others run them.
        asks("drain", 0, "--operator op").has_code(0);
        let mut own = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
        let refused = own.result().await;
        assert!(
            matches!(&refused.outcome, Outcome::Refused { code: Code::Overloaded, why } if why.contains("undrain")),
            "{refused:?}"
        );
        let mut elsewhere = submit(&computation, &spec, "").await;
        let placed = until(&mut elsewhere, |event| matches!(event, Event::Placed { .. })).await;
        assert!(matches!(placed, Event::Placed { name, .. } if name == "b"));
        for mut job in [runs, waits, elsewhere] {
            job.cancel("enough", Some(Duration::ZERO));
            assert!(matches!(job.result().await.outcome, Outcome::Terminated { .. }));
        }
        computation.close().await.unwrap();
    });
}
