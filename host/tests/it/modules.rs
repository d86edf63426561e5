//! Modules: every bad one is told apart; the store survives restarts, damage and want of room; a hash is not a right.

use bytes::Bytes;
use ciborium::cbor;
use corovan::hostcalls;
use corovan::modules::compile::{Compiler, InProcess};
use corovan::modules::{Config, Entry, Error, KnownImports, Modules, validate};
use corovan::node::known_imports;
use corovan::runtime::engine::{self, MIN_SLOTS, Preemption};
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use proptest::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use wasmtime::Engine;

fn engine() -> Engine {
    engine::build(Preemption::Epoch, MIN_SLOTS).unwrap()
}

fn known(engine: &Engine) -> KnownImports {
    known_imports(engine, &hostcalls::linker(engine).unwrap())
}

fn config(dir: &Path, store_bytes: u64) -> Config {
    Config { dir: dir.to_owned(), store_bytes, compiles: 2, secret: [7; 32] }
}

fn open(dir: &Path, store_bytes: u64) -> Modules {
    let engine = engine();
    Modules::open(config(dir, store_bytes), engine.clone(), known(&engine)).unwrap()
}

fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// A small module, different for each number.
fn numbered(number: usize) -> Bytes {
    Bytes::from(wasm(&format!("(module (func (export \"f\") (drop (i32.const {number}))))")))
}

#[test]
fn every_bad_module_is_told_apart_with_its_code_and_what_to_do() {
    let many = |what: &str, n: usize| format!("(module {} (func (export \"f\")))", what.repeat(n));
    let good = wasm("(module (func (export \"f\")))");
    let truncated = good[..good.len() - 3].to_vec();
    let mut future = good.clone();
    future[4] = 9;
    let component = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    let mut manifest = good.clone();
    manifest.extend([0, 20, 16]);
    manifest.extend(b"corovan.manifest\xff\xff\xff");
    let mut big = good.clone();
    big.resize(limits::MODULE_BYTES + 1, 0);
    let cases: Vec<(&str, Vec<u8>, Code, &[&str])> = vec![
        ("empty", vec![], Code::BadModule, &["is not a WebAssembly module", "empty"]),
        ("ELF", b"\x7fELF\x02\x01".to_vec(), Code::BadModule, &["ELF", "wasm32-wasip1"]),
        ("gzip", vec![0x1f, 0x8b, 8, 0], Code::BadModule, &["gzip"]),
        ("HTML", b"<!DOCTYPE html>".to_vec(), Code::BadModule, &["HTML"]),
        ("WAT", b"(module)".to_vec(), Code::BadModule, &["WAT", "wat2wasm"]),
        ("other", b"hello".to_vec(), Code::BadModule, &["does not begin with"]),
        ("four bytes", b"\0asm".to_vec(), Code::BadModule, &["cut off", "byte 4"]),
        ("truncated", truncated, Code::BadModule, &["cut off"]),
        ("future", future, Code::BadModule, &["version 9"]),
        ("component", component, Code::BadModule, &["component", "come later"]),
        ("too large", big, Code::TooLarge, &["33554433", "33554432"]),
        ("invalid", wasm("(module (func (export \"f\") (result i32)))"), Code::BadModule, &["not valid at byte"]),
        ("threads", wasm("(module (memory 1 1 shared) (func (export \"f\")))"), Code::BadModule, &["threads"]),
        ("memory64", wasm("(module (memory i64 1) (func (export \"f\")))"), Code::BadModule, &["memory64"]),
        (
            "two memories",
            wasm("(module (memory 1) (memory 1) (func (export \"f\")))"),
            Code::BadModule,
            &["2 memories"],
        ),
        (
            "memory",
            wasm("(module (memory 20000) (func (export \"f\")))"),
            Code::BadModule,
            &["1310720000", "1073741824"],
        ),
        ("table", wasm("(module (table 20001 funcref) (func (export \"f\")))"), Code::BadModule, &["20001", "table"]),
        ("functions", wasm(&many("(func)", 100_001)), Code::BadModule, &["100002 functions"]),
        (
            "imports",
            wasm(
                r#"(module (import "corovan" "slep" (func)) (import "corovan" "finish" (func)) (import "env" "memory" (memory 1))
                (func (export "f")))"#,
            ),
            Code::BadModule,
            &[
                "corovan.slep",
                "nearest is corovan.sleep",
                "imported as (), but it is (i32, i32) -> i32",
                "env.memory",
                "only functions",
            ],
        ),
        ("nothing to run", wasm("(module (memory (export \"m\") 1))"), Code::BadModule, &["nothing to run"]),
        ("manifest", manifest, Code::BadModule, &["corovan.manifest", "CBOR"]),
    ];
    let known = known(&engine());
    for (name, bytes, code, parts) in cases {
        let error = validate::validate(&bytes, &known).expect_err(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{name}: {part:?} is not in: {error}");
        }
    }
}

