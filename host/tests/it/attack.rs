//! Hostile clients and guests against a node in this process: every job ends once, nothing stays behind, others are served.

use crate::in_process::{Cluster, ECHO, module, prepare, run};
use crate::support::{Bench, Remember};
use corovan_client::framed::{FrameReader, FrameWriter};
use corovan_client::{Arguments, Prepare};
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::exit::ExitHead;
use corovan_core::wire::records::{self, Blob, BlobKind, Cancel, Closed, Open, Opened, Submit};
use corovan_core::wire::{Frame, Kind, Outcome};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A client that sends what it likes.
struct Raw {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

/// One control stream of it.
struct Stream {
    reader: FrameReader<quinn::RecvStream>,
    writer: FrameWriter<quinn::SendStream>,
    computation: u64,
}

impl Raw {
    async fn connect(cluster: &Cluster, tenant: &str) -> Raw {
        let credentials = cluster.credentials(Role::Tenant, tenant);
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(credentials.client_config().unwrap());
        let name = credentials.identity.principal().cluster_dns_name();
        let connection = endpoint.connect(cluster.node.address(), &name).unwrap().await.unwrap();
        Raw { connection, _endpoint: endpoint }
    }

    async fn open(&self) -> Stream {
        let (send, recv) = self.connection.open_bi().await.unwrap();
        let mut stream = Stream { reader: FrameReader::new(recv), writer: FrameWriter::new(send), computation: 0 };
        stream.send(Kind::Open, 0, &Open::new("attack", ""), b"").await;
        let opened: Opened = stream.next().await.record().unwrap();
        stream.computation = opened.computation;
        stream
    }

    /// A one-way stream that has begun.
    async fn blob(&self, computation: u64, kind: BlobKind, id: u64, bytes: &[u8]) -> quinn::SendStream {
        let mut writer = FrameWriter::new(self.connection.open_uni().await.unwrap());
        writer.queue(Kind::Blob, id, &Blob { computation, kind, size: None }, b"").unwrap();
        writer.flush().await.unwrap();
        let mut stream = writer.into_inner();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// A computation with this function prepared as spec 1.
    async fn prepared(&self, wat: &str, function: &str) -> Stream {
        let mut stream = self.open().await;
        let module = module(wat);
        let size = module.bytes().len() as u64;
        let function = Some(function.to_owned());
        let prepare = records::Prepare {
            module: module.hash(),
            size,
            function,
            limits: Default::default(),
            env: Vec::new(),
            terminals: 0,
        };
        stream.send(Kind::Prepare, 1, &prepare, b"").await;
        let mut answer = stream.next().await;
        if answer.kind == Kind::NeedModule {
            let mut blob = self.blob(stream.computation, BlobKind::Module, 1, module.bytes()).await;
            blob.finish().unwrap();
            answer = stream.next().await;
        }
        assert_eq!(answer.kind, Kind::Prepared);
        stream
    }
}

impl Stream {
    async fn send<T: Serialize>(&mut self, kind: Kind, id: u64, head: &T, payload: &[u8]) {
        self.writer.queue(kind, id, head, payload).unwrap();
        self.writer.flush().await.unwrap();
    }

    async fn submit(&mut self, job: u64, submit: Submit) {
        self.send(Kind::Submit, job, &submit, b"").await;
    }

    async fn next(&mut self) -> Frame {
        self.reader.next().await.unwrap().expect("the node ended the stream")
    }

    /// The exit of a job; whatever comes before is skipped.
    async fn exit(&mut self, job: u64) -> ExitHead {
        loop {
            let frame = self.next().await;
            if frame.kind == Kind::Exit {
                assert_eq!(frame.id, job);
                return frame.record().unwrap();
            }
            assert_ne!(frame.kind, Kind::Closed, "{:?}", frame.record::<Closed>());
        }
    }

    async fn started(&mut self, job: u64) {
        let frame = self.next().await;
        assert_eq!((frame.kind, frame.id), (Kind::Started, job));
    }

