//! A coroutine that computes for long without a pause: messages reach it all the same, and wait in its mailbox; its node goes on
//! answering others meanwhile. The equivalent of `discoro_client8` (`dispycos_client8`).

use anyhow::{Context, Result, ensure};
use corovan_client::Arguments;
use corovan_examples::Client;
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut client = Client::open("discoro_client8", "LISTS").await?;
    let lists = client.number(0, "LISTS")?;
    let computes = Duration::from_millis(400);
    let arguments = Arguments::of(&(client.mailbox.address(), computes.as_secs_f64(), lists))?;
    let mut job = client.start("sums", arguments, "").await?;
    let (partner, begin) = (client.partner().await?, Instant::now());
    let mut expected = Vec::new();
    for number in 0..lists {
        let list: Vec<f64> = (0..=number).map(|n| n as f64 / 4.0).collect();
        // Delivered: it is in the mailbox, though its owner does not look.
        partner.deliver(0, Arguments::of(&list)?.as_bytes().clone(), Duration::from_secs(30)).await?;
        expected.push(list.iter().sum::<f64>());
    }
    let delivered = begin.elapsed();
    for sum in expected {
        let told: f64 = client.mailbox.receive().await.context("the computation is over")?.value()?;
        ensure!(told == sum, "{told} is not the sum {sum}");
        println!("sum: {told}");
    }
    job.result().await;
    println!(
        "{lists} lists were delivered {} it had done computing",
        if delivered < computes { "before" } else { "after" }
    );
    client.close().await
}
