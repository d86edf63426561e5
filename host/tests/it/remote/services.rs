//! Services across nodes: called from each, watched by both sides, gone with their owner, and nothing to another tenant.

use super::{EXIT, Node, join, module, over, said};
use crate::in_process::run;
use crate::links::authority;
use crate::support::{Bench, Remember};
use bytes::Bytes;
use corovan::cluster::hosting::{Guest, Hosts};
use corovan::cluster::link::{Answer, Granted, Place, Watcher};
use corovan::runtime::ports::{Names, Observer, Pending, Spawn as _, Told};
use corovan::runtime::stdio::Output;
use corovan::runtime::{Group, Launch, Nobody, Refusal};
use corovan_core::code::Code;
use corovan_core::directory::message::Name;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::link::call::{self, Call, Spawn};
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Runs what others ask for on the node's bench, and remembers how that ended.
#[derive(Default)]
struct Runs {
    bench: OnceLock<Arc<Bench>>,
    ends: Arc<Mutex<Vec<Outcome>>>,
}

struct Follows {
    over: Mutex<Option<Told>>,
    output: Output,
    ends: Arc<Mutex<Vec<Outcome>>>,
}

struct NoWatcher;

/// A mesh in which nobody answers, and until when it was asked for names.
#[derive(Default)]
struct Mute(Mutex<Vec<u64>>);

impl Names for Mute {
    fn register(&self, _: &Arc<Group>, _: &str, _: Address, _: u64) -> Pending<Result<(), Refusal>> {
        Box::pin(std::future::pending())
    }
    fn unregister(&self, _: &Group, _: &str, _: Address) {}
    fn forget(&self, _: Address) {}
    fn locate(&self, _: &Arc<Group>, _: &str, _: bool, deadline: u64) -> Pending<Result<Address, Refusal>> {
        self.0.lock().push(deadline);
        Box::pin(std::future::pending())
    }
}

impl Hosts for Runs {
    fn host(&self, guest: Guest) -> Pending<Result<Address, Refusal>> {
        let bench = Arc::clone(self.bench.get().unwrap());
        let ends = Arc::clone(&self.ends);
        Box::pin(async move {
            let Guest { spawn, args, over, handle, .. } = guest;
            let program = bench.modules().program(&bench.group, spawn.module, &spawn.function).await?;
            let observer = Arc::new(Follows { over: Mutex::new(Some(over)), output: Output::default(), ends });
            let launch = bench.launch(&program, &Arc::new(Remember::default()));
            let made = bench.runtime.launch(Launch { args, observer, ..launch })?;
            let (address, weak) = (made.address, Arc::downgrade(&made));
            handle.running(move |by, reason, _| {
                let made = weak.upgrade();
                made.iter().for_each(|made| bench.runtime.terminate(made, by, reason, Duration::ZERO));
            });
            Ok(address)
        })
    }
    fn keep(&self, _: &Granted, _: ModuleHash, _: Bytes) -> Pending<Result<(), Refusal>> {
        Box::pin(async { Err(Refusal::new(Code::Internal, "nothing is to be sent for a service")) })
    }
    fn has(&self, _: &Granted, _: &ModuleHash) -> bool {
        true
    }
    fn bytes(&self, _: &Granted, hash: ModuleHash) -> Pending<Result<Bytes, Refusal>> {
        Box::pin(async move { Err(Refusal::new(Code::NeedModule, format!("{hash} is not here"))) })
    }
}

impl Observer for Follows {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        &self.output
    }
    fn output_ready(&self) {}
    fn set_daemon(&self, _: bool) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Nobody::default())
    }
    fn ended(&self, record: &Arc<ExitRecord>) {
        self.ends.lock().push(record.outcome.clone());
        let over = self.over.lock().take();
        over.into_iter().for_each(|over| over(record));
    }
}

impl Watcher for NoWatcher {
    fn ended(self: Box<Self>, _: Option<(u8, Bytes)>) {}
}

