//! Ships a function and runs it for many inputs wherever there is most room; results in the order of the inputs, each with the node
//! it came from. The equivalent of `discoro_client1` (`dispycos_client2`), whose `run_results` it is; with `--as-they-come` of
//! `discoro_client2` (`dispycos_client1`), which tells each as soon as it is there.

use anyhow::{Context, Result, bail};
use corovan_client::core::wire::Outcome;
use corovan_client::{Arguments, ConnectOptions, Credentials, MapOptions, Module, Node, Prepare, value};
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("discoro_client1: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let in_order = !words.iter().any(|word| word == "--as-they-come");
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--as-they-come").collect();
    let [certs, tenant, address, file, count] = words[..] else {
        bail!("usage: discoro_client1 [--as-they-come] CERTS-DIR TENANT HOST:PORT discoro.wasm COUNT");
    };
    let count: u64 = count.parse().context("COUNT is a number")?;
    let dir = Path::new(certs);
    let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
    let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;

    let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
    let computation = node.open("discoro_client1").await?;
    let spec = computation.prepare(Prepare::function(Module::from_file(file)?, "compute")).await?;
    let names: HashMap<_, _> = computation.nodes().await?.into_iter().map(|info| (info.node, info.name)).collect();
    // Later ones take less time, so that they end in another order than they began.
    let seconds = |number: u64| 0.02 * (count - number) as f64;
    let inputs = (0..count).map(|number| Arguments::of(&(number, seconds(number)))).collect::<Result<Vec<_>, _>>()?;
    let options = MapOptions { in_order, at: Some(String::new()), ..MapOptions::default() };
    let mut results = computation.map(&spec, inputs, options);
    while let Some(ended) = results.next().await? {
        let place = names.get(&ended.record.address.node).map_or("a node that has come since", String::as_str);
        let Outcome::Finished(bytes) = &ended.record.outcome else {
            bail!("job {} did not finish: {:?}", ended.number, ended.record.outcome);
        };
        let (number, seconds): (u64, f64) = value::decode(bytes)?;
        if in_order {
            println!("result for {number} from {place}: {seconds:.2}");
        } else {
            println!("job {number} processed by {place}");
        }
    }
    computation.close().await?;
    node.close().await;
    Ok(())
}
