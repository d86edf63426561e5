//! hot_swap: the function of a running server is replaced while messages wait for it. Its address, its unread messages and its count go
//! on; the output switches to that of the new function.

use corovan_guest::messaging::{Filter, Kind, Mailbox, Received};
use corovan_guest::{Error, spawn, time};
use std::time::Duration;

/// Sends `n` messages to a server, has its function replaced, and sends `n` more. Gives how many the server received in all.
#[corovan_guest::coroutine]
fn hot_swap(n: Option<u32>) -> Result<u64, Error> {
    let n = n.unwrap_or(3);
    let server = spawn("server").arg(&0).start()?;
    for i in 0..n {
        server.send(&format!("message {i}"))?;
    }
    // A function that does not start leaves the old one where it is.
    match server.swap(None, "no_such_function", Some(Duration::from_secs(5))) {
        Err(error) => println!("not swapped: {}", error.code),
        Ok(()) => println!("swapped to nothing"),
    }
    server.swap(None, "new_server", Some(Duration::from_secs(5)))?;
    for i in n..2 * n {
        server.send(&format!("message {i}"))?;
    }
    server.send("end")?;
    let exit = server.join(None)?;
    exit.value().map_err(|text| Error::new(corovan_guest::Code::Invalid, text))
}

/// The first version: a swap that is asked for comes before the messages that wait, and those are left to the next.
#[corovan_guest::coroutine]
fn server(mut count: u64) -> Result<u64, Error> {
    let system = Mailbox::<String>::filtered(Filter::any().kind(Kind::Swap));
    loop {
        if let Some(Received::Swap(request)) = system.receive_within(Duration::ZERO)? {
            eprintln!("not swapped: {}", request.accept(&count));
        }
        match Mailbox::<String>::new().receive()? {
            Received::Message(message) if message.value == "end" => return Ok(count),
            Received::Message(message) => {
                println!("{} received", message.value);
                count += 1;
            }
            Received::Swap(request) => eprintln!("not swapped: {}", request.accept(&count)),
            _ => {}
        }
        time::sleep(Duration::from_millis(20))?;
    }
}

/// The second.
#[corovan_guest::coroutine]
fn new_server(mut count: u64) -> Result<u64, Error> {
    loop {
        let message = Mailbox::<String>::new().next()?;
        if message.value == "end" {
            return Ok(count);
        }
        println!("* {} received", message.value);
        count += 1;
    }
}
