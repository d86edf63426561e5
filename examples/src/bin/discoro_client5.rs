//! Runs a program that knows nothing of Corovan at a node, writes lines to its standard input, and reads what it prints after each. The
//! equivalent of `discoro_client5` (`dispycos_client5`), whose external program is here any that is compiled to WASI.

use anyhow::{Context, Result, bail};
use corovan_client::{Arguments, Event, Job, Prepare, SubmitOptions};
use corovan_examples::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::open("discoro_client5", "NODE LINE...").await?;
    let (node, lines) = client.rest.split_first().context("NODE is missing")?;
    let spec = client.computation.prepare(Prepare::command(client.module.clone())).await?;
    let options = SubmitOptions { stdin: true, at: Some(node.clone()), ..SubmitOptions::default() };
    let mut job = client.computation.submit(&spec, Arguments::none(), options).await?;
    let mut input = job.stdin().await?;
    let mut printed = String::new();
    for line in lines {
        input.write(format!("{line}\n").as_bytes()).await?;
        println!("sent {line}, {node} says {}", next_line(&mut job, &mut printed).await?);
    }
    input.finish();
    let record = job.result().await;
    println!("ended: {}", record.outcome.name());
    client.close().await
}

async fn next_line(job: &mut Job, printed: &mut String) -> Result<String> {
    loop {
        if let Some(end) = printed.find('\n') {
            let line = printed.drain(..=end).collect::<String>();
            return Ok(line.trim_end().to_owned());
        }
        match job.next_event().await {
            Some(Event::Stdout(bytes)) => printed.push_str(std::str::from_utf8(&bytes)?),
            Some(Event::Exit(record)) => bail!("it ended early: {:?}", record.outcome),
            Some(_) => {}
            None => bail!("it has ended"),
        }
    }
}
