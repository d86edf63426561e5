//! What the nodes of the mesh say of themselves, as placement is told it.

use super::placing::Placing;
use crate::cluster::mesh::Follower;
use crate::cluster::offers;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::membership::member::Member;
use corovan_core::membership::watch::Change;
use corovan_core::placement::{Contact, Offer};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Follows membership for placement.
pub struct Offers {
    placing: Placing,
    me: NodeId,
    /// This node accepts no connections.
    dial_out: bool,
    cluster: String,
    /// Jobs of its own that run here at a time.
    slots: u32,
    /// This node as it was told last, and whether it is drained.
    own: Mutex<(Member, bool)>,
    /// Those that failed, the longest ago first: what only they could take waits for them, not for ever.
    failed: Mutex<VecDeque<NodeId>>,
}

impl Offers {
    /// `me`: this node, which runs so many jobs of its own at a time.
    pub fn new(placing: Placing, me: &Member, cluster: &str, slots: u32) -> Offers {
        let own = Mutex::new((me.clone(), false));
        let (node, dial_out) = (me.presence.node, me.presence.dial_out);
        let offers =
            Offers { own, placing, me: node, dial_out, cluster: cluster.to_owned(), slots, failed: Mutex::default() };
        offers.placing.offer(&offers.offer(me, Contact::Reached));
        offers
    }

    /// This node takes no new jobs, not even its own clients', or takes them again.
    pub fn drain(&self, drained: bool) {
        let me = {
            let mut own = self.own.lock();
            own.1 = drained;
            own.0.clone()
        };
        self.placing.offer(&self.offer(&me, Contact::Reached));
    }

    fn offer(&self, member: &Member, contact: Contact) -> Offer {
        let offer = Offer { contact, ..offers::offer(member, &self.cluster) };
        if offer.node == self.me {
            // Service hours are for what comes from others.
            return Offer { slots: self.slots, draining: self.own.lock().1, ..offer }.all_free();
        }
        match contact {
            Contact::Reached if member.presence.dial_out && self.dial_out => {
                Offer { contact: Contact::BothDialOut, ..offer }
            }
            _ => offer,
        }
    }

    fn forget(&self, node: NodeId) {
        self.failed.lock().retain(|failed| *failed != node);
    }
}

impl Follower for Offers {
    fn changed(&self, change: &Change) {
        match change {
            // What it says of itself comes a moment after it.
            Change::Came(member) | Change::Changed(member) if member.about.is_none() => {}
            Change::Came(member) | Change::Changed(member) => {
                self.forget(member.presence.node);
                if member.presence.node == self.me {
                    self.own.lock().0 = member.clone();
                }
                self.placing.offer(&self.offer(member, Contact::Reached));
            }
            Change::Failed(member) if member.about.is_some() => {
                let node = member.presence.node;
                self.placing.offer(&self.offer(member, Contact::Unreachable));
                let oldest = {
                    let mut failed = self.failed.lock();
                    failed.retain(|known| *known != node);
                    failed.push_back(node);
                    if failed.len() > limits::MESH_GONE { failed.pop_front() } else { None }
                };
                oldest.into_iter().for_each(|node| self.placing.gone(node));
            }
            Change::Failed(member) | Change::Left(member) => {
                self.forget(member.presence.node);
                self.placing.gone(member.presence.node);
            }
        }
    }
}
