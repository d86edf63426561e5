//! `bytes -> artefact`: the one place that runs the compiler. Behind a trait, so that it can move to a child process with
//! limits of its own; until then a module that is slow to compile takes a compile thread of this process.

use super::error::Error;
use wasmtime::Engine;

/// Turns a validated module into native code of this node's engine.
pub trait Compiler: Send + Sync {
    fn compile(&self, wasm: &[u8]) -> Result<Artefact, Error>;
}

/// Native code as wasmtime serialises it. Only a compiler makes one, which is why it may be run.
#[derive(Debug)]
pub struct Artefact {
    bytes: Vec<u8>,
}

/// Compiles in this process.
#[derive(Clone, Debug)]
pub struct InProcess {
    engine: Engine,
}

impl Artefact {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl InProcess {
    pub fn new(engine: Engine) -> InProcess {
        InProcess { engine }
    }
}

impl Compiler for InProcess {
    fn compile(&self, wasm: &[u8]) -> Result<Artefact, Error> {
        let bytes =
            self.engine.precompile_module(wasm).map_err(|error| Error::Compile(Error::said(&format!("{error:#}"))))?;
        Ok(Artefact { bytes })
    }
}
