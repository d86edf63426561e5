//! Sends objects of its own type to a coroutine that works on them there, and gets them back as messages. The equivalent of
//! `discoro_client3` (`dispycos_client3`), which ships the class of its objects: here both sides know the type, and its CBOR travels.

use anyhow::{Context, Result};
use corovan_client::Arguments;
use corovan_examples::Client;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Number {
    index: u64,
    value: f64,
    root: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut client = Client::open("discoro_client3", "COUNT").await?;
    let count = client.number(0, "COUNT")?;
    let me = Arguments::of(&(client.mailbox.address(),))?;
    let mut job = client.start("objects", me, "").await?;
    let partner = client.partner().await?;
    for index in 0..count {
        partner.send_value(&Some(Number { index, value: (index * index * index) as f64, root: None })).await?;
    }
    partner.send_value(&None::<Number>).await?;
    for _ in 0..count {
        let message = client.mailbox.receive().await.context("the computation is over")?;
        let number: Number = message.value::<Option<Number>>()?.context("an object was sent, and none came back")?;
        println!("result for job {}: {}: {:.3}", number.index, number.value, number.root.unwrap_or_default());
    }
    job.result().await;
    client.close().await
}
