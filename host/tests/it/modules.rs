//! What a node refuses of modules, by data: each kind of bad bytes has its code and a message of its own. With the real
//! engine and host interface, so that what passes here is what the node compiles.

use corovan::hostcalls;
use corovan::modules::{Depth, Entry, Error, KnownImports, ModuleInfo, examine};
use corovan::node::known_imports;
use corovan::runtime::engine::{self, Preemption};
use corovan_core::code::Code;
use corovan_core::limits;
use proptest::prelude::*;
use std::sync::OnceLock;
use wasmtime::{Engine, Module};

fn host() -> &'static (Engine, KnownImports) {
    static HOST: OnceLock<(Engine, KnownImports)> = OnceLock::new();
    HOST.get_or_init(|| {
        let engine = engine::build(Preemption::Epoch, engine::MIN_SLOTS).unwrap();
        let linker = hostcalls::linker(&engine).unwrap();
        let known = known_imports(&engine, &linker).unwrap();
        (engine, known)
    })
}

/// What is wrong first.
#[track_caller]
fn refused(bytes: &[u8]) -> Error {
    match examine(bytes, &host().1, Depth::Full) {
        Err(error) => error,
        Ok(examined) => examined.problems.into_iter().next().expect("nothing is wrong with it"),
    }
}

#[track_caller]
fn accepted(bytes: &[u8]) -> ModuleInfo {
    let examined = examine(bytes, &host().1, Depth::Full).unwrap();
    assert!(examined.problems.is_empty(), "{:?}", examined.problems);
    examined.info
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A module with this custom section.
fn with_section(name: &str, content: &[u8]) -> Vec<u8> {
    let mut out = wasm("(module (func (export \"f\")))");
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.as_bytes());
    section.extend(content);
    out.push(0);
    let mut size = section.len();
    while size >= 0x80 {
        out.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    out.push(u8::try_from(size).unwrap());
    out.extend(section);
    out
}

#[test]
fn bytes_that_are_no_module_are_told_apart() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "an empty file: the build"),
        (b"(module (func (export \"f\")))", "WebAssembly text (WAT): compile it with wat2wasm"),
        (b"\n ;; a comment\n (; another ;) (module)", "WebAssembly text (WAT)"),
        (b"\x7fELF\x02\x01\x01", "a native program (ELF): build it for WebAssembly"),
        (b"MZ\x90\0", "a native program for Windows"),
        (b"\x1f\x8b\x08\0", "gzip data: unpack it first"),
        (b"PK\x03\x04", "a zip archive"),
        (b"<!DOCTYPE html><html>", "an HTML or XML page: a download may have failed"),
        (b"#!/bin/sh\n", "a script"),
        (b"{\"a\": 1}", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: fetch"),
        (b"fn main() {}", "but text"),
        (b"\x9f\x01\x02\x03\x04", "unknown data that begins with 9f 01 02 03"),
        (b"\0as", "cut off in its first four bytes"),
        (b"\0asm\x01", "cut off: it ends at byte 5, within its header, which goes on to byte 8; ship the whole file"),
        (
            b"\0asm\x0d\0\x01\0",
            "this is a WebAssembly component, and this node runs core modules; components come later",
        ),
        (b"\0asm\x02\0\0\0", "WebAssembly of binary version 2 (layer 0), and this node knows version 1"),
        (b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\xff", "not valid WebAssembly"),
    ];
    for (bytes, message) in cases {
        let error = refused(bytes);
        assert_eq!(error.code(), Code::BadModule, "{error}");
        assert!(error.to_string().contains(message), "{message:?} is not in {:?}", error.to_string());
    }
    let component = wasm("(component (core module (func)))");
    assert!(matches!(refused(&component), Error::Component));
}

#[test]
fn a_module_cut_anywhere_is_said_to_be_cut_off_and_where() {
    let whole = wasm(
        "(module (import \"corovan\" \"finish\" (func (param i32 i32) (result i32))) (memory 1) (func (export \"f\") nop nop))",
    );
    for end in 4..whole.len() {
        match refused(&whole[..end]) {
            Error::Truncated { has, needs, .. } => assert!(has == end as u64 && needs > has, "{end}: {has}, {needs}"),
            // Between two sections nothing shows that others should follow, but something is missing.
            other => assert!(matches!(other, Error::Invalid { .. } | Error::NothingToRun { .. }), "{end}: {other}"),
        }
    }
    let error = refused(&whole[..whole.len() - 1]).to_string();
    assert!(error.contains("within its code section"), "{error}");
}

