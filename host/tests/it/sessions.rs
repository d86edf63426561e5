//! Computations of clients on one node: tenants apart, many jobs, large values, cancelling, credit, lost clients, shutdown.

use crate::in_process::{Cluster, ECHO, FLOOD, OVER, module, prepare, run};
use corovan_client::{
    Arguments, ConnectOptions, Error, Event, Job, Jobs, Lost, MapOptions, Node, Prepare, SubmitOptions,
};
use corovan_core::code::Code;
use corovan_core::tenancy::identity::Role;
use corovan_core::wire::Outcome;
use std::collections::HashSet;
use std::time::Duration;

async fn submit(computation: &corovan_client::Computation, spec: &corovan_client::Spec) -> Job {
    computation.submit(spec, Arguments::none(), SubmitOptions::default()).await.unwrap()
}

#[test]
fn a_module_is_asked_for_once_by_tenant_and_shared_by_nobody() {
    run(async {
        let cluster = Cluster::start(64).await;
        let modules = cluster.node.service().dispatch.modules().clone();
        let hash = module(ECHO).hash();
        let computation = cluster.open("alice").await;
        assert!(!modules.has("alice", &hash));
        prepare(&computation, ECHO, "echo").await;
        assert!(modules.has("alice", &hash));
        // What one tenant has shipped says nothing to another, who ships it as well.
        assert!(!modules.has("bob", &hash));
        let other = cluster.open("bob").await;
        let spec = prepare(&other, ECHO, "echo").await;
        assert!(modules.has("bob", &hash));
        let record = other.run(&spec, Arguments::of(&(1,)).unwrap()).await.unwrap();
        assert_eq!(record.outcome, Outcome::Finished(vec![0x81, 1].into()));
        // A second connection of the same tenant finds it there.
        let again = cluster.open("alice").await;
        prepare(&again, ECHO, "echo").await;
    });
}

#[test]
fn ten_thousand_jobs_of_one_computation_each_end_once_with_their_own_result() {
    run(async {
        let cluster = Cluster::start(256).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "echo").await;
        let mut jobs = Jobs::new();
        let mut expected = std::collections::HashMap::new();
        let mut addresses = HashSet::new();
        for number in 0..10_000_u32 {
            let arguments = Arguments::of(&(number,)).unwrap();
            let bytes = arguments.as_bytes().clone();
            let job = computation.submit(&spec, arguments, SubmitOptions::default()).await.unwrap();
            expected.insert(jobs.insert(job), bytes);
        }
        while let Some((key, event, _)) = jobs.next_event().await {
            if let Event::Exit(record) = event {
                assert_eq!(record.outcome, Outcome::Finished(expected.remove(&key).unwrap()));
                assert!(addresses.insert(record.address), "an address given twice");
            }
        }
        assert!(expected.is_empty());
        computation.close().await.unwrap();
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn a_map_takes_inputs_as_there_is_room_and_gives_each_its_own_end_in_order_or_as_they_come() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "echo").await;
        for (in_flight, in_order, inputs) in
            [(1, true, 10), (7, true, 500), (64, false, 3_000), (0, false, 5), (3, true, 0)]
        {
            let taken = std::cell::Cell::new(0);
            let numbers = (0..inputs).inspect(|_| taken.set(taken.get() + 1));
            let numbers = numbers.map(|number: u32| Arguments::of(&(number,)).unwrap());
            let options = MapOptions { in_flight, in_order, ..MapOptions::default() };
            let mut map = computation.map(&spec, numbers, options);
            assert_eq!(taken.get(), 0);
            let mut ends = Vec::new();
            while let Some(mapped) = map.next().await.unwrap() {
                let arguments = Arguments::of(&(mapped.number as u32,)).unwrap();
                assert_eq!(mapped.record.outcome, Outcome::Finished(arguments.as_bytes().clone()));
                ends.push(mapped.number);
                assert!(taken.get() as usize <= ends.len() + in_flight.max(1), "{} taken", taken.get());
            }
            if !in_order {
                ends.sort_unstable();
            }
            assert_eq!(ends, (0..u64::from(inputs)).collect::<Vec<_>>());
        }
        // Given up: what is open is cancelled.
        let inputs = (0..100_000_u32).map(|number| Arguments::of(&(number,)).unwrap());
        let mut map = computation.map(&spec, inputs, MapOptions::default());
        map.next().await.unwrap();
        drop(map);
        computation.close().await.unwrap();
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn large_arguments_and_results_travel_beside_the_small_ones() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "echo").await;
        let sizes = [0, 1, 60_000, 65_530, 65_536, 70_000, 1 << 20, 3 << 20];
        let mut all = Vec::new();
        for (number, size) in sizes.iter().cycle().take(24).enumerate() {
            let text: String = (0..*size).map(|i| char::from(b'a' + ((i + number) % 26) as u8)).collect();
            let arguments = Arguments::of(&(text,)).unwrap();
            let job = computation.submit(&spec, arguments.clone(), SubmitOptions::default()).await.unwrap();
            all.push((job, arguments));
        }
        for (mut job, arguments) in all {
            let record = job.result().await;
            assert!(record.outcome == Outcome::Finished(arguments.as_bytes().clone()), "{:?}", record.usage);
        }
        computation.close().await.unwrap();
    });
}

