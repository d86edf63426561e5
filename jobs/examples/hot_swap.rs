//! hot_swap: the function of a running server is replaced while messages wait for it. Its address, its unread messages and its
//! count go on; the output switches to that of the new function. The server may be at another node: nothing else is different.

use corovan_guest::messaging::{Filter, Kind, Mailbox, Received};
use corovan_guest::{Error, SwapRequest, spawn};

/// Has a server process n messages, sends it n more, and has its function replaced before it reads them. Gives how many the
/// server processed in all.
#[corovan_guest::coroutine]
fn hot_swap(n: Option<u32>, node: Option<String>) -> Result<u64, Error> {
    let n = n.unwrap_or(3);
    let server = spawn("server").arg(0).link();
    let server = if let Some(node) = node { server.at(&node).start()? } else { server.start()? };
    for i in 0..n {
        server.request::<_, ()>(&format!("message {i}"), None)?;
    }
    // Neither a function that is not there nor one that is refused changes anything.
    for function in ["no_such_function", "new_server"] {
        match server.swap(None, function, None) {
            Err(error) => println!("not swapped: {}", error.code),
            Ok(()) => println!("swapped to {function}"),
        }
    }
    server.send(PAUSE)?;
    for i in n..2 * n {
        server.send(&format!("message {i}"))?;
    }
    server.swap(None, "new_server", None)?;
    server.send(END)?;
    server.join(None)?.value()
}

/// The first version. It is replaced only while it pauses.
#[corovan_guest::coroutine]
fn server(mut count: u64) -> Result<u64, Error> {
    loop {
        match Mailbox::<String>::new().receive()? {
            Received::Message(message) if message.value == PAUSE => {
                let error = next_swap()?.accept(&count);
                println!("not swapped: {error}");
            }
            Received::Message(message) if message.value == END => return Ok(count),
            Received::Message(message) => {
                println!("{} received", message.value);
                count += 1;
                message.answer(&())?;
            }
            Received::Swap(request) => request.refuse("not while it works")?,
            other => println!("not expected: {other:?}"),
        }
    }
}

/// The second.
#[corovan_guest::coroutine]
fn new_server(mut count: u64) -> Result<u64, Error> {
    loop {
        let message = Mailbox::<String>::new().next()?;
        if message.value == END {
            return Ok(count);
        }
        println!("* {} received", message.value);
        count += 1;
    }
}

/// Waits until somebody wants this one to change, whatever else is in the mailbox.
fn next_swap() -> Result<SwapRequest, Error> {
    let system = Mailbox::<()>::filtered(Filter::any().kind(Kind::Swap));
    loop {
        if let Received::Swap(request) = system.receive()? {
            return Ok(request);
        }
    }
}

const PAUSE: &str = "pause";
const END: &str = "end";
