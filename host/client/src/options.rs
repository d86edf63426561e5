//! How a computation differs from others: its label, the nodes that its jobs use, and its share of them.

use crate::error::Error;
use corovan_core::limits;
use corovan_core::placement::Selector;
use corovan_core::wire::jobs::NodeAllocation;

/// What a computation is opened with; see [`crate::Node::open_with`].
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ComputationOptions {
    /// A name for people, shown in logs and lists.
    pub label: String,
    /// Which nodes run its jobs that are not for one in particular, and how many at a time each; the first that takes a node
    /// counts (discoro's `DiscoroNodeAllocate`). None: any node.
    pub nodes: Vec<NodeAllocation>,
    /// Its share of places among its tenant's computations where these are short; absent: 100.
    pub weight: Option<u32>,
    /// Rather the fullest node that has room than the least loaded, so that others stay free for what is large.
    pub pack: bool,
}

impl ComputationOptions {
    pub fn new(label: impl Into<String>) -> ComputationOptions {
        ComputationOptions { label: label.into(), ..ComputationOptions::default() }
    }

    /// Adds nodes: those that `selector` takes (`docs/computations.md`), each with at most so many jobs at a time.
    #[must_use]
    pub fn node(mut self, selector: impl Into<String>, jobs: Option<u32>) -> ComputationOptions {
        self.nodes.push(NodeAllocation { selector: selector.into(), jobs });
        self
    }

    #[must_use]
    pub fn weight(mut self, weight: u32) -> ComputationOptions {
        self.weight = Some(weight);
        self
    }

    /// What a node would refuse. Errors: too large, a value (which, and why).
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.label.len() > limits::NAME_BYTES {
            let (size, max) = (self.label.len() as u64, limits::NAME_BYTES as u64);
            return Err(Error::TooLarge { what: "the computation's label", size, max });
        }
        check_nodes(&self.nodes)
    }
}

/// The same of nodes alone.
pub(crate) fn check_nodes(nodes: &[NodeAllocation]) -> Result<(), Error> {
    if nodes.len() > limits::ALLOCATIONS {
        return Err(Error::TooMany {
            what: "entries in a computation's list of nodes",
            max: limits::ALLOCATIONS as u64,
        });
    }
    for node in nodes {
        check_selector(&node.selector)?;
    }
    Ok(())
}

/// Whether a text selects nodes. Errors: a value (what is wrong with it).
pub fn check_selector(selector: &str) -> Result<(), Error> {
    let wrong = |error: corovan_core::placement::SelectorError| Error::Value {
        what: "the selector of nodes",
        why: error.to_string(),
    };
    Selector::parse(selector).map(drop).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_would_refuse_is_told_before_it_is_sent() {
        let options = || ComputationOptions::new("one");
        assert_eq!(options().node("gpu=1,memory>=1GiB", Some(2)).weight(7).check(), Ok(()));
        let said = |options: ComputationOptions| options.check().unwrap_err().to_string();
        assert!(said(options().node("cores>=x", None)).contains("cores"), "{}", said(options().node("cores>=x", None)));
        assert!(said(ComputationOptions::new("x".repeat(1_000))).contains("label"));
        let many = (0..=limits::ALLOCATIONS).fold(options(), |options, _| options.node("", None));
        assert!(said(many).contains("list of nodes"));
    }
}