proptest! {
    #[test]
    fn a_module_with_any_bytes_changed_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        static GOOD: LazyLock<(Vec<u8>, KnownImports)> = LazyLock::new(|| {
            let wat = r#"(module (import "corovan" "sleep" (func (param i64) (result i32))) (memory (export "memory") 1 2)
                (table 4 funcref) (global i32 (i32.const 1)) (data (i32.const 0) "abc") (elem (i32.const 0) func 1)
                (func (export "f") (local i32) (loop (br_if 0 (local.get 0)))))"#;
            (wasm(wat), known(&engine()))
        });
        let (good, known) = &*GOOD;
        let mut bytes = good.clone();
        changes.iter().for_each(|(at, byte)| bytes[at.index(good.len())] = *byte);
        let _ = validate::validate(&bytes, known);
        let _ = validate::validate(&bytes[..cut.index(bytes.len())], known);
    }
}

#[test]
fn the_function_to_call_is_found_or_the_error_lists_those_there_are() {
    let known = known(&engine());
    let reactor = r#"(module (func (export "rcoro_proc")) (func (export "add") (param i32 i32) (result i32) (i32.const 0))
        (func (export "_initialize")) (memory (export "memory") 1))"#;
    let reactor = validate::validate(&wasm(reactor), &known).unwrap();
    assert_eq!(reactor.entry(Some("rcoro_proc")), Ok(Entry::Export("rcoro_proc".into())));
    let told = |function: Option<&str>| reactor.entry(function).unwrap_err();
    for (function, parts) in [
        (Some("rcoro"), &["no function \"rcoro\"", "it has: rcoro_proc"][..]),
        (Some("add"), &["(i32, i32) -> i32", "takes and returns nothing", "rcoro_proc"]),
        (Some("memory"), &["exported as a memory", "rcoro_proc"]),
        (Some("_initialize"), &["no coroutine function"]),
        (None, &["no _start", "rcoro_proc"]),
    ] {
        let error = told(function);
        assert_eq!(error.code(), Code::UnknownFunction, "{function:?}");
        for part in parts {
            assert!(error.to_string().contains(part), "{function:?}: {part:?} is not in: {error}");
        }
    }
    let command = validate::validate(&wasm(r#"(module (func (export "_start")))"#), &known).unwrap();
    assert_eq!(command.entry(None), Ok(Entry::Start { entry: None }));
    assert_eq!(command.entry(Some("_start")), Ok(Entry::Start { entry: None }));
    let mut section = Vec::new();
    ciborium::into_writer(&cbor!({"functions" => [{"name" => "by_entry"}]}).unwrap(), &mut section).unwrap();
    let mut listed = wasm(r#"(module (func (export "_start")))"#);
    listed.extend([0, (17 + section.len()) as u8, 16]);
    listed.extend(b"corovan.manifest");
    listed.extend(section);
    let listed = validate::validate(&listed, &known).unwrap();
    assert_eq!(listed.entry(Some("by_entry")), Ok(Entry::Start { entry: Some("by_entry".into()) }));
}

struct Counting(Arc<AtomicUsize>, InProcess);

impl Compiler for Counting {
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1.compile(wasm)
    }
}

fn counted(dir: &Path) -> (Modules, Arc<AtomicUsize>) {
    let (engine, count) = (engine(), Arc::new(AtomicUsize::new(0)));
    let compiler = Box::new(Counting(Arc::clone(&count), InProcess(engine.clone())));
    let modules = Modules::with_compiler(config(dir, 1 << 30), engine.clone(), known(&engine), compiler).unwrap();
    (modules, count)
}

#[tokio::test]
async fn fifty_requests_share_one_compilation_and_a_restart_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, hash) = (numbered(1), ModuleHash::of(&numbered(1)));
    let (modules, compiled) = counted(dir.path());
    modules.put("alice", hash, bytes.clone()).await.unwrap();
    let loads: Vec<_> = (0..50)
        .map(|_| {
            let modules = modules.clone();
            tokio::spawn(async move { modules.load("alice", &hash).await.map(|_| ()) })
        })
        .collect();
    for load in loads {
        load.await.unwrap().unwrap();
    }
    assert_eq!(compiled.load(Ordering::Relaxed), 1);
    drop(modules);
    let (modules, compiled) = counted(dir.path());
    modules.load("alice", &hash).await.unwrap();
    assert_eq!(compiled.load(Ordering::Relaxed), 0, "native code was kept");
}