/// Nodes that know each other and run what others ask for, and how that ended on the first.
async fn nodes<const N: usize>(names: [&str; N]) -> ([Node; N], Arc<Mutex<Vec<Outcome>>>) {
    let authority = authority();
    let mut first = None;
    let nodes = names.map(|name| {
        let runs = Arc::new(Runs::default());
        first.get_or_insert_with(|| Arc::clone(&runs.ends));
        let node = Node::with(&authority, name, Arc::clone(&runs) as Arc<dyn Hosts>);
        assert!(runs.bench.set(Arc::clone(&node.bench)).is_ok());
        node
    });
    join(&nodes.each_ref()).await;
    (nodes, first.unwrap_or_default())
}

/// Exit records by that word; their sizes are not the same.
fn heard(seen: &Remember) -> Vec<String> {
    let word = |word: String| if word.parse::<u32>().is_ok_and(|size| size > 50) { "record".into() } else { word };
    said(seen).into_iter().map(word).collect()
}

/// What another node answers to a call for one of a service, under the grant of this tenant.
async fn call_under(from: &Node, to: &Node, tenant: &str, service: Address) -> Code {
    from.links.place(to.links.node(), Place::At(to.address));
    let session = from.links.session(to.links.node()).unwrap();
    let (call, answer) = session.begin_call().unwrap();
    let over = session.begin_monitor(Box::new(NoWatcher)).unwrap();
    let spawn = Spawn {
        module: ModuleHash([0; 32]),
        function: String::new(),
        memory: 0,
        deadline: 1 << 40,
        over,
        cpu: None,
        service: Some(service),
        most: 0,
        command: None,
        large: None,
        stdin: false,
    };
    let header = Header { call, from: Local { counter: 1, secret: 1 }, ..Header::new(Kind::Call) };
    let pass = session.pass(&Bytes::copy_from_slice(tenant.as_bytes()));
    let record = call::encode(&Call::Spawn(spawn)).unwrap();
    let mut sending = session.send(Some(pass), header, [record, Bytes::from_static(&[0x80])]);
    poll_fn(|cx| sending.poll(cx)).await.unwrap();
    let Ok(Answer::Given { tag, .. }) = answer.await else { panic!("no answer") };
    Code::from_number(tag.try_into().unwrap()).unwrap_or(Code::Internal)
}

/// Waits until the name's home knows that it is free.
async fn until_nobody_has_it(node: &Node) {
    let locates = "(call $locate (i32.const 64) (i32.const 5) (i64.const 0) (i32.const 980))";
    while node.says(locates, Address::default()).await != ["timeout"] {
        tokio::task::yield_now().await;
    }
}

/// Calls have this kind.
const CALLED: &str = "6";

/// Calls, monitors what was made, and reads how it ended, once.
const FOLLOWS: &str = "(call $calls (i64.const -1)); (call $monitor (i32.const 980)); (call $recv (i64.const -1)); \
     (call $kind); (call $recv (i64.const 0))";

#[test]
fn what_is_made_of_a_service_is_watched_by_both_sides_and_ended_by_its_owner() {
    run(async {
        let ([a, b], ends) = nodes(["a", "b"]).await;
        // Who calls before it is there waits.
        let (_, caller) = b.play(FOLLOWS, Address::default());
        let serves = "(call $offers); (call $recv (i64.const -1)); (call $kind); (call $monitor (i32.const 544)); \
             (call $terminate (i32.const 544) (i64.const -1)); (call $recv (i64.const -1)); (call $kind); \
             (call $recv (i64.const 0))";
        let (_, owner) = a.play(serves, Address::default());
        over(&owner).await;
        over(&caller).await;
        assert_eq!(heard(&owner), ["0", "5", CALLED, "0", "0", "record", EXIT, "timeout"]);
        assert_eq!(heard(&caller), ["0", "0", "record", EXIT, "timeout"]);
        assert!(matches!(ends.lock()[..], [Outcome::Terminated { .. }]));
    });
}

