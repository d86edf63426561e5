//! Who may join, where a node has others to ask: those that issue answer for those that do not.

use crate::cluster::joins::{Joins, Passing};
use crate::enrol::{Chain, Issuer, Refusal};
use crate::runtime::Clock;
use crate::runtime::ports::Pending;
use crate::tasks::{TaskKind, Tasks};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::tenancy::rate::Rate;
use corovan_core::wire::join::{Answer, Ask, Enrol, Granted, Refused, Renew};
use parking_lot::Mutex;
use serde_bytes::ByteBuf;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// An issuer that hands on what it is asked, once the node is in a mesh.
#[derive(Clone, Default)]
pub(super) struct Forwards(Arc<OnceLock<Passing>>);

/// Answers what other nodes hand on: so many at a time, and so often.
pub(super) struct Issues {
    issuer: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    places: Arc<Semaphore>,
    rate: Mutex<Rate>,
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
        let interval = u64::try_from(limits::JOIN_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        Issues {
            issuer,
            clock: Arc::clone(clock),
            tasks: tasks.clone(),
            places: Arc::new(Semaphore::new(limits::JOIN_KNOWN)),
            rate: Mutex::new(Rate::new(interval, limits::JOIN_BURST)),
        }
    }
}

impl Joins for Issues {
    fn answer(&self, from: NodeId, ask: Ask, told: Box<dyn FnOnce(Answer) + Send>) {
        let refused = |code, why: &str| Answer::Refused(Refused { code, why: why.into() });
        let crowded = "too many ask to join just now; try again in a second";
        if !self.rate.lock().take(self.clock.now()) {
            return told(refused(Code::Overloaded, crowded));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return told(refused(Code::Overloaded, crowded));
        };
        let deciding = match ask {
            Ask::Enrol(ask) => self.issuer.enrol(ask),
            Ask::Renew(ask) => self.issuer.renew(ask),
            Ask::Mint(_) => return told(refused(Code::Denied, "an operator asks the issuing node itself for a token")),
        };
        self.tasks.spawn(TaskKind::Stream, "join", async move {
            let answer = match deciding.await {
                Ok(chain) => Answer::Granted(Granted {
                    chain: chain.iter().map(|certificate| ByteBuf::from(certificate.to_vec())).collect(),
                }),
                Err(Refusal { code, told, real }) => {
                    tracing::warn!(by = %from, "refused to join: {real} ({code})");
                    Answer::Refused(Refused { code, why: told })
                }
            };
            drop(place);
            told(answer);
            Ok::<(), Infallible>(())
        });
    }
}
