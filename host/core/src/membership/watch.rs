//! What one who watches the members is told next: every change since it last looked, put together to one a node, so that
//! who looks seldom is not told everything and is never told wrong.

use super::member::Member;
use super::swim::Output;
use crate::ids::NodeId;
use std::collections::BTreeMap;

/// Changes not looked at yet; one entry a node.
#[derive(Default, Debug)]
pub struct Watch {
    pending: BTreeMap<NodeId, Pending>,
}

#[derive(Debug)]
struct Pending {
    /// What the watcher knows.
    before: Option<Member>,
    now: Option<Member>,
    left: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    Came(Member),
    Changed(Member),
    Failed(Member),
    Left(Member),
}

impl Watch {
    /// One who is told of all that are there first.
    pub fn new(present: impl IntoIterator<Item = Member>) -> Watch {
        let pending = |member: Member| (member.presence.node, Pending { before: None, now: Some(member), left: false });
        Watch { pending: present.into_iter().map(pending).collect() }
    }

    /// Takes note of what [`super::swim::Swim`] says. `known` is the member as it was before, for one that changes.
    pub fn note(&mut self, output: &Output, known: Option<&Member>) {
        let (member, there, left) = match output {
            Output::Joined(member) => (member, true, false),
            Output::Changed(member) => (member, true, false),
            Output::Failed(member) => (member, false, false),
            Output::Left(member) => (member, false, true),
            _ => return,
        };
        let before = || match output {
            Output::Joined(_) => None,
            Output::Changed(_) => known.cloned(),
            _ => Some(member.clone()),
        };
        let fresh = || Pending { before: before(), now: None, left: false };
        let pending = self.pending.entry(member.presence.node).or_insert_with(fresh);
        (pending.now, pending.left) = (there.then(|| member.clone()), left);
    }

    /// The next change. A node that was started anew is first told as failed, then as come.
    pub fn take(&mut self) -> Option<Change> {
        while let Some(mut entry) = self.pending.first_entry() {
            let same_boot = |a: &Member, b: &Member| a.presence.incarnation == b.presence.incarnation;
            let pending = entry.get_mut();
            match (pending.before.take(), pending.now.clone()) {
                (Some(before), Some(now)) if !same_boot(&before, &now) => return Some(Change::Failed(before)),
                (before, now) => {
                    let left = pending.left;
                    entry.remove();
                    match (before, now) {
                        (None, Some(now)) => return Some(Change::Came(now)),
                        (Some(_), Some(now)) => return Some(Change::Changed(now)),
                        (Some(before), None) if left => return Some(Change::Left(before)),
                        (Some(before), None) => return Some(Change::Failed(before)),
                        (None, None) => {}
                    }
                }
            }
        }
        None
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::presence::Presence;
    use super::*;

    fn member(incarnation: u32) -> Member {
        Member { presence: Presence::new(NodeId([1; 12]), incarnation, "10.0.0.1:1".parse().unwrap()), about: None }
    }

    #[test]
    fn changes_of_a_node_are_put_together_to_what_is_new_for_the_watcher() {
        use Change::*;
        use Output as O;
        let (one, two) = (member(1), member(2));
        let cases: Vec<(Vec<Output>, Vec<Change>)> = vec![
            (vec![O::Joined(one.clone())], vec![Came(one.clone())]),
            (vec![O::Joined(one.clone()), O::Changed(one.clone())], vec![Came(one.clone())]),
            (vec![O::Joined(one.clone()), O::Failed(one.clone())], vec![]),
            (vec![O::Failed(one.clone())], vec![Failed(one.clone())]),
            (vec![O::Changed(one.clone()), O::Left(one.clone())], vec![Left(one.clone())]),
            (vec![O::Failed(one.clone()), O::Joined(one.clone())], vec![Changed(one.clone())]),
            (vec![O::Failed(one.clone()), O::Joined(two.clone())], vec![Failed(one.clone()), Came(two.clone())]),
        ];
        for (outputs, expected) in cases {
            let mut watch = Watch::default();
            for output in &outputs {
                watch.note(output, Some(&one));
            }
            assert_eq!(std::iter::from_fn(|| watch.take()).collect::<Vec<_>>(), expected, "{outputs:?}");
            assert!(watch.is_empty());
        }
        let mut watch = Watch::new([one.clone()]);
        assert_eq!((watch.take(), watch.take()), (Some(Came(one)), None));
    }
}