    async fn closed(&mut self) -> Closed {
        loop {
            let frame = self.next().await;
            if frame.kind == Kind::Closed {
                return frame.record().unwrap();
            }
        }
    }
}

/// Job of spec 1.
fn job() -> Submit {
    Submit { spec: 1, ..Submit::default() }
}

/// Waits until the node holds nothing of a tenant that has gone.
async fn is_forgotten(cluster: &Cluster, name: &str) {
    let tenant = cluster.node.service().tenants.get(name);
    let is_zero = || Resource::ALL.iter().all(|resource| tenant.ledger.used(*resource) == 0);
    // Sessions, jobs and coroutines refer to their tenant: the last reference is ours.
    let mut looks = 0;
    while !is_zero() || Arc::strong_count(&tenant) > 1 {
        let used = Resource::ALL.map(|resource| tenant.ledger.used(resource));
        looks += 1;
        assert!(looks < 10_000, "{used:?} in use, {} references", Arc::strong_count(&tenant));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn others_are_served(cluster: &Cluster) {
    let computation = cluster.open("bystander").await;
    let spec = prepare(&computation, ECHO, "echo").await;
    let record = computation.run(&spec, Arguments::of(&(5,)).unwrap()).await.unwrap();
    assert_eq!(record.outcome, Outcome::Finished(vec![0x81, 5].into()));
}

#[test]
fn a_job_number_that_is_used_twice_ends_the_computation_and_both_jobs() {
    run(async {
        let cluster = Cluster::start(16).await;
        let too_large = Submit { blob: Some(u64::MAX), ..job() };
        for second in [job(), too_large] {
            let raw = Raw::connect(&cluster, "mallory").await;
            let mut stream = raw.prepared(ECHO, "sleeps").await;
            stream.submit(7, job()).await;
            stream.started(7).await;
            stream.submit(7, second).await;
            assert_eq!(stream.closed().await.code, Some(Code::Protocol));
            cluster.has_load(0, 0).await;
            raw.connection.close(0u32.into(), b"");
            is_forgotten(&cluster, "mallory").await;
        }
    });
}

#[test]
fn input_that_comes_after_its_job_is_waited_for_no_longer_than_its_computation_lasts() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let (open, mut over) = (raw.open().await, raw.open().await);
        // The node might yet hear of a job of this number; the first of the two is given up first, were it by time alone.
        let first = raw.blob(open.computation, BlobKind::Stdin, 7, b"early").await;
        others_are_served(&cluster).await;
        let second = raw.blob(over.computation, BlobKind::Stdin, 7, b"late").await;
        others_are_served(&cluster).await;
        over.send(Kind::Close, 0, &(), b"").await;
        tokio::select! {
            biased;
            _ = first.stopped() => panic!("its computation is open"),
            stopped = second.stopped() => assert!(stopped.unwrap().is_some()),
        }
    });
}

#[test]
fn a_job_whose_arguments_never_come_can_be_cancelled_and_is_forgotten_with_its_client() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let mut stream = raw.prepared(ECHO, "echo").await;
        let large = || Submit { blob: Some(1 << 20), ..job() };
        // No stream at all, one that stalls, one that is reset, one that is too long, one that is too short.
        stream.submit(1, large()).await;
        stream.send(Kind::Cancel, 1, &Cancel::default(), b"").await;
        stream.exit(1).await;

        stream.submit(2, large()).await;
        let stalled = raw.blob(stream.computation, BlobKind::Arguments, 2, &[0; 1000]).await;
        stream.send(Kind::Cancel, 2, &Cancel::default(), b"").await;
        stream.exit(2).await;
        // The node has let go of the stream, too.
        assert!(stalled.stopped().await.unwrap().is_some());

        // More than a window: when it is written, the node has begun to read.
        stream.submit(3, Submit { blob: Some(10 << 20), ..job() }).await;
        let sent = vec![0; limits::STREAM_WINDOW as usize + 1000];
        let mut reset = raw.blob(stream.computation, BlobKind::Arguments, 3, &sent).await;
        reset.reset(0u32.into()).unwrap();
        assert_eq!(stream.exit(3).await.outcome, 10);

        stream.submit(4, large()).await;
        raw.blob(stream.computation, BlobKind::Arguments, 4, &vec![0; (1 << 20) + 1]).await;
        assert_eq!(stream.exit(4).await.outcome, 10);

        stream.submit(5, large()).await;
        raw.blob(stream.computation, BlobKind::Arguments, 5, &[0x80]).await.finish().unwrap();
        assert_eq!(stream.exit(5).await.outcome, 10);

        stream.submit(6, large()).await;
        stream.submit(7, large()).await;
        let _stalled = raw.blob(stream.computation, BlobKind::Arguments, 7, &[0; 1000]).await;
        others_are_served(&cluster).await;
        raw.connection.close(0u32.into(), b"");
        is_forgotten(&cluster, "mallory").await;
    });
}

