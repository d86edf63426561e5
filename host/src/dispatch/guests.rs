//! Jobs for other nodes: a computation's part on this node that its home, or another node, has asked for. What its coroutines
//! say goes to whoever asked.

use super::{Dispatch, Start, check_argv};
use crate::cluster::hosting::{Guest, Hosts};
use crate::cluster::link::Granted;
use crate::cluster::voice::Voice;
use crate::runtime::ports::{Observer, Pending, Told};
use crate::runtime::stdio::Output;
use crate::runtime::{Group, Nobody, Refusal};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::link::call::Command;
use corovan_core::wire::records::{JobLimits, Prepare, Progress};
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// The computations that have guests here, by the hash of their grant.
#[derive(Clone)]
pub struct Guests {
    dispatch: Dispatch,
    groups: Arc<Mutex<HashMap<[u8; 32], Here>>>,
    taken: Arc<Mutex<Taken>>,
}

/// What there is for jobs of other nodes; may change at any time, and what runs goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The node is in its service hours, and not drained.
    pub open: bool,
    /// At a time; absent: as many as there are slots.
    pub jobs: Option<u64>,
    /// Bytes that they may ask for together.
    pub memory: Option<u64>,
}

/// How much of it is taken.
struct Taken {
    room: Room,
    jobs: u64,
    memory: u64,
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
    /// Bytes that it may have.
    memory: u64,
}

/// Follows a guest's job.
struct Follower {
    voice: Arc<Voice>,
    started: Mutex<Option<oneshot::Sender<Result<Address, Refusal>>>>,
    over: Mutex<Option<Told>>,
    /// CPU nanoseconds of all its coroutines, where they are limited.
    used: AtomicU64,
    stay: Mutex<Option<Stay>>,
}

impl Guests {
    pub fn new(dispatch: Dispatch) -> Guests {
        let taken = Taken { room: Room { open: true, jobs: None, memory: None }, jobs: 0, memory: 0 };
        Guests { dispatch, groups: Arc::default(), taken: Arc::new(Mutex::new(taken)) }
    }

    /// From now on there is so much room.
    pub fn set_room(&self, room: Room) {
        self.taken.lock().room = room;
    }

    /// Errors: overloaded.
    fn stay(&self, granted: &Arc<Granted>, memory: u64) -> Result<Stay, Refusal> {
        self.taken.lock().take(memory)?;
        self.sweep();
        let mut groups = self.groups.lock();
        let here = groups.entry(granted.hash).or_insert_with(|| {
            // It has no number on this node: no client speaks of it here.
            let group = self.dispatch.group(0, &granted.tenant, || ());
            group.set_grant(granted.bytes.clone());
            Here { group, guests: 0, idle: 0 }
        });
        here.guests += 1;
        Ok(Stay { guests: self.clone(), hash: granted.hash, group: Arc::clone(&here.group), memory })
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
            let gone =
                idle.iter().enumerate().filter(|(at, (since, _))| *at < many || now.saturating_sub(*since) >= kept);
            gone.filter_map(|(_, (_, hash))| groups.remove(hash)).map(|here| here.group).collect()
        };
        over.iter().for_each(|group| self.dispatch.runtime().close(group));
    }
}

impl Taken {
    /// Whether another one would be taken that may have so much memory. Errors: overloaded.
    fn check(&self, memory: u64) -> Result<(), Refusal> {
        let full = |text: String| Err(Refusal::new(Code::Overloaded, text));
        let Room { open, jobs, memory: most } = self.room;
        if !open {
            return full(
                "this node is drained, or not in its service hours, and takes no new jobs of other nodes".into(),
            );
        }
        if let Some(jobs) = jobs.filter(|jobs| self.jobs >= *jobs) {
            return full(format!(
                "this node has {jobs} jobs of other nodes at a time (capacity.jobs): ask again later"
            ));
        }
        if let Some(most) = most.filter(|most| self.memory.saturating_add(memory) > *most) {
            let left = most.saturating_sub(self.memory);
            return full(format!(
                "this node has {left} of {most} bytes of memory left for jobs of other nodes (capacity.memory), and {memory} \
                 are asked for"
            ));
        }
        Ok(())
    }

