//! A client's own coroutine: others of any node send to it, ask it and are answered; it sends, asks, monitors, joins, interrupts and ends
//! them; and what a client does wrong or does not take harms nobody.

use crate::in_process::{Cluster, ECHO, module, run};
use crate::mesh::connect;
use crate::process::Place;
use corovan_client::{Arguments, Computation, Error, Job, Mailbox, MessageKind, Prepare, Remote, Spec, SubmitOptions};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::wire::Outcome;
use std::time::Duration;

/// `server` says to whom it is given that it is there, and answers what comes: requests by a reply, messages by one with the next tag;
/// tag 99 ends it with its bytes. `asks` asks whom it is given, and gives the reply; `floods` sends it so many messages.
const PARTNER: &str = r#"(module
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "request" (func $request (param i32 i64 i32 i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "reply" (func $reply (param i64 i32 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (memory (export "memory") 20)
    (data (i32.const 512) "\63ask")
    (func (export "server") (local $size i32)
        (drop (call $args (i32.const 0) (i32.const 64)))
        (drop (call $send (i32.const 3) (i64.const 1) (i32.const 0) (i32.const 0) (i64.const -1)))
        (loop $next
            (local.set $size (call $receive (i64.const -1) (i32.const 0) (i32.const 128) (i32.const 1024) (i32.const 1200000)))
            (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return)))
            (if (i64.eq (i64.load (i32.const 136)) (i64.const 99))
                (then (drop (call $finish (i32.const 1024) (local.get $size))) (return)))
            (if (i64.eqz (i64.load (i32.const 152)))
                (then (drop (call $send (i32.const 160) (i64.add (i64.load (i32.const 136)) (i64.const 1))
                    (i32.const 1024) (local.get $size) (i64.const -1))))
                (else (drop (call $reply (i64.load (i32.const 152)) (i32.const 1024) (local.get $size)))))
            (br $next)))
    (func (export "asks") (local $size i32)
        (drop (call $args (i32.const 0) (i32.const 64)))
        (local.set $size (call $request (i32.const 3) (i64.const 7) (i32.const 512) (i32.const 4) (i64.const -1)
            (i32.const 128) (i32.const 1024) (i32.const 1200000)))
        (if (i32.lt_s (local.get $size) (i32.const 0)) (then unreachable))
        (drop (call $finish (i32.const 1024) (local.get $size))))
    (func (export "floods") (local $left i32)
        (drop (call $args (i32.const 0) (i32.const 64)))
        (local.set $left (i32.const 20000))
        (loop $next
            (if (call $send (i32.const 3) (i64.extend_i32_u (local.get $left)) (i32.const 1024) (i32.const 1000) (i64.const -1))
                (then unreachable))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next (local.get $left)))))"#;

const SOON: Duration = Duration::from_secs(30);

async fn prepare(computation: &Computation, function: &str) -> Spec {
    computation.prepare(Prepare::function(module(PARTNER), function)).await.unwrap()
}

async fn start(computation: &Computation, spec: &Spec, mailbox: &Mailbox, at: Option<&str>) -> Job {
    let arguments = Arguments::of(&(mailbox.address(),)).unwrap();
    let options = SubmitOptions { at: at.map(str::to_owned), ..SubmitOptions::default() };
    computation.submit(spec, arguments, options).await.unwrap()
}

