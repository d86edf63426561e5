//! Which library may be used where, what the pure packages may depend on, and which files may contain `unsafe`.

use super::source::{Source, word_ends};
use super::{Problem, only, sample};

/// A library and the files or folders of the host that may name it.
struct Fence {
    library: &'static str,
    inside: &'static [&'static str],
    /// What the fence is for.
    reason: &'static str,
}

const FENCES: &[Fence] = &[
    Fence { library: "quinn", inside: NET, reason: "the transport can be exchanged for a simulated one" },
    Fence { library: "quinn_proto", inside: NET, reason: "the transport can be exchanged for a simulated one" },
    Fence { library: "wasmtime", inside: ENGINE, reason: "the runtime can move to a process of its own" },
    Fence { library: "wasmtime_wasi", inside: ENGINE, reason: "the runtime can move to a process of its own" },
    Fence { library: "rcgen", inside: TENANCY, reason: "certificates are made in one place" },
    Fence { library: "x509_parser", inside: TENANCY, reason: "certificates are read in one place" },
    Fence { library: "clap", inside: COMMAND_LINE, reason: "arguments are read at the command line" },
    Fence {
        library: "anyhow",
        inside: COMMAND_LINE,
        reason: "errors below the command line are enums that callers match",
    },
    Fence { library: "toml", inside: &["host/src/config/"], reason: "settings are read and written in one place" },
    Fence { library: "axum", inside: &["host/src/http/"], reason: "HTTP is one door among several" },
    Fence { library: "redb", inside: &["host/store/"], reason: "a home's jobs may lie in another database one day" },
    Fence { library: "foca", inside: &["host/core/src/membership/"], reason: "membership reaches others as events" },
];

const NET: &[&str] = &["host/src/net/", "host/client/src/"];
const TENANCY: &[&str] = &["host/src/tenancy/"];
const ENGINE: &[&str] = &["host/src/runtime/", "host/src/hostcalls/", "host/src/modules/", "host/src/node.rs"];
const COMMAND_LINE: &[&str] = &["host/src/cli/", "host/src/main.rs"];

/// A manifest, and what it must not depend on.
const MANIFESTS: &[(&str, &[&str], &str)] = &[
    (
        "host/core/Cargo.toml",
        &[
            "tokio",
            "quinn",
            "quinn-proto",
            "wasmtime",
            "wasmtime-wasi",
            "rustls",
            "rustix",
            "libc",
            "tempfile",
            "getrandom",
        ],
        "the core decides without I/O, time or randomness of its own",
    ),
    (
        "host/store/Cargo.toml",
        &["corovan", "wasmtime", "quinn", "rustls", "getrandom"],
        "the store keeps what it is given, and is given time and ids",
    ),
    ("host/client/Cargo.toml", &["corovan", "wasmtime", "wasmtime-wasi"], "a user's program must build fast"),
    (
        "guest-sdk/Cargo.toml",
        &["corovan-core", "tokio", "getrandom"],
        "a guest has the host interface and nothing else",
    ),
];

/// Files that may contain `unsafe`, and why each cannot do without.
const UNSAFE: &[(&str, &str)] = &[
    ("host/benches/rows/jobs.rs", "Module::deserialize, the bare library's side of a comparison"),
    ("host/src/runtime/clock.rs", "reads the processor's time-stamp counter"),
    ("host/src/runtime/chain.rs", "takes a task back from the bare pointer that an atomic can hold"),
    ("host/src/modules/cache.rs", "loads native code that this node has made"),
    ("guest-sdk/macros/src/function.rs", "generates the exported function's attribute"),
    ("guest-sdk/macros/src/manifest.rs", "generates the manifest's section attribute"),
    ("guest-sdk/src/channels.rs", "calls host functions"),
    ("guest-sdk/src/coroutine.rs", "calls host functions"),
    ("guest-sdk/src/incoming.rs", "host functions write to its buffer"),
    ("guest-sdk/src/lifecycle.rs", "calls host functions"),
    ("guest-sdk/src/locks/handle.rs", "calls host functions"),
    ("guest-sdk/src/log.rs", "calls host functions"),
    ("guest-sdk/src/messaging/message.rs", "calls host functions"),
    ("guest-sdk/src/messaging/reply.rs", "calls host functions"),
    ("guest-sdk/src/messaging/send.rs", "calls host functions"),
    ("guest-sdk/src/names.rs", "calls host functions"),
    ("guest-sdk/src/node.rs", "calls host functions"),
    ("guest-sdk/src/services.rs", "calls host functions"),
    ("guest-sdk/src/spawn.rs", "calls host functions"),
    ("guest-sdk/src/swap.rs", "calls host functions"),
    ("guest-sdk/src/sys.rs", "declares host functions"),
    ("guest-sdk/src/time.rs", "calls host functions"),
    ("guest-sdk/src/wait.rs", "calls host functions"),
    ("jobs/examples/faults.rs", "does what the host must survive"),
    ("xtask/src/children.rs", "pre_exec: a demo's node dies with the demo"),
];

