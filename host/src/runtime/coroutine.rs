//! The state of one coroutine inside its store: what host functions see as `&mut Coroutine`.

use super::control::Control;
use super::launch::{Program, Runtime};
use super::own::{Replies, Routes, Tokens};
use bytes::Bytes;
use corovan_core::tenancy::quota::{Exhausted, Permit, Resource};
use std::sync::Arc;
use wasmtime::{Memory, ResourceLimiter};
use wasmtime_wasi::p1::WasiP1Ctx;

/// One coroutine's own things; dropped with its store.
pub struct Coroutine {
    pub control: Arc<Control>,
    pub runtime: Arc<Runtime>,
    /// CBOR array of positional arguments.
    pub args: Bytes,
    /// The function `_start` is to run, for modules that cannot export it.
    pub entry: Option<String>,
    /// What a hot swap leaves to the next instance.
    pub own: Own,
    /// Detail of the last negative result.
    pub last_error: String,
    /// Clock value at which it is stopped, `u64::MAX`: never.
    pub deadline: u64,
    pub observer: Arc<dyn super::ports::Observer>,
    pub program: WasiProgram,
    /// Descriptors 0, 1, 2 the guest has closed (bits).
    pub closed: u8,
    /// It has asked for its mailbox's descriptor and not closed that since.
    pub mailbox_open: bool,
    /// Its instance is to take the place of another, which still has what is the coroutine's.
    pub is_successor: bool,
    /// Bytes of linear memory it may have.
    pub memory_limit: u64,
    /// Clock value by which its start function must be done.
    pub(super) start_deadline: u64,
    pub(super) limiter: Limiter,
    pub(super) memory: Option<Memory>,
    wasi: Option<Box<WasiP1Ctx>>,
}

/// What belongs to the coroutine rather than to its instance.
#[derive(Default)]
pub struct Own {
    /// The value given to `finish`.
    pub result: Option<(Bytes, Permit)>,
    pub tokens: Tokens,
    pub replies: Replies,
    pub routes: Routes,
    pub locks: super::locks::Handles,
    /// What it made last, so that making another needs no search.
    pub spawned: Option<Arc<Program>>,
}

/// What a WASI program sees of its start. Made into a `WasiP1Ctx` only when it first asks: most coroutines never do.
#[derive(Clone, Debug, Default)]
pub struct WasiProgram {
    /// With the program's name first.
    pub argv: Vec<String>,
    pub env: Arc<[(String, String)]>,
    /// Descriptors 0, 1, 2 are terminals (bits).
    pub terminals: u8,
}

/// How a guest ends itself, or is ended by a rule it broke. Travels as the error of a host function.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Ended {
    #[error("exited with code {0}")]
    Exit(u32),
    #[error("failed: {kind}: {text}")]
    Fail { kind: String, text: String },
    #[error("broke a rule of the host interface: {0}")]
    Broken(String),
}

/// Bounds linear memory by the coroutine's limit and the tenant's ledger.
pub(super) struct Limiter {
    pub limit: u64,
    pub permit: Permit,
    /// A growth was refused: a trap after it is for want of memory.
    pub refused: bool,
}

impl Coroutine {
    pub(super) fn new(
        control: Arc<Control>,
        runtime: Arc<Runtime>,
        observer: Arc<dyn super::ports::Observer>,
        limiter: Limiter,
    ) -> Coroutine {
        Coroutine {
            control,
            runtime,
            args: Bytes::new(),
            entry: None,
            own: Own::default(),
            last_error: String::new(),
            deadline: u64::MAX,
            observer,
            program: WasiProgram::default(),
            closed: 0,
            mailbox_open: false,
            is_successor: false,
            memory_limit: u64::MAX,
            start_deadline: u64::MAX,
            limiter,
            memory: None,
            wasi: None,
        }
    }

    /// The exported memory, once the instance is there.
    pub fn memory(&self) -> Option<Memory> {
        self.memory
    }

    /// So many bytes of what the tenant may have the node keep.
    pub fn hold(&self, bytes: u64) -> Result<Permit, Exhausted> {
        self.limiter.permit.beside(Resource::Held, bytes)
    }

    /// wasmtime's WASI context, for what never waits: arguments, environment, clocks, randomness.
    pub fn wasi(&mut self) -> &mut WasiP1Ctx {
        let (runtime, program) = (&self.runtime, &self.program);
        self.wasi.get_or_insert_with(|| Box::new(runtime.wasi_context(program)))
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = (desired as u64).saturating_sub(current as u64);
        let granted = desired as u64 <= self.limit && self.permit.grow(more).is_ok();
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= corovan_core::limits::TABLE_ELEMENTS)
    }
}
