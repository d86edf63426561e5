//! supervise: a supervisor restarts a child that crashes until that has done its work, and gives up on one that crashes too
//! often.

use corovan_guest::messaging::Mailbox;
use corovan_guest::supervisor::{Event, Restart, Strategy, Supervisor};
use corovan_guest::{Address, Error, spawn};
use std::time::Duration;

/// Runs a worker that crashes so many times before its work succeeds. Gives how often it was started.
#[corovan_guest::coroutine]
fn supervise(crashes: Option<u32>) -> Result<u32, Error> {
    // What must survive a crash is kept by another.
    let counter = spawn("counter").daemon().start()?;
    let worker = spawn("worker").arg(counter).arg(crashes.unwrap_or(2));
    let mut starts = 0;
    Supervisor::new(Strategy::OneForOne)
        .intensity(MOST, Duration::from_secs(60))
        .child("worker", Restart::Transient, worker)
        .on_event(|event| {
            starts += u32::from(matches!(event, Event::Started { .. }));
            println!("{}", without_place(&event.to_string()));
        })
        .run()?;
    Ok(starts)
}

/// Crashes as long as it was started no more than so many times.
#[corovan_guest::coroutine]
fn worker(counter: Address, crashes: u32) -> Result<(), Error> {
    let starts: u32 = counter.request(&(), None)?;
    assert!(starts > crashes, "crash number {starts}");
    println!("the work is done");
    Ok(())
}

/// Counts who asks.
#[corovan_guest::coroutine]
fn counter() -> Result<(), Error> {
    let mailbox = Mailbox::<(), u32>::new();
    for count in 1.. {
        mailbox.next()?.answer(&count)?;
    }
    Ok(())
}

/// A panic's text ends with its place in the source.
fn without_place(text: &str) -> &str {
    text.split(", at ").next().unwrap_or(text)
}

/// Restarts within a minute; one more is too many.
const MOST: usize = 5;
