//! Where an address leads. A coroutine's place is asked first, whoever is to be reached, so that the way to another node is
//! one more case and not another interface.

use super::control::Control;
use super::group::Group;
use super::launch::Runtime;
use super::own::Route;
use super::ports::Way;
use super::refusal::Refusal;
use super::registry::{Past, Resident};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use std::sync::Arc;

/// Where an address leads, for one coroutine.
#[derive(Debug)]
pub enum Place {
    Here(Arc<Control>),
    /// It has ended, and its record is kept.
    Past(Arc<Past>),
    /// It ended and nothing is kept, or it was never there.
    Nowhere,
    /// On another node.
    Away(Arc<dyn Way>),
}

impl Runtime {
    /// Finds who lives at an address. Errors: denied (another tenant's), node-lost (no such node is known).
    pub fn find(&self, from: &Control, to: &Address) -> Result<Place, Refusal> {
        if to.node != self.node {
            return self.away(&from.group, to).map(Place::Away);
        }
        if to.incarnation != self.incarnation {
            return Ok(Place::Nowhere);
        }
        let Some(resident) = self.registry.get(to) else { return Ok(Place::Nowhere) };
        if !resident.is_of(&from.group.tenant) {
            return Err(self.foreign(from, to));
        }
        Ok(match resident {
            Resident::Coroutine(control) => Place::Here(control),
            Resident::Ended(past) => Place::Past(past),
            // They have no mailbox and no end that is recorded: what is done to coroutines finds nobody there.
            Resident::Channel(_) | Resident::Service(_) => Place::Nowhere,
        })
    }

    /// The address is another tenant's.
    pub(super) fn foreign(&self, from: &Control, to: &Address) -> Refusal {
        let tenant = &from.group.tenant;
        if let Some(denials) = tenant.denials.note(self.clock().now()) {
            let (from, tenant) = (&from.address, tenant.name());
            tracing::warn!(%from, %to, tenant, denials, "denied: an address of another tenant");
        }
        Refusal::new(Code::Denied, format!("{to} belongs to another tenant: nothing crosses from tenant to tenant"))
    }

    /// The same for a partner that has to be there. Errors: gone, denied, node-lost.
    #[inline]
    pub fn route(&self, from: &Control, to: &Address) -> Result<Route, Refusal> {
        match self.find(from, to)? {
            Place::Here(control) => Ok(Route::Here(control)),
            Place::Away(way) => Ok(Route::Away(*to, way)),
            Place::Past(_) | Place::Nowhere => Err(Refusal::gone(to)),
        }
    }

    /// The same for one that has to be on this node. Errors: gone, denied, node-lost, unsupported.
    pub fn find_here(&self, from: &Control, to: &Address) -> Result<Arc<Control>, Refusal> {
        match self.route(from, to)? {
            Route::Here(control) => Ok(control),
            Route::Away(..) => {
                Err(Refusal::new(Code::Unsupported, format!("{to} is on another node, where this cannot be done yet")))
            }
        }
    }

    /// The way to another node. Errors: node-lost, denied, overloaded.
    pub fn away(&self, group: &Arc<Group>, to: &Address) -> Result<Arc<dyn Way>, Refusal> {
        match self.mesh.get() {
            Some(mesh) => mesh.way(group, to),
            None => Err(Refusal::new(Code::NodeLost, format!("no node {} is known to this one", to.node))),
        }
    }
}
