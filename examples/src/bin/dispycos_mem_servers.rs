//! Coroutines that are given data, keep it in memory, and answer questions about it; then others take their place, with other data and
//! nothing left of the first. The equivalent of `dispycos_mem_servers` and of `dispycos_client10`, which restart a server process for
//! that: here each coroutine has a memory of its own, which goes with it.

use anyhow::{Context, Result, ensure};
use corovan_client::Arguments;
use corovan_examples::Client;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut client = Client::open("dispycos_mem_servers", "ROUNDS").await?;
    let rounds = client.number(0, "ROUNDS")?;
    let mut nodes: Vec<String> = client.computation.nodes().await?.into_iter().map(|info| info.name).collect();
    nodes.sort();
    for round in 1..=rounds {
        for node in &nodes {
            let me = Arguments::of(&(client.mailbox.address(),))?;
            let mut job = client.start("keeps", me, node).await?;
            let server = client.partner().await?;
            let data: Vec<u64> = (0..1_000 * round).collect();
            server.send_value(&data).await?;
            for divisor in [3, 7, 1_000] {
                let told: u64 = server.request_value(&divisor, PATIENCE).await?;
                let expected = data.iter().filter(|number| **number % divisor == 0).count() as u64;
                ensure!(told == expected, "{told} are divisible by {divisor}, said {node}: {expected} are");
                println!("round {round}: {node} has {told} numbers divisible by {divisor}");
            }
            server.send_value(&0).await?;
            let exit = server.join(PATIENCE).await.context("its end")?;
            ensure!(exit.outcome == job.result().await.outcome, "one end, told twice");
        }
    }
    client.close().await
}
