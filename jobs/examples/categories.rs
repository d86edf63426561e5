//! categories: receiving by category (asyncoro's `CategorizeMessages`). Even numbers are received first, for as long as there are some;
//! the others wait in their order.

use corovan_guest::messaging::{Filter, Mailbox, Received};
use corovan_guest::{Address, Error, spawn};
use std::time::Duration;

const EVEN: u64 = 0;
const ODD: u64 = 1;

/// Receives `n` numbers from another coroutine: even ones first within `patience` seconds, then the others. Gives them in the
/// order in which they were received.
#[corovan_guest::coroutine]
fn categories(n: Option<u32>, patience: Option<f64>) -> Result<Vec<u32>, Error> {
    let n = n.unwrap_or(10);
    let patience = Duration::from_secs_f64(patience.unwrap_or(1.0));
    spawn("sender").arg(&corovan_guest::self_address()).arg(&n).start()?;
    let mut received = Vec::new();
    for (category, tag) in [("even", EVEN), ("odd", ODD)] {
        let mailbox = Mailbox::<u32>::filtered(Filter::any().tag(tag));
        while let Some(Received::Message(message)) = mailbox.receive_within(patience)? {
            println!("{category}: {}", message.value);
            received.push(message.value);
        }
    }
    Ok(received)
}

/// Sends numbers as they come; their category is their tag.
#[corovan_guest::coroutine]
fn sender(to: Address, n: u32) -> Result<(), Error> {
    for i in 0..n {
        to.send_tagged(u64::from(i % 2), &i, None)?;
    }
    Ok(())
}
