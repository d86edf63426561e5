//! Names across nodes: found from each, given once, free when the holder ends or its node is lost.

use super::{Node, join, module, over, said};
use crate::in_process::run;
use crate::links::authority;
use crate::support::Remember;
use corovan::runtime::Launch;
use corovan_core::ids::Address;
use std::sync::Arc;

/// Locates "hello", and sends to whoever that is.
const FINDS: &str =
    "(call $locate (i32.const 64) (i32.const 5) (i64.const -1) (i32.const 980)); (call $delivered (i64.const 9))";

#[test]
fn a_name_is_found_from_each_node_given_once_and_free_when_its_holder_ends() {
    run(async {
        let authority = authority();
        let nodes = ["a", "b", "c"].map(|name| Node::start(&authority, name));
        let [a, b, c] = &nodes;
        join(&[a, b, c]).await;
        // Who looks first waits.
        let (_, waits) = c.play(FINDS, Address::default());
        let (_, holder) = a.play("(call $register); (call $register); (call $serve)", Address::default());
        over(&waits).await;
        over(&holder).await;
        assert_eq!((said(&waits), said(&holder)), (vec!["0".to_owned(); 2], vec!["0".to_owned(); 3]));
        // It has ended, so another may have it, anywhere; while one has it, nobody else.
        let (_, second) = b.play("(call $register); (call $serve)", Address::default());
        let (_, finds) = a.play(
            "(call $locate (i32.const 64) (i32.const 5) (i64.const -1) (i32.const 980)); (call $register)",
            Address::default(),
        );
        over(&finds).await;
        assert_eq!(said(&finds), ["0", "taken"]);
        let (_, ends) = c.play(FINDS, Address::default());
        over(&ends).await;
        over(&second).await;
        let (_, none) =
            c.play("(call $locate (i32.const 64) (i32.const 5) (i64.const 0) (i32.const 980))", Address::default());
        over(&none).await;
        assert_eq!(said(&none), ["timeout"]);
    });
}

#[test]
fn the_names_of_a_node_that_leaves_are_free_and_those_that_were_at_home_there_are_still_found() {
    run(async {
        let authority = authority();
        let nodes = ["a", "b", "c", "d"].map(|name| Node::start(&authority, name));
        join(&nodes.each_ref()).await;
        let [a, b, c, d] = &nodes;
        let (_, lost) = d.play("(call $register); (call $serve)", Address::default());
        let held: Vec<_> = (0..20)
            .map(|n| {
                let data = format!("(call $named (i32.const {n})); (call $serve)");
                a.play(&data, Address::default())
            })
            .collect();
        let (_, found) =
            b.play("(call $locate (i32.const 64) (i32.const 5) (i64.const -1) (i32.const 980))", Address::default());
        over(&found).await;
        // All are given before one goes.
        for n in 0..20 {
            let (_, found) = c.play(&format!("(call $find (i32.const {n}))"), Address::default());
            over(&found).await;
            assert_eq!(said(&found), ["0"]);
        }
        d.handle.leave().await;
        d.links.close();
        d.endpoint.close("gone").await;
        for node in [a, b, c] {
            node.until(3).await;
        }
        for n in 0..20 {
            let (_, found) =
                b.play(&format!("(call $find (i32.const {n})); (call $delivered (i64.const 9))"), Address::default());
            over(&found).await;
            assert_eq!(said(&found), ["0", "0"], "name {n}");
        }
        for (_, seen) in &held {
            over(seen).await;
        }
        let (_, again) = c.play("(call $register)", Address::default());
        over(&again).await;
        assert_eq!(said(&again), ["0"]);
        assert_eq!(said(&lost), ["0"]);
    });
}

#[test]
fn a_computation_that_may_go_to_fewer_nodes_hides_no_names_of_its_tenant_s_others() {
    run(async {
        let authority = authority();
        let [a, b, c] = ["a", "b", "c"].map(|name| Node::start(&authority, name));
        join(&[&a, &b]).await;
        let _holders: Vec<_> = (0..30)
            .map(|n| a.play(&format!("(call $named (i32.const {n})); (call $serve)"), Address::default()))
            .collect();
        for n in 0..30 {
            assert_eq!(b.says(&format!("(call $find (i32.const {n}))"), Address::default()).await, ["0"]);
        }
        // The last on that node to speak of names.
        let narrow = a.narrow_computation();
        let program = a.bench.program(&module("(call $find (i32.const 0))", Address::default()), "f");
        let seen = Arc::new(Remember::default());
        let launch = Launch { group: narrow, ..a.bench.launch(&program, &seen) };
        a.bench.runtime.launch(launch).unwrap();
        over(&seen).await;
        assert_eq!(said(&seen), ["0"]);
        // Some are at home here from now on, where that computation may not go.
        c.handle.announce(a.address);
        for node in [&a, &b, &c] {
            node.until(3).await;
        }
        for n in 0..30 {
            assert_eq!(b.says(&format!("(call $find (i32.const {n}))"), Address::default()).await, ["0"], "name {n}");
        }
    });
}