#[tokio::test]
async fn damaged_native_code_is_compiled_anew_and_a_damaged_module_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, hash) = (numbered(2), ModuleHash::of(&numbered(2)));
    let (modules, _) = counted(dir.path());
    modules.put("alice", hash, bytes).await.unwrap();
    modules.load("alice", &hash).await.unwrap();
    drop(modules);
    let native = std::fs::read_dir(dir.path().join("native")).unwrap();
    let native = native.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap().join(hash.to_string());
    let intact = std::fs::read(&native).unwrap();
    let mut flipped = intact.clone();
    flipped[intact.len() / 2] ^= 1;
    for damaged in [&flipped[..], &intact[..40], &[]] {
        std::fs::write(&native, damaged).unwrap();
        let (modules, compiled) = counted(dir.path());
        modules.load("alice", &hash).await.unwrap();
        assert_eq!(compiled.load(Ordering::Relaxed), 1);
    }
    std::fs::write(dir.path().join("modules").join(hash.to_string()), b"\0asm").unwrap();
    let (modules, _) = counted(dir.path());
    let error = modules.load("alice", &hash).await.err().unwrap();
    assert_eq!(error.code(), Code::NeedModule, "{error}");
    assert!(!modules.has("alice", &hash));
}

#[tokio::test]
async fn a_hash_is_not_a_right_and_shipping_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, hash) = (numbered(3), ModuleHash::of(&numbered(3)));
    let modules = open(dir.path(), 1 << 30);
    modules.put("alice", hash, bytes.clone()).await.unwrap();
    assert!(modules.has("alice", &hash) && !modules.has("bob", &hash));
    assert_eq!(modules.load("bob", &hash).await.err().unwrap().code(), Code::NeedModule);
    let error = modules.put("bob", ModuleHash([1; 32]), bytes.clone()).await.unwrap_err();
    assert!(error.to_string().contains("as announced"), "{error}");
    drop(modules);
    let modules = open(dir.path(), 1 << 30);
    assert!(modules.has("alice", &hash) && !modules.has("bob", &hash));
    modules.put("bob", hash, bytes).await.unwrap();
    assert!(modules.has("bob", &hash));
}

#[tokio::test]
async fn the_least_recently_used_module_makes_room_and_must_be_shipped_again() {
    let dir = tempfile::tempdir().unwrap();
    let size = numbered(100).len() as u64;
    let modules = open(dir.path(), 3 * size);
    let hashes: Vec<_> = (100..103).map(|number| ModuleHash::of(&numbered(number))).collect();
    for (number, hash) in (100..103).zip(&hashes) {
        modules.put("alice", *hash, numbered(number)).await.unwrap();
    }
    let fourth = ModuleHash::of(&numbered(103));
    modules.put("alice", fourth, numbered(103)).await.unwrap();
    assert!(!modules.has("alice", &hashes[0]), "the oldest went");
    assert!(modules.has("alice", &hashes[1]) && modules.has("alice", &fourth));
    let error = open(tempfile::tempdir().unwrap().path(), 10).put("alice", fourth, numbered(103)).await.unwrap_err();
    assert_eq!(error.code(), Code::NoSpace, "{error}");
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1 << 20));
    std::fs::set_permissions(dir.path().join("native"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let engine = engine();
    let error = Modules::open(config(dir.path(), 1 << 20), engine.clone(), known(&engine)).err().unwrap();
    assert!(error.to_string().contains("chmod go-w"), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_the_module_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: a file system of 64 KiB cannot be mounted here (not root?)");
        return;
    }
    let large =
        wasm(&format!("(module (memory 3) (data (i32.const 0) \"{}\") (func (export \"f\")))", "x".repeat(100_000)));
    let modules = open(dir.path(), 1 << 30);
    let result = modules.put("alice", ModuleHash::of(&large), Bytes::from(large.clone())).await;
    let small = modules.put("alice", ModuleHash::of(&numbered(5)), numbered(5)).await;
    drop(modules);
    let _ = std::process::Command::new("umount").arg(dir.path()).status();
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::NoSpace, "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    small.unwrap();
}
