//! Jobs that may run at another node: this one is their home, which chooses the node, hears what they say, and tells their end
//! once.

use super::job::{Job, State};
use super::{NO_ARGUMENTS, Start, placing};
use crate::cluster::offers;
use crate::runtime::Refusal;
use crate::runtime::ports::{Became, Gate, SpawnAway, SpawnOf, Sprout};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::link::call::Command;
use corovan_core::placement::{Answer, Need, Reason};
use corovan_core::wire::Outcome;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Job {
    /// Queues it here, or has it placed.
    pub(super) fn place(self: &Arc<Self>) {
        match self.need() {
            Ok(Some(need)) => self.dispatch.placing().place(self, need),
            // What runs here for other nodes was let in at another door.
            Ok(None) if self.group.id == 0 => self.dispatch.admission().enter(self),
            Ok(None) => match self.dispatch.check_undrained() {
                Ok(()) => self.dispatch.admission().enter(self),
                Err(refusal) => self.refuse(refusal.code, refusal.detail),
            },
            Err(refusal) => self.refuse(refusal.code, refusal.detail),
        }
    }

    /// What placement is to know of it; `None`: it is for this node. Errors: invalid.
    fn need(&self) -> Result<Option<Need>, Refusal> {
        let Some(at) = &self.at else { return Ok(None) };
        let (memory, module) = (self.spec.asked, self.spec.program.module);
        Ok(Some(Need { at: Some(offers::selector(at)?), memory, module, excluded: self.excluded() }))
    }

    /// What placement says of it.
    pub(super) fn answered(self: &Arc<Self>, answer: Answer) {
        match answer {
            Answer::Placed { node, why } => self.go_to(node, why),
            Answer::Waiting { position } => self.follower.queued(position),
            Answer::Refused(refused) => {
                let Refusal { code, detail } = placing::refused(&refused);
                self.end_away(Outcome::Refused { code, why: detail });
            }
        }
    }

    /// It has a place there.
    pub(super) fn go_to(self: &Arc<Self>, node: NodeId, why: Reason) {
        *self.node.lock() = Some(node);
        let mesh = self.dispatch.runtime().mesh.get();
        let name = mesh.and_then(|mesh| mesh.name(node)).unwrap_or_default();
        self.follower.placed(node, &name, &why.to_string());
        match self.follower.gate() {
            None => self.set_out(node),
            Some(gate) => {
                let job = Arc::clone(self);
                gate.begin(node, &name, Box::new(move || job.set_out(node)));
            }
        }
    }

    fn set_out(self: &Arc<Self>, node: NodeId) {
        let runtime = self.dispatch.runtime();
        let mesh = runtime.mesh.get();
        if node == runtime.node {
            return self.dispatch.admission().enter(self);
        }
        let Some(mesh) = mesh else { return };
        let (start, number) = {
            let mut state = self.state.lock();
            let State::Waiting { start, .. } = &mut *state else { return };
            let start = std::mem::take(start);
            *state = State::Away(None, start.clone());
            (start, self.tries.fetch_add(1, Ordering::Relaxed) + 1)
        };
        let job = Arc::clone(self);
        let over = Box::new(move |became| job.became(node, became));
        let sprout = mesh.run(&self.group, node, self.errand(start), Arc::clone(&self.follower), over);
        let is_over = match &mut *self.state.lock() {
            // It may have been refused there already, and be on its way to another.
            State::Away(slot, _) if self.tries.load(Ordering::Relaxed) == number => {
                *slot = Some(Arc::clone(&sprout));
                false
            }
            _ => true,
        };
        // Cancelled in that moment, or over already, which makes no difference then.
        if is_over {
            sprout.cancel("client", "cancelled before it ran", Duration::ZERO);
        }
    }

    /// A node that has no room for it: another may.
    fn refused_there(self: &Arc<Self>, node: NodeId, refusal: Refusal) {
        *self.refused.lock() = Some((node, refusal.detail.clone()));
        self.follower.gate().into_iter().for_each(Gate::never_ran);
        let Ok(Some(need)) = self.need() else {
            return self.end_away(Outcome::Refused { code: refusal.code, why: refusal.detail });
        };
        {
            let mut state = self.state.lock();
            // Ended in that moment.
            let State::Away(_, start) = &mut *state else { return };
            let start = std::mem::take(start);
            *state = State::Waiting { start, ticket: 0 };
        }
        self.dispatch.placing().put_back(self, need);
    }

    fn errand(&self, start: Start) -> SpawnAway {
        let spec = &self.spec;
        let module = spec.program.module;
        let of = match spec.is_command {
            true => {
                let env = spec.env.to_vec();
                SpawnOf::Command(module, Command { argv: start.argv, env, terminals: spec.terminals })
            }
            false => SpawnOf::Function(module, spec.program.function.to_string()),
        };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        SpawnAway {
            of,
            args: if start.args.is_empty() { NO_ARGUMENTS } else { start.args },
            memory: spec.memory,
            most: spec.memory,
            deadline: nanos(spec.deadline),
            cpu: spec.cpu.map(nanos),
            input: start.input,
        }
    }

    /// Ended by whoever asked for it, or with its computation.
    pub(super) fn cancel_away(&self, sprout: Option<Arc<dyn Sprout>>, by: &str, reason: &str, grace: Duration) {
        match sprout {
            Some(sprout) => sprout.cancel(by, reason, grace),
            // In the moment in which it goes: see there.
            None => self.end_away(Outcome::Terminated { by: by.to_owned(), reason: reason.to_owned(), value: None }),
        }
    }

    fn became(self: &Arc<Self>, node: NodeId, became: Became) {
        match became {
            Became::Ended(record) => {
                if self.ends() {
                    self.follower.used(record.usage.cpu);
                    self.told(&Arc::new(record));
                }
            }
            Became::Refused(refusal) if is_full(refusal.code) => self.refused_there(node, refusal),
            Became::Refused(refusal) => self.end_away(Outcome::Refused { code: refusal.code, why: refusal.detail }),
            Became::Lost(refusal) => {
                tracing::debug!(%node, "a job is lost: {refusal}");
                self.end_away(Outcome::NodeLost(node));
            }
            Became::Cancelled { by, reason } => self.end_away(Outcome::Terminated { by, reason, value: None }),
        }
    }

    /// Its end, where no record of it came.
    fn end_away(&self, outcome: Outcome) {
        if self.ends() {
            self.report(outcome);
        }
    }

    /// It has ended from here on; `false`: it had before.
    fn ends(&self) -> bool {
        !matches!(std::mem::replace(&mut *self.state.lock(), State::Ended), State::Ended)
    }
}

/// Whether a node that refuses a job so may take it another time, and others now.
fn is_full(code: Code) -> bool {
    matches!(code, Code::Overloaded | Code::ShuttingDown)
}
