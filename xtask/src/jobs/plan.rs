//! Which jobs there are: read from the manifest of `jobs/` for Rust, from the folders for C and Go. A new job needs no
//! line here.
//!
//! | sources | kind | becomes |
//! |---|---|---|
//! | `[[bin]]` / `[[example]]` of `jobs/Cargo.toml` | command / reactor | `NAME.wasm` |
//! | `jobs/c/*.c` / `jobs/c/reactor/*.c` | command / reactor | `NAME-c.wasm` |
//! | `jobs/go/*/` / `jobs/go/reactor/*/` with a `main.go` | command / reactor | `NAME-go.wasm` |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Lang;
use crate::cmd::Cmd;
use crate::repo::Repo;

/// One module to build.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file name without `.wasm`.
    pub name: String,
    pub lang: Lang,
    pub kind: Kind,
    /// The source file, or for Go the folder.
    pub source: PathBuf,
}

/// How a module begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary WASI program with `_start`.
    Command,
    /// A library of coroutine functions, with `_initialize`.
    Reactor,
}

/// All jobs, by name.
pub fn all(repo: &Repo) -> Result<Vec<Job>> {
    let mut jobs = rust(repo)?;
    for (folder, kind) in [("jobs/c", Kind::Command), ("jobs/c/reactor", Kind::Reactor)] {
        for source in entries(&repo.path(folder)) {
            if source.extension().is_some_and(|extension| extension == "c") {
                jobs.push(Job { name: named(&source, "-c"), lang: Lang::C, kind, source });
            }
        }
    }
    for (folder, kind) in [("jobs/go", Kind::Command), ("jobs/go/reactor", Kind::Reactor)] {
        for source in entries(&repo.path(folder)) {
            if source.join("main.go").is_file() {
                jobs.push(Job { name: named(&source, "-go"), lang: Lang::Go, kind, source });
            }
        }
    }
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in jobs.windows(2) {
        ensure!(pair[0].name != pair[1].name, "two jobs would both become {}.wasm: rename one", pair[0].name);
    }
    Ok(jobs)
}

/// The package's own word for its programs and libraries.
fn rust(repo: &Repo) -> Result<Vec<Job>> {
    let text = Cmd::cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .dir(repo.root())
        .quiet()
        .read()
        .context("cargo cannot read the workspace")?;
    let metadata: Value = serde_json::from_str(&text)?;
    Ok(rust_targets(&metadata))
}

fn rust_targets(metadata: &Value) -> Vec<Job> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages
        .filter(|package| package["name"] == PACKAGE)
        .flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let job = |target: &Value| {
        let is =
            |key: &str, value: &str| target[key].as_array().is_some_and(|values| values.iter().any(|v| v == value));
        let kind = if is("kind", "bin") {
            Kind::Command
        } else if is("kind", "example") && is("crate_types", "cdylib") {
            Kind::Reactor
        } else {
            return None;
        };
        let source = PathBuf::from(target["src_path"].as_str()?);
        Some(Job { name: target["name"].as_str()?.to_string(), lang: Lang::Rust, kind, source })
    };
    targets.filter_map(job).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn named(source: &Path, suffix: &str) -> String {
    format!("{}{suffix}", source.file_stem().unwrap_or_default().to_string_lossy())
}

/// The package of Rust jobs.
pub const PACKAGE: &str = "corovan-jobs";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_and_libraries_of_the_jobs_package_are_jobs() {
        let metadata = json!({ "packages": [
            { "name": "corovan", "targets": [{ "name": "corovan", "kind": ["bin"], "crate_types": ["bin"], "src_path": "m" }] },
            { "name": "corovan-jobs", "targets": [
                { "name": "corovan_jobs", "kind": ["lib"], "crate_types": ["lib"], "src_path": "l" },
                { "name": "hello", "kind": ["bin"], "crate_types": ["bin"], "src_path": "h" },
                { "name": "rcoro_proc", "kind": ["example"], "crate_types": ["cdylib"], "src_path": "r" },
            ]},
        ]});
        let jobs: Vec<(String, Kind)> = rust_targets(&metadata).into_iter().map(|job| (job.name, job.kind)).collect();
        assert_eq!(jobs, [("hello".to_string(), Kind::Command), ("rcoro_proc".to_string(), Kind::Reactor)]);
    }

    #[test]
    fn the_language_is_part_of_the_name() {
        assert_eq!(named(Path::new("jobs/c/hello.c"), "-c"), "hello-c");
        assert_eq!(named(Path::new("jobs/go/hello"), "-go"), "hello-go");
    }
}
