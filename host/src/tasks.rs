//! Background tasks of the I/O runtime by kind: the kind fixes what an error does and when shutdown waits.

use std::fmt::Display;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What a task is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    /// Accepts connections; its end is the node's end.
    Accept,
    /// One connection. An error ends that connection; shutdown waits for it.
    Connection,
    /// One stream, or one request on it. An error ends that stream; shutdown waits for it.
    Stream,
}

/// Spawns and counts, from any thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
}

/// Waits for what nothing tells of, by looking again and again; `false`: it is not so within this time.
pub async fn becomes(is_so: impl Fn() -> bool, within: Duration) -> bool {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(within, looking).await.is_ok()
}

const LOOK_AGAIN: Duration = Duration::from_millis(2);

impl Tasks {
    /// On the tokio runtime that this is called in.
    pub fn here() -> Tasks {
        Tasks { tracker: TaskTracker::new(), runtime: Handle::current() }
    }

    /// Runs `task` in the background; its error is logged once, here.
    pub fn spawn<E: Display>(
        &self,
        kind: TaskKind,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = async move {
            if let Err(error) = task.await {
                match kind {
                    TaskKind::Accept => tracing::error!(task = name, "{error}"),
                    TaskKind::Connection => tracing::info!(task = name, "{error}"),
                    TaskKind::Stream => tracing::debug!(task = name, "{error}"),
                }
            }
        };
        self.tracker.spawn_on(task, &self.runtime);
    }

    /// Waits until all are done; nothing may be spawned any more.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
