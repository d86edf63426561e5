//! Modules on their way between nodes: piece by piece, from the node that wants one to run or any other that has it, one
//! transfer of a module at a time, and kept only if the bytes have its hash.

use super::hosting::Hosts;
use super::link::{Granted, Peers, Session};
use super::receive::answer;
use super::remote::Remote;
use crate::runtime::Refusal;
use crate::tasks::{TaskKind, Tasks};
use bytes::{Buf, Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::link::call::Call;
use corovan_core::link::frame::{Header, Kind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Those of a node; cheap to clone.
#[derive(Clone)]
pub(super) struct Transfers {
    me: NodeId,
    hosts: Arc<dyn Hosts>,
    /// Who may have a module that the node that asks has not.
    peers: Peers,
    /// One transfer of a module at a time, however many ask for it.
    under_way: Arc<Mutex<HashMap<ModuleHash, Arc<tokio::sync::Mutex<()>>>>>,
    /// Pieces of modules that are being read for other nodes, and that wait for that: each reads a whole module.
    reads: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

/// Something that is asked of this node and counted, until dropped.
pub(super) struct Asked(Arc<AtomicUsize>);

impl Transfers {
    pub fn new(me: NodeId, hosts: Arc<dyn Hosts>, peers: Peers) -> Transfers {
        let reads = Arc::new(Semaphore::new(limits::MODULE_READS));
        Transfers { me, hosts, peers, under_way: Arc::default(), reads, asked: Arc::default() }
    }

    /// Sees to it that a module is here, for what the node of this session wants. Errors: need-module, too-large, protocol,
    /// node-lost, and those of [`Hosts::keep`].
    pub async fn fetch(&self, session: &Arc<Session>, granted: &Arc<Granted>, hash: ModuleHash) -> Result<(), Refusal> {
        if self.hosts.has(granted, &hash) {
            return Ok(());
        }
        let transfer = Arc::clone(self.under_way.lock().entry(hash).or_default());
        let one = transfer.lock().await;
        let fetched = match self.hosts.has(granted, &hash) {
            true => Ok(()),
            false => self.fetch_anywhere(session, granted, hash).await,
        };
        drop(one);
        drop(transfer);
        self.under_way.lock().retain(|_, transfer| Arc::strong_count(transfer) > 1);
        fetched
    }

    /// The other node asks for a module, from an offset on, under a grant that lets it.
    pub fn give(
        &self,
        tasks: &Tasks,
        (session, call): (&Arc<Session>, u64),
        granted: &Arc<Granted>,
        (hash, offset): (ModuleHash, u64),
    ) {
        let (session, granted, transfers) = (Arc::clone(session), Arc::clone(granted), self.clone());
        let Some(asked) = Asked::count(&self.asked, limits::MODULE_READS_ASKED) else {
            let text = "so many pieces of modules are asked of this node already (MODULE_READS_ASKED)";
            return answer(&session, call, Err(Refusal::new(Code::Overloaded, text)));
        };
        tasks.spawn(TaskKind::Stream, "module", async move {
            let _asked = asked;
            // It is never closed.
            let _one = transfers.reads.acquire().await;
            let piece = transfers.hosts.bytes(&granted, hash).await.map(|bytes| {
                let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
                let piece = &rest[..rest.len().min(limits::MESSAGE_BYTES)];
                [&(bytes.len() as u64).to_le_bytes()[..], piece].concat().into()
            });
            let header = Header { call, ..Header::new(Kind::Answer) };
            // Pieces go one after the other, as the other node asks for them.
            let room = piece.as_ref().map_or(0, |piece: &Bytes| piece.len());
            while !session.has_ended() && !session.has_room_for(&header, room) {
                tokio::time::sleep(limits::KEEP_ALIVE / 10).await;
            }
            answer(&session, call, piece);
            Ok::<(), Infallible>(())
        });
    }

    /// From the node that asks, or one after the other of those that there is a session with and that the grant admits. What
    /// one has sent before it was lost another need not send again.
    async fn fetch_anywhere(
        &self,
        session: &Arc<Session>,
        granted: &Arc<Granted>,
        hash: ModuleHash,
    ) -> Result<(), Refusal> {
        let mut bytes = BytesMut::new();
        let mut fetched = self.fetch_from(session, granted, hash, &mut bytes).await;
        if let Err(first) = &fetched {
            let admits =
                |other: &Arc<Session>| !Arc::ptr_eq(other, session) && granted.grant.admits(&other.peer_name()).is_ok();
            let others: Vec<_> =
                self.peers.sessions().into_iter().filter(admits).take(limits::MODULE_SOURCES).collect();
            tracing::debug!(%hash, peer = %session.peer, others = others.len(), "others are asked for a module: {first}");
            for other in &others {
                let next = self.fetch_from(other, granted, hash, &mut bytes).await;
                if next.is_ok() {
                    fetched = next;
                    break;
                }
            }
        }
        fetched?;
        self.hosts.keep(granted, hash, bytes.freeze()).await
    }

    /// The rest of a module, piece by piece. What has not its hash is nothing.
    async fn fetch_from(
        &self,
        session: &Arc<Session>,
        granted: &Arc<Granted>,
        hash: ModuleHash,
        bytes: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let to = Remote::back(session, &granted.bytes);
        let from = Address { node: self.me, ..Address::default() };
        loop {
            let ask = Call::Module { hash, offset: bytes.len() as u64 };
            let mut piece = to.ask_for(&from, &ask, Bytes::new()).await?;
            if piece.len() < 8 {
                return Err(Refusal::new(Code::Protocol, "a piece of a module without its size"));
            }
            let size = piece.get_u64_le();
            if size > limits::MODULE_BYTES as u64 {
                let text = format!("the module has {size} bytes, and the limit is {}", limits::MODULE_BYTES);
                return Err(Refusal::new(Code::TooLarge, text));
            }
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 >= size {
                break;
            }
            if piece.is_empty() {
                return Err(Refusal::new(Code::Protocol, "an empty piece of a module that has more"));
            }
        }
        if blake3::hash(bytes).as_bytes() != &hash.0 {
            // Whoever sent a part of it that is not of it: the next begins anew.
            bytes.clear();
            return Err(Refusal::new(Code::Protocol, format!("node {} has other bytes than {hash}", session.peer)));
        }
        Ok(())
    }
}

impl Asked {
    /// `None`: so many are counted already.
    pub fn count(counter: &Arc<AtomicUsize>, most: usize) -> Option<Asked> {
        let asked = Asked(Arc::clone(counter));
        (counter.fetch_add(1, Ordering::Relaxed) < most).then_some(asked)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
