//! The placer by what it promises: rules, fairness, no herd, cost, bounds, and against a simple model.

mod fairness;
mod model;
mod rules;

use super::*;
use crate::ids::{ComputationId, ModuleHash, NodeId};

pub(super) const MIB: u64 = 1 << 20;

pub(super) fn id(number: u32) -> NodeId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    NodeId(bytes)
}

/// An idle node `n<number>`.
pub(super) fn node(number: u32, slots: u32) -> Offer {
    let offer = Offer {
        name: format!("n{number}"),
        addresses: vec![([10, 0, 0, number as u8], 9000).into()],
        cores: 8,
        memory: 1_000 * MIB,
        disk: 1_000 * MIB,
        slots,
        ..Offer::new(id(number))
    };
    offer.all_free()
}

pub(super) fn labelled(number: u32, slots: u32, key: &str, value: &str) -> Offer {
    Offer { labels: [(key.into(), value.into())].into(), ..node(number, slots) }
}

pub(super) fn placer(offers: &[Offer]) -> Placer {
    let mut placer = Placer::new(7, Bounds::default());
    offers.iter().for_each(|offer| placer.offer(offer).unwrap());
    placer
}

pub(super) fn opening(tenant: u32) -> Opening {
    Opening { tenant, tenant_weight: 100, weight: 100, allocations: Vec::new(), nodes: None, policy: Policy::Spread }
}

/// A computation of the tenant of the same number.
pub(super) fn open(placer: &mut Placer, id: ComputationId) {
    placer.open(id, opening(id as u32)).unwrap();
}

pub(super) fn need() -> Need {
    Need { at: None, memory: 0, module: ModuleHash([1; 32]), excluded: Vec::new() }
}

pub(super) fn at(selector: &str) -> Need {
    Need { at: Some(selector.parse().unwrap()), ..need() }
}

pub(super) fn polled(placer: &mut Placer) -> Vec<Start> {
    std::iter::from_fn(|| placer.poll_placed()).collect()
}

#[track_caller]
pub(super) fn placed(answer: Answer) -> (NodeId, Reason) {
    match answer {
        Answer::Placed { node, why } => (node, why),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn refused(answer: Answer) -> Refused {
    match answer {
        Answer::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}
