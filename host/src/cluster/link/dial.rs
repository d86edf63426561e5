//! Dialling: one attempt at a time for each address, with back-off after those that failed.

use super::connection;
use super::links::Links;
use crate::tasks::TaskKind;
use bytes::Bytes;
use corovan_core::limits;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

/// Addresses that are being dialled or were in vain.
#[derive(Debug, Default)]
pub(super) struct Dials(HashMap<SocketAddr, Dial>);

#[derive(Debug, Default)]
struct Dial {
    running: bool,
    failures: u32,
    /// Not before this time of the node's clock.
    again: u64,
    /// For whoever answers there.
    pending: VecDeque<Bytes>,
}

impl Dials {
    /// The address is to be dialled now; `datagram` is for whoever answers there.
    fn begin(&mut self, address: SocketAddr, now: u64, datagram: Option<Bytes>) -> bool {
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&address) {
            self.0.retain(|_, dial| dial.running || dial.again > now);
            if self.0.len() >= ADDRESSES {
                return false;
            }
        }
        let dial = self.0.entry(address).or_default();
        if dial.pending.len() >= super::peer::PENDING {
            dial.pending.pop_front();
        }
        dial.pending.extend(datagram);
        if dial.running || now < dial.again {
            return false;
        }
        dial.running = true;
        true
    }

    /// `true` for the first attempt in vain.
    fn failed(&mut self, address: SocketAddr, now: u64) -> bool {
        let Some(dial) = self.0.get_mut(&address) else { return true };
        let wait = BACK_OFF.saturating_mul(1 << dial.failures.min(16)).min(BACK_OFF_MOST);
        *dial = Dial { failures: dial.failures + 1, again: now + wait.as_nanos() as u64, ..Dial::default() };
        dial.failures == 1
    }

    /// Somebody answers there: what was kept for whoever that is.
    fn succeeded(&mut self, address: SocketAddr) -> VecDeque<Bytes> {
        self.0.remove(&address).unwrap_or_default().pending
    }
}

impl Links {
    /// Makes a connection with whoever is at this address, unless that is being tried or was tried just now.
    pub(super) fn dial(&self, address: SocketAddr) {
        self.dial_with(address, None);
    }

    /// The same, with a datagram for whoever is there.
    pub(super) fn dial_with(&self, address: SocketAddr, datagram: Option<Bytes>) {
        let now = self.0.config.clock.now();
        if !self.0.dials.lock().begin(address, now, datagram) {
            return;
        }
        let links = self.clone();
        self.0.config.tasks.spawn(TaskKind::Connection, "peer", async move {
            let connection = match links.0.config.endpoint.dial(address).await {
                Ok(connection) => connection,
                Err(error) => {
                    // A node that is gone is asked again and again: once is enough to be told.
                    match links.0.dials.lock().failed(address, links.0.config.clock.now()) {
                        true => tracing::info!("{error}; tried again from time to time"),
                        false => tracing::debug!("{error}"),
                    }
                    return Ok(());
                }
            };
            let pending = links.0.dials.lock().succeeded(address);
            let node = connection.principal.node_id();
            if node == links.node() {
                connection.quic.close(crate::net::close_code(None), b"this is me");
                return Ok(());
            }
            if let Some(peer) = links.peer(node) {
                if let Some(live) = peer.live() {
                    // It was dialled under another address, or by the other side meanwhile.
                    pending.into_iter().for_each(|datagram| drop(live.quic.send_datagram(datagram)));
                    connection.quic.close(crate::net::close_code(None), b"another connection is used");
                    return Ok(());
                }
                pending.into_iter().for_each(|datagram| peer.keep(datagram));
            }
            connection::serve(&links, connection, true).await;
            Ok::<(), Infallible>(())
        });
    }
}

/// Addresses that are remembered.
const ADDRESSES: usize = limits::MESH_NODES;
/// After a first attempt in vain, doubled after each.
const BACK_OFF: Duration = Duration::from_millis(50);
const BACK_OFF_MOST: Duration = Duration::from_secs(5);
