//! hierarchy: channels that subscribe to channels. What is sent at the top is heard at all levels, what is sent at the bottom
//! only there; a subscription that would close a cycle is refused.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Error, spawn};

/// Sends one message at each level, from the top, and gives how many coroutines heard each.
#[corovan_guest::coroutine]
fn hierarchy() -> Result<Vec<usize>, Error> {
    let mut channels = Vec::new();
    let mut listeners = Vec::new();
    for level in LEVELS {
        let channel = Channel::open(level)?;
        let listener = spawn("listener").arg(level).start()?;
        channel.subscribe(listener, ROOM, Policy::HoldPublisher, None)?;
        channels.push(channel);
        listeners.push(listener);
    }
    for pair in channels.windows(2) {
        pair[0].subscribe(pair[1].address(), ROOM, Policy::HoldPublisher, None)?;
    }
    let (top, bottom) = (channels[0], channels[channels.len() - 1]);
    match bottom.subscribe(top.address(), ROOM, Policy::HoldPublisher, None) {
        Err(error) => println!("refused: {}", error.code),
        Ok(()) => println!("a cycle was closed"),
    }

    let mut heard = Vec::new();
    for (channel, level) in channels.iter().zip(LEVELS) {
        heard.push(channel.deliver(0, &Some(format!("news for the {level}")), 1, None)?);
    }
    // At the top, so all of them end.
    top.send(&None::<String>)?;
    for listener in listeners {
        listener.join(None)?.value::<()>()?;
    }
    for channel in channels {
        channel.close()?;
    }
    Ok(heard)
}

/// Tells what it hears.
#[corovan_guest::coroutine]
fn listener(name: String) -> Result<(), Error> {
    let mailbox = Mailbox::<Option<String>>::new();
    while let Some(news) = mailbox.next()?.value {
        println!("{name} heard: {news}");
    }
    Ok(())
}

const LEVELS: [&str; 3] = ["country", "city", "street"];

/// Unread messages that a subscriber may have before the sender waits for it.
const ROOM: u32 = 100;
