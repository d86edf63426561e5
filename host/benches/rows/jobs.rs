//! Rows 7, 8 and 13: a node in a process of its own, beside a raw QUIC echo in a process of its own.

use super::engine::median;
use super::process::{self, Server};
use super::{Row, percentile, python};
use anyhow::ensure;
use corovan::runtime::engine::{self, Preemption};
use corovan_client::{Arguments, ConnectOptions, Credentials, Event, Jobs, Module, Node, Prepare, SubmitOptions};
use corovan_core::wire::Outcome;
use std::time::{Duration, Instant};

pub const EMPTY: &str = r#"(module (memory (export "memory") 17) (data (i32.const 1024) "data") (func (export "f")))"#;

pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// Row 7: an attached job on the node that took it, warm module.
pub fn attached() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let (node, echo) = (Server::node(dir.path())?, Server::echo(dir.path())?);
    runtime()?.block_on(async {
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            raw.push(echo_p50(&echo.address, &credentials, 2_000).await?);
            ours.push(job_p50(&node.address, &credentials, 2_000).await?);
        }
        let (p50, raw) = (median(&mut ours), median(&mut raw));
        let mut rates = Vec::new();
        for _ in 0..3 {
            rates.push(pipelined(&node.address, &credentials, 100_000, 1_000).await?);
        }
        let rate = median(&mut rates);
        let mut rows = vec![
            Row {
                number: "7",
                measure: "attached job, submit -> result, p50".into(),
                value: p50,
                unit: "us",
                baseline: Some((raw, "raw quinn echo of 64 bytes, two processes")),
                target: "<= 2 x raw quinn",
                met: Some(p50 <= 2.0 * raw),
            },
            Row {
                number: "7",
                measure: "attached jobs, pipelined, window 1,000".into(),
                value: rate,
                unit: "jobs/s",
                baseline: None,
                target: ">= 30,000 jobs/s",
                met: Some(rate >= 30_000.0),
            },
        ];
        rows.extend(python::rows(p50, rate)?);
        Ok(rows)
    })
}

pub async fn echo_p50(address: &str, credentials: &Credentials, rounds: usize) -> anyhow::Result<f64> {
    let (_endpoint, connection) = process::dial(address, credentials).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let (mut samples, mut buffer) = (Vec::new(), [0; 64]);
    for _ in 0..rounds {
        let begin = Instant::now();
        send.write_all(&[7; 64]).await?;
        recv.read_exact(&mut buffer).await?;
        samples.push(begin.elapsed());
    }
    connection.close(0u32.into(), b"");
    Ok(percentile(&mut samples, 0.5).as_secs_f64() * 1e6)
}

/// Row 7, of a job that another node runs.
pub fn relayed() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let node = Server::node(dir.path())?;
    let (_other, echo) = (Server::peer(dir.path(), &node.address)?, Server::echo(dir.path())?);
    runtime()?.block_on(async {
        until_known(&node.address, &credentials, "b").await?;
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            raw.push(echo_p50(&echo.address, &credentials, 2_000).await?);
            ours.push(job_p50_at(&node.address, &credentials, 2_000, Some("b")).await?);
        }
        let (p50, raw) = (median(&mut ours), median(&mut raw));
        let mut rates = Vec::new();
        for _ in 0..3 {
            rates.push(pipelined_at(&node.address, &credentials, (50_000, 1_000), Some("")).await?);
        }
        let row = |measure: &str, value, unit, baseline, target, met| Row {
            number: "7",
            measure: measure.into(),
            value,
            unit,
            baseline,
            target,
            met,
        };
        Ok(vec![
            row(
                "attached job at another node, submit -> result, p50",
                p50,
                "us",
                Some((raw, "raw quinn echo of 64 bytes, two processes")),
                "<= 4 x raw quinn",
                Some(p50 <= 4.0 * raw),
            ),
            row("attached jobs at two nodes (any), window 1,000", median(&mut rates), "jobs/s", None, "", None),
        ])
    })
}

