//! `spawn`: a coroutine makes another, with never more than it has itself.

use super::Refusal;
use super::time::{u32_at, u64_at};
use crate::runtime::abroad::Ending;
use crate::runtime::control::Waits;
use crate::runtime::mail;
use crate::runtime::place::Place;
use crate::runtime::ports::{Observer, SpawnAway, SpawnOf};
use crate::runtime::{Control, Coroutine, Group, Launch, Program, Runtime};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use std::sync::Arc;
use std::time::Duration;

/// `corovan_spawn_options` in guest memory: size, flags, module, where, where_len, rights_len, rights, reserved: u32 each;
/// timeout, deadline, memory: u64 each.
pub const OPTIONS: u32 = 56;

const DAEMON: u32 = 1;
const MONITOR: u32 = 2;
const LINK: u32 = 4;
const ANYWHERE: u32 = 8;

/// Options as they lie in guest memory: numbers, and pointers that are still to be followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub flags: u32,
    pub module: u32,
    pub place: (u32, u32),
    pub rights: (u32, u32),
    pub timeout: u64,
    pub deadline: u64,
    pub memory: u64,
}

/// What is asked for.
#[derive(Debug, Default)]
pub struct Request {
    pub function: String,
    pub args: Bytes,
    pub module: Option<ModuleHash>,
    pub options: Options,
    /// Rights that it is to have.
    pub rights: Vec<String>,
    /// A node's name or a selector.
    pub place: String,
}

/// What the parent gives on.
struct Parent {
    runtime: Arc<Runtime>,
    control: Arc<Control>,
    observer: Arc<dyn Observer>,
    memory: u64,
    /// Nanoseconds of wall time that are left.
    deadline: u64,
}

/// A spawn that has to find its function first. Errors: overloaded, denied, unknown-function, bad-module, need-module,
/// invalid, shutting-down, interrupted.
pub async fn spawn(coroutine: &mut Coroutine, mut request: Request) -> Result<Address, Refusal> {
    // Before it waits for a module: what waits is kept all the same.
    let args_held = hold_args(coroutine, &request)?;
    let control = Arc::clone(&coroutine.control);
    let module = request.module.unwrap_or_else(|| control.program().module);
    if let Some(node) = away(coroutine, &request)? {
        let parent = Parent::of(coroutine, request.options.flags & DAEMON != 0);
        let of = SpawnOf::Function(module, std::mem::take(&mut request.function));
        return parent.launch_abroad(node, of, request).await;
    }
    let program = program(&control, &control.group, module, &request.function).await?;
    coroutine.own.spawned = Some(Arc::clone(&program));
    make(coroutine, program, request, args_held)
}

/// A call of a service of another node. Errors: not-found, denied, overloaded, node-lost, timeout, interrupted.
pub async fn called(
    coroutine: &mut Coroutine,
    service: Address,
    mut request: Request,
    timeout: u64,
) -> Result<Address, Refusal> {
    let _held = hold_args(coroutine, &request)?;
    request.options.timeout = timeout;
    let parent = Parent::of(coroutine, false);
    parent.launch_abroad(service.node, SpawnOf::Service(service), request).await
}

/// A spawn of what was spawned last, which waits for nothing; `None`: it is another function. Errors: overloaded,
/// shutting-down.
pub fn again(coroutine: &Coroutine, request: &mut Request) -> Option<Result<Address, Refusal>> {
    if request.is_placed() {
        return None;
    }
    let last = coroutine.own.spawned.as_ref().filter(|last| *last.function == request.function)?;
    if last.module != request.module.unwrap_or_else(|| coroutine.control.program().module) {
        return None;
    }
    let args_held = match hold_args(coroutine, request) {
        Ok(held) => held,
        Err(refusal) => return Some(Err(refusal)),
    };
    Some(make(coroutine, Arc::clone(last), std::mem::take(request), args_held))
}

impl Request {
    /// It says where.
    fn is_placed(&self) -> bool {
        !self.place.is_empty() || self.options.flags & ANYWHERE != 0
    }
}

