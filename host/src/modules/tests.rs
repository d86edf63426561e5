//! Tests of the service as a whole: on a temporary directory, with a compiler that counts and a disk that can be full.

use super::compile::{Artefact, Compiler, InProcess};
use super::store::{Disk, RealDisk};
use super::*;
use corovan_core::code::Code;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex as StdMutex};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Counts, and holds compiles back until they are let go.
struct Counting {
    inside: InProcess,
    count: AtomicUsize,
    panics: AtomicBool,
    gate: (StdMutex<bool>, Condvar),
}

/// A disk that is full from some moment on, in the middle of a file.
#[derive(Default)]
struct SmallDisk {
    full: AtomicBool,
}

struct Fixture {
    dir: TempDir,
    engine: Engine,
    compiler: Arc<Counting>,
    disk: Arc<SmallDisk>,
}

impl Compiler for Counting {
    fn compile(&self, wasm: &[u8]) -> Result<Artefact, Error> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut open = self.gate.0.lock().unwrap();
        while !*open {
            open = self.gate.1.wait(open).unwrap();
        }
        drop(open);
        assert!(!self.panics.load(Ordering::SeqCst), "a compiler that fails");
        self.inside.compile(wasm)
    }
}

impl Counting {
    fn gate(&self, open: bool) {
        *self.gate.0.lock().unwrap() = open;
        self.gate.1.notify_all();
    }
}

impl Disk for SmallDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            RealDisk.write(file, &bytes[..bytes.len() / 2])?;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        RealDisk.write(file, bytes)
    }
}

impl Fixture {
    fn new() -> Fixture {
        let engine = Engine::default();
        let compiler = Arc::new(Counting {
            inside: InProcess::new(engine.clone()),
            count: AtomicUsize::new(0),
            panics: AtomicBool::new(false),
            gate: (StdMutex::new(true), Condvar::new()),
        });
        Fixture { dir: tempfile::tempdir().unwrap(), engine, compiler, disk: Arc::default() }
    }

    /// A node's modules, as after a start.
    fn open(&self, store_bytes: u64) -> Modules {
        self.try_open(store_bytes).unwrap()
    }

    fn try_open(&self, store_bytes: u64) -> Result<Modules, Error> {
        let config = Config { dir: self.path().into(), store_bytes, compiles: 2, secret: [7; 32] };
        let compiler: Arc<dyn Compiler> = Arc::clone(&self.compiler) as _;
        Modules::with(config, self.engine.clone(), KnownImports::default(), compiler, Arc::clone(&self.disk) as _)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn compiles(&self) -> usize {
        self.compiler.count.load(Ordering::SeqCst)
    }

    /// The only file of native code.
    fn native_file(&self) -> PathBuf {
        let engine = self.path().join("native").join(cache::engine_key(&self.engine));
        let files: Vec<_> = std::fs::read_dir(engine).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        files[0].clone()
    }

    /// Every file below the directory, relative to it.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, out) } else { out.push(path) }
            }
        }
        let mut out = Vec::new();
        walk(self.path(), &mut out);
        out.iter().map(|path| path.strip_prefix(self.path()).unwrap().display().to_string()).collect()
    }
}

/// A module with a function of this name, and `padding` bytes more.
fn module(function: &str, padding: usize) -> (ModuleHash, Bytes) {
    let data = "x".repeat(padding);
    let text = format!("(module (memory 17) (data (i32.const 0) \"{data}\") (func (export \"{function}\")))");
    let wasm = wat::parse_str(text).unwrap();
    (ModuleHash::of(&wasm), wasm.into())
}

