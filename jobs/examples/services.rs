//! services: a function that one program offers and others call, from any node and without its code; both watch what was made.
//! The ancestors' `rci_monitor_server` and `rci_monitor_client`.

use corovan_guest::messaging::{Mailbox, Received};
use corovan_guest::{Error, services, time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Offers a function, and says how each coroutine that is made of it ends, until so many have.
#[corovan_guest::coroutine]
fn server(calls: Option<u32>, name: Option<String>) -> Result<(), Error> {
    services::serve_watched(&name.unwrap_or(NAME.into()), None, "compute")?;
    let (mailbox, mut ended) = (Mailbox::<()>::new(), 0);
    while ended < calls.unwrap_or(CALLS) {
        match mailbox.receive()? {
            Received::Called { made, .. } => made.monitor()?,
            Received::Exit(exit) => {
                ended += 1;
                println!("served: {exit}");
            }
            other => println!("unexpected: {other:?}"),
        }
    }
    Ok(())
}

/// Calls the service with numbers, and says what came of each.
#[corovan_guest::coroutine]
fn client(calls: Option<u32>, name: Option<String>) -> Result<(), Error> {
    let (name, calls) = (name.unwrap_or(NAME.into()), calls.unwrap_or(CALLS));
    let mut made = BTreeMap::new();
    for n in 0..calls {
        let coroutine = services::call(&name, (n,), None)?;
        coroutine.monitor()?;
        made.insert(coroutine, n);
    }
    let mailbox = Mailbox::<()>::new();
    while !made.is_empty() {
        let Received::Exit(exit) = mailbox.receive()? else { continue };
        let n = made.remove(&exit.address).unwrap_or(u32::MAX);
        match exit.value::<u32>() {
            Ok(value) => println!("{n}: finished with {value}"),
            Err(error) => println!("{n}: {}", error.detail),
        }
    }
    Ok(())
}

/// Half of `n`, for those who ask for what there is.
#[corovan_guest::coroutine]
fn compute(n: u32) -> Result<u32, String> {
    time::sleep(Duration::from_millis(10)).map_err(|error| error.to_string())?;
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err("invalid invocation".into()) }
}

const NAME: &str = "compute";
const CALLS: u32 = 5;
