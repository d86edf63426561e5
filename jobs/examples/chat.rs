//! chat: a room that people on several nodes share. It is one channel; a transform sees all that is said before anybody hears
//! it. Everybody hears the same in the same order.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Error, Packed, names, self_address};
use serde::{Deserialize, Serialize};

/// What goes into the channel; lines of text come out.
#[derive(Serialize, Deserialize)]
enum Said {
    Joined(String),
    Line(String, String),
    Bye(String),
}

/// Keeps the room until so many people have left.
#[corovan_guest::coroutine]
fn room(people: u32, name: Option<String>) -> Result<(), Error> {
    let name = name.unwrap_or(NAME.into());
    let channel = Channel::open(&name)?;
    channel.transform(None, "polite")?;
    channel.subscribe(self_address(), ROOM, Policy::HoldPublisher, None)?;
    names::register(&name, channel.address(), None)?;
    hear(people)
}

/// Comes into the room, waits until so many people are there, says these lines, and leaves when all have.
#[corovan_guest::coroutine]
fn talk(who: String, people: u32, lines: Vec<String>, name: Option<String>) -> Result<(), Error> {
    let channel = Channel::at(names::locate(&name.unwrap_or(NAME.into()), None)?);
    channel.subscribe(self_address(), ROOM, Policy::DropOldest, None)?;
    // The room itself listens too.
    channel.deliver(0, &Said::Joined(who.clone()), people + 1, None)?;
    for line in lines {
        channel.send(&Said::Line(who.clone(), line))?;
    }
    channel.send(&Said::Bye(who))?;
    hear(people)
}

/// Sees what is said: nobody shouts here, and who comes and goes is told.
#[corovan_guest::coroutine]
fn polite(_tag: u64, said: Packed<Said>) -> Option<Packed<String>> {
    let line = match said.0 {
        Said::Joined(who) => format!("{who} has joined"),
        Said::Line(_, line) if line.to_uppercase() == line => return None,
        Said::Line(who, line) => format!("{who} says: {line}"),
        Said::Bye(who) => format!("{who}{LEFT}"),
    };
    Some(Packed(line))
}

/// Prints what is heard until so many people have left.
fn hear(people: u32) -> Result<(), Error> {
    let (mailbox, mut left) = (Mailbox::<String>::new(), 0);
    while left < people {
        let line = mailbox.next()?.value;
        left += u32::from(line.ends_with(LEFT));
        println!("{line}");
    }
    Ok(())
}

const NAME: &str = "chat";
const LEFT: &str = " has left";
/// Unread lines that one may have.
const ROOM: u32 = 1_000;