#[test]
fn modules_that_cannot_run_here_are_refused_and_told_why() {
    let over = |wat: String| wat;
    let exports = |count: usize| {
        let exports: String = (0..count).map(|n| format!("(export \"f{n}\" (func $f))")).collect();
        format!("(module (func $f) {exports})")
    };
    let cases: Vec<(String, &[&str])> = vec![
        (over("(module (func (export \"f\") i32.add))".into()), &["not valid WebAssembly: type mismatch", "(at byte 0x"]),
        (over("(module (func (export \"f\") (drop (i32.const 1)) unreachable drop) (memory 70000))".into()), &["not valid"]),
        ("(module (import \"corovan\" \"finnish\" (func)) (import \"env\" \"emscripten_x\" (func (param f64))) (func (export \"f\")))".into(),
         &["2 imports that cannot be given: `corovan`.`finnish` (func()) is not known; the nearest is `corovan`.`finish`",
           "`env`.`emscripten_x` (func(f64)) is not known"]),
        ("(module (import \"wasi_snapshot_preview2\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32))) (func (export \"f\")))".into(),
         &["1 import that cannot be given", "the nearest is `wasi_snapshot_preview1`.`fd_write`"]),
        ("(module (import \"corovan\" \"finish\" (func (param i64))) (func (export \"f\")))".into(),
         &["`corovan`.`finish` is a func(i32, i32) -> i32 here, and imported as func(i64)"]),
        ("(module (import \"env\" \"memory\" (memory 1)) (import \"env\" \"t\" (table 1 funcref)) (import \"env\" \"g\" (global i32)) (func (export \"f\")))".into(),
         &["3 imports", "`env`.`memory` is a memory", "`env`.`t` is a table", "`env`.`g` is a global", "Only functions can be imported"]),
        ("(module (memory 16385) (func (export \"f\")))".into(), &["starts with 1073807360 bytes of memory", "limit of 1073741824"]),
        ("(module (table 20001 funcref) (func (export \"f\")))".into(), &["table starts with 20001 elements, over the limit of 20000"]),
        ("(module (table 1 funcref) (table 1 funcref) (func (export \"f\")))".into(), &["2 tables, over the limit of 1"]),
        ("(module (func (export \"add\") (param i32 i32) (result i32) unreachable) (func (export \"_initialize\")))".into(),
         &["nothing to run", "`add` (func(i32, i32) -> i32)"]),
        ("(module)".into(), &["nothing to run", "it exports no function at all"]),
        (exports(limits::MODULE_EXPORTS + 1), &["10001 exports, over the limit of 10000"]),
        (format!("(module {} (func (export \"f\")))", "(import \"corovan\" \"now\" (func (result i64)))".repeat(limits::MODULE_IMPORTS + 1)),
         &["1001 imports, over the limit of 1000"]),
        (format!("(module {})", "(func)".repeat(limits::MODULE_FUNCTIONS + 1)), &["100001 functions, over the limit of 100000"]),
    ];
    for (text, messages) in cases {
        let error = refused(&wasm(&text));
        let said = error.to_string();
        assert_eq!(error.code(), Code::BadModule, "{said}");
        for message in messages {
            assert!(said.contains(message), "{message:?} is not in {said:?}");
        }
    }
}

#[test]
fn what_is_switched_off_is_named() {
    let cases = [
        ("threads", "(module (memory 1 1 shared) (func (export \"f\")))"),
        ("threads", "(module (memory 1) (func (export \"f\") (drop (i32.atomic.load (i32.const 0)))))"),
        ("memory64", "(module (memory i64 1) (func (export \"f\")))"),
        ("multi-memory", "(module (memory 1) (memory 1) (func (export \"f\")))"),
        ("garbage collection", "(module (type (struct (field i32))) (func (export \"f\")))"),
        ("typed function references", "(module (type $f (func)) (func (param (ref $f))) (func (export \"f\")))"),
        ("exceptions", "(module (tag) (func (export \"f\")))"),
        ("externref", "(module (func (param externref)) (func (export \"f\")))"),
        (
            "wide arithmetic",
            "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1))) (func (export \"f\")))",
        ),
        ("custom page sizes", "(module (memory 1 (pagesize 1)) (func (export \"f\")))"),
        ("stack switching", "(module (type $f (func)) (type $c (cont $f)) (func (export \"f\")))"),
    ];
    for (proposal, text) in cases {
        let bytes = wasm(text);
        let error = refused(&bytes);
        assert!(
            matches!(&error, Error::Proposal { proposal: named, .. } if named.starts_with(proposal)),
            "{text}: {error}"
        );
        assert!(error.to_string().contains("which is not enabled here: "), "{error}");
        assert!(Module::from_binary(&host().0, &bytes).is_err(), "the engine takes {text}");
    }
}

