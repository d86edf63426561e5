//! From bytes to native code and back. Behind a small interface, so that compilation can move to a process of its own; until
//! then a node is one trust domain.

use super::Error;
use std::hash::{Hash, Hasher};
use wasmtime::{Engine, Module};

/// Compiles on the calling thread.
pub trait Compiler: Send + Sync {
    /// Validated bytes of a module to native code for this engine.
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, Error>;
}

/// Cranelift, in this process.
#[derive(Debug)]
pub struct InProcess(pub Engine);

impl Compiler for InProcess {
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.precompile_module(wasm).map_err(|error| Error::Compile(format!("{error:#}")))
    }
}

/// Names everything that native code depends on: wasmtime's exact version, its settings, the processor's features.
pub fn engine_key(engine: &Engine) -> String {
    struct Digest(blake3::Hasher);
    impl Hasher for Digest {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut digest = Digest(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut digest);
    // The compatibility hash names the major version only; a patch may fix what the compiler did wrong.
    digest.write(WASMTIME.as_bytes());
    digest.0.finalize().to_hex()[..32].to_owned()
}

/// The resolved version, from the lock file by way of the build; see `build.rs`.
const WASMTIME: &str = env!("COROVAN_WASMTIME_VERSION");

/// Native code to a module.
///
/// The caller vouches that `native` is what [`Compiler::compile`] returned on this machine: it was authenticated with
/// the node's own key after it was read, and never came from the network.
pub(super) fn load(engine: &Engine, native: &Authentic) -> Result<Module, Error> {
    // SAFETY: `Authentic` can only be made of the compiler's own output, fresh or under a MAC with a key that only this
    // node's files hold; so these bytes are unchanged output of `precompile_module` for an engine of the same key.
    unsafe { Module::deserialize(engine, &native.0) }.map_err(|error| Error::Compile(format!("{error:#}")))
}

/// Output of the compiler, known to be unchanged.
pub(super) struct Authentic(Vec<u8>);

/// The node's secret for its own cache.
#[derive(Clone)]
pub(super) struct CacheKey(pub [u8; 32]);

const MAC: usize = 32;

impl Authentic {
    pub fn fresh(compiler: &dyn Compiler, wasm: &[u8]) -> Result<Authentic, Error> {
        compiler.compile(wasm).map(Authentic)
    }

    /// `None` if this was not sealed under this key and name.
    pub fn open(key: &CacheKey, name: &str, mut sealed: Vec<u8>) -> Option<Authentic> {
        let tag: [u8; MAC] = sealed.get(..MAC)?.try_into().ok()?;
        // `blake3::Hash` compares in constant time.
        if mac(key, name, &sealed[MAC..]) != blake3::Hash::from_bytes(tag) {
            return None;
        }
        sealed.drain(..MAC);
        Some(Authentic(sealed))
    }

    pub fn seal(&self, key: &CacheKey, name: &str) -> Vec<u8> {
        let mut sealed = mac(key, name, &self.0).as_bytes().to_vec();
        sealed.extend_from_slice(&self.0);
        sealed
    }
}

/// Over the name too: one module's code must not pass for another's.
fn mac(key: &CacheKey, name: &str, code: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(code);
    hasher.finalize()
}
