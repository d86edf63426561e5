//! Handles and names of locks: what is opened, what is refused, what traps, and the bounds.

use crate::script::Stage;
use corovan_core::limits;
use corovan_core::tenancy::quota::Resource;

const CALLS: [&str; 9] = [
    "acquire H 0",
    "acquire H forever",
    "release H",
    "wait H 0",
    "notify H 1",
    "set H",
    "clear H",
    "is_set H",
    "close H",
];

#[test]
fn a_handle_that_was_never_given_or_is_closed_is_a_trap_in_every_call() {
    let stage = Stage::new();
    for call in CALLS {
        for (before, handle) in
            [("", "0"), ("", "1"), ("open lock a;", "2"), ("open lock a;", "-1"), ("open lock a; close 1;", "1")]
        {
            let guest = stage.play(&format!("{before} {}", call.replace('H', handle)));
            assert!(guest.broke().contains("is no handle of a lock"), "{call} {handle}: {}", guest.broke());
        }
    }
    stage.close();
}

#[test]
fn each_call_is_for_some_kinds_and_invalid_for_the_others() {
    let stage = Stage::new();
    // acquire release notify set clear is_set; wait is for two, and not held here.
    let cases = [
        ("lock", "0 0 invalid invalid invalid invalid invalid"),
        ("reentrant", "0 0 invalid invalid invalid invalid invalid"),
        ("semaphore", "0 0 invalid invalid invalid invalid invalid"),
        ("condition", "0 0 not-held invalid invalid invalid not-held"),
        ("event", "invalid invalid invalid 0 0 0 timeout"),
    ];
    for (kind, expected) in cases {
        let count = u32::from(kind == "semaphore");
        let guest = stage.play(&format!(
            "open {kind} a {count}; acquire 1 0; release 1; notify 1 1; set 1; clear 1; is_set 1; wait 1 0"
        ));
        assert_eq!(guest.said().replace("@0", ""), format!("1 {expected}"), "{kind}");
        assert!(guest.detail().contains("\"a\""), "{}", guest.detail());
    }
    stage.close();
}

#[test]
fn a_name_stands_for_one_lock_of_one_kind_while_someone_has_it_open() {
    let stage = Stage::new();
    let first = stage.play("open lock a; open event a; hang");
    let second = stage.play("open lock a; open reentrant a; close 1; open event a");
    assert_eq!(first.said(), "1@0 invalid@0");
    assert_eq!(second.said(), "1@0 invalid@0 0@0 invalid@0");
    assert_eq!(second.detail(), "\"a\" is there as lock, not as event");
    stage.kill(&first);
    let third = stage.play("open event a; is_set 1; set 1; close 1; open event a; is_set 2");
    assert_eq!(third.said(), "1@0 0@0 0@0 0@0 2@0 0@0", "a new one");
    stage.close();
}

#[test]
fn what_cannot_be_opened_is_invalid_and_says_why() {
    let stage = Stage::new();
    for (open, why) in [
        ("open 0 a", "0 is no kind of lock"),
        ("open 6 a", "6 is no kind of lock"),
        ("open -1 a", "4294967295 is no kind of lock"),
        ("open lock -", "NAME_BYTES"),
        ("open lock x*129", "NAME_BYTES"),
        ("open lock @4096:70000", "NAME_BYTES"),
        ("open semaphore a 0", "a count of 1 or more"),
        ("open lock a 1", "only a semaphore has a count"),
        ("open event a 1", "only a semaphore has a count"),
    ] {
        let guest = stage.play(&format!("{open}; open lock x*128"));
        assert_eq!(guest.said(), "invalid@0 1@0", "{open}");
        assert!(guest.detail().contains(why), "{open}: {}", guest.detail());
        assert_eq!(stage.bench.group.locks.len(), 0);
    }
    stage.close();
}

#[test]
fn a_name_outside_of_memory_or_not_of_text_is_a_trap() {
    let stage = Stage::new();
    for (name, rule) in
        [("@131070:5", "outside of its memory"), ("@-1:2", "outside of its memory"), ("@80:2", "not UTF-8")]
    {
        let guest = stage.play(&format!("open lock {name}"));
        assert!(guest.broke().contains(rule), "{name}: {}", guest.broke());
    }
    stage.close();
}

#[test]
fn each_opening_has_a_handle_and_the_last_to_be_closed_releases() {
    let stage = Stage::new();
    let guest = stage.play(
        "open reentrant a; open reentrant a; acquire 1 0; acquire 2 0; close 1; open reentrant a; close 3; sleep 1; close 2;
         open reentrant a; release 4",
    );
    let next = stage.play("open reentrant a; acquire 1 forever; hang");
    stage.pass(1);
    assert_eq!(guest.said(), "1@0 2@0 0@0 0@0 0@0 3@0 0@0 0@1 4@1 not-held@1");
    assert_eq!(next.said(), "1@0 0@1");
    stage.close();
}

#[test]
fn a_coroutine_has_so_many_handles_and_a_closed_one_makes_room() {
    let stage = Stage::new();
    let limit = limits::COROUTINE_HANDLES;
    let open = format!("wat (call $many (i32.const {limit}) (i32.const 0))");
    let guest = stage.play(&format!("{open}; open lock b; close 7; open lock b; open lock b; hang"));
    assert_eq!(guest.said(), format!("{limit}@0 overloaded@0 0@0 {}@0 overloaded@0", limit + 1));
    assert!(guest.detail().contains("COROUTINE_HANDLES"), "{}", guest.detail());
    let held = stage.bench.ledger.used(Resource::Held);
    assert!(held >= limit as u64 * limits::HANDLE_BYTES, "{held} bytes are counted");
    stage.kill(&guest);
    assert_eq!(stage.bench.group.locks.len(), 0);
    stage.close();
}

#[test]
fn a_computation_has_so_many_locks() {
    let stage = Stage::new();
    let each = 1_000;
    let guests: Vec<_> = (0..limits::COMPUTATION_LOCKS / each)
        .map(|n| {
            let letter = b'a' + n as u8;
            stage.play(&format!(
                "wat (call $letter (i32.const {letter})); wat (call $many (i32.const {each}) (i32.const 0)); hang"
            ))
        })
        .collect();
    guests.iter().for_each(|guest| assert_eq!(guest.said(), "0@0 1000@0"));
    assert_eq!(stage.bench.group.locks.len(), limits::COMPUTATION_LOCKS);
    let late = stage.play("open lock late; open lock a0000; sleep 1; open lock late");
    stage.kill(&guests[3]);
    stage.pass(1);
    assert_eq!(late.said(), "overloaded@0 1@0 2@1");
    assert!(late.detail().contains("COMPUTATION_LOCKS"), "{}", late.detail());
    stage.close();
}

#[test]
fn handles_are_refused_where_the_tenants_quota_is_used_up() {
    let stage = Stage::new();
    let rest = stage.bench.ledger.take(Resource::Held, (1 << 30) - 2 * limits::HANDLE_BYTES);
    let guest = stage.play("open lock a; open lock b; open lock c; close 1; open lock c; open lock d");
    assert_eq!(guest.said(), "1@0 2@0 overloaded@0 0@0 3@0 overloaded@0");
    drop(rest);
    stage.close();
}