    fn take(&mut self, memory: u64) -> Result<(), Refusal> {
        self.check(memory)?;
        self.jobs += 1;
        self.memory += memory;
        Ok(())
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        {
            let mut taken = self.guests.taken.lock();
            taken.jobs -= 1;
            taken.memory -= self.memory;
        }
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
    fn admits(&self) -> Result<(), Refusal> {
        self.taken.lock().check(0)
    }

    fn host(&self, guest: Guest) -> Pending<Result<Address, Refusal>> {
        let guests = self.clone();
        Box::pin(async move {
            let Guest { granted, spawn, args, input, voice, over, handle } = guest;
            let is_command = spawn.command.is_some();
            let Command { argv, env, terminals } = spawn.command.unwrap_or_default();
            check_argv(&argv)?;
            let prepare = Prepare {
                module: spawn.module,
                size: 0,
                function: (!is_command).then_some(spawn.function),
                limits: JobLimits {
                    memory: Some(spawn.memory).filter(|memory| *memory > 0),
                    deadline: Some(spawn.deadline),
                    cpu: spawn.cpu,
                },
                env,
                terminals,
            };
            let spec = guests.dispatch.prepare(&granted.tenant, prepare).await?;
            let spec = if spawn.most > 0 { spec.with_at_most(spawn.most) } else { spec };
            if handle.is_cancelled() {
                return Err(Refusal::new(Code::Interrupted, "whoever asked for it has given up"));
            }
            let (started, address) = oneshot::channel();
            let stay = guests.stay(&granted, spec.memory)?;
            let group = Arc::clone(&stay.group);
            let follower = Arc::new(Follower {
                voice,
                started: Mutex::new(Some(started)),
                over: Mutex::new(Some(over)),
                used: AtomicU64::new(0),
                stay: Mutex::new(Some(stay)),
            });
            let start = Start { args, argv, input, ..Start::default() };
            let job = guests.dispatch.submit(&group, &spec, start, follower as Arc<dyn Observer>);
            handle.running(move |by, reason, grace| job.cancel(by, reason, grace));
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

impl Observer for Follower {
    fn started(&self, address: Address) {
        self.voice.started(address);
        let started = self.started.lock().take();
        // Whoever asked has given up, and ends it.
        started.into_iter().for_each(|started| drop(started.send(Ok(address))));
    }

    fn progress(&self, done: u64, total: u64, text: String) {
        self.voice.progress(Progress { done, total, text });
    }

    fn log(&self, level: u8, text: String) {
        self.voice.log(level, text);
    }

    fn output(&self) -> &Output {
        self.voice.output()
    }

    fn output_ready(&self) {
        self.voice.output_ready();
    }

    fn ended(&self, record: &Arc<ExitRecord>) {
        let started = self.started.lock().take();
        if let Some(started) = started {
            let refusal = match &record.outcome {
                Outcome::Refused { code, why } => Refusal::new(*code, why.clone()),
                other => Refusal::new(Code::Interrupted, format!("it ended before it ran: {}", other.name())),
            };
            drop(started.send(Err(refusal)));
        }
        let over = self.over.lock().take();
        if record.address != Address::default()
            && let Some(over) = over
        {
            // What is told is of all that it made here.
            let cpu = self.used.load(Ordering::Relaxed).max(record.usage.cpu);
            let record = ExitRecord { usage: Usage { cpu, ..record.usage }, ..ExitRecord::clone(record) };
            self.voice.end(&Arc::new(record), over);
        }
        drop(self.stay.lock().take());
    }

    fn used(&self, cpu: u64) {
        self.used.store(cpu, Ordering::Relaxed);
    }

    fn child(&self, _: bool) -> Arc<dyn Observer> {
        // Its job follows what it makes.
        Arc::new(Nobody::default())
    }

    fn set_daemon(&self, _: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_others_find_as_much_room_as_there_is_and_none_out_of_hours() {
        let room = Room { open: true, jobs: Some(2), memory: Some(100) };
        let mut taken = Taken { room, jobs: 0, memory: 0 };
        let refused = |taken: &mut Taken, memory| taken.take(memory).unwrap_err().detail;
        assert!(refused(&mut taken, 101).contains("100 of 100 bytes"));
        taken.take(60).unwrap();
        assert!(refused(&mut taken, 41).contains("40 of 100 bytes"));
        taken.take(40).unwrap();
        assert!(refused(&mut taken, 0).contains("2 jobs of other nodes"));
        taken.room = Room { open: false, jobs: Some(3), memory: None };
        assert!(refused(&mut taken, 0).contains("service hours"));
        // Less than is taken: what runs goes on, and nothing new is taken.
        taken.room = Room { open: true, jobs: None, memory: Some(10) };
        assert!(refused(&mut taken, 0).contains("0 of 10 bytes"));
        taken.room = Room { open: true, jobs: None, memory: None };
        taken.take(u64::MAX / 2).unwrap();
    }
}
