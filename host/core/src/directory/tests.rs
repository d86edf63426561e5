//! A node's part in names, one message at a time; whole clusters are in `tests/sim`.

use super::message::{Registration, Request, Response};
use super::*;
use crate::limits;

const SECOND: u64 = 1_000_000_000;

fn node(n: u8) -> Presence {
    Presence::new(NodeId([n; 12]), 1, "10.0.0.1:1".parse().unwrap())
}

fn holder(of: &Presence, counter: u64) -> Address {
    Address { node: of.node, incarnation: of.incarnation, counter, secret: 7 }
}

fn name(text: &str) -> Name {
    Name::new("a", text).unwrap()
}

fn drain(directory: &mut Directory) -> Vec<Output> {
    std::iter::from_fn(|| directory.poll_output()).collect()
}

#[test]
fn a_node_alone_registers_locates_and_frees_names_at_once() {
    let me = node(1);
    let mut directory = Directory::new(&me);
    let (one, two) = (holder(&me, 1), holder(&me, 2));
    directory.register(0, 5, 1, name("x"), one, SECOND);
    directory.register(0, 5, 2, name("x"), two, SECOND);
    directory.register(0, 5, 3, name("x"), one, SECOND);
    directory.locate(0, 4, name("x"), false, SECOND);
    directory.locate(0, 5, name("y"), false, SECOND);
    directory.locate(0, 6, name("y"), true, SECOND);
    use Output::*;
    let expected = [
        Registered(1, Ok(())),
        Registered(2, Err(Code::Taken)),
        Registered(3, Ok(())),
        Located(4, Ok(one)),
        Located(5, Err(Code::NotFound)),
    ];
    assert_eq!(drain(&mut directory), expected);
    directory.register(0, 5, 7, name("y"), two, SECOND);
    let mut both = drain(&mut directory);
    both.sort_by_key(|output| format!("{output:?}"));
    assert_eq!(both, [Located(6, Ok(two)), Registered(7, Ok(()))]);
    directory.forget(0, &one);
    directory.register(0, 5, 8, name("x"), two, SECOND);
    assert_eq!(drain(&mut directory), [Registered(8, Ok(()))]);
    assert!(!directory.unregister(0, &name("x"), &one) && directory.unregister(0, &name("x"), &two));
    directory.locate(0, 9, name("x"), true, SECOND);
    while let Some(due) = directory.next_deadline().filter(|due| *due <= SECOND) {
        directory.handle_timer(due);
    }
    assert_eq!(drain(&mut directory), [Located(9, Err(Code::Timeout))]);
}

#[test]
fn what_a_tenant_registers_and_waits_for_is_bounded_on_both_sides() {
    let (me, other) = (node(1), node(2));
    let mut directory = Directory::new(&me);
    for n in 0..=limits::TENANT_NAMES as u64 {
        directory.register(0, 5, n, name(&n.to_string()), holder(&me, 1), SECOND);
        directory.locate(0, 1 << 32 | n, name("nobody's"), true, SECOND);
    }
    let outputs = drain(&mut directory);
    let refused: Vec<&Output> =
        outputs.iter().filter(|output| !matches!(output, Output::Registered(_, Ok(())))).collect();
    let last = limits::TENANT_NAMES as u64;
    let expected =
        [Output::Registered(last, Err(Code::Overloaded)), Output::Located(1 << 32 | last, Err(Code::Overloaded))];
    assert_eq!(refused, expected.iter().collect::<Vec<_>>());
    // Another node's claim meets the home's own bound.
    let mut home = Home::new(me.node);
    let homes = Homes::default();
    home.came(0, other.node, 1, false);
    for n in 0..=last {
        let registration = Registration { number: 1, holder: holder(&other, 1) };
        home.handle(0, other.node, Request::Claim { call: n, name: name(&n.to_string()), registration }, &homes);
        home.handle(0, other.node, Request::Locate { call: n, name: name("nobody's"), wait: true }, &homes);
    }
    let refused =
        std::iter::from_fn(|| home.poll()).filter(|(_, response)| matches!(response, Response::Refused { .. }));
    assert_eq!(refused.count(), 2);
    assert_eq!(home.leases().count(), limits::TENANT_NAMES);
}

