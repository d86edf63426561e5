//! The gate: `cargo xtask test` is what a developer runs and exactly what CI runs. Steps in order, each with a headline
//! and its time; the first that fails ends the run and says how to repeat it alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::cmd::{Cmd, headline, say};
use crate::jobs::{self, Lang};
use crate::repo::Repo;
use crate::setup::guest::{Compiler, TARGET};
use crate::setup::{browser, rust};
use crate::tally::Tally;

/// How much of the gate to run.
#[derive(Args)]
pub struct Options {
    /// Only this step (repeatable)
    #[arg(long, value_name = "STEP")]
    step: Vec<Step>,
    /// Only what usually breaks: format, lints, jobs and tests
    #[arg(long, conflicts_with = "step")]
    quick: bool,
    /// Also check dependencies against RustSec's advisories (fetches its database)
    #[arg(long)]
    advisories: bool,
    /// For cargo test: a filter, or options of its own
    #[arg(last = true, value_name = "TEST ARGS")]
    test_args: Vec<String>,
}

/// The steps in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Rust components, a C compiler, the guest toolchain, the locked dependencies
    Setup,
    /// rustfmt
    Fmt,
    /// Build the jobs, which tests run
    Jobs,
    /// clippy, warnings denied; jobs for their own target
    Clippy,
    /// Unit, integration, tidy and doc tests
    Test,
    /// rustdoc, warnings denied
    Doc,
    /// Licences, bans and sources of dependencies
    Deny,
}

/// Runs the steps that `options` choose.
pub fn run(repo: &Repo, options: &Options) -> Result<()> {
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(|step| options.wants(*step)).collect();
    let gate = Gate { repo, options };
    let mut times = Vec::new();
    let mut tally = None;
    for (index, step) in steps.iter().enumerate() {
        headline(&format!("step {} of {}: {}", index + 1, steps.len(), step.name()));
        let begin = Instant::now();
        let done = gate.run(*step, &mut tally);
        times.push((*step, begin.elapsed()));
        done.with_context(|| {
            format!(
                "step {name} failed after {}; alone it is `cargo xtask test --step {name}`",
                spent(begin.elapsed()),
                name = step.name()
            )
        })?;
    }
    headline("all steps passed");
    for (step, time) in &times {
        say(&format!("{:8}{:>10}", step.name(), spent(*time)));
    }
    say(&format!("{:8}{:>10}", "total", spent(times.iter().map(|(_, time)| *time).sum())));
    if let Some(tally) = tally {
        println!("\ntests: {tally}");
    }
    Ok(())
}

impl Options {
    fn wants(&self, step: Step) -> bool {
        match step {
            Step::Doc | Step::Deny if self.quick => false,
            step => self.step.is_empty() || self.step.contains(&step),
        }
    }
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

struct Gate<'a> {
    repo: &'a Repo,
    options: &'a Options,
}

