//! supervise: a supervisor restarts a child that crashes, until it has done its work; and gives up on one that crashes too often.

use corovan_guest::messaging::Mailbox;
use corovan_guest::supervisor::{Restart, Strategy, Supervisor};
use corovan_guest::{Address, Error, spawn};
use std::time::Duration;

/// Runs a worker that crashes `crashes` times before its work succeeds. Gives how often it was restarted.
#[corovan_guest::coroutine]
fn supervise(crashes: Option<u32>) -> Result<u32, Error> {
    let crashes = crashes.unwrap_or(2);
    // What must survive a crash is kept by another.
    let counter = spawn("counter").daemon().start()?;
    let mut restarts = 0;
    Supervisor::new(Strategy::OneForOne)
        .intensity(5, Duration::from_secs(60))
        .child("worker", Restart::Transient, || spawn("worker").arg(&counter).arg(&crashes).start())
        .on_restart(|name, exit| {
            restarts += 1;
            println!("{name} {}; restarting it", first_words(&exit.outcome.to_string()));
        })
        .run()?;
    println!("done after {restarts} restarts");
    Ok(restarts)
}

/// Crashes as long as it was started no more than `crashes` times.
#[corovan_guest::coroutine]
fn worker(counter: Address, crashes: u32) -> Result<(), Error> {
    let starts: u32 = counter.request(&(), None)?;
    println!("worker started for the {starts}. time");
    assert!(starts > crashes, "crash number {starts}");
    println!("worker has done its work");
    Ok(())
}

/// Counts who asks.
#[corovan_guest::coroutine]
fn counter() -> Result<(), Error> {
    for count in 1_u32.. {
        let question = Mailbox::<()>::new().next()?;
        if let Some(reply) = question.reply {
            reply.send(&count)?;
        }
    }
    Ok(())
}

/// Without the place in the source.
fn first_words(text: &str) -> &str {
    text.split(", at ").next().unwrap_or(text)
}
