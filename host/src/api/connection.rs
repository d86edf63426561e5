//! One client's connection: accepts its streams, hands each to its computation, ends everything when it is gone.

use super::session::Session;
use super::{Service, blobs};
use crate::dispatch::Tenant;
use crate::net::Connection;
use crate::tasks::TaskKind;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::tenancy::quota::Resource;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What the streams of one connection share.
pub(super) struct Client {
    pub service: Arc<Service>,
    /// Who it is; of an operator, one whose name no tenant can have.
    pub tenant: Arc<Tenant>,
    /// It may see and change the mesh, and runs no jobs.
    pub operator: bool,
    pub connection: Connection,
    /// Modules and large arguments that are being received; each takes memory.
    pub uploads: Semaphore,
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
}

/// Serves until the connection ends; the error says how it ended.
pub async fn serve(service: Arc<Service>, connection: Connection) -> Result<(), crate::net::ConnectionError> {
    let operator = connection.principal.role() == Role::Operator;
    let tenant = match connection.principal.name() {
        name if operator => service.tenants.get(&format!("operator/{name}")),
        name => service.tenants.get(name),
    };
    let remote = connection.quic.remote_address();
    let held = match tenant.ledger.take(Resource::Connections, 1) {
        Ok(held) => held,
        Err(exhausted) => {
            let why = exhausted.to_string();
            tracing::info!(%remote, tenant = tenant.name(), "refused: {why}");
            connection.quic.close(crate::net::close_code(Some(Code::Overloaded)), why.as_bytes());
            return Ok(());
        }
    };
    tracing::info!(%remote, tenant = tenant.name(), "connected");
    let client = Arc::new(Client {
        service,
        tenant,
        operator,
        uploads: Semaphore::new(limits::CONNECTION_UPLOADS),
        sessions: Mutex::default(),
        connection,
    });
    let ended = client.accept().await;
    let sessions = std::mem::take(&mut *client.sessions.lock());
    let jobs: usize = sessions.values().map(|session| session.abandon("its client is gone")).sum();
    tracing::info!(%remote, tenant = client.tenant.name(), jobs, "disconnected: {ended}");
    drop(held);
    Ok(())
}

impl Client {
    async fn accept(self: &Arc<Self>) -> crate::net::ConnectionError {
        let (quic, tasks) = (&self.connection.quic, &self.service.tasks);
        loop {
            tokio::select! {
                stream = quic.accept_bi() => match stream {
                    Ok((send, recv)) => {
                        let client = Arc::clone(self);
                        tasks.spawn(TaskKind::Stream, "control", super::session::serve(client, send, recv));
                    }
                    Err(error) => return error,
                },
                stream = quic.accept_uni() => match stream {
                    Ok(recv) => tasks.spawn(TaskKind::Stream, "blob", blobs::receive(Arc::clone(self), recv)),
                    Err(error) => return error,
                },
            }
        }
    }

    pub fn session(&self, computation: u64) -> Option<Arc<Session>> {
        self.sessions.lock().get(&computation).cloned()
    }

    /// `false` if the connection has as many computations as it may.
    pub fn add(&self, session: &Arc<Session>) -> bool {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= limits::CONNECTION_COMPUTATIONS {
            return false;
        }
        sessions.insert(session.id, Arc::clone(session));
        self.service.register(session);
        true
    }

    pub fn remove(&self, computation: u64) {
        self.sessions.lock().remove(&computation);
    }
}
