//! Strangers on the wire: clients and nodes that speak another version, another protocol or nonsense. Whoever breaks the
//! rules loses that stream, is told so, and disturbs nobody else.

use crate::in_process::{Cluster, ECHO, prepare, run};
use bytes::{BufMut, BytesMut};
use corovan_client::framed::FrameReader;
use corovan_client::{Arguments, Error, Event};
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::wire::exit::ExitHead;
use corovan_core::wire::frame::{self, Kind};
use corovan_core::wire::nodes::{AskPeer, ListNodes, NodeInfo, NodeState};
use corovan_core::wire::records::{Blob, BlobKind, Closed, JobLimits, Open, Opened, Prepare, Refused, Submit};
use corovan_core::wire::{Frame, Outcome};
use serde::Serialize;
use std::net::Ipv4Addr;

/// A connection that obeys QUIC and TLS, and nothing else.
struct Raw {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

struct Stream {
    send: quinn::SendStream,
    receive: FrameReader<quinn::RecvStream>,
}

impl Raw {
    async fn connect(cluster: &Cluster) -> Raw {
        Raw::connect_as(cluster, Role::Tenant).await
    }

    async fn connect_as(cluster: &Cluster, role: Role) -> Raw {
        let credentials = cluster.credentials(role, "raw");
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let name = credentials.identity.principal().cluster_dns_name();
        let config = credentials.client_config().unwrap();
        let connection = endpoint.connect_with(config, cluster.node.address(), &name).unwrap().await.unwrap();
        Raw { connection, _endpoint: endpoint }
    }

    async fn stream(&self, bytes: &[u8]) -> Stream {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        Stream { send, receive: FrameReader::new(receive) }
    }

    /// A computation, opened as it should be.
    async fn open(&self) -> (Stream, Opened) {
        let mut stream = self.stream(&encoded(Kind::Open, 0, &Open::new("raw", ""))).await;
        let frame = stream.next().await.unwrap();
        assert_eq!(frame.kind, Kind::Opened);
        let opened = frame.record().unwrap();
        (stream, opened)
    }
}

impl Stream {
    async fn next(&mut self) -> Option<Frame> {
        self.receive.next().await.unwrap()
    }

    /// The last frame, which must be the node's word that it is over.
    async fn closed(&mut self) -> Closed {
        let frame = self.next().await.expect("a Closed frame");
        assert_eq!(frame.kind, Kind::Closed);
        assert!(self.next().await.is_none(), "nothing follows");
        frame.record().unwrap()
    }
}

pub fn encoded<T: Serialize>(kind: Kind, id: u64, record: &T) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::encode(&mut bytes, kind, id, record, &[]).unwrap();
    bytes
}

fn bare(kind: Kind, id: u64, payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::encode_bare(&mut bytes, kind, id, payload).unwrap();
    bytes
}

/// A frame's header alone, with any numbers.
pub fn header(len: u32, kind: u16, head: u16) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u32_le(len);
    bytes.put_u16_le(kind);
    bytes.put_u16_le(head);
    bytes.put_u64_le(1);
    bytes
}

#[test]
fn a_client_from_the_future_is_told_both_sides_versions() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster).await;
        let open = Open { newest: 120, oldest: 99, ..Open::new("raw", "") };
        let closed = raw.stream(&encoded(Kind::Open, 0, &open)).await.closed().await;
        assert_eq!(closed.code, Some(Code::Version));
        assert_eq!(
            (closed.oldest, closed.newest),
            (Some(limits::PROTOCOL_VERSION_MIN), Some(limits::PROTOCOL_VERSION))
        );
        assert!(closed.text.contains("99 to 120"), "{}", closed.text);
        // One that also knows our version is served.
        let open = Open { newest: 120, ..Open::new("raw", "") };
        let mut stream = raw.stream(&encoded(Kind::Open, 0, &open)).await;
        let opened: Opened = stream.next().await.unwrap().record().unwrap();
        assert_eq!(opened.version, limits::PROTOCOL_VERSION);
    });
}