/// The other node that it is to be made on; `None`: this one. Errors: node-lost, invalid.
fn away(coroutine: &Coroutine, request: &Request) -> Result<Option<NodeId>, Refusal> {
    if !request.is_placed() {
        return Ok(None);
    }
    let runtime = &coroutine.runtime;
    let Some(mesh) = runtime.mesh.get() else {
        if request.place.is_empty() {
            return Ok(None);
        }
        let text = format!("no node {:?} is known to this one", request.place.chars().take(80).collect::<String>());
        return Err(Refusal::new(Code::NodeLost, text));
    };
    Ok(Some(mesh.place(&request.place)?).filter(|node| *node != runtime.node))
}

impl Parent {
    /// Makes it on another node, and waits until it is there.
    async fn launch_abroad(self, node: NodeId, of: SpawnOf, request: Request) -> Result<Address, Refusal> {
        let Parent { runtime, control, observer, memory: most, deadline: left } = self;
        let Options { flags, deadline: asked, memory, timeout, .. } = request.options;
        let Some(mesh) = runtime.mesh.get() else {
            return Err(Refusal::new(Code::NodeLost, "this node is in no mesh"));
        };
        let what = SpawnAway {
            of,
            args: request.args,
            memory: if memory == 0 { 0 } else { memory.min(most) },
            most,
            deadline: if asked == 0 { left } else { asked.min(left) },
            cpu: control.tree.left(),
            input: None,
        };
        let promised = if flags & MONITOR != 0 { Some(runtime.promise(&control)?) } else { None };
        let ending = Ending::new(observer);
        let making = mesh.spawn(&control.group, node, &control.address, what, Box::new(ending.clone()));
        let waits = "the other node has not made it in time: if it is made later, it is ended at once";
        let timeout = if timeout == 0 { limits::SPAWN_AWAY.as_nanos() as u64 } else { timeout };
        let made = mail::bounded(&control, Waits::Spawn, runtime.patience(timeout), waits, making).await?;
        let (address, sprout) = made?;
        let daemon = flags & DAEMON != 0;
        let standing = runtime.made_abroad(&control.group, &control.tree, Arc::clone(&sprout), daemon);
        let Some(standing) = standing else {
            let text = "its computation is being ended and makes no more coroutines";
            return Err(Refusal::new(Code::ShuttingDown, text));
        };
        ending.stand(standing);
        // Whoever makes a coroutine that it cannot follow as it asked has made none.
        let tied = runtime.away(&control.group, &address).and_then(|way| {
            if flags & LINK != 0 {
                runtime.link_away(&control, &address, &*way, &sprout)?;
            }
            promised.map_or(Ok(()), |promised| runtime.watch_away(&control, &address, &*way, promised))
        });
        tied.inspect_err(|why| {
            sprout.cancel("node", &format!("whoever made it could not follow it: {why}"), limits::TERMINATE_GRACE)
        })?;
        Ok(address)
    }
}

pub(super) fn hold_args(coroutine: &Coroutine, request: &Request) -> Result<Option<Permit>, Refusal> {
    match request.args.len() as u64 {
        size if size > limits::MAILBOX_FREE => {
            Ok(Some(coroutine.control.group.tenant.ledger.take(Resource::Held, size)?))
        }
        _ => Ok(None),
    }
}

/// Makes it here. Errors: overloaded, shutting-down.
pub(super) fn make(
    coroutine: &Coroutine,
    program: Arc<Program>,
    request: Request,
    args_held: Option<Permit>,
) -> Result<Address, Refusal> {
    let parent = Parent::of(coroutine, request.options.flags & DAEMON != 0);
    parent.launch(program, request, args_held)
}

/// A function of a module, made ready once for a computation. `control` waits for it. Errors: interrupted, and those of
/// [`Group::ready`].
pub async fn program(
    control: &Control,
    group: &Arc<Group>,
    module: ModuleHash,
    function: &str,
) -> Result<Arc<Program>, Refusal> {
    let made = control.interruptible_if_it_waits(group.ready(module, function)).await;
    made.map_err(|reason| Refusal::new(Code::Interrupted, reason))?
}

