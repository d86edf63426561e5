//! Services: functions that coroutines of this node offer to callers who ship no code (asyncoro's RCI). A service has a name and
//! an address as a coroutine has, and goes with its owner.

use super::control::{Control, Waits};
use super::launch::Runtime;
use super::mail::{Patience, bounded};
use super::message::{self, Kind, Payload};
use super::names::{keep_promised, refuse};
use super::promise::Promised;
use super::refusal::Refusal;
use super::registry::Resident;
use super::tenant::Tenant;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::sync::names::Refused;
use corovan_core::tenancy::quota::{Permit, Resource};
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// A function that is offered under a name.
pub struct Service {
    pub address: Address,
    pub name: String,
    pub module: ModuleHash,
    pub function: String,
    owner: Weak<Control>,
    tenant: Weak<Tenant>,
    /// The owner gets a message for each coroutine that is made of it.
    tells: bool,
    _held: Permit,
}

/// Room in the owner's mailbox for the word that a coroutine was made; given back when dropped.
pub struct Told {
    owner: Arc<Control>,
    name: String,
    promised: Promised<Arc<Control>>,
}

/// In the registry, until it is kept.
struct Placed<'a>(&'a Runtime, Option<Arc<Service>>);

impl Runtime {
    /// Offers a function, which is there, under a name. `tells`: the owner learns of each coroutine that is made of it. Errors:
    /// taken, overloaded, gone, denied, timeout, interrupted.
    pub(crate) async fn serve(
        &self,
        owner: &Arc<Control>,
        name: &str,
        (module, function): (ModuleHash, String),
        tells: bool,
    ) -> Result<(), Refusal> {
        let tenant = &owner.group.tenant;
        if let Some(found) = tenant.names.find(name) {
            return Err(refuse(name, Refused::Taken(found)));
        }
        let held = tenant.ledger.take(Resource::Held, limits::SERVICE_BYTES + (name.len() + function.len()) as u64)?;
        let service = Arc::new(Service {
            address: self.new_address(),
            name: name.to_owned(),
            module,
            function,
            owner: Arc::downgrade(owner),
            tenant: Arc::downgrade(tenant),
            tells,
            _held: held,
        });
        let address = service.address;
        // Found by whoever learns of the name.
        self.registry.insert(address.counter, Resident::Service(Arc::clone(&service)));
        let placed = Placed(self, Some(service));
        let Some(mesh) = self.names.get() else { return placed.keep(owner) };
        tenant.names.set_mesh(mesh);
        let promised = self.promise(owner)?;
        let deadline = self.clock().now().saturating_add(limits::NAME_CALL.as_nanos() as u64);
        let asked = mesh.register(&owner.group, name, address, deadline);
        let what = "the name was not given in time";
        bounded(owner, Waits::Locate, Patience::Forever, what, asked).await??;
        let kept = placed.keep(owner);
        match &kept {
            Ok(()) => keep_promised(owner, name, promised),
            Err(_) => mesh.unregister(&owner.group, name, address),
        }
        kept
    }

    /// Ends an offer of this computation; what was made of it goes on. Errors: not-found, denied.
    pub(crate) fn unserve(&self, control: &Control, name: &str) -> Result<(), Refusal> {
        let not_found = || Refusal::new(Code::NotFound, format!("nobody offers {name:?}"));
        let tenant = &control.group.tenant;
        let address = tenant.names.find(name).ok_or_else(not_found)?;
        let service = self.service(tenant, &address).map_err(|_| not_found())?;
        let owner = service.owner.upgrade().ok_or_else(not_found)?;
        if !Arc::ptr_eq(&owner.group, &control.group) {
            let text = format!("{name:?} is offered by another computation: that one, or its owner's end, gives it up");
            return Err(Refusal::new(Code::Denied, text));
        }
        let (offered, slot) = {
            let mut ties = owner.ties.lock();
            (ties.services.remove(name), ties.lost_names.remove(name))
        };
        slot.into_iter().for_each(|_| owner.break_promise());
        offered.into_iter().for_each(|service| self.end_service(&service));
        Ok(())
    }

    /// A service of this node and tenant. Errors: not-found, denied.
    pub fn service(&self, tenant: &Arc<Tenant>, address: &Address) -> Result<Arc<Service>, Refusal> {
        let is_here = address.node == self.node && address.incarnation == self.incarnation;
        match self.registry.get(address).filter(|_| is_here) {
            Some(Resident::Service(service)) if service.is_of(tenant) => Ok(service),
            Some(other) if !other.is_of(tenant) => Err(self.denied(tenant, address)),
            _ => Err(Refusal::new(Code::NotFound, format!("{address} is no service, or not any more"))),
        }
    }

    pub(super) fn end_service(&self, service: &Service) {
        self.registry.remove(service.address.counter);
        if let Some(tenant) = service.tenant.upgrade() {
            tenant.names.forget(&service.address);
        }
    }
}

impl Service {
    pub fn is_of(&self, tenant: &Arc<Tenant>) -> bool {
        std::ptr::eq(self.tenant.as_ptr(), Arc::as_ptr(tenant))
    }

    pub fn tenant(&self) -> Option<Arc<Tenant>> {
        self.tenant.upgrade()
    }

    pub(super) fn owner(&self) -> Option<Arc<Control>> {
        self.owner.upgrade()
    }

    /// Before a coroutine is made of it: the owner will be told, if it is to be. Errors: overloaded, not-found.
    pub fn tell(&self, runtime: &Runtime) -> Result<Option<Told>, Refusal> {
        let gone = || Refusal::new(Code::NotFound, format!("nobody offers {:?} any more", self.name));
        let owner = self.owner.upgrade().ok_or_else(gone)?;
        if !self.tells {
            return Ok(None);
        }
        match runtime.promise_of(Arc::clone(&owner)) {
            Ok(promised) => Ok(Some(Told { owner, name: self.name.clone(), promised })),
            Err(refusal) if refusal.code == Code::Gone => Err(gone()),
            Err(refusal) => Err(refusal),
        }
    }
}

impl Told {
    /// It was made, and has this address.
    pub fn made(self, address: Address) {
        let payload = Payload::copy(self.name.as_bytes());
        self.owner.push_reserved(message::notice(Kind::Called, address, payload, self.promised.keep()));
    }
}

impl Placed<'_> {
    /// Gives it its name among those of this node. Errors: taken, overloaded, gone.
    fn keep(mut self, owner: &Arc<Control>) -> Result<(), Refusal> {
        let Some(service) = self.1.clone() else { return Ok(()) };
        // Under the owner's lock: it cannot end between the look and the registration.
        let mut ties = owner.ties.lock();
        if ties.ended {
            return Err(Refusal::gone(owner.address));
        }
        let woken = owner.group.tenant.names.register(&service.name, service.address)?;
        ties.services.insert(service.name.clone(), service);
        drop(ties);
        self.1 = None;
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if let Some(service) = self.1.take() {
            self.0.registry.remove(service.address.counter);
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({:?} at {})", self.name, self.address)
    }
}
