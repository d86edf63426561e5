//! Driven by what happens: one job at each node, and the next one there when that has ended, until all are done. The equivalent of
//! `discoro_client7` and of section 7.4 of the tutorial, where messages of the scheduler say which servers are there and what ended.

use anyhow::{Context, Result, bail, ensure};
use corovan_client::core::wire::Outcome;
use corovan_client::core::wire::nodes::NodeState;
use corovan_client::{
    Arguments, ConnectOptions, Credentials, Event, Jobs, Module, Node, Prepare, SubmitOptions, value,
};
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("discoro_client7: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [certs, tenant, address, file, count] = &words[..] else {
        bail!("usage: discoro_client7 CERTS-DIR TENANT HOST:PORT discoro.wasm COUNT");
    };
    let count: u64 = count.parse().context("COUNT is a number")?;
    let dir = Path::new(certs);
    let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
    let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;

    let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
    let computation = node.open("discoro_client7").await?;
    let spec = computation.prepare(Prepare::function(Module::from_file(file)?, "compute")).await?;
    let mut numbers = 0..count;
    // Which node each job is at, by its key among those that are open.
    let (mut jobs, mut places) = (Jobs::new(), HashMap::new());
    let nodes = computation.nodes().await?.into_iter().filter(|node| node.state == NodeState::Alive);
    let mut idle: Vec<String> = nodes.map(|node| node.name).collect();
    loop {
        while let Some(place) = idle.pop() {
            let Some(number) = numbers.next() else { break };
            let options = SubmitOptions { at: Some(place.clone()), ..SubmitOptions::default() };
            let job = computation.submit(&spec, Arguments::of(&(number, 0.05))?, options).await?;
            places.insert(jobs.insert(job), place);
        }
        let Some((key, event, _)) = jobs.next_event().await else { break };
        match event {
            Event::Started { address } => println!("{} started {address}", places[&key]),
            Event::Exit(record) => {
                let place = places.remove(&key).context("a job ended twice")?;
                let Outcome::Finished(bytes) = &record.outcome else {
                    bail!("a job at {place} did not finish: {:?}", record.outcome);
                };
                let (number, _): (u64, f64) = value::decode(bytes)?;
                println!("{place} finished with {number}");
                idle.push(place);
            }
            _ => {}
        }
    }
    ensure!(numbers.is_empty(), "no node is there");
    computation.close().await?;
    node.close().await;
    Ok(())
}
