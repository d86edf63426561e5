//! What the equivalents of discoro's clients talk to: coroutines that are told their client's address, say that they are there, and
//! then answer what the client sends.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Address, Error, names, self_address};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An object of a type that both sides know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Number {
    index: u64,
    value: f64,
    root: Option<f64>,
}

/// Gives each object back with the square root of its value, until there are no more.
#[corovan_guest::coroutine]
fn objects(client: Address) -> Result<u64, Error> {
    client.send(&None::<Number>)?;
    let (mailbox, mut count) = (Mailbox::<Option<Number>>::new(), 0);
    while let Some(number) = mailbox.next()?.value {
        client.send(&Some(Number { root: Some(number.value.sqrt()), ..number }))?;
        count += 1;
    }
    Ok(count)
}

/// Computes for so many seconds without a pause, while messages come; then gives the sum of each of their lists.
#[corovan_guest::coroutine]
fn sums(client: Address, seconds: f64, lists: u64) -> Result<u64, Error> {
    client.send(&0.0)?;
    let (begin, mut turns) = (Instant::now(), 0_u64);
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        turns = std::hint::black_box(turns + 1);
    }
    let mailbox = Mailbox::<Vec<f64>>::new();
    for _ in 0..lists {
        client.send(&mailbox.next()?.value.iter().sum::<f64>())?;
    }
    Ok(turns)
}

/// Is given numbers, which it keeps in memory, and then answers how many of them are divisible by each divisor that it is asked for,
/// until it is asked for 0.
#[corovan_guest::coroutine]
fn keeps(client: Address) -> Result<usize, Error> {
    client.send(&0)?;
    let data = Mailbox::<Vec<u64>>::new().next()?.value;
    let questions = Mailbox::<u64, usize>::new();
    loop {
        let question = questions.next()?;
        match question.value {
            0 => return Ok(data.len()),
            divisor => question.answer(&data.iter().filter(|number| number.is_multiple_of(divisor)).count())?,
        }
    }
}

/// Has a channel under a name, and begins when so many are subscribed; passes on what its client sends, until there is no more.
#[corovan_guest::coroutine]
fn ticker(client: Address, name: String, subscribers: u32) -> Result<u64, Error> {
    let channel = Channel::open(&name)?;
    names::register(&name, channel.address(), None)?;
    // The start barrier: delivered when all of them are there.
    channel.deliver(0, &None::<f64>, subscribers, PATIENCE)?;
    client.send(&"begin")?;
    let (mailbox, mut count) = (Mailbox::<Option<f64>>::new(), 0);
    while let Some(tick) = mailbox.next()?.value {
        channel.send(&Some(tick))?;
        count += 1;
    }
    channel.send(&Some(f64::NAN))?;
    Ok(count)
}

/// Follows numbers from that channel, and tells its client when one is above or below the mean of the latest few by more than a part
/// of it.
#[corovan_guest::coroutine]
fn trend(client: Address, name: String, latest: usize, part: f64) -> Result<u64, Error> {
    let (mut window, mut count) = (VecDeque::with_capacity(latest), 0_u64);
    follow(&name, |tick| {
        let mean = window.iter().sum::<f64>() / window.len().max(1) as f64;
        if window.len() == latest {
            let signal = match tick {
                tick if tick > mean * (1.0 + part) => Some("high"),
                tick if tick < mean * (1.0 - part) => Some("low"),
                _ => None,
            };
            signal.into_iter().try_for_each(|signal| client.send(&(count, signal, mean)))?;
            window.pop_front();
        }
        window.push_back(tick);
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Follows numbers from that channel, and gives how many there were, their mean and their median.
#[corovan_guest::coroutine]
fn save(name: String) -> Result<(u64, f64, f64), Error> {
    let mut all = Vec::new();
    follow(&name, |tick| {
        all.push(tick);
        Ok(())
    })?;
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    all.sort_unstable_by(f64::total_cmp);
    Ok((all.len() as u64, mean, all.get(all.len() / 2).copied().unwrap_or_default()))
}

fn follow(name: &str, mut each: impl FnMut(f64) -> Result<(), Error>) -> Result<(), Error> {
    let channel = Channel::at(names::locate(name, PATIENCE)?);
    channel.subscribe(self_address(), ROOM, Policy::HoldPublisher, None)?;
    let mailbox = Mailbox::<Option<f64>>::new();
    loop {
        match mailbox.next()?.value {
            // The start barrier.
            None => {}
            Some(tick) if tick.is_nan() => break,
            Some(tick) => each(tick)?,
        }
    }
    // Its publisher may be gone by now.
    let _ = channel.unsubscribe(self_address(), None);
    Ok(())
}

/// Unread numbers that a follower may have before the publisher waits for it.
const ROOM: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(20);
