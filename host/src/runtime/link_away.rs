//! Links between coroutines of different nodes, made with one of them by the other: the abnormal end of either terminates the
//! other, and so does the loss of its node.

use super::control::Control;
use super::launch::Runtime;
use super::ports::{End, EndFollower, Guard, Sprout, Way};
use super::refusal::Refusal;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::wire::Outcome;
use std::sync::{Arc, Weak};

/// A link as the coroutine that made the other has it.
pub(super) struct LinkAway {
    other: Arc<dyn Sprout>,
    /// Dropped, the other node need not tell its end.
    _end: Option<Guard>,
}

impl LinkAway {
    /// The coroutine that has the link has ended in this way.
    pub fn ended(self, one: &Address, outcome: &Outcome) {
        if outcome.is_abnormal() {
            self.other.cancel(BY, &reason(one, outcome.name()), limits::TERMINATE_GRACE);
        }
    }
}

impl Runtime {
    /// Links a coroutine with one that it has just made on another node, which ends those by itself when it loses this one.
    /// Errors: node-lost, denied, overloaded.
    pub(crate) fn link_away(
        self: &Arc<Self>,
        one: &Arc<Control>,
        address: &Address,
        way: &dyn Way,
        other: &Arc<dyn Sprout>,
    ) -> Result<(), Refusal> {
        // First, since the end may come before the follower is back.
        let link = LinkAway { other: Arc::clone(other), _end: None };
        one.ties.lock().links_away.insert(*address, link);
        let follower = Linked { runtime: Arc::downgrade(self), one: Arc::downgrade(one), other: *address };
        let followed = way.monitor(&one.address, Box::new(follower));
        let mut ties = one.ties.lock();
        let (unused, outcome) = match followed {
            Ok(end) => match ties.links_away.get_mut(address) {
                Some(link) => (link._end.replace(end), Ok(())),
                None => (Some(end), Ok(())),
            },
            Err(refusal) => (ties.links_away.remove(address).and_then(|link| link._end), Err(refusal)),
        };
        drop(ties);
        drop(unused);
        outcome
    }
}

/// Terminates one when the other has ended.
struct Linked {
    runtime: Weak<Runtime>,
    one: Weak<Control>,
    other: Address,
}

impl EndFollower for Linked {
    fn ended(self: Box<Self>, end: Option<End>) {
        let (Some(runtime), Some(one)) = (self.runtime.upgrade(), self.one.upgrade()) else { return };
        let link = one.ties.lock().links_away.remove(&self.other);
        if link.is_none() {
            return;
        }
        drop(link);
        let outcome = end.map_or(Outcome::NodeLost(self.other.node), |end| end.record.outcome);
        if outcome.is_abnormal() {
            runtime.terminate(&one, BY, &reason(&self.other, outcome.name()), limits::TERMINATE_GRACE);
        }
    }
}

/// As exit records of those tell who were terminated for a link.
pub(super) fn reason(other: &Address, how: &str) -> String {
    format!("{other}, which it is linked to, ended: {how}")
}

pub(super) const BY: &str = "link";
