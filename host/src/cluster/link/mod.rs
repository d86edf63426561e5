//! Links with other nodes: connections dialled on demand, at most one in use for each pair, and sessions that outlive them.
//! `docs/mesh.md` has the rules; `corovan_core::link` decides by them.

mod connection;
mod dial;
mod inbound;
mod lanes;
mod links;
mod outbound;
mod pass;
mod peer;
mod session;
mod supervise;

pub use links::{Config, Datagrams, Links, NoWay, Peers};
pub use outbound::{NotSent, Sending};
pub use pass::{Granted, Pass};
pub use peer::Place;
pub use session::{Answer, Fault, Inbox, Session, Watcher};
