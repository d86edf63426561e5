//! Coroutines of two nodes that send to each other over real QUIC: what each call gives, and what it gives when the other end is
//! gone, is another tenant's, or its node is lost.

mod abroad;
mod channels;
mod dial_out;
mod false_channels;
mod false_monitors;
mod fan_out;
mod guests;
mod hosts;
mod jobs;
mod names;
mod services;
mod swaps;
mod values;

use crate::in_process::run;
use crate::links::{authority, credentials};
use crate::support::{Bench, Remember};
use bytes::Bytes;
use corovan::cluster::grants::Grants;
use corovan::cluster::hosting::{Guest, Hosting, Hosts};
use corovan::cluster::link::{Config, Granted, Links};
use corovan::cluster::mesh::{self, Follower, Handle, Service};
use corovan::cluster::names::{Inward, MeshNames, Outward, Shown};
use corovan::cluster::receive::Receiver;
use corovan::cluster::remote::Remote;
use corovan::net::{Arrival, Endpoint};
use corovan::runtime::ports::Pending;
use corovan::runtime::{Control, Group, RealClock, Refusal, Tenant};
use corovan::tasks::Tasks;
use corovan::tenancy::ca::Authority;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::membership::member::About;
use corovan_core::membership::presence::Presence;
use corovan_core::membership::watch::Change;
use corovan_core::tenancy::grant::Grant;
use corovan_core::wire::Outcome;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A node with links, membership and names, and nothing around them.
pub struct Node {
    pub bench: Arc<Bench>,
    pub links: Links,
    pub handle: Handle,
    pub address: SocketAddr,
    pub endpoint: Endpoint,
    trust: Arc<Trust>,
}

/// Every node believes every other: a grant is the tenant's name. That of one computation may count at nodes a and b only, and
/// is so marked.
struct Trust {
    node: String,
    tenants: Vec<Arc<Tenant>>,
    /// The number of that computation, or one that none has.
    narrow: AtomicU64,
}

const NARROW: &str = " at a and b";

/// Makes no coroutines for others.
struct NoGuests;

/// Says that members have changed.
struct Watch(Arc<Notify>);

impl Grants for Trust {
    fn of(&self, group: &Group) -> Option<Bytes> {
        let mark = if group.id == self.narrow.load(Ordering::Relaxed) { NARROW } else { "" };
        Some(Bytes::from([group.tenant.name(), mark].concat()))
    }
    fn read(&self, group: &Group) -> Option<(Bytes, Arc<Grant>)> {
        let bytes = self.of(group)?;
        self.verify(&self.node, &bytes).ok().map(|(_, grant)| (bytes, grant))
    }
    fn verify(&self, shown_by: &str, grant: &Bytes) -> Result<(Arc<Tenant>, Arc<Grant>), Refusal> {
        let (name, nodes) = match grant.strip_suffix(NARROW.as_bytes()) {
            Some(name) => (name, Some(["a", "b"].map(String::from).to_vec())),
            None => (&grant[..], None),
        };
        let found = self.tenants.iter().find(|tenant| tenant.name().as_bytes() == name);
        let tenant = found.cloned().ok_or_else(|| Refusal::new(Code::Denied, "an unknown tenant"))?;
        let grant = Grant { nodes, ..Grant::whole("test", tenant.name(), [0; 16], 0, u64::MAX) };
        for node in [shown_by, &self.node] {
            grant.admits(node).map_err(|error| Refusal::new(Code::Denied, error.to_string()))?;
        }
        Ok((tenant, Arc::new(grant)))
    }
}

impl Hosts for NoGuests {
    fn host(&self, _: Guest) -> Pending<Result<Address, Refusal>> {
        Box::pin(async { Err(Refusal::new(Code::Overloaded, "no room for guests")) })
    }
    fn keep(&self, _: &Granted, _: ModuleHash, _: Bytes) -> Pending<Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }
    fn has(&self, _: &Granted, _: &ModuleHash) -> bool {
        true
    }
    fn bytes(&self, _: &Granted, hash: ModuleHash) -> Pending<Result<Bytes, Refusal>> {
        Box::pin(async move { Err(Refusal::new(Code::NeedModule, format!("{hash} is not here"))) })
    }
}

