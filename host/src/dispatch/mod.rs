//! Jobs: what to run becomes a spec, a spec becomes jobs, a job becomes a coroutine when there is a slot, and ends
//! exactly once. No I/O here: modules come from `modules`, events go to the follower.

pub mod admission;
mod away;
pub mod guests;
pub mod job;
mod news;
pub mod offers;
pub mod placing;
pub mod shown;
pub mod tenants;

use crate::hostcalls::Linker;
use crate::modules::{Entry, Loaded, Modules};
use crate::runtime::ports::{Observer, Pending, Spawn};
use crate::runtime::stdio::Input;
use crate::runtime::{Group, Program, Runtime};
pub use crate::runtime::{Refusal, Tenant};
use admission::Admission;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{ComputationId, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::wire::Outcome;
use corovan_core::wire::records::{JobLimits, Prepare};
pub use job::Job;
use placing::Placing;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
pub use tenants::Tenants;

/// What runs jobs; cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<Runtime>,
    modules: Modules,
    linker: Linker,
    admission: Admission,
    placing: Placing,
    closing: AtomicBool,
    drained: AtomicBool,
    last_computation: AtomicU64,
    /// Jobs by how they ended, in the order of [`Outcome::NAMES`].
    ended: [AtomicU64; Outcome::NAMES.len()],
}

/// A module's function with the limits it runs under.
#[derive(Clone)]
pub struct Spec {
    program: Arc<Program>,
    memory: u64,
    /// What of that was asked for, so that a node has to have it free.
    asked: u64,
    deadline: Duration,
    cpu: Option<Duration>,
    env: Arc<[(String, String)]>,
    terminals: u8,
    /// A command's own name: the first of its argv.
    name: String,
    /// It is a WASI program, and no function of a module.
    is_command: bool,
}

/// What one job of a spec is given.
#[derive(Clone, Default)]
pub struct Start {
    /// CBOR array; empty stands for an empty array.
    pub args: Bytes,
    pub argv: Vec<String>,
    pub input: Option<Arc<Input>>,
    /// Which nodes may run it: a selector, nothing for any. `None`: this one.
    pub at: Option<String>,
    /// Nodes where earlier attempts at it failed, with their numbers.
    pub excluded: Vec<(NodeId, u32)>,
    /// Counts the attempts at it, from 1; 0 as 1.
    pub attempt: u32,
}

/// An empty CBOR array.
const NO_ARGUMENTS: Bytes = Bytes::from_static(&[0x80]);

impl Dispatch {
    /// `slots`: coroutines that may exist at a time, and how many of them one tenant may have.
    pub fn new(
        runtime: Arc<Runtime>,
        modules: Modules,
        linker: Linker,
        (slots, tenant_slots): (usize, usize),
    ) -> Dispatch {
        let admission = Admission::new(slots, tenant_slots, limits::NODE_QUEUE);
        let placing = Placing::new(runtime.random.number());
        let (closing, drained, last_computation, ended) = Default::default();
        let inner = Inner { runtime, modules, linker, admission, placing, closing, drained, last_computation, ended };
        Dispatch { inner: Arc::new(inner) }
    }

