//! Who may join, where a node has others to ask: those that issue answer for those that do not.

use crate::cluster::joins::{Joins, Passing};
use crate::enrol::{CROWDED, Chain, Gate, Issuer, Refusal, granted};
use crate::runtime::Clock;
use crate::runtime::ports::Pending;
use crate::tasks::{TaskKind, Tasks};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::wire::join::{Answer, Ask, Enrol, Granted, Refused, Renew};
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

/// An issuer that hands on what it is asked, once the node is in a mesh.
#[derive(Clone, Default)]
pub(super) struct Forwards(Arc<OnceLock<Passing>>);

/// Answers what other nodes hand on: so many at a time, and so often.
pub(super) struct Issues {
    issuer: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    gate: Gate,
}

impl Forwards {
    pub fn to(&self, passing: Passing) {
        // A node has one mesh.
        let _ = self.0.set(passing);
    }

    fn ask(&self, ask: Ask) -> Pending<Result<Chain, Refusal>> {
        let passing = self.0.get().cloned();
        Box::pin(async move {
            let Some(passing) = passing else {
                return Err(Refusal::plain(Code::Unsupported, "this node does not issue certificates"));
            };
            match passing.ask(&ask).await {
                Ok(Answer::Granted(Granted { chain })) => {
                    Ok(chain.into_iter().map(|certificate| certificate.into_vec().into()).collect())
                }
                Ok(Answer::Refused(Refused { code, why })) => Err(Refusal::plain(code, why)),
                Ok(Answer::Minted) => Err(Refusal::fault("an issuing node answered what it was not asked")),
                Err(refusal) => Err(Refusal::plain(refusal.code, refusal.detail)),
            }
        })
    }
}

impl Issuer for Forwards {
    fn enrol(&self, ask: Enrol) -> Pending<Result<Chain, Refusal>> {
        self.ask(Ask::Enrol(ask))
    }

    fn renew(&self, ask: Renew) -> Pending<Result<Chain, Refusal>> {
        self.ask(Ask::Renew(ask))
    }
}

impl Issues {
    pub fn new(issuer: Arc<dyn Issuer>, clock: &Arc<dyn Clock>, tasks: &Tasks) -> Issues {
        let (clock, tasks) = (Arc::clone(clock), tasks.clone());
        Issues { issuer, clock, tasks, gate: Gate::new(limits::JOIN_KNOWN) }
    }
}

impl Joins for Issues {
    fn answer(&self, from: NodeId, ask: Ask, told: Box<dyn FnOnce(Answer) + Send>) {
        let refused = |code, why: &str| Refusal::plain(code, why).answer();
        let Some(place) = self.gate.enter(self.clock.now(), &from.to_string()) else {
            return told(refused(Code::Overloaded, CROWDED));
        };
        let deciding = match ask {
            Ask::Enrol(ask) => self.issuer.enrol(ask),
            Ask::Renew(ask) => self.issuer.renew(ask),
            Ask::Mint(_) => return told(refused(Code::Denied, "an operator asks the issuing node itself for a token")),
        };
        self.tasks.spawn(TaskKind::Stream, "join", async move {
            let answer = match deciding.await {
                Ok(chain) => granted(&chain),
                Err(refusal) => {
                    tracing::warn!(by = %from, "refused to join: {} ({})", refusal.real, refusal.code);
                    refusal.answer()
                }
            };
            drop(place);
            told(answer);
            Ok::<(), Infallible>(())
        });
    }
}