async fn until_known(address: &str, credentials: &Credentials, name: &str) -> anyhow::Result<()> {
    let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
    let begin = Instant::now();
    while !node.nodes().await?.iter().any(|info| info.name == name) {
        ensure!(begin.elapsed() < Duration::from_secs(30), "node {name} did not join");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn job_p50(address: &str, credentials: &Credentials, rounds: usize) -> anyhow::Result<f64> {
    job_p50_at(address, credentials, rounds, None).await
}

async fn job_p50_at(address: &str, credentials: &Credentials, rounds: usize, at: Option<&str>) -> anyhow::Result<f64> {
    let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
    let computation = node.open("bench").await?;
    let spec = computation.prepare(Prepare::function(Module::from_bytes(wat::parse_str(EMPTY)?)?, "f")).await?;
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        let options = SubmitOptions { at: at.map(str::to_owned), ..SubmitOptions::default() };
        let record = computation.submit(&spec, Arguments::none(), options).await?.result().await;
        samples.push(begin.elapsed());
        ensure!(matches!(record.outcome, Outcome::Finished(_)), "{:?}", record.outcome);
    }
    computation.close().await?;
    node.close().await;
    Ok(percentile(&mut samples, 0.5).as_secs_f64() * 1e6)
}

async fn pipelined(address: &str, credentials: &Credentials, total: usize, window: usize) -> anyhow::Result<f64> {
    pipelined_at(address, credentials, (total, window), None).await
}

async fn pipelined_at(
    address: &str,
    credentials: &Credentials,
    (total, window): (usize, usize),
    at: Option<&str>,
) -> anyhow::Result<f64> {
    let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
    let computation = node.open("bench").await?;
    let spec = computation.prepare(Prepare::function(Module::from_bytes(wat::parse_str(EMPTY)?)?, "f")).await?;
    let (mut jobs, mut submitted, mut ended) = (Jobs::new(), 0, 0);
    let begin = Instant::now();
    while ended < total {
        while submitted < total && jobs.len() < window {
            let options = SubmitOptions { at: at.map(str::to_owned), ..SubmitOptions::default() };
            jobs.insert(computation.submit(&spec, Arguments::none(), options).await?);
            submitted += 1;
        }
        if let Some((_, Event::Exit(record), _)) = jobs.next_event().await {
            ensure!(matches!(record.outcome, Outcome::Finished(_)), "{:?}", record.outcome);
            ended += 1;
        }
    }
    let rate = total as f64 / begin.elapsed().as_secs_f64();
    computation.close().await?;
    node.close().await;
    Ok(rate)
}

/// Row 8: a module of 100 KB the node has never seen: ship, compile, run; then again after a restart of the node.
pub fn first_run() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let (mut first, mut second, mut compile, mut load) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..5 {
        let module = Module::from_bytes(large_module(round)?)?;
        let bare = bare_compile(module.bytes())?;
        compile.push(bare.0);
        load.push(bare.1);
        let node = Server::node(dir.path())?;
        first.push(runtime()?.block_on(ship_and_run(&node.address, &credentials, module.clone()))?);
        drop(node);
        let node = Server::node(dir.path())?;
        second.push(runtime()?.block_on(ship_and_run(&node.address, &credentials, module))?);
    }
    let row = |measure: &str, ours: &mut [f64], bare: &mut [f64], name, target, limit: f64| {
        let value = median(ours);
        Row {
            number: "8",
            measure: measure.into(),
            value,
            unit: "ms",
            baseline: Some((median(bare), name)),
            target,
            met: Some(value <= limit),
        }
    };
    let (compiling, loading) = ("bare wasmtime, compile and call", "bare wasmtime, native code from memory, call");
    let measure = "first run of a new 100 KB module: ship, compile, result";
    Ok(vec![
        row(measure, &mut first, &mut compile, compiling, "<= 100 ms", 100.0),
        row("the same module after a restart of the node", &mut second, &mut load, loading, "<= 5 ms", 5.0),
    ])
}

