//! Rows 5 and 6: two nodes in processes of their own that send to each other, guest to guest, beside a raw QUIC echo between two
//! processes and beside Erlang distribution where its program is given.
//!
//! Of the echo there are two: one whose handlers are on the thread of their connection, at both ends, and one whose handlers are on
//! a second thread, as guests are: what the protocol costs, and what it costs with a hop to whoever answers.
//!
//! Guests have clocks of 100 us, so no single round trip can be seen: timed are batches, and the percentiles are those of the
//! batches' means. The others are timed in the same batches, so that like is compared with like.

use super::Row;
use super::engine::median;
use super::erlang::Distribution;
use super::process::{self, Server};
use anyhow::ensure;
use corovan_client::{Arguments, Computation, ConnectOptions, Credentials, Module, Node, Prepare};
use corovan_core::wire::Outcome;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 20_000;
/// A batch lasts milliseconds: a step of the guests' clock is about a fiftieth of it.
const BATCH: usize = 50;
const MESSAGES: usize = 1_000_000;
/// In turn with those beside it.
const TURNS: usize = 3;

/// `pong` takes the name `p` and answers so many messages; `ping` finds it and sends as many, each after the answer to the one
/// before, and ends with the nanoseconds of each batch, as a byte string of CBOR (its head from 4093 on). `sink` takes the
/// name `s` and receives; `flood` sends.
fn guests() -> String {
    let size = ROUNDS / BATCH * 8;
    let (last, length) = (4096 + size, size + 3);
    let head = format!("\\59\\{:02x}\\{:02x}", size >> 8, size & 0xff);
    format!(
        r#"(module
        (import "corovan" "self" (func $self (param i32) (result i32)))
        (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
        (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
        (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
        (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
        (import "corovan" "monotonic" (func $monotonic (result i64)))
        (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
        (memory (export "memory") 17)
        (data (i32.const 64) "ps")
        (data (i32.const 4093) "{head}")
        (func $ok (param i32) (if (i32.lt_s (local.get 0) (i32.const 0)) (then unreachable)))
        (func $is (param $name i32)
            (call $ok (call $self (i32.const 128)))
            (call $ok (call $register (local.get $name) (i32.const 1) (i32.const 128) (i64.const -1))))
        (func $find (param $name i32)
            (call $ok (call $locate (local.get $name) (i32.const 1) (i64.const -1) (i32.const 128))))
        (func $give (param $to i32)
            (call $ok (call $send (local.get $to) (i64.const 0) (i32.const 2048) (i32.const 64) (i64.const -1))))
        (func $take
            (call $ok (call $receive (i64.const -1) (i32.const 0) (i32.const 512) (i32.const 1024) (i32.const 64))))
        (func (export "pong") (local $i i32)
            (call $is (i32.const 64))
            (loop $next
                (call $take)
                ;; Its sender is in the message's header.
                (call $give (i32.const 544))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {ROUNDS})))))
        (func (export "ping") (local $i i32) (local $at i32) (local $begin i64)
            (call $find (i32.const 64))
            (local.set $at (i32.const 4096))
            (loop $batch
                (local.set $i (i32.const 0))
                (local.set $begin (call $monotonic))
                (loop $next
                    (call $give (i32.const 128))
                    (call $take)
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $i) (i32.const {BATCH}))))
                (i64.store (local.get $at) (i64.sub (call $monotonic) (local.get $begin)))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $batch (i32.lt_u (local.get $at) (i32.const {last}))))
            (call $ok (call $finish (i32.const 4093) (i32.const {length}))))
        (func (export "sink") (local $i i32)
            (call $is (i32.const 65))
            (loop $next
                (call $take)
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {MESSAGES})))))
        (func (export "flood") (local $i i32)
            (call $find (i32.const 65))
            (loop $next
                (call $give (i32.const 128))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {MESSAGES}))))))"#
    )
}

