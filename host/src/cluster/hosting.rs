//! Coroutines that this node makes for others: their modules are fetched where they are missing, they run as jobs of a guest
//! computation, their end is told to the node that asked, and they end with the session in which it asked.

use super::link::{Fault, Granted, Peers, Session};
use super::receive::{answer, sender};
use super::remote::Remote;
use super::transfers::{Counted, Transfers};
use super::values;
use super::voice::{self, Voice};
use crate::runtime::ports::{Pending, Told};
use crate::runtime::services::Told as ServiceTold;
use crate::runtime::stdio::Input;
use crate::runtime::{Refusal, owned};
use crate::tasks::{TaskKind, Tasks, becomes};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::link::call::{Said, Spawn};
use corovan_core::link::frame::{Header, Local};
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::text::cut;
use corovan_core::wire::ExitRecord;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What runs guests.
pub trait Hosts: Send + Sync {
    /// Whether it takes another one now; asked before its module is fetched. Errors: overloaded.
    fn admits(&self) -> Result<(), Refusal> {
        Ok(())
    }
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
    /// Its standard input, if it has any.
    pub input: Option<Arc<Input>>,
    /// What it says, and last its end.
    pub voice: Arc<Voice>,
    /// Told after that when it and all that it made here have ended; not where it was never made.
    pub over: Told,
    /// Given what ends it, as soon as there is something to end.
    pub handle: Handle,
}

/// Ends a guest, also one that is being made.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<State>>);

/// By whom, why, and how long it has.
type End = Box<dyn Fn(&str, &str, Duration) + Send + Sync>;

#[derive(Default)]
enum State {
    #[default]
    Making,
    Running(End),
    /// It was ended before it was made.
    Cancelled(String, String, Duration),
    Over,
}

/// Guests of all nodes, transfers of modules, and swaps that are asked for.
pub struct Hosting {
    hosts: Arc<dyn Hosts>,
    pub(super) tasks: Tasks,
    pub(super) transfers: Transfers,
    guests: Hosted,
    /// Swaps that other nodes wait for, by session.
    pub(super) swaps: Counted,
}

/// The guests of all nodes; cheap to clone.
#[derive(Clone, Default)]
pub struct Hosted(Arc<Mutex<HashMap<Key, Here>>>);

/// One of them.
#[derive(Clone)]
struct Here {
    handle: Handle,
    input: Option<Arc<Feed>>,
}

/// The standard input of one, and whether a part of it waits for room.
struct Feed {
    input: Arc<Input>,
    is_busy: AtomicBool,
}

/// A session, by where it is in memory, and the number of a guest's end in it.
type Key = (usize, u64);

impl Hosting {
    /// `peers` are asked for modules that the node that wants one to run has not.
    pub fn new(me: NodeId, hosts: Arc<dyn Hosts>, peers: Peers, tasks: Tasks) -> Hosting {
        let transfers = Transfers::new(me, Arc::clone(&hosts), peers);
        Hosting { hosts, tasks, transfers, guests: Hosted::default(), swaps: Arc::default() }
    }

