//! Taking a job: what is refused from its frame alone, what it takes of its tenant's share of memory, and its start.

use super::blobs;
use super::entry::{Entry, Follower};
use super::session::{Error, Session};
use crate::dispatch::{Refusal, Spec, Start, check_argv};
use crate::home::{Given, Kept, NewKept};
use crate::tasks::TaskKind;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::durable::Keep;
use corovan_core::wire::records::{Prepare, Submit};
use corovan_core::wire::{ExitRecord, Frame, Outcome, Usage};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;

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
        let (held, spec, prepare) = match self.admit(&submit, frame, open) {
            Ok(admitted) => admitted,
            Err((code, why)) => {
                self.push_exit(frame.id, &refusal(code, why));
                return Ok(());
            }
        };
        let keep = submit.keep.map(|keep| Box::new((keep, prepare)));
        let entry = Entry::new(frame.id, Arc::clone(self), submit.stdin, held, keep);
        self.jobs.lock().insert(frame.id, Arc::clone(&entry));
        // A copy: the frame is a part of a larger buffer, which would stay with it.
        let args = Bytes::copy_from_slice(&frame.payload);
        let start = Start { args, argv: submit.argv, input: entry.input.clone(), at: submit.at, ..Start::default() };
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
        if let Some((keep, prepare)) = entry.keep.as_deref() {
            return self.keep(entry, (keep, prepare), start);
        }
        let follower = Arc::new(Follower(Arc::clone(entry)));
        let job = self.client().service.dispatch.submit(&self.group, spec, start, follower);
        entry.attach(&job);
    }

    /// The same of a job that is to last: it is the home's from here on, and its client is told so or why not.
    fn keep(&self, entry: &Arc<Entry>, (keep, prepare): (&Keep, &Arc<Prepare>), start: Start) {
        let wanted = self.wanted.lock();
        let kept = Kept {
            prepare: Prepare::clone(prepare),
            label: self.label.clone(),
            grant: self.group.grant().map(|grant| ByteBuf::from(grant.to_vec())),
            nodes: wanted.nodes.clone(),
            weight: wanted.weight,
            pack: wanted.pack,
            at: start.at,
            retry: keep.retry.clone(),
        };
        drop(wanted);
        let given = Given { argv: start.argv, args: ByteBuf::from(start.args.to_vec()) };
        let id = self.client().service.home.new_id();
        let new = NewKept { id, kept, given, keep: keep.clone(), computation: self.id };
        let (service, entry) = (Arc::clone(&self.client().service), Arc::clone(entry));
        let tenant = Arc::clone(self.tenant());
        self.client().service.tasks.spawn(TaskKind::Stream, "accept", async move {
            match service.home.accept(&tenant, new).await {
                Ok((job, known)) if !entry.accepted(job, known) && !known => {
                    // Its client gave it up in that moment.
                    service.home.cancel(None, job, "cancelled before it was accepted", Duration::ZERO).await?;
                }
                Ok(_) => {}
                Err(refusal) => entry.refuse(refusal.code, refusal.detail),
            }
            Ok::<(), Refusal>(())
        });
    }

    fn admit(&self, submit: &Submit, frame: &Frame, open: usize) -> Result<Admitted, (Code, String)> {
        if open >= limits::COMPUTATION_JOBS {
            let why = format!("a computation has at most {} open jobs", limits::COMPUTATION_JOBS);
            return Err((Code::Overloaded, why));
        }
        let blob = submit.blob.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
        check_arguments(submit, blob.max(frame.payload.len()))?;
        let spec = self.spec(submit.spec);
        let (spec, prepare) = spec.ok_or_else(|| (Code::NotFound, format!("spec {} is not prepared", submit.spec)))?;
        if submit.keep.is_some() && submit.stdin {
            let why = "a durable job has no standard input: pass what it reads as arguments";
            return Err((Code::Unsupported, why.into()));
        }
        Ok((hold(self, weight(submit, frame, blob))?, spec, prepare))
    }
}

/// Its share of memory, what it is to run, and what was asked for.
type Admitted = (Permit, Arc<Spec>, Arc<Prepare>);

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