const PLENTY: u64 = 1 << 30;
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[tokio::test]
async fn a_module_is_had_by_the_tenant_that_shipped_it_and_by_no_other() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    assert!(!modules.has("ann", &hash));
    modules.put("ann", hash, bytes.clone()).await.unwrap();
    assert!(modules.has("ann", &hash) && !modules.has("bob", &hash));
    assert_eq!(modules.load("bob", &hash).await.err().unwrap().code(), Code::NeedModule);
    let loaded = modules.load("ann", &hash).await.unwrap();
    assert_eq!((loaded.hash, loaded.info.functions[0].name.as_str()), (hash, "f"));
    // Also when it is in memory.
    assert_eq!(modules.load("bob", &hash).await.err().unwrap().code(), Code::NeedModule);
    modules.put("bob", hash, bytes).await.unwrap();
    assert!(Arc::ptr_eq(&loaded, &modules.load("bob", &hash).await.unwrap()));
    assert_eq!(fixture.compiles(), 1);
}

#[tokio::test]
async fn a_tenants_name_can_be_anything() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    for tenant in ["..", "a/b", "", "Ä\0", &"n".repeat(10_000)] {
        modules.put(tenant, hash, bytes.clone()).await.unwrap();
        assert!(modules.has(tenant, &hash));
    }
    assert!(!modules.has("a", &hash));
}

#[tokio::test]
async fn who_ships_other_bytes_than_announced_is_told_and_gets_nothing() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    let (other, _) = module("g", 0);
    modules.put("ann", hash, bytes.clone()).await.unwrap();
    let error = modules.put("bob", other, bytes).await.unwrap_err();
    assert!(error.to_string().contains(&other.to_string()) && error.to_string().contains(&hash.to_string()), "{error}");
    // Nor by the hash of what another has, without its bytes.
    assert_eq!(modules.put("bob", hash, Bytes::from_static(b"\0asm")).await.unwrap_err().code(), Code::BadModule);
    assert!(!modules.has("bob", &other) && !modules.has("bob", &hash));
}

#[tokio::test]
async fn what_may_not_run_is_not_stored() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let empty = Bytes::from_static(b"\0asm\x01\0\0\0");
    let large = Bytes::from(vec![0; limits::MODULE_BYTES + 1]);
    for (bytes, code) in [(empty, Code::BadModule), (large, Code::TooLarge)] {
        let hash = ModuleHash::of(&bytes);
        assert_eq!(modules.put("ann", hash, bytes).await.unwrap_err().code(), code);
        assert!(!modules.has("ann", &hash));
    }
    assert_eq!(fixture.files(), ["native/key"]);
}

#[tokio::test]
async fn fifty_loads_at_a_time_share_one_compile() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    modules.put("ann", hash, bytes).await.unwrap();
    fixture.compiler.gate(false);
    let mut loads = JoinSet::new();
    let handles: Vec<_> = (0..50)
        .map(|_| {
            let modules = modules.clone();
            loads.spawn(async move { modules.load("ann", &hash).await.unwrap() })
        })
        .collect();
    // One that gives up, even the first, takes nothing from the others.
    handles[0].abort();
    while fixture.compiles() == 0 {
        tokio::task::yield_now().await;
    }
    handles[1].abort();
    fixture.compiler.gate(true);
    let mut loaded = Vec::new();
    while let Some(load) = loads.join_next().await {
        loaded.extend(load.ok());
    }
    assert!(loaded.len() == 48 && loaded.iter().all(|one| Arc::ptr_eq(one, &loaded[0])));
    assert_eq!(fixture.compiles(), 1);
    assert!(modules.inner.flights.lock().is_empty());
}

#[tokio::test]
async fn who_waits_for_a_thread_and_goes_away_leaves_his_turn_to_the_next() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    modules.put("ann", hash, bytes).await.unwrap();
    let all = Arc::clone(&modules.inner.threads).acquire_many_owned(2).await.unwrap();
    let mut loads = JoinSet::new();
    let mut wait =
        |modules: Modules| loads.spawn(async move { modules.load("ann", &hash).await.map(|loaded| loaded.hash) });
    let (first, _second) = (wait(modules.clone()), wait(modules.clone()));
    tokio::task::yield_now().await;
    first.abort();
    assert!(loads.join_next().await.unwrap().unwrap_err().is_cancelled());
    drop(all);
    assert_eq!(loads.join_next().await.unwrap().unwrap().unwrap(), hash);
    assert_eq!(fixture.compiles(), 1);
}

