//! Which jobs are open, and why one is where it is. A tenant is told of its own, an operator of all.

use super::connection::Client;
use super::session::{Error, Session};
use crate::net::SendStream;
use crate::net::framed::FrameWriter;
use corovan_core::code::Code;
use corovan_core::ids::JobId;
use corovan_core::wire::jobs::{AskJobs, JobInfo};
use corovan_core::wire::{Frame, Kind};
use std::sync::{Arc, Weak};

impl super::Service {
    /// Open jobs of all tenants, so many at most.
    pub fn open_jobs(&self, most: usize) -> Vec<JobInfo> {
        let sessions: Vec<Arc<Session>> = self.sessions.lock().iter().filter_map(Weak::upgrade).collect();
        let mut told = Vec::new();
        for session in sessions {
            let mut ids: Vec<JobId> = session.jobs.lock().keys().copied().take(most - told.len()).collect();
            ids.sort_unstable();
            told.extend(ids.into_iter().filter_map(|id| Some(session.entry(id)?.info(false))));
            if told.len() >= most {
                break;
            }
        }
        told
    }
}

pub(super) async fn list(client: &Client, asked: &Frame, writer: &mut FrameWriter<SendStream>) -> Result<(), Error> {
    let AskJobs { computation, job } = asked.record()?;
    let not_found = |text: String| Err(Error::Refused { code: Code::NotFound, text });
    if job.is_some() {
        let dispatch = &client.service.dispatch;
        dispatch.placing().look(client.tenant.name(), dispatch.runtime().clock().now())?;
    }
    let mut sessions: Vec<Arc<Session>> = client.service.sessions.lock().iter().filter_map(Weak::upgrade).collect();
    // Another tenant's are not there for this one.
    sessions.retain(|session| client.operator || session.tenant().name() == client.tenant.name());
    sessions.retain(|session| computation.is_none_or(|wanted| wanted == session.id));
    if let (Some(wanted), true) = (computation, sessions.is_empty()) {
        return not_found(format!("no computation {wanted} is open here: `corovan ps` lists the jobs that are"));
    }
    let mut told = false;
    for session in sessions {
        let mut ids: Vec<JobId> = session.jobs.lock().keys().copied().collect();
        ids.retain(|id| job.is_none_or(|wanted| wanted == *id));
        ids.sort_unstable();
        for some in ids.chunks(AT_A_TIME) {
            let rows: Vec<JobInfo> =
                some.iter().filter_map(|id| Some(session.entry(*id)?.info(job.is_some()))).collect();
            told |= !rows.is_empty();
            rows.iter().try_for_each(|row| writer.queue(Kind::JobInfo, row.job, row, &[]))?;
            writer.flush().await.map_err(crate::net::framed::Error::from)?;
        }
    }
    match job {
        Some(job) if !told => {
            not_found(format!("no job {job} of that computation is open here: one that has ended told its client why"))
        }
        _ => Ok(()),
    }
}

/// Jobs that are encoded before they are written.
const AT_A_TIME: usize = 64;
