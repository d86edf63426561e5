//! remote: client and server as two programs on two nodes. The client finds the server by its name, wherever it runs; neither
//! would be written otherwise for one node. And a ring whose members are on as many nodes as it is told of.

use corovan_guest::messaging::Mailbox;
use corovan_guest::{Address, Error, names, self_address, spawn, time};
use std::time::Duration;

/// Takes the name, processes so many messages, and gives how many came.
#[corovan_guest::coroutine]
fn server(messages: Option<u64>, name: Option<String>) -> Result<u64, Error> {
    names::register(&name.unwrap_or(NAME.into()), self_address(), None)?;
    let mailbox = Mailbox::<String>::new();
    let mut processed = 0;
    while processed < messages.unwrap_or(30) {
        let message = mailbox.next()?;
        processed += 1;
        println!("processing {processed}: {}", message.value);
    }
    Ok(processed)
}

/// Makes so many clients, each of which sends so many messages with pauses of at most pause seconds.
#[corovan_guest::coroutine]
fn clients(clients: Option<u32>, messages: Option<u32>, pause: Option<f64>, name: Option<String>) -> Result<(), Error> {
    let client = spawn("client").arg(messages.unwrap_or(3)).arg(pause.unwrap_or(0.05)).arg(name.unwrap_or(NAME.into()));
    let running = (0..clients.unwrap_or(10)).map(|n| client.clone().arg(n).start()).collect::<Result<Vec<_>, _>>()?;
    for client in running {
        client.join(None)?.value::<()>()?;
    }
    Ok(())
}

/// Finds the server and sends to it.
#[corovan_guest::coroutine]
fn client(messages: u32, pause: f64, name: String, n: u32) -> Result<(), Error> {
    let server = names::locate(&name, None)?;
    for x in 0..messages {
        time::sleep(Duration::from_secs_f64(pause * f64::from((n * 7 + x * 3) % 10 + 1) / 10.0))?;
        server.send(&format!("{n} / {x}"))?;
    }
    Ok(())
}

/// Makes a ring of one coroutine on each of these nodes and sends a token round it so many times. Gives how often it was
/// passed.
#[corovan_guest::coroutine]
fn ring(nodes: Vec<String>, rounds: Option<u32>) -> Result<u64, Error> {
    let mut next = self_address();
    for node in &nodes {
        next = spawn("member").arg(next).at(node).start()?;
        println!("a member at {node}");
    }
    let (mailbox, mut passed) = (Mailbox::<u64>::new(), 0);
    for _ in 0..rounds.unwrap_or(10) {
        next.send(&(passed + 1))?;
        passed = mailbox.next()?.value;
    }
    // The word to end goes round as well.
    next.send(&END)?;
    mailbox.next()?;
    Ok(passed)
}

/// Passes the token on, and ends with the word to end.
#[corovan_guest::coroutine]
fn member(next: Address) -> Result<(), Error> {
    let mailbox = Mailbox::<u64>::new();
    loop {
        match mailbox.next()?.value {
            END => return next.send(&END),
            passed => next.send(&(passed + 1))?,
        }
    }
}

/// Has a coroutine made at a node that fails, and says how.
#[corovan_guest::coroutine]
fn fails_at(node: String) -> Result<String, Error> {
    let child = spawn("fails").at(&node).start()?;
    Ok(format!("{:?}", child.join(None)?.outcome))
}

#[corovan_guest::coroutine]
fn fails() -> Result<(), Error> {
    panic!("as it was asked")
}

/// Sleeps at a node until somebody ends it.
#[corovan_guest::coroutine]
fn sleeps_at(node: String) -> Result<(), Error> {
    let child = spawn("sleeps").at(&node).start()?;
    println!("asleep");
    child.join(None)?.value()
}

#[corovan_guest::coroutine]
fn sleeps() -> Result<(), Error> {
    time::sleep(Duration::from_secs(3_600))
}

/// A number that no token has.
const END: u64 = 0;
const NAME: &str = "server_coro";
