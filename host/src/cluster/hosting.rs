//! Coroutines that this node makes for others: their modules are fetched where they are missing, they run as jobs of a guest
//! computation, their end is told to the node that asked, and they end with the session in which it asked.

use super::link::{Fault, Granted, Session};
use super::receive::{answer, tell};
use super::remote::Remote;
use crate::runtime::Refusal;
use crate::runtime::ports::{Pending, Told};
use crate::runtime::services::Told as ServiceTold;
use crate::tasks::{TaskKind, Tasks};
use bytes::{Buf, Bytes, BytesMut};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::link::call::{Call, Spawn};
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::text::cut;
use corovan_core::wire::ExitRecord;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What runs guests.
pub trait Hosts: Send + Sync {
    /// Makes a coroutine; resolves when it runs, or will not. Errors: those of a spawn, and need-module.
    fn host(&self, guest: Guest) -> Pending<Result<Address, Refusal>>;
    /// Takes a module for the tenant of a grant. Errors: bad-module, overloaded.
    fn keep(&self, granted: &Granted, hash: ModuleHash, bytes: Bytes) -> Pending<Result<(), Refusal>>;
    /// The module is here for the tenant of a grant.
    fn has(&self, granted: &Granted, hash: &ModuleHash) -> bool;
    /// Its bytes. Errors: need-module.
    fn bytes(&self, granted: &Granted, hash: ModuleHash) -> Pending<Result<Bytes, Refusal>>;
}

/// A coroutine that is to be made for another node.
pub struct Guest {
    pub granted: Arc<Granted>,
    pub spawn: Spawn,
    pub args: Bytes,
    /// For logs: who asked.
    pub peer: NodeId,
    /// Told when it and all that it made here have ended; not where it was never made.
    pub over: Told,
    /// Given what ends it, as soon as there is something to end.
    pub handle: Handle,
}

/// Ends a guest, also one that is being made.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<State>>);

/// By whom, and why.
type End = Box<dyn Fn(&str, &str) + Send + Sync>;

#[derive(Default)]
enum State {
    #[default]
    Making,
    Running(End),
    /// It was ended before it was made.
    Cancelled(String, String),
    Over,
}

/// Guests of all nodes, and transfers of modules.
pub struct Hosting {
    me: NodeId,
    hosts: Arc<dyn Hosts>,
    tasks: Tasks,
    guests: Arc<Mutex<HashMap<Key, Handle>>>,
    /// One transfer of a module at a time, however many ask for it: from one node, and, as long as that one gives it, from all.
    transfers: Arc<Mutex<Transfers>>,
    /// Pieces of modules that are being read for other nodes: each reads a whole module.
    reads: Arc<Semaphore>,
    /// Those that are asked for and not given yet, by session.
    asked: Arc<Mutex<HashMap<usize, usize>>>,
}

/// By whom a module is fetched from, or all, and by the module.
type Transfers = HashMap<(Option<NodeId>, ModuleHash), Arc<tokio::sync::Mutex<()>>>;

/// A session, by where it is in memory, and the number of a guest's end in it.
type Key = (usize, u64);

impl Hosting {
    pub fn new(me: NodeId, hosts: Arc<dyn Hosts>, tasks: Tasks) -> Hosting {
        let reads = Arc::new(Semaphore::new(limits::MODULE_READS));
        Hosting { me, hosts, tasks, guests: Arc::default(), transfers: Arc::default(), reads, asked: Arc::default() }
    }

