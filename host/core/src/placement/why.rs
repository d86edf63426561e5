//! Answers to `why`: for a job that waits or was refused, which rule of which node refuses it; for one that is placed, where it
//! is and why there.

use super::filter::Rule;
use super::score::Reason;
use crate::ids::NodeId;
use std::fmt;
use std::sync::Arc;

/// Where a job is, and why.
#[derive(Clone, PartialEq, Debug)]
pub enum Why {
    /// At most so many jobs of its computation and kind go before it.
    Waiting {
        ahead: u32,
        refusals: Refusals,
    },
    Placed {
        node: NodeId,
        name: String,
        reason: Reason,
    },
}

/// Nodes and the rules that refuse a job there, nearest first: those that would take it soonest, or with the least change.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Refusals {
    pub nodes: Vec<Refusal>,
    /// Nodes that are not listed.
    pub more: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub node: NodeId,
    pub name: String,
    /// None: it has room, which others get first.
    pub rules: Vec<Rule>,
}

/// What is said of a node that no rule keeps a job from.
pub const HAS_ROOM: &str = "it has room, and others go first";

/// Why a job is not taken, at once.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("no known node can take it{0}")]
    Nowhere(Arc<Refusals>),
    #[error("overloaded: {waiting} jobs wait already, the limit is {limit} ({name})")]
    Overloaded { waiting: usize, limit: usize, name: &'static str },
    #[error("the computation is not open")]
    NoComputation,
    #[error("a job of this number is there already")]
    Duplicate,
}

impl Refusals {
    /// Puts the nearest first and keeps `max` of them.
    pub(super) fn nearest(mut nodes: Vec<Refusal>, max: usize) -> Refusals {
        let lasting = |refusal: &Refusal| refusal.rules.iter().filter(|rule| rule.is_lasting()).count();
        nodes.sort_by_cached_key(|one| (lasting(one), one.rules.len(), one.name.clone(), one.node));
        let more = nodes.len().saturating_sub(max);
        nodes.truncate(max);
        Refusals { nodes, more }
    }
}

/// One line a node.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes.is_empty() {
            return f.write_str(": none is known");
        }
        for node in &self.nodes {
            write!(f, "\n  {node}")?;
        }
        if self.more > 0 { write!(f, "\n  and {} more", self.more) } else { Ok(()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}: ", self.node)?,
            name => write!(f, "{name}: ")?,
        }
        if self.rules.is_empty() {
            return f.write_str(HAS_ROOM);
        }
        for (number, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if number > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Waiting { ahead: 0, refusals } => write!(f, "it waits, the first of its kind{refusals}"),
            Why::Waiting { ahead, refusals } => {
                write!(f, "it waits, with at most {ahead} of its computation and kind before it{refusals}")
            }
            Why::Placed { node, name, reason } if name.is_empty() => write!(f, "it is at {node}, {reason}"),
            Why::Placed { name, reason, .. } => write!(f, "it is at {name}, {reason}"),
        }
    }
}
