//! Names as guests see them, on virtual time: who has one, who finds it, what is refused, and that they go with their holders.

use crate::script::{Guest, Stage};
use corovan_core::ids::Address;
use corovan_core::limits;

/// Its address as `locate` tells it.
fn found(guest: &Guest) -> String {
    guest.control.address.counter.to_string()
}

#[test]
fn a_name_is_found_by_all_of_the_tenant_also_in_another_computation() {
    let stage = Stage::new();
    let holder = stage.play("register printer self; register plotter self; locate printer 0; hang");
    let other = stage.play("locate printer forever; locate plotter 0; locate Printer 0; hang");
    let elsewhere = stage.play_in(&stage.computation(&stage.bench.tenant), "locate printer 0");
    let it = found(&holder);
    assert_eq!(holder.said(), format!("0@0 0@0 {it}@0"));
    assert_eq!(other.said(), format!("{it}@0 {it}@0 timeout@0"));
    assert_eq!(elsewhere.said(), format!("{it}@0"));
    stage.close();
}

#[test]
fn names_of_another_tenant_cannot_be_seen_taken_or_given_up() {
    let stage = Stage::new();
    let holder = stage.play("register printer self; sleep 5; locate printer 0; hang");
    let tenant = stage.bench.other_tenant();
    let computation = stage.computation(&tenant);
    let other = stage
        .play_in(&computation, "locate printer 0; unregister printer; register printer self; locate printer 0; hang");
    assert_eq!(other.said(), format!("timeout@0 not-found@0 0@0 {}@0", found(&other)));
    stage.pass(5);
    assert_eq!(holder.said(), format!("0@0 {}@5", found(&holder)));
    stage.kill(&other);
    assert_eq!((tenant.names.len(), stage.bench.tenant.names.len()), (0, 1));
    stage.close();
}

#[test]
fn a_name_has_one_holder_until_it_is_given_up() {
    let stage = Stage::new();
    let first = stage
        .play("register printer self; register printer self; sleep 2; unregister printer; unregister printer; hang");
    let second = stage.play("register printer self; sleep 3; register printer self; locate printer 0; hang");
    assert_eq!(second.said(), "taken@0");
    assert!(second.detail().contains("\"printer\"") && second.detail().contains(&first.control.address.to_string()));
    stage.pass(3);
    assert_eq!(first.said(), "0@0 0@0 0@2 not-found@2");
    assert_eq!(second.said(), format!("taken@0 0@3 {}@3", found(&second)));
    stage.close();
}

#[test]
fn a_name_can_be_given_to_another_and_be_taken_back_by_any_of_its_computation() {
    let stage = Stage::new();
    let holder = stage.play("register printer self; hang");
    let giver = stage.play("locate printer 0; register plotter located; locate plotter 0; unregister printer; hang");
    let it = found(&holder);
    assert_eq!(giver.said(), format!("{it}@0 0@0 {it}@0 0@0"));
    let elsewhere = stage.play_in(&stage.computation(&stage.bench.tenant), "unregister plotter; register plotter self");
    assert_eq!(elsewhere.said(), "denied@0 taken@0");
    assert_eq!(stage.play("locate printer 0; locate plotter 0").said(), format!("timeout@0 {it}@0"));
    stage.close();
}

#[test]
fn who_waits_for_a_name_is_woken_when_it_is_given() {
    let stage = Stage::new();
    let waits =
        ["locate printer forever", "locate printer 9", "locate printer 1; locate printer forever", "locate plotter 3"];
    let guests = waits.map(|wait| stage.play(wait));
    let interrupted = stage.play("locate printer forever; locate printer forever");
    stage.pass(1);
    interrupted.control.interrupt("look up");
    stage.pass(1);
    let holder = stage.play("register printer self; hang");
    stage.pass(9);
    let it = found(&holder);
    let said = guests.map(|guest| guest.said());
    assert_eq!(said, [format!("{it}@2"), format!("{it}@2"), format!("timeout@1 {it}@2"), "timeout@3".to_owned()]);
    assert_eq!(interrupted.said(), format!("interrupted@1 {it}@2"));
    stage.close();
}

