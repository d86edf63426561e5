//! categories: receiving by category (asyncoro's `CategorizeMessages`). Even numbers are received first, for as long as there
//! are some; the others wait in their order.

use corovan_guest::messaging::{Filter, Mailbox};
use corovan_guest::{Address, Error, self_address, spawn};
use std::time::Duration;

/// Is sent n numbers, and receives even ones first, as long as another comes within patience seconds, then the others. Gives
/// them in the order in which they were received.
#[corovan_guest::coroutine]
fn categories(n: Option<u32>, patience: Option<f64>) -> Result<Vec<u32>, Error> {
    let patience = Duration::from_secs_f64(patience.unwrap_or(0.05));
    let sender = spawn("sender").arg(self_address()).arg(n.unwrap_or(10)).start()?;
    // All are there then, in the order in which they were sent.
    sender.join(None)?.value::<()>()?;
    let mut received = Vec::new();
    for (category, tag) in [("even", EVEN), ("odd", ODD)] {
        let mailbox = Mailbox::<u32>::filtered(Filter::any().tag(tag));
        while let Some(message) = mailbox.next_within(patience)? {
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
        let category = if i % 2 == 0 { EVEN } else { ODD };
        to.send_tagged(category, &i, None)?;
    }
    Ok(())
}

const EVEN: u64 = 0;
const ODD: u64 = 1;
