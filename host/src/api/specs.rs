//! The specs of a computation: looked up, their modules asked for where they are not here, answered once.

use super::session::{Error, Session};
use super::submit::hold;
use crate::dispatch::{Refusal, Spec};
use crate::tasks::TaskKind;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::quota::Permit;
use corovan_core::text::cut;
use corovan_core::wire::records::{Prepare, Refused};
use corovan_core::wire::{Frame, Kind};
use std::collections::HashMap;
use std::sync::Arc;

/// By number; each with its share of the tenant's memory, and what was asked for.
pub(super) type Specs = HashMap<u64, (SpecState, Permit, Arc<Prepare>)>;

pub(super) enum SpecState {
    /// Being looked up or compiled.
    Preparing,
    /// Its module's bytes are awaited.
    NeedsModule,
    Ready(Arc<Spec>),
}

impl Session {
    pub(super) fn prepare(self: &Arc<Self>, frame: &Frame) -> Result<(), Error> {
        let (id, prepare): (u64, Arc<Prepare>) = (frame.id, Arc::new(frame.record()?));
        {
            let mut specs = self.specs.lock();
            if specs.contains_key(&id) {
                return Err(Error::Protocol(format!("spec {id} is there already")));
            }
            let held = if self.client().operator {
                let text = "an operator runs no jobs: use a tenant's certificate, made with `corovan cert tenant`";
                Err((Code::Denied, text.to_owned()))
            } else if specs.len() < limits::COMPUTATION_SPECS {
                hold(self, limits::SPEC_BYTES + frame.head.len() + 2 * prepare.env.len() * limits::STRING_BYTES)
            } else {
                Err((Code::Overloaded, format!("a computation has at most {} specs", limits::COMPUTATION_SPECS)))
            };
            match held {
                Ok(held) => specs.insert(id, (SpecState::Preparing, held, Arc::clone(&prepare))),
                Err((code, text)) => {
                    drop(specs);
                    self.send(Kind::Refused, id, &Refused { code, text });
                    return Ok(());
                }
            };
        }
        let session = Arc::clone(self);
        self.client().service.tasks.spawn(TaskKind::Stream, "prepare", async move {
            let outcome = session.client().service.dispatch.prepare(session.tenant(), Prepare::clone(&prepare)).await;
            match outcome {
                Err(refusal) if refusal.code == Code::NeedModule => {
                    session.set(id, SpecState::NeedsModule);
                    session.send_bytes(Kind::NeedModule, id, &[]);
                }
                outcome => session.prepared(id, outcome),
            }
            Ok::<(), Error>(())
        });
        Ok(())
    }

    /// The spec's module is on its way; what was asked for.
    pub(super) fn expect_module(&self, id: u64) -> Option<Prepare> {
        let mut specs = self.specs.lock();
        let (state, _, prepare) = specs.get_mut(&id)?;
        match std::mem::replace(state, SpecState::Preparing) {
            SpecState::NeedsModule => Some(Prepare::clone(prepare)),
            other => {
                *state = other;
                None
            }
        }
    }

    pub(super) fn prepared(&self, id: u64, outcome: Result<Arc<Spec>, Refusal>) {
        match outcome {
            Ok(spec) => {
                self.set(id, SpecState::Ready(spec));
                self.send_bytes(Kind::Prepared, id, &[]);
            }
            Err(Refusal { code, detail: text }) => {
                self.specs.lock().remove(&id);
                // It may quote names of the module, which are as long as their author likes.
                self.send(Kind::Refused, id, &Refused { code, text: cut(text, limits::TEXT_BYTES) });
            }
        }
    }

    /// One that is ready, and what was asked for.
    pub(super) fn spec(&self, id: u64) -> Option<(Arc<Spec>, Arc<Prepare>)> {
        match self.specs.lock().get(&id) {
            Some((SpecState::Ready(spec), _, prepare)) => Some((Arc::clone(spec), Arc::clone(prepare))),
            _ => None,
        }
    }

    fn set(&self, id: u64, now: SpecState) {
        if let Some((state, ..)) = self.specs.lock().get_mut(&id) {
            *state = now;
        }
    }
}
