//! Client connections: what a client may ask for and what it is told. One control stream a computation; `docs/protocol.md`.

mod asked;
mod blobs;
mod connection;
mod durable;
mod entry;
mod jobs;
mod mail;
mod nodes;
mod session;
mod specs;
mod submit;

use crate::dispatch::{Dispatch, Tenants};
use crate::home::Home;
use crate::tasks::{TaskKind, Tasks};
use crate::tenancy::grant::Verifier;
pub use connection::serve;
use corovan_core::ids::NodeId;
use corovan_core::limits;
pub use nodes::Nodes;
use parking_lot::Mutex;
use session::Session;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// What every connection needs.
pub struct Service {
    pub dispatch: Dispatch,
    pub home: Home,
    pub tenants: Arc<Tenants>,
    pub tasks: Tasks,
    pub node: NodeId,
    pub node_name: String,
    /// What tenants let nodes do for them.
    pub grants: Arc<Verifier>,
    /// The mesh; there once the node has started.
    pub nodes: OnceLock<Nodes>,
    sessions: Mutex<Vec<Weak<Session>>>,
}

/// Name and version of this program, for logs of the other side.
pub const AGENT: &str = concat!("corovan ", env!("CARGO_PKG_VERSION"));

impl Service {
    pub fn new(
        (dispatch, home): (Dispatch, Home),
        tenants: Arc<Tenants>,
        tasks: Tasks,
        (node, node_name): (NodeId, String),
        grants: Arc<Verifier>,
    ) -> Service {
        Service {
            dispatch,
            home,
            tenants,
            tasks,
            node,
            node_name,
            grants,
            nodes: OnceLock::new(),
            sessions: Mutex::default(),
        }
    }

    /// Takes no new work, terminates what runs, and waits until all of it has ended, or `grace` and a second are over.
    pub async fn shut_down(&self, grace: Duration) {
        self.dispatch.close();
        let sessions: Vec<_> = self.sessions.lock().iter().filter_map(Weak::upgrade).collect();
        for session in &sessions {
            session.cancel_all("node", "the node is shutting down", grace);
        }
        // Each on its own: a client that does not read must not keep the others from their last words.
        for session in sessions.iter().map(Arc::clone) {
            self.tasks.spawn(TaskKind::Stream, "finish", async move {
                session.finish("the node has shut down").await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        let all = async {
            for session in &sessions {
                session.delivered().await;
            }
        };
        let all = async { tokio::join!(all, self.home.shut_down(grace)) };
        if tokio::time::timeout(grace + limits::TERMINATE_GRACE, all).await.is_err() {
            tracing::warn!("some jobs did not end, or their clients did not read their ends, in time");
        }
    }

    fn register(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }
}
