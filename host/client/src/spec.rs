//! What is to be run: a module's bytes under their hash, a function of it, limits and environment.

use crate::error::Error;
use bytes::Bytes;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use corovan_core::wire::records::JobLimits;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Compiled WebAssembly and its name. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    hash: ModuleHash,
    bytes: Bytes,
}

impl Module {
    /// Any bytes up to the limit; the node decides whether they are a module.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Module, Error> {
        let bytes = bytes.into();
        if bytes.len() > limits::MODULE_BYTES {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(Module { hash: ModuleHash::of(&bytes), bytes })
    }

    pub fn from_file(path: impl AsRef<Path>) -> Result<Module, Error> {
        use std::io::Read;
        let path = path.as_ref();
        let fault = |error: std::io::Error| Error::ModuleFile {
            path: path.to_owned(),
            why: match error.kind() {
                std::io::ErrorKind::NotFound => "no such file".into(),
                _ => format!("cannot be read: {error}"),
            },
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(fault)?;
        file.take(limits::MODULE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(fault)?;
        Module::from_bytes(bytes)
    }

    pub fn hash(&self) -> ModuleHash {
        self.hash
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({}, {} bytes)", self.hash, self.bytes.len())
    }
}

/// A request to a node: be ready to run this.
#[derive(Clone, PartialEq, Debug)]
pub struct Prepare {
    pub module: Module,
    /// `None`: the command `_start` of a WASI program.
    pub function: Option<String>,
    pub limits: JobLimits,
    /// Environment of a WASI program.
    pub env: Vec<(String, String)>,
    /// Descriptors 0, 1, 2 are terminals here (bit 0, 1, 2).
    pub terminals: u8,
}

impl Prepare {
    pub fn function(module: Module, name: impl Into<String>) -> Prepare {
        Prepare { function: Some(name.into()), ..Prepare::command(module) }
    }

    pub fn command(module: Module) -> Prepare {
        Prepare { module, function: None, limits: JobLimits::default(), env: Vec::new(), terminals: 0 }
    }
}

/// A module and function that a node has ready, within one computation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spec(pub(crate) Arc<Prepared>);

#[derive(Debug)]
pub(crate) struct Prepared {
    pub id: u64,
    /// Of the computation that prepared it, which alone may use it.
    pub computation: u64,
    pub module: ModuleHash,
    pub function: String,
}

impl Spec {
    pub fn module(&self) -> ModuleHash {
        self.0.module
    }

    /// The function's name, `_start` for a command.
    pub fn function(&self) -> &str {
        &self.0.function
    }
}

fn too_large(size: u64) -> Error {
    Error::TooLarge { what: "the module", size, max: limits::MODULE_BYTES as u64 }
}