/// Uses of a library outside its fence. Tests and benchmarks are free: they compare with the bare library.
pub fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is_under("host/")) {
        for fence in FENCES.iter().filter(|fence| !fence.inside.iter().any(|inside| source.is_under(inside))) {
            for (number, line) in source.lines().filter(|(number, _)| !source.is_test(*number)) {
                if names(line, fence.library) {
                    let Fence { library, inside, reason } = fence;
                    let what = format!("`{library}` is only for {} ({reason})", inside.join(", "));
                    problems.push(Problem::at(&source.path, number, what));
                }
            }
        }
    }
    problems
}

/// Dependencies that a pure package must not have.
pub fn manifests(texts: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, refused, reason) in MANIFESTS {
        let Some((_, text)) = texts.iter().find(|(file, _)| file == path) else { continue };
        let mut section = "";
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.starts_with('[') {
                section = line;
            }
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if section.contains("dependencies") && !section.contains("dev-") && refused.contains(&key) {
                problems.push(Problem::at(path, index + 1, format!("must not depend on `{key}`: {reason}")));
            }
        }
    }
    problems
}

/// `unsafe` outside the list, and entries of the list that are no longer needed.
pub fn unsafe_code(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources {
        let mut found = source.lines().filter(|(_, line)| !word_ends(line, "unsafe").is_empty()).map(|(line, _)| line);
        let listed = UNSAFE.iter().any(|(path, _)| *path == source.path);
        match found.next() {
            Some(line) if !listed => {
                let what = format!("`unsafe` in a file that is not listed for it; avoid it, or list it in {}", file!());
                problems.push(Problem::at(&source.path, line, what));
            }
            None if listed => {
                problems.push(Problem::at(
                    &source.path,
                    1,
                    format!("needs no `unsafe` any more; take it off {}", file!()),
                ));
            }
            _ => {}
        }
    }
    problems
}

/// Whether the line names the library as a path's beginning, or imports it.
fn names(line: &str, library: &str) -> bool {
    word_ends(line, library).into_iter().any(|end| {
        let before = line[..end - library.len()].trim_end();
        let after = line[end..].trim_start();
        let begins = !before.ends_with("::") || before.trim_end_matches(':').trim_end().is_empty();
        let imported = before.ends_with("use") || before.ends_with("extern crate");
        begins && (after.starts_with("::") || imported)
    })
}

#[test]
fn a_library_outside_its_fence_is_found() {
    let bad = sample("host/src/api/submit.rs", "//! S.\nuse crate::net;\nfn f(c: quinn::Connection) {}\n");
    let problems = check(&bad);
    let (line, what) = only(&problems);
    assert_eq!(line, 3);
    assert!(what.starts_with("`quinn` is only for host/src/net/"), "{what}");
    assert_eq!(check(&sample("host/core/src/job/a.rs", "use anyhow::Result;")).len(), 1);
    assert_eq!(check(&sample("host/src/net/a.rs", "use wasmtime as w;")).len(), 1);
}

#[test]
fn inside_the_fence_in_tests_and_in_names_it_is_fine() {
    assert_eq!(check(&sample("host/src/net/a.rs", "use quinn::Endpoint;")), []);
    assert_eq!(check(&sample("host/benches/rows.rs", "use quinn::Endpoint;")), []);
    assert_eq!(check(&sample("host/src/api/a.rs", "// quinn::x\nlet quinn = 1; crate::net::quinn::x();\n")), []);
}

#[test]
fn a_pure_package_with_io_is_found() {
    let text = "[package]\nname = \"x\"\n[dependencies]\nbytes = \"1\"\ntokio.workspace = true\n[dev-dependencies]\nquinn = \"1\"\n";
    let problems = manifests(&[("host/core/Cargo.toml".to_string(), text.to_string())]);
    assert_eq!(
        only(&problems),
        (5, "must not depend on `tokio`: the core decides without I/O, time or randomness of its own")
    );
}

#[test]
fn unsafe_that_is_not_listed_is_found_and_so_is_a_stale_entry() {
    let problems = unsafe_code(&sample("host/src/a.rs", "//! unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n"));
    assert_eq!(only(&problems).0, 3);
    let problems = unsafe_code(&sample("guest-sdk/src/sys.rs", "//! S.\n"));
    assert!(only(&problems).1.contains("needs no `unsafe` any more"));
}
