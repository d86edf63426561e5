//! Which rules keep a job from a node. Each refusal is a value, so that a person is told all of them, node by node.

use super::offer::{Contact, Facts, Node};
use super::selector::{Allocation, Selector, Term, Wants};
use super::size::Size;
use crate::ids::NodeId;
use std::fmt;
use std::sync::Arc;

/// Why a job does not go to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// It takes no new work.
    Drained,
    Unreachable,
    /// It and this home accept no connections.
    BothDialOut,
    /// The computation's grant does not name it.
    Grant,
    /// No allocation of the computation takes it.
    Unallocated,
    /// A name or address, which it does not have.
    Name {
        wanted: String,
    },
    Label {
        key: String,
        wanted: String,
        has: Option<String>,
    },
    /// `of`: there in all, or free now.
    Cores {
        wanted: u32,
        has: u32,
        of: Of,
    },
    Memory {
        wanted: u64,
        has: u64,
        of: Of,
    },
    Disk {
        wanted: u64,
        has: u64,
        of: Of,
    },
    /// All its slots are taken, by anyone.
    Full {
        taken: u32,
        slots: u32,
    },
    /// It refused a job a moment ago, and is asked again soon.
    Busy,
    /// So many jobs of the computation are there, and no more may be.
    Allocation {
        running: u32,
        limit: u32,
    },
    /// An earlier attempt failed there.
    Excluded {
        attempt: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    All,
    Free,
}

/// What one kind of job may use: all jobs with an equal one can go to the same nodes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Constraint {
    pub reach: Arc<Reach>,
    pub at: Option<Selector>,
    pub memory: u64,
    /// In order, with the attempt that failed.
    pub excluded: Vec<(NodeId, u32)>,
}

/// Where the jobs of a computation may run; shared by computations of which it is the same. Compared by number: the lists
/// may be long.
#[derive(Debug)]
pub(super) struct Reach {
    pub number: u64,
    pub allocations: Vec<Allocation>,
    /// Names that the grant gives; in order.
    pub nodes: Option<Vec<String>>,
}

/// Whether a node may be used by jobs under a constraint, going by what their running does not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Never,
    /// It may be again: it is drained, or not reachable.
    NotNow,
    /// Of the computation's jobs at most so many.
    May {
        limit: Option<u32>,
    },
}

impl Rule {
    /// Whether it refuses until somebody changes the node, the grant or the job; jobs that end do not help.
    pub fn is_lasting(&self) -> bool {
        match self {
            Rule::Drained | Rule::Unreachable | Rule::Busy => false,
            Rule::BothDialOut | Rule::Grant | Rule::Unallocated | Rule::Excluded { .. } => true,
            Rule::Name { .. } | Rule::Label { .. } => true,
            Rule::Cores { of, .. } | Rule::Memory { of, .. } | Rule::Disk { of, .. } => *of == Of::All,
            Rule::Full { slots: limit, .. } | Rule::Allocation { limit, .. } => *limit == 0,
        }
    }
}

impl Constraint {
    /// What has to be free.
    pub fn wants(&self) -> Wants {
        let wants = self.at.as_ref().map(Selector::wants).unwrap_or_default();
        Wants { memory: wants.memory.max(self.memory), ..wants }
    }

    /// The same decision as [`Constraint::rules`], without making a list of reasons.
    pub fn standing(&self, facts: &Facts) -> Standing {
        let limit = match self.reach.limit(facts) {
            Some(Some(0)) | None => return Standing::Never,
            Some(limit) => limit,
        };
        let never = facts.slots == 0
            || facts.contact == Contact::BothDialOut
            || facts.memory < self.memory
            || !self.reach.names(&facts.name)
            || self.excluded.iter().any(|(node, _)| *node == facts.node)
            || self.at.as_ref().is_some_and(|at| !at.takes(facts));
        match (never, facts.draining || facts.contact == Contact::Unreachable) {
            (true, _) => Standing::Never,
            (false, true) => Standing::NotNow,
            (false, false) => Standing::May { limit },
        }
    }

