//! Links with a node that accepts no connections: it dials where it is asked to, and nobody dials it.

use super::{Node, authority, message, send};
use crate::in_process::run;
use bytes::Bytes;
use corovan::cluster::link::{Answer, NoWay, NotSent, Place};
use corovan_core::limits;
use corovan_core::link::frame::{Header, Kind};
use corovan_core::membership::swim::Unconnected;

/// One that others dial, and one that they cannot, which know each other.
fn pair() -> (Node, Node) {
    let authority = authority();
    let (a, behind) = (Node::start(&authority, "a"), Node::with(&authority, "behind", true));
    a.links.place(behind.links.node(), Place::DialOut);
    behind.knows(&a);
    (a, behind)
}

#[test]
fn who_cannot_be_dialled_dials_who_asks_and_the_session_is_one_as_ever() {
    run(async {
        let (a, behind) = pair();
        let session = a.session(&behind);
        let me = a.links.node();
        send(&session, message(Kind::Message, 1, 2, 1), b"waits").await.unwrap();
        a.inbox.until(|inbox| inbox.called.lock().contains(&behind.links.node())).await;
        assert_eq!((a.links.connections(), behind.links.connections()), (0, 0));
        behind.links.call_back(me);
        behind.inbox.until(|inbox| inbox.messages.lock().len() == 1).await;
        // Asked again where that was overtaken: what is there stays.
        (0..10).for_each(|_| behind.links.call_back(me));
        assert_eq!((a.links.connections(), behind.links.connections()), (1, 1));
        // One that breaks while something waits at both ends is made again by the one that can, unasked, and resumed.
        *behind.inbox.full.lock() = Some(Vec::new());
        let (call, answer) = session.begin_call().unwrap();
        send(&session, Header { call, ..message(Kind::Deliver, 1, 2, 2) }, b"kept back").await.unwrap();
        behind.inbox.until(|inbox| inbox.full.lock().as_ref().unwrap().len() == 1).await;
        a.links.break_connections();
        behind.inbox.open();
        assert!(matches!(answer.await.unwrap(), Answer::Given { kind: Kind::Delivered, tag: 0, .. }));
        assert_eq!((session.number(), *a.inbox.ended.lock()), (1, 0), "the same session");
        // Back, it needs to ask nobody.
        let back = behind.session(&a);
        send(&back, message(Kind::Message, 3, 4, 0), b"back").await.unwrap();
        a.inbox.until(|inbox| inbox.messages.lock().len() == 1).await;
    });
}

#[test]
fn who_is_asked_in_vain_is_lost_as_any_other_and_asked_no_more_than_so_often() {
    run(async {
        let (a, behind) = pair();
        let session = a.session(&behind);
        let (call, answer) = session.begin_call().unwrap();
        send(&session, Header { call, ..message(Kind::Deliver, 1, 2, 0) }, b"m").await.unwrap();
        assert!(matches!(answer.await.unwrap(), Answer::Lost));
        assert_eq!(send(&session, message(Kind::Message, 1, 2, 0), b"m").await, Err(NotSent::Lost));
        let asked = a.inbox.called.lock().len();
        let most = limits::SILENCE.as_millis() / limits::CALL_BACK_RETRY.as_millis() + 1;
        assert!((2..=most as usize).contains(&asked), "{asked}");
        assert_eq!(behind.links.connections(), 0);
    });
}

#[test]
fn a_connection_with_one_that_only_dials_is_refused_and_two_of_them_say_why_at_once() {
    run(async {
        let (a, behind) = pair();
        // Somebody has said that it can be dialled.
        a.knows(&behind);
        let session = a.session(&behind);
        let (call, answer) = session.begin_call().unwrap();
        send(&session, Header { call, ..message(Kind::Deliver, 1, 2, 0) }, b"m").await.unwrap();
        assert!(matches!(answer.await.unwrap(), Answer::Lost));
        assert_eq!((behind.links.connections(), behind.links.sessions().len()), (0, 0));
        behind.links.place(a.links.node(), Place::DialOut);
        let refused = behind.links.session(a.links.node()).unwrap_err();
        assert_eq!(refused, NoWay::BothDialOut(a.links.node()));
        assert!(refused.to_string().contains("--dial-out"));
        // Nor does it dial one that is not known, or cannot be dialled, whoever asks.
        behind.links.call_back(a.links.node());
        behind.links.call_back(corovan_core::ids::NodeId([1; 12]));
        assert_eq!(behind.links.connections(), 0);
    });
}

#[test]
fn a_datagram_goes_over_the_connection_there_is_or_to_the_gateway_and_else_nowhere() {
    run(async {
        let authority = authority();
        let (a, behind) = (Node::start(&authority, "a"), Node::with(&authority, "behind", true));
        let gateway = Node::start(&authority, "gateway");
        let (node, there) = (Some(behind.links.node()), behind.address);
        let pass =
            || Unconnected::Pass { to: gateway.address, node: gateway.links.node(), bytes: b"for another".to_vec() };
        a.links.datagram(there, node, Bytes::from_static(b"lost"), Unconnected::Drop);
        a.links.datagram(there, node, Bytes::from_static(b"direct"), pass());
        gateway.inbox.until(|inbox| inbox.datagrams.lock().len() == 1).await;
        assert_eq!(gateway.inbox.datagrams.lock()[0], (a.links.node(), Bytes::from_static(b"for another")));
        behind.links.datagram(a.address, Some(a.links.node()), Bytes::from_static(b"hello"), Unconnected::Dial);
        a.inbox.until(|inbox| inbox.datagrams.lock().len() == 1).await;
        a.links.datagram(there, node, Bytes::from_static(b"direct"), pass());
        behind.inbox.until(|inbox| inbox.datagrams.lock().len() == 1).await;
        assert_eq!(behind.inbox.datagrams.lock()[0], (a.links.node(), Bytes::from_static(b"direct")));
        assert_eq!(gateway.inbox.datagrams.lock().len(), 1);
        // One that listens elsewhere than it is reached from outside.
        behind.links.place(gateway.links.node(), Place::At(gateway.address));
        let inside = "192.0.2.1:1".parse().unwrap();
        behind.links.datagram(inside, Some(gateway.links.node()), Bytes::from_static(b"in"), Unconnected::Dial);
        gateway.inbox.until(|inbox| inbox.datagrams.lock().len() == 2).await;
    });
}