#[test]
fn a_frame_that_breaks_the_protocol_ends_its_stream_alone() {
    run(async {
        let cluster = Cluster::start(16).await;
        let neighbour = cluster.open("neighbour").await;
        let spec = prepare(&neighbour, ECHO, "echo").await;
        let raw = Raw::connect(&cluster).await;
        let (mut good, _) = raw.open().await;
        let submit = Kind::Submit as u16;
        for (what, bytes, part) in [
            ("4 GiB", header(u32::MAX, submit, 0), "4294967295 bytes is over the limit"),
            ("one byte too many", header(limits::FRAME_BODY as u32 + 1, submit, 0), "over the limit"),
            ("head longer than its frame", header(4, submit, 5), "longer than its frame"),
            ("head over its limit", header(limits::FRAME_BODY as u32, submit, u16::MAX), "over the limit"),
            ("unknown kind", header(0, 0x7fff, 0), "kind 32767 is not known"),
            ("a node's frame", bare(Kind::Exit, 1, &[]), "does not send Exit"),
            ("Open again", encoded(Kind::Open, 0, &Open::new("", "")), "does not send Open"),
            ("not CBOR", bare(Kind::Submit, 1, &[0xff; 8]), "Submit"),
        ] {
            let (mut stream, _) = raw.open().await;
            // The node may be done with it before it has read all.
            let _ = stream.send.write_all(&bytes).await;
            let closed = stream.closed().await;
            assert_eq!(closed.code, Some(Code::Protocol), "{what}");
            assert!(closed.text.contains(part), "{what}: {}", closed.text);
            let record = neighbour.run(&spec, Arguments::none()).await.unwrap();
            assert_eq!(record.outcome, Outcome::Finished(vec![0x80].into()));
        }
        // The other stream of the same connection goes on: what was not prepared cannot run, and is told as its exit.
        good.send.write_all(&encoded(Kind::Submit, 5, &Submit { spec: 9, ..Submit::default() })).await.unwrap();
        let exit = good.next().await.unwrap();
        assert_eq!((exit.kind, exit.id), (Kind::Exit, 5));
        let head: ExitHead = exit.record().unwrap();
        assert!(head.text.contains("spec 9 is not prepared"), "{}", head.text);
        good.send.write_all(&bare(Kind::Close, 0, &[])).await.unwrap();
        assert_eq!(good.closed().await, Closed::done());
    });
}

#[test]
fn a_stream_that_does_not_begin_as_it_should_is_refused_with_the_reason() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster).await;
        for (what, bytes, code, part) in [
            ("HTTP", BytesMut::from(&b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"[..]), Code::Protocol, "over the limit"),
            ("zeros", BytesMut::zeroed(16), Code::Protocol, "kind 0"),
            ("another frame", bare(Kind::Close, 0, &[]), Code::Protocol, "begins with an Open frame"),
            (
                "another protocol's magic",
                encoded(Kind::Open, 0, &Open { magic: "other".into(), ..Open::new("", "") }),
                Code::Protocol,
                "not Corovan's",
            ),
            ("an empty head", bare(Kind::Open, 0, &[]), Code::Protocol, "Open"),
            (
                "a grant that is none",
                encoded(Kind::Open, 0, &Open { grant: Some(vec![1].into()), ..Open::new("", "") }),
                Code::Denied,
                "the computation's grant",
            ),
        ] {
            let closed = raw.stream(&bytes).await.closed().await;
            assert_eq!(closed.code, Some(code), "{what}");
            assert!(closed.text.contains(part), "{what}: {}", closed.text);
        }
        let mut silent = raw.stream(b"").await;
        let _ = silent.send.finish();
        assert_eq!(silent.closed().await.code, Some(Code::Protocol));
        // The connection is as good as before.
        raw.open().await;
    });
}

#[test]
fn one_way_streams_that_nobody_asked_for_are_nothing() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster).await;
        let (mut stream, opened) = raw.open().await;
        let blob = |kind, computation| encoded(Kind::Blob, 7, &Blob { computation, kind, size: Some(8) });
        for bytes in [
            BytesMut::from(&b"nonsense, and more of it"[..]),
            header(u32::MAX, Kind::Blob as u16, 0),
            blob(BlobKind::Module, opened.computation),
            blob(BlobKind::Module, u64::MAX),
            blob(BlobKind::Value, opened.computation),
            bare(Kind::Close, 0, &[]),
        ] {
            let mut blob = raw.connection.open_uni().await.unwrap();
            let _ = blob.write_all(&bytes).await;
            let _ = blob.write_all(&[0; 8]).await;
            let _ = blob.finish();
        }
        stream.send.write_all(&bare(Kind::Close, 0, &[])).await.unwrap();
        assert_eq!(stream.closed().await, Closed::done());
        // As many streams as it likes, one after the other: each gives its place back.
        for _ in 0..limits::CLIENT_UNI_STREAMS * 3 {
            let mut blob = raw.connection.open_uni().await.unwrap();
            let _ = blob.write_all(&header(u32::MAX, 0, 0)).await;
            let _ = blob.finish();
        }
    });
}