impl Parent {
    fn of(coroutine: &Coroutine, daemon: bool) -> Parent {
        let runtime = Arc::clone(&coroutine.runtime);
        Parent {
            observer: coroutine.observer.child(daemon),
            memory: coroutine.memory_limit,
            deadline: coroutine.deadline.saturating_sub(runtime.scheduler.about()),
            runtime,
            control: Arc::clone(&coroutine.control),
        }
    }

    fn launch(self, program: Arc<Program>, request: Request, held: Option<Permit>) -> Result<Address, Refusal> {
        let Parent { runtime, control, observer, memory, deadline } = self;
        let Options { flags, deadline: asked, memory: wanted, .. } = request.options;
        let promised = if flags & MONITOR != 0 { Some(runtime.promise(&control)?) } else { None };
        let group = &control.group;
        let admitted = group.spawn.admit(group);
        let launched = admitted.and_then(|()| {
            let memory_wanted = if wanted == 0 { program.memory_wanted } else { wanted };
            let launch = Launch {
                memory: memory_wanted.min(memory),
                program,
                args: request.args,
                held,
                wasi: Default::default(),
                input: None,
                deadline: Duration::from_nanos(if asked == 0 { deadline } else { asked.min(deadline) }),
                // That of the tree, which it is one more of.
                cpu: None,
                attempt: 1,
                group: Arc::clone(group),
                tree: Some(Arc::clone(&control.tree)),
                daemon: flags & DAEMON != 0,
                observer,
            };
            runtime.launch(launch).inspect_err(|_| group.spawn.give_back(group))
        });
        let child = launched?;
        if let Some(promised) = promised {
            runtime.watch(&control, &child.address, Some(&Place::Here(Arc::clone(&child))), promised);
        }
        if flags & LINK != 0 {
            runtime.link(&control, &child);
        }
        Ok(child.address)
    }
}

/// Options from guest bytes. `Err`: what no program of this version writes.
pub fn parse_options(bytes: &[u8]) -> Result<Options, String> {
    let size = u32_at(bytes, 0);
    if size != OPTIONS {
        return Err(format!("spawn options of {size} bytes are not of this version, which has {OPTIONS}"));
    }
    if u32_at(bytes, 28) != 0 {
        return Err("the reserved field of spawn options is not 0".into());
    }
    Ok(Options {
        flags: u32_at(bytes, 4),
        module: u32_at(bytes, 8),
        place: (u32_at(bytes, 12), u32_at(bytes, 16)),
        rights: (u32_at(bytes, 24), u32_at(bytes, 20)),
        timeout: u64_at(bytes, 32),
        deadline: u64_at(bytes, 40),
        memory: u64_at(bytes, 48),
    })
}

/// What can be refused without looking anything up. Errors: invalid, denied, node-lost.
pub fn check(request: &Request) -> Result<(), Refusal> {
    let flags = request.options.flags;
    if flags & !(DAEMON | MONITOR | LINK | ANYWHERE) != 0 {
        return Err(Refusal::new(Code::Invalid, format!("{flags:#x} has a flag that spawn does not take")));
    }
    if let Some(right) = request.rights.first() {
        let text =
            format!("{right:?} is not among the rights of this coroutine, and a child never has more than its parent");
        return Err(Refusal::new(Code::Denied, text));
    }
    if !is_array(&request.args) {
        return Err(Refusal::new(Code::Invalid, "the arguments are not one CBOR array"));
    }
    Ok(())
}

fn is_array(args: &[u8]) -> bool {
    const ARRAY: u8 = 4;
    args.first().is_some_and(|first| first >> 5 == ARRAY) && corovan_core::wire::cbor::check(args).is_ok()
}

/// Arguments of `len` bytes are too large? Asked before they are copied.
pub fn check_args(len: u32) -> Result<(), Refusal> {
    if len as usize <= limits::ARGUMENT_BYTES {
        return Ok(());
    }
    let text = format!("arguments of {len} bytes are over the limit of {} (ARGUMENT_BYTES)", limits::ARGUMENT_BYTES);
    Err(Refusal::new(Code::TooLarge, text))
}