#[test]
fn a_home_that_others_left_names_to_waits_for_holders_before_it_gives_one_away() {
    let (me, other, third) = (node(1), node(2), node(3));
    let wants = |name: &Name, who: &Presence| name.spot().weight(who.node);
    let ours = |name: &Name| wants(name, &other) > wants(name, &me) && wants(name, &me) > wants(name, &third);
    let inherited = (0..).map(|n| name(&n.to_string())).find(ours).unwrap();
    let mut directory = Directory::new(&me);
    directory.came(0, &other);
    directory.came(0, &third);
    directory.went(10 * SECOND, &other);
    let claim = |call, name: &Name, number| {
        let registration = Registration { number, holder: holder(&third, call) };
        Message::Request(Request::Claim { call, name: name.clone(), registration })
    };
    directory.handle(10 * SECOND, third.node, claim(1, &inherited, 50));
    assert_eq!(drain(&mut directory), [], "not yet");
    let older = Registration { number: 40, holder: holder(&third, 9) };
    directory.handle(
        11 * SECOND,
        third.node,
        Message::Request(Request::Announce { names: vec![(inherited.clone(), older)] }),
    );
    directory.handle_timer(13 * SECOND);
    let taken = Message::Response(Response::Taken { call: 1, by: older });
    assert_eq!(drain(&mut directory), [Output::Send(third.node, taken)]);
}

#[test]
fn of_two_registrations_that_meet_the_older_one_stays_and_the_other_is_told_once() {
    let (me, other, third) = (node(1), node(2), node(3));
    let mut home = Home::new(me.node);
    let homes = Homes::default();
    home.came(0, other.node, 1, false);
    home.came(0, third.node, 1, false);
    let older = Registration { number: 1, holder: holder(&other, 1) };
    let newer = Registration { number: 2, holder: holder(&third, 1) };
    for order in [[older, newer], [newer, older]] {
        for registration in order {
            let names = vec![(name("x"), registration)];
            home.handle(0, registration.holder.node, Request::Announce { names }, &homes);
        }
        let lost = Response::Lost { name: name("x"), registration: newer, winner: older };
        assert_eq!(std::iter::from_fn(|| home.poll()).collect::<Vec<_>>(), [(third.node, lost)]);
        home.handle(0, other.node, Request::Release { call: 1, name: name("x"), registration: older }, &homes);
        assert_eq!(home.poll(), Some((other.node, Response::Released { call: 1 })));
    }
}

#[test]
fn nobody_speaks_for_another_node_or_for_an_earlier_boot() {
    let (me, other, third) = (node(1), node(2), node(3));
    let mut directory = Directory::new(&me);
    directory.came(0, &Presence { incarnation: 2, ..other });
    directory.went(SECOND, &third);
    let denied = Response::Refused { call: 1, code: Code::Denied };
    let later = Response::Elsewhere { call: 1 };
    for (from, by, answer) in [
        (other, holder(&third, 1), denied),
        (other, holder(&other, 1), later.clone()),
        (third, holder(&third, 1), later),
    ] {
        let registration = Registration { number: 1, holder: by };
        for request in [
            Request::Claim { call: 1, name: name("x"), registration },
            Request::Announce { names: vec![(name("x"), registration)] },
        ] {
            directory.handle(9 * SECOND, from.node, Message::Request(request));
        }
        assert_eq!(directory.home.find(&name("x")), None, "{from:?} for {by}");
        assert_eq!(drain(&mut directory), [Output::Send(from.node, Message::Response(answer))]);
    }
}

