//! Where things are in the checkout. Everything a chore makes lies under `target/` of the checkout, also when
//! `CARGO_TARGET_DIR` sends cargo's own output elsewhere, so that `target/jobs/NAME.wasm` is always a right answer.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The checkout that this program belongs to.
#[derive(Debug, Clone)]
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// Cargo tells a program it runs where its package is; the workspace is one level above.
    pub fn find() -> Result<Repo> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = match package.as_deref().and_then(Path::parent) {
            Some(root) => root.to_path_buf(),
            None => std::env::current_dir()?,
        };
        ensure!(
            root.join("xtask/Cargo.toml").is_file(),
            "run this as `cargo xtask ...` inside the checkout ({} is not one)",
            root.display()
        );
        Ok(Repo { root })
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the top folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Where finished jobs go.
    pub fn jobs(&self) -> Result<PathBuf> {
        made(self.root.join("target/jobs"))
    }

    /// Where tools go that the machine does not have and that need no system package.
    pub fn tools(&self) -> Result<PathBuf> {
        made(self.root.join("target/tools"))
    }

    /// Cargo's folder for guests, as seen from the top folder: apart from the host's, so that the two never wait for each
    /// other's lock.
    pub fn guest_target(&self, variant: &str) -> PathBuf {
        Path::new("target").join(variant)
    }

    /// How a person in the top folder names this path.
    pub fn name<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
