//! remote: client and server as two programs on two nodes. The client finds the server by its name, wherever it runs; neither
//! would be written otherwise for one node.

use corovan_guest::messaging::Mailbox;
use corovan_guest::{Error, names, self_address, spawn, time};
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

const NAME: &str = "server_coro";