/// Told to end, it still logs, writes and finishes with two kilobytes.
const LAST_WORDS: &str = r#"(module
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\59\08\00")
    (data (i32.const 4096) "\00\20\00\00\10\00\00\00")
    (func (export "f")
        (drop (call $sleep (i64.const -1)))
        (drop (call $log (i32.const 3) (i32.const 8192) (i32.const 100)))
        (drop (call $progress (i64.const 1) (i64.const 2) (i32.const 8192) (i32.const 10)))
        (drop (call $write (i32.const 1) (i32.const 4096) (i32.const 1) (i32.const 5000)))
        (if (call $finish (i32.const 0) (i32.const 2051)) (then unreachable))))"#;

#[test]
fn the_last_words_of_jobs_whose_client_is_gone_are_not_kept() {
    run(async {
        let cluster = Cluster::start(64).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let mut stream = raw.prepared(LAST_WORDS, "f").await;
        for number in 0..64 {
            stream.submit(number, job()).await;
        }
        cluster.has_load(64, 0).await;
        raw.connection.close(0u32.into(), b"");
        cluster.has_load(0, 0).await;
        is_forgotten(&cluster, "mallory").await;
    });
}

#[test]
fn a_thousand_jobs_in_every_state_leave_nothing_behind_when_their_client_vanishes() {
    run(async {
        let cluster = Cluster::start(64).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let mut stream = raw.prepared(LAST_WORDS, "f").await;
        let mut inputs = Vec::new();
        for number in 0..1_000 {
            let submit = Submit {
                stdin: number % 3 == 0,
                blob: (number % 5 == 0).then_some(100_000),
                argv: vec!["x".into(); 3],
                ..job()
            };
            stream.submit(number, submit).await;
            if number % 50 == 0 {
                inputs.push(raw.blob(stream.computation, BlobKind::Arguments, number, &[1; 10]).await);
            }
            if number % 7 == 0 {
                let cancel = Cancel { grace: (number % 2 == 0).then_some(u64::MAX), ..Cancel::default() };
                stream.send(Kind::Cancel, number, &cancel, b"").await;
            }
        }
        raw.connection.close(0u32.into(), b"");
        cluster.has_load(0, 0).await;
        is_forgotten(&cluster, "mallory").await;
        others_are_served(&cluster).await;
    });
}

#[test]
fn a_result_that_waits_for_the_end_of_what_its_job_made_is_charged() {
    const LEAVES: &str = r#"(module
        (import "corovan" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (memory (export "memory") 32)
        (data (i32.const 0) "sleeps\80") (data (i32.const 64) "\5a\00\10\00\00")
        (func (export "sleeps") (drop (call $sleep (i64.const 3600000000000))))
        (func (export "f")
            (if (call $spawn (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 1) (i32.const 0) (i32.const 16)) (then unreachable))
            (if (call $finish (i32.const 64) (i32.const 1048581)) (then unreachable))))"#;
    run(async {
        let cluster = Cluster::start(64).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let mut stream = raw.prepared(LEAVES, "f").await;
        stream.submit(1, job()).await;
        let tenant = cluster.node.service().tenants.get("mallory");
        // Once as the record that others may ask for, once as what its client is to be told.
        let mut looks = 0;
        while tenant.ledger.used(Resource::Held) < 2 << 20 {
            looks += 1;
            assert!(looks < 10_000, "{} bytes", tenant.ledger.used(Resource::Held));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(tenant);
        stream.send(Kind::Cancel, 1, &Cancel::default(), b"").await;
        stream.exit(1).await;
        raw.connection.close(0u32.into(), b"");
        is_forgotten(&cluster, "mallory").await;
    });
}

#[test]
fn every_job_has_one_exit_and_nothing_after_it() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster, "mallory").await;
        let mut stream = raw.prepared(LAST_WORDS, "f").await;
        for number in 0..300 {
            let blob = (number % 10 == 0).then_some(if number % 20 == 0 { u64::MAX } else { 70_000 });
            let spec = 1 + u64::from(number % 11 == 0);
            stream.submit(number, Submit { spec, blob, ..Submit::default() }).await;
        }
        for number in 0..300 {
            let grace = if number % 2 == 0 { Some(0) } else { None };
            stream.send(Kind::Cancel, number, &Cancel { grace, ..Cancel::default() }, b"").await;
        }
        stream.writer.queue_bare(Kind::Close, 0, b"").unwrap();
        stream.writer.flush().await.unwrap();
        let mut exits: HashMap<u64, usize> = HashMap::new();
        loop {
            let frame = stream.next().await;
            match frame.kind {
                Kind::Exit => *exits.entry(frame.id).or_default() += 1,
                Kind::Closed => break,
                _ => assert!(!exits.contains_key(&frame.id), "{:?} after the exit of {}", frame.kind, frame.id),
            }
        }
        assert_eq!(exits.len(), 300);
        assert!(exits.values().all(|count| *count == 1), "{exits:?}");
        raw.connection.close(0u32.into(), b"");
        is_forgotten(&cluster, "mallory").await;
    });
}

