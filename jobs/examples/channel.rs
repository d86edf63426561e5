//! channel: numbers are sent over a channel to two coroutines, of which one adds and one multiplies them. Shows broadcast:
//! each subscriber gets every message, in the same order.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Error, spawn};

/// Sends these numbers, or four others, and gives their sum and product.
#[corovan_guest::coroutine]
fn channel(#[rest] numbers: Vec<f64>) -> Result<(f64, f64), Error> {
    let numbers = if numbers.is_empty() { vec![1.5, 2.0, 2.5, 0.5] } else { numbers };
    let channel = Channel::open("sum_prod")?;
    let (sum, prod) = (spawn("seqsum").start()?, spawn("seqprod").start()?);
    for subscriber in [sum, prod] {
        channel.subscribe(subscriber, ROOM, Policy::HoldPublisher, None)?;
    }
    for number in numbers {
        channel.send(&Some(number))?;
        println!("sent {number}");
    }
    // Nothing more will come.
    channel.send(&None::<f64>)?;
    for subscriber in [sum, prod] {
        channel.unsubscribe(subscriber, None)?;
    }
    let results = (sum.join(None)?.value()?, prod.join(None)?.value()?);
    channel.close()?;
    Ok(results)
}

/// Adds numbers until there are no more.
#[corovan_guest::coroutine]
fn seqsum() -> Result<f64, Error> {
    let sum = fold(0.0, |sum, number| sum + number)?;
    println!("sum: {sum}");
    Ok(sum)
}

/// Multiplies numbers until there are no more.
#[corovan_guest::coroutine]
fn seqprod() -> Result<f64, Error> {
    let product = fold(1.0, |product, number| product * number)?;
    println!("prod: {product}");
    Ok(product)
}

fn fold(mut result: f64, join: impl Fn(f64, f64) -> f64) -> Result<f64, Error> {
    let mailbox = Mailbox::<Option<f64>>::new();
    while let Some(number) = mailbox.next()?.value {
        result = join(result, number);
    }
    Ok(result)
}

/// Unread messages that a subscriber may have before the sender waits for it.
const ROOM: u32 = 100;
