//! Taking a job: what is refused from its frame alone, what it takes of its tenant's share of memory, and its start.

use super::blobs;
use super::entry::{Entry, Follower};
use super::session::{Error, Session};
use crate::dispatch::{Spec, Start, check_argv};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::records::Submit;
use corovan_core::wire::{ExitRecord, Frame, Outcome, Usage};
use std::sync::Arc;

impl Session {
    pub(super) fn submit(self: &Arc<Self>, frame: &Frame) -> Result<(), Error> {
        let submit: Submit = frame.record()?;
        let open = {
            let jobs = self.jobs.lock();
            if jobs.contains_key(&frame.id) {
                return Err(Error::Protocol(format!("job {} is there already", frame.id)));
            }
            jobs.len()
        };
        let (held, spec) = match self.admit(&submit, frame, open) {
            Ok(admitted) => admitted,
            Err((code, why)) => {
                self.push_exit(frame.id, &refusal(code, why));
                return Ok(());
            }
        };
        let entry = Entry::new(frame.id, Arc::clone(self), submit.stdin, held);
        self.jobs.lock().insert(frame.id, Arc::clone(&entry));
        // A copy: the frame is a part of a larger buffer, which would stay with it.
        let args = Bytes::copy_from_slice(&frame.payload);
        let start = Start { args, argv: submit.argv, input: entry.input.clone(), at: submit.at };
        match submit.blob {
            Some(size) => blobs::expect_arguments(self, entry, spec, start, size),
            None => self.start(&entry, &spec, start),
        }
        self.announced.notify_waiters();
        Ok(())
    }

    /// All a job needs is here.
    pub(super) fn start(&self, entry: &Arc<Entry>, spec: &Arc<Spec>, start: Start) {
        if entry.has_ended() {
            return;
        }
        let follower = Arc::new(Follower(Arc::clone(entry)));
        let job = self.client().service.dispatch.submit(&self.group, spec, start, follower);
        entry.attach(&job);
    }

    fn admit(&self, submit: &Submit, frame: &Frame, open: usize) -> Result<(Permit, Arc<Spec>), (Code, String)> {
        if open >= limits::COMPUTATION_JOBS {
            let why = format!("a computation has at most {} open jobs", limits::COMPUTATION_JOBS);
            return Err((Code::Overloaded, why));
        }
        let blob = submit.blob.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
        check_arguments(submit, blob.max(frame.payload.len()))?;
        let spec = self.spec(submit.spec);
        let spec = spec.ok_or_else(|| (Code::NotFound, format!("spec {} is not prepared", submit.spec)))?;
        Ok((hold(self, weight(submit, frame, blob))?, spec))
    }
}

/// The exit of a job that never ran.
pub(super) fn refusal(code: Code, why: String) -> ExitRecord {
    ended_before_its_start(Outcome::Refused { code, why })
}

pub(super) fn ended_before_its_start(outcome: Outcome) -> ExitRecord {
    ExitRecord {
        address: Address::default(),
        module: ModuleHash([0; 32]),
        function: "".into(),
        attempt: 0,
        outcome,
        usage: Usage::default(),
    }
}

/// So many bytes of what the tenant may have the node keep.
pub(super) fn hold(session: &Session, bytes: usize) -> Result<Permit, (Code, String)> {
    let taken = session.tenant().ledger.take(Resource::Held, bytes as u64);
    taken.map_err(|exhausted| (Code::Overloaded, exhausted.to_string()))
}

/// What an open job takes: itself, its arguments, its argv, and its input's buffer.
fn weight(submit: &Submit, frame: &Frame, blob: usize) -> usize {
    let input = if submit.stdin { limits::STDIN_BUFFER } else { 0 };
    let argv = submit.argv.len() * limits::STRING_BYTES + frame.head.len();
    limits::JOB_BYTES + frame.payload.len() + blob + argv + input
}

/// What can be refused of a job from its frame alone.
fn check_arguments(submit: &Submit, size: usize) -> Result<(), (Code, String)> {
    if size > limits::ARGUMENT_BYTES {
        let why = format!("arguments of {size} bytes are over the limit of {}", limits::ARGUMENT_BYTES);
        return Err((Code::TooLarge, why));
    }
    check_argv(&submit.argv).map_err(|refusal| (refusal.code, refusal.detail))
}
