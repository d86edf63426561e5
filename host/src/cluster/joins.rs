//! Questions of those who want to join, passed on by a node that does not issue certificates to one that does. What is asked
//! proves itself, so it is nobody's: no grant, no tenant.

use super::link::{Answer as Answered, Links, Session};
use super::mesh::Handle;
use super::receive::answer;
use crate::runtime::Refusal;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::link::call::{self, Call};
use corovan_core::link::frame::{Header, Kind};
use corovan_core::wire::join::{self, Answer, Ask};
use std::future::poll_fn;
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
        let issues = |node: &NodeId| *node != self.links.node();
        let members = self.members.members();
        let known = members.iter().filter(|(_, member)| member.about.as_ref().is_some_and(|about| about.issues));
        let issuers: Vec<NodeId> = known.map(|(node, _)| *node).filter(issues).take(ISSUERS_ASKED).collect();
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
        let session = self.links.session(issuer).ok_or_else(lost)?;
        let (number, answered) = session.begin_call().map_err(|_| lost())?;
        let header = Header { call: number, ..Header::new(Kind::Call) };
        let payload = [record(&Call::Join)?, body(ask)?];
        let mut sending = session.send(None, header, payload);
        poll_fn(|cx| sending.poll(cx)).await.map_err(|_| lost())?;
        match answered.await {
            Ok(Answered::Given { tag: 0, payload, .. }) => {
                join::decode(&payload).map_err(|error| Refusal::new(Code::Protocol, error.to_string()))
            }
            Ok(Answered::Given { payload, .. }) => {
                Err(Refusal::new(Code::Unsupported, String::from_utf8_lossy(&payload).into_owned()))
            }
            _ => Err(lost()),
        }
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

fn record(call: &Call) -> Result<Bytes, Refusal> {
    call::encode(call).map_err(|error| Refusal::new(Code::TooLarge, error.to_string()))
}

/// Issuing nodes that are asked one after the other while somebody waits at the door.
const ISSUERS_ASKED: usize = 3;
