//! Modules and native code on disk: written in one step, counted, the least recently used evicted, each module owned by the
//! tenants that have shipped it.
//!
//! ```text
//! DIR/modules/HASH             the bytes as shipped
//! DIR/tenants/TENANT/HASH      an empty file: this tenant has shipped it
//! DIR/native/key               the node's secret for its native code, mode 0600
//! DIR/native/ENGINE/HASH       native code with a MAC, for one engine version and configuration
//! ```

use super::Error;
use super::compile::CacheKey;
use corovan_core::ids::ModuleHash;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub struct Store {
    dir: PathBuf,
    engine: String,
    limit: u64,
    key: CacheKey,
    index: Mutex<Index>,
}

/// Two kinds of files under one quota.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Module,
    Native,
}

type File = (Kind, ModuleHash);

#[derive(Default)]
struct Index {
    /// Size and turn of last use of each file.
    files: HashMap<File, (u64, u64)>,
    /// Files by turn of last use.
    turns: BTreeMap<u64, File>,
    next_turn: u64,
    bytes: u64,
    owners: HashSet<(String, ModuleHash)>,
}

impl Store {
    /// Opens or makes it; what a crash left half written is removed. `secret`: random bytes for a new cache key.
    pub fn open(dir: &Path, engine: String, limit: u64, secret: [u8; 32]) -> Result<Store, Error> {
        for sub in ["modules", "tenants", "native"] {
            private(&dir.join(sub))?;
        }
        let native = dir.join("native").join(&engine);
        private(&native)?;
        let key = cache_key(&dir.join("native/key"), secret)?;
        let mut index = Index::default();
        let mut found: Vec<(SystemTime, File, u64)> = Vec::new();
        for (kind, folder) in [(Kind::Module, dir.join("modules")), (Kind::Native, native)] {
            for (name, path, metadata) in entries(&folder)? {
                match name.parse::<ModuleHash>() {
                    Ok(hash) => {
                        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        found.push((used, (kind, hash), metadata.len()));
                    }
                    // A temporary file of a process that was killed; ours alone are here.
                    Err(_) => remove(&path)?,
                }
            }
        }
        found.sort();
        found.into_iter().for_each(|(_, file, size)| index.insert(file, size));
        for (tenant, path, metadata) in entries(&dir.join("tenants"))? {
            if !metadata.is_dir() {
                continue;
            }
            for (name, marker, _) in entries(&path)? {
                match name.parse::<ModuleHash>() {
                    Ok(hash) if index.files.contains_key(&(Kind::Module, hash)) => {
                        index.owners.insert((tenant.clone(), hash));
                    }
                    _ => remove(&marker)?,
                }
            }
        }
        // Native code of other engines, from before an upgrade, is of no use any more.
        for (name, path, metadata) in entries(&dir.join("native"))? {
            if metadata.is_dir() && name != engine {
                fs::remove_dir_all(&path).map_err(|error| Error::io(&path, &error))?;
            }
        }
        let store = Store { dir: dir.to_owned(), engine, limit, key, index: Mutex::new(index) };
        store.evict(0)?;
        Ok(store)
    }

    pub(super) fn key(&self) -> &CacheKey {
        &self.key
    }

    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// This tenant has shipped it, and it is still here.
    pub fn owns(&self, tenant: &str, hash: &ModuleHash) -> bool {
        self.index.lock().owners.contains(&(tenant.to_owned(), *hash))
    }

    /// Stores a module of a tenant.
    pub fn put_module(&self, tenant: &str, hash: ModuleHash, bytes: &[u8]) -> Result<(), Error> {
        self.write((Kind::Module, hash), bytes)?;
        // A tenant's name is a DNS label, checked when its certificate was read; here it becomes a file name.
        let folder = self.dir.join("tenants").join(tenant);
        private(&folder)?;
        write_whole(&folder.join(hash.to_string()), &[])?;
        self.index.lock().owners.insert((tenant.to_owned(), hash));
        Ok(())
    }

    pub(super) fn write(&self, file: File, bytes: &[u8]) -> Result<(), Error> {
        let size = bytes.len() as u64;
        if size > self.limit {
            return Err(Error::Quota { size, limit: self.limit });
        }
        self.evict(size)?;
        write_whole(&self.path(file), bytes)?;
        self.index.lock().insert(file, size);
        Ok(())
    }

