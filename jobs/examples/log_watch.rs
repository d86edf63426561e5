//! log_watch: programs on each node write lines into their node's log, which is a channel; a watcher has a coroutine at each
//! node that sends it the lines with a word in them, also at nodes that come later. The ancestors' log watcher.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::messaging::{Mailbox, Received};
use corovan_guest::node::{self, PeerState};
use corovan_guest::{Address, Error, self_address, spawn};
use std::collections::BTreeMap;

/// Prints lines with this word as `node: line`, until there were so many.
#[corovan_guest::coroutine]
fn watch(word: String, lines: u32) -> Result<(), Error> {
    node::watch_peers(true)?;
    // By node: another start of it needs another tail.
    let mut tails = BTreeMap::new();
    let (mailbox, mut seen) = (Mailbox::<(String, String)>::new(), 0);
    while seen < lines {
        match mailbox.receive()? {
            Received::Peers(peers) => {
                for peer in peers.into_iter().filter(|peer| !peer.name.is_empty()) {
                    if peer.state != PeerState::Alive {
                        tails.remove(&peer.node);
                    } else if tails.insert(peer.node, peer.incarnation) != Some(peer.incarnation) {
                        spawn("tail").arg(&word).arg(self_address()).daemon().at(&peer.name).start()?;
                    }
                }
            }
            Received::Message(line) => {
                seen += 1;
                println!("{}: {}", line.value.0, line.value.1);
            }
            other => println!("unexpected: {other:?}"),
        }
    }
    Ok(())
}

/// Sends on what its node's log has with this word in it.
#[corovan_guest::coroutine]
fn tail(word: String, to: Address) -> Result<(), Error> {
    let here = node::location()?.name;
    Channel::open(LOG)?.subscribe(self_address(), UNREAD, Policy::DropOldest, None)?;
    let mailbox = Mailbox::<String>::new();
    loop {
        let line = mailbox.next()?.value;
        if line.contains(&word) {
            to.send(&(&here, line))?;
        }
    }
}

/// Writes lines into its node's log, once so many read it.
#[corovan_guest::coroutine]
fn logs(lines: Vec<String>, readers: u32) -> Result<(), Error> {
    let log = Channel::open(LOG)?;
    for line in lines {
        log.deliver(0, &line, readers, None)?;
    }
    Ok(())
}

const LOG: &str = "log";
/// Lines that a slow tail may leave unread.
const UNREAD: u32 = 1_000;