/// Row 5.
pub fn round_trips() -> anyhow::Result<Vec<Row>> {
    let erlang = Distribution::start()?;
    let (mut trips, mut raw, mut apart, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let dir = tempfile::tempdir()?;
    let mesh = Mesh::start(dir.path(), &guests())?;
    let (echo, echo_apart) = (Server::echo(dir.path())?, Server::echo_apart(dir.path())?);
    // Who waits for the echo there is on another thread than its connection as well.
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    for _ in 0..TURNS {
        let dialled = mesh.runtime.block_on(process::dial(&echo.address, &mesh.credentials))?;
        raw.extend(mesh.runtime.block_on(mesh.runtime.spawn(echo_batches(dialled)))??);
        let dialled = mesh.runtime.block_on(process::dial(&echo_apart.address, &mesh.credentials))?;
        apart.extend(other.block_on(other.spawn(echo_batches(dialled)))??);
        let (ping, _) = mesh.pair(["pong", "ping"])?;
        let nanos = ping.get(3..).unwrap_or_default().chunks_exact(8).map(|chunk| {
            let nanos = chunk.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
            nanos as f64 / BATCH as f64 / 1e3
        });
        trips.extend(nanos);
        if let Some(erlang) = &erlang {
            theirs.extend(erlang.measure("pingpong", &[ROUNDS, BATCH])?);
        }
    }
    ensure!(trips.len() == TURNS * ROUNDS / BATCH, "{} batches were told", trips.len());
    let mut rows = Vec::new();
    for (what, of) in [
        (String::from("mean"), mean as fn(&mut [f64]) -> f64),
        (format!("p50 of means of {BATCH} in a row"), median),
        (format!("p99 of means of {BATCH} in a row"), p99),
    ] {
        let value = of(&mut trips);
        // `target`: in words, and how many times the other's.
        let row = |measure: &str, other: (f64, &'static str), target: Option<(&'static str, f64)>| Row {
            number: "5",
            measure: format!("{measure}, {what}"),
            value,
            unit: "us",
            baseline: Some(other),
            target: target.map_or("", |(target, _)| target),
            met: target.map(|(_, times)| value <= times * other.0),
        };
        rows.push(row(
            "round trip between two node processes, guest to guest",
            (of(&mut raw), "raw quinn echo of 64 bytes, two processes, the same"),
            Some(("<= 1.8 x a plain raw quinn echo", 1.8)),
        ));
        rows.push(row(
            "the same beside handlers on a second thread",
            (of(&mut apart), "raw quinn echo, both handlers on another thread than their connections"),
            Some(("<= 1.3 x that", 1.3)),
        ));
        if !theirs.is_empty() {
            let erlang = "Erlang distribution over TCP, two processes; no encryption, no sandbox";
            rows.push(row("the same beside Erlang", (of(&mut theirs), erlang), None));
        }
    }
    Ok(rows)
}

/// Row 6.
pub fn one_way() -> anyhow::Result<Vec<Row>> {
    let erlang = Distribution::start()?;
    let dir = tempfile::tempdir()?;
    let mesh = Mesh::start(dir.path(), &guests())?;
    let (mut rates, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (_, took) = mesh.pair(["sink", "flood"])?;
        rates.push(MESSAGES as f64 / took);
        if let Some(erlang) = &erlang {
            theirs.extend(erlang.measure("oneway", &[MESSAGES])?);
        }
    }
    let (rate, theirs_rate) = (median(&mut rates), median(&mut theirs));
    Ok(vec![Row {
        number: "6",
        measure: "one-way 64-byte messages between two node processes, guest to guest".into(),
        value: rate,
        unit: "messages/s",
        baseline: (!theirs.is_empty()).then_some((theirs_rate, "Erlang distribution; no encryption, no sandbox")),
        target: ">= 1,000,000/s",
        met: Some(rate >= 1e6),
    }])
}

/// Two nodes in processes of their own, and clients of both.
pub struct Mesh {
    runtime: tokio::runtime::Runtime,
    credentials: Credentials,
    nodes: [Node; 2],
    module: Module,
    _servers: [Server; 2],
}

impl Mesh {
    pub fn start(dir: &Path, guests: &str) -> anyhow::Result<Mesh> {
        let credentials = process::certificates(dir)?;
        let a = Server::node(dir)?;
        let b = Server::peer(dir, &a.address)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let connect = |address| runtime.block_on(Node::connect(address, &credentials, ConnectOptions::default()));
        let nodes = [connect(&a.address)?, connect(&b.address)?];
        let module = Module::from_bytes(wat::parse_str(guests)?)?;
        Ok(Mesh { runtime, credentials, nodes, module, _servers: [a, b] })
    }

    /// Runs the first function on the second node and the second on the first: what that ended with, and the seconds until
    /// both had ended.
    pub fn pair(&self, [server, client]: [&str; 2]) -> anyhow::Result<(Vec<u8>, f64)> {
        self.runtime.block_on(async {
            let [here, there] = &self.nodes;
            let (here, there) = (here.open("bench").await?, there.open("bench").await?);
            let begin = Instant::now();
            let (_, value) = tokio::try_join!(run(&there, &self.module, server), run(&here, &self.module, client))?;
            let took = begin.elapsed().as_secs_f64();
            here.close().await?;
            there.close().await?;
            Ok((value, took))
        })
    }
}

async fn run(computation: &Computation, module: &Module, function: &str) -> anyhow::Result<Vec<u8>> {
    let spec = computation.prepare(Prepare::function(module.clone(), function)).await?;
    let record = computation.run(&spec, Arguments::none()).await?;
    match &record.outcome {
        Outcome::Finished(value) => Ok(value.to_vec()),
        other => anyhow::bail!("{function}: {other:?}"),
    }
}

/// Microseconds of a round trip, the mean of each batch.
async fn echo_batches((_endpoint, connection): (quinn::Endpoint, quinn::Connection)) -> anyhow::Result<Vec<f64>> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let (mut buffer, mut means) = ([0; 64], Vec::new());
    for _ in 0..ROUNDS / BATCH {
        let begin = Instant::now();
        for _ in 0..BATCH {
            send.write_all(&[7; 64]).await?;
            recv.read_exact(&mut buffer).await?;
        }
        means.push(begin.elapsed().as_secs_f64() / BATCH as f64 * 1e6);
    }
    connection.close(0u32.into(), b"");
    Ok(means)
}

fn mean(samples: &mut [f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

fn p99(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() * 99 / 100).copied().unwrap_or_default()
}
