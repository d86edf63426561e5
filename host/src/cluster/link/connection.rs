//! One connection's tasks: hellos, then lanes out and in, marks, and datagrams, until it is closed or its session ends.

use super::links::Links;
use super::peer::{Adopted, MOST, Peer};
use super::session::{Fault, Session};
use crate::net::{Connection, ConnectionError, RecvStream, SendStream, closed_with};
use bytes::BytesMut;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::link::contact::Refused;
use corovan_core::link::frame::{Decoder, LANES};
use corovan_core::link::lane::Mark;
use corovan_core::link::session::{self, Hello};
use corovan_core::text::cut;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Hello(#[from] session::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no hello came in time")]
    Slow,
    #[error("it closed the stream before its hello")]
    NoHello,
    #[error("{MOST} nodes are connected and all of these connections are used (MESH_LINKS)")]
    TooMany,
    #[error("{max} connections of this node wait for their first word (MESH_GREETINGS)", max = limits::MESH_GREETINGS)]
    Silent,
    #[error("another connection with this node stays")]
    Other,
}

/// The connection's first stream after the hellos, and what has been read beyond them.
struct First {
    send: SendStream,
    recv: RecvStream,
    rest: BytesMut,
}

/// Serves a connection, which this node dialled (`own`) or the other, until it is over.
pub(super) async fn serve(links: &Links, connection: Connection, own: bool) {
    let number = links.next_number();
    let node = connection.principal.node_id();
    let remote = connection.quic.remote_address();
    let Some(peer) = links.peer(node) else { return refuse(&connection, &Error::TooMany) };
    let greeting = if own { None } else { Some(peer.greets()) };
    if let Some(None) = greeting {
        return refuse(&connection, &Error::Silent);
    }
    let greeted = greet(links, &peer, &connection, number, own).await;
    drop(greeting);
    let first = match greeted {
        Ok(first) => first,
        Err(error) => {
            peer.lost(number);
            match (&error, why_refused(&connection)) {
                (_, Some(why)) => tracing::warn!(%remote, peer = %connection.principal, "it refuses this node: {why}"),
                // What becomes of two that dial each other at once.
                (Error::Refused(Refused::Lesser | Refused::Stale) | Error::Other | Error::Connection(_), None) => {
                    tracing::debug!(%remote, peer = %connection.principal, "not used: {error}");
                }
                (_, None) => tracing::info!(%remote, peer = %connection.principal, "refused: {error}"),
            }
            return refuse(&connection, &error);
        }
    };
    let (adopted, first) = first;
    let session = Arc::clone(&adopted.session);
    tracing::debug!(%remote, peer = %connection.principal, session = session.number(), "connected");
    let over = session.over.notified();
    tokio::pin!(over);
    over.as_mut().enable();
    let mut tasks = start((links, &peer), (number, &connection), adopted, first);
    let ended = loop {
        if session.has_ended() {
            break None;
        }
        tokio::select! {
            error = connection.quic.closed() => break Some(error),
            () = &mut over => break None,
            Some(done) = tasks.join_next() => if let Ok(Err(fault)) = done {
                if !session.has_ended() {
                    session.fail(&fault);
                }
                break None;
            },
        }
    };
    tasks.shutdown().await;
    peer.lost(number);
    match ended {
        None => {
            let (code, why) = match session.fault() {
                Some(fault) => (Some(Code::Protocol), &fault.0[..]),
                None => (None, "the session has ended"),
            };
            connection.quic.close(crate::net::close_code(code), why.as_bytes());
        }
        Some(error) => {
            tracing::debug!(%remote, peer = %connection.principal, "disconnected: {error}");
            // It says that it goes: there is nothing to be resumed.
            if let ConnectionError::ApplicationClosed(closed) = &error
                && closed_with(closed.error_code) == Some(Code::ShuttingDown)
            {
                peer.end(&session, "the other node has shut down");
            }
        }
    }
}

