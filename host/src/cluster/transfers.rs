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
use corovan_core::tenancy::quota::{Permit, Resource};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Those of a node; cheap to clone.
#[derive(Clone)]
pub(super) struct Transfers {
    me: NodeId,
    hosts: Arc<dyn Hosts>,
    /// Who may have a module that the node that asks has not.
    peers: Peers,
    /// One transfer of a module at a time, however many ask for it: for one node, and, as long as that one gives it, for all.
    under_way: Arc<Mutex<UnderWay>>,
    /// Pieces of modules that are being read for other nodes: each reads a whole module.
    reads: Arc<Semaphore>,
    /// Those that are asked for and not given yet.
    asked: Counted,
}

/// For whom a module is fetched, or for all, and by the module.
type UnderWay = HashMap<(Option<NodeId>, ModuleHash), Arc<tokio::sync::Mutex<()>>>;

/// What is asked of this node and not done yet, by session.
pub(super) type Counted = Arc<Mutex<HashMap<usize, usize>>>;

/// One of those, until dropped.
pub(super) struct Asked(Counted, usize);

impl Transfers {
    pub fn new(me: NodeId, hosts: Arc<dyn Hosts>, peers: Peers) -> Transfers {
        let reads = Arc::new(Semaphore::new(limits::MODULE_READS));
        Transfers { me, hosts, peers, under_way: Arc::default(), reads, asked: Arc::default() }
    }

    /// Sees to it that a module is here, for what the node of this session wants. Errors: need-module, too-large, protocol,
    /// node-lost, timeout, overloaded, and those of [`Hosts::keep`].
    pub async fn fetch(&self, session: &Arc<Session>, granted: &Arc<Granted>, hash: ModuleHash) -> Result<(), Refusal> {
        if self.hosts.has(granted, &hash) {
            return Ok(());
        }
        let fetched = async {
            let one_of = |from: Option<NodeId>| {
                let mut transfers = self.under_way.lock();
                transfers.retain(|_, transfer| Arc::strong_count(transfer) > 1);
                Arc::clone(transfers.entry((from, hash)).or_default())
            };
            let (of_this, of_all) = (one_of(Some(session.peer)), one_of(None));
            let _one = of_this.lock().await;
            // A node that asks for a module and does not give it keeps others waiting for a moment only.
            let _turn = tokio::time::timeout(limits::MODULE_TURN, of_all.lock()).await;
            match self.hosts.has(granted, &hash) {
                true => Ok(()),
                false => self.fetch_anywhere(session, granted, hash).await,
            }
        };
        let fetched = tokio::time::timeout(limits::MODULE_FETCH, fetched).await;
        fetched.unwrap_or_else(|_| {
            Err(Refusal::new(Code::Timeout, "its module did not come in time from the node that asks"))
        })
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
        let Some(asked) = Asked::one_more(&self.asked, &session, limits::MODULE_READS_ASKED) else {
            let text = "so many pieces of modules are asked of this node already (MODULE_READS_ASKED)";
            return answer(&session, call, Err(Refusal::new(Code::Overloaded, text)));
        };
        tasks.spawn(TaskKind::Stream, "module", async move {
            let _asked = asked;
            let header = Header { call, ..Header::new(Kind::Answer) };
            // Before it is read: who takes nothing keeps nothing in memory here, and others from nothing.
            let can_go = || session.has_ended() || session.has_room_for(&header, 8 + limits::MESSAGE_BYTES);
            let one = loop {
                while !can_go() {
                    tokio::time::sleep(limits::KEEP_ALIVE / 10).await;
                }
                // It is never closed.
                let one = transfers.reads.acquire().await;
                // Others may have taken the room meanwhile.
                if can_go() {
                    break one;
                }
            };
            let piece = transfers.hosts.bytes(&granted, hash).await.map(|bytes| {
                let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
                let piece = &rest[..rest.len().min(limits::MESSAGE_BYTES)];
                [&(bytes.len() as u64).to_le_bytes()[..], piece].concat().into()
            });
            answer(&session, call, piece);
            drop(one);
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
        // As what a client ships.
        let mut module =
            Coming { bytes: BytesMut::new(), held: Permit::nothing(&granted.tenant.ledger, Resource::Held) };
        let mut fetched = self.fetch_from(session, granted, hash, &mut module).await;
        if let Err(first) = &fetched {
            let admits =
                |other: &Arc<Session>| !Arc::ptr_eq(other, session) && granted.grant.admits(&other.peer_name()).is_ok();
            let others: Vec<_> =
                self.peers.sessions().into_iter().filter(admits).take(limits::MODULE_SOURCES).collect();
            tracing::debug!(%hash, peer = %session.peer, others = others.len(), "others are asked for a module: {first}");
            for other in &others {
                let next = self.fetch_from(other, granted, hash, &mut module);
                // One that gives nothing leaves time for the next.
                if let Ok(Ok(())) = tokio::time::timeout(limits::MODULE_SOURCE, next).await {
                    fetched = Ok(());
                    break;
                }
            }
        }
        fetched?;
        self.hosts.keep(granted, hash, module.bytes.freeze()).await
    }

    /// The rest of a module, piece by piece. What has not its hash is nothing.
    async fn fetch_from(
        &self,
        session: &Arc<Session>,
        granted: &Arc<Granted>,
        hash: ModuleHash,
        module: &mut Coming,
    ) -> Result<(), Refusal> {
        let Coming { bytes, held } = module;
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
            held.grow(size.saturating_sub(held.amount()))?;
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

/// A module of which a part is here, and what the tenant is charged for it.
struct Coming {
    bytes: BytesMut,
    held: Permit,
}

impl Asked {
    /// `None`: so many are asked in this session already.
    pub fn one_more(counted: &Counted, session: &Arc<Session>, most: usize) -> Option<Asked> {
        let at = Arc::as_ptr(session).addr();
        let mut table = counted.lock();
        let count = table.entry(at).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Asked(Arc::clone(counted), at))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut table = self.0.lock();
        if let Some(count) = table.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.1);
            }
        }
    }
}
