//! Hot swap of a coroutine of another node: its new module comes from whoever has it, and each way in which it fails is told as
//! on one node.

use super::hosts::{Host, program, until, with_three};
use super::{over, said};
use corovan_core::ids::{Address, ModuleHash};

/// Waits for a swap, and does this; told: what it gave, and the tag of the next message. Its `next` tells its argument and the
/// tags of two messages.
fn target(agrees: &str) -> String {
    let functions = format!(
        "(data (i32.const 300) \"\\07\")
         (func (export \"f\")
            (loop $wait (drop (call $recv (i64.const -1))) (br_if $wait (i32.ne (call $kind) (i32.const {SWAP}))))
            (call $tell {agrees}) (drop (call $recv (i64.const -1))) (call $tell (call $tag)))
         {NEXT}"
    );
    program(Address::default(), None, &functions)
}

/// Another module with `next`; `salt` makes it one of its own.
fn successor(salt: u32) -> String {
    program(Address::default(), None, &format!("(data (i32.const 400) \"{salt}\") {NEXT}"))
}

/// Asks the target to go on as a function of a module, and tells what that gave.
async fn ask(host: &Host, target: Address, module: Option<ModuleHash>, name: &str, timeout: i64) -> String {
    let seen = host.play(&asking(target, module, name, timeout)).await;
    said(&seen).join(" ")
}

fn asking(target: Address, module: Option<ModuleHash>, name: &str, timeout: i64) -> String {
    let (at, len) = if name == "next" { (100, 4) } else { (110, 6) };
    let hash = if module.is_some() { 940 } else { 0 };
    let call = format!(
        "(func (export \"f\") (call $tell (call $swap (i32.const 980) (i32.const {hash}) (i32.const {at}) (i32.const {len})
            (i64.const {timeout}))))"
    );
    program(target, module, &call)
}

async fn send(host: &Host, to: Address, tag: u32) {
    let sends = format!("(func (export \"f\") (call $tell (call $sent (i32.const 980) (i64.const {tag}))))");
    let seen = host.play(&program(to, None, &sends)).await;
    assert_eq!(said(&seen), ["0"]);
}

const SWAP: u32 = 4;
const FOREVER: i64 = -1;
const SLEEPS: &str = "(func (export \"f\") (drop (call $sleep (i64.const -1))))";
const AGREES: &str = "(call $swap_point (i32.const 300) (i32.const 1))";
const NEXT: &str = "(func (export \"next\")
    (drop (call $args (i32.const 1600) (i32.const 100))) (call $tell (i32.load8_u (i32.const 1601)))
    (drop (call $recv (i64.const -1))) (call $tell (call $tag)) (drop (call $recv (i64.const -1))) (call $tell (call $tag)))";

#[test]
fn a_coroutine_goes_on_as_a_function_of_a_module_that_its_node_had_never_seen() {
    with_three(async |[a, b, c]| {
        // One that the asker has, one that only a third node has, one of its own.
        let at_b = b.ship(&successor(1)).await;
        let at_c = c.ship(&successor(2)).await;
        for module in [Some(at_b), Some(at_c), None] {
            let (address, seen) = a.begin(&target(AGREES)).await;
            // The node of the target has a session with the third one.
            send(&c, address, 9).await;
            send(&b, address, 5).await;
            assert_eq!(ask(&b, address, module, "next", FOREVER).await, "0", "{module:?}");
            send(&b, address, 6).await;
            send(&c, address, 8).await;
            over(&seen).await;
            assert_eq!(said(&seen), ["7", "6", "8"]);
            let record = seen.exits.lock()[0].clone();
            assert_eq!((record.address, &*record.function), (address, "next"));
            assert!(module.is_none_or(|module| module == record.module));
        }
    });
}

