//! Everything one job says, as it says it: started, progress, log, output, and its exit record. The equivalent of
//! discoro's `status_coro`, which gets the status messages of a computation and a `MonitorException` for each end.

use anyhow::{Result, bail};
use corovan_client::core::wire::{ExitRecord, Outcome};
use corovan_client::{Arguments, ConnectOptions, Credentials, Event, Module, Node, Prepare, SubmitOptions, value};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("status: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [certs, tenant, address, file, function, arguments @ ..] = &words[..] else {
        bail!("usage: status CERTS-DIR TENANT HOST:PORT FILE FUNCTION [ARGUMENT...]");
    };
    let dir = Path::new(certs);
    let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
    let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;

    let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
    let computation = node.open("status").await?;
    let spec = computation.prepare(Prepare::function(Module::from_file(file)?, function)).await?;
    let arguments = Arguments::from_words(arguments)?;
    let begin = Instant::now();
    let mut job = computation.submit(&spec, arguments, SubmitOptions::default()).await?;
    println!("submitted to {} as job {}", node.name(), job.id());

    // `None` comes after the exit, which always comes: also when the node is lost.
    while let Some(event) = job.next_event().await {
        let at = begin.elapsed().as_secs_f64();
        match event {
            Event::Placed { name, .. } => println!("{at:8.3} placed    {name}"),
            Event::Started { address } => println!("{at:8.3} started   {address}"),
            Event::Progress { done, total, text } => println!("{at:8.3} progress  {done}/{total} {}", quoted(&text)),
            Event::Log { level, text, dropped } => {
                println!("{at:8.3} log       level {level}, {dropped} dropped before: {}", quoted(&text));
            }
            // Bytes as the job wrote them, in pieces of any size; quoted, since a job may write what moves the cursor.
            Event::Stdout(bytes) => println!("{at:8.3} stdout    {}", quoted(&String::from_utf8_lossy(&bytes))),
            Event::Stderr(bytes) => println!("{at:8.3} stderr    {}", quoted(&String::from_utf8_lossy(&bytes))),
            Event::Exit(record) => {
                println!("{at:8.3} exit      {}", described(&record)?);
                let usage = &record.usage;
                println!(
                    "                   wall {:?}, CPU {:?}, memory at most {} KiB",
                    Duration::from_nanos(usage.wall),
                    Duration::from_nanos(usage.cpu),
                    usage.memory_peak >> 10
                );
            }
            // What later versions tell.
            other => println!("{at:8.3} {other:?}"),
        }
    }
    if let Some(lost) = job.failure() {
        return Err(lost.into());
    }
    node.close().await;
    Ok(())
}

fn described(record: &ExitRecord) -> Result<String> {
    let detail = match &record.outcome {
        Outcome::Finished(bytes) if bytes.is_empty() => "without a value".to_owned(),
        Outcome::Finished(bytes) => format!("with {}", value::to_json(bytes)?),
        Outcome::Exited(code) => format!("with code {code}"),
        Outcome::Failed { kind, text } => format!("{kind}: {}", quoted(text)),
        Outcome::Trapped { kind, backtrace } => format!("{kind}\n{}", backtrace.trim_end()),
        Outcome::OutOfMemory { limit } => format!("its limit is {} MiB", limit >> 20),
        Outcome::OutOfBudget { limit } | Outcome::Deadline { limit } => {
            format!("after {:?}", Duration::from_nanos(*limit))
        }
        Outcome::Terminated { by, reason, .. } => format!("by {by}: {}", quoted(reason)),
        Outcome::NodeLost(node) => format!("node {node}"),
        Outcome::Refused { code, why } => format!("{code}: {}", quoted(why)),
    };
    Ok(format!("{} of {}: {detail}", record.outcome.name(), record.function))
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