    /// The file's bytes; `None` if it is not there.
    pub(super) fn read(&self, file: File) -> Result<Option<Vec<u8>>, Error> {
        if !self.index.lock().touch(file) {
            return Ok(None);
        }
        let path = self.path(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index.lock().remove(file);
                Ok(None)
            }
            Err(error) => Err(Error::io(&path, &error)),
        }
    }

    /// Removes a file that turned out damaged.
    pub(super) fn discard(&self, file: File) -> Result<(), Error> {
        let owners = self.index.lock().remove(file);
        remove(&self.path(file))?;
        owners.iter().try_for_each(|tenant| remove(&self.marker(tenant, &file.1)))
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.index.lock().bytes
    }

    /// Removes the least recently used files until `more` bytes fit.
    fn evict(&self, more: u64) -> Result<(), Error> {
        loop {
            let oldest = {
                let index = self.index.lock();
                if index.bytes + more <= self.limit {
                    return Ok(());
                }
                index.turns.first_key_value().map(|(_, file)| *file)
            };
            let Some(file) = oldest else { return Ok(()) };
            tracing::info!(module = %file.1, kind = ?file.0, "evicted from the module store");
            self.discard(file)?;
        }
    }

    fn path(&self, (kind, hash): File) -> PathBuf {
        match kind {
            Kind::Module => self.dir.join("modules").join(hash.to_string()),
            Kind::Native => self.dir.join("native").join(&self.engine).join(hash.to_string()),
        }
    }

    fn marker(&self, tenant: &str, hash: &ModuleHash) -> PathBuf {
        self.dir.join("tenants").join(tenant).join(hash.to_string())
    }
}

impl Index {
    fn insert(&mut self, file: File, size: u64) {
        self.remove_entry(file);
        self.next_turn += 1;
        self.files.insert(file, (size, self.next_turn));
        self.turns.insert(self.next_turn, file);
        self.bytes += size;
    }

    /// Marks it used; `false` if it is not there.
    fn touch(&mut self, file: File) -> bool {
        let Some((size, _)) = self.files.get(&file).copied() else { return false };
        self.insert(file, size);
        true
    }

    /// Forgets it; the tenants that had shipped it.
    fn remove(&mut self, file: File) -> Vec<String> {
        self.remove_entry(file);
        if file.0 == Kind::Native {
            return Vec::new();
        }
        self.owners.extract_if(|(_, hash)| *hash == file.1).map(|(tenant, _)| tenant).collect()
    }

    fn remove_entry(&mut self, file: File) {
        if let Some((size, turn)) = self.files.remove(&file) {
            self.turns.remove(&turn);
            self.bytes -= size;
        }
    }
}

/// A directory only we may enter; one that others own or may write to is refused, since native code is loaded from it.
fn private(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| Error::io(dir, &error))?;
    let metadata = fs::metadata(dir).map_err(|error| Error::io(dir, &error))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.permissions().mode() & 0o022 != 0 {
        let why = "others own it or may write to it: compiled code is loaded from here; `chmod go-w` it, or use another directory";
        return Err(Error::Store { path: dir.to_owned(), why: why.into() });
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<(String, PathBuf, fs::Metadata)>, Error> {
    let failed = |error: io::Error| Error::io(dir, &error);
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        all.push((entry.file_name().to_string_lossy().into_owned(), entry.path(), entry.metadata().map_err(failed)?));
    }
    Ok(all)
}

fn cache_key(path: &Path, secret: [u8; 32]) -> Result<CacheKey, Error> {
    match fs::read(path) {
        // One of another length was damaged; a new one makes all native code be compiled anew.
        Ok(bytes) if bytes.len() == 32 => {
            let mut key = [0; 32];
            key.copy_from_slice(&bytes);
            Ok(CacheKey(key))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => {
            write_whole(path, &secret)?;
            Ok(CacheKey(secret))
        }
    }
}

/// Old or new, never half: temporary file of mode 0600, sync, rename.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error).map(|_| ())
    };
    write().map_err(|error| Error::io(path, &error))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}
