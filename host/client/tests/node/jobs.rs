//! What a computation does with a node that behaves: modules, arguments, output under credit, input, results, many jobs.

use crate::fake::{Fake, Session, module, record, send_blob};
use bytes::Bytes;
use corovan_client::{Arguments, Error, Event, Jobs, SubmitOptions};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::exit::Outcome;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::*;
use std::time::Duration;

fn finished(bytes: &'static [u8]) -> Outcome {
    Outcome::Finished(Bytes::from_static(bytes))
}

fn large(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn a_module_is_sent_only_when_the_node_asks_for_it() {
    let fake = Fake::start(|mut session| async move {
        let prepare = session.expect(Kind::Prepare).await;
        let request: Prepare = prepare.record().unwrap();
        assert_eq!((request.size, request.function.as_deref()), (6, Some("f")));
        session.bare(Kind::NeedModule, prepare.id, b"").await;
        let (id, blob, bytes) = session.blob().await;
        assert_eq!((id, blob.kind, blob.size), (prepare.id, BlobKind::Module, Some(6)));
        assert_eq!((blob.computation, &bytes[..]), (session.computation, &b"module"[..]));
        assert_eq!(corovan_core::ids::ModuleHash::of(&bytes), request.module);
        session.bare(Kind::Prepared, id, b"").await;
        session.prepare().await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    assert_eq!(spec.function(), "f");
    computation.prepare(module()).await.unwrap();
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_what_the_caller_hears() {
    let fake = Fake::start(|mut session| async move {
        let id = session.expect(Kind::Prepare).await.id;
        session.bare(Kind::NeedModule, id, b"").await;
        let (.., mut stream) = session.blob_stream().await;
        stream.stop(corovan_client::transport::close_code(Some(Code::NoSpace))).unwrap();
        session.send(Kind::Refused, id, &Refused { code: Code::NoSpace, text: "disk full".into() }, b"").await;
        session.hold().await;
    });
    let computation = fake.connect().await.open("test").await.unwrap();
    let big = corovan_client::Module::from_bytes(large(limits::MODULE_BYTES)).unwrap();
    let error = computation.prepare(corovan_client::Prepare::command(big)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: Code::NoSpace, .. }), "{error}");
}

#[tokio::test]
async fn events_come_in_order_and_the_exit_is_the_last() {
    let fake = Fake::start(|mut session| async move {
        session.prepare().await;
        let submit = session.expect(Kind::Submit).await;
        assert_eq!(submit.payload, Arguments::of(&(1.5,)).unwrap().as_bytes());
        let id = submit.id;
        let address = record(Outcome::Exited(0)).address;
        session.send(Kind::Started, id, &Started { address }, b"").await;
        session.bare(Kind::Stdout, id, b"out").await;
        session.bare(Kind::Stderr, id, b"err").await;
        session.send(Kind::Log, id, &Log { level: 3, text: "line".into(), dropped: 0 }, b"").await;
        session.send(Kind::Progress, id, &Progress { done: 1, total: 2, text: "half".into() }, b"").await;
        session.exit(id, finished(&[7])).await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let mut job = computation.submit(&spec, Arguments::of(&(1.5,)).unwrap(), SubmitOptions::default()).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = job.next_event().await {
        events.push(event);
    }
    let exit = record(finished(&[7]));
    let expected = [
        Event::Started { address: exit.address },
        Event::Stdout(Bytes::from_static(b"out")),
        Event::Stderr(Bytes::from_static(b"err")),
        Event::Log { level: 3, text: "line".into(), dropped: 0 },
        Event::Progress { done: 1, total: 2, text: "half".into() },
        Event::Exit(exit.clone().into()),
    ];
    assert_eq!(events, expected);
    assert_eq!(job.address(), Some(exit.address));
    assert_eq!((job.failure(), job.next_event().await), (None, None));
    assert_eq!(*job.result().await, exit, "and it can be asked for again");
}

#[tokio::test]
async fn output_that_nobody_takes_is_not_paid_for_and_all_of_it_comes_when_somebody_does() {
    const TOTAL: usize = 4 * limits::OUTPUT_CREDIT as usize;
    let fake = Fake::start(|mut session| async move {
        let id = session.first_job().await;
        let mut credit = limits::OUTPUT_CREDIT as usize;
        let data = large(TOTAL);
        let mut sent = 0;
        let mut submitted = false;
        while sent < TOTAL {
            while credit > 0 && sent < TOTAL {
                let part = credit.min(1000).min(TOTAL - sent);
                session.bare(Kind::Stdout, id, &data[sent..sent + part]).await;
                (sent, credit) = (sent + part, credit - part);
            }
            if sent == TOTAL {
                break;
            }
            let frame = session.next().await.unwrap();
            match frame.kind {
                Kind::Submit => {
                    submitted = true;
                    session.exit(frame.id, finished(&[1])).await;
                }
                Kind::Credit => {
                    assert!(submitted, "credit came back before anything was taken");
                    credit += frame.record::<Credit>().unwrap().bytes as usize;
                    assert!(credit <= limits::OUTPUT_CREDIT as usize, "more credit than was used");
                }
                other => panic!("{other:?}"),
            }
        }
        session.exit(id, Outcome::Exited(0)).await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    // A whole other job comes and goes while the first one's output waits; frames are in order, so had the client paid
    // by itself, the node would have seen it before this.
    computation.run(&spec, Arguments::none()).await.unwrap();
    let mut taken = Vec::new();
    let exit = loop {
        match job.next_event().await.unwrap() {
            Event::Stdout(bytes) => taken.extend_from_slice(&bytes),
            Event::Exit(exit) => break exit,
            other => panic!("{other:?}"),
        }
    };
    assert!(taken == large(TOTAL));
    assert_eq!(exit.outcome, Outcome::Exited(0));
}

#[tokio::test]
async fn a_user_who_does_not_look_costs_a_bounded_number_of_events() {
    let lines = limits::JOB_EVENTS as u64 * 3;
    let fake = Fake::start(move |mut session| async move {
        let id = session.first_job().await;
        for line in 0..lines {
            session
                .writer
                .queue(Kind::Progress, id, &Progress { done: line, total: lines, text: "".into() }, b"")
                .unwrap();
            session.writer.queue_bare(Kind::Stdout, id, b"o").unwrap();
            session.writer.queue_bare(Kind::Stderr, id, b"e").unwrap();
            session.writer.queue(Kind::Log, id, &Log { level: 3, text: line.to_string(), dropped: 0 }, b"").unwrap();
        }
        session.exit(id, Outcome::Exited(0)).await;
        session.expect(Kind::Close).await;
        session.send(Kind::Closed, 0, &Closed::done(), b"").await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    // When this returns, everything has come.
    computation.close().await.unwrap();
    let (mut out, mut err, mut logged, mut events, mut last) = (0, 0, 0, 0, 0);
    while let Some(event) = job.next_event().await {
        events += 1;
        match event {
            Event::Stdout(bytes) => out += bytes.len() as u64,
            Event::Stderr(bytes) => err += bytes.len() as u64,
            Event::Log { dropped, .. } => logged += 1 + dropped,
            Event::Progress { done, .. } => last = done,
            _ => {}
        }
    }
    assert_eq!((out, err, last), (lines, lines, lines - 1), "no output is lost, and progress is the latest");
    assert!(events <= limits::JOB_EVENTS + 4, "{events}");
    assert!(logged > 0 && logged <= lines);
}

#[tokio::test]
async fn ten_thousand_jobs_in_flight_each_get_their_own_result() {
    const JOBS: u64 = 10_000;
    let fake = Fake::start(|mut session| async move {
        session.prepare().await;
        let mut open = Vec::new();
        while (open.len() as u64) < JOBS {
            let submit = session.expect(Kind::Submit).await;
            open.push((submit.id, submit.payload));
        }
        for (id, payload) in open.into_iter().rev() {
            let (head, value) = record(Outcome::Finished(payload)).to_head();
            session.writer.queue(Kind::Exit, id, &head, &value).unwrap();
        }
        session.writer.flush().await.unwrap();
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let mut jobs = Jobs::new();
    for n in 1..=JOBS {
        let arguments = Arguments::of(&(n,)).unwrap();
        let key = jobs.insert(computation.submit(&spec, arguments, SubmitOptions::default()).await.unwrap());
        assert_eq!(key, n);
    }
    let mut ended = 0;
    while let Some((key, event, job)) = jobs.next_event().await {
        let Event::Exit(exit) = event else { panic!("{event:?}") };
        assert_eq!(exit.outcome.value().unwrap(), Arguments::of(&(key,)).unwrap().as_bytes());
        assert!(job.unwrap().failure().is_none());
        ended += 1;
    }
    assert_eq!(ended, JOBS);
}

#[tokio::test]
async fn submit_waits_while_the_node_has_as_many_jobs_as_it_takes() {
    let fake = Fake::start_with(2, |mut session| async move {
        session.prepare().await;
        let first = session.expect(Kind::Submit).await.id;
        let second = session.expect(Kind::Submit).await.id;
        session.exit(second, finished(&[2])).await;
        let third = session.expect(Kind::Submit).await.id;
        session.exit(first, finished(&[1])).await;
        session.exit(third, finished(&[3])).await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let submit = || computation.submit(&spec, Arguments::none(), SubmitOptions::default());
    let (mut first, mut second) = (submit().await.unwrap(), submit().await.unwrap());
    // The third gets its place when the second ends, not earlier: the node would see three submits in a row.
    let mut third = submit().await.unwrap();
    for (job, value) in [(&mut first, 1), (&mut second, 2), (&mut third, 3)] {
        assert_eq!(job.result().await.outcome.value().unwrap()[..], [value]);
    }
}

#[tokio::test]
async fn large_arguments_and_results_take_streams_of_their_own() {
    let size = limits::INLINE_PAYLOAD * 20;
    for exit_first in [true, false] {
        let fake = Fake::start(move |mut session| async move {
            session.prepare().await;
            let submit = session.expect(Kind::Submit).await;
            let (id, blob, bytes) = session.blob().await;
            assert_eq!((id, blob.kind, submit.payload.len()), (submit.id, BlobKind::Arguments, 0));
            assert_eq!(submit.record::<Submit>().unwrap().blob, Some(bytes.len() as u64));
            let value = Blob { computation: session.computation, kind: BlobKind::Value, size: None };
            let (mut head, _) = record(finished(&[])).to_head();
            head.blob = Some(bytes.len() as u64);
            if exit_first {
                session.send(Kind::Exit, id, &head, b"").await;
                session.send_blob(id, &value, &bytes).await;
            } else {
                // The job still runs when its value's stream comes: the exit is written only when the stream is open.
                let connection = session.connection.clone();
                let exit = session.send(Kind::Exit, id, &head, b"");
                tokio::join!(biased; send_blob(&connection, id, &value, &bytes), exit);
            }
            session.hold().await;
        });
        let (computation, spec) = fake.computation().await;
        let arguments = Arguments::of(&(serde_json::json!("x".repeat(size)),)).unwrap();
        let exit = computation.run(&spec, arguments.clone()).await.unwrap();
        assert_eq!(exit.outcome.value().unwrap(), arguments.as_bytes());
    }
}

async fn cancel_of(session: &mut Session) -> (u64, Cancel) {
    let frame = session.expect(Kind::Cancel).await;
    (frame.id, frame.record().unwrap())
}

#[tokio::test]
async fn cancel_asks_for_the_end_and_a_dropped_job_is_cancelled() {
    let fake = Fake::start(|mut session| async move {
        let first = session.first_job().await;
        let (id, cancel) = cancel_of(&mut session).await;
        assert_eq!((id, cancel.reason.as_str(), cancel.grace), (first, "enough", Some(2_000_000)));
        let end = Outcome::Terminated { by: "client".into(), reason: cancel.reason, value: None };
        session.exit(id, end).await;
        let second = session.expect(Kind::Submit).await.id;
        let (id, cancel) = cancel_of(&mut session).await;
        assert_eq!((id, cancel.grace), (second, None));
        // What still comes for it is dropped, and its output is paid for, so that it is not held up.
        for _ in 0..4 {
            session.bare(Kind::Stdout, id, &[0; limits::OUTPUT_CREDIT as usize / 4]).await;
        }
        // The client closes as soon as it has dropped the job; what it still owes for the job comes all the same.
        session.expect(Kind::Close).await;
        let credit: Credit = session.expect(Kind::Credit).await.record().unwrap();
        assert_eq!(credit.bytes, limits::OUTPUT_CREDIT / 4);
        session.exit(id, Outcome::Exited(0)).await;
        session.send(Kind::Closed, 0, &Closed::done(), b"").await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    job.cancel("enough", Some(Duration::from_millis(2)));
    assert_eq!(job.result().await.outcome.name(), "terminated");
    drop(job);
    let job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    drop(job);
    computation.close().await.unwrap();
    let late = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await;
    assert_eq!(late.err(), Some(Error::Closed));
    assert_eq!(computation.prepare(module()).await.err(), Some(Error::Closed));
}

#[tokio::test]
async fn a_dropped_computation_ends_its_stream() {
    let (ended, mut heard) = tokio::sync::mpsc::channel(1);
    let fake = Fake::start(move |mut session| {
        let ended = ended.clone();
        async move {
            session.prepare().await;
            while session.next().await.is_some() {}
            ended.send(()).await.unwrap();
        }
    });
    let node = fake.connect().await;
    let computation = node.open("test").await.unwrap();
    let spec = computation.prepare(module()).await.unwrap();
    let job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
    drop(computation);
    drop(job);
    heard.recv().await.unwrap();
    assert_eq!(node.failure(), None, "the connection goes on");
}

#[tokio::test]
async fn input_goes_to_the_job_until_its_end_or_until_the_job_takes_no_more() {
    let fake = Fake::start(|mut session| async move {
        session.prepare().await;
        let first = session.expect(Kind::Submit).await;
        assert!(first.record::<Submit>().unwrap().stdin);
        let (id, blob, bytes) = session.blob().await;
        assert_eq!((id, blob.kind, &bytes[..]), (first.id, BlobKind::Stdin, &b"hello world"[..]));
        session.exit(id, finished(&[1])).await;
        let (_, _, _, mut stream) = session.blob_stream().await;
        stream.stop(corovan_client::transport::close_code(None)).unwrap();
        let (_, _, first, mut cut) = session.blob_stream().await;
        assert!(first.is_empty());
        assert!(cut.read_to_end(100).await.is_err(), "an input that was given up is not a whole input");
        session.close_connection(Code::ShuttingDown, "over");
    });
    let (computation, spec) = fake.computation().await;
    let stdin = || SubmitOptions { stdin: true, ..SubmitOptions::default() };
    let mut job = computation.submit(&spec, Arguments::none(), stdin()).await.unwrap();
    let mut input = job.stdin().await.unwrap();
    assert!(job.stdin().await.is_err(), "once");
    input.write(b"hello ").await.unwrap();
    input.write(b"world").await.unwrap();
    input.finish();
    job.result().await;

    let mut job = computation.submit(&spec, Arguments::none(), stdin()).await.unwrap();
    let mut input = job.stdin().await.unwrap();
    input.closed().await;
    assert_eq!(input.write(b"more").await, Err(Error::InputClosed));
    drop(input);

    let mut third = computation.submit(&spec, Arguments::none(), stdin()).await.unwrap();
    drop(third.stdin().await.unwrap());
    assert_eq!(third.result().await.outcome.name(), "node-lost");
    let mut plain = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await;
    assert!(plain.as_mut().is_err(), "the node is gone");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is() {
    let fake = Fake::start(|mut session| async move {
        session.prepare().await;
        session.hold().await;
    });
    let (computation, spec) = fake.computation().await;
    let argv = |size: usize| SubmitOptions { argv: vec!["x".repeat(size)], ..SubmitOptions::default() };
    for size in [limits::FRAME_HEAD, limits::ARGV_BYTES + 1] {
        let error = computation.submit(&spec, Arguments::none(), argv(size)).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    let stdin = || SubmitOptions { stdin: true, ..SubmitOptions::default() };
    let mut held = Vec::new();
    for _ in 0..limits::STDIN_STREAMS {
        held.push(computation.submit(&spec, Arguments::none(), stdin()).await.unwrap());
    }
    let error = computation.submit(&spec, Arguments::none(), stdin()).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
    held.pop();
    computation.submit(&spec, Arguments::none(), stdin()).await.unwrap();
    let elsewhere = fake.computation().await.1;
    assert!(computation.submit(&elsewhere, Arguments::none(), SubmitOptions::default()).await.is_err());
    assert!(fake.connect().await.open(&"x".repeat(limits::NAME_BYTES + 1)).await.is_err());
    assert!(corovan_client::Module::from_bytes(vec![0; limits::MODULE_BYTES + 1]).is_err());
}