    /// Its guests.
    pub fn hosted(&self) -> Hosted {
        self.guests.clone()
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
        let lost = format!("node {} cannot be reached any more, or has given it up", session.peer);
        // Not watched any more means that nobody is there to be told, or to want it.
        let watched = session.watch(over, Box::new(move || stop.cancel("node", &lost, limits::TERMINATE_GRACE)))?;
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
        // As an open job of a client is: also while its module is fetched, for which the other node may take its time. Arguments that
        // are to be fetched as well are charged when they come.
        let buffer = if spawn.stdin { limits::STDIN_BUFFER } else { 0 };
        let weight = (limits::JOB_BYTES + spawn.function.len() + args.len() + buffer) as u64;
        let held = refused.and_then(|()| Ok(granted.tenant.ledger.take(Resource::Held, weight)?));
        let held = match held {
            Ok(held) => held,
            Err(refusal) => {
                session.unwatch(over);
                answer(session, call, Err(refusal));
                return Ok(());
            }
        };
        let input = spawn.stdin.then(|| Arc::new(Input::open()));
        let feed = |input: &Arc<Input>| Arc::new(Feed { input: Arc::clone(input), is_busy: AtomicBool::new(false) });
        let here = Here { handle: handle.clone(), input: input.as_ref().map(feed) };
        self.guests.0.lock().insert(key, here);
        let voice = Voice::new(session, granted, (header.from, over), &self.tasks);
        let (guests, tells) = (self.guests.clone(), voice.tells_end(*header, &granted.tenant));
        let guest = Guest {
            granted: Arc::clone(granted),
            spawn,
            args: Bytes::copy_from_slice(&args),
            input,
            voice,
            over: Box::new(move |record: &Arc<ExitRecord>| {
                drop(held);
                tells(record);
                guests.remove(&key);
            }),
            handle: handle.clone(),
        };
        let made = self.make(session, header.from, guest);
        let (session, guests) = (Arc::clone(session), self.guests.clone());
        self.tasks.spawn(TaskKind::Stream, "guest", async move {
            let outcome = made.await;
            if let (Ok(address), Some(told)) = (&outcome, told) {
                told.made(*address);
            }
            if outcome.is_err() {
                guests.remove(&key);
                session.unwatch(over);
            }
            answer(&session, call, outcome.map(|address| Bytes::copy_from_slice(&address.to_bytes())));
            Ok::<(), Infallible>(())
        });
        Ok(())
    }

    /// The other node ends what it asked for.
    pub(super) fn cancel(&self, session: &Arc<Session>, over: u64, (by, reason): (&str, &str), grace: Option<u64>) {
        let handle = self.guests.get(&key(session, over)).map(|here| here.handle);
        let (by, reason) = (cut(by.to_owned(), limits::TEXT_BYTES), cut(reason.to_owned(), limits::TEXT_BYTES));
        let grace = grace.map_or(limits::TERMINATE_GRACE, Duration::from_nanos).min(limits::SHUTDOWN_GRACE);
        handle.into_iter().for_each(|handle| handle.cancel(&by, &reason, grace));
    }

    /// The other node runs a coroutine for this one, and tells what it said.
    pub(super) fn said(&self, session: &Arc<Session>, header: &Header, said: Said, mut bytes: Bytes) {
        let call = header.call;
        let Said { over, progress, logs, stream } = said;
        let Some(ear) = session.ear(over) else {
            return answer(session, call, Err(Refusal::new(Code::Gone, "nobody here waits for its end")));
        };
        let Some(listening) = ear.listen() else {
            let text = "what it said before has not found room yet";
            return answer(session, call, Err(Refusal::new(Code::Protocol, text)));
        };
        listening.is_of(sender(session, header));
        listening.hear(progress, logs);
        let Some(stream) = voice::stream(stream).filter(|_| !bytes.is_empty()) else {
            drop(listening);
            return answer(session, call, Ok(Bytes::new()));
        };
        // Most of it is there at once; where a client is slow, it waits here, and so does who printed it.
        bytes = owned(bytes);
        let session = Arc::clone(session);
        self.tasks.spawn(TaskKind::Stream, "hears", async move {
            poll_fn(|cx| listening.poll_print(cx, stream, &mut bytes)).await;
            drop(listening);
            answer(&session, call, Ok(Bytes::new()));
            Ok::<(), Infallible>(())
        });
    }

    /// The other node asks for a module, from an offset on, under a grant that lets it.
    pub(super) fn module(&self, asked: (&Arc<Session>, u64), granted: &Arc<Granted>, what: (ModuleHash, u64)) {
        self.transfers.give(&self.tasks, asked, granted, what);
    }

