//! Jobs that another node runs: this one is their home, which chooses the node, hears what they say, and tells their end once.

use super::job::{Job, State};
use super::{NO_ARGUMENTS, Start};
use crate::runtime::Refusal;
use crate::runtime::ports::{Became, Mesh, SpawnAway, SpawnOf, Sprout};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::link::call::Command;
use corovan_core::wire::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// Another node, and the way there.
type Elsewhere = (Arc<dyn Mesh>, NodeId);

impl Job {
    /// Queues it here, or has another node run it.
    pub(super) fn place(self: &Arc<Self>) {
        match self.chosen() {
            Ok(Some((mesh, node))) => {
                self.follower.placed(node, &mesh.name(node).unwrap_or_default());
                self.go(&mesh, node);
            }
            Ok(None) => self.dispatch.admission().enter(self),
            Err(refusal) => self.refuse(refusal.code, refusal.detail),
        }
    }

    /// The other node that it is for; `None`: this one. Errors: node-lost (there is none such), invalid.
    fn chosen(&self) -> Result<Option<Elsewhere>, Refusal> {
        let State::Waiting { start, .. } = &*self.state.lock() else { return Ok(None) };
        let Some(at) = &start.at else { return Ok(None) };
        let runtime = self.dispatch.runtime();
        let Some(mesh) = runtime.mesh.get() else {
            // Alone it is every node that there is.
            if at.is_empty() {
                return Ok(None);
            }
            let text =
                format!("this node is in no mesh, so no other can be {at:?}: start it with --peer or --discover");
            return Err(Refusal::new(Code::NodeLost, text));
        };
        let node = mesh.place(at)?;
        if node == runtime.node {
            self.follower.placed(node, &mesh.name(node).unwrap_or_default());
            return Ok(None);
        }
        Ok(Some((Arc::clone(mesh), node)))
    }

    fn go(self: &Arc<Self>, mesh: &Arc<dyn Mesh>, node: NodeId) {
        let start = {
            let mut state = self.state.lock();
            let State::Waiting { start, .. } = &mut *state else { return };
            let start = std::mem::take(start);
            *state = State::Away(None);
            start
        };
        let job = Arc::clone(self);
        let over = Box::new(move |became| job.became(node, became));
        let sprout = mesh.run(&self.group, node, self.errand(start), Arc::clone(&self.follower), over);
        let is_over = match &mut *self.state.lock() {
            State::Away(slot) => {
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

    fn became(&self, node: NodeId, became: Became) {
        match became {
            Became::Ended(record) => {
                if self.ends() {
                    self.follower.used(record.usage.cpu);
                    self.follower.ended(&Arc::new(record));
                    self.depart();
                }
            }
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