#[test]
fn a_service_goes_with_its_owner_what_it_made_stays_and_another_node_may_offer_the_name() {
    run(async {
        let ([a, b, c], ends) = nodes(["a", "b", "c"]).await;
        let (_, owner) = a.play("(call $offers); (call $recv (i64.const -1))", Address::default());
        let (caller, called) = b.play("(call $calls (i64.const -1)); (call $sleep (i64.const -1))", Address::default());
        over(&owner).await;
        until_nobody_has_it(&c).await;
        assert!(ends.lock().is_empty(), "what was made before goes on: {:?}", ends.lock());
        let (_, next) = c.play("(call $offers); (call $recv (i64.const -1)); (call $kind)", Address::default());
        let (_, again) = a.play("(call $calls (i64.const -1))", Address::default());
        over(&next).await;
        over(&again).await;
        assert_eq!((said(&next), said(&again)), (vec!["0".into(), "5".into(), CALLED.into()], vec!["0".to_owned()]));
        b.bench.runtime.terminate(&caller, "test", "it has seen enough", Duration::ZERO);
        over(&called).await;
        // It may have been interrupted before it was stopped.
        assert_eq!(said(&called)[0], "0");
    });
}

#[test]
fn an_offer_that_is_ended_is_found_by_nobody_and_what_was_made_of_it_goes_on() {
    run(async {
        let ([a, b], ends) = nodes(["a", "b"]).await;
        let serves = "(call $offers); (call $recv (i64.const -1)); (call $withdraw (i32.const 64) (i32.const 5)); \
             (call $withdraw (i32.const 64) (i32.const 5)); (call $recv (i64.const -1))";
        let (owner, served) = a.play(serves, Address::default());
        let (_, caller) = b.play("(call $calls (i64.const -1)); (call $sleep (i64.const -1))", Address::default());
        while said(&served).len() < 4 {
            tokio::task::yield_now().await;
        }
        until_nobody_has_it(&b).await;
        let (_, late) = b.play("(call $to_given (i64.const 1))", owner.address);
        over(&late).await;
        over(&served).await;
        assert_eq!(said(&served), ["0", "5", "0", "not-found", "5"]);
        assert_eq!((said(&caller), ends.lock().len()), (vec!["0".to_owned()], 0));
    });
}

#[test]
fn with_a_caller_s_node_goes_what_it_called_and_with_an_owner_s_node_its_callers_are_told_once() {
    run(async {
        let ([a, b], ends) = nodes(["a", "b"]).await;
        let serves = "(call $offers); (call $recv (i64.const -1)); (call $monitor (i32.const 544)); \
             (call $recv (i64.const -1)); (call $kind)";
        let (_, owner) = a.play(serves, Address::default());
        let (_, caller) = b.play("(call $calls (i64.const -1)); (call $sleep (i64.const -1))", Address::default());
        while said(&owner).len() < 3 || said(&caller).is_empty() {
            tokio::task::yield_now().await;
        }
        b.endpoint.close("lost").await;
        over(&owner).await;
        assert_eq!(heard(&owner), ["0", "5", "0", "record", EXIT]);
        assert!(matches!(ends.lock()[..], [Outcome::Terminated { .. }]), "{:?}", ends.lock());

        let ([a, b], _) = nodes(["a", "b"]).await;
        let (_, owner) = a.play("(call $offers); (call $sleep (i64.const -1))", Address::default());
        let (_, caller) = b.play(FOLLOWS, Address::default());
        while said(&caller).len() < 2 {
            tokio::task::yield_now().await;
        }
        a.endpoint.close("lost").await;
        over(&caller).await;
        assert_eq!(heard(&caller), ["0", "0", "record", EXIT, "timeout"]);
        assert_eq!(said(&owner), ["0"]);
    });
}

#[test]
fn a_node_that_has_no_room_tells_the_caller_and_not_the_owner_and_keeps_nothing() {
    run(async {
        let (a, b) = Node::pair().await;
        let held = || a.bench.tenant.ledger.used(Resource::Held);
        let serves = "(call $offers); (call $recv (i64.const -1)); (call $kind); (call $recv (i64.const 0))";
        let (owner, served) = a.play(serves, Address::default());
        while said(&served).is_empty() {
            tokio::task::yield_now().await;
        }
        let before = held();
        let (_, caller) = b.play("(call $calls (i64.const -1))", Address::default());
        over(&caller).await;
        assert_eq!((said(&caller), held()), (vec!["overloaded".to_owned()], before));
        // The first that it is told is a message.
        let (_, says) = b.play("(call $delivered (i64.const 1))", owner.address);
        over(&says).await;
        over(&served).await;
        assert_eq!(said(&served), ["0", "5", "0", "timeout"]);
    });
}

