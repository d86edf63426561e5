//! What others may do to a gateway, and by one to the node behind it: no more than there may be, for members, once.

use super::super::datagram::{self, Kind, cluster_number};
use super::*;
use crate::membership::swim::Unconnected;

/// The gateway is 1, the dial-out node 2; members that only talk come after.
struct Mesh {
    gateway: Swim,
    behind: Swim,
}

const GATEWAY: u32 = 1;
const BEHIND: u32 = 2;
const MEMBER: u32 = 3;
const STRANGER: u32 = 99;

impl Mesh {
    fn new() -> Mesh {
        let me = Presence { dial_out: true, ..presence(BEHIND, 1) };
        let behind = Swim::new(0, me, About::default(), "dev", 7).unwrap();
        let mut mesh = Mesh { gateway: swim(GATEWAY, 1), behind };
        // Both know the member, and each other.
        let digest = |of| seal(Kind::Digest, of, &[0; 512]);
        assert_eq!(mesh.gateway_hears(MEMBER, &digest(MEMBER)), None);
        assert_eq!(mesh.behind_hears(MEMBER, &digest(MEMBER)), None);
        assert_eq!(mesh.behind_hears(GATEWAY, &digest(GATEWAY)), None);
        for n in [GATEWAY, MEMBER] {
            let answer = seal(Kind::Gated, n, &[]);
            assert_eq!(mesh.behind_hears(n, &answer), None, "{n} was asked, as there are not many");
        }
        assert_eq!(mesh.gateway_hears(BEHIND, &seal_presence(Kind::Gate, &me, &[])), None);
        mesh
    }

    fn gateway_hears(&mut self, sender: u32, bytes: &[u8]) -> Option<Rejected> {
        hand(&mut self.gateway, presence(sender, 1).address, Some(presence(sender, 1).node), bytes)
    }

    fn behind_hears(&mut self, gateway: u32, bytes: &[u8]) -> Option<Rejected> {
        hand(&mut self.behind, presence(gateway, 1).address, Some(presence(gateway, 1).node), bytes)
    }

    /// What the gateway says that this member has handed to it.
    fn passed(&mut self, gateway: u32, sender: u32, bytes: &[u8]) -> Option<Rejected> {
        let body = [&presence(sender, 1).node.0[..], bytes].concat();
        self.behind_hears(gateway, &seal(Kind::Passed, gateway, &body))
    }
}

fn seal(kind: Kind, sender: u32, body: &[u8]) -> Vec<u8> {
    seal_presence(kind, &presence(sender, 1), body)
}

fn seal_presence(kind: Kind, sender: &Presence, body: &[u8]) -> Vec<u8> {
    datagram::seal_from(cluster_number("dev"), kind, sender, body)
}

fn pass(sender: u32, to: u32, bytes: &[u8]) -> Vec<u8> {
    seal(Kind::Pass, sender, &[&presence(to, 1).node.0[..], bytes].concat())
}

#[test]
fn a_datagram_is_passed_on_as_it_was_and_never_dialled_for() {
    let mut mesh = Mesh::new();
    let bytes = seal(Kind::Digest, MEMBER, &[1; 512]);
    mesh.gateway.handle_datagram(0, presence(MEMBER, 1).address, None, &pass(MEMBER, BEHIND, &bytes));
    let sent = drain(&mut mesh.gateway).into_iter().find_map(|output| match output {
        Output::Send { node, bytes, unconnected, .. } => Some((node, bytes, unconnected)),
        _ => None,
    });
    let (node, passed, unconnected) = sent.unwrap();
    assert_eq!((node, unconnected), (Some(presence(BEHIND, 1).node), Unconnected::Drop));
    mesh.behind.handle_datagram(0, presence(GATEWAY, 1).address, Some(presence(GATEWAY, 1).node), &passed);
    let answers = drain(&mut mesh.behind);
    let to = presence(MEMBER, 1);
    assert!(
        answers.iter().any(|it| matches!(it, Output::Send { to: address, node, unconnected: Unconnected::Dial, .. }
            if *node == Some(to.node) && *address == to.address)),
        "{answers:?}"
    );
}

