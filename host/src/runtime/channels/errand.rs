//! Tasks of the node itself, on the scheduler as coroutines are: they are found nowhere and count for no computation.

use crate::runtime::control::{Birth, Control};
use crate::runtime::group::Group;
use crate::runtime::launch::{Program, Runtime};
use corovan_core::ids::Address;
use corovan_core::tenancy::quota::Permit;
use std::pin::pin;
use std::sync::Arc;

/// Whom a task works for: its CPU time is that of the group's tenant.
pub(super) struct For {
    pub group: Arc<Group>,
    /// The scheduler knows tasks by controls, and these have a program.
    pub program: Arc<Program>,
    /// For logs.
    pub address: Address,
    /// What the tenant is charged for it, where another node asked for it.
    pub held: Option<Permit>,
}

/// Starts one. It can be interrupted by its control.
pub(super) fn start<F>(runtime: &Arc<Runtime>, work_for: For, work: impl FnOnce(Arc<Control>) -> F) -> Arc<Control>
where
    F: Future<Output = ()> + Send + 'static,
{
    let held = work_for.held;
    let control = Arc::new(Control::new(Birth {
        address: work_for.address,
        group: work_for.group,
        tree: Arc::default(),
        daemon: true,
        program: work_for.program,
        input: None,
        made: runtime.clock().now(),
    }));
    let (of, working) = (Arc::clone(&control), work(Arc::clone(&control)));
    runtime.scheduler.spawn(Arc::clone(&control), move || async move {
        let (ended, _held) = (Ended(of), held);
        let (mut working, mut begun) = (pin!(working), false);
        std::future::poll_fn(|cx| {
            if !std::mem::replace(&mut begun, true) {
                // An interrupt wakes it.
                ended.0.set_waker(cx.waker());
            }
            working.as_mut().poll(cx)
        })
        .await;
    });
    control
}

/// The task keeps its control, which so may not keep the task.
struct Ended(Arc<Control>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}
