//! Links between nodes over real QUIC: order, resumption, credit, and what becomes of those who wait when a node is gone or
//! breaks the rules.

mod dial_out;
mod grants;
pub mod hostile;

use crate::in_process::run;
use bytes::Bytes;
use corovan::cluster::link::{Answer, Config, Datagrams, Fault, Inbox, Links, NotSent, Place, Session, Watcher};
use corovan::net::{Arrival, Endpoint};
use corovan::runtime::RealClock;
use corovan::tasks::Tasks;
use corovan::tenancy::ca::Authority;
use corovan_client::Credentials;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::link::credit::Amount;
use corovan_core::link::frame::{Frame, Header, Kind, Local};
use corovan_core::membership::swim::Unconnected;
use corovan_core::tenancy::identity::Role;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// A node with links and nothing else: every mailbox takes everything, and remembers it.
pub struct Node {
    pub links: Links,
    pub address: SocketAddr,
    pub inbox: Arc<Remember>,
    endpoint: Endpoint,
}

/// What came, in order.
#[derive(Default)]
pub struct Remember {
    pub messages: Mutex<Vec<(Local, Local, u64, Bytes)>>,
    /// Messages are kept back and not settled while this is so.
    pub full: Mutex<Option<Kept>>,
    pub datagrams: Mutex<Vec<(NodeId, Bytes)>>,
    /// Who was to be asked for a connection.
    pub called: Mutex<Vec<NodeId>>,
    pub ended: Mutex<usize>,
    changed: Notify,
}

/// Messages with the sessions in which they came.
type Kept = Vec<(Arc<Session>, Frame)>;

/// Room enough.
const ROOM: Amount = Amount::new(1_000_000, 1 << 40);

impl Remember {
    fn take(&self, session: &Arc<Session>, frame: Frame) {
        let header = frame.header;
        self.messages.lock().push((header.from, header.to, header.tag, frame.payload.clone()));
        session.settled(header.to, frame.payload.len(), ROOM);
        if header.kind == Kind::Deliver {
            session.answer(Header { call: header.call, ..Header::new(Kind::Delivered) }, &[]);
        }
        self.changed.notify_waiters();
    }

    /// Takes what was kept back.
    pub fn open(&self) {
        let kept = self.full.lock().take().unwrap_or_default();
        kept.into_iter().for_each(|(session, frame)| self.take(&session, frame));
    }

    /// Waits until this is so.
    pub async fn until(&self, what: impl Fn(&Remember) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if what(self) {
                return;
            }
            changed.await;
        }
    }
}

impl Inbox for Remember {
    fn message(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault> {
        if let Some(kept) = &mut *self.full.lock() {
            kept.push((Arc::clone(session), frame));
            self.changed.notify_waiters();
            return Ok(());
        }
        self.take(session, frame);
        Ok(())
    }

    fn call(&self, session: &Arc<Session>, frame: Frame) -> Result<(), Fault> {
        // Monitors: one of an odd coroutine is told at once, one of an even one never.
        let header = frame.header;
        session.watch(header.call, Box::new(|| ()))?.map_err(|refused| Fault(refused.to_string()))?;
        if header.to.counter % 2 == 1 && session.unwatch(header.call) {
            session.answer(
                Header { call: header.call, from: header.to, to: header.from, ..Header::new(Kind::Exit) },
                b"over",
            );
        }
        Ok(())
    }

    fn grant(&self, _: &Arc<Session>, _: Frame) -> Result<(), Fault> {
        Ok(())
    }

    fn ended(&self, _: &Arc<Session>) {
        *self.ended.lock() += 1;
        self.changed.notify_waiters();
    }
}

impl Datagrams for Remember {
    fn datagram(&self, _: SocketAddr, proven: NodeId, bytes: Bytes) {
        self.datagrams.lock().push((proven, bytes));
        self.changed.notify_waiters();
    }

    fn call_back(&self, node: NodeId) {
        self.called.lock().push(node);
        self.changed.notify_waiters();
    }
}

/// Tells of a monitor's end through a channel.
struct Told(tokio::sync::oneshot::Sender<Option<Bytes>>);

impl Watcher for Told {
    fn ended(self: Box<Self>, exit: Option<(u8, Bytes)>) {
        let _ = self.0.send(exit.map(|(_, record)| record));
    }
}

pub fn credentials(authority: &Authority, name: &str) -> Credentials {
    let issued = authority.issue(Role::Node, name, SystemTime::now(), limits::CERTIFICATE_LIFE).unwrap();
    authority.credentials(&issued).unwrap()
}

impl Node {
    pub fn start(authority: &Authority, name: &str) -> Node {
        Node::with(authority, name, false)
    }