    /// The other node asks for a coroutine, under a grant that lets it.
    pub(super) fn spawn(
        &self,
        session: &Arc<Session>,
        header: &Header,
        granted: &Arc<Granted>,
        (spawn, told): (Spawn, Option<ServiceTold>),
        args: Bytes,
    ) -> Result<(), Fault> {
        let over = spawn.over;
        let handle = Handle::default();
        let (stop, key) = (handle.clone(), key(session, over));
        let lost = format!("node {} cannot be reached any more", session.peer);
        // Not watched any more means that the session is over: nobody is there to be told, or to want it.
        let watched = session.watch(over, Box::new(move || stop.cancel("node", &lost)))?;
        let call = header.call;
        let refused = match watched {
            // What is watched under that number, if anything is, stays.
            Err(refused) => {
                answer(session, call, Err(Refusal::new(Code::Overloaded, refused.to_string())));
                return Ok(());
            }
            // The module of a service is its owner's choice.
            Ok(()) if spawn.service.is_some() => Ok(()),
            Ok(()) => granted.runs(&spawn.module),
        };
        // As an open job of a client is: also while its module is fetched, for which the other node may take its time.
        let weight = (limits::JOB_BYTES + spawn.function.len() + args.len()) as u64;
        let held = refused.and_then(|()| Ok(granted.tenant.ledger.take(Resource::Held, weight)?));
        let held = match held {
            Ok(held) => held,
            Err(refusal) => {
                session.unwatch(over);
                answer(session, call, Err(refusal));
                return Ok(());
            }
        };
        self.guests.lock().insert(key, handle.clone());
        let (guests, at, about) = (Arc::clone(&self.guests), Arc::clone(session), *header);
        let guest = Guest {
            granted: Arc::clone(granted),
            spawn,
            args: Bytes::copy_from_slice(&args),
            peer: session.peer,
            over: Box::new(move |record: &Arc<ExitRecord>| {
                drop(held);
                guests.lock().remove(&key);
                if at.unwatch(over) {
                    let monitor = Header { call: over, to: Local::from(record.address), from: about.from, ..about };
                    tell(&at, &monitor, record, 0);
                }
            }),
            handle: handle.clone(),
        };
        let made = self.make(session, guest);
        let (session, guests) = (Arc::clone(session), Arc::clone(&self.guests));
        self.tasks.spawn(TaskKind::Stream, "guest", async move {
            let outcome = made.await;
            if let (Ok(address), Some(told)) = (&outcome, told) {
                told.made(*address);
            }
            if outcome.is_err() {
                guests.lock().remove(&key);
                session.unwatch(over);
            }
            answer(&session, call, outcome.map(|address| Bytes::copy_from_slice(&address.to_bytes())));
            Ok::<(), Infallible>(())
        });
        Ok(())
    }

    /// The other node ends what it asked for.
    pub(super) fn cancel(&self, session: &Arc<Session>, over: u64, by: &str, reason: &str) {
        let handle = self.guests.lock().get(&key(session, over)).cloned();
        let (by, reason) = (cut(by.to_owned(), limits::TEXT_BYTES), cut(reason.to_owned(), limits::TEXT_BYTES));
        handle.into_iter().for_each(|handle| handle.cancel(&by, &reason));
    }

    /// The other node asks for a module, from an offset on, under a grant that lets it.
    pub(super) fn module(
        &self,
        session: &Arc<Session>,
        call: u64,
        granted: &Arc<Granted>,
        hash: ModuleHash,
        offset: u64,
    ) {
        let (session, hosts, granted) = (Arc::clone(session), Arc::clone(&self.hosts), Arc::clone(granted));
        let reads = Arc::clone(&self.reads);
        let Some(asked) = Asked::one_more(&self.asked, &session) else {
            let text = "so many pieces of modules are asked of this node already (MODULE_READS_ASKED)";
            return answer(&session, call, Err(Refusal::new(Code::Overloaded, text)));
        };
        self.tasks.spawn(TaskKind::Stream, "module", async move {
            let _asked = asked;
            let header = Header { call, ..Header::new(Kind::Answer) };
            // Before it is read: who takes nothing keeps nothing in memory here, and others from nothing.
            let can_go = || session.has_ended() || session.has_room_for(&header, 8 + limits::MESSAGE_BYTES);
            let one = loop {
                while !can_go() {
                    tokio::time::sleep(limits::KEEP_ALIVE / 10).await;
                }
                // It is never closed.
                let one = reads.acquire().await;
                // Others may have taken the room meanwhile.
                if can_go() {
                    break one;
                }
            };
            let piece = hosts.bytes(&granted, hash).await.map(|bytes| {
                let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
                let piece = &rest[..rest.len().min(limits::MESSAGE_BYTES)];
                [&(bytes.len() as u64).to_le_bytes()[..], piece].concat().into()
            });
            answer(&session, call, piece);
            drop(one);
            Ok::<(), Infallible>(())
        });
    }