impl Follower for Watch {
    fn changed(&self, _: &Change) {
        self.0.notify_one();
    }
}

impl Node {
    pub fn start(authority: &Authority, name: &str) -> Node {
        Node::with(authority, name, Arc::new(NoGuests))
    }

    pub fn with(authority: &Authority, name: &str, hosts: Arc<dyn Hosts>) -> Node {
        Node::that_says(authority, name, name, false, |_| hosts)
    }

    /// One that says it has another name than its certificate has, or is dial-out, and what makes coroutines there for others.
    pub fn that_says(
        authority: &Authority,
        name: &str,
        says: &str,
        dial_out: bool,
        hosts: impl FnOnce(&Bench) -> Arc<dyn Hosts>,
    ) -> Node {
        let credentials = credentials(authority, name);
        let node = credentials.identity.principal().node_id();
        let bench = Arc::new(Bench::of_node(200, node));
        let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), &credentials, false).unwrap();
        let address = endpoint.local_address().unwrap();
        let (clock, tasks) = (Arc::new(RealClock::new()), Tasks::here());
        let links = Links::new(Config { node, incarnation: 1, endpoint: endpoint.clone(), clock, tasks, dial_out });
        let tenants = vec![Arc::clone(&bench.tenant), bench.other_tenant()];
        let trust = Arc::new(Trust { node: name.into(), tenants, narrow: AtomicU64::new(u64::MAX) });
        let shown = Arc::new(Shown::default());
        let carrier = Arc::new(Outward::new(links.clone(), &bench.runtime, Arc::clone(&shown)));
        let membership = mesh::Config {
            me: Presence { dial_out, ..Presence::new(node, 1, address) },
            about: About { name: says.into(), ..About::default() },
            cluster: "test".into(),
            seed: 1,
            clock: Arc::new(RealClock::new()),
        };
        let (service, handle) = Service::new(membership, carrier).unwrap();
        std::thread::spawn(move || service.run());
        let hosting = Hosting::new(node, hosts(&bench), links.peers(), Tasks::here());
        let receiver = Receiver::new(&bench.runtime, Arc::clone(&trust) as _, handle.clone(), hosting);
        links.open(Arc::new(receiver), Arc::new(Inward(handle.clone())));
        assert!(
            bench
                .runtime
                .mesh
                .set(Arc::new(Remote::new(
                    links.clone(),
                    Arc::clone(&trust) as _,
                    handle.clone(),
                    "test",
                    Tasks::here()
                )))
                .is_ok()
        );
        assert!(
            bench.runtime.names.set(Arc::new(MeshNames::new(handle.clone(), Arc::clone(&trust) as _, shown))).is_ok()
        );
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
        Node { bench, links, handle, address, endpoint, trust }
    }

    /// A computation whose grant counts at nodes a and b only.
    pub fn narrow_computation(&self) -> Arc<Group> {
        let group = self.bench.computation(&self.bench.tenant);
        self.trust.narrow.store(group.id, Ordering::Relaxed);
        group
    }

    /// Two that know each other.
    pub async fn pair() -> (Node, Node) {
        let authority = authority();
        let (a, b) = (Node::start(&authority, "a"), Node::start(&authority, "b"));
        join(&[&a, &b]).await;
        (a, b)
    }

    /// Waits until it knows so many members, itself among them.
    pub async fn until(&self, members: usize) {
        let changed = Arc::new(Notify::new());
        self.handle.follow(Arc::new(Watch(Arc::clone(&changed))));
        while self.handle.members().len() != members {
            changed.notified().await;
        }
    }

    /// Starts a guest that makes these calls, of which each tells what it gave, and is given an address.
    pub fn play(&self, calls: &str, given: Address) -> (Arc<Control>, Arc<Remember>) {
        self.bench.start(&self.bench.program(&module(calls, given), "f"))
    }
}

/// Has all join the first, and waits until each knows all.
pub async fn join(nodes: &[&Node]) {
    for node in &nodes[1..] {
        node.handle.announce(nodes[0].address);
    }
    for node in nodes {
        node.until(nodes.len()).await;
    }
}

