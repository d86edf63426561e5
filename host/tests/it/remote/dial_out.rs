//! A node that accepts no connections, among others of which it may know none but by membership: coroutines reach it and it
//! them, also when those that pass on for it go.

use super::{NoGuests, Node, join, over, said};
use crate::in_process::run;
use crate::links::authority;
use crate::process::until;
use corovan::tenancy::ca::Authority;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::wire::Outcome;
use std::sync::Arc;

fn dial_out(authority: &Authority, name: &str) -> Node {
    Node::that_says(authority, name, name, true, |_| Arc::new(NoGuests))
}

/// Waits until it has heard whom that node's datagrams are handed to, none of them among those that are gone.
async fn gateways(at: &Node, of: NodeId, gone: &[NodeId]) -> Vec<NodeId> {
    let (handle, gone) = (at.handle.clone(), gone.to_vec());
    let said = move || {
        let about = handle.members().get(&of)?.about.clone()?;
        let whole = about.gateways.len() == limits::GATEWAYS && !about.gateways.iter().any(|it| gone.contains(it));
        whole.then(|| about.gateways.clone())
    };
    tokio::task::spawn_blocking(|| until("it has said who its gateways are", said)).await.unwrap()
}

/// A coroutine on the one sends to, asks and joins one on the other, with no connection between the two at first.
async fn talk(from: &Node, to: &Node) {
    let (server, seen) = to.play("(call $serve)", Address::default());
    from.links.break_connections();
    let calls = "(call $to_given (i64.const 1)); (call $delivered (i64.const 2)); (call $asked); \
                 (call $delivered (i64.const 9)); (call $joined)";
    let (_, client) = from.play(calls, server.address);
    over(&client).await;
    let heard = said(&client);
    assert_eq!(heard[..4], ["0", "0", "5", "0"], "{heard:?}");
    assert!(heard[4].parse::<u32>().is_ok_and(|size| size > 50), "an exit record: {heard:?}");
    assert!(matches!(over(&seen).await, Outcome::Finished(_)));
}

#[test]
fn coroutines_reach_a_node_that_only_dials_and_it_them_also_when_a_gateway_of_it_goes() {
    run(async {
        let authority = authority();
        let open: Vec<Node> = ["a", "b", "c", "d", "e"].map(|name| Node::start(&authority, name)).into();
        let behind = dial_out(&authority, "behind");
        let all: Vec<&Node> = open.iter().chain([&behind]).collect();
        join(&all).await;
        let me = behind.links.node();
        let chosen = gateways(&open[0], me, &[]).await;
        for node in &open {
            talk(node, &behind).await;
            talk(&behind, node).await;
        }
        let (lost, others): (Vec<&Node>, Vec<&Node>) = open.iter().partition(|it| it.links.node() == chosen[0]);
        lost[0].endpoint.close("killed").await;
        // Before anybody knows, and after another has taken its place.
        talk(others[0], &behind).await;
        let then = gateways(others[1], me, &chosen[..1]).await;
        assert!(!then.contains(&chosen[0]));
        for node in others {
            talk(node, &behind).await;
            assert!(node.handle.members().contains_key(&me), "it never was given up");
        }
    });
}

#[test]
fn two_nodes_that_only_dial_know_each_other_and_say_at_once_that_they_cannot_meet() {
    run(async {
        let authority = authority();
        let hub = Node::start(&authority, "hub");
        let (one, other) = (dial_out(&authority, "one"), dial_out(&authority, "other"));
        join(&[&hub, &one, &other]).await;
        let (server, _seen) = one.play("(call $serve)", Address::default());
        let calls = "(call $to_given (i64.const 1)); (call $delivered (i64.const 2)); (call $joined)";
        let (_, client) = other.play(calls, server.address);
        over(&client).await;
        assert_eq!(said(&client), ["node-lost"; 3]);
        // With the one between them both can speak.
        talk(&hub, &one).await;
        talk(&other, &hub).await;
    });
}
