//! Modules, native code and who has shipped what, on disk. Every file is old or new, never half: written aside, synced,
//! renamed; what a crash leaves aside is removed at the next start. Blocking: never called on a thread that serves others.
//!
//! `modules/HASH.wasm`, `modules/tenants/TENANT/HASH` (empty: this tenant has shipped it), `native/ENGINE/HASH`.

use super::error::Error;
use super::index::{Evicted, Index, Kind, TenantKey};
use corovan_core::ids::ModuleHash;
use parking_lot::Mutex;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::NamedTempFile;

pub struct Store {
    modules: PathBuf,
    tenants: PathBuf,
    native: PathBuf,
    disk: Arc<dyn Disk>,
    index: Mutex<Index>,
}

/// How bytes reach a file: what can fail for want of room.
pub trait Disk: Send + Sync {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
}

/// The disk itself.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()
    }
}

impl Store {
    /// `dir`: the node's data directory. `engine`: what native code must have been made by; all other is removed.
    pub fn open(dir: &Path, engine: &str, limit: u64, disk: Arc<dyn Disk>) -> Result<Store, Error> {
        let modules = dir.join(MODULES);
        let tenants = modules.join(TENANTS);
        let all_native = dir.join(NATIVE);
        let native = all_native.join(engine);
        for dir in [&modules, &tenants, &all_native, &native] {
            create_dir(dir).map_err(|source| Error::directory(dir, source))?;
        }
        private(&all_native)?;
        let failed = |dir: &Path| {
            let dir = dir.to_owned();
            move |source| Error::directory(&dir, source)
        };
        remove_other_engines(&all_native, engine).map_err(failed(&all_native))?;
        let mut index = Index::new(limit);
        for (hash, metadata) in by_age(&modules, WASM).map_err(failed(&modules))? {
            index.insert(hash, Kind::Wasm, metadata.len());
        }
        for (hash, metadata) in by_age(&native, "").map_err(failed(&native))? {
            if !index.insert(hash, Kind::Native, metadata.len()) {
                remove(&native.join(hash.to_string()));
            }
        }
        read_markers(&tenants, &mut index).map_err(failed(&tenants))?;
        let store = Store { modules, tenants, native, disk, index: Mutex::new(index) };
        store.shrink();
        Ok(store)
    }

    /// Keeps so many bytes at most from now on.
    pub fn set_limit(&self, limit: u64) {
        self.index.lock().set_limit(limit);
        self.shrink();
    }

    /// Whether this tenant has shipped it, and it is still here.
    pub fn has(&self, tenant: TenantKey, hash: &ModuleHash) -> bool {
        self.index.lock().has(tenant, hash)
    }

    /// Whether it is here, whoever has shipped it.
    pub fn contains(&self, hash: &ModuleHash) -> bool {
        self.index.lock().contains(hash)
    }

    /// It stays until it is unpinned.
    pub fn pin(&self, hash: ModuleHash) {
        self.index.lock().pin(hash);
    }

    pub fn unpin(&self, hash: &ModuleHash) {
        self.index.lock().unpin(hash);
    }

    /// Used just now.
    pub fn touch(&self, hash: &ModuleHash) {
        self.index.lock().touch(hash);
    }

    /// Keeps a module that this tenant has shipped. Its bytes have been checked.
    pub fn put(&self, tenant: TenantKey, hash: ModuleHash, bytes: &[u8]) -> Result<(), Error> {
        if self.mark(tenant, &hash)? {
            return Ok(());
        }
        let room = self.reserve(hash, bytes.len() as u64)?;
        let file = self.write_aside(&self.modules, bytes).map_err(|error| self.failed(error))?;
        {
            let mut index = self.index.lock();
            file.persist(self.wasm(&hash)).map_err(|error| self.failed(error.error))?;
            index.insert(hash, Kind::Wasm, bytes.len() as u64);
        }
        // Synced before a marker says that it is here.
        sync_dir(&self.modules).map_err(|error| self.failed(error))?;
        drop(room);
        // Evicted meanwhile by many others: the client will be asked for it again.
        self.mark(tenant, &hash).map(|_| ())
    }