    /// Nothing of a session's guests is kept; they have been stopped by the session itself.
    pub(super) fn ended(&self, session: &Arc<Session>) {
        let at = Arc::as_ptr(session).addr();
        self.guests.lock().retain(|(session, _), _| *session != at);
    }

    fn make(&self, session: &Arc<Session>, guest: Guest) -> Pending<Result<Address, Refusal>> {
        let (session, hosts, transfers) = (Arc::clone(session), Arc::clone(&self.hosts), Arc::clone(&self.transfers));
        let me = self.me;
        Box::pin(async move {
            let hash = guest.spawn.module;
            if !hosts.has(&guest.granted, &hash) {
                let fetched = async {
                    let one_of = |from: Option<NodeId>| {
                        let mut transfers = transfers.lock();
                        transfers.retain(|_, transfer| Arc::strong_count(transfer) > 1);
                        Arc::clone(transfers.entry((from, hash)).or_default())
                    };
                    let (of_this, of_all) = (one_of(Some(session.peer)), one_of(None));
                    let _one = of_this.lock().await;
                    // A node that asks for a module and does not give it keeps others waiting for a moment only.
                    let _turn = tokio::time::timeout(limits::MODULE_TURN, of_all.lock()).await;
                    match hosts.has(&guest.granted, &hash) {
                        true => Ok(()),
                        false => fetch(me, &session, &guest.granted, &*hosts, hash).await,
                    }
                };
                let fetched = tokio::time::timeout(limits::MODULE_FETCH, fetched).await;
                let late =
                    |_| Err(Refusal::new(Code::Timeout, "its module did not come in time from the node that asks"));
                fetched.unwrap_or_else(late)?;
            }
            hosts.host(guest).await
        })
    }
}

impl Handle {
    /// It runs, and this ends it. Ended before, it is now.
    pub fn running(&self, end: impl Fn(&str, &str) + Send + Sync + 'static) {
        let mut state = self.0.lock();
        if let State::Cancelled(by, reason) = &*state {
            let (by, reason) = (by.clone(), reason.clone());
            drop(state);
            return end(&by, &reason);
        }
        *state = State::Running(Box::new(end));
    }

    pub fn cancel(&self, by: &str, reason: &str) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Making => *state = State::Cancelled(by.to_owned(), reason.to_owned()),
            State::Running(end) => {
                drop(state);
                end(by, reason);
                let mut state = self.0.lock();
                *state = State::Running(end);
            }
            other => *state = other,
        }
    }

    /// Whether it was ended before it ran.
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0.lock(), State::Cancelled(..))
    }
}

/// A piece of a module that is asked for, until dropped.
struct Asked(Arc<Mutex<HashMap<usize, usize>>>, usize);

impl Asked {
    /// `None`: so many are asked for in this session already.
    fn one_more(asked: &Arc<Mutex<HashMap<usize, usize>>>, session: &Arc<Session>) -> Option<Asked> {
        let at = Arc::as_ptr(session).addr();
        let mut table = asked.lock();
        let count = table.entry(at).or_default();
        if *count >= limits::MODULE_READS_ASKED {
            return None;
        }
        *count += 1;
        Some(Asked(Arc::clone(asked), at))
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

/// Gets a module's bytes from the node that asks for it to run, piece by piece, and keeps them if they have its hash.
async fn fetch(
    me: NodeId,
    session: &Arc<Session>,
    granted: &Arc<Granted>,
    hosts: &dyn Hosts,
    hash: ModuleHash,
) -> Result<(), Refusal> {
    let back = Remote::back(session, &granted.bytes);
    let from = Address { node: me, ..Address::default() };
    let mut bytes = BytesMut::new();
    // As what a client ships.
    let mut held = Permit::nothing(&granted.tenant.ledger, Resource::Held);
    loop {
        let ask = Call::Module { hash, offset: bytes.len() as u64 };
        let mut piece = back.ask_for(&from, &ask, Bytes::new()).await?;
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
            // More than it said has not the hash either.
            bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            break;
        }
        if piece.is_empty() {
            return Err(Refusal::new(Code::Protocol, "an empty piece of a module that has more"));
        }
    }
    hosts.keep(granted, hash, bytes.freeze()).await
}

fn key(session: &Arc<Session>, over: u64) -> Key {
    (Arc::as_ptr(session).addr(), over)
}
