//! Jobs and stores for tests.
use corovan_store::{JobId, NewExit, NewJob, Quotas, Store};
use std::path::Path;

pub fn id(number: u64) -> JobId {
    JobId::new(number * 1_000_000, u128::from(number))
}

pub fn job(number: u64, tenant: &str) -> NewJob {
    let (spec, args) = (b"spec"[..].into(), number.to_le_bytes().to_vec().into());
    let (id, tenant, digest) = (id(number), tenant.into(), [number as u8; 32]);
    NewJob { id, tenant, computation: 1, key: None, digest, spec, args, reserve: 0, now: number }
}

pub fn exit(attempt: u32, value: &[u8], now: u64) -> NewExit {
    NewExit { attempt, outcome: "finished".into(), record: b"record"[..].into(), value: value.to_vec().into(), now }
}

pub fn open(dir: &Path) -> Store {
    Store::open(dir.join("jobs.redb"), Quotas::default()).unwrap()
}