#[test]
fn what_is_allowed_passes_and_compiles() {
    for text in [
        "(module (func (export \"f\")))",
        "(module (memory 1 2) (table 1 funcref) (global (mut i32) (i32.const 1)) (func $f (export \"f\")) (elem (i32.const 0) $f) (start $f))",
        "(module (func $g) (func (export \"f\") return_call $g))",
        "(module (func (export \"f\") (drop (i32x4.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4)))))",
        "(module (func (export \"f\") (drop (i32x4.relaxed_trunc_f32x4_s (v128.const f32x4 1 2 3 4)))))",
        "(module (func $two (result i32 i32) i32.const 1 i32.const 2) (func (export \"f\") call $two drop drop))",
        "(module (memory 1) (func (export \"f\") (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))))",
        "(module (global i32 (i32.add (i32.const 1) (i32.const 2))) (func (export \"f\")))",
        "(module (func (export \"f\") (drop (i32.extend8_s (i32.trunc_sat_f32_s (f32.const 1))))))",
        "(module (func $f (export \"f\") (drop (ref.func $f))))",
        "(module (import \"env\" \"abort\" (func (param i32 i32 i32 i32))) (func (export \"f\")))",
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32))) (func (export \"_start\")))",
    ] {
        let bytes = wasm(text);
        accepted(&bytes);
        Module::from_binary(&host().0, &bytes).unwrap_or_else(|error| panic!("{text}: {error:#}"));
    }
}

#[test]
fn sections_of_ours_and_of_linkers_are_read() {
    let linking = with_section("linking", b"\x02");
    assert!(matches!(refused(&linking), Error::NotLinked));
    let broken = refused(&with_section("corovan.manifest", b"\xa1\x63abi\x61x")).to_string();
    assert!(broken.contains("corovan.manifest cannot be read: in the map at byte 0, abi is text"), "{broken}");
    let newer = refused(&with_section("corovan.manifest", b"\xa1\x63abi\x02"));
    assert!(newer.to_string().contains("version 2 of the host interface, and this node has 1"), "{newer}");
    let large = refused(&with_section("corovan.manifest", &vec![0xa0; limits::MANIFEST_BYTES + 1]));
    assert!(large.to_string().contains("it has 65537 bytes, over the limit of 65536"), "{large}");
    let info = accepted(&with_section("corovan.manifest", b"\xa2\x63abi\x01\x66memory\x1a\x00\x10\x00\x00"));
    assert_eq!(info.manifest.and_then(|manifest| manifest.memory), Some(1 << 20));
}

#[test]
fn a_module_over_size_is_refused_before_it_is_looked_at() {
    let error = refused(&vec![0; limits::MODULE_BYTES + 1]);
    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.to_string().contains("33554433 bytes, over the limit of 33554432"), "{error}");
}

#[test]
fn names_in_messages_neither_control_a_terminal_nor_outgrow_a_message() {
    let names: String =
        (0..900).map(|n| format!("(import \"env\" \"\\1b[2J{n}{}\" (func))", "x".repeat(200))).collect();
    let error = refused(&wasm(&format!("(module {names} (func (export \"f\")))"))).to_string();
    assert!(error.len() <= limits::TEXT_BYTES, "{} bytes", error.len());
    assert!(!error.contains('\u{1b}') && error.contains("`\\u{1b}[2J0xxx") && error.contains("more. "), "{error}");
    // Also where the name comes from the library that says what is wrong.
    let name = format!("\u{1b}[2J{}", "x".repeat(90_000));
    let twice = wat_encoded_twice(&name);
    let error = refused(&twice).to_string();
    assert!(error.len() <= limits::TEXT_BYTES && !error.contains('\u{1b}'), "{error}");
    assert!(error.contains("duplicate export name"), "{error}");
}

