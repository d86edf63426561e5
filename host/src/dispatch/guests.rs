//! Jobs for other nodes: a computation's part on this node that its home, or another node, has asked for. What its coroutines
//! print goes to this node's log.

use super::{Dispatch, Start};
use crate::cluster::hosting::{Guest, Hosts};
use crate::cluster::link::Granted;
use crate::runtime::ports::{Observer, Pending, Told};
use crate::runtime::stdio::Output;
use crate::runtime::{Group, Nobody, Refusal, Tenant};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::wire::records::{JobLimits, Prepare};
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The computations that have guests here, by the hash of their grant.
#[derive(Clone)]
pub struct Guests {
    dispatch: Dispatch,
    groups: Arc<Mutex<HashMap<[u8; 32], Here>>>,
}

/// One of them, how many guests it has, and since when it has none.
struct Here {
    group: Arc<Group>,
    guests: usize,
    idle: u64,
}

/// A guest of a computation, counted; with the last its part on this node is over.
struct Stay {
    guests: Guests,
    hash: [u8; 32],
    group: Arc<Group>,
}

/// Follows a guest's job.
struct Follower {
    peer: NodeId,
    tenant: Arc<Tenant>,
    dispatch: Dispatch,
    started: Mutex<Option<oneshot::Sender<Result<Address, Refusal>>>>,
    over: Mutex<Option<Told>>,
    output: Output,
    stay: Mutex<Option<Stay>>,
}

impl Guests {
    pub fn new(dispatch: Dispatch) -> Guests {
        Guests { dispatch, groups: Arc::default() }
    }

    fn stay(&self, granted: &Arc<Granted>) -> Stay {
        self.sweep();
        let mut groups = self.groups.lock();
        let here = groups.entry(granted.hash).or_insert_with(|| {
            // It has no number on this node: no client speaks of it here.
            let group = self.dispatch.group(0, &granted.tenant, || ());
            group.set_grant(granted.bytes.clone());
            Here { group, guests: 0, idle: 0 }
        });
        here.guests += 1;
        Stay { guests: self.clone(), hash: granted.hash, group: Arc::clone(&here.group) }
    }

    /// Computations without guests are over once the records of those that they had need not be kept any more; the longest idle
    /// first, where there are many.
    fn sweep(&self) {
        let now = self.dispatch.runtime().clock().now();
        let kept = u64::try_from(limits::EXITS_TIME.as_nanos()).unwrap_or(u64::MAX);
        let over: Vec<Arc<Group>> = {
            let mut groups = self.groups.lock();
            let mut idle: Vec<_> =
                groups.iter().filter(|(_, here)| here.guests == 0).map(|(hash, here)| (here.idle, *hash)).collect();
            idle.sort_unstable();
            let many = idle.len().saturating_sub(limits::GUESTS_IDLE);
            let gone = idle.iter().enumerate().filter(|(at, (since, _))| *at < many || now - since >= kept);
            gone.filter_map(|(_, (_, hash))| groups.remove(hash)).map(|here| here.group).collect()
        };
        over.iter().for_each(|group| self.dispatch.runtime().close(group));
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let over = {
            let mut groups = self.guests.groups.lock();
            let Some(here) = groups.get_mut(&self.hash) else { return };
            here.guests -= 1;
            here.idle = self.guests.dispatch.runtime().clock().now();
            // Its daemons end with the last guest; records of the ended are kept for whoever asks.
            let daemons = here.group.population().1;
            if here.guests == 0 && daemons > 0 { groups.remove(&self.hash) } else { None }
        };
        match over {
            Some(here) => self.guests.dispatch.runtime().close(&here.group),
            None => self.guests.sweep(),
        }
    }
}