/// Exchanges hellos; the end that dialled begins.
async fn greet(
    links: &Links,
    peer: &Arc<Peer>,
    connection: &Connection,
    number: u64,
    own: bool,
) -> Result<(Adopted, First), Error> {
    let exchange = async {
        let (mut send, mut recv) = match own {
            true => {
                let hello = peer.dialled(number, connection).ok_or(Error::Other)?;
                let (mut send, recv) = connection.quic.open_bi().await?;
                write_hello(&mut send, &hello).await?;
                (send, recv)
            }
            false => connection.quic.accept_bi().await?,
        };
        let (theirs, rest) = read_hello(&mut recv).await?;
        make_room(links, peer)?;
        let make = || links.make_session(peer.node);
        let Some(fresh) = make() else { return Err(Error::Other) };
        let mut adopted =
            peer.heard((number, connection, own), &theirs, || fresh, |session| links.supervise(peer, session))?;
        if let Some(answer) = adopted.answer.take() {
            write_hello(&mut send, &answer).await?;
        }
        Ok((adopted, First { send, recv, rest }))
    };
    tokio::time::timeout(limits::CONNECT_TIME, exchange).await.map_err(|_| Error::Slow)?
}

/// One connection more: one that nobody needs is closed where there are too many.
fn make_room(links: &Links, peer: &Arc<Peer>) -> Result<(), Error> {
    let connected = links.connected();
    if connected.len() < MOST || connected.iter().any(|other| Arc::ptr_eq(other, peer)) {
        return Ok(());
    }
    let idle = |peer: &&Arc<Peer>| peer.held().is_none_or(|session| !session.is_busy());
    let kept = |peer: &&Arc<Peer>| peer.state.lock().kept;
    let least = connected.iter().filter(|peer| !kept(peer) && idle(peer)).min_by_key(|peer| peer.state.lock().used);
    least.map(|peer| peer.rest()).ok_or(Error::TooMany)
}

fn start(
    (links, peer): (&Links, &Arc<Peer>),
    (number, connection): (u64, &Connection),
    adopted: Adopted,
    first: First,
) -> JoinSet<Result<(), Fault>> {
    let Adopted { session, pending, .. } = adopted;
    let mut tasks = JoinSet::new();
    for datagram in pending {
        let _ = connection.quic.send_datagram(datagram);
    }
    for lane in 0..LANES {
        tasks.spawn(write_lane((number, connection.clone()), Arc::clone(&session), lane));
    }
    tasks.spawn(write_marks(first.send, Arc::clone(&session), number));
    tasks.spawn(read_marks(first.recv, first.rest, Arc::clone(&session)));
    tasks.spawn(read_lanes(connection.clone(), Arc::clone(&session)));
    tasks.spawn(read_datagrams(links.clone(), Arc::clone(peer), connection.clone()));
    tasks
}

/// Writes what a lane has, as long as the connection lasts. A connection that breaks is no fault: the session resumes.
async fn write_lane((here, connection): (u64, Connection), session: Arc<Session>, number: usize) -> Result<(), Fault> {
    let lane = &session.lanes[number];
    let mut stream: Option<SendStream> = None;
    loop {
        let chunk = lane.out.lock().take(here);
        let Some(chunk) = chunk else {
            if session.live.load(Ordering::Acquire) != here {
                // What woke this task was for the one that has taken its place.
                lane.work.notify_one();
                return rest().await;
            }
            lane.work.notified().await;
            continue;
        };
        let stream = match &mut stream {
            Some(stream) => stream,
            None => {
                let Ok(mut opened) = connection.quic.open_uni().await else { return rest().await };
                // Control, then replies, then messages; transfers have less.
                let _ = opened.set_priority(match number {
                    0 => 2,
                    1 => 1,
                    _ => 0,
                });
                let mut head = BytesMut::with_capacity(Mark::SIZE);
                Mark::Lane { lane: number as u8, number: chunk.first }.encode(&mut head);
                if opened.write_all(&head).await.is_err() {
                    return rest().await;
                }
                stream.insert(opened)
            }
        };
        if stream.write_chunk(chunk.bytes).await.is_err() {
            return rest().await;
        }
        let mut pulse = session.pulse.lock();
        let now = session.clock.now();
        pulse.sent(now);
        pulse.used(now);
    }
}

/// Acknowledges what has come, and says that this end is alive.
async fn write_marks(mut send: SendStream, session: Arc<Session>, here: u64) -> Result<(), Fault> {
    let mut out = BytesMut::new();
    loop {
        session.soon.notified().await;
        tokio::select! {
            () = tokio::time::sleep(ACKNOWLEDGE) => {}
            () = session.now.notified() => {}
        }
        if session.live.load(Ordering::Acquire) != here {
            session.soon.notify_one();
            return rest().await;
        }
        for (lane, incoming) in session.incoming.iter().enumerate() {
            let upto = incoming.lock().acknowledge();
            upto.into_iter().for_each(|number| Mark::Lane { lane: lane as u8, number }.encode(&mut out));
        }
        let alive = session.alive.lock().take();
        alive.into_iter().for_each(|answer| Mark::Alive { answer }.encode(&mut out));
        if send.write_all(&out).await.is_err() {
            return rest().await;
        }
        out.clear();
    }
}

