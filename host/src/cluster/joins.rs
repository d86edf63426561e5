//! Questions of those who want to join, passed on by a node that does not issue certificates to one that does. What is asked
//! proves itself, so it is nobody's: no grant, no tenant.

use super::link::{Links, Session};
use super::mesh::Handle;
use super::receive::answer;
use super::remote::{call_at, encode};
use crate::runtime::Refusal;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::link::call::Call;
use corovan_core::link::frame::{Header, Kind};
use corovan_core::wire::join::{self, Answer, Ask};
use std::sync::Arc;

/// Answers what other nodes pass on. Must not block.
pub trait Joins: Send + Sync {
    fn answer(&self, from: NodeId, ask: Ask, told: Box<dyn FnOnce(Answer) + Send>);
}

/// Passes on what this node is asked.
#[derive(Clone)]
pub struct Passing {
    links: Links,
    members: Handle,
}

impl Passing {
    pub fn new(links: Links, members: Handle) -> Passing {
        Passing { links, members }
    }

    /// Asks nodes that issue certificates, one after the other, until one answers. Errors: unsupported (none is known),
    /// node-lost, overloaded.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Refusal> {
        let members = self.members.members();
        let known = members.iter().filter(|(_, member)| member.about.as_ref().is_some_and(|about| about.issues));
        let issuers: Vec<NodeId> =
            known.map(|(node, _)| *node).filter(|node| *node != self.links.node()).take(ISSUERS_ASKED).collect();
        let text = "this node does not issue certificates, and knows of none that does";
        let mut outcome = Err(Refusal::new(Code::Unsupported, text));
        for issuer in issuers {
            outcome = self.ask_one(issuer, ask).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn ask_one(&self, issuer: NodeId, ask: &Ask) -> Result<Answer, Refusal> {
        let lost = || Refusal::new(Code::NodeLost, format!("issuing node {issuer} cannot be reached"));
        let session = self.links.session(issuer).map_err(|why| Refusal::new(Code::NodeLost, why.to_string()))?;
        let payload = [encode(&Call::Join)?, body(ask)?];
        let answer = call_at(&session, None, Header::new(Kind::Call), payload, false).await;
        let answer = answer.map_err(|why| if why.code == Code::NodeLost { lost() } else { why })?;
        join::decode(&answer).map_err(|error| Refusal::new(Code::Protocol, error.to_string()))
    }
}

/// Has a question answered that another node passes on.
pub(super) fn serve(joins: Option<&Arc<dyn Joins>>, session: &Arc<Session>, call: u64, bytes: &Bytes) {
    let Some(joins) = joins else {
        return answer(session, call, Err(Refusal::new(Code::Unsupported, "this node does not issue certificates")));
    };
    let ask: Ask = match join::decode(bytes) {
        Ok(ask) => ask,
        Err(error) => return answer(session, call, Err(Refusal::new(Code::Protocol, error.to_string()))),
    };
    let (from, session) = (session.peer, Arc::clone(session));
    joins.answer(from, ask, Box::new(move |said| answer(&session, call, body(&said))));
}

/// A record without its length, which the frame has.
fn body(record: &impl serde::Serialize) -> Result<Bytes, Refusal> {
    let bytes = join::encode(record).map_err(|error| Refusal::new(Code::TooLarge, error.to_string()))?;
    Ok(Bytes::from(bytes).slice(join::HEADER..))
}

/// Issuing nodes that are asked one after the other while somebody waits at the door.
const ISSUERS_ASKED: usize = 3;
