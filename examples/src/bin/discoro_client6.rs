//! Streams numbers to two coroutines at different nodes, over a channel that begins when both are subscribed: one tells when a number
//! is far from the mean of the latest ones, the other keeps all, and gives their mean and median at the end. The equivalent of
//! `discoro_client6` and `discoro_client6_channel` (`dispycos_live_analytics` and `dispycos_live_analytics_channel`).

use anyhow::{Context, Result, bail};
use corovan_client::core::wire::Outcome;
use corovan_client::{Arguments, MessageKind, value};
use corovan_examples::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut client = Client::open("discoro_client6", "COUNT").await?;
    let (count, channel) = (client.number(0, "COUNT")?, "ticks");
    let nodes: Vec<String> = client.computation.nodes().await?.into_iter().map(|info| info.name).collect();
    let (here, there) = (client.node.name().to_owned(), nodes.iter().find(|name| **name != client.node.name()));
    let there = there.cloned().unwrap_or_else(|| here.clone());
    let me = client.mailbox.address();
    let mut ticker = client.start("ticker", Arguments::of(&(me, channel, 2))?, &here).await?;
    let mut trend = client.start("trend", Arguments::of(&(me, channel, 20, 0.4))?, &here).await?;
    let mut save = client.start("save", Arguments::of(&(channel,))?, &there).await?;
    let ticker_address = client.partner().await?;

    // Numbers come and signals go at the same time.
    let mut last = 1_u64;
    let mut sent = 0;
    while sent < count {
        // The same "random" numbers each time (Lehmer's generator, 1951).
        last = last * 48_271 % 0x7fff_ffff;
        ticker_address.send_value(&Some(50.0 + (last % 100) as f64 / 2.0)).await?;
        sent += 1;
    }
    ticker_address.send_value(&None::<f64>).await?;
    client.mailbox.monitor(ticker_address.address()).await?;
    ticker.result().await;
    trend.result().await;
    let saved = save.result().await;
    // All that was told before has come by now.
    let mut signals = 0;
    while let Ok(Some(message)) =
        tokio::time::timeout(std::time::Duration::from_millis(200), client.mailbox.receive()).await
    {
        if message.kind == MessageKind::Exit {
            continue;
        }
        let (at, signal, mean): (u64, String, f64) = message.value()?;
        println!("trend signal at {at}: {signal} (mean of the latest {mean:.2})");
        signals += 1;
    }
    let Outcome::Finished(bytes) = &saved.outcome else { bail!("save did not finish: {:?}", saved.outcome) };
    let (kept, mean, median): (u64, f64, f64) = value::decode(bytes).context("what save gave")?;
    println!("{signals} signals; {there} kept {kept} numbers: mean {mean:.3}, median {median:.1}");
    client.close().await
}
