//! What a node that keeps no rule may do about channels of another: nothing beyond its tenant's grant, and nothing that stays.

use super::channels::three;
use super::{Node, over, said};
use crate::in_process::run;
use bytes::Bytes;
use corovan::cluster::link::{Answer, Session, Watcher};
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::link::call::{self, Call};
use corovan_core::link::channel::{ChannelCall, decode_neighbours};
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::sync::channel::walk::Claim;
use corovan_core::tenancy::quota::Resource;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::oneshot::Receiver;

struct Nobody;

impl Watcher for Nobody {
    fn ended(self: Box<Self>, _: Option<(u8, Bytes)>) {}
}

/// Asks for a tenant, as whoever it says it is.
async fn asks(session: &Arc<Session>, tenant: &str, header: Header, call: ChannelCall) -> Receiver<Answer> {
    let (number, answer) = session.begin_call().unwrap();
    let header = Header { call: number, ..header };
    let pass = session.pass(&Bytes::copy_from_slice(tenant.as_bytes()));
    let record = call::encode(&Call::Channel(call)).unwrap();
    let mut sending = session.send(Some(pass), header, [record, Bytes::from_static(b"bytes")]);
    poll_fn(|cx| sending.poll(cx)).await.unwrap();
    answer
}

async fn said_to(answer: Receiver<Answer>) -> (Option<Code>, Bytes) {
    let Answer::Given { tag, payload, .. } = answer.await.unwrap() else { panic!("the session is lost") };
    (u16::try_from(tag).ok().and_then(Code::from_number), payload)
}

fn header(from: u64, to: Address) -> Header {
    Header { from: Local { counter: from, secret: 7 }, to: Local::from(to), ..Header::new(Kind::Call) }
}

fn session(mallory: &Node, victim: &Node) -> Arc<Session> {
    mallory.links.session(victim.links.node()).unwrap()
}

#[test]
fn a_node_that_asks_what_it_may_not_is_refused_call_by_call() {
    run(async {
        let [victim, mallory, _] = three().await;
        let channel = victim.channel("news");
        let (reader, _seen) = victim.play("(call $pauses)", Address::default());
        let session = session(&mallory, &victim);
        let ours = victim.bench.tenant.name().to_owned();
        let theirs = victim.bench.other_tenant().name().to_owned();
        let forged = Address { secret: channel.secret ^ 1, ..channel };
        let claim = Claim { number: 1, node: mallory.links.node() };
        let elsewhere = Address { node: NodeId([9; 12]), ..channel };
        let subscribe = |cap, policy| ChannelCall::Subscribe { channel, cap, policy, wait: 0 };
        let (gone, denied) = (Some(Code::Gone), Some(Code::Denied));
        let cases = [
            ("no stand-in of it", channel, ChannelCall::Leaves { number: 1, leaves: 1, holds: true }, gone),
            ("no stand-in of it", channel, ChannelCall::Reserve { claim, child: elsewhere }, denied),
            ("never reserved", channel, ChannelCall::Commit { claim }, Some(Code::Retry)),
            ("no stand-in", channel, ChannelCall::Carry { hops: 0, wait: 0 }, gone),
            ("guessed", forged, ChannelCall::Close, gone),
            ("guessed", forged, ChannelCall::Send { wait: 0 }, gone),
            ("no channel", reader.address, ChannelCall::Neighbours { up: true }, gone),
            ("no such cap", reader.address, subscribe(0, 0), Some(Code::Invalid)),
            ("no such policy", reader.address, subscribe(1, 7), Some(Code::Invalid)),
            ("no subscriber", forged, subscribe(1, 0), gone),
            ("not subscribed", reader.address, ChannelCall::Unsubscribe { channel }, Some(Code::NotFound)),
            ("a later version's", channel, ChannelCall::Unknown, Some(Code::Unsupported)),
        ];
        for (what, to, call, expected) in cases {
            let (code, _) = said_to(asks(&session, &ours, header(1, to), call).await).await;
            assert_eq!(code, expected, "{what}: {call:?}");
        }
        let (code, gave_way) =
            said_to(asks(&session, &ours, header(1, channel), ChannelCall::Abort { claim }).await).await;
        assert_eq!((code, &gave_way[..]), (None, &[0][..]));
        let (code, beside) =
            said_to(asks(&session, &ours, header(1, channel), ChannelCall::Neighbours { up: false }).await).await;
        assert_eq!((code, decode_neighbours(&beside)), (None, Some(Vec::new())));
        // For another tenant it may do nothing at all.
        let tag = session.begin_monitor(Box::new(Nobody)).unwrap();
        for call in [
            ChannelCall::Send { wait: 0 },
            ChannelCall::Deliver { n: 0, wait: 0 },
            ChannelCall::Close,
            ChannelCall::Consent,
            ChannelCall::Branch,
            ChannelCall::Neighbours { up: true },
        ] {
            // Nor learn what is no channel.
            for to in [channel, reader.address] {
                let (code, _) = said_to(asks(&session, &theirs, Header { tag, ..header(1, to) }, call).await).await;
                assert_eq!(code, denied, "{call:?} to {to}");
            }
        }
        assert_eq!(victim.spreads(channel, 1, 0).await, "0", "nobody was subscribed");
    });
}