#[test]
fn a_service_is_denied_to_another_tenant_and_one_that_never_was_is_not_found() {
    run(async {
        let ([a, b], ends) = nodes(["a", "b"]).await;
        let (owner, served) = a.play("(call $offers); (call $recv (i64.const -1)); (call $kind)", Address::default());
        let name = Name::new(a.bench.tenant.name(), "hello").unwrap();
        // By the node that has shown a grant for its names; it waits until there is one.
        let service = a.handle.locate(name, true, u64::MAX).await.unwrap();
        let me = b.bench.tenant.name().to_owned();
        let forged = Address { secret: service.secret ^ 1, ..service };
        assert_eq!(call_under(&b, &a, "other", service).await, Code::Denied);
        assert_eq!(call_under(&b, &a, "other", owner.address).await, Code::Denied, "whatever it is");
        assert_eq!(call_under(&b, &a, &me, forged).await, Code::NotFound);
        assert_eq!(call_under(&b, &a, &me, owner.address).await, Code::NotFound, "a coroutine is no service");
        let (_, says) = b.play("(call $delivered (i64.const 1))", owner.address);
        over(&says).await;
        over(&served).await;
        assert_eq!(said(&served), ["0", "5", "0"], "it was told of none of these");
        assert!(ends.lock().is_empty());
        assert_eq!(call_under(&b, &a, &me, service).await, Code::NotFound, "it went with its owner");
    });
}

#[test]
fn a_call_that_may_not_wait_is_made_on_its_own_node_and_asks_no_other() {
    run(async {
        let ([a, b], ends) = nodes(["a", "b"]).await;
        let (owner, served) = a.play("(call $offers); (call $recv (i64.const -1)); (call $kind)", Address::default());
        let name = Name::new(a.bench.tenant.name(), "hello").unwrap();
        a.handle.locate(name, true, u64::MAX).await.unwrap();
        assert_eq!(b.says("(call $calls (i64.const 0))", owner.address).await, ["timeout"]);
        assert_eq!((said(&served), ends.lock().len()), (vec!["0".to_owned()], 0), "it was told of none");
        assert_eq!(a.says("(call $calls (i64.const 0))", owner.address).await, ["0"]);
        over(&served).await;
        assert_eq!(said(&served), ["0", "5", CALLED]);
    });
    // Nor is the home of a name, which here never answers; time stands still.
    let bench = Bench::manual();
    assert!(bench.runtime.names.set(Arc::new(Mute::default())).is_ok());
    let (_, seen) = bench.start(&bench.program(&module("(call $calls (i64.const 0))", Address::default()), "f"));
    bench.advance(Duration::ZERO);
    assert_eq!(said(&seen), ["timeout"]);
}

#[test]
fn a_name_is_looked_for_no_longer_than_whoever_waits_says() {
    let millisecond = "(call $locate (i32.const 64) (i32.const 5) (i64.const 1000000) (i32.const 980))";
    let only_looks = "(call $locate (i32.const 64) (i32.const 5) (i64.const 0) (i32.const 980))";
    for (calls, until) in [
        ("(call $calls (i64.const 1000000))", 1_000_000),
        (millisecond, 1_000_000),
        (only_looks, limits::NAME_CALL.as_nanos() as u64),
    ] {
        let (bench, mute) = (Bench::manual(), Arc::new(Mute::default()));
        assert!(bench.runtime.names.set(Arc::clone(&mute) as Arc<dyn Names>).is_ok());
        let _waits = bench.start(&bench.program(&module(calls, Address::default()), "f"));
        bench.advance(Duration::ZERO);
        assert_eq!(*mute.0.lock(), [until], "{calls}");
    }
}