    /// All rules that refuse a node now, of whose slots `running` are taken by jobs of the computation.
    pub fn rules(&self, facts: &Facts, node: &Node, running: u32) -> Vec<Rule> {
        let (mut rules, free) = (Vec::new(), node.free());
        let attempt = self.excluded.iter().find(|(excluded, _)| *excluded == facts.node).map(|(_, attempt)| *attempt);
        rules.extend(attempt.map(|attempt| Rule::Excluded { attempt }));
        rules.extend((!self.reach.names(&facts.name)).then_some(Rule::Grant));
        rules.extend(self.at.iter().flat_map(|at| at.terms()).filter_map(|term| refused_by(term, facts)));
        let limit = self.reach.limit(facts);
        rules.extend(limit.is_none().then_some(Rule::Unallocated));
        let wants = self.wants();
        let of = |fits: bool| if fits { Of::Free } else { Of::All };
        if free.cores < wants.cores {
            let of = of(facts.cores >= wants.cores);
            rules.push(Rule::Cores {
                wanted: wants.cores,
                has: if of == Of::All { facts.cores } else { free.cores },
                of,
            });
        }
        if free.memory < wants.memory {
            let of = of(facts.memory >= wants.memory);
            let has = if of == Of::All { facts.memory } else { free.memory };
            rules.push(Rule::Memory { wanted: wants.memory, has, of });
        }
        if free.disk < wants.disk {
            let of = of(facts.disk >= wants.disk);
            rules.push(Rule::Disk { wanted: wants.disk, has: if of == Of::All { facts.disk } else { free.disk }, of });
        }
        match facts.contact {
            Contact::Reached => {}
            Contact::Unreachable => rules.push(Rule::Unreachable),
            Contact::BothDialOut => rules.push(Rule::BothDialOut),
        }
        rules.extend(facts.draining.then_some(Rule::Drained));
        let limit = limit.flatten().filter(|limit| running >= *limit);
        rules.extend(limit.map(|limit| Rule::Allocation { running, limit }));
        rules.extend(node.held.then_some(Rule::Busy));
        rules.extend((free.slots == 0).then_some(Rule::Full { taken: facts.slots, slots: facts.slots }));
        rules
    }
}

impl Reach {
    /// What the first allocation that takes the node says; `None`: there are some, and none takes it.
    pub fn limit(&self, facts: &Facts) -> Option<Option<u32>> {
        match self.allocations.iter().find(|allocation| allocation.selector.takes(facts)) {
            Some(allocation) => Some(allocation.jobs),
            None => self.allocations.is_empty().then_some(None),
        }
    }

    /// Whether the computation's own jobs have to be counted.
    pub fn has_limits(&self) -> bool {
        self.allocations.iter().any(|allocation| allocation.jobs.is_some())
    }

    fn names(&self, node: &str) -> bool {
        let among = |nodes: &Vec<String>| nodes.binary_search_by(|name| name.as_str().cmp(node)).is_ok();
        self.nodes.as_ref().is_none_or(among)
    }
}

impl PartialEq for Reach {
    fn eq(&self, other: &Reach) -> bool {
        self.number == other.number
    }
}

impl Eq for Reach {}

impl std::hash::Hash for Reach {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Drained => f.write_str("it is drained: it takes no new work"),
            Rule::Unreachable => f.write_str("it is not reachable"),
            Rule::BothDialOut => f.write_str("both are dial-out: neither accepts connections"),
            Rule::Grant => f.write_str("the grant does not name it"),
            Rule::Unallocated => f.write_str("no allocation of the computation takes it"),
            Rule::Name { wanted } => write!(f, "name or address {wanted} is wanted"),
            Rule::Label { key, wanted, has: Some(has) } => {
                write!(f, "label {key}={wanted} is wanted, it has {key}={has}")
            }
            Rule::Label { key, wanted, has: None } => {
                write!(f, "label {key}={wanted} is wanted, it has no label {key}")
            }
            Rule::Cores { wanted, has, of } => write!(f, "cores: {wanted} wanted, {}", of.says(&has.to_string())),
            Rule::Memory { wanted, has, of } => amount(f, "memory", *wanted, *has, *of),
            Rule::Disk { wanted, has, of } => amount(f, "disk", *wanted, *has, *of),
            Rule::Busy => f.write_str("it refused a job a moment ago: others use what it has"),
            Rule::Full { slots: 0, .. } => f.write_str("it runs no jobs: it has 0 slots"),
            Rule::Full { taken, slots } => write!(f, "full: {taken} of {slots} slots are taken"),
            Rule::Allocation { running, limit } => {
                write!(f, "the allocation's limit: {running} of {limit} jobs of the computation are there")
            }
            Rule::Excluded { attempt } => write!(f, "excluded: attempt {attempt} failed there"),
        }
    }
}

impl Of {
    fn says(self, has: &str) -> String {
        match self {
            Of::All => format!("it has {has}"),
            Of::Free => format!("{has} free"),
        }
    }
}

/// Printed in bytes where the two would look the same.
fn amount(f: &mut fmt::Formatter<'_>, what: &str, wanted: u64, has: u64, of: Of) -> fmt::Result {
    let (mut wanted_text, mut has_text) = (Size(wanted).to_string(), Size(has).to_string());
    if wanted_text.replace(".0 ", " ") == has_text.replace(".0 ", " ") {
        (wanted_text, has_text) = (format!("{wanted} B"), format!("{has} B"));
    }
    write!(f, "{what}: {wanted_text} wanted, {}", of.says(&has_text))
}

/// Amounts are looked at all together, with what is free.
fn refused_by(term: &Term, facts: &Facts) -> Option<Rule> {
    if term.takes(facts) {
        return None;
    }
    match term {
        Term::Node(wanted) => Some(Rule::Name { wanted: wanted.clone() }),
        Term::Label { key, value } => {
            Some(Rule::Label { key: key.clone(), wanted: value.clone(), has: facts.labels.get(key).cloned() })
        }
        Term::Cores(_) | Term::Memory(_) | Term::Disk(_) => None,
    }
}
