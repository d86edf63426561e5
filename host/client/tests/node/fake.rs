//! A node that does what it is told: certificates from a CA in memory, hellos answered, other computations handed to the
//! test.

use crate::tenancy::ca::{Authority, Issued};
use crate::tls;
use bytes::{Bytes, BytesMut};
use corovan_client::framed::{FrameReader, FrameWriter};
use corovan_client::{Arguments, Computation, ConnectOptions, Credentials, Job, Module, Node, Prepare, Spec};
use corovan_client::{SubmitOptions, transport};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::wire::exit::{ExitRecord, Outcome, Usage};
use corovan_core::wire::frame::{Frame, Kind};
use corovan_core::wire::records::{Blob, Open, Opened};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub const NODE: NodeId = NodeId([9; 12]);

pub struct Fake {
    pub address: String,
    pub authority: Authority,
    pub endpoint: quinn::Endpoint,
}

/// One computation, as the node sees it.
pub struct Session {
    pub connection: quinn::Connection,
    pub reader: FrameReader<quinn::RecvStream>,
    pub writer: FrameWriter<quinn::SendStream>,
    pub open: Open,
    pub computation: u64,
}

pub fn authority() -> Authority {
    Authority::generate("test", SystemTime::now()).unwrap()
}

pub fn issue(authority: &Authority, role: Role) -> Issued {
    authority.issue(role, "one", SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap()
}

pub fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A server with these settings that hands every connection to `serve`.
pub fn listen<F>(
    config: quinn::ServerConfig,
    serve: impl Fn(quinn::Connection) -> F + Send + 'static,
) -> quinn::Endpoint
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = quinn::Endpoint::server(config, loopback()).unwrap();
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if let Ok(connection) = incoming.await {
                tokio::spawn(serve(connection));
            }
        }
    });
    endpoint
}

impl Fake {
    /// A node that answers hellos, and `Opened` to everything else before it hands it to `serve`.
    pub fn start<F>(serve: impl Fn(Session) -> F + Send + Sync + 'static) -> Fake
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Fake::start_with(limits::COMPUTATION_JOBS as u64, serve)
    }

    pub fn start_with<F>(jobs: u64, serve: impl Fn(Session) -> F + Send + Sync + 'static) -> Fake
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let serve = Arc::new(serve);
        Fake::raw(move |mut session| {
            let serve = serve.clone();
            async move {
                let opened = session.opened(limits::PROTOCOL_VERSION, jobs);
                session.send(Kind::Opened, 0, &opened, b"").await;
                if !session.open.label.is_empty() {
                    serve(session).await;
                }
            }
        })
    }

    /// A node that leaves the answer to `Open` to `serve`.
    pub fn raw<F>(serve: impl Fn(Session) -> F + Send + Sync + 'static) -> Fake
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let authority = authority();
        let config = server_config(&authority);
        let serve = Arc::new(serve);
        let numbers = Arc::new(AtomicU64::new(1));
        let endpoint = listen(config, move |connection| {
            let (serve, numbers) = (serve.clone(), numbers.clone());
            async move {
                while let Ok((send, recv)) = connection.accept_bi().await {
                    let mut reader = FrameReader::new(recv);
                    let Ok(Some(first)) = reader.next().await else { continue };
                    let open: Open = first.record().unwrap();
                    let computation = numbers.fetch_add(1, Ordering::Relaxed);
                    let writer = FrameWriter::new(send);
                    let connection = connection.clone();
                    tokio::spawn(serve(Session { connection, reader, writer, open, computation }));
                }
            }
        });
        Fake { address: endpoint.local_addr().unwrap().to_string(), authority, endpoint }
    }

    pub fn credentials(&self) -> Credentials {
        self.authority.credentials(&issue(&self.authority, Role::Tenant)).unwrap()
    }

    pub async fn connect(&self) -> Node {
        Node::connect(&self.address, &self.credentials(), ConnectOptions::default()).await.unwrap()
    }

    /// A computation with a spec that the node has called prepared.
    pub async fn computation(&self) -> (Computation, Spec) {
        let computation = self.connect().await.open("test").await.unwrap();
        let spec = computation.prepare(module()).await.unwrap();
        (computation, spec)
    }

    /// One job of such a computation.
    pub async fn job(&self) -> Job {
        let (computation, spec) = self.computation().await;
        computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap()
    }
}