async fn read_marks(mut recv: RecvStream, mut bytes: BytesMut, session: Arc<Session>) -> Result<(), Fault> {
    loop {
        while let Some(mark) = Mark::decode(&mut bytes)? {
            session.mark(mark)?;
        }
        bytes.reserve(READ);
        match recv.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return rest().await,
            Ok(_) => session.pulse.lock().heard(session.clock.now()),
        }
    }
}

/// Takes the streams of lanes.
async fn read_lanes(connection: Connection, session: Arc<Session>) -> Result<(), Fault> {
    let mut lanes = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.quic.accept_uni() => match stream {
                Ok(stream) => drop(lanes.spawn(read_lane(stream, Arc::clone(&session)))),
                Err(_) => return rest().await,
            },
            Some(done) = lanes.join_next() => if let Ok(Err(fault)) = done { return Err(fault) },
        }
    }
}

async fn read_lane(mut stream: RecvStream, session: Arc<Session>) -> Result<(), Fault> {
    let mut head = [0; Mark::SIZE];
    if stream.read_exact(&mut head).await.is_err() {
        return Ok(());
    }
    let Some(Mark::Lane { lane, number }) = Mark::decode(&mut BytesMut::from(&head[..]))? else {
        return Err(Fault("a stream that begins with no lane".into()));
    };
    let lane = usize::from(lane);
    let mut place = session.incoming[lane].lock().begin(number)?;
    let mut decoder = Decoder::default();
    // A connection that breaks is no fault, nor is one that the other side gives up.
    while let Ok(Some(chunk)) = stream.read_chunk(limits::READ_BYTES, true).await {
        if session.has_ended() {
            break;
        }
        let due = session.piece(lane, &mut place, &mut decoder, chunk.bytes)?;
        {
            let mut pulse = session.pulse.lock();
            let now = session.clock.now();
            pulse.heard(now);
            pulse.used(now);
        }
        session.soon.notify_one();
        if due {
            session.now.notify_one();
        }
    }
    Ok(())
}

async fn read_datagrams(links: Links, peer: Arc<Peer>, connection: Connection) -> Result<(), Fault> {
    let from = connection.quic.remote_address();
    while let Ok(datagram) = connection.quic.read_datagram().await {
        if peer.sends_datagram(links.0.config.clock.now()) {
            links.incoming_datagram(from, peer.node, datagram);
        }
    }
    rest().await
}

async fn write_hello(send: &mut SendStream, hello: &Hello) -> Result<(), Error> {
    let mut bytes = BytesMut::new();
    hello.encode(&mut bytes)?;
    send.write_all(&bytes).await.map_err(std::io::Error::from)?;
    Ok(())
}

async fn read_hello(recv: &mut RecvStream) -> Result<(Hello, BytesMut), Error> {
    let mut bytes = BytesMut::with_capacity(limits::HELLO_BYTES);
    loop {
        if let Some(hello) = Hello::decode(&mut bytes)? {
            return Ok((hello, bytes));
        }
        bytes.reserve(READ);
        if recv.read_buf(&mut bytes).await? == 0 {
            return Err(Error::NoHello);
        }
    }
}

fn refuse(connection: &Connection, error: &Error) {
    let code = match error {
        Error::Refused(Refused::Hello(_)) | Error::Hello(_) | Error::NoHello | Error::Slow => Some(Code::Protocol),
        Error::TooMany | Error::Silent => Some(Code::Overloaded),
        _ => None,
    };
    connection.quic.close(crate::net::close_code(code), error.to_string().as_bytes());
}

/// What the other node said when it closed the connection, where it took this one's hello for wrong.
fn why_refused(connection: &Connection) -> Option<String> {
    match connection.quic.close_reason()? {
        ConnectionError::ApplicationClosed(closed) if closed_with(closed.error_code) == Some(Code::Protocol) => {
            Some(cut(String::from_utf8_lossy(&closed.reason).escape_debug().to_string(), limits::TEXT_BYTES))
        }
        _ => None,
    }
}

/// The connection is over, which is noticed elsewhere.
async fn rest<T>() -> T {
    std::future::pending().await
}

/// What has come is acknowledged within this time; soon enough for who waits for room, and late enough for an answer to have
/// gone by then.
const ACKNOWLEDGE: Duration = Duration::from_millis(5);
const READ: usize = 1 << 10;
