//! A node as its client sees it: one connection, the computations on it, and the streams the node opens.

use crate::computation::{Computation, Shared};
use crate::connect::{self, Attempt};
use crate::error::{Error, Peer, printable};
use crate::framed::{self, FrameReader, FrameWriter};
use crate::grant;
use crate::options::ComputationOptions;
use crate::reader;
use crate::tls::{self, Credentials, Identity};
use crate::transport;
use corovan_core::code::Code;
use corovan_core::ids::{ComputationId, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::grant::Grant;
use corovan_core::tenancy::identity::Role;
use corovan_core::wire::frame::Kind;
use corovan_core::wire::records::{Closed, Open, Opened};
use parking_lot::Mutex;
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A connected node. Cheap to clone; the connection closes with the last clone, computation and job of it.
#[derive(Clone, Debug)]
pub struct Node(pub(crate) Arc<Inner>);

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For all of it: name, handshake and first exchange.
    pub timeout: Duration,
    /// Name and version of this program, shown in the node's log.
    pub agent: String,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub connection: quinn::Connection,
    pub peer: Peer,
    pub id: NodeId,
    pub stdin: Arc<Semaphore>,
    endpoint: quinn::Endpoint,
    /// Whose key signs what lets work go on to other nodes.
    identity: Identity,
    agent: String,
    pub timeout: Duration,
    registry: Registry,
    accepting: JoinHandle<()>,
}

/// Which computation a stream of the node is for.
pub(crate) type Registry = Arc<Mutex<HashMap<ComputationId, Weak<Shared>>>>;

