//! What a guest may call. Each function is written once, over `&mut Coroutine` and owned values; the doors bind them.

pub mod channels;
pub mod door;
pub mod lifecycle;
pub mod log;
pub mod mailbox_fd;
mod memory;
pub mod messaging;
pub mod poll;
pub mod relations;
pub mod services;
pub mod spawn;
pub mod time;
pub mod wasi;

pub use crate::runtime::Refusal;
use crate::runtime::{Coroutine, blank_store};
use wasmtime::{Engine, Extern, FuncType};

/// Resolves the imports of modules to the functions of this folder.
pub type Linker = wasmtime::Linker<Coroutine>;

/// The linker of the core door: everything a core module may import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, Coroutine::wasi)?;
    // Ours replace those of wasmtime-wasi that wait, or that touch descriptors 0 to 2.
    linker.allow_shadowing(true);
    wasi::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    door::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Every function of a linker: module, name, type.
pub fn imports(engine: &Engine, linker: &Linker) -> wasmtime::Result<Vec<(String, String, FuncType)>> {
    let mut store = blank_store(engine)?;
    let entries: Vec<_> = linker.iter(&mut store).map(|(m, n, item)| (m.to_owned(), n.to_owned(), item)).collect();
    let function = |item: Extern| item.into_func().map(|function| function.ty(&store));
    Ok(entries.into_iter().filter_map(|(module, name, item)| Some((module, name, function(item)?))).collect())
}