    pub fn modules(&self) -> &Modules {
        &self.inner.modules
    }

    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.inner.runtime
    }

    /// Makes a spec of a module that is there. `Code::NeedModule` when this tenant has not shipped it.
    pub async fn prepare(&self, tenant: &Tenant, prepare: Prepare) -> Result<Arc<Spec>, Refusal> {
        self.check_open()?;
        check_size(&prepare)?;
        if !self.inner.modules.has(tenant.name(), &prepare.module) {
            return Err(Refusal::new(Code::NeedModule, format!("module {} is not here yet", prepare.module)));
        }
        let loaded = self.inner.modules.load(tenant.name(), &prepare.module).await;
        let loaded = loaded.map_err(|error| Refusal::new(error.code(), error.to_string()))?;
        self.spec(&loaded, prepare).map(Arc::new)
    }

    /// Queues a job; its follower learns of everything, last of its end.
    pub fn submit(&self, group: &Arc<Group>, spec: &Arc<Spec>, start: Start, follower: Arc<dyn Observer>) -> Arc<Job> {
        let job = Job::new(self.clone(), Arc::clone(group), Arc::clone(spec), start, follower);
        match self.check_open() {
            Ok(()) => job.place(),
            Err(refusal) => job.refuse(refusal.code, refusal.detail),
        }
        job
    }

    /// A number that no computation of this node has had since it started; from 1.
    pub fn next_computation(&self) -> ComputationId {
        self.inner.last_computation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A computation's part on this node. `over`: see [`Group::new`].
    pub fn group(
        &self,
        id: ComputationId,
        tenant: &Arc<Tenant>,
        over: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Group> {
        Arc::new(Group::new(id, Arc::clone(tenant), Arc::new(self.clone()), over))
    }

    /// Where jobs run that may run elsewhere.
    pub fn placing(&self) -> &Placing {
        &self.inner.placing
    }

    /// No new jobs of clients run here from now on, or they do again; other nodes may run them all the same.
    pub fn drain(&self, drained: bool) {
        self.inner.drained.store(drained, Ordering::Relaxed);
    }

    /// No new specs and jobs from now on.
    pub fn close(&self) {
        self.inner.closing.store(true, Ordering::Relaxed);
        self.inner.placing.close();
    }

    /// Jobs with a slot, and jobs that wait for one.
    pub fn load(&self) -> (usize, usize) {
        self.inner.admission.load()
    }

    /// How many jobs have ended since the node started, by how.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::NAMES.into_iter().zip(&self.inner.ended).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Whether it takes new jobs of its clients. Errors: overloaded (drained), shutting-down.
    pub fn takes_work(&self) -> Result<(), Refusal> {
        self.check_open()?;
        self.check_undrained()
    }

    fn count(&self, outcome: &Outcome) {
        let place = Outcome::NAMES.iter().position(|name| *name == outcome.name());
        place.and_then(|place| self.inner.ended.get(place)).into_iter().for_each(|count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// Whether a job of a client of this node may run here.
    fn check_undrained(&self) -> Result<(), Refusal> {
        if self.inner.drained.load(Ordering::Relaxed) {
            let text = "this node is drained and takes no new jobs, until `corovan undrain`: ask another, or have another run it (`--at any`)";
            return Err(Refusal::new(Code::Overloaded, text));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Refusal> {
        if self.inner.closing.load(Ordering::Relaxed) {
            return Err(Refusal::new(Code::ShuttingDown, "the node is shutting down and takes no new work"));
        }
        Ok(())
    }

    fn make_program(&self, loaded: &Loaded, function: Option<&str>) -> Result<Program, Refusal> {
        let entry = loaded.info.entry(function);
        let entry = entry.map_err(|error| Refusal::new(error.code(), error.to_string()))?;
        let (export, entry) = match entry {
            Entry::Export(name) => (name, None),
            Entry::Start { entry } => ("_start".to_owned(), entry),
        };
        let least = loaded.info.memory.as_ref().map_or(0, |memory| memory.min);
        let wanted = loaded.info.manifest.as_ref().and_then(|manifest| manifest.memory);
        let wanted = wanted.unwrap_or(limits::MEMORY_DEFAULT.max(least)).min(limits::MEMORY_MAX);
        Program::new(loaded.hash, &loaded.module, &self.inner.linker, &export, entry, wanted)
            .map_err(|error| Refusal::new(Code::BadModule, format!("{error:#}")))
    }

    fn spec(&self, loaded: &Loaded, prepare: Prepare) -> Result<Spec, Refusal> {
        let program = self.make_program(loaded, prepare.function.as_deref())?;
        let memory = memory_limit(&prepare.limits, loaded.info.manifest.as_ref().and_then(|manifest| manifest.memory));
        if let Some(needed) = loaded.info.memory.as_ref().map(|memory| memory.min).filter(|needed| *needed > memory) {
            let text = format!(
                "the module starts with {needed} bytes of memory, over the job's limit of {memory}: ask for more with --memory \
                 (this node allows up to {})",
                limits::MEMORY_MAX
            );
            return Err(Refusal::new(Code::BadModule, text));
        }
        Ok(Spec {
            name: program.function.to_string(),
            program: Arc::new(program),
            memory,
            asked: prepare.limits.memory.unwrap_or(0).min(memory),
            deadline: prepare
                .limits
                .deadline
                .map_or(limits::DEADLINE_DEFAULT, |asked| Duration::from_nanos(asked).min(limits::DEADLINE_MAX)),
            cpu: prepare.limits.cpu.map(Duration::from_nanos),
            env: prepare.env.into(),
            terminals: prepare.terminals,
            is_command: prepare.function.is_none(),
        })
    }
}

impl Spec {
    /// The same with no more memory than this.
    fn with_at_most(self: Arc<Self>, memory: u64) -> Arc<Spec> {
        if self.memory <= memory {
            return self;
        }
        Arc::new(Spec { memory, ..Spec::clone(&self) })
    }
}

/// Coroutines that coroutines make.
impl Spawn for Dispatch {
    fn program(
        &self,
        group: &Arc<Group>,
        module: ModuleHash,
        function: &str,
    ) -> Pending<Result<Arc<Program>, Refusal>> {
        let (dispatch, tenant, function) = (self.clone(), Arc::clone(&group.tenant), function.to_owned());
        Box::pin(async move {
            dispatch.check_open()?;
            let modules = &dispatch.inner.modules;
            if !modules.has(tenant.name(), &module) {
                let text = format!("module {module} is not here, or was not shipped by this tenant: ship it first");
                return Err(Refusal::new(Code::NeedModule, text));
            }
            let loaded = modules.load(tenant.name(), &module).await;
            let loaded = loaded.map_err(|error| Refusal::new(error.code(), error.to_string()))?;
            dispatch.make_program(&loaded, Some(&function)).map(Arc::new)
        })
    }

    fn admit(&self, group: &Group) -> Result<(), Refusal> {
        self.check_open()?;
        self.inner.admission.squeeze(group.tenant.share.id())
    }

    fn give_back(&self, group: &Group) {
        self.inner.admission.leave(group.tenant.share.id());
    }
}

/// What can be refused before anything is looked up.
fn check_size(prepare: &Prepare) -> Result<(), Refusal> {
    let name = prepare.function.as_deref().unwrap_or_default();
    if name.len() > limits::NAME_BYTES {
        return Err(Refusal::new(
            Code::TooLarge,
            format!("a function name of {} bytes is over the limit of {}", name.len(), limits::NAME_BYTES),
        ));
    }
    let env: usize = prepare.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if env > limits::ARGV_BYTES {
        let text = format!("an environment of {env} bytes is over the limit of {}", limits::ARGV_BYTES);
        return Err(Refusal::new(Code::TooLarge, text));
    }
    // A string with a NUL would panic nobody, but no C program could read it.
    if prepare.env.iter().any(|(name, value)| name.contains(['\0', '=']) || name.is_empty() || value.contains('\0')) {
        return Err(Refusal::new(Code::Invalid, "an environment variable is NAME=VALUE, without NUL bytes"));
    }
    if prepare.size > limits::MODULE_BYTES as u64 {
        let text = format!("a module of {} bytes is over the limit of {}", prepare.size, limits::MODULE_BYTES);
        return Err(Refusal::new(Code::TooLarge, text));
    }
    Ok(())
}

/// What no program could be given. Errors: too-large, invalid.
pub fn check_argv(argv: &[String]) -> Result<(), Refusal> {
    let size: usize = argv.iter().map(|argument| argument.len() + 1).sum();
    if size > limits::ARGV_BYTES {
        let text = format!("{size} bytes of command-line arguments are over the limit of {}", limits::ARGV_BYTES);
        return Err(Refusal::new(Code::TooLarge, text));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(Refusal::new(Code::Invalid, "a command-line argument has a NUL byte"));
    }
    Ok(())
}

fn memory_limit(asked: &JobLimits, manifest: Option<u64>) -> u64 {
    asked.memory.or(manifest).unwrap_or(limits::MEMORY_DEFAULT).min(limits::MEMORY_MAX)
}