#[test]
fn what_is_of_no_member_or_by_no_gateway_or_says_another_sender_is_not_taken() {
    let mut mesh = Mesh::new();
    let digest = |of| seal(Kind::Digest, of, &[0; 512]);
    assert_eq!(mesh.passed(GATEWAY, MEMBER, &digest(MEMBER)), None);
    assert_eq!(mesh.passed(GATEWAY, STRANGER, &digest(STRANGER)), Some(Rejected::Stranger));
    assert_eq!(mesh.passed(STRANGER, MEMBER, &digest(MEMBER)), Some(Rejected::Stranger), "it was not chosen");
    assert_eq!(mesh.passed(GATEWAY, MEMBER, &digest(GATEWAY)), Some(Rejected::Impostor));
    assert_eq!(mesh.passed(GATEWAY, BEHIND, &digest(BEHIND)), Some(Rejected::Stranger), "of itself");
    assert_eq!(mesh.behind_hears(STRANGER, &seal(Kind::Gated, STRANGER, &[])), Some(Rejected::Stranger));
    // At the gateway a connection proves the sender.
    let bytes = pass(MEMBER, BEHIND, &digest(MEMBER));
    assert_eq!(mesh.gateway_hears(STRANGER, &bytes), Some(Rejected::Impostor));
    // Who speaks for the first time is a member from then on.
    assert_eq!(mesh.gateway_hears(STRANGER, &pass(STRANGER, BEHIND, &digest(STRANGER))), Some(Rejected::Stranger));
    assert_eq!(mesh.gateway_hears(STRANGER, &pass(STRANGER, BEHIND, &digest(STRANGER))), None);
}

#[test]
fn what_was_passed_on_is_not_passed_on_again_and_only_to_those_who_asked() {
    let mut mesh = Mesh::new();
    let digest = seal(Kind::Digest, MEMBER, &[0; 512]);
    let passed = seal(Kind::Passed, MEMBER, &[&presence(MEMBER, 1).node.0[..], &digest].concat());
    let asks = [seal(Kind::Gate, MEMBER, &[]), seal(Kind::Gated, MEMBER, &[])];
    for inner in [pass(MEMBER, BEHIND, &digest), passed].iter().chain(&asks) {
        assert_eq!(mesh.gateway_hears(MEMBER, &pass(MEMBER, BEHIND, inner)), Some(Rejected::Relayed));
        assert_eq!(mesh.passed(GATEWAY, MEMBER, inner), Some(Rejected::Relayed));
    }
    for to in [GATEWAY, STRANGER] {
        assert_eq!(mesh.gateway_hears(MEMBER, &pass(MEMBER, to, &digest)), Some(Rejected::NoGateway), "{to}");
    }
    assert_eq!(mesh.gateway_hears(MEMBER, &pass(MEMBER, MEMBER, &digest)), Some(Rejected::Stranger));
    assert_eq!(mesh.gateway_hears(MEMBER, &pass(MEMBER, BEHIND, b"rubbish")), Some(Rejected::Version(b'r')));
    assert_eq!(mesh.gateway_hears(MEMBER, &seal(Kind::Gate, MEMBER, &[])), Some(Rejected::NoGateway), "not dial-out");
    // Who asks no more is forgotten.
    while let Some(due) = mesh.gateway.next_deadline().filter(|due| *due < 6_000_000_000) {
        mesh.gateway.handle_timer(due);
        drain(&mut mesh.gateway);
    }
    assert_eq!(mesh.gateway_hears(MEMBER, &pass(MEMBER, BEHIND, &digest)), Some(Rejected::NoGateway));
}

