//! Building jobs: every Rust, C and Go job of `jobs/` into `target/jobs/NAME.wasm`. What has not changed is not built
//! again; a job whose compiler cannot be had is an error that says what to install.

mod c;
mod go;
mod plan;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::cmd::{headline, say};
use crate::repo::Repo;

pub use plan::{Job, Kind};

/// What to build.
#[derive(Args, Default)]
pub struct Options {
    /// Only the job of this name (repeatable)
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Only jobs in this language (repeatable)
    #[arg(long, value_name = "LANG")]
    pub lang: Vec<Lang>,
    /// Only print the names of the jobs
    #[arg(long)]
    pub list: bool,
}

/// The languages that `jobs/` is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    Rust,
    C,
    Go,
}

/// Builds the jobs that `options` choose. One language's failure does not keep the others from being built.
pub fn run(repo: &Repo, options: &Options) -> Result<()> {
    let jobs = chosen(plan::all(repo)?, options)?;
    if options.list {
        jobs.iter().for_each(|job| println!("{}", job.name));
        return Ok(());
    }
    let begin = Instant::now();
    let mut failures = Vec::new();
    for lang in Lang::value_variants() {
        let mine: Vec<&Job> = jobs.iter().filter(|job| job.lang == *lang).collect();
        if mine.is_empty() {
            continue;
        }
        headline(&format!("jobs in {lang:?}: {}", names(&mine)));
        let built = match lang {
            Lang::Rust => rust::build(repo, &mine),
            Lang::C => c::build(repo, &mine),
            Lang::Go => go::build(repo, &mine),
        };
        match built {
            Ok(0) => say("all up to date"),
            Ok(_) => {}
            Err(error) => failures.push(format!("jobs in {lang:?}: {error:#}")),
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    let plural = if jobs.len() == 1 { "" } else { "s" };
    say(&format!("{} job{plural} in target/jobs, {:.1} s", jobs.len(), begin.elapsed().as_secs_f64()));
    Ok(())
}

fn chosen(all: Vec<Job>, options: &Options) -> Result<Vec<Job>> {
    for name in &options.only {
        if !all.iter().any(|job| job.name == *name) {
            let known: Vec<&Job> = all.iter().collect();
            bail!("there is no job \"{name}\"; there are {}", names(&known));
        }
    }
    let wanted = |job: &Job| {
        (options.only.is_empty() || options.only.contains(&job.name))
            && (options.lang.is_empty() || options.lang.contains(&job.lang))
    };
    let jobs: Vec<Job> = all.into_iter().filter(wanted).collect();
    ensure!(!jobs.is_empty(), "no job is in the language and of the name asked for");
    Ok(jobs)
}

fn names(jobs: &[&Job]) -> String {
    jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A finished module and how it was made, beside it: `.NAME.how` holds the command line, so that another compiler or
/// flag makes it stale as well as a newer source does.
struct Output {
    module: PathBuf,
    how: PathBuf,
}

impl Output {
    fn of(repo: &Repo, job: &Job) -> Result<Output> {
        let folder = repo.jobs()?;
        Ok(Output { module: folder.join(format!("{}.wasm", job.name)), how: folder.join(format!(".{}.how", job.name)) })
    }

    fn is_fresh(&self, how: &str, sources: &[PathBuf]) -> Result<bool> {
        let Ok(made) = fs::metadata(&self.module).and_then(|meta| meta.modified()) else { return Ok(false) };
        if fs::read_to_string(&self.how).ok().as_deref() != Some(how) {
            return Ok(false);
        }
        Ok(newest(sources)? < made)
    }

    /// Takes over a module that a compiler has written elsewhere, by rename: a node or test that reads it at this moment
    /// sees the old or the new one.
    fn store(&self, written: &Path, how: &str) -> Result<()> {
        let module = fs::read(written).with_context(|| format!("no module in {}", written.display()))?;
        ensure!(module.starts_with(b"\0asm"), "{} is not WebAssembly", written.display());
        let beside = self.module.with_extension("wasm.new");
        fs::write(&beside, module)?;
        fs::rename(&beside, &self.module)?;
        Ok(fs::write(&self.how, how)?)
    }
}

/// When the newest of the files was changed; folders count with all that is in them.
fn newest(paths: &[PathBuf]) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for path in paths {
        let Ok(meta) = fs::metadata(path) else { continue };
        // A folder's own time tells of files that were removed from it.
        newest = newest.max(meta.modified()?);
        if meta.is_dir() {
            let inside: Vec<PathBuf> = fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
            newest = newest.max(self::newest(&inside)?);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, lang: Lang) -> Job {
        Job { name: name.into(), lang, kind: Kind::Command, source: PathBuf::new() }
    }

    #[test]
    fn a_job_that_does_not_exist_is_refused_with_those_that_do() {
        let options = Options { only: vec!["helo".into()], ..Options::default() };
        let error = chosen(vec![job("hello", Lang::Rust), job("hello-c", Lang::C)], &options).unwrap_err();
        assert_eq!(error.to_string(), "there is no job \"helo\"; there are hello, hello-c");
    }

    #[test]
    fn a_language_chooses_its_jobs() {
        let options = Options { lang: vec![Lang::C], ..Options::default() };
        let jobs = chosen(vec![job("hello", Lang::Rust), job("hello-c", Lang::C)], &options).unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].name, "hello-c");
    }

    #[test]
    fn a_module_is_stale_after_its_source_or_its_command_changed() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.c");
        fs::write(&source, "int main;").unwrap();
        let written = folder.path().join("a.out");
        fs::write(&written, b"\0asm\x01\0\0\0").unwrap();
        let output = Output { module: folder.path().join("a.wasm"), how: folder.path().join(".a.how") };
        assert!(!output.is_fresh("cc a.c", std::slice::from_ref(&source)).unwrap());

        output.store(&written, "cc a.c").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::open(&output.module).unwrap().set_modified(later).unwrap();
        assert!(output.is_fresh("cc a.c", std::slice::from_ref(&source)).unwrap());
        assert!(!output.is_fresh("cc -O2 a.c", std::slice::from_ref(&source)).unwrap());

        let much_later = later + std::time::Duration::from_secs(5);
        fs::File::open(&source).unwrap().set_modified(much_later).unwrap();
        assert!(!output.is_fresh("cc a.c", std::slice::from_ref(&source)).unwrap());
    }

    #[test]
    fn what_is_not_a_module_is_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("a.out");
        fs::write(&written, "\x7fELF").unwrap();
        let output = Output { module: folder.path().join("a.wasm"), how: folder.path().join(".a.how") };
        assert!(output.store(&written, "cc").unwrap_err().to_string().contains("not WebAssembly"));
        assert!(!output.module.exists());
    }
}
