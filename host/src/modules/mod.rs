//! Modules: validated, stored, compiled once, found by hash. Whether a module "is here" is answered per tenant.

pub mod compile;
mod error;
pub mod info;
pub mod store;
pub mod validate;

use bytes::Bytes;
use compile::{Authentic, Compiler, InProcess};
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
pub use error::Error;
pub use info::{Entry, KnownImports, ModuleInfo, Signature};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use store::{Kind, Store};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use wasmtime::{Engine, Module};

/// Where, and how much.
#[derive(Clone, Debug)]
pub struct Config {
    pub dir: PathBuf,
    /// Bytes of modules and native code kept.
    pub store_bytes: u64,
    /// Validations and compilations at a time: one a core.
    pub compiles: usize,
    /// Random bytes, for the key of a new cache.
    pub secret: [u8; 32],
}

/// The node's modules; cheap to clone.
#[derive(Clone)]
pub struct Modules {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    store: Store,
    known: KnownImports,
    compiler: Box<dyn Compiler>,
    compiles: Arc<Semaphore>,
    loaded: Mutex<LoadedModules>,
    /// Loads under way: whoever asks for the same module waits for the same result.
    loading: Mutex<HashMap<ModuleHash, Loading>>,
}

type Loading = Arc<OnceCell<Result<Arc<Loaded>, Error>>>;

/// A module ready to be instantiated.
pub struct Loaded {
    pub hash: ModuleHash,
    pub module: Module,
    pub info: ModuleInfo,
}

#[derive(Default)]
struct LoadedModules {
    by_hash: HashMap<ModuleHash, (Arc<Loaded>, u64)>,
    turn: u64,
}

impl Modules {
    pub fn open(config: Config, engine: Engine, known: KnownImports) -> Result<Modules, Error> {
        let compiler = Box::new(InProcess(engine.clone()));
        Modules::with_compiler(config, engine, known, compiler)
    }

    /// With another compiler than the one in this process.
    pub fn with_compiler(
        config: Config,
        engine: Engine,
        known: KnownImports,
        compiler: Box<dyn Compiler>,
    ) -> Result<Modules, Error> {
        let store = Store::open(&config.dir, compile::engine_key(&engine), config.store_bytes, config.secret)?;
        let inner = Inner {
            engine,
            store,
            known,
            compiler,
            compiles: Arc::new(Semaphore::new(config.compiles.max(1))),
            loaded: Mutex::default(),
            loading: Mutex::default(),
        };
        Ok(Modules { inner: Arc::new(inner) })
    }

    /// This tenant has shipped it, and it is still here. Another tenant's module is not here for this one.
    pub fn has(&self, tenant: &str, hash: &ModuleHash) -> bool {
        self.inner.store.owns(tenant, hash)
    }

    /// Validates and stores what a tenant has shipped as `expected`.
    pub async fn put(&self, tenant: &str, expected: ModuleHash, bytes: Bytes) -> Result<(), Error> {
        let (inner, tenant) = (Arc::clone(&self.inner), tenant.to_owned());
        let permit = Arc::clone(&self.inner.compiles).acquire_owned().await;
        blocking(move || {
            let _permit = permit;
            let found = ModuleHash::of(&bytes);
            if found != expected {
                return Err(Error::Hash { expected, found });
            }
            validate::validate(&bytes, &inner.known)?;
            inner.store.put_module(&tenant, found, &bytes)
        })
        .await
    }

    /// The compiled module: from memory, else from the disk, else compiled, once however many ask.
    pub async fn load(&self, tenant: &str, hash: &ModuleHash) -> Result<Arc<Loaded>, Error> {
        if !self.has(tenant, hash) {
            return Err(Error::NotShipped(*hash));
        }
        if let Some(loaded) = self.inner.loaded.lock().get(hash) {
            return Ok(loaded);
        }
        let loading = Arc::clone(self.inner.loading.lock().entry(*hash).or_default());
        let result = loading.get_or_init(|| self.load_now(*hash)).await.clone();
        let mut all = self.inner.loading.lock();
        if all.get(hash).is_some_and(|current| Arc::ptr_eq(current, &loading)) {
            all.remove(hash);
        }
        result
    }

    async fn load_now(&self, hash: ModuleHash) -> Result<Arc<Loaded>, Error> {
        // Taken before the thread is: waiting compilations hold none. Given back by the thread, also if nobody waits any more.
        let permit = Arc::clone(&self.inner.compiles).acquire_owned().await;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _permit = permit;
            let loaded = Arc::new(inner.load_from_store(hash)?);
            inner.loaded.lock().insert(Arc::clone(&loaded));
            Ok(loaded)
        })
        .await
    }
}

impl Inner {
    fn load_from_store(&self, hash: ModuleHash) -> Result<Loaded, Error> {
        let wasm = self.store.read((Kind::Module, hash))?.ok_or(Error::NotShipped(hash))?;
        if ModuleHash::of(&wasm) != hash {
            tracing::warn!(module = %hash, "damaged in the store; removed");
            self.store.discard((Kind::Module, hash))?;
            return Err(Error::NotShipped(hash));
        }
        let info = validate::inspect(&wasm)?;
        let module = match self.native(hash)? {
            Some(module) => module,
            None => self.compile(hash, &wasm)?,
        };
        Ok(Loaded { hash, module, info })
    }

    /// Native code from the disk, if it is there and intact.
    fn native(&self, hash: ModuleHash) -> Result<Option<Module>, Error> {
        let Some(sealed) = self.store.read((Kind::Native, hash))? else { return Ok(None) };
        let opened = Authentic::open(self.store.key(), &self.name(hash), sealed);
        let loaded = opened.map(|native| compile::load(&self.engine, &native));
        if let Some(Ok(module)) = loaded {
            return Ok(Some(module));
        }
        tracing::warn!(module = %hash, "its native code is damaged; it is compiled anew");
        self.store.discard((Kind::Native, hash))?;
        Ok(None)
    }

    fn compile(&self, hash: ModuleHash, wasm: &[u8]) -> Result<Module, Error> {
        let native = Authentic::fresh(&*self.compiler, wasm)?;
        let module = compile::load(&self.engine, &native)?;
        // A full disk costs a compilation next time, not this job.
        if let Err(error) = self.store.write((Kind::Native, hash), &native.seal(self.store.key(), &self.name(hash))) {
            tracing::warn!(module = %hash, %error, "its native code is not kept");
        }
        Ok(module)
    }

    fn name(&self, hash: ModuleHash) -> String {
        format!("{}/{hash}", self.store.engine())
    }
}

impl LoadedModules {
    fn get(&mut self, hash: &ModuleHash) -> Option<Arc<Loaded>> {
        self.turn += 1;
        let (loaded, turn) = self.by_hash.get_mut(hash)?;
        *turn = self.turn;
        Some(Arc::clone(loaded))
    }

    fn insert(&mut self, loaded: Arc<Loaded>) {
        self.turn += 1;
        if self.by_hash.len() >= limits::LOADED_MODULES {
            // What coroutines still use lives on in their programs.
            let oldest = self.by_hash.iter().min_by_key(|(_, (_, turn))| *turn).map(|(hash, _)| *hash);
            oldest.into_iter().for_each(|hash| drop(self.by_hash.remove(&hash)));
        }
        self.by_hash.insert(loaded.hash, (loaded, self.turn));
    }
}

/// Runs disk and compiler work off the I/O threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let failed = |error: tokio::task::JoinError| Error::Compile(format!("the compiler failed: {error}"));
    spawn_blocking(work).await.map_err(failed)?
}