    pub fn with(authority: &Authority, name: &str, dial_out: bool) -> Node {
        let credentials = credentials(authority, name);
        let node = credentials.identity.principal().node_id();
        let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), &credentials, false).unwrap();
        let address = endpoint.local_address().unwrap();
        let (clock, tasks) = (Arc::new(RealClock::new()), Tasks::here());
        let links = Links::new(Config { node, incarnation: 1, endpoint: endpoint.clone(), clock, tasks, dial_out });
        let inbox = Arc::new(Remember::default());
        links.open(Arc::clone(&inbox) as _, Arc::clone(&inbox) as _);
        let (accepts, taken) = (endpoint.clone(), links.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepts.accept().await {
                let (accepts, taken) = (accepts.clone(), taken.clone());
                tokio::spawn(async move {
                    if let Ok(Arrival::Known(connection)) = accepts.establish(incoming).await {
                        taken.accepted(connection).await;
                    }
                });
            }
        });
        Node { links, address, inbox, endpoint }
    }

    fn knows(&self, other: &Node) {
        self.links.place(other.links.node(), Place::At(other.address));
    }

    fn session(&self, with: &Node) -> Arc<Session> {
        self.links.session(with.links.node()).unwrap()
    }
}

pub fn authority() -> Authority {
    Authority::generate("test", SystemTime::now()).unwrap()
}

fn local(counter: u64) -> Local {
    Local { counter, secret: 7 }
}

fn message(kind: Kind, from: u64, to: u64, tag: u64) -> Header {
    Header { from: local(from), to: local(to), tag, ..Header::new(kind) }
}

async fn send(session: &Arc<Session>, header: Header, payload: &[u8]) -> Result<(), NotSent> {
    let mut sending = session.send(None, header, [Bytes::copy_from_slice(payload), Bytes::new()]);
    poll_fn(|cx| sending.poll(cx)).await
}

#[test]
fn messages_keep_their_order_and_come_once_though_connections_break_again_and_again() {
    const MESSAGES: u64 = 20_000;
    run(async {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        a.knows(&b);
        let session = a.session(&b);
        let breaks = async {
            for part in 1..8 {
                b.inbox.until(|inbox| inbox.messages.lock().len() as u64 > part * MESSAGES / 10).await;
                // By turns at either end.
                if part % 2 == 0 { &a.links } else { &b.links }.break_connections();
            }
        };
        let sends = async {
            for tag in 0..MESSAGES {
                send(&session, message(Kind::Message, tag % 5, tag % 3, tag), &tag.to_le_bytes()).await.unwrap();
            }
            let (call, answer) = session.begin_call().unwrap();
            send(&session, Header { call, ..message(Kind::Deliver, 1, 1, MESSAGES) }, b"last").await.unwrap();
            assert!(matches!(answer.await.unwrap(), Answer::Given { kind: Kind::Delivered, tag: 0, .. }));
        };
        tokio::join!(breaks, sends);
        b.inbox.until(|inbox| inbox.messages.lock().len() as u64 == MESSAGES + 1).await;
        let messages = b.inbox.messages.lock();
        let mut seen = vec![false; MESSAGES as usize + 1];
        let mut last = std::collections::HashMap::new();
        for (from, to, tag, _) in &*messages {
            assert!(!std::mem::replace(&mut seen[*tag as usize], true), "{tag} came twice");
            let before = last.insert((*from, *to), *tag);
            assert!(before.is_none_or(|before| before < *tag), "{tag} came after {before:?}");
        }
        assert!(seen.iter().all(|seen| *seen));
        assert!(!session.has_ended() && session.number() == 1, "the session is the first one still");
        assert_eq!((*a.inbox.ended.lock(), *b.inbox.ended.lock()), (0, 0));
    });
}

