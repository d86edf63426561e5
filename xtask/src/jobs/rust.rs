//! Jobs in Rust: one cargo run for all of them; with Debian's compiler one for commands and one for reactors, which
//! begin with different object files.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::plan::PACKAGE;
use super::{Job, Kind, Output};
use crate::cmd::{Cmd, say};
use crate::repo::Repo;
use crate::setup::guest::{Compiler, DEBIAN_RUSTC, DEBIAN_WASI_LIBC, TARGET};

/// Builds the jobs; gives how many are new.
pub fn build(repo: &Repo, jobs: &[&Job]) -> Result<usize> {
    let compiler = Compiler::get()?;
    match compiler {
        Compiler::Toolchain => run_cargo(repo, jobs, command(repo, compiler, None)),
        Compiler::Debian => {
            crate::setup::apt::install(&["wasi-libc", "lld"], "to link Rust jobs")?;
            let of = |kind| jobs.iter().copied().filter(|job| job.kind == kind).collect::<Vec<_>>();
            let mut new = 0;
            for kind in [Kind::Command, Kind::Reactor] {
                let mine = of(kind);
                if !mine.is_empty() {
                    new += run_cargo(repo, &mine, command(repo, compiler, Some(kind)))?;
                }
            }
            Ok(new)
        }
    }
}

/// The cargo command without the names of jobs. A compiler and a kind have a folder of their own, lest they rebuild each
/// other's library.
fn command(repo: &Repo, compiler: Compiler, kind: Option<Kind>) -> Cmd {
    let cargo = Cmd::cargo().dir(repo.root()).args(["build", "-p", PACKAGE, "--profile", "guest", "--target", TARGET]);
    let folder = |variant: &str| repo.guest_target(variant);
    let start = match (compiler, kind) {
        (Compiler::Toolchain, _) => return cargo.arg("--target-dir").arg(folder("guest")),
        (Compiler::Debian, Some(Kind::Reactor)) => "reactor",
        (Compiler::Debian, _) => "command",
    };
    let flags = format!(
        "-C linker=wasm-ld -C link-self-contained=no -L {DEBIAN_WASI_LIBC} -C link-arg={DEBIAN_WASI_LIBC}/crt1-{start}.o"
    );
    cargo
        .args(["-Zbuild-std=std,panic_abort", "--target-dir"])
        .arg(folder(&format!("guest-debian-{start}")))
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .without_env("CARGO_ENCODED_RUSTFLAGS")
}

fn run_cargo(repo: &Repo, jobs: &[&Job], mut cargo: Cmd) -> Result<usize> {
    for job in jobs {
        cargo = cargo.arg(if job.kind == Kind::Command { "--bin" } else { "--example" }).arg(&job.name);
    }
    let messages = cargo.arg("--message-format=json-render-diagnostics").read()?;
    let modules = modules(&messages)?;
    let mut new = 0;
    for job in jobs {
        let Some(module) = modules.get(&job.name) else { bail!("cargo has not said where it put {}.wasm", job.name) };
        let output = Output::of(repo, job)?;
        let how = format!("cargo {}", module.display());
        if output.is_fresh(&how, std::slice::from_ref(module))? {
            continue;
        }
        output.store(module, &how)?;
        say(&format!("{} ({} KB)", repo.name(&output.module), output.module.metadata()?.len() / 1024));
        new += 1;
    }
    Ok(new)
}

/// Where cargo put the module of each target, from its JSON messages.
fn modules(messages: &str) -> Result<HashMap<String, PathBuf>> {
    let mut modules = HashMap::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("cargo printed a message that is not JSON")?;
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let Some(name) = message["target"]["name"].as_str() else { continue };
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for file in files.filter(|file| file.ends_with(".wasm")) {
            modules.insert(name.to_string(), PathBuf::from(file));
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_of_a_target_is_found_among_cargos_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"serde"},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"name":"hello"},"filenames":["/t/hello.wasm"]}
{"reason":"build-finished","success":true}
"#;
        let modules = modules(messages).unwrap();
        assert_eq!(modules.len(), 1);
        assert_eq!(modules["hello"], PathBuf::from("/t/hello.wasm"));
    }
}