#[tokio::test]
async fn a_compiler_that_panics_fails_its_module_and_nothing_else() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    modules.put("ann", hash, bytes).await.unwrap();
    fixture.compiler.panics.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        let error = modules.load("ann", &hash).await.err().unwrap();
        assert!(matches!(error, Error::Crashed) && error.code() == Code::Internal, "{error}");
    }
    assert!(modules.inner.flights.lock().is_empty());
    fixture.compiler.panics.store(false, Ordering::SeqCst);
    modules.load("ann", &hash).await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_modules_rights_and_native_code() {
    let fixture = Fixture::new();
    let (hash, bytes) = module("f", 0);
    let modules = fixture.open(PLENTY);
    modules.put("ann", hash, bytes).await.unwrap();
    modules.load("ann", &hash).await.unwrap();
    drop(modules);
    let modules = fixture.open(PLENTY);
    assert!(modules.has("ann", &hash) && !modules.has("bob", &hash));
    let loaded = modules.load("ann", &hash).await.unwrap();
    assert_eq!((fixture.compiles(), loaded.info.memory.map(|memory| memory.min)), (1, Some(17 << 16)));
}

#[tokio::test]
async fn damaged_native_code_is_noticed_and_compiled_again() {
    let fixture = Fixture::new();
    let (hash, bytes) = module("f", 0);
    let modules = fixture.open(PLENTY);
    modules.put("ann", hash, bytes).await.unwrap();
    modules.load("ann", &hash).await.unwrap();
    let file = fixture.native_file();
    let good = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damages = [vec![], good[..good.len() - 1].to_vec(), flipped(0), flipped(20), flipped(good.len() / 2)];
    for (round, damage) in damages.iter().enumerate() {
        std::fs::write(&file, damage).unwrap();
        fixture.open(PLENTY).load("ann", &hash).await.unwrap();
        assert_eq!(fixture.compiles(), round + 2);
        assert_eq!(std::fs::read(&file).unwrap().len(), good.len(), "it is kept again");
    }
    // Code sealed by another node, or for another module, is no better than damaged.
    std::fs::write(fixture.path().join("native/key"), [9; 32]).unwrap();
    fixture.open(PLENTY).load("ann", &hash).await.unwrap();
    let (other, bytes) = module("g", 0);
    let modules = fixture.open(PLENTY);
    modules.put("ann", other, bytes).await.unwrap();
    std::fs::copy(&file, file.with_file_name(other.to_string())).unwrap();
    let loaded = modules.load("ann", &other).await.unwrap();
    assert!(loaded.module.get_export("g").is_some());
    assert_eq!(fixture.compiles(), damages.len() + 3);
}

#[tokio::test]
async fn a_damaged_module_is_asked_for_again() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 100);
    modules.put("ann", hash, bytes.clone()).await.unwrap();
    std::fs::write(fixture.path().join(format!("modules/{hash}.wasm")), &bytes[1..]).unwrap();
    assert_eq!(modules.load("ann", &hash).await.err().unwrap().code(), Code::NeedModule);
    assert!(!modules.has("ann", &hash));
    modules.put("ann", hash, bytes.clone()).await.unwrap();
    std::fs::write(fixture.path().join(format!("modules/{hash}.wasm")), "").unwrap();
    // Whoever ships it next mends it.
    modules.put("bob", hash, bytes).await.unwrap();
    modules.load("bob", &hash).await.unwrap();
    modules.put("ann", hash, module("f", 100).1).await.unwrap();
    std::fs::remove_file(fixture.path().join(format!("modules/{hash}.wasm"))).unwrap();
    // What runs does not need its file; a new start does.
    modules.load("ann", &hash).await.unwrap();
    assert!(!fixture.open(PLENTY).has("ann", &hash));
}

