//! Many jobs at once: the events of any number of them, from any computations, as one stream. No task per job, and a look
//! at the next event costs the same whether there are ten jobs or ten thousand.

use crate::event::Event;
use crate::job::Job;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A set of jobs. Dropped, it cancels what has not ended.
#[derive(Debug, Default)]
pub struct Jobs {
    members: HashMap<u64, Job>,
    last_key: u64,
    ready: Arc<Ready>,
}

/// Members with something to say, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    keys: VecDeque<u64>,
    waker: Option<Waker>,
}

impl Jobs {
    pub fn new() -> Jobs {
        Jobs::default()
    }

    /// Takes a job in. The key names it in this set, whichever computation it is from.
    pub fn insert(&mut self, job: Job) -> u64 {
        self.last_key += 1;
        job.join_set(&self.ready, self.last_key);
        self.members.insert(self.last_key, job);
        self.last_key
    }

    pub fn get(&self, key: u64) -> Option<&Job> {
        self.members.get(&key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.members.iter().map(|(key, job)| (*key, job))
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Asks for the end of every job; their exits still come.
    pub fn cancel_all(&self, reason: &str) {
        self.members.values().for_each(|job| job.cancel(reason, None));
    }

    /// The next event of any job, taking turns among those that have one; `None` when the set is empty. A job leaves the
    /// set with its `Exit`, and is handed back for what else it knows. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<(u64, Event, Option<Job>)> {
        std::future::poll_fn(|context| {
            if self.members.is_empty() {
                return Poll::Ready(None);
            }
            loop {
                let key = {
                    let mut queue = self.ready.0.lock();
                    match queue.keys.pop_front() {
                        Some(key) => key,
                        None => {
                            queue.waker = Some(context.waker().clone());
                            return Poll::Pending;
                        }
                    }
                };
                let Some(event) = self.members.get(&key).and_then(Job::take_for_set) else { continue };
                let ended = matches!(event, Event::Exit(_)).then(|| self.members.remove(&key)).flatten();
                return Poll::Ready(Some((key, event, ended)));
            }
        })
        .await
    }
}

impl Ready {
    pub fn push(&self, key: u64) {
        let mut queue = self.0.lock();
        queue.keys.push_back(key);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
}
