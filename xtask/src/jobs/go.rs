//! Jobs in Go: by an installed Go that is new enough, otherwise by the one on PyPI.

use anyhow::{Context, Result};

use super::{Job, Kind, Output};
use crate::cmd::{Cmd, say};
use crate::repo::Repo;
use crate::setup::python;

/// Builds the jobs; gives how many are new.
pub fn build(repo: &Repo, jobs: &[&Job]) -> Result<usize> {
    let go = compiler(repo)?;
    let module = repo.path("jobs/go");
    let sources = [module.clone(), repo.path("guest-sdk/go")];
    let mut new = 0;
    for job in jobs {
        let output = Output::of(repo, job)?;
        let written = repo.jobs()?.join(format!(".{}.out", job.name));
        // GOTOOLCHAIN: never fetch another Go. CGO_ENABLED and GOFLAGS: a person's own settings do not reach the guest.
        let mut build = Cmd::new(&go)
            .dir(&module)
            .env("GOTOOLCHAIN", "local")
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .env("GOFLAGS", "")
            .args(["build", "-trimpath", "-ldflags=-s"]);
        if job.kind == Kind::Reactor {
            build = build.arg("-buildmode=c-shared");
        }
        let package = format!("./{}", job.source.strip_prefix(&module).unwrap_or(&job.source).display());
        let build = build.arg("-o").arg(&written).arg(package);
        let how = build.to_string();
        if output.is_fresh(&how, &sources)? {
            continue;
        }
        build.run()?;
        output.store(&written, &how)?;
        std::fs::remove_file(&written)?;
        say(&format!("{} ({} KB)", repo.name(&output.module), output.module.metadata()?.len() / 1024));
        new += 1;
    }
    Ok(new)
}

fn compiler(repo: &Repo) -> Result<String> {
    let version = Cmd::new("go").arg("version").env("GOTOOLCHAIN", "local").answer();
    if version.as_deref().and_then(minor).is_some_and(|minor| minor >= OLDEST) {
        return Ok("go".to_string());
    }
    let go = python::GO.get(repo, "to compile jobs in Go").with_context(|| {
        format!("no Go 1.{OLDEST} or newer; install it from your system or from go's own site, or let pip reach PyPI")
    })?;
    Ok(go.to_string_lossy().into_owned())
}

/// 24 out of `go version go1.24.1 linux/amd64`.
fn minor(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The first with `//go:wasmexport`, which reactors need.
const OLDEST: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_line_gives_its_minor_number() {
        assert_eq!(minor("go version go1.27.3 linux/amd64"), Some(27));
        assert_eq!(minor("go version go1.25rc1 linux/amd64"), Some(25));
        assert_eq!(minor("go version devel"), None);
    }
}
