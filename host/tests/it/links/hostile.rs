//! A peer with a good certificate that breaks the rules: its session ends, its connection is closed with the reason, and others
//! notice nothing.

use super::{Node, authority, credentials, local, message, send};
use crate::in_process::run;
use bytes::{BufMut, BytesMut};
use corovan::net::{Connection, Endpoint, RecvStream, SendStream, closed_with};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::frame::{self, Header, Kind, LANES};
use corovan_core::link::lane::Mark;
use corovan_core::link::session::Hello;
use corovan_core::membership::swim::Unconnected;
use quinn::ConnectionError;
use std::net::{Ipv4Addr, SocketAddr};

/// Speaks the first words as they should be, and what it likes afterwards.
pub struct Mallory {
    endpoint: Endpoint,
    me: NodeId,
}

impl Mallory {
    pub fn new(authority: &corovan::tenancy::ca::Authority, name: &str) -> Mallory {
        let credentials = credentials(authority, name);
        let me = credentials.identity.principal().node_id();
        Mallory { endpoint: Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), &credentials, false).unwrap(), me }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            newest: limits::PROTOCOL_VERSION,
            oldest: limits::PROTOCOL_VERSION_MIN,
            node: self.me,
            incarnation: 5,
            with: 1,
            session: 0,
            highest: 0,
            turn: 1,
            received: vec![0; LANES],
        }
    }

    /// A connection whose first stream begins with these bytes.
    pub async fn says(&self, to: SocketAddr, bytes: &[u8]) -> (Connection, SendStream, RecvStream) {
        let connection = self.endpoint.dial(to).await.unwrap();
        let (mut send, recv) = connection.quic.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        (connection, send, recv)
    }
}

pub fn encoded(hello: &Hello) -> BytesMut {
    let mut bytes = BytesMut::new();
    hello.encode(&mut bytes).unwrap();
    bytes
}

/// Why the other side has closed the connection.
pub async fn closed(connection: &Connection) -> (Option<Code>, String) {
    match connection.quic.closed().await {
        ConnectionError::ApplicationClosed(closed) => {
            (closed_with(closed.error_code), String::from_utf8_lossy(&closed.reason).into_owned())
        }
        other => (None, other.to_string()),
    }
}

/// Frames of a lane, from this number on.
pub fn lane(number: u8, first: u64, frames: &[(Header, &[u8])]) -> BytesMut {
    let mut bytes = BytesMut::new();
    Mark::Lane { lane: number, number: first }.encode(&mut bytes);
    for (header, payload) in frames {
        frame::encode(&mut bytes, header, &[payload]).unwrap();
    }
    bytes
}

#[test]
fn a_hello_that_is_not_what_it_should_be_is_refused_with_the_reason() {
    run(async {
        let authority = authority();
        let (victim, mallory) = (Node::start(&authority, "a"), Mallory::new(&authority, "mallory"));
        let good = mallory.hello();
        let mut huge = BytesMut::new();
        huge.put_u32_le(u32::MAX);
        for (bytes, why) in [
            (BytesMut::from(&[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..]), "not what it should be"),
            (huge, "over the limit"),
            (encoded(&Hello { node: NodeId([7; 12]), ..good.clone() }), "its certificate does not"),
            (encoded(&Hello { received: vec![0; 3], ..good.clone() }), "3 lanes"),
            (encoded(&Hello { newest: 0, oldest: 0, ..good.clone() }), "versions 0 to 0"),
            (encoded(&Hello { incarnation: 0, ..good.clone() }), "incarnation 0"),
            (encoded(&Hello { highest: u64::MAX, ..good.clone() }), "out of range"),
        ] {
            let (connection, ..) = mallory.says(victim.address, &bytes).await;
            let (code, text) = closed(&connection).await;
            assert_eq!(code, Some(Code::Protocol), "{text}");
            assert!(text.contains(why), "{text:?} says nothing of {why:?}");
        }
        assert!(victim.links.sessions().is_empty());
    });
}