#[test]
fn a_result_over_the_limit_is_refused_to_the_guest_and_one_at_it_arrives() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let over = prepare(&computation, OVER, "over").await;
        let record = computation.run(&over, Arguments::none()).await.unwrap();
        assert_eq!(record.outcome, Outcome::Finished(vec![7].into()));
        let just = prepare(&computation, OVER, "just").await;
        let record = computation.run(&just, Arguments::none()).await.unwrap();
        assert_eq!(record.outcome.value().map(|value| value.len()), Some(16 << 20));
        let text = "x".repeat(corovan_core::limits::ARGUMENT_BYTES);
        assert!(matches!(Arguments::of(&(text,)), Err(Error::TooLarge { .. })));
    });
}

#[test]
fn a_job_can_be_cancelled_while_it_waits_and_while_it_runs() {
    run(async {
        let cluster = Cluster::start(1).await;
        let slots = cluster.node.slots().count as usize;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "sleeps").await;
        let mut running = Vec::new();
        for _ in 0..slots {
            running.push(submit(&computation, &spec).await);
        }
        cluster.has_load(slots, 0).await;
        let mut waiting = submit(&computation, &spec).await;
        cluster.has_load(slots, 1).await;
        waiting.cancel("not needed", None);
        let record = waiting.result().await;
        assert!(
            matches!(&record.outcome, Outcome::Terminated { by, reason, .. } if by == "client" && reason == "not needed")
        );
        assert_eq!(record.attempt, 0, "it never ran");
        cluster.has_load(slots, 0).await;

        running[0].cancel("enough", None);
        let record = running[0].result().await;
        assert!(matches!(&record.outcome, Outcome::Terminated { reason, .. } if reason == "enough"), "{record:?}");
        // A second cancel of what has ended is nothing.
        running[0].cancel("again", None);
        // A dropped job is cancelled: nobody could learn its result.
        let dropped = running.pop().unwrap();
        drop(dropped);
        cluster.has_load(slots - 2, 0).await;
        let echo = prepare(&computation, ECHO, "echo").await;
        assert!(computation.run(&echo, Arguments::none()).await.is_ok());
    });
}

#[test]
fn a_job_whose_output_nobody_takes_waits_and_delays_no_other() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let flood = prepare(&computation, FLOOD, "flood").await;
        let echo = prepare(&computation, ECHO, "echo").await;
        let mut floods = Vec::new();
        for _ in 0..8 {
            floods.push(submit(&computation, &flood).await);
        }
        for _ in 0..100 {
            let record = computation.run(&echo, Arguments::none()).await.unwrap();
            assert_eq!(record.outcome, Outcome::Finished(vec![0x80].into()));
        }
        // Each has written what credit and buffer hold and not the 16 MiB it wants to: it still runs.
        cluster.has_load(8, 0).await;
        for job in &mut floods {
            let mut total = 0;
            while let Some(event) = job.next_event().await {
                match event {
                    Event::Stdout(bytes) => total += bytes.len(),
                    Event::Exit(record) => assert_eq!(record.outcome, Outcome::Finished(Default::default())),
                    _ => {}
                }
            }
            assert_eq!(total, 4096 * 4096);
        }
    });
}

#[test]
fn tenants_and_clients_are_served_side_by_side() {
    run(async {
        let cluster = Cluster::start(1).await;
        let slots = cluster.node.slots().count as usize;
        let crowd = cluster.open("crowd").await;
        let sleeps = prepare(&crowd, ECHO, "sleeps").await;
        let mut jobs = Vec::new();
        for _ in 0..slots * 4 {
            jobs.push(submit(&crowd, &sleeps).await);
        }
        cluster.has_load(slots, slots * 3).await;
        // One tenant does not get the last slots: another is served at once.
        let single = cluster.open("single").await;
        let echo = prepare(&single, ECHO, "echo").await;
        let mut mine = submit(&single, &echo).await;
        assert_eq!(mine.result().await.outcome, Outcome::Finished(vec![0x80].into()));
        cluster.has_load(slots, slots * 3).await;
        for job in jobs.iter().take(2) {
            job.cancel("make room", None);
        }
        cluster.has_load(slots, slots * 3 - 2).await;
        // A second connection of the crowd is another client: its end is not the first one's.
        let second = cluster.open("crowd").await;
        prepare(&second, ECHO, "echo").await;
        drop(second);
        cluster.has_load(slots, slots * 3 - 2).await;
    });
}