/// A server that has said that it is there.
async fn server(computation: &Computation, mailbox: &mut Mailbox, at: Option<&str>) -> (Job, Remote) {
    let spec = prepare(computation, "server").await;
    let job = start(computation, &spec, mailbox, at).await;
    let hello = mailbox.receive().await.unwrap();
    assert_eq!((hello.kind, hello.tag, hello.bytes.len()), (MessageKind::Message, 1, 0));
    (job, mailbox.remote(hello.from))
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Code {
    match outcome {
        Err(Error::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

/// What a client and a coroutine have to say to each other, wherever that is.
async fn converse(computation: &Computation, at: Option<&str>) {
    let mut mailbox = computation.mailbox().await.unwrap();
    let (mut job, remote) = server(computation, &mut mailbox, at).await;
    // In order, whether large or small.
    let sizes = [0, 5, 70_000, 1, limits::MESSAGE_BYTES, 3];
    for (number, size) in sizes.into_iter().enumerate() {
        remote.send(number as u64 * 10, vec![number as u8; size]).await.unwrap();
    }
    for (number, size) in sizes.into_iter().enumerate() {
        let message = mailbox.receive().await.unwrap();
        assert_eq!((message.from, message.tag), (remote.address(), number as u64 * 10 + 1));
        assert!(message.bytes.len() == size && message.bytes.iter().all(|byte| *byte == number as u8), "{size}");
        assert!(!message.is_request());
    }
    // What was sent before a request comes before it.
    for number in 0..20_u8 {
        remote.send(1_000, vec![number]).await.unwrap();
        assert_eq!(&remote.request(0, vec![number], SOON).await.unwrap()[..], [number]);
        let answer = mailbox.receive().await.unwrap();
        assert_eq!((answer.tag, &answer.bytes[..]), (1_001, &[number][..]));
    }
    // Requests, many at once, of which none holds up another.
    let asking = (0..20_u32).map(|number| remote.request(0, number.to_le_bytes().to_vec(), SOON));
    let answers = futures_util::future::join_all(asking).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(&answer.unwrap()[..], (number as u32).to_le_bytes());
    }
    let large = remote.request(0, vec![9; limits::MESSAGE_BYTES], SOON).await.unwrap();
    assert_eq!(large.len(), limits::MESSAGE_BYTES);
    let status = remote.status(SOON).await.unwrap();
    let status: ciborium::Value = ciborium::from_reader(&status[..]).unwrap();
    assert!(format!("{status:?}").contains("server"), "{status:?}");
    // It asks us.
    let asks = prepare(computation, "asks").await;
    let mut asking = start(computation, &asks, &mailbox, at).await;
    let asked = mailbox.receive().await.unwrap();
    assert!(asked.is_request() && asked.tag == 7 && &asked.bytes[..] == b"\x63ask");
    mailbox.reply(&asked, Arguments::of(&("answered",)).unwrap().as_bytes().clone()).await.unwrap();
    assert_eq!(code(mailbox.reply(&asked, &b"again"[..]).await), Code::Gone);
    let answered = asking.result().await;
    assert_eq!(answered.outcome, Outcome::Finished(Arguments::of(&("answered",)).unwrap().as_bytes().clone()));
    // Its end comes as a message, as the result of a join, and as the job's.
    mailbox.monitor(remote.address()).await.unwrap();
    let value = Arguments::of(&("bye",)).unwrap().as_bytes().clone();
    let (joined, sent) = tokio::join!(remote.join(SOON), remote.deliver(99, value.clone(), SOON));
    sent.unwrap();
    assert_eq!(joined.unwrap().outcome, Outcome::Finished(value.clone()));
    let exit = mailbox.receive().await.unwrap();
    assert_eq!((exit.kind, exit.from), (MessageKind::Exit, remote.address()));
    assert_eq!(exit.exit().unwrap().outcome, Outcome::Finished(value.clone()));
    assert_eq!(job.result().await.outcome, Outcome::Finished(value));
    assert_eq!(code(remote.deliver(0, &b"too late"[..], SOON).await), Code::Gone);
    // Another is ended by us.
    let (mut job, remote) = server(computation, &mut mailbox, at).await;
    remote.terminate(SOON).await.unwrap();
    assert!(matches!(job.result().await.outcome, Outcome::Terminated { .. }));
    // And one is interrupted, which ends its `receive`.
    let (mut job, remote) = server(computation, &mut mailbox, at).await;
    remote.interrupt("enough").await.unwrap();
    assert_eq!(job.result().await.outcome, Outcome::Finished(Default::default()));
}

#[test]
fn a_client_and_a_coroutine_of_its_node_send_ask_watch_and_end() {
    run(async {
        let cluster = Cluster::start(32).await;
        let computation = cluster.open("me").await;
        converse(&computation, None).await;
        computation.close().await.unwrap();
        cluster.has_load(0, 0).await;
    });
}

#[test]
fn a_client_and_a_coroutine_of_another_node_do_the_same() {
    let place = Place::new();
    let a = place.node(&[]);
    let _b = place.node_named("b", &["--peer", &a.address]);
    place.until_known_at(&a, &["a", "b"]);
    run(async {
        let node = connect(&place, &a.address, "tenant-me").await;
        let computation = node.open("test").await.unwrap();
        converse(&computation, Some("b")).await;
        computation.close().await.unwrap();
    });
}

#[test]
fn two_clients_find_each_other_by_name_and_a_client_that_goes_is_told_as_an_exit() {
    run(async {
        let cluster = Cluster::start(16).await;
        let (one, two) = (cluster.open("me").await, cluster.open("me").await);
        let (mut first, mut second) = (one.mailbox().await.unwrap(), two.mailbox().await.unwrap());
        first.register("first", SOON).await.unwrap();
        assert_eq!(code(second.register("first", SOON).await), Code::Taken);
        let found = second.locate("first", SOON).await.unwrap();
        assert_eq!(found.address(), first.address());
        assert_eq!(code(second.locate("nobody", Duration::ZERO).await), Code::Timeout);
        found.send(3, &b"hello"[..]).await.unwrap();
        let message = first.receive().await.unwrap();
        assert_eq!((message.from, message.tag, &message.bytes[..]), (second.address(), 3, &b"hello"[..]));
        // One that is terminated is gone, and its client may have another.
        let (third, fourth) = (cluster.open("me").await, cluster.open("me").await);
        let (mut victim, other) = (third.mailbox().await.unwrap(), fourth.mailbox().await.unwrap());
        let was = victim.address();
        other.remote(was).terminate(SOON).await.unwrap();
        assert!(victim.receive().await.is_none());
        let mut again = third.mailbox().await.unwrap();
        assert_ne!(again.address(), was);
        other.remote(again.address()).send(1, &b"hello"[..]).await.unwrap();
        assert_eq!(again.receive().await.unwrap().tag, 1);
        // One whose client closes its computation has ended, and its name is free.
        second.monitor(first.address()).await.unwrap();
        one.close().await.unwrap();
        assert!(first.receive().await.is_none());
        let exit = second.receive().await.unwrap();
        assert_eq!((exit.kind, exit.from), (MessageKind::Exit, first.address()));
        second.register("first", SOON).await.unwrap();
        // Another tenant's is nobody's.
        let theirs = cluster.open("other").await;
        let mut other = theirs.mailbox().await.unwrap();
        assert_eq!(code(other.remote(second.address()).send(0, &b"x"[..]).await), Code::Denied);
        assert_eq!(code(other.locate("first", Duration::ZERO).await), Code::Timeout);
        // One whose connection goes, too.
        let lost = second.address();
        drop((second, two, found));
        let third = cluster.open("me").await;
        let mut third = third.mailbox().await.unwrap();
        third.monitor(lost).await.unwrap();
        assert_eq!(third.receive().await.unwrap().kind, MessageKind::Exit);
        drop(other.receive());
    });
}

#[test]
fn a_client_that_takes_nothing_makes_senders_wait_and_gets_all_when_it_does() {
    run(async {
        let cluster = Cluster::start(16).await;
        let computation = cluster.open("me").await;
        let mut mailbox = computation.mailbox().await.unwrap();
        let spec = prepare(&computation, "floods").await;
        let mut floods = start(&computation, &spec, &mailbox, None).await;
        // Twenty megabytes do not fit: who sends them waits, and others of this client do not.
        let echo = computation.prepare(Prepare::function(module(ECHO), "echo")).await.unwrap();
        let echoed = computation.run(&echo, Arguments::of(&(1,)).unwrap()).await.unwrap();
        assert!(matches!(echoed.outcome, Outcome::Finished(_)));
        for number in (1..=20_000).rev() {
            let message = mailbox.receive().await.unwrap();
            assert_eq!((message.tag, message.bytes.len()), (number, 1_000));
        }
        assert_eq!(floods.result().await.outcome, Outcome::Finished(Default::default()));
        computation.close().await.unwrap();
    });
}

#[test]
fn what_cannot_be_is_refused_and_the_node_goes_on() {
    run(async {
        let cluster = Cluster::start(16).await;
        let computation = cluster.open("me").await;
        let mailbox = computation.mailbox().await.unwrap();
        let nobody = mailbox.remote(Address { counter: 1 << 60, ..mailbox.address() });
        assert_eq!(code(nobody.send(0, &b"x"[..]).await), Code::Gone);
        assert_eq!(code(nobody.request(0, &b"x"[..], SOON).await), Code::Gone);
        assert_eq!(code(nobody.join(SOON).await), Code::Expired);
        assert_eq!(code(nobody.interrupt("x").await), Code::Gone);
        let elsewhere = mailbox.remote(Address::default());
        assert_eq!(code(elsewhere.send(0, &b"x"[..]).await), Code::NodeLost);
        let me = mailbox.remote(mailbox.address());
        assert_eq!(code(mailbox.monitor(me.address()).await), Code::Invalid);
        let large = me.send(0, vec![0; limits::MESSAGE_BYTES + 1]).await;
        assert!(matches!(large, Err(Error::TooLarge { .. })), "{large:?}");
        assert_eq!(code(mailbox.register("", SOON).await), Code::Invalid);
        assert_eq!(code(me.request(0, &b"x"[..], Duration::from_millis(1)).await), Code::Timeout);
        // Calls that wait for ever do not outlive the computation.
        let (again, me) = (me.clone(), tokio::spawn(async move { me.join(Duration::MAX).await }));
        let asks = tokio::spawn(async move { again.request(0, &b"x"[..], Duration::MAX).await });
        while cluster.node.service().dispatch.runtime().registry.len() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        computation.close().await.unwrap();
        assert!(me.await.unwrap().is_err() && asks.await.unwrap().is_err());
    });
}