#[test]
fn an_answer_that_quotes_the_module_is_cut_and_arrives() {
    run(async {
        let cluster = Cluster::start(16).await;
        let computation = cluster.open("mallory").await;
        let name = "n".repeat(50_000);
        let wat = format!(r#"(module (func (export "{name}")) (func (export "{name}2")))"#);
        let error = computation.prepare(Prepare::function(module(&wat), "other")).await.unwrap_err();
        assert!(error.to_string().len() < 2 * limits::TEXT_BYTES, "{}", error.to_string().len());
    });
}

#[test]
fn one_tenant_cannot_take_all_connections() {
    run(async {
        let cluster = Cluster::start(16).await;
        let mut all = Vec::new();
        for _ in 0..limits::TENANT_CONNECTIONS {
            let raw = Raw::connect(&cluster, "mallory").await;
            raw.open().await;
            all.push(raw);
        }
        let one_more = Raw::connect(&cluster, "mallory").await;
        match one_more.connection.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code.into_inner(), u64::from(Code::Overloaded.number()));
            }
            other => panic!("{other}"),
        }
        others_are_served(&cluster).await;
        drop(all);
        is_forgotten(&cluster, "mallory").await;
        Raw::connect(&cluster, "mallory").await.open().await;
    });
}

#[test]
fn texts_and_times_beyond_all_bounds_are_borne() {
    // A log line of 60 MiB, a result that is an array of 16 million items, output in single bytes of two streams.
    let wat = r#"(module
        (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
        (import "corovan" "log" (func $log (param i32 i32 i32) (result i32)))
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (import "corovan" "wait" (func $wait (param i32 i32 i64) (result i32)))
        (memory (export "memory") 1000)
        (data (i32.const 0) "\9a\00\ff\ff\fb")
        (func (export "f")
            (if (call $log (i32.const 3) (i32.const 1000) (i32.const 60000000)) (then unreachable))
            (if (call $finish (i32.const 0) (i32.const 16777216)) (then unreachable))
            (i64.store (i32.const 0) (i64.const 1))
            (i64.store (i32.const 8) (i64.const -1))
            (if (i32.ne (call $wait (i32.const 0) (i32.const 1) (i64.const 1)) (i32.const -TIMEOUT)) (then unreachable))
            (drop (call $sleep (i64.const -2)))
            unreachable))"#;
    let bench = Bench::manual();
    let wat = wat.replace("TIMEOUT", &Code::Timeout.number().to_string());
    let seen = bench.run(&wat, "f", Duration::from_secs(3599));
    assert!(seen.exits.lock().is_empty());
    assert_eq!(bench.ledger.used(Resource::Held), 16 << 20);
    bench.advance(Duration::from_secs(3601));
    assert!(matches!(seen.outcome(), Outcome::Deadline { .. }), "{:?}", seen.outcome());
    assert_eq!(seen.logs.lock()[0].1.len(), limits::TEXT_BYTES);
    for resource in Resource::ALL {
        bench.close();
        assert_eq!(bench.ledger.used(resource), 0, "{resource}");
    }
}

#[test]
fn a_thousand_cancellations_are_one_timer_and_the_shortest_grace_counts() {
    let wat = r#"(module
        (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
        (func (export "f") (loop (drop (call $sleep (i64.const -1))) (br 0))))"#;
    let bench = Bench::manual();
    let (program, seen) = (bench.program(wat, "f"), Arc::new(Remember::default()));
    let control = bench.runtime.launch(bench.launch(&program, &seen)).unwrap();
    bench.advance(Duration::ZERO);
    let before = bench.runtime.scheduler.timers();
    for _ in 0..1_000 {
        bench.runtime.terminate(&control, "client", "flood", Duration::from_secs(5));
    }
    bench.runtime.terminate(&control, "client", "now", Duration::from_secs(1));
    assert_eq!(bench.runtime.scheduler.timers(), before + 2);
    bench.advance(Duration::from_secs(2));
    let terminated = |by: &str, reason: &str| by == "client" && reason == "flood";
    let outcome = seen.outcome();
    assert!(matches!(&outcome, Outcome::Terminated { by, reason, .. } if terminated(by, reason)), "{outcome:?}");
    assert_eq!(seen.exits.lock()[0].usage.wall, 1_000_000_000);
}