#[test]
fn whatever_ends_a_holder_its_names_are_free() {
    for end in ["", "trap", "hang"] {
        let stage = Stage::new();
        let holder = stage.play(&format!("register printer self; register plotter self; sleep 1; {end}"));
        let next = stage.play("register printer self; sleep 2; register printer self; register plotter self; hang");
        let late = stage.play("sleep 1; sleep 1; locate plotter forever");
        stage.pass(1);
        if end == "hang" {
            stage.kill(&holder);
        }
        assert_eq!(stage.bench.tenant.names.len(), 0, "ended by {end:?}");
        stage.pass(1);
        assert_eq!(next.said(), "taken@0 0@2 0@2");
        assert_eq!(late.said(), format!("{}@2", found(&next)));
        stage.close();
    }
}

#[test]
fn one_that_is_stopped_while_it_waits_for_a_name_is_forgotten() {
    let stage = Stage::new();
    let guest = stage.play("locate printer forever");
    stage.kill(&guest);
    assert_eq!(stage.play("register printer self").said(), "0@0");
    stage.close();
}

#[test]
fn a_name_is_only_given_to_what_is_there_and_is_the_tenants() {
    let stage = Stage::new();
    let ended = stage.play("").control.address;
    let elsewhere = stage.computation(&stage.bench.other_tenant());
    let foreign = stage.play_in(&elsewhere, "hang");
    let there = foreign.control.address;
    for (given, code, detail) in [
        (ended, "gone", "has ended"),
        (Address { counter: 1 << 40, ..ended }, "gone", "never there"),
        (Address { secret: there.secret ^ 1, ..there }, "gone", "never there"),
        (there, "denied", "another tenant"),
        (Address { node: corovan_core::ids::NodeId([9; 12]), ..ended }, "node-lost", "no node 090909"),
    ] {
        let guest = stage.play_with("register printer given; locate printer 0", given);
        assert_eq!(guest.said(), format!("{code}@0 timeout@0"));
        let guest = stage.play_with("register printer given", given);
        assert!(guest.detail().contains(detail), "{}", guest.detail());
    }
    stage.kill(&foreign);
    stage.close();
}

#[test]
fn a_name_that_is_none_is_invalid_and_a_bad_pointer_a_trap() {
    let stage = Stage::new();
    for call in ["register N self", "unregister N", "locate N forever"] {
        for name in ["-", "x*129", "@4096:70000"] {
            let guest = stage.play(&call.replace('N', name));
            assert_eq!(guest.said(), "invalid@0", "{call} {name}");
            assert!(guest.detail().contains("NAME_BYTES"), "{}", guest.detail());
        }
        for (name, rule) in
            [("@131070:5", "outside of its memory"), ("@-1:2", "outside of its memory"), ("@80:2", "not UTF-8")]
        {
            let guest = stage.play(&call.replace('N', name));
            assert!(guest.broke().contains(rule), "{call} {name}: {}", guest.broke());
        }
    }
    let guest = stage.play("register x*128 self; locate x*128 0; register printer 131060");
    assert_eq!(guest.said(), format!("0@0 {}@0", found(&guest)));
    assert!(guest.broke().contains("outside of its memory"));
    let out = stage.play(
        "register printer self; wat (call $locate (i32.const 64) (i32.const 5) (i64.const -1) (i32.const 131060))",
    );
    stage.play("wat (call $many (i32.const 1) (i32.const 1)); sleep 1");
    assert!(out.broke().contains("outside of its memory"));
    stage.pass(1);
    stage.close();
}

#[test]
fn a_tenant_has_so_many_names() {
    let stage = Stage::new();
    let all = limits::TENANT_NAMES;
    let guest = stage.play(&format!("wat (call $many (i32.const {all}) (i32.const 1)); register late self; register a0000 self; unregister a0007; register late self; hang"));
    assert_eq!(guest.said(), format!("{all}@0 overloaded@0 0@0 0@0 0@0"));
    assert!(guest.detail().contains("TENANT_NAMES"), "{}", guest.detail());
    let other = stage.computation(&stage.bench.other_tenant());
    assert_eq!(stage.play_in(&other, "register late self").said(), "0@0", "another tenant has its own");
    stage.kill(&guest);
    assert_eq!(stage.bench.tenant.names.len(), 0);
    stage.close();
}
