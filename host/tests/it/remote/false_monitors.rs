//! What a node may do that begins to follow an end and takes that back from elsewhere: nothing of it stays.

use super::Node;
use super::guests::code;
use super::hosts::{program, until, with_three};
use crate::in_process::run;
use bytes::Bytes;
use corovan::cluster::link::{Answer, Watcher};
use corovan_core::ids::Address;
use corovan_core::link::call::{self, Call, Spawn};
use corovan_core::link::frame::{Header, Kind, Local};
use std::future::poll_fn;

const MONITORS: u64 = 2_000;

struct Nobody;

impl Watcher for Nobody {
    fn ended(self: Box<Self>, _: Option<(u8, Bytes)>) {}
}

/// A frame of a call from whoever it says to a coroutine.
fn between(from: u64, to: Address) -> Header {
    Header { from: Local { counter: from, secret: 7 }, to: Local::from(to), ..Header::new(Kind::Call) }
}

#[test]
fn a_monitor_that_is_taken_back_in_another_lane_leaves_no_follower() {
    run(async {
        let (victim, mallory) = Node::pair().await;
        let (watched, _seen) = victim.play("(call $sleep (i64.const -1))", Address::default());
        let session = mallory.links.session(victim.links.node()).unwrap();
        let pass = session.pass(&Bytes::copy_from_slice(victim.bench.tenant.name().as_bytes()));
        let [monitor, demonitor, status] =
            [Call::Monitor, Call::Demonitor, Call::Status].map(|call| call::encode(&call).unwrap());
        let numbers: Vec<u64> = (0..MONITORS).map(|_| session.begin_monitor(Box::new(Nobody)).unwrap()).collect();
        for call in &numbers {
            session.queue(Some(&pass), Header { call: *call, ..between(1, watched.address) }, &monitor);
            // By whoever comes next, in any lane.
            session.queue(None, Header { call: *call, ..between(*call, watched.address) }, &demonitor);
        }
        // Those that were taken back before they were there are taken back again, in their lane.
        for call in &numbers {
            session.queue(None, Header { call: *call, ..between(1, watched.address) }, &demonitor);
        }
        let (call, answer) = session.begin_call().unwrap();
        session.queue(Some(&pass), Header { call, ..between(1, watched.address) }, &status);
        assert!(matches!(answer.await.unwrap(), Answer::Given { tag: 0, .. }));
        until(|| (victim.bench.runtime.followers(&watched) == 0).then_some(())).await;
    });
}

#[test]
fn a_guest_whose_end_its_asker_does_not_want_to_hear_any_more_is_ended() {
    with_three(async |[victim, mallory, _]| {
        let wat = program(Address::default(), None, "(func (export \"f\") (drop (call $recv (i64.const -1))))");
        let module = mallory.ship(&wat).await;
        victim.ship(&wat).await;
        let session = mallory.node.links.session(victim.node.links.node()).unwrap();
        let pass = session.pass(&Bytes::copy_from_slice(victim.node.bench.tenant.name().as_bytes()));
        let (call, answer) = session.begin_call().unwrap();
        let over = session.begin_monitor(Box::new(Nobody)).unwrap();
        let spawn = Call::Spawn(Spawn {
            module,
            function: "f".into(),
            memory: 0,
            deadline: u64::MAX,
            over,
            service: None,
            most: 1 << 30,
            command: None,
            large: None,
            stdin: false,
            cpu: None,
        });
        let header = Header { call, ..between(1, Address::default()) };
        let mut sending =
            session.send(Some(pass), header, [call::encode(&spawn).unwrap(), Bytes::from_static(&[0x80])]);
        poll_fn(|cx| sending.poll(cx)).await.unwrap();
        assert_eq!(code(answer.await.unwrap()), None);
        let coroutines = || victim.node.bench.runtime.registry.coroutines(|_| true).len();
        assert_eq!(coroutines(), 1);
        session.queue(None, Header { call: over, ..header }, &call::encode(&Call::Demonitor).unwrap());
        until(|| (coroutines() == 0).then_some(())).await;
    });
}
