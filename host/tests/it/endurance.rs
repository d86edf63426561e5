//! A hundred thousand jobs through one node, over QUIC: memory, slots, timers and ledger are afterwards where they were.

use crate::in_process::{Cluster, ECHO, prepare, run};
use crate::support::{alone, resident};
use corovan_client::{Arguments, Event, Jobs, SubmitOptions};
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::Outcome;
use std::sync::Arc;

const JOBS: u32 = 100_000;
/// In flight: more than there are slots, so that the queue is used as well.
const WINDOW: usize = 1_000;
/// Before memory is compared: pools, caches and buffers have reached their size by then.
const WARM_UP: u32 = 20_000;

#[test]
fn a_hundred_thousand_jobs_through_one_node_leave_nothing_behind() {
    alone("endurance::a_hundred_thousand_jobs");
}

#[test]
#[ignore = "run by the test above in a process of its own, where nothing else takes memory"]
fn a_hundred_thousand_jobs() {
    run(async {
        let cluster = Cluster::start(256).await;
        let service = Arc::clone(cluster.node.service());
        let runtime = Arc::clone(service.dispatch.runtime());
        let tenant = service.tenants.get("me");
        let computation = cluster.open("me").await;
        let spec = prepare(&computation, ECHO, "echo").await;
        let (mut jobs, mut submitted, mut ended, mut before) = (Jobs::new(), 0, 0, 0);
        while ended < JOBS {
            while submitted < JOBS && jobs.len() < WINDOW {
                let arguments = Arguments::of(&(submitted,)).unwrap();
                jobs.insert(computation.submit(&spec, arguments, SubmitOptions::default()).await.unwrap());
                submitted += 1;
            }
            if let Some((_, Event::Exit(record), _)) = jobs.next_event().await {
                assert!(matches!(record.outcome, Outcome::Finished(_)), "{record:?}");
                ended += 1;
                if ended == WARM_UP {
                    before = resident();
                }
            }
        }
        let grown = resident().saturating_sub(before);
        computation.close().await.unwrap();
        cluster.has_load(0, 0).await;
        // 80,000 jobs that left half a KiB each would be 40 MB.
        assert!(grown < 32 << 20, "{} MiB more than after {WARM_UP} jobs", grown >> 20);
        assert_eq!((runtime.scheduler.timers(), runtime.scheduler.ready()), (0, 0));
        let pool = runtime.engine.pooling_allocator_metrics().unwrap();
        assert_eq!((pool.core_instances(), pool.memories(), pool.stacks()), (0, 0, 0));
        for resource in [Resource::Coroutines, Resource::Memory] {
            assert_eq!(tenant.ledger.used(resource), 0, "{resource}");
        }
    });
}