    /// Nothing of a session's guests is kept; they have been stopped by the session itself.
    pub(super) fn ended(&self, session: &Arc<Session>) {
        let at = Arc::as_ptr(session).addr();
        let gone: Vec<Key> = self.guests.0.lock().keys().filter(|(session, _)| *session == at).copied().collect();
        gone.iter().for_each(|key| self.guests.remove(key));
    }

    /// Standard input of a guest has come.
    pub(super) fn input(&self, session: &Arc<Session>, call: u64, (over, end): (u64, bool), bytes: Bytes) {
        let feed = self.guests.get(&key(session, over)).and_then(|here| here.input);
        let gone = || Refusal::new(Code::Gone, "nobody here reads it");
        let Some(feed) = feed else { return answer(session, call, Err(gone())) };
        if feed.is_busy.swap(true, Ordering::AcqRel) {
            let text = "the input before that has not found room yet";
            return answer(session, call, Err(Refusal::new(Code::Protocol, text)));
        }
        let (session, mut bytes) = (Arc::clone(session), owned(bytes));
        self.tasks.spawn(TaskKind::Stream, "feeds", async move {
            let fed = poll_fn(|cx| feed.input.poll_feed(cx, &mut bytes)).await;
            if end {
                feed.input.finish();
            }
            feed.is_busy.store(false, Ordering::Release);
            answer(&session, call, fed.map(|()| Bytes::new()).map_err(|_| gone()));
            Ok::<(), Infallible>(())
        });
    }

    fn make(&self, session: &Arc<Session>, asker: Local, mut guest: Guest) -> Pending<Result<Address, Refusal>> {
        let (session, hosts, transfers) = (Arc::clone(session), Arc::clone(&self.hosts), self.transfers.clone());
        Box::pin(async move {
            hosts.admits()?;
            transfers.fetch(&session, &guest.granted, guest.spawn.module).await?;
            if guest.spawn.large.is_some() {
                let to = Remote::back(&session, &guest.granted.bytes).at(asker);
                let mut held = Permit::nothing(&guest.granted.tenant.ledger, Resource::Held);
                guest.args = values::arguments(&to, guest.spawn.over, &mut held).await?;
                let over = guest.over;
                guest.over = Box::new(move |record: &Arc<ExitRecord>| {
                    drop(held);
                    over(record);
                });
            }
            hosts.host(guest).await
        })
    }
}

impl Hosted {
    fn get(&self, key: &Key) -> Option<Here> {
        self.0.lock().get(key).cloned()
    }

    /// It is over: nobody reads what it was given.
    fn remove(&self, key: &Key) {
        let here = self.0.lock().remove(key);
        here.and_then(|here| here.input).into_iter().for_each(|feed| feed.input.finish());
    }

    /// Ends them all, and waits until that has been told, so long at the most.
    pub async fn end(&self, reason: &str, within: Duration) {
        let handles: Vec<Handle> = self.0.lock().values().map(|here| here.handle.clone()).collect();
        handles.iter().for_each(|handle| handle.cancel("node", reason, limits::TERMINATE_GRACE));
        if !becomes(|| self.0.lock().is_empty(), within).await {
            tracing::warn!("some coroutines of other nodes did not end in time");
        }
    }
}

impl Handle {
    /// It runs, and this ends it. Ended before, it is now.
    pub fn running(&self, end: impl Fn(&str, &str, Duration) + Send + Sync + 'static) {
        let mut state = self.0.lock();
        if let State::Cancelled(by, reason, grace) = &*state {
            let (by, reason, grace) = (by.clone(), reason.clone(), *grace);
            drop(state);
            return end(&by, &reason, grace);
        }
        *state = State::Running(Box::new(end));
    }

    pub fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Over) {
            State::Making => *state = State::Cancelled(by.to_owned(), reason.to_owned(), grace),
            State::Running(end) => {
                drop(state);
                end(by, reason, grace);
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

fn key(session: &Arc<Session>, over: u64) -> Key {
    (Arc::as_ptr(session).addr(), over)
}
