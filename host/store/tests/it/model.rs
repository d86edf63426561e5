//! The journal beside a model that keeps everything in maps: the same answers, and counts that are the sum of what is there.

use crate::support::{exit, id, job};
use bytes::Bytes;
use corovan_store::{Accepted, Ended, Error, Journal, NewJob, Quotas, State, Store, Usage, limits};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Accept { number: u64, tenant: bool, key: Option<u8>, args: u8 },
    Begin { number: u64 },
    PutBack { number: u64, attempt: u32 },
    Undo { number: u64, attempt: u32 },
    End { number: u64, attempt: u32, value: usize },
    Append { number: u64, size: usize },
    Acknowledge { number: u64 },
    Sweep { before: u64 },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let number = || 1..12_u64;
    prop_oneof![
        8 => (number(), any::<bool>(), prop::option::weighted(0.4, 0..3_u8), 0..3_u8)
            .prop_map(|(number, tenant, key, args)| Op::Accept { number, tenant, key, args }),
        5 => number().prop_map(|number| Op::Begin { number }),
        2 => (number(), 1..3_u32).prop_map(|(number, attempt)| Op::PutBack { number, attempt }),
        1 => (number(), 1..3_u32).prop_map(|(number, attempt)| Op::Undo { number, attempt }),
        5 => (number(), 0..3_u32, prop_oneof![0..100_usize, Just(60_000)])
            .prop_map(|(number, attempt, value)| Op::End { number, attempt, value }),
        3 => (number(), 0..2_000_usize).prop_map(|(number, size)| Op::Append { number, size }),
        3 => number().prop_map(|number| Op::Acknowledge { number }),
        1 => (0..40_u64).prop_map(|before| Op::Sweep { before }),
        1 => Just(Op::Reopen),
    ]
}

#[derive(Clone, Debug)]
struct Kept {
    tenant: &'static str,
    key: Option<u8>,
    args: u8,
    attempts: u32,
    running: bool,
    /// When, and the value, if there was room for it.
    ended: Option<(u64, Option<usize>)>,
    events: Vec<usize>,
    cost: u64,
}

const LIMIT: u64 = 6 * (limits::EXIT_RESERVE + limits::JOB_COST) + 4_000;

