//! Jobs at a node that keeps neither to deadlines nor to orders: it holds up nobody.

use super::hosts::until;
use super::{Node, join};
use crate::in_process::run;
use crate::links::{authority, credentials};
use crate::support::Remember;
use bytes::Bytes;
use corovan::cluster::hosting::{Guest, Hosts};
use corovan::cluster::link::Granted;
use corovan::runtime::Refusal;
use corovan::runtime::ports::{Became, Pending, SpawnAway, SpawnOf};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Says that it runs what it is asked for, and never that it has ended.
struct Deaf {
    node: NodeId,
    kept: Mutex<Vec<Guest>>,
}

impl Hosts for Deaf {
    fn host(&self, guest: Guest) -> Pending<Result<Address, Refusal>> {
        let mut kept = self.kept.lock();
        kept.push(guest);
        let address = Address { node: self.node, incarnation: 1, counter: kept.len() as u64, secret: 7 };
        Box::pin(async move { Ok(address) })
    }
    fn keep(&self, _: &Granted, _: ModuleHash, _: Bytes) -> Pending<Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }
    fn has(&self, _: &Granted, _: &ModuleHash) -> bool {
        true
    }
    fn bytes(&self, _: &Granted, hash: ModuleHash) -> Pending<Result<Bytes, Refusal>> {
        Box::pin(async move { Err(Refusal::new(Code::NeedModule, format!("{hash} is not here"))) })
    }
}

fn job(deadline: Duration) -> SpawnAway {
    SpawnAway {
        of: SpawnOf::Function(ModuleHash([7; 32]), "f".into()),
        args: Bytes::from_static(&[0x80]),
        memory: 1 << 20,
        most: 1 << 20,
        deadline: deadline.as_nanos() as u64,
        cpu: None,
        input: None,
    }
}

#[test]
fn a_job_whose_node_does_not_end_it_counts_as_lost_soon_after_its_deadline_or_its_cancel() {
    run(async {
        let authority = authority();
        let node = credentials(&authority, "b").identity.principal().node_id();
        let (a, b) = (
            Node::start(&authority, "a"),
            Node::with(&authority, "b", Arc::new(Deaf { node, kept: Mutex::default() })),
        );
        join(&[&a, &b]).await;
        let mesh = a.bench.runtime.mesh.get().unwrap();
        let begin = |deadline| {
            let (told, over) = oneshot::channel();
            let over_of = Box::new(move |became| drop(told.send(became)));
            let seen = Arc::new(Remember::default());
            (mesh.run(&a.bench.group, node, job(deadline), Arc::clone(&seen) as _, over_of), over, seen)
        };
        let hour = Duration::from_secs(3_600);
        let (_late, late, _) = begin(Duration::from_millis(1));
        let (cancelled, after_cancel, seen) = begin(hour);
        let (_runs, mut runs, _) = begin(hour);
        let (at_once, before, _) = begin(hour);
        at_once.cancel("me", "never mind", Duration::ZERO);
        let before = before.await.unwrap();
        let told = match &before {
            Became::Cancelled { by, .. } => by == "me",
            // The other node had made it by then.
            Became::Lost(why) => why.detail.contains("it was told to end the job"),
            _ => false,
        };
        assert!(told, "{before:?}");
        until(|| (!seen.started.lock().is_empty()).then_some(())).await;
        cancelled.cancel("me", "enough", Duration::from_millis(1));
        for over in [late, after_cancel] {
            let became = over.await.unwrap();
            let told = matches!(&became, Became::Lost(why) if why.detail.contains("did not say in time"));
            assert!(told, "{became:?}");
        }
        assert!(runs.try_recv().is_err(), "one with time left goes on");
    });
}
