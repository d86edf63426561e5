//! Coroutines and modules that other nodes ask for: one that takes its time, or takes nothing, harms those whose grant it shows
//! and nobody else.

use super::{Node, join};
use crate::in_process::run;
use crate::links::authority;
use crate::links::hostile::{Mallory, encoded, lane};
use bytes::{Bytes, BytesMut};
use corovan::cluster::hosting::{Guest, Hosts};
use corovan::cluster::link::{Answer, Granted, Place, Watcher};
use corovan::runtime::Refusal;
use corovan::runtime::ports::Pending;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::link::call::{self, Call, Spawn};
use corovan_core::link::frame::{CONTROL, Decoded, Decoder, Header, Kind, Local};
use corovan_core::link::lane::Mark;
use corovan_core::tenancy::quota::Resource;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::oneshot::Receiver;

/// Of what the nodes here give.
fn hash() -> ModuleHash {
    ModuleHash::of(&vec![1; 3 * limits::MESSAGE_BYTES + 5])
}

/// Modules of a node that runs nothing: what it was given, and what it gives, if it answers at all.
#[derive(Default)]
struct Stock {
    kept: Mutex<Option<Bytes>>,
    gives: Option<Bytes>,
}

impl Hosts for Stock {
    fn host(&self, _: Guest) -> Pending<Result<Address, Refusal>> {
        Box::pin(async { Err(Refusal::new(Code::ShuttingDown, "it has its module, and runs nothing")) })
    }
    fn keep(&self, _: &Granted, _: ModuleHash, bytes: Bytes) -> Pending<Result<(), Refusal>> {
        *self.kept.lock() = Some(bytes);
        Box::pin(async { Ok(()) })
    }
    fn has(&self, _: &Granted, _: &ModuleHash) -> bool {
        self.kept.lock().is_some()
    }
    fn bytes(&self, _: &Granted, _: ModuleHash) -> Pending<Result<Bytes, Refusal>> {
        match self.gives.clone() {
            Some(bytes) => Box::pin(async {
                // Reading takes a while, in which others ask as well.
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                Ok(bytes)
            }),
            None => Box::pin(std::future::pending()),
        }
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn ended(self: Box<Self>, _: Option<(u8, Bytes)>) {}
}

/// A call of a coroutine of one node to another node, under the grant of the first tenant.
pub async fn ask(from: &Node, to: &Node, record: Call, bytes: Bytes) -> Receiver<Answer> {
    from.links.place(to.links.node(), Place::At(to.address));
    let session = from.links.session(to.links.node()).unwrap();
    let (call, answer) = session.begin_call().unwrap();
    let record = match record {
        Call::Spawn(spawn) => Call::Spawn(Spawn { over: session.begin_monitor(Box::new(Nobody)).unwrap(), ..spawn }),
        other => other,
    };
    let header = Header { call, from: Local { counter: 1, secret: 1 }, ..Header::new(Kind::Call) };
    let pass = session.pass(&Bytes::copy_from_slice(to.bench.tenant.name().as_bytes()));
    let mut sending = session.send(Some(pass), header, [call::encode(&record).unwrap(), bytes]);
    poll_fn(|cx| sending.poll(cx)).await.unwrap();
    answer
}

fn spawn() -> Call {
    Call::Spawn(Spawn {
        module: hash(),
        function: "f".into(),
        memory: 0,
        deadline: 1 << 40,
        over: 0,
        service: None,
        most: 0,
        command: None,
        large: None,
        stdin: false,
        cpu: None,
    })
}

pub fn code(answer: Answer) -> Option<Code> {
    let Answer::Given { tag, .. } = answer else { return None };
    u16::try_from(tag).ok().and_then(Code::from_number)
}

#[test]
fn who_asks_for_a_guest_and_keeps_its_module_to_itself_holds_up_nobody_else() {
    run(async {
        let authority = authority();
        let victim = Node::with(&authority, "victim", Arc::new(Stock::default()));
        let mallory = Node::with(&authority, "mallory", Arc::new(Stock::default()));
        let gives = Some(Bytes::from(vec![1; 3 * limits::MESSAGE_BYTES + 5]));
        let honest = Node::with(&authority, "honest", Arc::new(Stock { gives: gives.clone(), ..Stock::default() }));
        let held = || victim.bench.tenant.ledger.used(Resource::Held);
        let before = held();
        let mut never = Vec::new();
        for _ in 0..8 {
            never.push(ask(&mallory, &victim, spawn(), Bytes::from(vec![0; 1 << 20])).await);
        }
        // A call after them shows that they have come.
        let denied =
            ask(&mallory, &victim, Call::Cancel { by: "".into(), reason: "".into(), grace: None }, Bytes::new());
        drop(denied.await);
        let answer = ask(&honest, &victim, spawn(), Bytes::new()).await.await.unwrap();
        assert_eq!(code(answer), Some(Code::ShuttingDown), "it was fetched from the one that gives it");
        // Arguments that wait are their tenant's, until whoever wants them is gone.
        assert!(held() >= before + (8 << 20), "{before} {}", held());
        mallory.endpoint.close("gone").await;
        for answer in never {
            assert!(matches!(answer.await, Err(_) | Ok(Answer::Lost)));
        }
        while held() > before {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn who_asks_for_modules_and_takes_nothing_keeps_them_from_nobody_else() {
    run(async {
        let authority = authority();
        let gives = Bytes::from(vec![1; limits::MESSAGE_BYTES + 5]);
        let stock = || Arc::new(Stock { gives: Some(gives.clone()), ..Stock::default() });
        let victim = Node::with(&authority, "victim", stock());
        let honest = Node::with(&authority, "honest", Arc::new(Stock::default()));
        // Reads no stream, acknowledges nothing.
        let mallory = Mallory::new(&authority, "mallory");
        let (connection, mut send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        recv.read_exact(&mut [0; 4]).await.unwrap();
        let module = call::encode(&Call::Module { hash: hash(), offset: 0 }).unwrap();
        let tenant = victim.bench.tenant.name().as_bytes().to_vec();
        let mut frames = vec![(Header { grant: 1, ..Header::new(Kind::Grant) }, &tenant[..])];
        let asked = 2 * limits::MODULE_READS_ASKED as u64;
        frames.extend((1..=asked).map(|call| (Header { grant: 1, call, ..Header::new(Kind::Call) }, &module[..])));
        let mut stream = connection.quic.open_uni().await.unwrap();
        stream.write_all(&lane(CONTROL, 1, &frames)).await.unwrap();
        // It is there, and says so, whatever it does not take.
        let alive = tokio::spawn(async move {
            loop {
                let mut mark = BytesMut::new();
                Mark::Alive { answer: false }.encode(&mut mark);
                if send.write_all(&mark).await.is_err() {
                    return;
                }
                tokio::time::sleep(limits::KEEP_ALIVE).await;
            }
        });
        let session = victim.links.sessions().remove(0);
        let full = Header::new(Kind::Answer);
        while session.has_room_for(&full, limits::MESSAGE_BYTES) {
            tokio::task::yield_now().await;
        }
        for offset in [0, limits::MESSAGE_BYTES as u64] {
            let answer =
                ask(&honest, &victim, Call::Module { hash: hash(), offset }, Bytes::new()).await.await.unwrap();
            let Answer::Given { tag: 0, payload, .. } = answer else { panic!("{answer:?}") };
            assert_eq!(payload.len() as u64, 8 + (gives.len() as u64 - offset).min(limits::MESSAGE_BYTES as u64));
        }
        assert!(!session.has_ended() && !session.is_jammed(&full), "no more is read than there is room for");
        alive.abort();
    });
}

#[test]
fn the_end_of_one_that_very_many_watch_is_told_to_each_though_nothing_is_taken_for_now() {
    const MONITORS: u64 = 10_000;
    run(async {
        let authority = authority();
        let victim = Node::with(&authority, "victim", Arc::new(Stock::default()));
        let (watched, _seen) = victim.play("(call $sleep (i64.const -1))", Address::default());
        let mallory = Mallory::new(&authority, "mallory");
        let (connection, mut send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        recv.read_exact(&mut [0; 4]).await.unwrap();
        let between = Header { grant: 1, to: Local::from(watched.address), ..Header::new(Kind::Call) };
        let tenant = victim.bench.tenant.name().as_bytes().to_vec();
        let monitor = call::encode(&Call::Monitor).unwrap();
        let reason = "x".repeat(limits::TEXT_BYTES);
        let ends = call::encode(&Call::Terminate { by: "mallory".into(), reason }).unwrap();
        let mut frames = vec![(Header { kind: Kind::Grant, ..between }, &tenant[..])];
        frames.extend((1..=MONITORS).map(|call| (Header { call, ..between }, &monitor[..])));
        frames.push((Header { call: 1, ..between }, &ends[..]));
        let mut stream = connection.quic.open_uni().await.unwrap();
        stream.write_all(&lane(between.lane(), 1, &frames)).await.unwrap();
        let exit = Header { kind: Kind::Exit, to: between.from, from: between.to, ..between };
        let session = victim.links.sessions().remove(0);
        while !session.is_jammed(&exit) && !session.has_ended() {
            tokio::task::yield_now().await;
        }
        // Now it takes what there is.
        let (mut told, mut cut) = (BTreeSet::new(), 0);
        while (told.len() as u64) < MONITORS {
            let mut stream = connection.quic.accept_uni().await.unwrap();
            let mut head = [0; Mark::SIZE];
            stream.read_exact(&mut head).await.unwrap();
            if head[0] != exit.lane() {
                continue;
            }
            let (mut decoder, mut number) = (Decoder::default(), 0);
            while let Some(chunk) = stream.read_chunk(limits::READ_BYTES, true).await.unwrap() {
                decoder.feed(chunk.bytes);
                while let Some(Decoded::Frame(frame)) = decoder.next().unwrap() {
                    number += 1;
                    if frame.header.kind == Kind::Exit {
                        assert!(told.insert(frame.header.call), "{} twice", frame.header.call);
                        cut += usize::from(frame.payload.len() < limits::TEXT_BYTES);
                    }
                }
                let mut mark = BytesMut::new();
                Mark::Lane { lane: exit.lane(), number }.encode(&mut mark);
                send.write_all(&mark).await.unwrap();
                if told.len() as u64 == MONITORS {
                    break;
                }
            }
        }
        assert!(cut > 0 && cut < told.len(), "{cut} told in short");
        assert!(!session.has_ended());
    });
}

#[test]
fn a_node_is_chosen_by_the_name_that_its_certificate_has_and_not_by_one_that_it_says() {
    run(async {
        let authority = authority();
        let [a, b] = ["a", "b"].map(|name| Node::start(&authority, name));
        let mallory = Node::that_says(&authority, "mallory", "b", false, |_| Arc::new(Stock::default()));
        join(&[&a, &mallory]).await;
        let mesh = a.bench.runtime.mesh.get().unwrap();
        // What it says of itself comes a moment later.
        while a.handle.members().values().any(|member| member.about.is_none()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(mesh.place("b").unwrap_err().code, Code::NodeLost);
        b.handle.announce(a.address);
        b.until(3).await;
        while mesh.place("b").is_err() {
            tokio::task::yield_now().await;
        }
        // By its certificate it is known at once; what it says of itself comes later.
        while mesh.place("b*,cores>=0").is_err() {
            tokio::task::yield_now().await;
        }
        for _ in 0..4 {
            assert_eq!(mesh.place("b").unwrap(), b.links.node());
            assert_eq!(
                mesh.place("[ab],cores>=0").unwrap_err().code,
                Code::NodeLost,
                "there are no classes of characters"
            );
            assert_eq!(mesh.place("b*,cores>=0").unwrap(), b.links.node());
        }
        assert_eq!(mesh.place("cores>=1000000").unwrap_err().code, Code::NodeLost);
        assert_eq!(mesh.place("cores>=x").unwrap_err().code, Code::Invalid);
    });
}

#[test]
fn a_grant_that_is_shown_under_many_numbers_is_kept_once() {
    run(async {
        let authority = authority();
        let victim = Node::start(&authority, "victim");
        let mallory = Mallory::new(&authority, "mallory");
        let (connection, _send, mut recv) = mallory.says(victim.address, &encoded(&mallory.hello())).await;
        recv.read_exact(&mut [0; 4]).await.unwrap();
        let tenant = victim.bench.tenant.name().as_bytes().to_vec();
        let frames: Vec<_> =
            (1..=100).map(|grant| (Header { grant, ..Header::new(Kind::Grant) }, &tenant[..])).collect();
        let mut stream = connection.quic.open_uni().await.unwrap();
        stream.write_all(&lane(CONTROL, 1, &frames)).await.unwrap();
        let session = victim.links.sessions().remove(0);
        while session.was_granted(100).is_none() {
            tokio::task::yield_now().await;
        }
        let first = session.was_granted(1).unwrap().unwrap();
        for number in 2..=100 {
            assert!(Arc::ptr_eq(&first, &session.was_granted(number).unwrap().unwrap()), "{number}");
        }
    });
}

#[test]
fn pieces_of_modules_that_are_asked_for_all_at_once_all_come() {
    run(async {
        let authority = authority();
        let gives = Some(Bytes::from(vec![1; 2 * limits::MESSAGE_BYTES]));
        let giver = Node::with(&authority, "giver", Arc::new(Stock { gives, ..Stock::default() }));
        let taker = Node::start(&authority, "taker");
        let mut answers = Vec::new();
        for _ in 0..64 {
            answers.push(ask(&taker, &giver, Call::Module { hash: hash(), offset: 0 }, Bytes::new()).await);
        }
        for answer in answers {
            let Answer::Given { tag: 0, payload, .. } = answer.await.unwrap() else { panic!("a piece did not come") };
            assert_eq!(payload.len(), 8 + limits::MESSAGE_BYTES);
        }
    });
}
