//! The compiler of Rust guests: the toolchain in use with target wasm32-wasip1, which rustup adds; where rustup cannot,
//! Debian's `rustc-web`, which builds the target's standard library from source.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, bail};

use super::apt;
use crate::cmd::{Cmd, say};

/// How Rust guests are compiled here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// The toolchain in use has the target.
    Toolchain,
    /// Debian's rustc with `-Zbuild-std`.
    Debian,
}

/// The target of guests.
pub const TARGET: &str = "wasm32-wasip1";

/// Debian's rustc; not by name, since rustup's comes first in `PATH`.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Debian's C library for WASI.
pub const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

impl Compiler {
    /// The compiler that is there or can be had. `COROVAN_GUEST_RUST=toolchain|debian` takes the choice away.
    pub fn get() -> Result<Compiler> {
        static CHOSEN: OnceLock<Compiler> = OnceLock::new();
        if let Some(chosen) = CHOSEN.get() {
            return Ok(*chosen);
        }
        let chosen = match std::env::var("COROVAN_GUEST_RUST").as_deref() {
            Ok("toolchain") => add_target().map(|()| Compiler::Toolchain),
            Ok("debian") => install_debian().map(|()| Compiler::Debian),
            Ok(other) => bail!("COROVAN_GUEST_RUST is \"{other}\"; it can be \"toolchain\" or \"debian\""),
            Err(_) => choose(),
        }?;
        Ok(*CHOSEN.get_or_init(|| chosen))
    }
}

/// Debian's compiler counts as chosen once it is there: then an earlier run found that rustup could not help, and asking
/// rustup again would wait for the network each time.
fn choose() -> Result<Compiler> {
    if has_target() {
        return Ok(Compiler::Toolchain);
    }
    if debian_is_there() {
        return Ok(Compiler::Debian);
    }
    let Err(refused) = add_target() else { return Ok(Compiler::Toolchain) };
    say(&format!("{refused:#}; trying Debian's packages instead"));
    match install_debian() {
        Ok(()) => Ok(Compiler::Debian),
        Err(error) => bail!(
            "no compiler for Rust guests: {refused:#}; and {error:#}.\n\
             Advice: `rustup target add {TARGET}` for the toolchain in use, or `apt-get install {}`",
            PACKAGES.join(" ")
        ),
    }
}

/// Whether the toolchain in use has the target's standard library.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Cmd::new(rustc)
        .args(["--print", "sysroot"])
        .answer()
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn add_target() -> Result<()> {
    if has_target() {
        return Ok(());
    }
    if !Cmd::new("rustup").arg("--version").works() {
        bail!("the Rust toolchain has no target {TARGET}, and there is no rustup to add it");
    }
    say(&format!("adding the target {TARGET} to the Rust toolchain"));
    Cmd::new("rustup").args(["target", "add", TARGET]).limit(Duration::from_secs(180)).run()?;
    if !has_target() {
        bail!("rustup has added {TARGET}, but not to the toolchain in use");
    }
    Ok(())
}

fn debian_is_there() -> bool {
    PACKAGES.iter().all(|package| apt::installed(package)) && debian_is_new_enough()
}

fn install_debian() -> Result<()> {
    apt::install(&PACKAGES, "to compile Rust jobs without rustup's help")?;
    if !debian_is_new_enough() {
        bail!("Debian's {DEBIAN_RUSTC} is older than Rust 1.{OLDEST}, which Corovan needs");
    }
    Ok(())
}

fn debian_is_new_enough() -> bool {
    Cmd::new(DEBIAN_RUSTC).arg("--version").answer().and_then(|text| minor(&text)).is_some_and(|minor| minor >= OLDEST)
}

/// 96 out of `rustc 1.96.0 (...)`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "lld", "wasi-libc"];

/// `rust-version` of the workspace.
const OLDEST: u32 = 95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_line_gives_its_minor_number() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(96));
        assert_eq!(minor("clang 14"), None);
    }

    #[test]
    fn the_oldest_compiler_is_the_one_the_workspace_names() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("rust-version = \"1.{OLDEST}\"")));
    }
}
