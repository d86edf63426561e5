//! The coroutines of one computation on this node: how many there are, when the last has ended, and how the ended ended.

use super::launch::Program;
use super::locks::Locks;
use super::ports::Spawn;
use super::refusal::Refusal;
use super::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{ComputationId, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// One computation's part on this node.
pub struct Group {
    pub id: ComputationId,
    pub tenant: Arc<Tenant>,
    pub locks: Locks,
    /// Makes programs of functions, and room for children.
    pub spawn: Arc<dyn Spawn>,
    /// Signed by its tenant: what lets its work go to other nodes.
    grant: OnceLock<Bytes>,
    census: Mutex<Census>,
    exits: Mutex<Exits>,
    programs: Mutex<HashMap<(ModuleHash, String), Arc<Program>>>,
    /// Called once, when it is closed and its last coroutine has ended.
    over: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Census {
    /// Coroutines that keep the computation open, and daemons.
    working: usize,
    daemons: usize,
    /// No more jobs come: it ends with its last working coroutine.
    closed: bool,
    /// It is being ended: nothing more is made in it.
    ending: bool,
    told: bool,
}

/// Ended coroutines whose records are kept, oldest first.
struct Exits {
    kept: VecDeque<Kept>,
    bytes: u64,
    held: Permit,
}

struct Kept {
    at: u64,
    counter: u64,
    bytes: u64,
}

/// What the caller has to do after a change in the census.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    Nothing,
    /// Only daemons are left of a closed computation: terminate them.
    EndDaemons,
    /// [`Group::tell_over`].
    Over,
}

impl Group {
    /// `over` is called once, when it is closed and its last coroutine has ended; on any thread, and must not block.
    pub fn new(
        id: ComputationId,
        tenant: Arc<Tenant>,
        spawn: Arc<dyn Spawn>,
        over: impl Fn() + Send + Sync + 'static,
    ) -> Group {
        let held = Permit::nothing(&tenant.ledger, Resource::Held);
        Group {
            id,
            tenant,
            locks: Locks::default(),
            spawn,
            grant: OnceLock::new(),
            census: Mutex::default(),
            exits: Mutex::new(Exits { kept: VecDeque::new(), bytes: 0, held }),
            programs: Mutex::default(),
            over: Box::new(over),
        }
    }

    /// What lets its work go to other nodes; without, it stays here.
    pub fn grant(&self) -> Option<&Bytes> {
        self.grant.get()
    }

    /// Once, before its first coroutine; it has been checked.
    pub fn set_grant(&self, grant: Bytes) {
        // Another one later would be of another computation.
        let _ = self.grant.set(grant);
    }

    /// A coroutine is about to be made; `false` when the computation is being ended.
    pub(super) fn enter(&self, daemon: bool) -> bool {
        let mut census = self.census.lock();
        if census.ending {
            return false;
        }
        *census.of(daemon) += 1;
        true
    }

    /// A coroutine has ended.
    pub(super) fn leave(&self, daemon: bool) -> Then {
        let mut census = self.census.lock();
        *census.of(daemon) -= 1;
        census.next()
    }

    pub(super) fn set_daemon(&self, daemon: bool) -> Then {
        let mut census = self.census.lock();
        *census.of(!daemon) -= 1;
        *census.of(daemon) += 1;
        census.next()
    }

    pub(super) fn close(&self, ending: bool) -> Then {
        let mut census = self.census.lock();
        census.closed = true;
        census.ending |= ending;
        census.next()
    }

    pub(super) fn tell_over(&self) {
        (self.over)();
    }

    /// Coroutines that are there: working, daemons.
    pub fn population(&self) -> (usize, usize) {
        let census = self.census.lock();
        (census.working, census.daemons)
    }

    /// Keeps an exit record of so many bytes in mind; the coroutines (by counter) whose records are now to be forgotten.
    pub(super) fn keep_exit(&self, now: u64, counter: u64, bytes: u64) -> Vec<u64> {
        let mut exits = self.exits.lock();
        let mut forgotten = Vec::new();
        exits.kept.push_back(Kept { at: now, counter, bytes });
        exits.bytes += bytes;
        let oldest = now.saturating_sub(u64::try_from(limits::EXITS_TIME.as_nanos()).unwrap_or(u64::MAX));
        while let Some(first) = exits.kept.front() {
            // One alone always fits, also the largest.
            let fits =
                exits.kept.len() == 1 || exits.kept.len() <= limits::EXITS_KEPT && exits.bytes <= limits::EXITS_BYTES;
            if first.at >= oldest && fits && exits.covers() {
                break;
            }
            if let Some(first) = exits.kept.pop_front() {
                exits.bytes -= first.bytes;
                forgotten.push(first.counter);
            }
        }
        forgotten
    }

    /// All records, to be forgotten when the computation is over.
    pub(super) fn take_exits(&self) -> Vec<u64> {
        let mut exits = self.exits.lock();
        let amount = exits.held.amount();
        exits.held.shrink(amount);
        exits.bytes = 0;
        exits.kept.drain(..).map(|kept| kept.counter).collect()
    }

    /// A program that was made before.
    fn program(&self, module: ModuleHash, function: &str) -> Option<Arc<Program>> {
        // A borrowed pair cannot be looked up in a map of owned pairs; there are few, and a coroutine remembers its last.
        self.programs.lock().get(&(module, function.to_owned())).cloned()
    }

    /// A function of a module, made ready once for this computation. Errors: unknown-function, and those of [`Spawn::program`].
    pub async fn ready(self: &Arc<Self>, module: ModuleHash, function: &str) -> Result<Arc<Program>, Refusal> {
        check_function(function)?;
        if let Some(program) = self.program(module, function) {
            return Ok(program);
        }
        let program = self.spawn.program(self, module, function).await?;
        self.remember(&program);
        Ok(program)
    }

    /// Remembers a program; a computation has few functions, and one with many makes them anew.
    fn remember(&self, program: &Arc<Program>) {
        let mut programs = self.programs.lock();
        if programs.len() < limits::COMPUTATION_SPECS {
            programs.insert((program.module, program.function.to_string()), Arc::clone(program));
        }
    }
}

/// A function's name is too long for one? Errors: unknown-function.
pub fn check_function(name: &str) -> Result<(), Refusal> {
    if name.len() <= limits::NAME_BYTES {
        return Ok(());
    }
    let text = format!("a function name of {} bytes is over the limit of {}", name.len(), limits::NAME_BYTES);
    Err(Refusal::new(Code::UnknownFunction, text))
}

impl Census {
    fn of(&mut self, daemon: bool) -> &mut usize {
        if daemon { &mut self.daemons } else { &mut self.working }
    }

    fn next(&mut self) -> Then {
        if !self.closed || self.working > 0 || self.told {
            return Then::Nothing;
        }
        self.ending = true;
        if self.daemons > 0 {
            return Then::EndDaemons;
        }
        self.told = true;
        Then::Over
    }
}

impl Exits {
    /// The tenant's quota covers what is kept. Taken and given back in steps.
    fn covers(&mut self) -> bool {
        let wanted = self.bytes.div_ceil(limits::HELD_STEP) * limits::HELD_STEP;
        let amount = self.held.amount();
        if wanted <= amount {
            if amount - wanted > limits::HELD_STEP {
                self.held.shrink(amount - wanted);
            }
            return true;
        }
        self.held.grow(wanted - amount).is_ok()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("tenant", &self.tenant.name()).finish_non_exhaustive()
    }
}
