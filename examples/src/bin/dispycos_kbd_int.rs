//! A search without end at every node, told to stop after a while: each gives the best that it has found so far. The equivalent of
//! `dispycos_kbd_int`, where a task gets `KeyboardInterrupt` when its computation is closed with `terminate=True`.

use anyhow::{Context, Result, bail};
use corovan_client::core::wire::Outcome;
use corovan_client::{Arguments, ConnectOptions, Credentials, Event, Module, Node, Prepare, value};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dispycos_kbd_int: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [certs, tenant, address, file, millis] = &words[..] else {
        bail!("usage: dispycos_kbd_int CERTS-DIR TENANT HOST:PORT discoro.wasm MILLISECONDS");
    };
    let time = Duration::from_millis(millis.parse().context("MILLISECONDS is a number")?);
    let dir = Path::new(certs);
    let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
    let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;

    let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
    let computation = node.open("dispycos_kbd_int").await?;
    let spec = computation.prepare(Prepare::function(Module::from_file(file)?, "search")).await?;
    let mut searches = computation.run_each(&spec, Arguments::of(&(1_u64,))?).await?;
    // Each has found something before the time begins.
    for (_, job) in &mut searches {
        while !matches!(job.next_event().await.context("it ended by itself")?, Event::Progress { .. }) {}
    }
    tokio::time::sleep(time).await;
    // An interrupt; who has not ended a second later is stopped hard, and has no value.
    searches.iter().for_each(|(_, job)| job.cancel("time is up", Some(Duration::from_secs(1))));
    for (place, job) in &mut searches {
        let record = job.result().await;
        match &record.outcome {
            Outcome::Terminated { value: Some(best), .. } | Outcome::Finished(best) => {
                let (number, steps): (u64, u64) = value::decode(best)?;
                println!("best at {}: {number} with {steps} steps", place.name);
            }
            other => bail!("the search at {} gave nothing: {other:?}", place.name),
        }
    }
    computation.close().await?;
    node.close().await;
    Ok(())
}