#[test]
fn what_a_node_claims_to_have_behind_it_holds_up_nobody_and_goes_with_it() {
    run(async {
        let [victim, mallory, honest] = three().await;
        let channel = victim.channel("news");
        let listen = "(call $joins (i32.const 100) (i32.const 0)); (call $hears); (call $hears)";
        let (_, heard) = honest.play(listen, channel);
        assert_eq!(honest.spreads(channel, 1, 1).await, "1");
        let held = || victim.bench.tenant.ledger.used(Resource::Held);
        let before = held();
        let session = session(&mallory, &victim);
        let ours = victim.bench.tenant.name().to_owned();
        // Stand-ins that are not there, with more mailboxes than there can be, all of which hold publishers.
        for stand_in in 1..=100 {
            let tag = session.begin_monitor(Box::new(Nobody)).unwrap();
            let at = Header { tag, ..header(stand_in, channel) };
            assert_eq!(said_to(asks(&session, &ours, at, ChannelCall::Branch).await).await.0, None);
            let again = session.begin_monitor(Box::new(Nobody)).unwrap();
            let at = Header { tag: again, ..at };
            let (code, _) = said_to(asks(&session, &ours, at, ChannelCall::Branch).await).await;
            assert_eq!(code, Some(Code::Protocol), "it stands for it already");
            let leaves = ChannelCall::Leaves { number: 1, leaves: u64::MAX, holds: stand_in == 1 };
            assert_eq!(said_to(asks(&session, &ours, header(stand_in, channel), leaves).await).await.0, None);
        }
        assert!(held() > before);
        // What it is sent it answers with `gone`: it counts for nothing.
        assert_eq!(honest.spreads(channel, 2, 1_000_000).await, "1");
        over(&heard).await;
        assert_eq!(said(&heard)[1..], ["1", "2"]);
        mallory.endpoint.close("gone").await;
        while held() > before {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn publishers_of_a_node_that_never_end_are_charged_to_their_tenant_and_end_with_it() {
    run(async {
        let [victim, mallory, _] = three().await;
        let channel = victim.channel("news");
        let (_, _slow) = victim.play("(call $joins (i32.const 1) (i32.const 2)); (call $pauses)", channel);
        assert_eq!(victim.spreads(channel, 1, 1).await, "1");
        let held = || victim.bench.tenant.ledger.used(Resource::Held);
        let before = held();
        let session = session(&mallory, &victim);
        let ours = victim.bench.tenant.name().to_owned();
        let mut waits = Vec::new();
        for _ in 0..1_000 {
            waits.push(asks(&session, &ours, header(1, channel), ChannelCall::Send { wait: u64::MAX }).await);
        }
        let (code, _) = said_to(asks(&session, &ours, header(1, channel), ChannelCall::Send { wait: 0 }).await).await;
        assert_eq!(code, Some(Code::Overloaded), "all of them wait");
        assert!(held() >= before + 1_000 * 1_024, "{before} {}", held());
        mallory.endpoint.close("gone").await;
        while held() > before {
            tokio::task::yield_now().await;
        }
        // The next has its turn.
        let late = "(call $publish (i32.const 980) (i64.const 7) (i32.const 64) (i32.const 5) (i64.const 20000000))";
        assert_eq!(victim.says(late, channel).await, ["timeout"]);
    });
}
