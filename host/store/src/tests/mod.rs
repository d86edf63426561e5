//! A disk that fails at every possible write: nothing is half done, nothing that was told is lost, and it goes on afterwards.

use super::*;
use redb::StorageBackend;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

/// A file in memory that takes so many more writes.
#[derive(Clone, Debug)]
struct Shaky {
    bytes: Arc<RwLock<Vec<u8>>>,
    left: Arc<AtomicI64>,
}

impl Shaky {
    fn new() -> Shaky {
        Shaky { bytes: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    fn spend(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            ..=0 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }

    fn store(&self) -> Result<Store, Error> {
        let disk = self.clone();
        let opens = move |_| {
            let opened = Database::builder().create_with_backend(disk.clone());
            opened.map_err(|error| Error::of(Path::new("shaky"), error))
        };
        Store::with("shaky".into(), Quotas::default(), Box::new(opens))
    }
}

impl StorageBackend for Shaky {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.read().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, at) = (self.bytes.read(), offset as usize);
        out.copy_from_slice(bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.bytes.write().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.bytes.write()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn job(number: u64) -> NewJob {
    let (spec, args) = (Bytes::from_static(b"spec"), Bytes::from(vec![7; 3_000]));
    let id = JobId(u128::from(number));
    NewJob { id, tenant: "me".into(), computation: 1, key: None, digest: [0; 32], spec, args, reserve: 0, now: number }
}

#[test]
fn a_disk_that_is_full_at_any_write_takes_nothing_in_half_and_goes_on_when_there_is_room() {
    let disk = Shaky::new();
    let store = disk.store().unwrap();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for left in 0..60 {
        let number = 2 * left as u64 + 1;
        disk.left.store(left, Ordering::Relaxed);
        match store.accept(job(number)).wait() {
            Ok(accepted) => {
                assert_eq!(accepted, Accepted::New);
                kept.push(number);
            }
            Err(error) => {
                assert!(matches!(error, Error::Full { .. }), "{error:?} after {left} writes");
                refused += 1;
            }
        }
        disk.left.store(i64::MAX, Ordering::Relaxed);
        // Also one that was refused may be submitted again, unless it is on disk after all: it was told to be neither.
        let again = store.accept(job(number)).wait();
        assert!(matches!(again, Ok(Accepted::New) | Err(Error::Duplicate(_))), "{again:?}");
        assert!(store.accept(job(number + 1)).wait().is_ok(), "it goes on");
        kept.extend([number, number + 1]);
    }
    assert!(refused > 3 && refused < 60, "{refused}");
    drop(store);
    let store = disk.store().unwrap();
    kept.dedup();
    kept.iter().for_each(|number| assert!(store.body(JobId(u128::from(*number))).unwrap().is_some(), "{number}"));
    assert_eq!(store.usage("me").unwrap().jobs, 120);
}

#[test]
fn a_failure_is_the_answer_to_all_of_its_batch() {
    let disk = Shaky::new();
    let store = disk.store().unwrap();
    disk.left.store(0, Ordering::Relaxed);
    let pending: Vec<_> = (0..200).map(|number| store.accept(job(number))).collect();
    let failed =
        pending.into_iter().map(Pending::wait).filter(|answer| matches!(answer, Err(Error::Full { .. }))).count();
    assert_eq!(failed, 200);
    disk.left.store(i64::MAX, Ordering::Relaxed);
    assert_eq!(store.accept(job(1)).wait(), Ok(Accepted::New));
    assert_eq!(store.usage("me").unwrap().jobs, 1);
}

#[test]
fn what_a_job_said_last_is_on_disk_when_the_store_is_closed() {
    for _ in 0..20 {
        let disk = Shaky::new();
        let store = disk.store().unwrap();
        store.accept(job(1)).wait().unwrap();
        drop(store.append(JobId(1), vec![(1, 1, Bytes::from_static(b"last"))]));
        drop(store);
        let events = disk.store().unwrap().events(JobId(1), 1, 9).unwrap().unwrap();
        assert_eq!(events.events.len(), 1);
    }
}
