//! What a datagram from outside may do to membership, one at a time; whole clusters are in `tests/sim`.

mod gateways;

use super::datagram::Rejected;
use super::member::About;
use super::presence::Presence;
use super::swim::{Output, Swim};
use crate::ids::NodeId;
use crate::limits;
use proptest::prelude::*;
use std::net::SocketAddr;

fn presence(n: u32, incarnation: u32) -> Presence {
    let mut node = NodeId([9; 12]);
    node.0[..4].copy_from_slice(&n.to_le_bytes());
    Presence::new(node, incarnation, SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 1)))
}

fn swim(n: u32, incarnation: u32) -> Swim {
    Swim::new(0, presence(n, incarnation), About::default(), "dev", u64::from(n)).unwrap()
}

fn drain(swim: &mut Swim) -> Vec<Output> {
    std::iter::from_fn(|| swim.poll_output()).collect()
}

/// What one says first to another.
fn hello(from: &mut Swim, to: &Swim) -> Vec<u8> {
    from.announce(0, to.me().address);
    let sent = drain(from).into_iter().find_map(|output| match output {
        Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    sent.unwrap()
}

/// Hands it over, and says why it was not taken.
fn hand(to: &mut Swim, from: SocketAddr, proven: Option<NodeId>, bytes: &[u8]) -> Option<Rejected> {
    to.handle_datagram(0, from, proven, bytes);
    let outputs = drain(to);
    outputs.into_iter().find_map(|output| if let Output::Rejected(_, why) = output { Some(why) } else { None })
}

#[test]
fn impostors_past_lives_other_clusters_and_oneself_are_not_heard() {
    let mut me = swim(1, 1);
    let (mut old, mut new) = (swim(2, 4), swim(2, 5));
    let (old_hello, new_hello) = (hello(&mut old, &me), hello(&mut new, &me));
    let node = new.me().node;
    let from = new.me().address;
    assert_eq!(hand(&mut me, from, Some(presence(3, 1).node), &new_hello), Some(Rejected::Impostor));
    assert_eq!(me.view().alive_count(), 1);
    assert_eq!(hand(&mut me, from, Some(node), &new_hello), None);
    assert_eq!(hand(&mut me, from, Some(node), &new_hello), None, "doubled on the way");
    assert_eq!(hand(&mut me, from, Some(node), &old_hello), Some(Rejected::Stale));
    let mut other = Swim::new(0, presence(4, 1), About::default(), "prod", 4).unwrap();
    assert_eq!(hand(&mut me, from, None, &hello(&mut other, &swim(1, 1))), Some(Rejected::Cluster));
    let mut twin = swim(1, 7);
    let said = hello(&mut twin, &me);
    assert_eq!(hand(&mut me, from, None, &said), Some(Rejected::Ourselves));
    assert_eq!(me.view().alive_count(), 2);
}

#[test]
fn the_table_of_nodes_is_bounded_and_knows_those_in_it() {
    let mut me = swim(1, 1);
    let mut refused = 0;
    for n in 2..limits::MESH_NODES as u32 + 100 {
        let mut other = swim(n, 1);
        let bytes = hello(&mut other, &me);
        match hand(&mut me, other.me().address, None, &bytes) {
            None => {}
            Some(why) => {
                assert_eq!(why, Rejected::Full);
                refused += 1;
            }
        }
    }
    assert!((100..200).contains(&refused), "{refused}");
    assert!(me.view().alive_count() <= limits::MESH_NODES);
    let mut known = swim(2, 1);
    let bytes = hello(&mut known, &me);
    assert_eq!(hand(&mut me, known.me().address, None, &bytes), None);
}

#[test]
fn the_seeds_are_bounded_and_asked_until_one_answers() {
    let mut me = swim(1, 1);
    for n in 0..limits::MESH_SEEDS as u32 {
        assert!(me.announce(0, presence(100 + n, 1).address));
    }
    assert!(!me.announce(0, presence(99, 1).address));
    assert!(me.announce(0, presence(100, 1).address), "known already");
    drain(&mut me);
    for _ in 0..3 {
        let due = me.next_deadline().unwrap();
        me.handle_timer(due);
    }
    assert!(drain(&mut me).len() >= limits::MESH_SEEDS);
}

#[test]
fn who_did_not_run_reads_what_came_meanwhile_before_it_suspects_anybody() {
    for late in [0, 10_000_000_000] {
        let (mut me, mut other) = (swim(1, 1), swim(2, 1));
        let bytes = hello(&mut other, &me);
        hand(&mut me, other.me().address, None, &bytes);
        // Until it probes the other.
        let (ping, now) = loop {
            let now = me.next_deadline().unwrap();
            me.handle_timer(now);
            let ping = drain(&mut me).into_iter().find_map(|output| match output {
                Output::Send { bytes, .. } if bytes[1] == 0 && bytes[10] == 0 => Some(bytes),
                _ => None,
            });
            if let Some(ping) = ping {
                break (ping, now);
            }
        };
        other.handle_datagram(now, me.me().address, None, &ping);
        // Then it stands still; the answer lies there when it goes on, and its timers are overdue.
        let mut now = now + late;
        if late > 0 {
            me.handle_timer(now);
        }
        for output in drain(&mut other) {
            if let Output::Send { bytes, .. } = output {
                me.handle_datagram(now, other.me().address, None, &bytes);
            }
        }
        for _ in 0..4 {
            now = now.max(me.next_deadline().unwrap());
            me.handle_timer(now);
        }
        let suspects = me.foca.iter_membership_state().filter(|member| member.state() != foca::State::Alive);
        assert_eq!(suspects.count(), 0, "{late} ns late");
    }
}

/// What one is told of another in so many seconds, if after the first two only these kinds of datagrams get from the other to
/// it, or the other dies then.
fn lives_of(seconds: u64, carried: impl Fn(u8) -> bool, dies: bool) -> Vec<Output> {
    let (mut me, mut other) = (swim(1, 1), swim(2, 1));
    me.announce(0, other.me().address);
    let mut told = Vec::new();
    let mut begun = None;
    loop {
        let next = |swim: &Swim| swim.next_deadline().unwrap();
        let now = if dies && begun.is_some() { next(&me) } else { next(&me).min(next(&other)) };
        if now > seconds * 1_000_000_000 {
            return told;
        }
        for swim in [&mut me, &mut other] {
            if swim.next_deadline().is_some_and(|due| due <= now) {
                swim.handle_timer(now);
            }
        }
        for _ in 0..8 {
            for output in drain(&mut me) {
                match output {
                    Output::Send { bytes, .. } if !(dies && begun.is_some()) => {
                        other.handle_datagram(now, me.me().address, None, &bytes);
                    }
                    Output::Send { .. } => {}
                    output => told.push(output),
                }
            }
            for output in drain(&mut other) {
                match output {
                    Output::Send { bytes, .. } if begun.is_none() || (!dies && carried(bytes[1])) => {
                        me.handle_datagram(now, other.me().address, None, &bytes);
                    }
                    _ => {}
                }
            }
        }
        if begun.is_none() && now > 2_000_000_000 && me.view().alive_count() == 2 {
            begun = Some(now);
            told.clear();
        }
    }
}

#[test]
fn a_suspect_that_is_heard_on_no_other_way_refutes_by_answering_who_suspects_it() {
    let failed = |told: &[Output]| told.iter().filter(|told| matches!(told, Output::Failed(_))).count();
    // What is asked about doubts and answered gets through, but neither answers to probes nor gossip nor comparisons.
    let told = lives_of(60, |kind| kind == 5 || kind == 6, false);
    assert_eq!(failed(&told), 0, "{told:?}");
    let told = lives_of(60, |kind| kind == 5, false);
    assert!(failed(&told) > 0, "{told:?}");
    // To ask does not put off the end of one that is dead: two seconds begin, one ends the probe, then the suspicion.
    let within = 2 + 2 * limits::PROBE_PERIOD.as_secs() + limits::SUSPICION.as_secs() + 1;
    let told = lives_of(within, |_| true, true);
    assert_eq!(failed(&told), 1, "{told:?}");
}

proptest! {
    #[test]
    fn no_datagram_panics_or_makes_more_of_itself(
        kind in 0..13u8, body in prop::collection::vec(any::<u8>(), 0..1_100), at in 0..200usize, byte: u8,
    ) {
        let mut me = swim(1, 1);
        let mut other = swim(2, 1);
        let mut near = hello(&mut other, &me);
        let head = near[..10].to_vec();
        let from = other.me().address;
        hand(&mut me, from, None, &near);
        let wild = [&head[..1], &[kind], &head[2..], &body].concat();
        let at = at % near.len();
        near[at] = byte;
        // With the sender's presence in front, as all kinds but foca's begin.
        let close = [&head[..1], &[kind], &head[2..], &near[11..50], &body].concat();
        for bytes in [wild, near, close] {
            me.handle_datagram(1, from, None, &bytes);
            prop_assert!(drain(&mut me).len() <= 2 * limits::SYNC_PAGES + 64);
        }
    }
}
