//! Whether a channel may be subscribed to another where the ways between them lead over other nodes: the edge is reserved at both
//! ends, a walk asks for the neighbours of one channel after another, wherever these are, and then it is committed at the
//! parent's end and last at the child's, whose node leads.

use super::channel::Channel;
use super::serve::Caller;
use crate::runtime::group::Group;
use crate::runtime::launch::Runtime;
use crate::runtime::refusal::Refusal;
use crate::runtime::tenant::Tenant;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::channel::{ChannelCall, Neighbours, decode_neighbours, encode_neighbours};
use corovan_core::sync::channel::walk::{Claim, Direction, Refused, Walk};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An edge that may be and is committed but at the child's end; taken back when dropped.
pub(super) struct Reserved {
    tenant: Arc<Tenant>,
    parent: Arc<Channel>,
    child: Address,
    claim: Claim,
    kept: bool,
}

/// What asks other nodes.
struct Asker<'a> {
    runtime: &'a Arc<Runtime>,
    tenant: &'a Arc<Tenant>,
    group: Arc<Group>,
    /// Of the answers: on this node.
    from: Address,
    left: usize,
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
    let claim = {
        let mut book = tenant.channels.book.lock();
        let claim = book.graph.claim(runtime.node);
        book.graph.reserve(claim, parent.address, child.address).map_err(refusal)?;
        claim
    };
    let (of, kept) = (Arc::clone(tenant), false);
    let reserved = Reserved { tenant: of, parent: Arc::clone(parent), child: child.address, claim, kept };
    let mut asker = Asker { runtime, tenant, group, from: parent.at, left: limits::CHANNEL_WALK };
    let is_away = parent.stands_in().is_some();
    if is_away {
        asker.ask(&parent.address, ChannelCall::Reserve { claim, child: child.address }).await?;
    }
    asker.walk(claim, parent, child.address).await?;
    if is_away {
        asker.ask(&parent.address, ChannelCall::Commit { claim }).await?;
    }
    Ok(reserved)
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
        if self.kept {
            return;
        }
        self.tenant.channels.book.lock().graph.abort(self.claim);
        self.parent.tell_up(ChannelCall::Cut { child: self.child });
    }
}

impl Asker<'_> {
    async fn walk(&mut self, claim: Claim, parent: &Channel, child: Address) -> Result<(), Refusal> {
        for _ in 0..WALKS {
            let mut walk = Walk::new(claim, parent.address, child);
            // Where the claims were met that are in the way.
            let mut met = BTreeMap::new();
            while let Some(ask) = walk.next_ask() {
                let neighbours = self.look(&ask.channel, ask.direction()).await?;
                let claims = neighbours.iter().filter_map(|(_, claim)| *claim);
                for claim in claims {
                    met.entry(claim).or_insert(ask.channel);
                }
                walk.answer(ask, neighbours);
            }
            let mut all_gave_way = true;
            for outranked in walk.verdict().map_err(|refused| parent.refusal(&child, refused))? {
                // Committed meanwhile, it is to be walked over; given up meanwhile, another may have come.
                all_gave_way &= match met.get(&outranked) {
                    Some(at) => self.abort(at, outranked).await?,
                    None => false,
                };
            }
            if all_gave_way {
                return Ok(());
            }
        }
        Err(parent.refusal(&child, Refused::Retry))
    }

    async fn look(&mut self, channel: &Address, direction: Direction) -> Result<Neighbours, Refusal> {
        if channel.node == self.runtime.node {
            return Ok(self.tenant.channels.book.lock().graph.neighbours(channel, direction).collect());
        }
        if self.left == 0 {
            let most = limits::CHANNEL_WALK;
            let text = format!("more than {most} channels of other nodes are in the way (CHANNEL_WALK)");
            return Err(Refusal::new(Code::Overloaded, text));
        }
        self.left -= 1;
        match self.ask(channel, ChannelCall::Neighbours { up: direction == Direction::Up }).await {
            Ok(answer) => decode_neighbours(&answer)
                .ok_or_else(|| Refusal::new(Code::Protocol, "a node did not answer with the neighbours of a channel")),
            // A channel that has ended leads nowhere.
            Err(refusal) if refusal.code == Code::Gone => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn abort(&self, at: &Address, claim: Claim) -> Result<bool, Refusal> {
        if at.node == self.runtime.node {
            return Ok(self.tenant.channels.book.lock().graph.abort(claim));
        }
        let answer = self.ask(at, ChannelCall::Abort { claim }).await?;
        Ok(answer.first() == Some(&1))
    }

    async fn ask(&self, of: &Address, call: ChannelCall) -> Result<Bytes, Refusal> {
        let way = self.runtime.away(&self.group, of)?;
        way.ask_channel(&self.from, 0, call, Bytes::new()).await
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

/// After so many the others are too busy.
const WALKS: usize = 3;