/// Milliseconds to compile and call, and to load native code and call, with nothing around it.
fn bare_compile(wasm: &[u8]) -> anyhow::Result<(f64, f64)> {
    let engine = engine::build(Preemption::Epoch, 64)?;
    let call = |module: &wasmtime::Module| -> anyhow::Result<()> {
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = wasmtime::Instance::new(&mut store, module, &[])?;
        Ok(instance.get_typed_func::<(), ()>(&mut store, "f")?.call(&mut store, ())?)
    };
    let begin = Instant::now();
    let module = wasmtime::Module::from_binary(&engine, wasm)?;
    call(&module)?;
    let compiled = begin.elapsed().as_secs_f64() * 1e3;
    let native = module.serialize()?;
    let begin = Instant::now();
    // SAFETY: these bytes come from `serialize` of the same engine, two lines above.
    let module = unsafe { wasmtime::Module::deserialize(&engine, &native) }?;
    call(&module)?;
    Ok((compiled, begin.elapsed().as_secs_f64() * 1e3))
}

/// From a connected client to the result, in milliseconds.
async fn ship_and_run(address: &str, credentials: &Credentials, module: Module) -> anyhow::Result<f64> {
    let node = Node::connect(address, credentials, ConnectOptions::default()).await?;
    let computation = node.open("bench").await?;
    let begin = Instant::now();
    let spec = computation.prepare(Prepare::function(module, "f")).await?;
    let record = computation.run(&spec, Arguments::none()).await?;
    let took = begin.elapsed();
    ensure!(matches!(record.outcome, Outcome::Finished(_)), "{:?}", record.outcome);
    node.close().await;
    Ok(took.as_secs_f64() * 1e3)
}

/// About 100 KB of ordinary code: 600 functions that call each other, different in every round.
fn large_module(round: usize) -> anyhow::Result<Vec<u8>> {
    let mut wat = String::from("(module (memory (export \"memory\") 17)\n");
    for i in 0..600 {
        wat.push_str(&format!("(func $f{i} (param $x i32) (result i32) (local $i i32)\n"));
        wat.push_str("(loop $l (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 31)) (local.get $i)))\n");
        for k in 0..8 {
            let (n, at) = (round * 7_919 + i * 131 + k, 4 * (k + 8 * (i % 64)));
            wat.push_str(&format!(
                "(i32.store offset={at} (i32.and (local.get $x) (i32.const 0xfffc)) (i32.xor (local.get $x) (i32.const {n})))\n"
            ));
        }
        wat.push_str("(local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 3))))\n");
        let callee = if i == 0 { "(local.get $x)".to_owned() } else { format!("(call $f{} (local.get $x))", i - 1) };
        wat.push_str(&format!("{callee})\n"));
    }
    wat.push_str(&format!("(func (export \"f\") (drop (call $f599 (i32.const {round})))))"));
    let wasm = wat::parse_str(wat)?;
    ensure!((90_000..130_000).contains(&wasm.len()), "the module has {} bytes", wasm.len());
    Ok(wasm)
}

/// Row 13: an idle node.
pub fn idle() -> anyhow::Result<Vec<Row>> {
    const WATCH: Duration = Duration::from_secs(10);
    let dir = tempfile::tempdir()?;
    let credentials = process::certificates(dir.path())?;
    let (node, echo) = (Server::node(dir.path())?, Server::echo(dir.path())?);
    // Both have worked, and are idle again.
    runtime()?.block_on(job_p50(&node.address, &credentials, 100))?;
    runtime()?.block_on(echo_p50(&echo.address, &credentials, 100))?;
    std::thread::sleep(Duration::from_secs(1));
    let seconds =
        || -> anyhow::Result<[f64; 2]> { Ok([process::cpu_seconds(node.pid())?, process::cpu_seconds(echo.pid())?]) };
    let before = seconds()?;
    std::thread::sleep(WATCH);
    let after = seconds()?;
    let cpu = [0, 1].map(|i| (after[i] - before[i]) / WATCH.as_secs_f64() * 100.0);
    let memory = |pid: u32| -> anyhow::Result<f64> { Ok(process::resident(&pid.to_string())? as f64 / 1e6) };
    let memory = [memory(node.pid())?, memory(echo.pid())?];
    let row = |measure: &str, [value, bare]: [f64; 2], unit, target, limit: f64| Row {
        number: "13",
        measure: measure.into(),
        value,
        unit,
        baseline: Some((bare, "raw quinn echo process")),
        target,
        met: Some(value <= limit),
    };
    Ok(vec![
        row("idle node: resident memory", memory, "MB", "<= 60 MB", 60.0),
        row("idle node: CPU", cpu, "% of a core", "<= 0.5 %", 0.5),
    ])
}
