//! supervisors: each strategy with three children of which the middle one crashes. Shows who is started anew with it, in which
//! order, and that no child outlives its supervisor.

use corovan_guest::messaging::Mailbox;
use corovan_guest::supervisor::{Restart, Strategy, Supervisor};
use corovan_guest::{Address, Code, Error, self_address, spawn, suspend};
use std::collections::BTreeMap;

/// Has the middle child crash under each strategy; gives what the supervisors did.
#[corovan_guest::coroutine]
fn supervisors() -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut events = BTreeMap::new();
    for (strategy, started_anew) in [("one_for_one", 1), ("one_for_all", 3), ("rest_for_one", 2)] {
        let supervisor = spawn("supervises").arg(strategy).arg(self_address()).start()?;
        let mut children = started(CHILDREN.len())?;
        if let Some(middle) = children.remove(CHILDREN[1]) {
            middle.resume(&(), None)?;
        }
        children.extend(started(started_anew)?);
        supervisor.interrupt("that is enough", None)?;
        events.insert(strategy.to_owned(), supervisor.join(None)?.value()?);
        for (name, child) in children {
            assert_eq!(
                child.send(&()).map_err(|error| error.code),
                Err(Code::Gone),
                "{name} has outlived its supervisor"
            );
        }
    }
    Ok(events)
}

/// Keeps three children running until it is interrupted; gives what it did.
#[corovan_guest::coroutine]
fn supervises(strategy: String, told: Address) -> Result<Vec<String>, Error> {
    let mut events = Vec::new();
    let mut supervisor = Supervisor::new(match strategy.as_str() {
        "one_for_one" => Strategy::OneForOne,
        "one_for_all" => Strategy::OneForAll,
        _ => Strategy::RestForOne,
    });
    for name in CHILDREN {
        supervisor = supervisor.child(name, Restart::Permanent, spawn("child").arg(name).arg(told));
    }
    match supervisor.on_event(|event| events.push(event.to_string())).run() {
        Err(error) if error.code == Code::Interrupted => Ok(events),
        other => other.map(|()| events),
    }
}

/// Tells that it runs, and fails when it is woken.
#[corovan_guest::coroutine]
fn child(name: String, told: Address) -> Result<(), Error> {
    told.send(&(name, self_address()))?;
    suspend::<()>(None)?;
    corovan_guest::fail("as-asked", "woken");
}

/// The next so many children that tell that they run.
fn started(count: usize) -> Result<BTreeMap<String, Address>, Error> {
    let mailbox = Mailbox::<(String, Address)>::new();
    (0..count).map(|_| Ok(mailbox.next()?.value)).collect()
}

const CHILDREN: [&str; 3] = ["a", "b", "c"];