pub fn server_config(authority: &Authority) -> quinn::ServerConfig {
    let identity = issue(authority, Role::Node).identity().unwrap();
    tls::server_config(&identity, &authority.roots().unwrap(), false).unwrap()
}

pub fn module() -> Prepare {
    Prepare::function(Module::from_bytes(&b"module"[..]).unwrap(), "f")
}

impl Session {
    pub fn opened(&self, version: u16, jobs: u64) -> Opened {
        Opened {
            version,
            node: NODE,
            node_name: "one".into(),
            agent: "fake".into(),
            computation: self.computation,
            jobs,
            nonce: Default::default(),
        }
    }

    /// The next frame; the stream's end and a lost connection look the same here.
    pub async fn next(&mut self) -> Option<Frame> {
        self.reader.next().await.ok().flatten()
    }

    /// The next frame, which must be of this kind.
    pub async fn expect(&mut self, kind: Kind) -> Frame {
        let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind:?}"));
        assert_eq!(frame.kind, kind);
        frame
    }

    /// Answers `Prepare` with `Prepared`.
    pub async fn prepare(&mut self) {
        let id = self.expect(Kind::Prepare).await.id;
        self.bare(Kind::Prepared, id, b"").await;
    }

    /// Answers `Prepare`, and takes a first job's number.
    pub async fn first_job(&mut self) -> u64 {
        self.prepare().await;
        self.expect(Kind::Submit).await.id
    }

    pub async fn send<T: Serialize>(&mut self, kind: Kind, id: u64, head: &T, payload: &[u8]) {
        self.writer.queue(kind, id, head, payload).unwrap();
        let _ = self.writer.flush().await;
    }

    pub async fn bare(&mut self, kind: Kind, id: u64, payload: &[u8]) {
        self.writer.queue_bare(kind, id, payload).unwrap();
        let _ = self.writer.flush().await;
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.writer.stream_mut().write_all(bytes).await;
    }

    pub async fn exit(&mut self, id: u64, outcome: Outcome) {
        let (head, value) = record(outcome).to_head();
        self.send(Kind::Exit, id, &head, &value).await;
    }

    /// A stream that the client opened: its first frame, and all bytes after it.
    pub async fn blob(&self) -> (u64, Blob, Bytes) {
        let (id, blob, first, mut stream) = self.blob_stream().await;
        let mut bytes = BytesMut::from(&first[..]);
        while let Some(chunk) = stream.read_chunk(usize::MAX, true).await.unwrap() {
            bytes.extend_from_slice(&chunk.bytes);
        }
        (id, blob, bytes.freeze())
    }

    pub async fn blob_stream(&self) -> (u64, Blob, Bytes, quinn::RecvStream) {
        let mut reader = FrameReader::new(self.connection.accept_uni().await.unwrap());
        let frame = reader.next().await.unwrap().unwrap();
        assert_eq!(frame.kind, Kind::Blob);
        let (first, stream) = reader.into_parts();
        (frame.id, frame.record().unwrap(), first, stream)
    }

    /// A stream towards the client.
    pub async fn send_blob(&self, id: u64, blob: &Blob, bytes: &[u8]) {
        send_blob(&self.connection, id, blob, bytes).await;
    }

    /// Keeps the session open until the client ends it.
    pub async fn hold(mut self) {
        while self.next().await.is_some() {}
    }

    pub fn close_connection(&self, code: Code, text: &str) {
        self.connection.close(transport::close_code(Some(code)), text.as_bytes());
    }
}

pub async fn send_blob(connection: &quinn::Connection, id: u64, blob: &Blob, bytes: &[u8]) {
    let mut writer = FrameWriter::new(connection.open_uni().await.unwrap());
    writer.queue(Kind::Blob, id, blob, b"").unwrap();
    let _ = writer.flush().await;
    let mut stream = writer.into_inner();
    let _ = stream.write_all(bytes).await;
    let _ = stream.finish();
}

pub fn record(outcome: Outcome) -> ExitRecord {
    ExitRecord {
        address: Address { node: NODE, incarnation: 1, counter: 2, secret: 3 },
        module: ModuleHash::of(b"module"),
        function: "f".into(),
        attempt: 0,
        outcome,
        usage: Usage { cpu: 5, ..Usage::default() },
    }
}
