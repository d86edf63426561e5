//! `corovan cancel`, `corovan retry`, `corovan forget`: what is done to durable jobs by their ids.

use super::shown::resolve_all;
use crate::cli::at::At;
use crate::cli::exit;
use corovan_client::{Durable, Error, Ulid};
use corovan_core::limits;
use std::io::Write;
use std::process::ExitCode;

/// End durable jobs: at once where they wait, by interrupt, grace and hard stop where they run.
#[derive(clap::Args, Debug)]
pub struct CancelArgs {
    #[command(flatten)]
    jobs: Jobs,
    /// Why, for their exit records
    #[arg(long, value_name = "TEXT", default_value = "cancelled")]
    reason: String,
}

/// Submit the same again as durable jobs were, whether they have ended or not; prints the new jobs' ids.
#[derive(clap::Args, Debug)]
pub struct RetryArgs {
    #[command(flatten)]
    jobs: Jobs,
}

/// Have a node keep nothing more of durable jobs that have ended: results, output, idempotency keys.
#[derive(clap::Args, Debug)]
pub struct ForgetArgs {
    #[command(flatten)]
    jobs: Jobs,
}

#[derive(clap::Args, Debug)]
struct Jobs {
    /// Durable jobs' ids, or beginnings of them
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,
    #[command(flatten)]
    at: At,
}

impl Jobs {
    /// Does something to all of them, as many at once as a question takes.
    fn change(self, change: impl AsyncFn(&Durable, &[Ulid]) -> Result<Vec<Ulid>, Error>) -> anyhow::Result<ExitCode> {
        self.at.for_tenant().ask(async |node| {
            let durable = node.durable();
            for some in resolve_all(&durable, &self.jobs).await?.chunks(limits::DURABLE_ASKED) {
                let made = change(&durable, some).await?;
                let mut out = std::io::stdout().lock();
                made.iter().try_for_each(|job| writeln!(out, "{job}"))?;
            }
            Ok(())
        })?;
        Ok(ExitCode::from(exit::DONE))
    }
}

pub fn cancel(args: CancelArgs) -> anyhow::Result<ExitCode> {
    let CancelArgs { jobs, reason } = args;
    jobs.change(async |durable, jobs| durable.cancel(jobs, &reason).await.map(|()| Vec::new()))
}

pub fn retry(args: RetryArgs) -> anyhow::Result<ExitCode> {
    args.jobs.change(async |durable, jobs| durable.again(jobs).await)
}

pub fn forget(args: ForgetArgs) -> anyhow::Result<ExitCode> {
    args.jobs.change(async |durable, jobs| durable.acknowledge(jobs).await.map(|()| Vec::new()))
}
