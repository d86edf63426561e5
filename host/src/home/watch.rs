//! Who waits for durable jobs: told which of them have said something or ended, each once however often that was.

use corovan_store::JobId;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// All of a home.
#[derive(Debug, Default)]
pub struct Watches(Mutex<HashMap<JobId, Vec<Weak<Watch>>>>);

/// One who waits, for any number of jobs.
#[derive(Debug, Default)]
pub struct Watch {
    stirred: Mutex<BTreeSet<JobId>>,
    notify: Notify,
}

impl Watches {
    /// Whoever asks for these from now on; to be asked for before their state is looked at.
    pub fn watch(&self, jobs: &[JobId]) -> Arc<Watch> {
        let watch = Arc::new(Watch::default());
        let mut watches = self.0.lock();
        for job in jobs {
            let all = watches.entry(*job).or_default();
            all.retain(|one| one.strong_count() > 0);
            all.push(Arc::downgrade(&watch));
        }
        watch
    }

    /// A job has said something, or ended.
    pub fn stir(&self, job: JobId) {
        let mut watches = self.0.lock();
        let Some(all) = watches.get_mut(&job) else { return };
        all.retain(|one| match one.upgrade() {
            Some(watch) => {
                watch.stirred.lock().insert(job);
                watch.notify.notify_one();
                true
            }
            None => false,
        });
        if all.is_empty() {
            watches.remove(&job);
        }
    }

    /// Nobody waits for these any more, or he who did goes.
    pub fn forget(&self, jobs: &[JobId]) {
        let mut watches = self.0.lock();
        for job in jobs {
            if let Some(all) = watches.get_mut(job) {
                all.retain(|one| one.strong_count() > 0);
                if all.is_empty() {
                    watches.remove(job);
                }
            }
        }
    }
}

impl Watch {
    /// Waits until some of them have stirred, and says which. For one waiter.
    pub async fn next(&self) -> BTreeSet<JobId> {
        loop {
            let stirred = std::mem::take(&mut *self.stirred.lock());
            if !stirred.is_empty() {
                return stirred;
            }
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::ulid::Ulid;

    #[tokio::test]
    async fn who_waits_is_told_of_his_jobs_and_is_forgotten_when_he_goes() {
        let watches = Watches::default();
        let (one, both) = (watches.watch(&[Ulid(1)]), watches.watch(&[Ulid(1), Ulid(2)]));
        [1, 2, 2, 3].into_iter().for_each(|job| watches.stir(Ulid(job)));
        assert_eq!(one.next().await, BTreeSet::from([Ulid(1)]));
        assert_eq!(both.next().await, BTreeSet::from([Ulid(1), Ulid(2)]));
        drop(one);
        watches.forget(&[Ulid(1)]);
        watches.stir(Ulid(1));
        assert_eq!(both.next().await, BTreeSet::from([Ulid(1)]));
        drop(both);
        watches.forget(&[Ulid(1), Ulid(2)]);
        assert!(watches.0.lock().is_empty());
    }
}