#[test]
fn who_makes_connections_and_says_nothing_takes_no_more_than_its_place() {
    run(async {
        let authority = authority();
        let (victim, innocent) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        let mallory = Mallory::new(&authority, "mallory");
        let mut open = Vec::new();
        for _ in 0..2 * limits::MESH_GREETINGS {
            open.push(mallory.endpoint.dial(victim.address).await.unwrap());
        }
        let refused = first_closed(&open, limits::MESH_GREETINGS).await;
        assert!(
            refused.iter().all(|(code, why)| *code == Some(Code::Overloaded) && why.contains("first word")),
            "{refused:?}"
        );
        innocent.knows(&victim);
        send(&innocent.session(&victim), message(Kind::Message, 1, 2, 0), b"m").await.unwrap();
        victim.inbox.until(|inbox| inbox.messages.lock().len() == 1).await;
        // Those that it gives up make place for others.
        open.iter().for_each(|connection| connection.quic.close(0u32.into(), b""));
        loop {
            let (_connection, _send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
            if recv.read_exact(&mut [0; 4]).await.is_ok() {
                break;
            }
        }
    });
}

#[test]
fn who_sends_datagrams_without_end_is_heard_at_times_and_others_always() {
    run(async {
        let authority = authority();
        let (victim, innocent) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        let mallory = Mallory::new(&authority, "mallory");
        let begin = std::time::Instant::now();
        let (connection, _send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        recv.read_exact(&mut [0; 4]).await.unwrap();
        let count = |from| victim.inbox.datagrams.lock().iter().filter(|(node, _)| *node == from).count() as u64;
        for _ in 0..20 * limits::PEER_DATAGRAM_BURST {
            connection.quic.send_datagram_wait(vec![7; 1_000].into()).await.unwrap();
        }
        innocent.knows(&victim);
        while count(innocent.links.node()) == 0 {
            innocent.links.datagram(
                victim.address,
                Some(victim.links.node()),
                b"here".as_slice().into(),
                Unconnected::Dial,
            );
            tokio::task::yield_now().await;
        }
        let passed = begin.elapsed().as_nanos() / limits::PEER_DATAGRAM_INTERVAL.as_nanos();
        let heard = count(mallory.me);
        assert!((1..=limits::PEER_DATAGRAM_BURST + passed as u64).contains(&heard), "{heard} after {passed} intervals");
    });
}

/// So many of these have been closed, and why.
async fn first_closed(open: &[Connection], count: usize) -> Vec<(Option<Code>, String)> {
    let mut tasks = tokio::task::JoinSet::new();
    for connection in open {
        let connection = connection.clone();
        tasks.spawn(async move { closed(&connection).await });
    }
    let mut refused = Vec::new();
    while refused.len() < count {
        refused.push(tasks.join_next().await.unwrap().unwrap());
    }
    refused
}

#[test]
fn who_breaks_the_rules_of_a_session_loses_it_and_nobody_else_does() {
    run(async {
        let authority = authority();
        let (victim, innocent) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        innocent.knows(&victim);
        let session = innocent.session(&victim);
        send(&session, message(Kind::Message, 1, 2, 0), b"m").await.unwrap();
        let first = message(Kind::Message, 1, 2, 0);
        let at = first.lane();
        let many = vec![(first, &b"m"[..]); limits::FIRST_CONTACT_MESSAGES as usize + 1];
        *victim.inbox.full.lock() = Some(Vec::new());
        let unknown = {
            let mut bytes = lane(at, 1, &[(first, b"m")]);
            bytes[Mark::SIZE + 4] = 99;
            bytes
        };
        let endless = {
            let mut bytes = lane(at, 1, &[(first, b"m")]);
            bytes[Mark::SIZE..Mark::SIZE + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            bytes
        };
        let answer = Header { call: 9, ..Header::new(Kind::Answer) };
        let returned = Header { to: local(2), call: 1_000, tag: 1, ..Header::new(Kind::CreditReturn) };
        let monitor = Header { call: 1, ..message(Kind::Call, 1, 2, 0) };
        for (n, (what, bytes)) in [
            ("a lane that begins with a gap", lane(at, 7, &[(first, b"m")])),
            ("a frame in another's lane", lane(if at == 2 { 3 } else { 2 }, 1, &[(first, b"m")])),
            ("an unknown kind", unknown),
            ("a length beyond all limits", endless),
            ("a lane that is none", lane(77, 1, &[])),
            ("messages beyond its credit", lane(at, 1, &many)),
            ("an answer to what was never asked", lane(frame::REPLIES, 1, &[(answer, b"")])),
            ("credit returned that it cannot have used", lane(frame::CONTROL, 1, &[(returned, b"")])),
            ("a monitor's number twice", lane(monitor.lane(), 1, &[(monitor, b""), (monitor, b"")])),
        ]
        .into_iter()
        .enumerate()
        {
            // Each time another: one that was refused is not believed less.
            let mallory = Mallory::new(&authority, &format!("mallory-{n}"));
            let (connection, _send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
            let mut head = [0; 4];
            recv.read_exact(&mut head).await.unwrap();
            let mut stream = connection.quic.open_uni().await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let (code, text) = closed(&connection).await;
            assert_eq!(code, Some(Code::Protocol), "{what}: {text}");
        }
        // Acknowledges what was never sent.
        let mallory = Mallory::new(&authority, "mallory");
        let mut bytes = encoded(&mallory.hello());
        Mark::Lane { lane: 4, number: 12 }.encode(&mut bytes);
        let (connection, _sends, _hears) = mallory.says(victim.address, &bytes).await;
        assert_eq!(closed(&connection).await.0, Some(Code::Protocol));
        // The innocent one noticed nothing.
        victim.inbox.open();
        send(&session, message(Kind::Message, 1, 2, 1), b"m").await.unwrap();
        victim.inbox.until(|inbox| inbox.messages.lock().iter().any(|(_, _, tag, _)| *tag == 1)).await;
        assert!(!session.has_ended());
        assert_eq!(victim.links.sessions().len(), 1);
    });
}

#[test]
fn a_boot_that_is_over_is_not_believed_and_a_later_one_ends_what_was() {
    run(async {
        let authority = authority();
        let (victim, mallory) = (Node::start(&authority, "a"), Mallory::new(&authority, "mallory"));
        let (now, _now_sends, _now_hears) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        victim.inbox.until(|_| true).await;
        let later = Hello { incarnation: 6, ..mallory.hello() };
        // The first may not be adopted yet when the second comes; it is refused or replaced all the same.
        let (newer, _sends, _hears) = mallory.says(victim.address, &encoded(&later)).await;
        let _ = closed(&now).await;
        let (old, ..) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        let (code, text) = closed(&old).await;
        assert_eq!(code, Some(Code::Protocol), "{text}");
        assert!(text.contains("started later (incarnation 6;"), "{text}");
        assert!(newer.quic.close_reason().is_none(), "{:?}", newer.quic.close_reason());
    });
}