impl Hosts for Guests {
    fn host(&self, guest: Guest) -> Pending<Result<Address, Refusal>> {
        let guests = self.clone();
        Box::pin(async move {
            let Guest { granted, spawn, args, peer, over, handle } = guest;
            let prepare = Prepare {
                module: spawn.module,
                size: 0,
                function: Some(spawn.function),
                limits: JobLimits {
                    memory: Some(spawn.memory).filter(|memory| *memory > 0),
                    deadline: Some(spawn.deadline),
                    cpu: None,
                },
                env: Vec::new(),
                terminals: 0,
            };
            let spec = guests.dispatch.prepare(&granted.tenant, prepare).await?;
            let spec = if spawn.most > 0 { spec.with_at_most(spawn.most) } else { spec };
            if handle.is_cancelled() {
                return Err(Refusal::new(Code::Interrupted, "whoever asked for it has given up"));
            }
            let (started, address) = oneshot::channel();
            let stay = guests.stay(&granted);
            let group = Arc::clone(&stay.group);
            let follower = Arc::new(Follower {
                peer,
                tenant: Arc::clone(&granted.tenant),
                dispatch: guests.dispatch.clone(),
                started: Mutex::new(Some(started)),
                over: Mutex::new(Some(over)),
                output: Output::default(),
                stay: Mutex::new(Some(stay)),
            });
            let start = Start { args, ..Start::default() };
            let job = guests.dispatch.submit(&group, &spec, start, follower as Arc<dyn Observer>);
            handle.running(move |by, reason| job.cancel(by, reason, limits::TERMINATE_GRACE));
            address.await.unwrap_or_else(|_| Err(Refusal::new(Code::Internal, "the job ended without a word")))
        })
    }

    fn keep(&self, granted: &Granted, hash: ModuleHash, bytes: Bytes) -> Pending<Result<(), Refusal>> {
        let (modules, tenant) = (self.dispatch.modules().clone(), granted.tenant.name().to_owned());
        Box::pin(async move {
            modules.put(&tenant, hash, bytes).await.map_err(|error| Refusal::new(error.code(), error.to_string()))
        })
    }

    fn has(&self, granted: &Granted, hash: &ModuleHash) -> bool {
        self.dispatch.modules().has(granted.tenant.name(), hash)
    }

    fn bytes(&self, granted: &Granted, hash: ModuleHash) -> Pending<Result<Bytes, Refusal>> {
        let (modules, tenant) = (self.dispatch.modules().clone(), granted.tenant.name().to_owned());
        Box::pin(async move {
            modules.bytes(&tenant, hash).await.map_err(|error| Refusal::new(error.code(), error.to_string()))
        })
    }
}

impl Follower {
    /// What it has printed, into the node's log.
    fn print(&self) {
        while let Some((_, bytes)) = self.output.take(limits::TEXT_BYTES) {
            let text = String::from_utf8_lossy(&bytes);
            self.tell(|tenant, dropped| {
                tracing::info!(tenant, peer = %self.peer, dropped, "a guest printed: {}", text.escape_debug());
            });
        }
    }

    /// Within what a tenant may write into the node's log.
    fn tell(&self, line: impl FnOnce(&str, u64)) {
        if let Some(dropped) = self.tenant.lines.admit(self.dispatch.runtime().clock().now()) {
            line(self.tenant.name(), dropped);
        }
    }
}

impl Observer for Follower {
    fn started(&self, address: Address) {
        let started = self.started.lock().take();
        // Whoever asked has given up, and ends it.
        started.into_iter().for_each(|started| drop(started.send(Ok(address))));
    }

    fn progress(&self, _: u64, _: u64, _: String) {}

    fn log(&self, level: u8, text: String) {
        self.tell(|tenant, dropped| {
            tracing::info!(tenant, peer = %self.peer, level, dropped, "a guest said: {}", text.escape_debug());
        });
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_ready(&self) {
        self.print();
    }

    fn ended(&self, record: &Arc<ExitRecord>) {
        self.print();
        let started = self.started.lock().take();
        if let Some(started) = started {
            let refusal = match &record.outcome {
                Outcome::Refused { code, why } => Refusal::new(*code, why.clone()),
                other => Refusal::new(Code::Interrupted, format!("it ended before it ran: {}", other.name())),
            };
            drop(started.send(Err(refusal)));
        }
        let over = self.over.lock().take();
        if record.address != Address::default() {
            over.into_iter().for_each(|over| over(record));
        }
        drop(self.stay.lock().take());
    }

    fn child(&self, _: bool) -> Arc<dyn Observer> {
        // Its job follows what it makes.
        Arc::new(Nobody::default())
    }

    fn set_daemon(&self, _: bool) {}
}