/// A module that exports its function under one name twice, which the text format would refuse.
fn wat_encoded_twice(name: &str) -> Vec<u8> {
    let other = format!("{}y", &name[..name.len() - 1]);
    let text = format!("(module (func $f) (export {name:?} (func $f)) (export {other:?} (func $f)))");
    let mut bytes = wasm(&text.replace("\\u{1b}", "\\1b"));
    let at = bytes.windows(other.len()).rposition(|window| window == other.as_bytes()).unwrap();
    bytes[at + other.len() - 1] = b'x';
    bytes
}

#[test]
fn a_function_that_cannot_be_started_is_explained() {
    let reactor = "(module (func (export \"rcoro_proc\")) (func (export \"other\")) (func (export \"_initialize\"))
        (func (export \"add\") (param i32) (result i32) local.get 0) (memory (export \"memory\") 1))";
    let info = accepted(&wasm(reactor));
    assert!(info.reactor && !info.command);
    assert_eq!(info.entry(Some("rcoro_proc")).unwrap(), Entry::Export("rcoro_proc".into()));
    let cases: &[(Option<&str>, &[&str])] = &[
        (Some("rcoroProc"), &["no function \"rcoroProc\" (did you mean `rcoro_proc`?); it has: rcoro_proc, other"]),
        (Some("othr"), &["did you mean `other`?", "it has: other, rcoro_proc"]),
        (Some("zzz"), &["no function \"zzz\"; it has: rcoro_proc, other"]),
        (Some("\u{1b}[0m"), &["no function \"\\u{1b}[0m\""]),
        (Some("_start"), &["no function \"_start\""]),
        (Some("_initialize"), &["`_initialize` prepares an instance", "it has"]),
        (Some("memory"), &["\"memory\" is exported as a memory, not as a function; it has: rcoro_proc"]),
        (Some("add"), &["\"add\" has the signature func(i32) -> i32 and is no coroutine function"]),
        (None, &["the module has no _start: name a function to run; it has: rcoro_proc"]),
    ];
    for (function, messages) in cases {
        let error = info.entry(*function).unwrap_err();
        assert_eq!(error.code(), Code::UnknownFunction);
        for message in *messages {
            assert!(error.to_string().contains(message), "{message:?} is not in {:?}", error.to_string());
        }
    }
}

#[test]
fn a_command_runs_its_start_also_for_functions_that_only_its_manifest_names() {
    let mut bytes = wasm("(module (func (export \"_start\")) (func (export \"direct\")))");
    let manifest = b"\xa1\x69functions\x82\xa1\x64name\x66listed\xa1\x64name\x66direct";
    bytes.extend([0, 17 + u8::try_from(manifest.len()).unwrap(), 16]);
    bytes.extend(b"corovan.manifest");
    bytes.extend(manifest);
    let info = accepted(&bytes);
    assert!(info.command);
    assert_eq!(info.entry(None).unwrap(), Entry::Start { entry: None });
    assert_eq!(info.entry(Some("_start")).unwrap(), Entry::Start { entry: None });
    assert_eq!(info.entry(Some("listed")).unwrap(), Entry::Start { entry: Some("listed".into()) });
    assert_eq!(info.entry(Some("direct")).unwrap(), Entry::Export("direct".into()));
    let error = info.entry(Some("lsted")).unwrap_err().to_string();
    assert!(error.contains("did you mean `listed`?"), "{error}");
}

proptest! {
    /// Whatever arrives is read or refused, and what is refused is explained within a message's length.
    #[test]
    fn damaged_modules_are_read_or_refused(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut: usize) {
        let text = "(module (import \"corovan\" \"finish\" (func (param i32 i32) (result i32))) (memory (export \"memory\") 1)
            (table 2 funcref) (global (mut i32) (i32.const 1)) (elem (i32.const 0) $f) (data (i32.const 0) \"abc\")
            (func $f (export \"f\") (drop (call 0 (i32.const 0) (i32.const 3)))))";
        let mut bytes = wasm(text);
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut % bytes.len()]] {
            match examine(bytes, &host().1, Depth::Full) {
                Err(error) => prop_assert!(error.to_string().len() <= limits::TEXT_BYTES),
                // The pre-scan lets nothing pass that the compiler does not know.
                Ok(examined) if examined.problems.is_empty() => {
                    prop_assert!(Module::validate(&host().0, bytes).is_ok());
                }
                Ok(_) => {}
            }
        }
    }
}