#[tokio::test]
async fn the_least_recently_used_makes_room_and_what_runs_goes_on() {
    let fixture = Fixture::new();
    let made: Vec<_> = NAMES.map(|name| module(name, 40 << 10)).into();
    let wasm = index::charge(made[0].1.len() as u64);
    let native = index::charge(fixture.engine.precompile_module(&made[0].1).unwrap().len() as u64 + 64);
    let modules = fixture.open(3 * wasm + 2 * native);
    let had = |modules: &Modules| -> String {
        let names = NAMES.into_iter().zip(&made);
        names.filter(|(_, (hash, _))| modules.has("ann", hash)).map(|(name, _)| name).collect()
    };
    for (hash, bytes) in &made[..3] {
        modules.put("ann", *hash, bytes.clone()).await.unwrap();
    }
    let running = modules.load("ann", &made[1].0).await.unwrap();
    modules.load("ann", &made[0].0).await.unwrap();
    modules.put("ann", made[3].0, made[3].1.clone()).await.unwrap();
    assert_eq!(had(&modules), "abd", "c was used longest ago");
    // Its file and marker are gone as well.
    assert!(!fixture.files().iter().any(|file| file.contains(&made[2].0.to_string())));
    for (hash, bytes) in &made[4..] {
        modules.put("ann", *hash, bytes.clone()).await.unwrap();
        modules.load("ann", &made[0].0).await.unwrap();
    }
    let left = had(&modules);
    assert!(left.starts_with('a') && left.ends_with("gh") && !left.contains('b'), "{left}");
    assert!(running.module.get_export("b").is_some());
    // One that becomes smaller while it runs makes room at once.
    let before = fixture.files().len();
    modules.set_store_bytes(wasm + native).await;
    let (left, files) = (had(&modules), fixture.files().len());
    assert!(left.len() == 1 && files < before, "{left}: {files} of {before} files");
    modules.set_store_bytes(3 * wasm + 2 * native).await;
    for (hash, bytes) in made[6..].iter().chain(&made[..1]) {
        modules.put("ann", *hash, bytes.clone()).await.unwrap();
    }
    // The order of use survives a restart, and a smaller store begins by making room.
    drop(modules);
    let smaller = fixture.open(60 << 10);
    assert_eq!(had(&smaller).len(), 1);
    let (hash, bytes) = module("huge", 80 << 10);
    let error = smaller.put("ann", hash, bytes).await.unwrap_err();
    assert_eq!(error.code(), Code::NoSpace);
    assert!(error.to_string().contains("of the node's store, which has 61440 in all"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 1_000);
    fixture.disk.full.store(true, Ordering::SeqCst);
    let error = modules.put("ann", hash, bytes.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::NoSpace);
    assert!(error.to_string().contains("no space is left on its disk"), "{error}");
    assert!(!modules.has("ann", &hash));
    assert_eq!(fixture.files(), ["native/key"]);
    fixture.disk.full.store(false, Ordering::SeqCst);
    modules.put("ann", hash, bytes).await.unwrap();
    // Native code that cannot be kept is no reason not to run it.
    fixture.disk.full.store(true, Ordering::SeqCst);
    modules.load("ann", &hash).await.unwrap();
    assert_eq!(fixture.files().len(), 3, "{:?}", fixture.files());
}

#[tokio::test]
async fn a_really_full_disk_is_said_too() {
    let dir = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k,mode=0700", "none"])
        .arg(dir.path())
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: mounting a small file system needs to be root");
        return;
    }
    let config = Config { dir: dir.path().into(), store_bytes: PLENTY, compiles: 1, secret: [7; 32] };
    let modules = Modules::open(config, Engine::default(), KnownImports::default());
    let (hash, bytes) = module("f", 1 << 20);
    let outcome = match &modules {
        Ok(modules) => modules.put("ann", hash, bytes).await,
        Err(error) => Err(error.clone()),
    };
    drop(modules);
    let unmounted = std::process::Command::new("umount").arg(dir.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Code::NoSpace, "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path().join("modules"), "in the way").unwrap();
    let error = fixture.try_open(PLENTY).err().unwrap();
    assert!(error.to_string().starts_with(&format!("{}/modules: ", fixture.path().display())), "{error}");

    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    let tenants = fixture.path().join("modules");
    std::fs::remove_dir_all(&tenants).unwrap();
    let error = modules.put("ann", hash, bytes.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(!error.to_string().contains(&fixture.path().display().to_string()), "a client learns of no paths: {error}");

    if rustix::process::geteuid().is_root() {
        println!("skipped: to root every directory is writable");
        return;
    }
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    std::fs::set_permissions(fixture.path().join("modules"), PermissionsExt::from_mode(0o500)).unwrap();
    let error = modules.put("ann", hash, bytes).await.unwrap_err();
    assert!(error.to_string().contains("its data directory is not writable"), "{error}");
    std::fs::set_permissions(fixture.path().join("modules"), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn native_code_is_not_taken_from_a_directory_that_others_can_write() {
    let fixture = Fixture::new();
    drop(fixture.open(PLENTY));
    let native = fixture.path().join("native");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&native), mode(&native.join("key"))), (0o700, 0o600));
    std::fs::set_permissions(&native, PermissionsExt::from_mode(0o770)).unwrap();
    let error = fixture.try_open(PLENTY).err().unwrap().to_string();
    assert!(error.contains("is open to other users (mode 770)"), "{error}");
    std::fs::rename(&native, fixture.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(fixture.path().join("elsewhere"), &native).unwrap();
    let error = fixture.try_open(PLENTY).err().unwrap().to_string();
    assert!(error.contains("is a link and no directory"), "{error}");
}

#[tokio::test]
async fn what_a_crash_has_left_is_cleared_away() {
    let fixture = Fixture::new();
    let modules = fixture.open(PLENTY);
    let (hash, bytes) = module("f", 0);
    modules.put("ann", hash, bytes.clone()).await.unwrap();
    modules.load("ann", &hash).await.unwrap();
    drop(modules);
    let native = fixture.native_file();
    let tenant = fixture.path().join("modules/tenants").join(TenantKey::of("ann").0.to_string());
    let (gone, _) = module("gone", 0);
    let left = [
        fixture.path().join("modules/.aside-x1"),
        native.with_file_name(".aside-x2"),
        fixture.path().join("native/.aside-x3"),
        native.with_file_name(gone.to_string()),
        tenant.join(gone.to_string()),
    ];
    for path in &left {
        std::fs::write(path, "half").unwrap();
    }
    let other_engine = fixture.path().join("native").join("0".repeat(64));
    std::fs::create_dir(&other_engine).unwrap();
    std::fs::write(fixture.path().join("modules/notes.txt"), "not ours").unwrap();
    let modules = fixture.open(PLENTY);
    assert!(modules.has("ann", &hash) && !modules.has("ann", &gone) && !other_engine.exists());
    assert!(left.iter().all(|path| !path.exists()), "{:?}", fixture.files());
    assert!(fixture.path().join("modules/notes.txt").exists());
    // Each step of `put` alone: a module without a marker is nobody's, and shipping it again completes it.
    std::fs::remove_file(tenant.join(hash.to_string())).unwrap();
    let modules = fixture.open(PLENTY);
    assert!(!modules.has("ann", &hash));
    modules.put("ann", hash, bytes).await.unwrap();
    modules.load("ann", &hash).await.unwrap();
    assert_eq!(fixture.compiles(), 1);
}
