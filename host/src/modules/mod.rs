//! Modules: validated before they are stored, compiled once however many ask, found by hash by those who have shipped
//! them. [`Modules`] is the handle; everything slow happens on blocking threads, a bounded number at a time.

mod cache;
mod compile;
mod error;
mod index;
mod info;
mod known;
mod loaded;
mod look;
pub mod names;
mod store;
#[cfg(test)]
mod tests;
mod validate;

use bytes::Bytes;
use cache::NativeCache;
use compile::{Compiler, InProcess};
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
pub use error::{Error, ImportProblem};
use index::{Kind, TenantKey};
pub use info::{Entry, FunctionInfo, ImportInfo, Item, Manifest, Memory, ModuleInfo, Signature, Table, ValueType};
pub use known::KnownImports;
use loaded::LoadedModules;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use store::{Disk, RealDisk, Store};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
pub use validate::{Depth, Examined, examine};
use wasmtime::Engine;

#[derive(Clone, Debug)]
pub struct Config {
    /// The node's data directory.
    pub dir: PathBuf,
    /// Modules and native code together; least recently used go first.
    pub store_bytes: u64,
    /// Modules validated or compiled at a time.
    pub compiles: usize,
    /// Fresh random bytes: the key that seals native code, for a node that has none yet.
    pub secret: [u8; 32],
}

/// The node's modules. Cheap to clone.
#[derive(Clone)]
pub struct Modules {
    inner: Arc<Inner>,
}

/// A module in memory, ready to make instances.
pub struct Loaded {
    pub hash: ModuleHash,
    pub module: wasmtime::Module,
    pub info: ModuleInfo,
}

struct Inner {
    known: KnownImports,
    store: Arc<Store>,
    native: NativeCache,
    compiler: Arc<dyn Compiler>,
    /// One permit for each thread that validates or compiles.
    threads: Arc<Semaphore>,
    loaded: Mutex<LoadedModules>,
    /// Modules that are being loaded, and for whom several may wait.
    flights: Mutex<HashMap<ModuleHash, Weak<Flight>>>,
}

/// One loading, shared by all who asked for the module meanwhile. Whoever comes first starts it; if he goes away before
/// it is his turn, the next does.
#[derive(Default)]
struct Flight {
    outcome: OnceCell<watch::Receiver<Option<Outcome>>>,
}

type Outcome = Result<Arc<Loaded>, Error>;

impl Modules {
    pub fn open(config: Config, engine: Engine, known: KnownImports) -> Result<Modules, Error> {
        let compiler = Arc::new(InProcess::new(engine.clone()));
        Modules::with(config, engine, known, compiler, Arc::new(RealDisk))
    }

    fn with(
        config: Config,
        engine: Engine,
        known: KnownImports,
        compiler: Arc<dyn Compiler>,
        disk: Arc<dyn Disk>,
    ) -> Result<Modules, Error> {
        let store = Store::open(&config.dir, &cache::engine_key(&engine), config.store_bytes, disk)?;
        let store = Arc::new(store);
        let native = NativeCache::open(&config.dir, engine, Arc::clone(&store), config.secret)?;
        let threads = Arc::new(Semaphore::new(config.compiles.max(1)));
        let (loaded, flights) = Default::default();
        Ok(Modules { inner: Arc::new(Inner { known, store, native, compiler, threads, loaded, flights }) })
    }

    /// Keeps so many bytes on disk at most from now on; the least recently used go first.
    pub async fn set_store_bytes(&self, bytes: u64) {
        let store = Arc::clone(&self.inner.store);
        // Nothing waits for what it gives.
        let _ = tokio::task::spawn_blocking(move || store.set_limit(bytes)).await;
    }

    /// Whether this tenant has shipped the module, and it is still here. That another has is nobody's business.
    pub fn has(&self, tenant: &str, hash: &ModuleHash) -> bool {
        self.inner.store.has(TenantKey::of(tenant), hash)
    }

    /// Keeps a module in the store, whatever else comes, until the result is dropped.
    pub fn pin(&self, hash: ModuleHash) -> Pinned {
        self.inner.store.pin(hash);
        Pinned { store: Arc::clone(&self.inner.store), hash }
    }

