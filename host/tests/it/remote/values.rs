//! Results across nodes: a join gives all of a value wherever it is made, and what is kept for that is charged and given back.

use super::guests::code;
use super::hosts::until;
use super::{Node, over};
use crate::in_process::run;
use bytes::{Buf, Bytes};
use corovan::cluster::link::{Answer, Session, Watcher};
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::call::{self, Call};
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::tenancy::quota::Resource;
use parking_lot::Mutex;
use std::sync::Arc;

fn held(node: &Node) -> u64 {
    node.bench.ledger.used(Resource::Held)
}

#[test]
fn a_join_from_another_node_gives_what_a_join_here_gives_however_large_it_is() {
    run(async {
        let (a, b) = Node::pair().await;
        let joins = "(call $joined_whole); (call $sum (call $joined_whole))";
        for ends in ["(call $large)", "(call $huge)"] {
            let (target, seen) = a.play(&format!("(call $recv (i64.const -1)); {ends}"), Address::default());
            // Before its end, and after it.
            let there = b.says(&format!("(call $delivered (i64.const 1)); {joins}"), target.address).await;
            over(&seen).await;
            let again = b.says(joins, target.address).await;
            let here = a.says(joins, target.address).await;
            assert_eq!((&there[0][..], &there[1..]), ("0", &here[..]));
            assert_eq!(again, here);
            let size: usize = here[0].parse().unwrap();
            assert!(size > if ends == "(call $huge)" { limits::MESSAGE_BYTES } else { limits::EXIT_VALUE_BYTES });
        }
    });
}

#[test]
fn who_ends_another_with_a_large_value_learns_that_it_has_ended() {
    run(async {
        let (a, b) = Node::pair().await;
        let (target, _seen) = a.play("(call $recv (i64.const -1)); (call $large)", Address::default());
        let ends = "(call $terminate (i32.const 980) (i64.const -1))";
        assert_eq!(b.says(ends, target.address).await, ["0"]);
    });
}

/// Remembers the flags of the exit.
struct Flags(Arc<Mutex<Option<u8>>>);

impl Watcher for Flags {
    fn ended(self: Box<Self>, exit: Option<(u8, Bytes)>) {
        *self.0.lock() = exit.map(|(flags, _)| flags);
    }
}

/// A call about the end that was told under this number, as whoever monitors it.
async fn value(session: &Arc<Session>, of: &Node, header: Header, monitor: u64, offset: u64) -> Answer {
    let (call, answer) = session.begin_call().unwrap();
    let pass = session.pass(&Bytes::copy_from_slice(of.bench.tenant.name().as_bytes()));
    let record = call::encode(&Call::Value { monitor, offset }).unwrap();
    session.queue(Some(&pass), Header { call, flags: 0, ..header }, &record);
    answer.await.unwrap()
}

#[test]
fn a_value_is_kept_for_whoever_wants_it_until_that_says_so_or_is_gone_and_is_charged() {
    run(async {
        let (a, b) = Node::pair().await;
        let session = b.links.session(a.links.node()).unwrap();
        let pass = session.pass(&Bytes::copy_from_slice(a.bench.tenant.name().as_bytes()));
        let before = held(&a);
        let (target, seen) = a.play("(call $recv (i64.const -1)); (call $large)", Address::default());
        let mut monitors = Vec::new();
        // The first wants no value that does not fit.
        for flags in [0, 1, 1] {
            let told = Arc::default();
            let monitor = session.begin_monitor(Box::new(Flags(Arc::clone(&told)))).unwrap();
            let between = Header { to: Local::from(target.address), ..Header::new(Kind::Call) };
            let header = Header { call: monitor, flags, from: Local { counter: 1, secret: 1 }, ..between };
            session.queue(Some(&pass), header, &call::encode(&Call::Monitor).unwrap());
            monitors.push((header, told));
        }
        let status = b.says("(call $delivered (i64.const 1))", target.address).await;
        assert_eq!(status, ["0"]);
        over(&seen).await;
        for (_, told) in &monitors {
            assert_eq!(until(|| *told.lock()).await, 2, "its value is not in it");
        }
        // Also once its record is gone.
        a.bench.close();
        assert_eq!(held(&a), before + 2 * 100_005);
        let [(none, _), (one, _), (two, _)] = &monitors[..] else { unreachable!() };
        assert_eq!(code(value(&session, &a, *none, none.call, 0).await), Some(Code::Expired));
        for (offset, expected) in [(0, 100_005), (100_000, 5), (u64::MAX, 0)] {
            let Answer::Given { tag: 0, mut payload, .. } = value(&session, &a, *one, one.call, offset).await else {
                panic!("it is kept")
            };
            assert_eq!((payload.get_u64_le(), payload.len()), (100_005, expected));
        }
        session.queue(None, *one, &call::encode(&Call::Demonitor).unwrap());
        until(|| (held(&a) == before + 100_005).then_some(())).await;
        assert_eq!(code(value(&session, &a, *one, one.call, 0).await), Some(Code::Expired));
        assert_ne!(one.call, two.call);
        b.endpoint.close("gone").await;
        until(|| (held(&a) == before).then_some(())).await;
    });
}
