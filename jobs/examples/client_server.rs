//! client_server: messages from ten clients to a server that never ends. The server is a daemon, so the program ends with
//! the last client.

use corovan_guest::messaging::Mailbox;
use corovan_guest::{Address, Error, spawn, time};
use std::time::Duration;

/// Makes the server and so many clients, each of which sends so many messages with pauses of at most pause seconds. Gives
/// how many were processed.
#[corovan_guest::coroutine]
fn client_server(clients: Option<u32>, messages: Option<u32>, pause: Option<f64>) -> Result<u64, Error> {
    let server = spawn("server_proc").daemon().start()?;
    let client = spawn("client_proc").arg(server).arg(messages.unwrap_or(3)).arg(pause.unwrap_or(0.05));
    let mut running = Vec::new();
    for n in 0..clients.unwrap_or(10) {
        running.push(client.clone().arg(n).start()?);
    }
    for client in running {
        client.join(None)?.value::<()>()?;
    }
    // Sent after all others, so it is answered after them.
    server.request(&None::<String>, None)
}

/// Processes messages, and numbers them: what the clients of the original share as a global variable is here the state of
/// the one that they all talk to. Tells the count to whoever asks for it.
#[corovan_guest::coroutine]
fn server_proc() -> Result<(), Error> {
    let mailbox = Mailbox::<Option<String>, u64>::new();
    let mut processed = 0;
    loop {
        let message = mailbox.next()?;
        if let Some(text) = &message.value {
            processed += 1;
            println!("processing {processed}: {text}");
        }
        message.answer(&processed)?;
    }
}

/// Sends messages, with pauses that differ from client to client.
#[corovan_guest::coroutine]
fn client_proc(server: Address, messages: u32, pause: f64, n: u32) -> Result<(), Error> {
    for x in 0..messages {
        time::sleep(Duration::from_secs_f64(pause * f64::from((n * 7 + x * 3) % 10 + 1) / 10.0))?;
        server.send(&Some(format!("{n} / {x}")))?;
    }
    Ok(())
}
