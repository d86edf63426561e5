//! A member of the mesh as placement and selectors see it, and selectors as they come from outside.

use crate::runtime::Refusal;
use corovan_core::code::Code;
use corovan_core::membership::member::Member;
use corovan_core::placement::{Offer, Selector};
use corovan_core::tenancy::identity::{Principal, Role};

/// What it says of itself, under the name that its certificate has: without one, where it says that it is called otherwise.
pub fn offer(member: &Member, cluster: &str) -> Offer {
    let (presence, about) = (member.presence, member.about.as_deref().cloned().unwrap_or_default());
    let named = Principal::new(cluster, Role::Node, &about.name).map(|named| named.node_id());
    let name = if named.ok() == Some(presence.node) { about.name } else { String::new() };
    let offer = Offer {
        name,
        addresses: about.external.into_iter().chain([presence.address]).chain(about.addresses).collect(),
        labels: about.labels,
        cores: about.cores,
        memory: about.memory,
        disk: about.disk,
        slots: about.slots,
        draining: about.draining,
        ..Offer::new(presence.node)
    };
    offer.all_free()
}

/// Errors: invalid.
pub fn selector(text: &str) -> Result<Selector, Refusal> {
    text.parse().map_err(|error| Refusal::new(Code::Invalid, format!("{:?} selects no nodes: {error}", shown(text))))
}

/// A selector in a message.
pub fn shown(selector: &str) -> String {
    selector.chars().take(80).collect()
}