impl Gate<'_> {
    fn run(&self, step: Step, tally: &mut Option<Tally>) -> Result<()> {
        match step {
            Step::Setup => self.setup(),
            Step::Fmt => self.fmt(),
            Step::Jobs => jobs::run(self.repo, &jobs::Options::default()),
            Step::Clippy => self.clippy(),
            Step::Test => self.test(tally.insert(Tally::default())),
            Step::Doc => self.doc(),
            Step::Deny => self.deny(),
        }
    }

    fn cargo(&self, args: &[&str]) -> Cmd {
        Cmd::cargo().dir(self.repo.root()).args(args)
    }

    fn setup(&self) -> Result<()> {
        rust::components()?;
        rust::c_compiler()?;
        let compiler = Compiler::get()?;
        say(match compiler {
            Compiler::Toolchain => "Rust jobs: by the toolchain in use",
            Compiler::Debian => "Rust jobs: by Debian's rustc-web",
        });
        self.cargo(&["fetch", "--locked"]).run().context(
            "dependencies cannot be fetched as Cargo.lock has them; after a change of a manifest, commit the new lock",
        )
    }

    fn fmt(&self) -> Result<()> {
        rust::components()?;
        self.cargo(&["fmt", "--all", "--check"]).run().context("`cargo fmt --all` puts it right")?;
        // The fuzz targets are a workspace of their own, since they need another toolchain.
        if self.repo.path(FUZZ).is_file() {
            self.cargo(&["fmt", "--manifest-path", FUZZ, "--check"]).run()?;
        }
        Ok(())
    }

    /// Jobs are linted as what they are compiled to. Debian's compiler has no clippy, and the toolchain's cannot read
    /// its libraries; there, they are linted as host programs, which finds all but target-dependent faults.
    fn clippy(&self) -> Result<()> {
        rust::components()?;
        let deny = ["--", "-D", "warnings"];
        self.cargo(&["clippy", "--all-targets"]).args(HOST_PACKAGES).args(deny).run()?;
        let jobs = self.cargo(&["clippy", "-p", "corovan-jobs", "--lib", "--bins", "--examples", "--target-dir"]);
        let jobs = jobs.arg(self.repo.guest_target("guest"));
        match Compiler::get()? {
            Compiler::Toolchain => jobs.args(["--target", TARGET]).args(deny).run(),
            Compiler::Debian => jobs.args(deny).run(),
        }
    }

    /// One run of cargo test for everything: all failures are shown, not only the first program's.
    fn test(&self, tally: &mut Tally) -> Result<()> {
        if self.options.step.contains(&Step::Test) && !self.options.step.contains(&Step::Jobs) {
            jobs::run(self.repo, &jobs::Options { lang: vec![Lang::Rust, Lang::C, Lang::Go], ..Default::default() })?;
        }
        let mut test = self.cargo(&["test", "--no-fail-fast"]).args(HOST_PACKAGES).args(&self.options.test_args);
        if let Some(browser) = browser::find() {
            test = test.env("COROVAN_TEST_BROWSER", browser);
        }
        let done = test.lines(|line| {
            tally.add_line(line);
            true
        });
        if let Err(failed) = done {
            let any = *tally != Tally::default();
            return Err(if any { failed.context(format!("tests: {tally}")) } else { failed });
        }
        let filtered = !self.options.test_args.is_empty();
        ensure!(filtered || tally.passed > 0, "cargo test has run no test at all");
        Ok(())
    }

    fn doc(&self) -> Result<()> {
        self.cargo(&["doc", "--no-deps"]).args(HOST_PACKAGES).env("RUSTDOCFLAGS", "-D warnings").run()
    }

    fn deny(&self) -> Result<()> {
        let program = rust::cargo_deny(self.repo)?;
        // Only what fails the gate; `cargo deny check` shows duplicates too, each with its tree.
        let global = ["--locked", "--log-level", "error"];
        let check = Cmd::new(program).dir(self.repo.root()).args(global);
        let mut check = check.args(["check", "bans", "licenses", "sources"]);
        if self.options.advisories {
            check = check.arg("advisories");
        }
        check.run().context("deny.toml says what is allowed, and why")
    }
}

/// `2 min 5 s`, `4.2 s`.
fn spent(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:2} s", seconds / 60, seconds % 60),
    }
}

/// Everything that runs on the host. Lints, tests and docs take the same packages, so that cargo resolves the same
/// features for them and compiles each dependency once (and checks it once, for lints and docs).
const HOST_PACKAGES: [&str; 3] = ["--workspace", "--exclude", "corovan-jobs"];

const FUZZ: &str = "host/fuzz/Cargo.toml";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(step: Vec<Step>, quick: bool) -> Options {
        Options { step, quick, advisories: false, test_args: Vec::new() }
    }

    #[test]
    fn the_gate_is_every_step_unless_told_otherwise() {
        assert!(Step::value_variants().iter().all(|step| options(vec![], false).wants(*step)));
        assert!(!options(vec![], true).wants(Step::Deny));
        assert!(options(vec![], true).wants(Step::Test));
        assert!(options(vec![Step::Deny], false).wants(Step::Deny));
        assert!(!options(vec![Step::Deny], false).wants(Step::Fmt));
    }

    #[test]
    fn times_read_well() {
        assert_eq!(spent(Duration::from_millis(4240)), "4.2 s");
        assert_eq!(spent(Duration::from_secs(125)), "2 min  5 s");
    }
}
