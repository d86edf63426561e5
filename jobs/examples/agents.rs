//! agents: one on each of several nodes. They are told of each other's nodes by the mesh, find each other by name, and all come
//! to know the lowest and the highest of their numbers. The ancestors' multi-agent example.

use corovan_guest::messaging::{Mailbox, Received};
use corovan_guest::node::{self, PeerState};
use corovan_guest::{Error, names, self_address, spawn};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Has a number, and ends when it knows those of so many others: the lowest and the highest.
#[corovan_guest::coroutine]
fn agent(number: i64, others: usize) -> Result<(i64, i64), Error> {
    let here = node::location()?.name;
    names::register(&name_at(&here), self_address(), None)?;
    node::watch_peers(true)?;
    let mailbox = Mailbox::<(String, i64)>::new();
    let (mut numbers, mut greeted) = (BTreeMap::from([(here.clone(), number)]), BTreeSet::new());
    let mut greet = |node: &str| match greeted.insert(node.to_owned()) {
        true => spawn("greet").arg(node).arg(&here).arg(number).start().map(drop),
        false => Ok(()),
    };
    while numbers.len() <= others {
        match mailbox.receive()? {
            Received::Peers(peers) => {
                for peer in peers.iter().filter(|peer| peer.state == PeerState::Alive && !peer.name.is_empty()) {
                    greet(&peer.name)?;
                }
            }
            Received::Message(greeting) => {
                let (from, number) = greeting.value;
                println!("{from} has {number}");
                // It may be known by that before it is by the mesh, and this be the last to wait for.
                greet(&from)?;
                numbers.insert(from, number);
            }
            other => println!("unexpected: {other:?}"),
        }
    }
    let (low, high) = numbers.values().fold((number, number), |(low, high), n| (low.min(*n), high.max(*n)));
    Ok((low, high))
}

/// Tells the agent at a node this number, if one comes to be there.
#[corovan_guest::coroutine]
fn greet(node: String, from: String, number: i64) {
    if let Ok(agent) = names::locate(&name_at(&node), PATIENCE) {
        // It may have heard enough, and be gone.
        let _ = agent.send(&(from, number));
    }
}

fn name_at(node: &str) -> String {
    format!("agent at {node}")
}

const PATIENCE: Duration = Duration::from_secs(20);