fn bytes(jobs: &BTreeMap<u64, Kept>) -> u64 {
    let events = |kept: &Kept| kept.events.iter().map(|size| limits::EVENT_COST + *size as u64).sum::<u64>();
    jobs.values().map(|kept| kept.cost + events(kept)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_few_maps_would(ops in prop::collection::vec(op(), 1..80)) {
        let dir = tempfile::tempdir().unwrap();
        let quotas = Quotas { bytes: LIMIT, tenant_bytes: LIMIT };
        let open = || Store::open(dir.path().join("jobs"), quotas).unwrap();
        let (mut store, mut model) = (open(), BTreeMap::<u64, Kept>::new());
        for (now, op) in (1_u64..).zip(ops) {
            let used = bytes(&model);
            match op {
                Op::Accept { number, tenant, key, args } => {
                    let tenant = if tenant { "me" } else { "it" };
                    let new = NewJob { key: key.map(|key| format!("k{key}")), args: vec![args].into(), digest: [args; 32], ..job(number, tenant) };
                    let cost = limits::JOB_COST + limits::EXIT_RESERVE + 4 + 1 + 2 + if key.is_some() { 4 } else { 0 };
                    let known = model.iter().find(|(_, kept)| key.is_some() && kept.key == key && kept.tenant == tenant);
                    let answer = store.accept(new).wait();
                    match known {
                        Some((other, kept)) if kept.args == args => prop_assert_eq!(answer, Ok(Accepted::Known(id(*other)))),
                        Some(_) => prop_assert!(matches!(answer, Err(Error::KeyReused { .. })), "{:?}", answer),
                        None if model.contains_key(&number) => prop_assert_eq!(answer, Err(Error::Duplicate(id(number)))),
                        None if used + cost > LIMIT => prop_assert!(matches!(answer, Err(Error::Quota { .. })), "{:?}", answer),
                        None => {
                            prop_assert_eq!(answer, Ok(Accepted::New));
                            let kept = Kept { tenant, key, args, attempts: 0, running: false, ended: None, events: vec![], cost };
                            model.insert(number, kept);
                        }
                    }
                }
                Op::Begin { number } => {
                    let answer = store.begin(id(number), "a".into(), None, now).wait();
                    match model.get_mut(&number) {
                        None => prop_assert_eq!(answer, Err(Error::NotFound(id(number)))),
                        Some(kept) if kept.running || kept.ended.is_some() => prop_assert_eq!(answer, Ok(None)),
                        Some(kept) => {
                            (kept.attempts, kept.running) = (kept.attempts + 1, true);
                            prop_assert_eq!(answer, Ok(Some(kept.attempts)));
                        }
                    }
                }
                Op::PutBack { number, attempt } => {
                    let answer = store.put_back(id(number), attempt, now, "again".into(), now).wait();
                    match model.get_mut(&number) {
                        None => prop_assert_eq!(answer, Err(Error::NotFound(id(number)))),
                        Some(kept) => {
                            let is = kept.running && kept.attempts == attempt;
                            kept.running &= !is;
                            prop_assert_eq!(answer, Ok(is));
                        }
                    }
                }
                Op::Undo { number, attempt } => {
                    let answer = store.undo(id(number), attempt).wait();
                    match model.get_mut(&number) {
                        None => prop_assert_eq!(answer, Err(Error::NotFound(id(number)))),
                        Some(kept) => {
                            let is = kept.running && kept.attempts == attempt;
                            kept.running &= !is;
                            kept.attempts -= u32::from(is);
                            prop_assert_eq!(answer, Ok(is));
                        }
                    }
                }
                Op::End { number, attempt, value } => {
                    let answer = store.end(id(number), exit(attempt, &vec![9; value], now)).wait();
                    match model.get_mut(&number) {
                        None => prop_assert_eq!(answer, Err(Error::NotFound(id(number)))),
                        Some(kept) if kept.ended.is_some() => prop_assert_eq!(answer, Ok(Ended::Superseded)),
                        Some(kept) if attempt != 0 && attempt != if kept.running { kept.attempts } else { 0 } => {
                            prop_assert_eq!(answer, Ok(Ended::Superseded));
                        }
                        Some(kept) => {
                            prop_assert_eq!(answer, Ok(Ended::First));
                            let record = ("record".len() + "finished".len()) as u64;
                            let whole = record + value as u64;
                            let fits = whole <= limits::EXIT_RESERVE || used + whole - limits::EXIT_RESERVE <= LIMIT;
                            kept.cost = kept.cost - limits::EXIT_RESERVE + if fits { whole } else { record };
                            (kept.ended, kept.running) = (Some((now, fits.then_some(value))), false);
                        }
                    }
                }
                Op::Append { number, size } => {
                    let answer = store.append(id(number), vec![(1, now, Bytes::from(vec![3; size]))]).wait();
                    match model.get_mut(&number) {
                        None => prop_assert_eq!(answer, Err(Error::NotFound(id(number)))),
                        // What is dropped for want of room is tested on its own.
                        Some(_) if used + limits::EVENT_COST + size as u64 > LIMIT => {
                            let left = store.events(id(number), 1, 1_000).unwrap().unwrap();
                            model.get_mut(&number).unwrap().events = left.events.iter().map(|event| event.bytes.len()).collect();
                        }
                        Some(kept) => kept.events.push(size),
                    }
                }
                Op::Acknowledge { number } => {
                    let answer = store.acknowledge(id(number)).wait();
                    let ended = model.get(&number).is_some_and(|kept| kept.ended.is_some());
                    prop_assert_eq!(answer, if ended { Ok(()) } else { Err(Error::NotFound(id(number))) });
                    model.retain(|known, _| !ended || *known != number);
                }
                Op::Sweep { before } => {
                    let count = model.len();
                    model.retain(|_, kept| kept.ended.is_none_or(|(at, _)| at >= before));
                    prop_assert_eq!(store.sweep(before).wait(), Ok(count - model.len()));
                }
                Op::Reopen => {
                    drop(store);
                    store = open();
                }
            }
            prop_assert_eq!(store.usage("").unwrap(), Usage { jobs: model.len() as u64, bytes: bytes(&model) });
        }
        for (number, kept) in &model {
            let view = store.get(id(*number)).unwrap().unwrap();
            prop_assert_eq!(view.attempts, kept.attempts);
            prop_assert_eq!(matches!(view.state, State::Running { .. }), kept.running);
            let result = store.result(id(*number)).unwrap().map(|(exit, value)| (exit.at, (!exit.dropped).then_some(value.len())));
            prop_assert_eq!(result, kept.ended);
        }
        let open_jobs = model.values().filter(|kept| kept.ended.is_none()).count();
        prop_assert_eq!(store.unfinished(None, 100).unwrap().len(), open_jobs);
        let last = model.iter().rfind(|(_, kept)| kept.ended.is_none()).map(|(number, _)| id(*number));
        prop_assert_eq!(store.last_unfinished().unwrap(), last);
        let mut ended: Vec<_> = model.iter().filter_map(|(number, kept)| Some((kept.ended?.0, id(*number)))).collect();
        ended.sort_unstable();
        let latest = store.ended(3).unwrap().into_iter().map(|view| view.id);
        prop_assert!(latest.eq(ended.iter().rev().map(|(_, id)| *id).take(3)));
        let mut specs = BTreeMap::new();
        store.specs(&mut |tenant, _, open| assert_eq!(specs.insert(tenant.to_owned(), open), None)).unwrap();
        prop_assert_eq!(specs.values().sum::<u64>(), open_jobs as u64);
        for number in model.keys() {
            prop_assert_eq!(store.spec(id(*number)).unwrap(), Some(job(*number, "me").spec));
        }
    }
}
