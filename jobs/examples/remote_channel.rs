//! remote_channel: a channel whose publisher and subscribers are programs on several nodes. The publisher begins when as many
//! are subscribed as it wants, wherever they are: the start barrier of asyncoro's `remote_channel_client`.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Error, names, self_address, spawn, time};
use std::time::Duration;

/// Has the channel, is one of its two subscribers after a pause of so many seconds, and prints what comes.
#[corovan_guest::coroutine]
fn server(pause: Option<f64>, name: Option<String>) -> Result<(), Error> {
    let name = name.unwrap_or(NAME.into());
    let channel = Channel::open(&name)?;
    names::register(&name, channel.address(), None)?;
    time::sleep(Duration::from_secs_f64(pause.unwrap_or(1.0)))?;
    listen(channel)
}

/// Finds the channel, subscribes a coroutine of its own, and delivers ten messages to both.
#[corovan_guest::coroutine]
fn client(name: Option<String>) -> Result<(), Error> {
    let channel = Channel::at(names::locate(&name.unwrap_or(NAME.into()), None)?);
    let listener = spawn("listener").arg(channel.address()).start()?;
    for message in 0..MESSAGES {
        let told = channel.deliver(0, &message, 2, None)?;
        println!("delivered to: {told}");
    }
    listener.join(None)?.value()
}

#[corovan_guest::coroutine]
fn listener(channel: corovan_guest::Address) -> Result<(), Error> {
    listen(Channel::at(channel))
}

/// Prints so many messages.
fn listen(channel: Channel) -> Result<(), Error> {
    channel.subscribe(self_address(), MESSAGES, Policy::DropOldest, None)?;
    let mailbox = Mailbox::<u32>::new();
    for _ in 0..MESSAGES {
        println!("received: {}", mailbox.next()?.value);
    }
    // The publisher may have closed it by now, and its node be gone.
    let _ = channel.unsubscribe(self_address(), None);
    Ok(())
}

const NAME: &str = "2clients";
const MESSAGES: u32 = 10;
