//! remote: client and server as two programs on two nodes. The client finds the server by its name, wherever it runs; neither
//! would be written otherwise for one node. And a ring whose members are on as many nodes as it is told of.

use corovan_guest::messaging::Mailbox;
use corovan_guest::{Address, Code, Error, names, self_address, spawn, time};
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

/// Answers each number with the next one, until it is asked for 0.
#[corovan_guest::coroutine]
fn answers(name: String) -> Result<(), Error> {
    names::register(&name, self_address(), None)?;
    let mailbox = Mailbox::<u64, u64>::new();
    loop {
        let message = mailbox.next()?;
        message.answer(&(message.value + 1))?;
        if message.value == END {
            return Ok(());
        }
    }
}

/// Asks again and again, and says what came of it, until it had failed and the server answers again or is gone.
#[corovan_guest::coroutine]
fn asks(name: String) -> Result<(), Error> {
    let server = names::locate(&name, None)?;
    let mut failed = false;
    loop {
        match server.request::<u64, u64>(&1, Duration::from_secs(20)) {
            Ok(2) if failed => return server.request::<u64, u64>(&END, None).map(drop),
            Ok(answer) => println!("answered {answer}"),
            Err(error) => {
                println!("{:?}", error.code);
                if failed && error.code == Code::Gone {
                    return Ok(());
                }
                failed = true;
            }
        }
        time::sleep(Duration::from_millis(20))?;
    }
}

/// Asks once, and has the server end.
#[corovan_guest::coroutine]
fn asks_once(name: String) -> Result<u64, Error> {
    let server = names::locate(&name, None)?;
    let answer = server.request::<u64, u64>(&1, None)?;
    server.request::<u64, u64>(&END, None)?;
    Ok(answer)
}

/// Counts what it receives until the word to end: numbers, those that came twice or too late, and the last.
#[corovan_guest::coroutine]
fn counts(name: String) -> Result<(u64, u64, u64), Error> {
    names::register(&name, self_address(), None)?;
    let mailbox = Mailbox::<u64>::new();
    let (mut received, mut wrong, mut last) = (0, 0, 0);
    loop {
        match mailbox.next()?.value {
            END => return Ok((received, wrong, last)),
            number => {
                received += 1;
                wrong += u64::from(number <= last);
                last = last.max(number);
            }
        }
    }
}

/// Delivers numbers for so many seconds, and says of how many it knows that they were delivered, that they were not, and
/// neither.
#[corovan_guest::coroutine]
fn delivers(name: String, seconds: f64) -> Result<(u64, u64, u64), Error> {
    let to = names::locate(&name, None)?;
    let begin = time::Instant::now();
    let (mut number, mut delivered, mut not, mut unknown) = (0_u64, 0, 0, 0);
    println!("begins");
    while begin.elapsed().as_secs_f64() < seconds {
        number += 1;
        match to.deliver(0, &number, Duration::from_secs(30)) {
            Ok(()) => delivered += 1,
            Err(error) if matches!(error.code, Code::NodeLost | Code::Timeout) => unknown += 1,
            Err(_) => not += 1,
        }
        if number % 64 == 0 {
            time::sleep(Duration::from_millis(1))?;
        }
    }
    loop {
        match to.deliver(0, &END, Duration::from_secs(30)) {
            Ok(()) => break,
            // It had arrived, and only the word of it was lost.
            Err(error) if error.code == Code::Gone => break,
            Err(_) => time::sleep(Duration::from_millis(50))?,
        }
    }
    Ok((delivered, not, unknown))
}

/// Says what it receives under a name, numbers of senders, until so many senders have said that they end.
#[corovan_guest::coroutine]
fn tallies(name: String, senders: u64) -> Result<(), Error> {
    // The name is another's until its node is known to be gone.
    loop {
        match names::register(&name, self_address(), Duration::from_secs(5)) {
            Err(error) if matches!(error.code, Code::Taken | Code::Timeout) => time::sleep(Duration::from_millis(50))?,
            given => break given?,
        }
    }
    let mailbox = Mailbox::<(String, u64)>::new();
    let mut over = 0;
    while over < senders {
        let (sender, number) = mailbox.next()?.value;
        over += u64::from(number == END);
        println!("got {sender} {number}");
    }
    Ok(())
}

/// Delivers numbers to whoever has the name, and says what it was told of each, until there is somebody named `until`.
#[corovan_guest::coroutine]
fn streams(me: String, name: String, until: String) -> Result<(), Error> {
    let mut number = END;
    loop {
        let Ok(to) = names::locate(&name, Duration::from_secs(1)) else { continue };
        loop {
            let ends = number % 16 == 15 && names::locate(&until, Duration::ZERO).is_ok();
            let next = if ends { END } else { number + 1 };
            match to.deliver(0, &(&me, next), Duration::from_secs(30)) {
                Ok(()) if ends => return Ok(()),
                Ok(()) => println!("ok {me} {next}"),
                Err(error) => {
                    println!("told {me} {next} {:?}", error.code);
                    number = number.max(next);
                    break;
                }
            }
            number = next;
            time::sleep(Duration::from_millis(2))?;
        }
        time::sleep(Duration::from_millis(20))?;
    }
}

/// A number that no token has.
const END: u64 = 0;
const NAME: &str = "server_coro";
