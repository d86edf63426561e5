//! Rows 5 and 6: two nodes in processes of their own that send to each other, guest to guest, beside a raw QUIC echo between two
//! processes. Guests have clocks of 100 us, so a round trip is the mean of many.

use super::Row;
use super::engine::median;
use super::process::{self, Server};
use anyhow::{Context, ensure};
use corovan_client::{Arguments, Computation, ConnectOptions, Credentials, Module, Node, Prepare};
use corovan_core::wire::Outcome;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

const ROUNDS: usize = 20_000;
const MESSAGES: usize = 1_000_000;

/// `pong` takes the name `p` and answers so many messages; `ping` finds it and sends as many, each after the answer to the one
/// before. `sink` takes the name `s` and receives; `flood` sends.
fn guests() -> String {
    format!(
        r#"(module
        (import "corovan" "self" (func $self (param i32) (result i32)))
        (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
        (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
        (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
        (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 17)
        (data (i32.const 64) "ps")
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
        (func (export "ping") (local $i i32)
            (call $find (i32.const 64))
            (loop $next
                (call $give (i32.const 128))
                (call $take)
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const {ROUNDS})))))
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

/// Rows 5 and 6.
pub fn messages() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let echo = Server::echo(dir.path())?;
    let a = Server::node(dir.path())?;
    let b = Server::peer(dir.path(), &a.address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut nodes = Vec::new();
        for address in [&a.address, &b.address] {
            nodes.push(Node::connect(address, &credentials, ConnectOptions::default()).await?);
        }
        let module = Module::from_bytes(wat::parse_str(guests())?)?;
        let (mut trips, mut raw, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            raw.push(echo_mean(&echo.address, &credentials).await?);
            let took = pair(&nodes, &module, ["pong", "ping"]).await?;
            trips.push(took / ROUNDS as f64 * 1e6);
            rates.push(MESSAGES as f64 / pair(&nodes, &module, ["sink", "flood"]).await?);
        }
        let (trip, raw, rate) = (median(&mut trips), median(&mut raw), median(&mut rates));
        Ok(vec![
            Row {
                number: "5",
                measure: "round trip between two node processes, guest to guest, mean".into(),
                value: trip,
                unit: "us",
                baseline: Some((raw, "raw quinn echo of 64 bytes, two processes, mean")),
                target: "<= 1.8 x a plain raw quinn echo",
                met: Some(trip <= 1.8 * raw),
            },
            Row {
                number: "6",
                measure: "one-way 64-byte messages between two node processes, guest to guest".into(),
                value: rate,
                unit: "messages/s",
                baseline: None,
                target: ">= 1,000,000/s",
                met: Some(rate >= 1e6),
            },
        ])
    })
}

/// Runs the first function on the second node and the second on the first: seconds until both have ended.
async fn pair(nodes: &[Node], module: &Module, [server, client]: [&str; 2]) -> anyhow::Result<f64> {
    let [here, there] = nodes else { anyhow::bail!("two nodes") };
    let (here, there) = (here.open("bench").await?, there.open("bench").await?);
    let begin = Instant::now();
    tokio::try_join!(run(&there, module, server), run(&here, module, client))?;
    let took = begin.elapsed().as_secs_f64();
    here.close().await?;
    there.close().await?;
    Ok(took)
}

async fn run(computation: &Computation, module: &Module, function: &str) -> anyhow::Result<()> {
    let spec = computation.prepare(Prepare::function(module.clone(), function)).await?;
    let record = computation.run(&spec, Arguments::none()).await?;
    ensure!(matches!(record.outcome, Outcome::Finished(_)), "{function}: {:?}", record.outcome);
    Ok(())
}

async fn echo_mean(address: &str, credentials: &Credentials) -> anyhow::Result<f64> {
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    endpoint.set_default_client_config(credentials.client_config()?);
    let name = credentials.identity.principal().cluster_dns_name();
    let connection = endpoint.connect(address.parse()?, &name)?.await.context("the echo server")?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let mut buffer = [0; 64];
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        send.write_all(&[7; 64]).await?;
        recv.read_exact(&mut buffer).await?;
    }
    let mean = begin.elapsed().as_secs_f64() / ROUNDS as f64 * 1e6;
    connection.close(0u32.into(), b"");
    Ok(mean)
}