/// A control stream that the node has taken.
pub(crate) struct Control {
    pub opened: Opened,
    pub reader: FrameReader<quinn::RecvStream>,
    pub writer: quinn::SendStream,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            timeout: limits::CONNECT_TIME,
            agent: concat!("corovan-client/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

impl Node {
    /// Connects to `HOST:PORT`, trying all its addresses. When it returns, the node has proved that it is a node of our
    /// cluster, has accepted our certificate, and speaks our protocol.
    pub async fn connect(address: &str, credentials: &Credentials, options: ConnectOptions) -> Result<Node, Error> {
        let deadline = Instant::now() + options.timeout;
        let us = credentials.identity.principal();
        let attempt = Attempt {
            config: credentials.client_config()?,
            server_name: us.cluster_dns_name(),
            us: us.to_string(),
            deadline,
        };
        let addresses = connect::resolve(address, deadline).await?;
        let established = connect::connect(addresses, attempt).await?;
        let (connection, address) = (established.connection, established.address);
        let node = node_name(&connection, address)?;
        let peer = Peer { node, address, us: us.to_string() };
        // The node checks our certificate only after our side of the handshake is done: one exchange tells.
        let hello = async {
            let control = open_control(&connection, &peer, &Open::new(options.agent.clone(), ""), true).await?;
            let Control { opened, mut reader, mut writer } = control;
            let _ = writer.finish();
            let _ = reader.stream_mut().stop(transport::close_code(None));
            Ok::<Opened, Error>(opened)
        };
        let opened = timeout_at(deadline, hello).await.map_err(|_| Error::Connect {
            address,
            why: "the node took the connection, but has not answered the first frame".into(),
        })??;
        let registry = Registry::default();
        let accepting = tokio::spawn(reader::accept_streams(connection.clone(), registry.clone()));
        Ok(Node(Arc::new(Inner {
            connection,
            peer,
            id: opened.node,
            stdin: Arc::new(Semaphore::new(limits::STDIN_STREAMS)),
            endpoint: established.endpoint,
            identity: credentials.identity.clone(),
            agent: options.agent,
            timeout: options.timeout,
            registry,
            accepting,
        })))
    }

    /// Connects to the first of several that answers, tried in this order, each as by [`Node::connect`]. To be called again when a node
    /// is lost ([`Node::lost`]): durable jobs are asked for where they were submitted. Errors: that of the last; none at all is `Address`.
    pub async fn connect_any<A: AsRef<str>>(
        addresses: &[A],
        credentials: &Credentials,
        options: ConnectOptions,
    ) -> Result<Node, Error> {
        let mut last = Error::Address { given: String::new(), why: "no address was given".into() };
        for address in addresses {
            match Node::connect(address.as_ref(), credentials, options.clone()).await {
                Ok(node) => return Ok(node),
                Err(error) => {
                    tracing::debug!(address = address.as_ref(), "not connected: {error}");
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// The name in the node's certificate.
    pub fn name(&self) -> &str {
        &self.0.peer.node
    }

    pub fn address(&self) -> SocketAddr {
        self.0.peer.address
    }

    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// Why the node is lost, if it is.
    pub fn failure(&self) -> Option<Error> {
        self.0.connection.close_reason().map(|reason| self.0.peer.lost_error(&reason))
    }

    /// Waits until the connection ends, and says why it did.
    pub async fn lost(&self) -> Error {
        let reason = self.0.connection.closed().await;
        self.0.peer.lost_error(&reason)
    }

    /// Opens a computation under a label for people.
    pub async fn open(&self, label: &str) -> Result<Computation, Error> {
        self.open_with(ComputationOptions::new(label)).await
    }

    /// Opens a computation with nodes of its own choice (discoro's `Computation` and `schedule`).
    pub async fn open_with(&self, options: ComputationOptions) -> Result<Computation, Error> {
        options.check()?;
        let inner = &self.0;
        let ComputationOptions { label, nodes, weight, pack } = options;
        let mut open = Open { nodes, weight, pack, ..Open::new(inner.agent.clone(), label) };
        open.grant = inner.grant().map(ByteBuf::from);
        let deadline = Instant::now() + inner.timeout;
        let control = timeout_at(deadline, open_control(&inner.connection, &inner.peer, &open, false))
            .await
            .map_err(|_| self.too_many_or_silent())??;
        Ok(Computation::start(inner.clone(), control, &inner.registry))
    }

    /// Tells the node that we are done, and waits until it knows or takes too long.
    pub async fn close(&self) {
        self.0.connection.close(transport::close_code(None), b"done");
        let _ = tokio::time::timeout(limits::SILENCE, self.0.endpoint.wait_idle()).await;
    }

    fn too_many_or_silent(&self) -> Error {
        let open = self.0.registry.lock().values().filter(|one| one.strong_count() > 0).count();
        if open >= limits::CONNECTION_COMPUTATIONS {
            Error::TooMany { what: "computations", max: limits::CONNECTION_COMPUTATIONS as u64 }
        } else {
            Error::Connect { address: self.address(), why: "the node does not answer a new computation".into() }
        }
    }
}

impl Inner {
    /// What lets a computation's work go from this node to others. Without, it stays there.
    fn grant(&self) -> Option<Vec<u8>> {
        let mut computation = [0; 16];
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let us = self.identity.principal();
        let signed = match aws_lc_rs::rand::fill(&mut computation) {
            Ok(()) => {
                let until = now + limits::GRANT_LIFE.as_secs();
                grant::sign(&self.identity, &Grant::whole(us.cluster(), us.name(), computation, now, until))
            }
            Err(_) => Err(grant::Error::Signing),
        };
        match signed {
            Ok(signed) => Some(signed),
            Err(error) => {
                tracing::warn!("this computation stays on the node that takes it: {error}");
                None
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.accepting.abort();
        self.connection.close(transport::close_code(None), b"dropped");
    }
}

/// The name in the node's certificate. The verifier has checked signature, time, purpose and cluster; a role that is not
/// a node's can have got there only by a mistake of the CA.
fn node_name(connection: &quinn::Connection, address: SocketAddr) -> Result<String, Error> {
    let refuse = |fault: crate::Fault| {
        connection.close(transport::close_code(Some(Code::Denied)), b"your certificate is not a node's");
        Error::NodeCertificate { address, fault }
    };
    match tls::peer_principal(connection) {
        Ok(principal) if principal.role() == Role::Node => Ok(principal.name().to_owned()),
        Ok(principal) => Err(refuse(crate::Fault::Role(format!("it names {principal}, not a node")))),
        Err(error) => Err(refuse(crate::Fault::Other(error.to_string()))),
    }
}

/// Sends `Open` on a new stream and reads the node's answer. `first`: nothing was heard from this node before.
async fn open_control(connection: &quinn::Connection, peer: &Peer, open: &Open, first: bool) -> Result<Control, Error> {
    let lost = |error: &quinn::ConnectionError| {
        if first { peer.connect_error(error, Duration::ZERO) } else { peer.lost_error(error) }
    };
    let (send, recv) = connection.open_bi().await.map_err(|error| lost(&error))?;
    let mut writer = FrameWriter::new(send);
    writer.queue(Kind::Open, 0, open, b"").map_err(|error| peer.protocol(error))?;
    if first {
        writer.queue_bare(Kind::Close, 0, b"").map_err(|error| peer.protocol(error))?;
    }
    let written = writer.flush().await;
    let mut reader = FrameReader::new(recv);
    // A node that refuses may answer without reading: what it says counts more than a failed write.
    let answer = reader.next().await;
    if let (Some(reason), Err(_) | Ok(None)) = (connection.close_reason(), &answer) {
        return Err(lost(&reason));
    }
    let frame = match answer {
        Ok(Some(frame)) => frame,
        Ok(None) => return Err(peer.protocol("it ended the stream without an answer")),
        Err(framed::Error::Stream(error)) => return Err(peer.protocol(written.err().unwrap_or(error))),
        Err(error) => return Err(peer.protocol(error)),
    };
    match frame.kind {
        Kind::Opened => {
            let opened: Opened = frame.record().map_err(|error| peer.protocol(error))?;
            if opened.version > open.newest || opened.version < open.oldest {
                return Err(version_error(peer, open, opened.version, opened.version));
            }
            Ok(Control { opened, reader, writer: writer.into_inner() })
        }
        Kind::Closed => {
            let closed: Closed = frame.record().map_err(|error| peer.protocol(error))?;
            Err(match (closed.code, closed.newest, closed.oldest) {
                (Some(Code::Version), Some(newest), Some(oldest)) => version_error(peer, open, newest, oldest),
                (code, ..) => Error::Refused {
                    node: peer.node.clone(),
                    code: code.unwrap_or(Code::Closed),
                    text: printable(&closed.text),
                },
            })
        }
        other => Err(peer.protocol(format!("it answered the first frame with {other:?}"))),
    }
}

fn version_error(peer: &Peer, open: &Open, node_newest: u16, node_oldest: u16) -> Error {
    Error::Version {
        address: peer.address,
        node_newest,
        node_oldest,
        ours_newest: open.newest,
        ours_oldest: open.oldest,
        older: if node_newest > open.newest { "client" } else { "node" },
    }
}
