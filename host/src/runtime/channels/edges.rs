//! Whether a channel may be subscribed to another where the ways between them lead over other nodes: the edge is reserved at both
//! ends, a walk asks for the neighbours of one channel after another, wherever these are, and then it is committed at the
//! parent's end and last at the child's, whose node leads.

use super::channel::Channel;
use super::serve::Caller;
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::link::channel::{ChannelCall, Neighbours, decode_neighbours, encode_neighbours};
use corovan_core::sync::channel::attempt::{Answer, Attempt, Question, Step};
use corovan_core::sync::channel::walk::{Claim, Direction};
use std::sync::Arc;

/// An edge that may be and is committed but at the child's end; taken back when dropped.
pub(super) struct Reserved {
    tenant: Arc<Tenant>,
    parent: Arc<Channel>,
    child: Address,
    claim: Claim,
    kept: bool,
}

/// Finds out whether `child`, of this node, may be subscribed to `parent`, which is here or stands for one of another node.
/// Errors: cycle, second-path, retry, overloaded, gone, denied, node-lost.
pub(super) async fn reserve(
    runtime: &Arc<Runtime>,
    tenant: &Arc<Tenant>,
    parent: &Arc<Channel>,
    child: &Arc<Channel>,
) -> Result<Reserved, Refusal> {
    let group = child.owner().ok_or_else(|| child.gone())?;
    let refusal = |refused| parent.refusal(&child.address, refused);
    let claim = tenant.channels.book.lock().graph.lead(runtime.node, parent.address, child.address).map_err(refusal)?;
    let (of, kept) = (Arc::clone(tenant), false);
    let reserved = Reserved { tenant: of, parent: Arc::clone(parent), child: child.address, claim, kept };
    let mut attempt = Attempt::new(claim, parent.address, child.address);
    loop {
        match attempt.step() {
            Step::Commit => return Ok(reserved),
            Step::Refused(refused) => return Err(refusal(refused)),
            Step::Ask(of, question) if of.node == runtime.node => {
                let answer = tenant.channels.book.lock().graph.respond(&of, question);
                attempt.answer(answer);
            }
            Step::Ask(of, question) => {
                let road = runtime.away(&group, &of)?;
                let said = road.ask_channel(&parent.at, 0, call(question), Bytes::new()).await;
                attempt.answer(answer(question, said)?);
            }
        }
    }
}

impl Reserved {
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// It was committed here too.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            self.parent.tell_up(ChannelCall::Cut { child: self.child });
        }
        self.tenant.channels.book.lock().graph.end_lead(self.claim, self.parent.address, self.child);
    }
}

fn call(question: Question) -> ChannelCall {
    match question {
        Question::Reserve { claim, child } => ChannelCall::Reserve { claim, child },
        Question::Neighbours(direction) => ChannelCall::Neighbours { up: direction == Direction::Up },
        Question::Abort(claim) => ChannelCall::Abort { claim },
        Question::Commit(claim) => ChannelCall::Commit { claim },
    }
}

/// What another node said. Errors: its refusal, in its own words.
fn answer(question: Question, said: Result<Bytes, Refusal>) -> Result<Answer, Refusal> {
    match (question, said) {
        (Question::Neighbours(_), Ok(said)) => decode_neighbours(&said)
            .map(Answer::Neighbours)
            .ok_or_else(|| Refusal::new(Code::Protocol, "a node did not answer with the neighbours of a channel")),
        // A channel that has ended leads nowhere, and has no claims.
        (Question::Neighbours(_), Err(refusal)) if refusal.code == Code::Gone => Ok(Answer::Neighbours(Vec::new())),
        (Question::Abort(_), Err(refusal)) if refusal.code == Code::Gone => Ok(Answer::Aborted(false)),
        (Question::Abort(_), Ok(said)) => Ok(Answer::Aborted(said.first() == Some(&1))),
        (_, Ok(_)) => Ok(Answer::Done),
        (_, Err(refusal)) => Err(refusal),
    }
}

impl Runtime {
    /// What another node asks about an edge of one of its channels. Errors: gone, denied, retry, cycle, overloaded.
    pub(super) fn serve_claim(&self, caller: &Caller<'_>, call: ChannelCall) -> Result<Bytes, Refusal> {
        let channel = self.channel_of(caller.tenant, &caller.to)?;
        let graph = &mut caller.tenant.channels.book.lock().graph;
        match call {
            ChannelCall::Reserve { claim, child } => {
                // It goes with what stands for the channel there.
                if child.node != caller.from.node || channel.link(&caller.from).is_none() {
                    return Err(Refusal::new(
                        Code::Denied,
                        "nothing there stands for the channel, or the child is elsewhere",
                    ));
                }
                let refusal = |refused| channel.refusal(&child, refused);
                graph.reserve(claim, channel.address, child).map_err(refusal)?;
                Ok(Bytes::new())
            }
            ChannelCall::Commit { claim } => {
                let refusal = |refused| channel.refusal(&caller.from, refused);
                graph.commit(claim).map_err(refusal)?;
                Ok(Bytes::new())
            }
            ChannelCall::Abort { claim } => Ok(Bytes::copy_from_slice(&[u8::from(graph.abort(claim))])),
            _ => Err(Refusal::new(Code::Unsupported, "this is no step of a subscription")),
        }
    }

    /// The channels beside one of this node.
    pub(super) fn serve_neighbours(&self, caller: &Caller<'_>, up: bool) -> Result<Bytes, Refusal> {
        let channel = self.channel_of(caller.tenant, &caller.to)?;
        let direction = if up { Direction::Up } else { Direction::Down };
        let neighbours: Neighbours =
            caller.tenant.channels.book.lock().graph.neighbours(&channel.address, direction).collect();
        Ok(encode_neighbours(&neighbours).into())
    }
}
