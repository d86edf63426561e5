//! Nodes that go away or break the protocol: every open job ends once, as `node-lost`, and the reason is told.

use crate::fake::{Fake, NODE, Session, record};
use corovan_client::{Arguments, ConnectOptions, Error, Event, Jobs, Lost, Node, SubmitOptions};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::exit::Outcome;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::{Blob, BlobKind, Closed};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Runs one job on a node that does this after the submit; why the node was lost.
async fn lost<F>(act: impl Fn(Session, u64) -> F + Send + Sync + 'static) -> Lost
where
    F: Future<Output = ()> + Send + 'static,
{
    let act = Arc::new(act);
    let fake = Fake::start(move |mut session| {
        let act = act.clone();
        async move {
            let id = session.first_job().await;
            act(session, id).await;
        }
    });
    let mut job = fake.job().await;
    let exit = job.result().await;
    assert_eq!(exit.outcome, Outcome::NodeLost(NODE));
    assert_eq!((&*exit.function, exit.module), ("f", record(Outcome::Exited(0)).module));
    match job.failure() {
        Some(Error::NodeLost { node, why, .. }) => {
            assert_eq!(node, "one");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_that_closes_the_connection_is_quoted() {
    let why = lost(|session, _| async move { session.close_connection(Code::ShuttingDown, "power cut at six") }).await;
    assert_eq!(why, Lost::Closed { code: Some(Code::ShuttingDown), text: "power cut at six".into() });
    assert!(why.to_string().contains("power cut at six (shutting-down)"));
}

#[tokio::test]
async fn a_node_that_closes_the_computation_is_quoted_too() {
    let why = lost(|mut session, _| async move {
        session.send(Kind::Closed, 0, &Closed::because(Code::Denied, "grant withdrawn"), b"").await;
        session.hold().await;
    })
    .await;
    assert_eq!(why, Lost::Closed { code: Some(Code::Denied), text: "grant withdrawn".into() });
}

#[tokio::test]
async fn every_way_to_break_the_protocol_ends_the_computation_and_says_which() {
    let blob = |session: &Session| Blob { computation: session.computation, kind: BlobKind::Value, size: None };
    let head = |size| {
        let mut head = record(Outcome::Finished(Default::default())).to_head().0;
        head.blob = Some(size);
        head
    };
    let protocol = |why: Lost, part: &str| match why {
        Lost::Protocol(text) => assert!(text.contains(part), "{text} has no {part:?}"),
        other => panic!("{other}"),
    };
    let why = lost(|mut session, _| async move {
        session.raw(&[0xff, 0xff, 0xff, 0xff, 73, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).await;
        session.hold().await;
    });
    protocol(why.await, "4294967295 bytes is over the limit");
    let why = lost(|mut session, _| async move {
        session.raw(&[0, 0, 0, 0, 200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).await;
        session.hold().await;
    });
    protocol(why.await, "kind 200 is not known");
    let why = lost(|mut session, id| async move {
        session.bare(Kind::Submit, id, b"").await;
        session.hold().await;
    });
    protocol(why.await, "unexpected Submit");
    let why = lost(|mut session, id| async move {
        session.bare(Kind::Exit, id, b"").await;
        session.hold().await;
    });
    protocol(why.await, "Exit");
    let why = lost(|mut session, _| async move {
        session.send(Kind::Closed, 0, &Closed::done(), b"").await;
        session.hold().await;
    });
    protocol(why.await, "with jobs open");
    let why = lost(|mut session, _| async move {
        session.writer.stream_mut().finish().unwrap();
        session.hold().await;
    });
    protocol(why.await, "without saying why");
    let why = lost(|mut session, _| async move {
        session.raw(&[9, 0, 0]).await;
        session.writer.stream_mut().finish().unwrap();
        session.hold().await;
    });
    protocol(why.await, "inside a frame");
    let why = lost(move |mut session, id| async move {
        session.send(Kind::Exit, id, &head(limits::RESULT_BYTES as u64 + 1), b"").await;
        session.hold().await;
    });
    protocol(why.await, "over the limit");
    for (size, part) in [(5, "fewer bytes"), (3, "more bytes")] {
        let why = lost(move |mut session, id| async move {
            session.send(Kind::Exit, id, &head(size), b"").await;
            session.send_blob(id, &blob(&session), b"four").await;
            session.hold().await;
        });
        protocol(why.await, part);
    }
    let why = lost(move |mut session, id| async move {
        session.send(Kind::Exit, id, &head(5), b"").await;
        session.send(Kind::Exit, id, &head(5), b"").await;
        session.hold().await;
    });
    protocol(why.await, "second exit");
}

#[tokio::test]
async fn output_beyond_its_credit_is_not_kept() {
    let fake = Fake::start(|mut session| async move {
        let id = session.first_job().await;
        for _ in 0..=limits::OUTPUT_CREDIT / 0x8000 {
            session.bare(Kind::Stdout, id, &[0; 0x8000]).await;
        }
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    // Nobody takes the job's output, so there is no more credit than what it began with.
    let error = computation.close().await.unwrap_err();
    assert!(error.to_string().contains("beyond its credit"), "{error}");
    assert_eq!(job.failure(), Some(error));
}

#[tokio::test]
async fn a_frame_that_may_be_ignored_is() {
    let fake = Fake::start(|mut session| async move {
        let id = session.first_job().await;
        session.raw(&[4, 0, 0, 0, 1, 0x80, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'n', b'e', b'w', b'!']).await;
        session.bare(Kind::Stdout, 12345, b"for a job that is not").await;
        session.exit(id, Outcome::Exited(3)).await;
        session.hold().await;
    });
    assert_eq!(fake.job().await.result().await.outcome, Outcome::Exited(3));
}

#[tokio::test]
async fn streams_that_nobody_waits_for_are_dropped() {
    let fake = Fake::start(|mut session| async move {
        let id = session.first_job().await;
        for (job, computation, kind) in [
            (99, session.computation, BlobKind::Value),
            (id, 4711, BlobKind::Value),
            (id, session.computation, BlobKind::Stdin),
        ] {
            session.send_blob(job, &Blob { computation, kind, size: None }, b"junk").await;
        }
        session.exit(id, Outcome::Exited(3)).await;
        session.hold().await;
    });
    assert_eq!(fake.job().await.result().await.outcome, Outcome::Exited(3));
}

#[tokio::test]
async fn a_thousand_jobs_all_hear_of_a_lost_node_once() {
    const JOBS: usize = 1_000;
    let fake = Fake::start(|mut session| async move {
        session.prepare().await;
        for _ in 0..JOBS {
            session.expect(Kind::Submit).await;
        }
        session.close_connection(Code::Internal, "crashed");
    });
    let (computation, spec) = fake.computation().await;
    let mut jobs = Jobs::new();
    for _ in 0..JOBS {
        jobs.insert(computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap());
    }
    let mut exits = 0;
    while let Some((_, event, job)) = jobs.next_event().await {
        assert!(matches!(event, Event::Exit(exit) if exit.outcome == Outcome::NodeLost(NODE)));
        assert!(job.unwrap().failure().unwrap().to_string().contains("crashed"));
        exits += 1;
    }
    assert_eq!(exits, JOBS);
    assert!(matches!(computation.failure(), Some(Error::NodeLost { .. })));
    assert!(matches!(computation.close().await, Err(Error::NodeLost { .. })));
    let again = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await;
    assert!(matches!(again.err(), Some(Error::NodeLost { .. })));
}

#[tokio::test]
async fn a_node_that_goes_silent_is_lost_after_the_agreed_silence() {
    let fake = Fake::start(|mut session| async move {
        session.first_job().await;
        session.hold().await;
    });
    let (address, relay) = relay(fake.endpoint.local_addr().unwrap()).await;
    let options = ConnectOptions::default();
    let node = Node::connect(&address.to_string(), &fake.credentials(), options).await.unwrap();
    let computation = node.open("test").await.unwrap();
    let spec = computation.prepare(crate::fake::module()).await.unwrap();
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    // From here no packet comes through, and time passes as fast as the timers run out.
    drop(relay);
    tokio::time::pause();
    assert_eq!(job.result().await.outcome, Outcome::NodeLost(NODE));
    let failure = job.failure().unwrap();
    assert!(matches!(failure, Error::NodeLost { why: Lost::Silence(_), .. }), "{failure}");
    assert!(failure.to_string().contains("may still run"), "{failure}");
    assert_eq!(node.lost().await, failure);
}

/// Passes packets of one client on to a node and back, until it is dropped.
async fn relay(node: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let front = Arc::new(UdpSocket::bind(crate::fake::loopback()).await.unwrap());
    let back = Arc::new(UdpSocket::bind(crate::fake::loopback()).await.unwrap());
    back.connect(node).await.unwrap();
    let client = Arc::new(std::sync::Mutex::new(None));
    let address = front.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    let (from, to, seen) = (front.clone(), back.clone(), client.clone());
    tasks.spawn(async move {
        let mut buffer = vec![0; 65536];
        while let Ok((size, source)) = from.recv_from(&mut buffer).await {
            // The probe for a closed port comes from a socket of its own.
            if size > 1 {
                *seen.lock().unwrap() = Some(source);
                let _ = to.send(&buffer[..size]).await;
            }
        }
    });
    tasks.spawn(async move {
        let mut buffer = vec![0; 65536];
        while let Ok(size) = back.recv(&mut buffer).await {
            let target = *client.lock().unwrap();
            if let Some(target) = target {
                let _ = front.send_to(&buffer[..size], target).await;
            }
        }
    });
    (address, tasks)
}
