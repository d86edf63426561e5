//! Native code that was compiled before, sealed with a key that only this node has: what was damaged, or put there by
//! another, is noticed and compiled again. Nothing else than sealed or just compiled code is ever run.

use super::compile::Artefact;
use super::error::Error;
use super::index::Kind;
use super::store::{NATIVE, Store, replace};
use corovan_core::ids::ModuleHash;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use wasmtime::{Engine, Module};

pub struct NativeCache {
    engine: Engine,
    engine_key: String,
    store: Arc<Store>,
    key: [u8; blake3::KEY_LEN],
}

impl NativeCache {
    /// `fresh`: the node's key if it has none yet.
    pub fn open(
        dir: &Path,
        engine: Engine,
        store: Arc<Store>,
        fresh: [u8; blake3::KEY_LEN],
    ) -> Result<NativeCache, Error> {
        let path = dir.join(NATIVE).join(KEY);
        let key = key(&path, fresh).map_err(|source| Error::directory(&path, source))?;
        let engine_key = engine_key(&engine);
        Ok(NativeCache { engine, engine_key, store, key })
    }

    /// The module's native code, with its size, if it is there and as it was kept.
    pub fn load(&self, hash: &ModuleHash) -> Option<(Module, u64)> {
        let sealed = self.store.read_native(hash)?;
        let loaded = self.unseal(hash, &sealed).ok_or_else(|| "its seal is broken".to_owned());
        let loaded =
            loaded.and_then(|code| Ok((self.link(&code).map_err(|error| format!("{error:#}"))?, code.0.len())));
        match loaded {
            Ok((module, size)) => Some((module, size as u64)),
            Err(why) => {
                tracing::warn!(module = %hash, why, "kept native code is damaged and is compiled again");
                self.store.forget(hash, Kind::Native);
                None
            }
        }
    }

    /// Makes a module of code that was just compiled, and keeps the code for the next start. Where it cannot be kept, it
    /// is compiled again then.
    pub fn adopt(&self, hash: ModuleHash, artefact: &Artefact) -> Result<Module, Error> {
        let module = self
            .link(&Trusted(artefact.bytes()))
            .map_err(|error| Error::Compile(Error::said(&format!("{error:#}"))))?;
        let seal = self.seal(&hash, artefact.bytes());
        if let Err(error) = self.store.put_native(hash, &[MAGIC, seal.as_bytes(), artefact.bytes()]) {
            tracing::warn!(module = %hash, %error, "native code cannot be kept");
        }
        Ok(module)
    }

    fn link(&self, code: &Trusted<'_>) -> wasmtime::Result<Module> {
        // SAFETY: `deserialize` asks for bytes that `Engine::precompile_module` of this wasmtime has made. A `Trusted` is
        // made in two places: of an `Artefact`, which only a `Compiler` of this node makes; and by `unseal`, of bytes
        // whose keyed hash shows that this node sealed them as such an artefact, for an engine of this version and
        // settings, since they are under the seal too. The key lies in a directory and file that only we can read.
        unsafe { Module::deserialize(&self.engine, code.0) }
    }

    fn unseal<'a>(&self, hash: &ModuleHash, sealed: &'a [u8]) -> Option<Trusted<'a>> {
        let (seal, code) = sealed.strip_prefix(MAGIC)?.split_first_chunk::<{ blake3::OUT_LEN }>()?;
        // blake3's comparison takes the same time wherever the difference is.
        (self.seal(hash, code) == *seal).then_some(Trusted(code))
    }

    fn seal(&self, hash: &ModuleHash, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Of fixed length, all but the last: no two inputs run together to the same bytes.
        hasher.update(MAGIC).update(self.engine_key.as_bytes()).update(&hash.0).update(code).finalize()
    }
}

/// What everything about native code depends on: wasmtime's exact version, the engine's settings, the CPU's features.
pub fn engine_key(engine: &Engine) -> String {
    let mut hasher = Blake3(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    // Loading checks the major version only, and a patch may mend what the compiler did wrong.
    hasher.write(env!("COROVAN_WASMTIME_VERSION").as_bytes());
    hasher.0.finalize().to_hex().to_string()
}

/// Bytes that are native code of this node's own making.
struct Trusted<'a>(&'a [u8]);

/// The standard hasher is not the same in every version of the toolchain, and has 64 bits.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// The node's key; a missing or damaged one is replaced, and breaks all seals.
fn key(path: &Path, fresh: [u8; blake3::KEY_LEN]) -> io::Result<[u8; blake3::KEY_LEN]> {
    match std::fs::read(path) {
        Ok(bytes) => {
            if let Ok(key) = bytes.try_into() {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // With mode 0600, like every file written aside.
    replace(path, &fresh)?;
    Ok(fresh)
}

const KEY: &str = "key";
/// Kind and version of the files.
const MAGIC: &[u8] = b"corovan native 1\n";
