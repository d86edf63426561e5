//! Jobs in C: by a clang that has the WASI library; otherwise by Zig, which carries one; otherwise by Debian's clang.

use anyhow::{Result, bail};

use super::{Job, Kind, Output};
use crate::cmd::{Cmd, say};
use crate::repo::Repo;
use crate::setup::{apt, python};

/// Builds the jobs; gives how many are new.
pub fn build(repo: &Repo, jobs: &[&Job]) -> Result<usize> {
    let compiler = compiler(repo)?;
    let headers = repo.path("guest-sdk/abi");
    let mut new = 0;
    for job in jobs {
        let output = Output::of(repo, job)?;
        let written = repo.jobs()?.join(format!(".{}.out", job.name));
        let mut cc = compiler.command().dir(repo.root()).args(FLAGS).arg("-I").arg("guest-sdk/abi");
        if job.kind == Kind::Reactor {
            cc = cc.arg("-mexec-model=reactor");
        }
        let source = job.source.strip_prefix(repo.root()).unwrap_or(&job.source);
        let cc = cc.arg(source).arg("-o").arg(&written);
        let how = cc.to_string();
        if output.is_fresh(&how, &[job.source.clone(), headers.clone()])? {
            continue;
        }
        cc.run()?;
        output.store(&written, &how)?;
        std::fs::remove_file(&written)?;
        say(&format!("{} ({} KB)", repo.name(&output.module), output.module.metadata()?.len() / 1024));
        new += 1;
    }
    Ok(new)
}

/// A C compiler for WASI: program and first arguments.
struct Compiler(Vec<String>);

impl Compiler {
    fn clang() -> Compiler {
        Compiler(["clang", "--target=wasm32-wasi"].map(String::from).to_vec())
    }

    fn zig(zig: &str) -> Compiler {
        Compiler([zig, "cc", "-target", "wasm32-wasi"].map(String::from).to_vec())
    }

    fn command(&self) -> Cmd {
        Cmd::new(&self.0[0]).args(&self.0[1..])
    }

    /// Whether it links a program with the C library and the compiler's own: asked by doing it, since the packages these
    /// come in have another name in every release.
    fn works(&self, repo: &Repo) -> Result<bool> {
        let source = repo.tools()?.join("probe.c");
        let output = repo.tools()?.join("probe.wasm");
        std::fs::write(&source, PROBE)?;
        Ok(self.command().args(FLAGS).arg(&source).arg("-o").arg(&output).works())
    }
}

fn compiler(repo: &Repo) -> Result<Compiler> {
    if Compiler::clang().works(repo)? {
        return Ok(Compiler::clang());
    }
    let no_zig = match python::ZIG.get(repo, "to compile jobs in C") {
        Ok(zig) => {
            let zig = Compiler::zig(&zig.to_string_lossy());
            if zig.works(repo)? {
                return Ok(zig);
            }
            "Zig from PyPI does not compile for WASI".to_string()
        }
        Err(error) => format!("{error:#}"),
    };
    say(&format!("{no_zig}; trying Debian's clang"));
    let no_clang = match install_clang() {
        Ok(()) if Compiler::clang().works(repo)? => return Ok(Compiler::clang()),
        Ok(()) => "the installed clang does not compile for WASI".to_string(),
        Err(error) => format!("{error:#}"),
    };
    bail!(
        "no C compiler for WebAssembly: {no_zig}; {no_clang}.\nAdvice: install clang, lld, wasi-libc and clang's \
         compiler-rt for wasm32 (Debian 12: libclang-rt-14-dev-wasm32), or let pip reach PyPI"
    )
}

/// clang, and the compiler-rt of its own version: the package's name has the number in it.
fn install_clang() -> Result<()> {
    let why = "to compile jobs in C";
    apt::install(&["clang", "lld", "wasi-libc"], why)?;
    let version = Cmd::new("clang").arg("-dumpversion").answer().unwrap_or_default();
    let major = version.split('.').next().unwrap_or_default();
    let names = [format!("libclang-rt-{major}-dev-wasm32"), "libclang-rt-dev-wasm32".to_string()];
    match names.iter().find(|name| apt::known(name)) {
        Some(name) => apt::install(&[name], why),
        None => bail!("this system has no package {} for its clang {version}", names[0]),
    }
}

const FLAGS: [&str; 4] = ["-O2", "-Wall", "-Wextra", "-Wl,--strip-debug"];

/// The shift of 128 bits needs compiler-rt.
const PROBE: &str = "#include <stdio.h>
int main(int count, char **args) {
  __int128 wide = (__int128)count << (count & 127);
  return printf(\"%s\", args[0]) + (int)(wide >> 64);
}
";
