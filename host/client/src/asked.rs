//! What a client may ask about jobs: which are open, and why one is where it is.

use crate::computation::Computation;
use crate::error::Error;
use crate::job::Job;
use crate::node::Node;
use corovan_core::ids::{ComputationId, JobId};
use corovan_core::limits;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::jobs::{AskJobs, JobInfo};

impl Node {
    /// The open jobs of this client's tenant at this node, oldest first; of one computation alone, where that is named. An
    /// operator is told of all tenants'.
    pub async fn jobs(&self, computation: Option<ComputationId>) -> Result<Vec<JobInfo>, Error> {
        self.ask_jobs(AskJobs { computation, job: None }).await
    }

    /// One job, with the reasons why it is where it is, or what keeps it from each node. Errors: refused (not-found: it has ended,
    /// or never was).
    pub async fn why(&self, computation: ComputationId, job: JobId) -> Result<JobInfo, Error> {
        let mut found = self.ask_jobs(AskJobs { computation: Some(computation), job: Some(job) }).await?;
        found.pop().ok_or_else(|| self.0.peer.protocol("it told of no job, and refused nothing"))
    }

    async fn ask_jobs(&self, asked: AskJobs) -> Result<Vec<JobInfo>, Error> {
        let (mut send, mut stream) = self.ask(Kind::AskJobs, &asked).await?;
        let _ = send.finish();
        let mut all = Vec::new();
        while let Some(frame) = self.in_time(stream.next()).await? {
            match frame.kind {
                Kind::JobInfo if all.len() >= limits::JOBS_LISTED => {
                    let max = limits::JOBS_LISTED as u64;
                    return Err(Error::TooMany { what: "jobs in one list: ask for one computation's", max });
                }
                Kind::JobInfo => all.push(frame.record().map_err(|error| self.0.peer.protocol(error))?),
                other => return Err(self.0.peer.protocol(format!("unexpected {other:?} frame"))),
            }
        }
        Ok(all)
    }
}

impl Computation {
    /// Why one of its jobs is where it is; see [`Node::why`].
    pub async fn why(&self, job: &Job) -> Result<JobInfo, Error> {
        Node(self.0.node.clone()).why(self.id(), job.id()).await
    }
}