#[test]
fn two_that_dial_each_other_at_once_share_one_session_and_one_connection() {
    run(async {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        a.knows(&b);
        b.knows(&a);
        let (there, back) = (a.session(&b), b.session(&a));
        for tag in 0..100 {
            let (one, other) = (message(Kind::Message, 1, 2, tag), message(Kind::Message, 3, 4, tag));
            let (one, other) = tokio::join!(send(&there, one, b"there"), send(&back, other, b"back"));
            one.and(other).unwrap();
        }
        for node in [&a, &b] {
            node.inbox.until(|inbox| inbox.messages.lock().len() == 100).await;
            assert_eq!((node.links.connections(), node.links.sessions().len()), (1, 1));
        }
        assert_eq!(there.number(), back.number());
    });
}

#[test]
fn who_sends_to_a_full_mailbox_waits_and_nobody_else_does() {
    run(async {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        a.knows(&b);
        let session = a.session(&b);
        *b.inbox.full.lock() = Some(Vec::new());
        let mut sent = 0;
        // First contact has room for sixteen; they are answered, and a window that stays small goes on.
        while session.send_now(None, &message(Kind::Message, 1, 2, sent), &[b"m"]).unwrap() {
            sent += 1;
        }
        assert_eq!(sent, limits::FIRST_CONTACT_MESSAGES);
        b.inbox.until(|inbox| inbox.full.lock().as_ref().unwrap().len() as u64 == sent).await;
        let mut waits = session.send(None, message(Kind::Message, 1, 2, sent), Default::default());
        let pending = poll_fn(|cx| std::task::Poll::Ready(waits.poll(cx).is_pending())).await;
        assert!(pending);
        // Another mailbox of the same node.
        send(&session, message(Kind::Message, 1, 3, 0), b"m").await.unwrap();
        b.inbox.until(|inbox| inbox.full.lock().as_ref().unwrap().len() as u64 == sent + 1).await;
        b.inbox.open();
        poll_fn(|cx| waits.poll(cx)).await.unwrap();
        b.inbox.until(|inbox| inbox.messages.lock().len() as u64 == sent + 2).await;
    });
}

#[test]
fn when_a_node_is_gone_calls_and_monitors_end_once_and_a_new_boot_begins_a_new_session() {
    run(async {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        a.knows(&b);
        let session = a.session(&b);
        let mut told = Vec::new();
        for target in [1, 2] {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let call = session.begin_monitor(Box::new(Told(sender))).unwrap();
            send(&session, Header { call, ..message(Kind::Call, 9, target, 0) }, &[]).await.unwrap();
            told.push(receiver);
        }
        let never = told.pop().unwrap();
        assert_eq!(told.pop().unwrap().await.unwrap().as_deref(), Some(&b"over"[..]));
        *b.inbox.full.lock() = Some(Vec::new());
        let (call, answer) = session.begin_call().unwrap();
        send(&session, Header { call, ..message(Kind::Deliver, 1, 2, 0) }, b"m").await.unwrap();
        b.endpoint.close("gone").await;
        assert!(matches!(answer.await.unwrap(), Answer::Lost));
        assert_eq!(never.await.unwrap(), None);
        assert_eq!(send(&session, message(Kind::Message, 1, 2, 0), b"m").await, Err(NotSent::Lost));
        let again = Node::start(&authority, "b");
        a.knows(&again);
        let next = a.session(&again);
        assert!(!Arc::ptr_eq(&session, &next));
        send(&next, message(Kind::Message, 1, 2, 0), b"m").await.unwrap();
        again.inbox.until(|inbox| inbox.messages.lock().len() == 1).await;
    });
}

#[test]
fn a_datagram_finds_its_way_with_or_without_a_connection() {
    run(async {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        // A seed: nobody knows who is there.
        a.links.datagram(b.address, None, Bytes::from_static(b"who?"), Unconnected::Dial);
        b.inbox.until(|inbox| inbox.datagrams.lock().len() == 1).await;
        assert_eq!(b.inbox.datagrams.lock()[0], (a.links.node(), Bytes::from_static(b"who?")));
        b.links.datagram(a.address, Some(a.links.node()), Bytes::from_static(b"me"), Unconnected::Drop);
        a.inbox.until(|inbox| inbox.datagrams.lock().len() == 1).await;
        assert_eq!((a.links.connections(), b.links.connections()), (1, 1), "the same connection is used");
    });
}