#[test]
fn a_connection_has_so_many_computations_and_no_more() {
    run(async {
        let cluster = Cluster::start(16).await;
        let node = cluster.connect("me").await;
        let mut open = Vec::new();
        for _ in 0..limits::CONNECTION_COMPUTATIONS {
            open.push(node.open("one").await.unwrap());
        }
        let refused = node.open("one too many").await.unwrap_err().to_string();
        assert!(refused.contains("16") && refused.contains("computations"), "{refused}");
        // Each that is closed gives its place back, soon.
        for _ in 0..3 * limits::CLIENT_BIDI_STREAMS {
            open.remove(0).close().await.unwrap();
            let again = loop {
                match node.open("again").await {
                    Ok(again) => break again,
                    Err(error) => assert!(error.to_string().contains("computations"), "{error}"),
                }
            };
            open.push(again);
        }
    });
}

#[test]
fn only_a_tenant_may_run_jobs() {
    run(async {
        let cluster = Cluster::start(16).await;
        let address = cluster.node.address().to_string();
        let node = cluster.credentials(Role::Node, "b");
        let error = corovan_client::Node::connect(&address, &node, Default::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("wrong role") && text.contains("/node/b") && text.contains("tenant"), "{text}");
        let operator = cluster.credentials(Role::Operator, "b");
        let operator = corovan_client::Node::connect(&address, &operator, Default::default()).await.unwrap();
        match operator.open("").await.unwrap_err() {
            Error::Refused { code: Code::Denied, text, .. } => assert!(text.contains("is no tenant"), "{text}"),
            other => panic!("{other}"),
        }
        // One that shows no grant gets no further than its first spec.
        let raw = Raw::connect_as(&cluster, Role::Operator).await;
        let (mut stream, _) = raw.open().await;
        let limits = JobLimits::default();
        let (module, env) = (ModuleHash::of(b""), Vec::new());
        let prepare = Prepare { module, size: 0, function: None, limits, env, terminals: 0 };
        stream.send.write_all(&encoded(Kind::Prepare, 1, &prepare)).await.unwrap();
        let refused: Refused = stream.next().await.unwrap().record().unwrap();
        assert!(refused.code == Code::Denied && refused.text.contains("cert tenant"), "{refused:?}");
    });
}

#[test]
fn whoever_watches_nodes_and_says_more_loses_that_stream_alone_and_a_tenant_is_told_little() {
    run(async {
        let cluster = Cluster::start(16).await;
        let raw = Raw::connect(&cluster).await;
        let mut bytes = BytesMut::new();
        frame::encode(&mut bytes, Kind::ListNodes, 0, &ListNodes { watch: true }, b"").unwrap();
        let mut stream = raw.stream(&bytes).await;
        let info = stream.receive.next().await.unwrap().unwrap();
        let info: NodeInfo = info.record().unwrap();
        assert!(info.asked && info.details.is_none() && info.state == NodeState::Alive, "{info:?}");
        assert_eq!(stream.receive.next().await.unwrap().unwrap().kind, Kind::NodesTold);
        stream.send.write_all(&bytes).await.unwrap();
        let closed: Closed = stream.receive.next().await.unwrap().unwrap().record().unwrap();
        assert!(closed.code == Some(Code::Protocol) && closed.text.contains("ListNodes"), "{closed:?}");
        bytes.clear();
        frame::encode(&mut bytes, Kind::AskPeer, 0, &AskPeer { address: "127.0.0.1:1".into() }, b"").unwrap();
        let closed: Closed = raw.stream(&bytes).await.receive.next().await.unwrap().unwrap().record().unwrap();
        assert!(closed.code == Some(Code::Denied) && closed.text.contains("cert operator"), "{closed:?}");
    });
}

#[test]
fn a_client_that_vanishes_is_noticed_by_silence() {
    run(async {
        let cluster = Cluster::start(16).await;
        // A runtime that is stopped sends nothing more, not even that it closes.
        let other = std::thread::spawn({
            let credentials = cluster.credentials(Role::Tenant, "vanishing");
            let address = cluster.node.address().to_string();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let kept = runtime.block_on(async {
                    let node = corovan_client::Node::connect(&address, &credentials, Default::default()).await.unwrap();
                    let computation = node.open("vanishing").await.unwrap();
                    let spec = prepare(&computation, ECHO, "sleeps").await;
                    let mut job = computation.submit(&spec, Arguments::none(), Default::default()).await.unwrap();
                    assert!(matches!(job.next_event().await, Some(Event::Started { .. })));
                    (node, computation, job)
                });
                (runtime, kept)
            }
        });
        let kept = tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
        cluster.has_load(0, 0).await;
        // Dropped outside of any runtime's context, as its owner would.
        std::thread::spawn(move || drop(kept)).join().unwrap();
    });
}
