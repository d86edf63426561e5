//! Names across nodes: what coroutines ask goes to the thread of names, and what that has to say to other nodes goes over links,
//! where each tenant spoken of is shown first.

use super::grants::Grants;
use super::link::{Datagrams, Links, Place, Session};
use super::mesh::{Carrier, Handle};
pub use super::shown::Shown;
use crate::runtime::ports::{self, Pending};
use crate::runtime::{Group, Refusal, Runtime};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::directory::message::{Message, Name, Request};
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::link::call::{self, Call};
use corovan_core::link::frame::{Header, Kind};
use corovan_core::membership::swim::Unconnected;
use corovan_core::tenancy::grant::Right;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

/// What membership and names say to other nodes.
pub struct Outward {
    links: Links,
    runtime: Weak<Runtime>,
    /// For each tenant with names here, grants under which it is spoken of.
    shown: Arc<Shown>,
}

/// The names of a mesh, for coroutines.
pub struct MeshNames {
    handle: Handle,
    grants: Arc<dyn Grants>,
    shown: Arc<Shown>,
}

/// Datagrams of other nodes, for the thread of membership.
pub struct Inward(pub Handle);

impl Outward {
    pub fn new(links: Links, runtime: &Arc<Runtime>, shown: Arc<Shown>) -> Outward {
        Outward { links, runtime: Arc::downgrade(runtime), shown }
    }
}

impl Carrier for Outward {
    fn datagram(&self, to: SocketAddr, node: Option<NodeId>, bytes: Bytes, unconnected: Unconnected) {
        self.links.datagram(to, node, bytes, unconnected);
    }

    fn place(&self, node: NodeId, place: Place) {
        self.links.place(node, place);
    }

    fn keep(&self, node: NodeId, keeps: bool) {
        self.links.keep(node, keeps);
    }

    fn call_back(&self, node: NodeId) {
        self.links.call_back(node);
    }

    fn names(&self, to: NodeId, message: Message) {
        let Ok(session) = self.links.session(to) else { return };
        // Asked again in a while; what coroutines ask without end ends no session.
        if session.is_jammed(&Header::new(Kind::Call)) {
            return;
        }
        let (name, now) = (session.peer_name(), session.unix());
        // It is known with the first connection.
        let name = Some(&name[..]).filter(|name| !name.is_empty());
        for tenant in tenants(&message) {
            let grant = self.shown.to(tenant, name, now);
            grant.into_iter().for_each(|grant| session.show(&session.pass(&grant)));
        }
        let mut bytes = Vec::new();
        if let (Ok(head), Ok(())) = (call::encode(&Call::Names), ciborium::into_writer(&message, &mut bytes)) {
            session.answer(Header::new(Kind::Call), &[&head[..], &bytes].concat());
        }
    }

    fn name_lost(&self, name: &Name, holder: &Address) {
        self.runtime.upgrade().into_iter().for_each(|runtime| runtime.name_lost(&name.name, holder));
    }
}

/// Takes what another node says about names. Errors: what is wrong with it.
pub(super) fn heard(handle: &Handle, session: &Arc<Session>, bytes: &[u8]) -> Result<(), String> {
    let message = read(bytes)?;
    if let Some(tenant) = tenants(&message).into_iter().find(|tenant| !session.speaks_for(tenant, Right::Names)) {
        return Err(format!("it speaks of names of tenant {tenant:?} without a grant of that tenant's for names"));
    }
    handle.names(session.peer, message);
    Ok(())
}

/// A message of at most what a full announcement takes: many wait for the thread of names.
fn read(bytes: &[u8]) -> Result<Message, String> {
    if bytes.len() > limits::FRAME_HEAD {
        return Err(format!("it has {} bytes, and the limit is {} (FRAME_HEAD)", bytes.len(), limits::FRAME_HEAD));
    }
    if corovan_core::wire::cbor::check(bytes).is_err() {
        return Err("it is not CBOR".into());
    }
    ciborium::from_reader(bytes).map_err(|error| error.to_string())
}

/// Whose names a request is about. What is answered was asked by this node.
fn tenants(message: &Message) -> Vec<&str> {
    let Message::Request(request) = message else { return Vec::new() };
    let mut tenants: Vec<&str> = match request {
        Request::Claim { name, .. }
        | Request::Release { name, .. }
        | Request::Locate { name, .. }
        | Request::Withdraw { name, .. } => vec![&name.tenant],
        Request::Announce { names } => names.iter().map(|(name, _)| &name.tenant[..]).collect(),
        Request::Renew { .. } => Vec::new(),
    };
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}

impl MeshNames {
    pub fn new(handle: Handle, grants: Arc<dyn Grants>, shown: Arc<Shown>) -> MeshNames {
        MeshNames { handle, grants, shown }
    }

    /// The name, if the computation may speak of names to other nodes.
    fn name(&self, group: &Group, name: &str) -> Option<Name> {
        let (bytes, grant) = self.grants.read(group)?;
        grant.gives(Right::Names).ok()?;
        self.shown.keep(group.tenant.name(), &bytes, &grant);
        Name::new(group.tenant.name(), name)
    }
}

impl ports::Names for MeshNames {
    fn register(&self, group: &Arc<Group>, name: &str, holder: Address, deadline: u64) -> Pending<Result<(), Refusal>> {
        match self.name(group, name) {
            Some(name) => {
                let handle = self.handle.clone();
                Box::pin(async move { handle.register(name, holder, deadline).await })
            }
            // Its names are known on this node alone.
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn unregister(&self, group: &Group, name: &str, holder: Address) {
        // Nothing, where it is known on this node alone.
        Name::new(group.tenant.name(), name).into_iter().for_each(|name| self.handle.unregister(name, holder));
    }

    fn forget(&self, holder: Address) {
        self.handle.forget(holder);
    }

    fn locate(&self, group: &Arc<Group>, name: &str, wait: bool, deadline: u64) -> Pending<Result<Address, Refusal>> {
        match self.name(group, name) {
            Some(name) => {
                let handle = self.handle.clone();
                Box::pin(async move { handle.locate(name, wait, deadline).await })
            }
            None => {
                let text = "its computation has no grant for names, which the client signs: it finds them on its own node only";
                Box::pin(std::future::ready(Err(Refusal::new(Code::Denied, text))))
            }
        }
    }
}

impl Datagrams for Inward {
    fn datagram(&self, from: SocketAddr, proven: NodeId, bytes: Bytes) {
        self.0.datagram(from, proven, bytes);
    }

    fn call_back(&self, node: NodeId) {
        self.0.call_back(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::directory::message::Registration;

    #[test]
    fn a_full_announcement_is_read_and_a_larger_one_is_not() {
        let longest = "x".repeat(limits::NAME_BYTES);
        let one =
            (Name::new(&longest, &longest).unwrap(), Registration { number: u64::MAX, holder: Address::default() });
        for (names, good) in [(limits::NAME_BATCH, true), (20 * limits::NAME_BATCH, false)] {
            let message = Message::Request(Request::Announce { names: vec![one.clone(); names] });
            let mut bytes = Vec::new();
            ciborium::into_writer(&message, &mut bytes).unwrap();
            assert_eq!(read(&bytes).is_ok(), good, "{names} names");
        }
        assert!(read(b"rubbish").is_err());
    }
}
