//! Agents at all nodes that find each other by the mesh's word of its nodes and by name, and exchange what they know until each has
//! the lowest and the highest of their numbers. The equivalent of `dispycos_mas`.

use anyhow::{Result, bail};
use corovan_client::core::wire::Outcome;
use corovan_client::{Arguments, value};
use corovan_examples::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::open("dispycos_mas", "").await?;
    let mut nodes: Vec<String> = client.computation.nodes().await?.into_iter().map(|info| info.name).collect();
    nodes.sort();
    let mut agents = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let arguments = Arguments::of(&(17 * (place as i64 + 1), nodes.len() - 1))?;
        agents.push((node, client.start("agent", arguments, node).await?));
    }
    for (node, mut agent) in agents {
        let record = agent.result().await;
        let Outcome::Finished(bytes) = &record.outcome else { bail!("the agent at {node}: {:?}", record.outcome) };
        let (low, high): (i64, i64) = value::decode(bytes)?;
        println!("agent at {node}: low {low}, high {high}");
    }
    client.close().await
}