#[test]
fn of_several_nodes_the_first_that_answers_is_taken() {
    run(async {
        let cluster = Cluster::start(16).await;
        let credentials = cluster.credentials(Role::Tenant, "me");
        // Bound, and not ours: who asks there is told at once, or in a moment.
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = other.local_addr().unwrap().to_string();
        drop(other);
        let here = cluster.node.address().to_string();
        let node = Node::connect_any(&[&silent, &here], &credentials, ConnectOptions::default()).await.unwrap();
        assert_eq!(node.name(), "a");
        let none = Node::connect_any::<&str>(&[], &credentials, ConnectOptions::default()).await;
        assert!(matches!(none, Err(Error::Address { .. })), "{none:?}");
        let last = Node::connect_any(&[&silent], &credentials, ConnectOptions::default()).await;
        assert!(matches!(last, Err(Error::NothingListens { .. } | Error::NoAnswer { .. })), "{last:?}");
    });
}

#[test]
fn a_connection_that_is_gone_takes_its_jobs_with_it_and_no_others() {
    run(async {
        let cluster = Cluster::start(64).await;
        let node = cluster.connect("gone").await;
        let gone = node.open("gone").await.unwrap();
        let stays = cluster.open("stays").await;
        let (sleeps, other) = (prepare(&gone, ECHO, "sleeps").await, prepare(&stays, ECHO, "sleeps").await);
        let mut jobs = Vec::new();
        for _ in 0..10 {
            jobs.push(submit(&gone, &sleeps).await);
        }
        let kept = submit(&stays, &other).await;
        cluster.has_load(11, 0).await;
        node.close().await;
        cluster.has_load(1, 0).await;
        for mut job in jobs {
            assert!(matches!(job.result().await.outcome, Outcome::NodeLost(_)));
        }
        assert!(kept.failure().is_none());
        // The tenant's share is free again, and it can come back.
        let again = cluster.open("gone").await;
        let echo = prepare(&again, ECHO, "echo").await;
        again.run(&echo, Arguments::none()).await.unwrap();
    });
}

#[test]
fn shutdown_tells_every_client_how_its_jobs_ended() {
    run(async {
        let cluster = Cluster::start(1).await;
        let slots = cluster.node.slots().count as usize;
        let (one, two) = (cluster.open("one").await, cluster.open("two").await);
        let mut jobs = Vec::new();
        for computation in [&one, &two] {
            let spec = prepare(computation, ECHO, "sleeps").await;
            for _ in 0..slots * 2 {
                jobs.push(submit(computation, &spec).await);
            }
        }
        cluster.has_load(slots * 2, slots * 2).await;
        cluster.node.shut_down().await;
        for mut job in jobs {
            let record = job.result().await;
            assert!(matches!(&record.outcome, Outcome::Terminated { by, .. } if by == "node"), "{record:?}");
        }
        let error = one.prepare(Prepare::function(module(ECHO), "echo")).await.unwrap_err();
        let closed = |code: Option<Code>| code == Some(Code::ShuttingDown);
        assert!(matches!(&error, Error::NodeLost { why: Lost::Closed { code, .. }, .. } if closed(*code)), "{error:?}");
    });
}

#[test]
fn a_large_result_is_delivered_also_when_the_node_shuts_down_meanwhile() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, OVER, "just").await;
        let mut jobs = Vec::new();
        for _ in 0..4 {
            jobs.push(submit(&computation, &spec).await);
        }
        cluster.has_load(0, 0).await;
        let mut first = jobs.remove(0);
        assert_eq!(first.result().await.outcome.value().map(|value| value.len()), Some(16 << 20));
        cluster.node.shut_down().await;
        for mut job in jobs {
            let record = job.result().await;
            assert_eq!(record.outcome.value().map(|value| value.len()), Some(16 << 20), "{:?}", record.outcome.name());
        }
    });
}

#[test]
fn closing_a_computation_waits_for_its_jobs_and_then_takes_no_more() {
    run(async {
        let cluster = Cluster::start(64).await;
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "sleeps").await;
        let mut job = submit(&computation, &spec).await;
        let closing = tokio::spawn({
            let computation = computation.clone();
            async move { computation.close().await }
        });
        cluster.has_load(1, 0).await;
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        job.cancel("done", Some(Duration::ZERO));
        job.result().await;
        closing.await.unwrap().unwrap();
        let refused = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await;
        assert_eq!(refused.unwrap_err(), Error::Closed);
    });
}