#[test]
fn only_the_home_that_was_asked_answers_and_what_nobody_asked_for_makes_no_work_without_end() {
    let me = node(1);
    let (home, bad) = (node(2), node(3));
    let mut directory = Directory::new(&me);
    directory.came(0, &home);
    directory.came(0, &bad);
    // One that is at home there.
    let wanted = (0..)
        .map(|n| name(&format!("name {n}")))
        .find(|name| directory.homes().home(name.spot()) == Some(home.node))
        .unwrap();
    directory.locate(0, 1, wanted.clone(), true, 60 * SECOND);
    let asked = drain(&mut directory);
    let [Output::Send(to, Message::Request(Request::Locate { call, .. }))] = asked[..] else { panic!("{asked:?}") };
    assert_eq!(to, home.node);
    let found =
        |by: &Presence| Response::Found { call, registration: Registration { number: 1, holder: holder(by, 1) } };
    directory.handle(1, bad.node, Message::Response(found(&bad)));
    assert_eq!(drain(&mut directory), []);
    directory.handle(1, home.node, Message::Response(found(&home)));
    assert_eq!(drain(&mut directory), [Output::Located(1, Ok(holder(&home, 1)))]);
    // What is given back is given back by the home that has it.
    directory.register(2, 5, 2, wanted.clone(), holder(&me, 1), 60 * SECOND);
    let asked = drain(&mut directory);
    let [Output::Send(_, Message::Request(Request::Claim { call, registration, .. }))] = asked[..] else {
        panic!("{asked:?}")
    };
    let given = Response::Registered { call, name: wanted.clone(), registration };
    directory.handle(3, home.node, Message::Response(given));
    assert!(directory.unregister(4, &wanted, &holder(&me, 1)));
    let asked: Vec<_> = drain(&mut directory);
    let Some(Output::Send(_, Message::Request(Request::Release { call, .. }))) = asked.last() else {
        panic!("{asked:?}")
    };
    directory.handle(5, bad.node, Message::Response(Response::Released { call: *call }));
    assert_eq!(directory.holder.open(), 1);
    directory.handle(5, home.node, Message::Response(Response::Released { call: *call }));
    assert_eq!(directory.holder.open(), 0);
    // Registrations that nobody wants are given back, but not without end.
    for number in 0..2 * limits::NAMES_RETURNED as u64 {
        let registration = Registration { number, holder: holder(&me, 9) };
        let registered = Response::Registered { call: 1 << 60, name: wanted.clone(), registration };
        directory.handle(6, bad.node, Message::Response(registered));
        drain(&mut directory);
    }
    assert_eq!(directory.holder.open(), limits::NAMES_RETURNED);
    let others = Registration { number: 1, holder: holder(&bad, 9) };
    let before = directory.holder.open();
    directory.handle(
        7,
        bad.node,
        Message::Response(Response::Registered { call: 1 << 60, name: wanted, registration: others }),
    );
    assert_eq!((directory.holder.open(), drain(&mut directory)), (before, vec![]));
}

#[test]
fn a_lease_that_is_not_renewed_ends_and_one_sum_renews_all_of_a_node() {
    let (me, other) = (node(1), node(2));
    let mut home = Home::new(me.node);
    let homes = Homes::default();
    home.came(0, other.node, 1, false);
    let registration = Registration { number: 1, holder: holder(&other, 1) };
    let names: Vec<(Name, Registration)> = (0..50).map(|n| (name(&n.to_string()), registration)).collect();
    home.handle(0, other.node, Request::Announce { names: names.clone() }, &homes);
    let sum = names.iter().fold(0, |sum, (name, it)| sum ^ message::sum(name.spot(), it));
    for second in 1..30 {
        home.handle(second * SECOND, other.node, Request::Renew { count: 50, sum }, &homes);
        home.handle_timer(second * SECOND, &homes);
    }
    assert_eq!((home.leases().count(), home.poll()), (50, None));
    home.handle(30 * SECOND, other.node, Request::Renew { count: 49, sum }, &homes);
    assert_eq!(home.poll(), Some((other.node, Response::Unknown)));
    let end = 29 * SECOND + limits::NAME_LEASE.as_nanos() as u64;
    home.handle_timer(end - 1, &homes);
    assert_eq!(home.leases().count(), 50);
    home.handle_timer(end, &homes);
    assert_eq!((home.leases().count(), home.next_deadline()), (0, None));
}

#[test]
fn a_registration_that_is_granted_after_it_was_given_up_is_given_back() {
    let (me, other) = (node(1), node(2));
    let wants = |name: &Name, who: &Presence| name.spot().weight(who.node);
    let far = (0..).map(|n| name(&n.to_string())).find(|name| wants(name, &other) > wants(name, &me)).unwrap();
    let mut directory = Directory::new(&me);
    directory.came(0, &other);
    directory.register(0, 5, 1, far.clone(), holder(&me, 1), SECOND);
    let sent = drain(&mut directory);
    let [Output::Send(_, Message::Request(Request::Claim { call, registration, .. }))] = sent[..] else {
        panic!("{sent:?}");
    };
    directory.withdraw(0, 1);
    let is_release = |output: &Output| matches!(output, Output::Send(_, Message::Request(Request::Release { .. })));
    assert_eq!(drain(&mut directory).iter().filter(|output| is_release(output)).count(), 1);
    // Its answer was lost, and the claim overtaken by the release.
    while let Some(due) = directory.next_deadline().filter(|due| *due <= 60 * SECOND) {
        directory.handle_timer(due);
    }
    drain(&mut directory);
    let granted = Response::Registered { call, name: far.clone(), registration };
    directory.handle(61 * SECOND, other.node, Message::Response(granted));
    assert_eq!(drain(&mut directory).iter().filter(|output| is_release(output)).count(), 1);
    assert_eq!(directory.holder.held().count(), 0);
}
