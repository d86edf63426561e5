//! Ship a module, run one function of it, print the result. asyncoro's `discoro_client1.py` in forty lines.

use anyhow::{Context, Result, bail};
use corovan_client::core::wire::Outcome;
use corovan_client::{Arguments, ConnectOptions, Credentials, Module, Node, Prepare, value};
use std::path::Path;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [certs, tenant, address, file, function, arguments @ ..] = &words[..] else {
        bail!("usage: quickstart CERTS-DIR TENANT HOST:PORT FILE FUNCTION [ARGUMENT...]");
    };
    let dir = Path::new(certs);
    let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
    let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;

    let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
    let computation = node.open("quickstart").await?;
    let spec = computation.prepare(Prepare::function(Module::from_file(file)?, function)).await?;
    // From Rust values: `Arguments::of(&(1.5, "text"))`.
    let record = computation.run(&spec, Arguments::from_words(arguments)?).await?;
    match &record.outcome {
        Outcome::Finished(bytes) if bytes.is_empty() => println!("finished on {}", node.name()),
        Outcome::Finished(bytes) => println!("{}", value::to_json(bytes).context("the result")?),
        Outcome::Failed { kind, text } => bail!("{function} failed on {} ({kind}): {text}", node.name()),
        other => bail!("{function} on {} did not finish: {}", node.name(), other.name()),
    }
    computation.close().await?;
    node.close().await;
    Ok(())
}