#[test]
fn a_flood_is_passed_on_up_to_a_bound_and_costs_others_nothing() {
    let mut mesh = Mesh::new();
    let digest = |of| seal(Kind::Digest, of, &[0; 512]);
    let taken = |mesh: &mut Mesh, n| {
        let bytes = pass(n, BEHIND, &digest(n));
        (0..10_000).filter(|_| mesh.gateway_hears(n, &bytes).is_none()).count() as u64
    };
    assert_eq!(taken(&mut mesh, MEMBER), limits::PASS_BURST);
    for other in 10..20 {
        assert_eq!(mesh.gateway_hears(other, &digest(other)), None);
    }
    assert_eq!(mesh.gateway_hears(10, &pass(10, BEHIND, &digest(10))), None, "another gets through");
    let all: u64 = (11..20).map(|n| taken(&mut mesh, n)).sum();
    assert_eq!(all, limits::PASS_TO_BURST - limits::PASS_BURST - 1, "however many there are");
}

#[test]
fn a_gateway_has_so_many_behind_it_and_no_more() {
    let mut mesh = Mesh::new();
    let behind = |n| Presence { dial_out: true, ..presence(n, 1) };
    let asked = |mesh: &mut Mesh, n| mesh.gateway_hears(n, &seal_presence(Kind::Gate, &behind(n), &[]));
    for n in 0..limits::GATEWAY_CLIENTS as u32 - 1 {
        assert_eq!(asked(&mut mesh, 1_000 + n), None);
    }
    assert_eq!(asked(&mut mesh, 5_000), Some(Rejected::Gateways));
    assert_eq!(asked(&mut mesh, 1_000), None, "it is there already");
}

#[test]
fn only_a_member_is_dialled_at_its_own_address_and_not_without_end() {
    let mut mesh = Mesh::new();
    let call = |of: Presence| seal_presence(Kind::Call, &of, &[]);
    let elsewhere = Presence { address: "192.0.2.9:53".parse().unwrap(), ..presence(MEMBER, 1) };
    assert_eq!(mesh.passed(GATEWAY, MEMBER, &call(elsewhere)), Some(Rejected::Elsewhere));
    assert_eq!(mesh.passed(GATEWAY, STRANGER, &call(presence(STRANGER, 1))), Some(Rejected::Stranger));
    assert_eq!(mesh.passed(STRANGER, MEMBER, &call(presence(MEMBER, 1))), Some(Rejected::Stranger));
    assert_eq!(mesh.gateway_hears(MEMBER, &call(presence(MEMBER, 1))), Some(Rejected::NotDialled), "it can be dialled");
    let also_behind = Presence { dial_out: true, ..presence(8, 1) };
    let digest = seal_presence(Kind::Digest, &also_behind, &[0; 512]);
    assert_eq!(mesh.behind_hears(8, &digest), None);
    assert_eq!(mesh.passed(GATEWAY, 8, &call(also_behind)), Some(Rejected::NotDialled), "it cannot be");
    let body = [&presence(MEMBER, 1).node.0[..], &call(presence(MEMBER, 1))].concat();
    let bytes = seal(Kind::Passed, GATEWAY, &body);
    let mut called = 0;
    for _ in 0..1_000 {
        mesh.behind.handle_datagram(0, presence(GATEWAY, 1).address, None, &bytes);
        called +=
            drain(&mut mesh.behind).iter().filter(|it| **it == Output::CallBack(presence(MEMBER, 1).node)).count();
    }
    assert_eq!(called as u64, limits::CALL_BACK_BURST);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_bytes_that_are_passed_on_panic_or_make_more_of_themselves(
        kind in 0..13u8, inner in 0..13u8, body in prop::collection::vec(any::<u8>(), 0..1_000), of in 1..5u32,
    ) {
        let mut mesh = Mesh::new();
        let sender = &seal(Kind::Digest, of, &[])[10..];
        let head = |kind: u8| [&[1, kind], &seal(Kind::Digest, of, &[])[2..10]].concat();
        let whole = [&head(inner), sender, &body].concat();
        for node in [GATEWAY, BEHIND, MEMBER] {
            let bytes = [&head(kind)[..], sender, &presence(node, 1).node.0, &whole].concat();
            for (swim, from) in [(&mut mesh.gateway, of), (&mut mesh.behind, of)] {
                swim.handle_datagram(1, presence(from, 1).address, None, &bytes);
                prop_assert!(drain(swim).len() <= 2 * limits::SYNC_PAGES + 64);
            }
        }
    }
}
