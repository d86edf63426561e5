//! ring: a token goes round a ring of coroutines. With ten thousand of them it shows what a coroutine and a message cost.

use corovan_guest::messaging::Mailbox;
use corovan_guest::time::Instant;
use corovan_guest::{Address, Error, self_address, spawn};

/// Makes a ring of n coroutines and sends a token round it so many times. Gives how often the token was passed.
#[corovan_guest::coroutine]
fn ring(n: Option<u32>, rounds: Option<u32>) -> Result<u64, Error> {
    let (n, rounds) = (n.unwrap_or(10_000), rounds.unwrap_or(1));
    let begin = Instant::now();
    // The last one passes to the first, which is this one.
    let mut next = self_address();
    for _ in 1..n {
        next = spawn("member").arg(next).start()?;
    }
    println!("{n} coroutines in {:?}", begin.elapsed());
    let (mailbox, begin, mut passed) = (Mailbox::<u64>::new(), Instant::now(), 0);
    for _ in 0..rounds {
        next.send(&(passed + 1))?;
        passed = mailbox.next()?.value;
    }
    println!("passed {passed} times in {:?}", begin.elapsed());
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

/// A number that no token has.
const END: u64 = 0;
