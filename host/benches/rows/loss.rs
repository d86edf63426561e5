//! Row 11: a node dies, by SIGKILL or by standing still (SIGSTOP), and clients are told: the one whose job ran there, and one
//! of another node whose coroutine monitors a coroutine there. Beside a raw QUIC connection with the same settings, whose
//! other end dies at the same moment; and, where its program is given, beside a node of Erlang that monitors another, which dies so.

use super::Row;
use super::erlang;
use super::process::{self, Server};
use anyhow::{Context, ensure};
use corovan_client::{Arguments, Computation, ConnectOptions, Credentials, Event, Job, Module, Node, Prepare};
use corovan_client::{Error, SubmitOptions};
use corovan_core::wire::Outcome;
use rustix::process::Signal;
use std::path::Path;
use std::time::Instant;

/// Each is some seconds of waiting.
const ROUNDS: usize = 5;

/// `held` takes the name `h` and waits for ever; `watch` finds and monitors it, and ends with the exit message (its kind is
/// checked). Both make progress when they have come so far.
const GUESTS: &str = r#"(module
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
    (import "corovan" "monitor" (func $monitor (param i32) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 17)
    (data (i32.const 64) "h")
    (func $ok (param i32) (if (i32.lt_s (local.get 0) (i32.const 0)) (then unreachable)))
    (func $ready
        (call $ok (call $progress (i64.const 1) (i64.const 1) (i32.const 0) (i32.const 0))))
    (func $take
        (call $ok (call $receive (i64.const -1) (i32.const 0) (i32.const 512) (i32.const 1024) (i32.const 65536))))
    (func (export "held")
        (call $ok (call $self (i32.const 128)))
        (call $ok (call $register (i32.const 64) (i32.const 1) (i32.const 128) (i64.const -1)))
        (call $ready)
        (call $take))
    (func (export "watch")
        (call $ok (call $locate (i32.const 64) (i32.const 1) (i64.const -1) (i32.const 128)))
        (call $ok (call $monitor (i32.const 128)))
        (call $ready)
        (call $take)
        (if (i32.ne (i32.load (i32.const 516)) (i32.const 1)) (then unreachable))))"#;

/// Row 11.
pub fn noticed() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (death, signal) in [("killed", Signal::KILL), ("standing still", Signal::STOP)] {
        let [own, other, raw] = slowest(signal)?;
        let row = |who: &str, value: f64| Row {
            number: "11",
            measure: format!("node {death}: told to {who}, slowest of {ROUNDS}"),
            value,
            unit: "s",
            baseline: Some((raw, "raw quinn connection, the same timeout, slowest")),
            target: "<= 3 s",
            met: Some(value <= 3.0),
        };
        rows.push(row("its client", own));
        rows.push(row("a client of another node, whose coroutine monitors there", other));
        let mut theirs = None;
        for _ in 0..ROUNDS {
            theirs = erlang::noticed(signal)?.map(|took| took.max(theirs.unwrap_or(0.0)));
        }
        rows.extend(theirs.map(|theirs| Row {
            number: "11",
            measure: format!("node {death}: the same beside a node of Erlang that monitors it"),
            value: other,
            unit: "s",
            baseline: Some((theirs, "Erlang with a net_ticktime of 4 s, not the usual 60, slowest")),
            target: "",
            met: None,
        }));
    }
    Ok(rows)
}

/// Seconds until its client, another's client and the raw connection knew.
fn slowest(signal: Signal) -> anyhow::Result<[f64; 3]> {
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let a = Server::node(dir.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut slowest = [0.0_f64; 3];
    for _ in 0..ROUNDS {
        let took = runtime.block_on(round(dir.path(), &credentials, &a, signal))?;
        slowest = std::array::from_fn(|index| slowest[index].max(took[index]));
    }
    Ok(slowest)
}

async fn round(dir: &Path, credentials: &Credentials, a: &Server, signal: Signal) -> anyhow::Result<[f64; 3]> {
    let (b, echo) = (Server::peer(dir, &a.address)?, Server::echo(dir)?);
    let module = Module::from_bytes(wat::parse_str(GUESTS)?)?;
    let mut open = Vec::new();
    for address in [&b.address, &a.address] {
        let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
        open.push((node.open("bench").await?, node));
    }
    let [(there, _), (here, _)] = &open[..] else { anyhow::bail!("two nodes") };
    let mut held = begun(there, &module, "held").await?;
    let mut watch = begun(here, &module, "watch").await?;
    let (_endpoint, raw) = process::dial(&echo.address, credentials).await?;
    // It has been used, as the others have.
    let (mut send, mut recv) = raw.open_bi().await?;
    send.write_all(&[7; 64]).await?;
    recv.read_exact(&mut [0; 64]).await?;

    let begin = Instant::now();
    echo.signal(signal)?;
    b.signal(signal)?;
    let seconds = || begin.elapsed().as_secs_f64();
    let own = async { (held.result().await, seconds()) };
    let other = async { (watch.result().await, seconds()) };
    let bare = async { (raw.closed().await, seconds()) };
    let ((lost, own), (told, other), (_, bare)) = tokio::join!(own, other, bare);
    ensure!(matches!(lost.outcome, Outcome::NodeLost(_)), "held: {:?}", lost.outcome);
    ensure!(matches!(told.outcome, Outcome::Finished(_)), "watch: {:?}", told.outcome);
    here.close().await?;
    Ok([own, other, bare])
}

/// Starts a function, and waits until it says that it is where it is to be.
async fn begun(computation: &Computation, module: &Module, function: &str) -> anyhow::Result<Job> {
    let spec = computation.prepare(Prepare::function(module.clone(), function)).await?;
    let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await?;
    loop {
        match job.next_event().await.context("it has ended")? {
            Event::Progress { .. } => return Ok(job),
            Event::Exit(record) => {
                let why = job.failure().as_ref().map(Error::to_string);
                anyhow::bail!("{function}: {:?} {why:?}", record.outcome)
            }
            _ => {}
        }
    }
}