    /// Stores a module that this tenant ships, if its bytes have the expected hash and may run here.
    pub async fn put(&self, tenant: &str, expected: ModuleHash, bytes: Bytes) -> Result<(), Error> {
        if bytes.len() > limits::MODULE_BYTES {
            return Err(Error::TooLarge { size: bytes.len() as u64 });
        }
        let tenant = TenantKey::of(tenant);
        let permit = self.inner.thread().await?;
        let inner = Arc::clone(&self.inner);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inner.put(tenant, expected, &bytes)
        });
        work.await.unwrap_or(Err(Error::Crashed))
    }

    /// The module's bytes, for a node that is to run it for this tenant. `Error::NeedModule` for one that has not shipped it.
    pub async fn bytes(&self, tenant: &str, hash: ModuleHash) -> Result<Bytes, Error> {
        if !self.has(tenant, &hash) {
            return Err(Error::NeedModule(hash));
        }
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || inner.store.read(&hash));
        let bytes = read.await.unwrap_or(Err(Error::Crashed))?;
        bytes.map(Bytes::from).ok_or(Error::NeedModule(hash))
    }

    /// The module, ready to run: from memory, from native code on disk, or compiled now. `Error::NeedModule` for a tenant
    /// that has not shipped it.
    pub async fn load(&self, tenant: &str, hash: &ModuleHash) -> Result<Arc<Loaded>, Error> {
        if !self.has(tenant, hash) {
            return Err(Error::NeedModule(*hash));
        }
        self.inner.store.touch(hash);
        let flight = match self.inner.board(hash) {
            Ok(loaded) => return Ok(loaded),
            Err(flight) => flight,
        };
        let outcome = flight.outcome.get_or_try_init(|| Inner::take_off(&self.inner, *hash, &flight)).await?;
        let mut outcome = outcome.clone();
        let landed = outcome.wait_for(Option::is_some).await;
        // Nobody is left to send: the thread has panicked.
        landed.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(Error::Crashed))
    }
}

/// A module that stays in the store.
pub struct Pinned {
    store: Arc<Store>,
    hash: ModuleHash,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.store.unpin(&self.hash);
    }
}

impl Inner {
    async fn thread(&self) -> Result<OwnedSemaphorePermit, Error> {
        // It is never closed.
        Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Error::Crashed)
    }

    fn put(&self, tenant: TenantKey, expected: ModuleHash, bytes: &[u8]) -> Result<(), Error> {
        let actual = ModuleHash::of(bytes);
        if actual != expected {
            return Err(Error::Hash { expected, actual, size: bytes.len() as u64 });
        }
        // What is stored has been validated; having its bytes gives this tenant the right to it, and mends a damaged copy.
        if self.store.read(&expected)?.is_none_or(|stored| stored != bytes) {
            self.store.forget(&expected, Kind::Wasm);
            validate::validate(bytes, &self.known, Depth::Full)?;
        }
        self.store.put(tenant, expected, bytes)
    }

    /// The module from memory, or the loading to wait for.
    fn board(&self, hash: &ModuleHash) -> Result<Arc<Loaded>, Arc<Flight>> {
        // Both under this lock: a module is put into memory before its flight is taken away.
        let mut flights = self.flights.lock();
        if let Some(loaded) = self.loaded.lock().get(hash) {
            return Ok(loaded);
        }
        if let Some(flight) = flights.get(hash).and_then(Weak::upgrade) {
            return Err(flight);
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(Flight::default());
        flights.insert(*hash, Arc::downgrade(&flight));
        Err(flight)
    }

    /// Begins to load, when there is a thread for it. From then on it goes to its end, whoever still waits.
    async fn take_off(
        inner: &Arc<Inner>,
        hash: ModuleHash,
        flight: &Arc<Flight>,
    ) -> Result<watch::Receiver<Option<Outcome>>, Error> {
        let permit = inner.thread().await?;
        let (send, outcome) = watch::channel(None);
        let landing = Landing { inner: Arc::clone(inner), hash, _flight: Arc::clone(flight), _permit: permit };
        tokio::task::spawn_blocking(move || {
            let loaded = landing.inner.load(&hash);
            drop(landing);
            send.send_replace(Some(loaded));
        });
        Ok(outcome)
    }

    fn load(&self, hash: &ModuleHash) -> Outcome {
        let wasm = self.store.read(hash)?.ok_or(Error::NeedModule(*hash))?;
        if ModuleHash::of(&wasm) != *hash {
            tracing::warn!(module = %hash, "a stored module is damaged; who needs it is asked for it again");
            self.store.forget(hash, Kind::Wasm);
            return Err(Error::NeedModule(*hash));
        }
        // Again, since it may have been stored by a node that offered other imports.
        let info = validate::validate(&wasm, &self.known, Depth::Declarations)?;
        let (module, size) = match self.native.load(hash) {
            Some(kept) => kept,
            None => {
                let artefact = self.compiler.compile(&wasm)?;
                (self.native.adopt(*hash, &artefact)?, artefact.bytes().len() as u64)
            }
        };
        let bytes = size + wasm.len() as u64;
        let loaded = Arc::new(Loaded { hash: *hash, module, info });
        let dropped = self.loaded.lock().insert(Arc::clone(&loaded), bytes);
        drop(dropped);
        Ok(loaded)
    }
}

/// Takes the flight off the list, however the loading ended.
struct Landing {
    inner: Arc<Inner>,
    hash: ModuleHash,
    _flight: Arc<Flight>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.flights.lock().remove(&self.hash);
    }
}