/// What its calls gave: numbers, or names of codes.
pub fn said(seen: &Remember) -> Vec<String> {
    let word = |given: i64| {
        let code = u16::try_from(-given).ok().and_then(Code::from_number);
        code.map_or(given.to_string(), |code| code.name().to_owned())
    };
    seen.progress.lock().iter().map(|(given, ..)| word(*given as i64)).collect()
}

/// Waits for its end on a thread that may block.
pub async fn over(seen: &Arc<Remember>) -> Outcome {
    let seen = Arc::clone(seen);
    tokio::task::spawn_blocking(move || {
        seen.wait(1);
        seen.outcome()
    })
    .await
    .unwrap()
}

fn module(calls: &str, given: Address) -> String {
    let given: String = given.to_bytes().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "\\{byte:02x}").unwrap();
        hex
    });
    let calls: String =
        calls.split(';').map(str::trim).filter(|call| !call.is_empty()).fold(String::new(), |mut body, call| {
            write!(body, "(call $tell {call})").unwrap();
            body
        });
    format!("{HEAD} (data (i32.const 980) \"{given}\") (func (export \"f\") {calls}))")
}

/// Given address at 980; a message's header at 512 (kind 516, tag 520, reply 536), its bytes from 1024. `server` answers requests
/// with their own bytes and the tag 9 ends it.
const HEAD: &str = r#"(module
    (import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
    (import "corovan" "send" (func $send (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "deliver" (func $deliver (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "receive" (func $receive (param i64 i32 i32 i32 i32) (result i32)))
    (import "corovan" "request" (func $request (param i32 i64 i32 i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "reply" (func $reply (param i64 i32 i32) (result i32)))
    (import "corovan" "monitor" (func $monitor (param i32) (result i32)))
    (import "corovan" "demonitor" (func $demonitor (param i32) (result i32)))
    (import "corovan" "join" (func $join (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "terminate" (func $terminate (param i32 i64) (result i32)))
    (import "corovan" "interrupt" (func $interrupt (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "resume" (func $resume (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "suspend" (func $suspend (param i64 i32 i32 i32) (result i32)))
    (import "corovan" "status" (func $status (param i32 i64 i32 i32 i32) (result i32)))
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (import "corovan" "register" (func $register_as (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "sleep" (func $sleep (param i64) (result i32)))
    (import "corovan" "channel_open" (func $open (param i32 i32 i32) (result i32)))
    (import "corovan" "channel_subscribe" (func $subscribe (param i32 i32 i32 i32 i64) (result i32)))
    (import "corovan" "channel_unsubscribe" (func $unsubscribe (param i32 i32 i64) (result i32)))
    (import "corovan" "channel_send" (func $publish (param i32 i64 i32 i32 i64) (result i32)))
    (import "corovan" "channel_deliver" (func $spread (param i32 i64 i32 i32 i32 i64) (result i32)))
    (import "corovan" "channel_close" (func $close (param i32) (result i32)))
    (import "corovan" "serve" (func $offer (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "corovan" "unserve" (func $withdraw (param i32 i32) (result i32)))
    (import "corovan" "call" (func $call_as (param i32 i32 i32 i32 i64 i32) (result i32)))
    (memory (export "memory") 32)
    (data (i32.const 64) "hello")
    ;; Ends with the CBOR of 100,000 bytes.
    (data (i32.const 2000) "\5a\00\01\86\a0")
    (func $large (result i32) (call $finish (i32.const 2000) (i32.const 100005)))
    ;; The same of 1,835,008, all alike but for some.
    (func $huge (result i32)
        (memory.fill (i32.const 2000) (i32.const 7) (i32.const 1835013))
        (i32.store (i32.const 2000) (i32.const 0x001c005a)) (i32.store8 (i32.const 2004) (i32.const 0))
        (i32.store (i32.const 1050000) (i32.const 123456)) (i32.store (i32.const 1800000) (i32.const 654321))
        (call $finish (i32.const 2000) (i32.const 1835013)))
    ;; The record of the given one, its size, and a sum over all of it.
    (func $joined_whole (result i32)
        (call $join (i32.const 980) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 2000000)))
    (func $sum (param $n i32) (result i32) (local $sum i32)
        (loop $next
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.load8_u offset=1024 (local.get $n))))
            (br_if $next (local.get $n)))
        (i32.and (local.get $sum) (i32.const 0x3fffffff)))
    (func $tell (param i32)
        (drop (call $progress (i64.extend_i32_s (local.get 0)) (i64.const 0) (i32.const 0) (i32.const 0))))
    (data (i32.const 80) "sleeps") (data (i32.const 96) "\80")
    (func (export "sleeps") (drop (call $sleep (i64.const -1))))
    ;; Offers that as "hello", and is told each call; calls it, and what was made is at 980.
    (func $offers (result i32)
        (call $offer (i32.const 64) (i32.const 5) (i32.const 0) (i32.const 80) (i32.const 6) (i32.const 1)))
    (func $calls (param $timeout i64) (result i32)
        (call $call_as (i32.const 64) (i32.const 5) (i32.const 96) (i32.const 1) (local.get $timeout) (i32.const 980)))
    (func $register (result i32)
        (drop (call $self (i32.const 900)))
        (call $register_as (i32.const 64) (i32.const 5) (i32.const 900) (i64.const -1)))
    ;; The same under names of three bytes, which end in a letter of this number.
    (func $named (param i32) (result i32)
        (drop (call $self (i32.const 900)))
        (i32.store8 (i32.const 66) (i32.add (i32.const 97) (local.get 0)))
        (call $register_as (i32.const 64) (i32.const 3) (i32.const 900) (i64.const -1)))
    (func $find (param i32) (result i32)
        (i32.store8 (i32.const 66) (i32.add (i32.const 97) (local.get 0)))
        (call $locate (i32.const 64) (i32.const 3) (i64.const -1) (i32.const 980)))
    (func $me (result i32) (drop (call $self (i32.const 900))) (i32.const 900))
    ;; Subscribes itself to the given channel.
    (func $joins (param $cap i32) (param $policy i32) (result i32)
        (call $subscribe (i32.const 980) (call $me) (local.get $cap) (local.get $policy) (i64.const -1)))
    ;; Sends through the given channel: with these tags; to so many at least.
    (func $sends (param $from i64) (param $to i64) (result i32) (local $code i32)
        (block $out (loop $next
            (br_if $out (i64.gt_u (local.get $from) (local.get $to)))
            (local.set $code (call $publish (i32.const 980) (local.get $from) (i32.const 64) (i32.const 5) (i64.const -1)))
            (br_if $out (local.get $code))
            (local.set $from (i64.add (local.get $from) (i64.const 1)))
            (br $next)))
        (local.get $code))
    (func $spreads (param $tag i64) (param $n i32) (param $timeout i64) (result i32)
        (call $spread (i32.const 980) (local.get $tag) (i32.const 64) (i32.const 5) (local.get $n) (local.get $timeout)))
    ;; The channel of this node with this letter, at 940; the given channel or that is subscribed to the other.
    (func $opens (param i32) (result i32)
        (i32.store8 (i32.const 72) (local.get 0))
        (call $open (i32.const 72) (i32.const 1) (i32.const 940)))
    (func $under (param $cap i32) (param $policy i32) (result i32)
        (call $subscribe (i32.const 980) (i32.const 940) (local.get $cap) (local.get $policy) (i64.const -1)))
    (func $over (param $cap i32) (param $policy i32) (result i32)
        (call $subscribe (i32.const 940) (i32.const 980) (local.get $cap) (local.get $policy) (i64.const -1)))
    (func $leaves (result i32) (call $unsubscribe (i32.const 980) (call $me) (i64.const -1)))
    (func $pauses (result i32)
        (call $suspend (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 100)))
    ;; The next message's tag.
    (func $hears (result i32) (local $code i32)
        (local.set $code (call $recv (i64.const -1)))
        (if (result i32) (i32.lt_s (local.get $code) (i32.const 0)) (then (local.get $code)) (else (call $tag))))
    (func $recv (param i64) (result i32)
        (call $receive (local.get 0) (i32.const 0) (i32.const 512) (i32.const 1024) (i32.const 65536)))
    (func $kind (result i32) (i32.load (i32.const 516)))
    (func $tag (result i32) (i32.load (i32.const 520)))
    (func $to_given (param $tag i64) (result i32)
        (call $send (i32.const 980) (local.get $tag) (i32.const 64) (i32.const 5) (i64.const -1)))
    (func $delivered (param $tag i64) (result i32)
        (call $deliver (i32.const 980) (local.get $tag) (i32.const 64) (i32.const 5) (i64.const -1)))
    (func $asked (result i32)
        (call $request (i32.const 980) (i64.const 1) (i32.const 64) (i32.const 5) (i64.const -1)
            (i32.const 512) (i32.const 1024) (i32.const 65536)))
    (func $joined (result i32)
        (call $join (i32.const 980) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 65536)))
    ;; So many messages, tags counted from 1; how many were sent.
    (func $flood (param $n i32) (param $size i32) (result i32) (local $i i32) (local $code i32)
        (block $out (loop $next
            (br_if $out (i32.ge_u (local.get $i) (local.get $n)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (local.set $code (call $send (i32.const 980) (i64.extend_i32_u (local.get $i)) (i32.const 64)
                (local.get $size) (i64.const -1)))
            (if (local.get $code) (then (return (local.get $code))))
            (br $next)))
        (local.get $i))
    ;; The same number of messages received, if each came in its order.
    (func $drain (param $n i32) (result i32) (local $i i32) (local $code i32)
        (block $out (loop $next
            (br_if $out (i32.ge_u (local.get $i) (local.get $n)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (local.set $code (call $recv (i64.const -1)))
            (if (i32.lt_s (local.get $code) (i32.const 0)) (then (return (local.get $code))))
            (br_if $out (i32.ne (call $tag) (local.get $i)))
            (br $next)))
        (local.get $i))
    (func $serve (result i32) (local $size i32)
        (loop $next
            (local.set $size (call $recv (i64.const -1)))
            (if (i32.lt_s (local.get $size) (i32.const 0)) (then (return (local.get $size))))
            (if (i64.ne (i64.load (i32.const 536)) (i64.const 0))
                (then (drop (call $reply (i64.load (i32.const 536)) (i32.const 1024) (local.get $size)))))
            (br_if $next (i32.ne (call $tag) (i32.const 9))))
        (i32.const 0))
"#;

/// Exit messages have this kind.
const EXIT: &str = "1";

#[test]
fn what_coroutines_do_to_each_other_they_do_across_nodes() {
    run(async {
        let (a, b) = Node::pair().await;
        let (server, seen) = a.play("(call $serve)", Address::default());
        let calls = "(call $to_given (i64.const 1)); (call $delivered (i64.const 2)); (call $asked); (call $monitor (i32.const 980)); \
             (call $delivered (i64.const 9)); (call $recv (i64.const -1)); (call $kind); (call $joined); \
             (call $delivered (i64.const 1)); (call $asked); (call $to_given (i64.const 1))";
        let (_, client) = b.play(calls, server.address);
        over(&client).await;
        assert!(matches!(over(&seen).await, Outcome::Finished(_)));
        let mut said = said(&client);
        // Sizes of exit records.
        for size in [5, 7] {
            assert!(said[size].parse::<u32>().unwrap() > 100, "{said:?}");
            said[size] = "record".into();
        }
        let expected = ["0", "0", "5", "0", "0", "record", EXIT, "record", "gone", "gone"];
        assert_eq!(said[..10], expected);
        assert!(["0", "gone"].contains(&&said[10][..]), "{said:?}");
        assert_eq!(client.outcome(), Outcome::Finished(Bytes::new()));
    });
}

#[test]
fn a_coroutine_of_another_node_is_interrupted_resumed_looked_at_and_terminated() {
    run(async {
        let (a, b) = Node::pair().await;
        let target = "(call $suspend (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 100)); \
             (call $suspend (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 100)); (call $sleep (i64.const -1)); \
             (call $sleep (i64.const -1))";
        let (target, seen) = a.play(target, Address::default());
        let calls = "(call $resume (i32.const 980) (i32.const 64) (i32.const 5) (i64.const -1)); \
             (call $interrupt (i32.const 980) (i32.const 64) (i32.const 5) (i64.const -1)); \
             (call $status (i32.const 980) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 4096)); \
             (call $monitor (i32.const 980)); (call $demonitor (i32.const 980)); (call $demonitor (i32.const 980)); \
             (call $terminate (i32.const 980) (i64.const -1)); (call $terminate (i32.const 980) (i64.const -1)); \
             (call $recv (i64.const 0))";
        let (_, client) = b.play(calls, target.address);
        over(&client).await;
        let mut heard = said(&client);
        assert!(heard[2].parse::<u32>().unwrap() > 50, "{heard:?}");
        heard[2] = "status".into();
        assert_eq!(heard, ["0", "0", "status", "0", "0", "not-found", "0", "0", "timeout"]);
        assert!(matches!(over(&seen).await, Outcome::Terminated { .. }));
        // An interrupt goes before a resume that came earlier, where neither had been looked at.
        let mut first = said(&seen)[..2].to_vec();
        first.sort();
        assert_eq!(first, ["5", "interrupted"]);
    });
}

#[test]
fn many_messages_small_and_large_come_once_and_in_order_though_the_connection_breaks() {
    run(async {
        for (count, size) in [(20_000, 8), (1_000, 60_000)] {
            let (a, b) = Node::pair().await;
            let (receiver, seen) = a.play(&format!("(call $drain (i32.const {count}))"), Address::default());
            let (_, client) =
                b.play(&format!("(call $flood (i32.const {count}) (i32.const {size}))"), receiver.address);
            for _ in 0..5 {
                tokio::task::yield_now().await;
                b.links.break_connections();
                a.links.break_connections();
            }
            over(&client).await;
            over(&seen).await;
            assert_eq!((said(&client), said(&seen)), (vec![count.to_string()], vec![count.to_string()]));
        }
    });
}

#[test]
fn who_speaks_for_another_tenant_is_denied_and_an_address_that_never_was_is_gone() {
    run(async {
        let (a, b) = Node::pair().await;
        let (server, _seen) = a.play("(call $serve)", Address::default());
        let forged = Address { secret: server.address.secret ^ 1, ..server.address };
        let (_, client) = b.play(
            "(call $delivered (i64.const 1)); (call $monitor (i32.const 980)); (call $recv (i64.const -1))",
            forged,
        );
        over(&client).await;
        let heard = said(&client);
        assert_eq!(heard[..2], ["gone", "0"]);
        assert!(heard[2].parse::<u32>().unwrap() > 0, "an exit message");
        // Of another tenant of the other node.
        let group = b.bench.computation(&b.bench.other_tenant());
        let calls = "(call $delivered (i64.const 1)); (call $asked); (call $joined); \
             (call $status (i32.const 980) (i64.const -1) (i32.const 512) (i32.const 1024) (i32.const 4096))";
        let program = b.bench.program(&module(calls, server.address), "f");
        let seen = Arc::new(Remember::default());
        let mut launch = b.bench.launch(&program, &seen);
        launch.group = group;
        b.bench.runtime.launch(launch).unwrap();
        over(&seen).await;
        let heard = said(&seen);
        assert_eq!((&heard[0][..], &heard[1][..], &heard[3][..]), ("denied", "denied", "denied"), "{heard:?}");
    });
}

#[test]
fn when_the_other_node_is_lost_all_that_waits_for_it_is_told_once() {
    run(async {
        let (a, b) = Node::pair().await;
        let (silent, _seen) = a.play("(call $sleep (i64.const -1))", Address::default());
        let mut waits = Vec::new();
        for (calls, expected) in [
            ("(call $asked)", vec!["node-lost"]),
            ("(call $joined)", vec!["node-lost"]),
            (
                "(call $monitor (i32.const 980)); (call $recv (i64.const -1)); (call $recv (i64.const 0))",
                vec!["0", "record", "timeout"],
            ),
        ] {
            let (_, seen) = b.play(calls, silent.address);
            waits.push((seen, expected));
        }
        // All three have reached the other node.
        let (_, there) = b.play("(call $delivered (i64.const 1))", silent.address);
        over(&there).await;
        a.endpoint.close("lost").await;
        for (seen, expected) in waits {
            over(&seen).await;
            let heard: Vec<String> = said(&seen)
                .into_iter()
                .map(|word| if word.parse::<u32>().is_ok_and(|size| size > 50) { "record".into() } else { word })
                .collect();
            assert_eq!(heard, expected);
        }
    });
}