#[test]
fn a_swap_that_fails_says_why_and_the_old_instance_goes_on() {
    with_three(async |[a, b, _c]| {
        let good = b.ship(&successor(1)).await;
        let never_starts =
            program(Address::default(), None, "(func (export \"_initialize\") unreachable) (func (export \"next\"))");
        let bad = b.ship(&never_starts).await;
        let nowhere = ModuleHash::of(b"nowhere");
        let refuses = "(call $swap_refuse (i32.const 70) (i32.const 5))";
        for (agrees, module, name, expected, told) in [
            (refuses, Some(good), "next", "swap-failed", "0"),
            (AGREES, Some(bad), "next", "swap-failed", "swap-failed"),
        ] {
            let (address, seen) = a.begin(&target(agrees)).await;
            // What is refused before the target is asked, it never learns.
            for (module, name, expected) in
                [(Some(nowhere), "next", "need-module"), (Some(good), "nosuch", "unknown-function")]
            {
                assert_eq!(ask(&b, address, module, name, FOREVER).await, expected);
            }
            assert_eq!(ask(&b, address, module, name, FOREVER).await, expected);
            send(&b, address, 6).await;
            over(&seen).await;
            assert_eq!(said(&seen), [told, "6"]);
            assert_eq!(ask(&b, address, Some(good), "next", FOREVER).await, "gone");
        }
    });
}

#[test]
fn a_swap_that_is_not_answered_is_taken_back_when_its_asker_gives_up_or_is_lost() {
    with_three(async |[a, b, c]| {
        // Reads nothing before it is told to, and then finds a swap that nobody waits for.
        let late = format!(
            "(data (i32.const 300) \"\\07\")
             (func $waits (param i32) (loop $wait (drop (call $recv (i64.const -1)))
                (br_if $wait (i32.ne (call $kind) (i32.const {SWAP})))) (call $tell (local.get 0)))
             (func (export \"f\")
                (call $waits (i32.const 1)) (call $tell (call $agreed))
                (call $waits (i32.const 2)) (call $tell (call $agreed)))
             (func $agreed (result i32)
                (loop $wait (drop (call $recv (i64.const -1))) (br_if $wait (i32.ne (call $tag) (i32.const 6))))
                {AGREES})"
        );
        let (address, seen) = a.begin(&program(Address::default(), None, &late)).await;
        let module = b.ship(&successor(1)).await;
        // What takes it back goes before what its asker sends next.
        let asks = r#"(func (export "f")
                (call $tell (call $swap (i32.const 980) (i32.const 940) (i32.const 100) (i32.const 4) (i64.const -1)))
                (call $tell (call $sent (i32.const 980) (i64.const 6))))"#;
        let (asker, asked) = b.begin(&program(address, Some(module), asks)).await;
        until(|| (said(&seen) == ["1"]).then_some(())).await;
        let asker = b.node.bench.runtime.registry.coroutines(|control| control.address == asker);
        asker[0].interrupt("enough");
        over(&asked).await;
        assert_eq!(said(&asked), ["interrupted", "0"]);
        until(|| (said(&seen).len() == 2).then_some(())).await;
        assert_eq!(said(&seen), ["1", "not-found"]);
        // So it is for one that does not wait.
        let (reads_nothing, _seen) = a.begin(&program(Address::default(), None, SLEEPS)).await;
        assert_eq!(ask(&b, reads_nothing, Some(module), "next", 1).await, "timeout");
        // It is free for another, whose node is lost.
        let _asks = c.begin(&asking(address, Some(c.ship(&successor(2)).await), "next", FOREVER)).await;
        until(|| (said(&seen).len() == 3).then_some(())).await;
        c.node.endpoint.close("lost").await;
        c.node.links.close();
        until(|| a.node.links.sessions().iter().all(|it| it.peer != c.node.bench.runtime.node).then_some(())).await;
        send(&b, address, 6).await;
        over(&seen).await;
        assert_eq!(said(&seen), ["1", "not-found", "2", "not-found"]);
    });
}

#[test]
fn another_tenants_coroutine_is_not_swapped() {
    with_three(async |[a, b, _c]| {
        let (address, _seen) = a.begin(&target(AGREES)).await;
        let seen = b.play_as(&b.node.bench.other_tenant(), &asking(address, None, "next", FOREVER)).await;
        assert_eq!(said(&seen), ["denied"]);
    });
}