    /// The module's bytes; `None` when it is not here, or not any more.
    pub fn read(&self, hash: &ModuleHash) -> Result<Option<Vec<u8>>, Error> {
        if !self.contains(hash) {
            return Ok(None);
        }
        let path = self.wasm(hash);
        match read_and_touch(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget(hash, Kind::Wasm);
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Native code as it was kept, which proves nothing about it.
    pub fn read_native(&self, hash: &ModuleHash) -> Option<Vec<u8>> {
        read_and_touch(&self.native.join(hash.to_string())).ok()
    }

    /// Keeps native code of a module that is here.
    pub fn put_native(&self, hash: ModuleHash, parts: &[&[u8]]) -> Result<(), Error> {
        let bytes = parts.concat();
        let room = self.reserve(hash, bytes.len() as u64)?;
        let file = self.write_aside(&self.native, &bytes).map_err(|error| self.failed(error))?;
        let mut index = self.index.lock();
        if index.contains(&hash) {
            file.persist(self.native.join(hash.to_string())).map_err(|error| self.failed(error.error))?;
            index.insert(hash, Kind::Native, bytes.len() as u64);
        }
        drop(index);
        drop(room);
        Ok(())
    }

    /// Deletes what turned out to be damaged.
    pub fn forget(&self, hash: &ModuleHash, kind: Kind) {
        let mut index = self.index.lock();
        let evicted = index.remove(hash, kind);
        self.delete(&evicted);
    }

    /// Notes that the tenant has shipped it; `false` when it is not here.
    fn mark(&self, tenant: TenantKey, hash: &ModuleHash) -> Result<bool, Error> {
        let dir = self.tenants.join(tenant.0.to_string());
        {
            let mut index = self.index.lock();
            if !index.contains(hash) {
                return Ok(false);
            }
            index.touch(hash);
            if index.has(tenant, hash) {
                return Ok(true);
            }
            create_dir(&dir)
                .and_then(|()| File::create(dir.join(hash.to_string())))
                .map_err(|error| self.failed(error))?;
            index.grant(tenant, hash);
        }
        sync_dir(&dir).and_then(|()| sync_dir(&self.tenants)).map_err(|error| self.failed(error))?;
        Ok(true)
    }

    fn reserve(&self, hash: ModuleHash, size: u64) -> Result<Room<'_>, Error> {
        let mut index = self.index.lock();
        let evicted = index.reserve(size, hash).ok_or(Error::Quota { size, limit: index.limit() })?;
        self.delete(&evicted);
        Ok(Room { store: self, size })
    }

    /// After the limit was lowered.
    fn shrink(&self) {
        let mut index = self.index.lock();
        // Nothing has this hash: all may go.
        if let Some(evicted) = index.reserve(0, ModuleHash([0; 32])) {
            self.delete(&evicted);
            index.release(0);
        }
    }

    /// Called with the index locked, so that nobody finds or writes a file that is about to go.
    fn delete(&self, evicted: &[Evicted]) {
        for Evicted { hash, kind, tenants } in evicted {
            tracing::debug!(module = %hash, ?kind, "removed from the module store");
            // Markers first: one without its module would speak for bytes that come later.
            tenants.iter().for_each(|tenant| remove(&self.tenants.join(tenant.0.to_string()).join(hash.to_string())));
            remove(&match kind {
                Kind::Wasm => self.wasm(hash),
                Kind::Native => self.native.join(hash.to_string()),
            });
        }
    }

    fn write_aside(&self, dir: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(ASIDE).tempfile_in(dir)?;
        self.disk.write(file.as_file_mut(), bytes)?;
        Ok(file)
    }

    fn wasm(&self, hash: &ModuleHash) -> PathBuf {
        self.modules.join(format!("{hash}{WASM}"))
    }

    /// The client is told what; the log also where.
    fn failed(&self, error: io::Error) -> Error {
        tracing::error!(directory = %self.modules.display(), %error, "the module store cannot be read or written");
        Error::store(error)
    }
}

/// Room in the store for one file, given back when it is written or was not.
struct Room<'a> {
    store: &'a Store,
    size: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.store.index.lock().release(self.size);
    }
}

/// Replaces a small file as a whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(ASIDE).tempfile_in(dir)?;
    RealDisk.write(file.as_file_mut(), bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A directory whose content will be run as native code: ours alone.
fn private(dir: &Path) -> Result<(), Error> {
    let metadata = std::fs::symlink_metadata(dir).map_err(|source| Error::directory(dir, source))?;
    let owner = rustix::process::geteuid().as_raw();
    let why = if !metadata.is_dir() {
        "is a link and no directory".to_owned()
    } else if metadata.uid() != owner {
        format!("belongs to user {}, and the node runs as user {owner}", metadata.uid())
    } else if metadata.mode() & 0o077 != 0 {
        format!("is open to other users (mode {:o})", metadata.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(Error::NotPrivate { path: dir.to_owned(), why })
}

fn remove_other_engines(native: &Path, engine: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(native)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() && name.to_str() != Some(engine) {
            std::fs::remove_dir_all(entry.path())?;
        } else if name.to_str().is_some_and(|name| name.starts_with(ASIDE)) {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// The files named by a hash, least recently used first. What was left aside is removed; what is not ours is let be.
fn by_age(dir: &Path, ending: &str) -> io::Result<Vec<(ModuleHash, Metadata)>> {
    let mut found: Vec<(SystemTime, ModuleHash, Metadata)> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(ASIDE) {
            remove(&entry.path());
            continue;
        }
        let Some(hash) = name.strip_suffix(ending).and_then(|hash| hash.parse().ok()) else { continue };
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            found.push((metadata.modified()?, hash, metadata));
        }
    }
    found.sort_by_key(|(modified, hash, _)| (*modified, *hash));
    Ok(found.into_iter().map(|(_, hash, metadata)| (hash, metadata)).collect())
}

fn read_markers(tenants: &Path, index: &mut Index) -> io::Result<()> {
    for dir in std::fs::read_dir(tenants)? {
        let dir = dir?;
        let Some(tenant) = dir.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for marker in std::fs::read_dir(dir.path())? {
            let marker = marker?;
            let hash: Option<ModuleHash> = marker.file_name().to_str().and_then(|name| name.parse().ok());
            if hash.is_some_and(|hash| !index.grant(TenantKey(tenant), &hash)) {
                remove(&marker.path());
            }
        }
        // Of no use if it is empty by now; refused by the system if it is not.
        let _ = std::fs::remove_dir(dir.path());
    }
    Ok(())
}

fn read_and_touch(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    // The order of use after the next start; where it cannot be noted, an older one holds.
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now });
    Ok(bytes)
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a file of the module store cannot be removed");
        }
        _ => {}
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

const MODULES: &str = "modules";
const TENANTS: &str = "tenants";
pub(super) const NATIVE: &str = "native";
const WASM: &str = ".wasm";
/// Files that are being written.
const ASIDE: &str = ".aside-";
