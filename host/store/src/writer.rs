//! The one thread that writes: whatever waits is applied in one transaction and is on disk with one sync (group commit). Answers
//! are given after that, and a failure of the disk is the answer to all of a batch.

use crate::tables::{Fault, Stop, Tables};
use crate::{Error, limits};
use parking_lot::RwLock;
use redb::{Database, Durability};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// How the database is opened; again after a failure of the disk, when it has to be there.
pub(crate) type Opens = Box<dyn Fn(Again) -> Result<Database, Error> + Send>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Again {
    No,
    Yes,
}

/// The database, as long as it can be used.
pub(crate) struct Shared {
    pub database: RwLock<Option<Database>>,
    pub path: PathBuf,
}

pub(crate) struct Writer {
    operations: Option<SyncSender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer that comes when it is on disk. Dropped, what was asked for is done all the same.
#[derive(Debug)]
#[must_use = "whether it is on disk is known from the answer"]
pub struct Pending<T>(Result<oneshot::Receiver<Result<T, Error>>, Error>);

trait Operation: Send {
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Fault>;
    /// It is on disk, or nothing of its batch is.
    fn answer(self: Box<Self>, outcome: Result<(), Error>);
    /// Whether it has to be on disk before it is answered.
    fn is_durable(&self) -> bool;
}

struct Task<F, T> {
    change: Option<F>,
    answer: Option<Result<T, Error>>,
    to: oneshot::Sender<Result<T, Error>>,
    durable: bool,
}

impl Writer {
    pub fn start(shared: Arc<Shared>, opens: Opens) -> Result<Writer, Error> {
        let (sender, receiver) = sync_channel(limits::OPERATIONS);
        let path = shared.path.clone();
        let work = move || run(&shared, &opens, &receiver);
        let thread = std::thread::Builder::new().name("store".into()).spawn(work);
        let thread = thread.map_err(|error| Error::io(&path, &error))?;
        Ok(Writer { operations: Some(sender), thread: Some(thread) })
    }

    /// Has it applied with whatever else waits.
    pub fn change<T, F>(&self, durable: bool, change: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let task = Task { change: Some(change), answer: None, to, durable };
        let Some(operations) = &self.operations else { return Pending(Err(Error::Closed)) };
        match operations.try_send(Box::new(task)) {
            Ok(()) => Pending(Ok(answer)),
            Err(TrySendError::Full(_)) => Pending(Err(Error::Overloaded { max: limits::OPERATIONS })),
            Err(TrySendError::Disconnected(_)) => Pending(Err(Error::Closed)),
        }
    }
}

impl Drop for Writer {
    /// Waits until all that was asked for is on disk.
    fn drop(&mut self) {
        drop(self.operations.take());
        if let Some(thread) = self.thread.take() {
            // It has told whatever went wrong to those who asked.
            let _ = thread.join();
        }
    }
}

impl<T> Pending<T> {
    /// Blocks the thread until the answer is there; for threads that run no tasks.
    pub fn wait(self) -> Result<T, Error> {
        self.0.and_then(|answer| answer.blocking_recv().unwrap_or(Err(Error::Closed)))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(answer) => Pin::new(answer).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed))),
            Err(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

impl<T, F> Operation for Task<F, T>
where
    T: Send,
    F: FnOnce(&mut Tables<'_>) -> Result<T, Stop> + Send,
{
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Fault> {
        if let Some(change) = self.change.take() {
            self.answer = Some(match change(tables) {
                Ok(done) => Ok(done),
                Err(Stop::Refused(refused)) => Err(refused),
                Err(Stop::Fault(fault)) => return Err(fault),
            });
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Error>) {
        let Task { answer, to, .. } = *self;
        // Whoever asked may have stopped waiting.
        let _ = to.send(outcome.and_then(|()| answer.unwrap_or(Err(Error::Closed))));
    }

    fn is_durable(&self) -> bool {
        self.durable
    }
}

fn run(shared: &Shared, opens: &Opens, operations: &Receiver<Box<dyn Operation>>) {
    let mut loose = false;
    loop {
        // What need not be on disk at once is brought there when nothing else is to be done.
        let first = match operations.try_recv() {
            Ok(first) => first,
            Err(_) if loose => {
                loose = false;
                if let Err(error) = write(shared, opens, &mut [], true) {
                    tracing::warn!("what jobs said last is not on disk yet: {error}");
                }
                continue;
            }
            Err(_) => match operations.recv() {
                Ok(first) => first,
                Err(_) => return,
            },
        };
        let mut batch = vec![first];
        batch.extend(operations.try_iter().take(limits::BATCH - 1));
        let durable = batch.iter().any(|operation| operation.is_durable());
        let outcome = write(shared, opens, &mut batch, durable);
        loose = !durable || (loose && outcome.is_err());
        batch.into_iter().for_each(|operation| operation.answer(outcome.clone()));
    }
}

/// All of it or nothing. After a failure the database is opened anew: redb takes no more writes until then.
fn write(shared: &Shared, opens: &Opens, batch: &mut [Box<dyn Operation>], durable: bool) -> Result<(), Error> {
    if shared.database.read().is_none() {
        let opened = opens(Again::Yes)?;
        *shared.database.write() = Some(opened);
    }
    let outcome = match &*shared.database.read() {
        Some(database) => transact(database, batch, durable).map_err(|fault| Error::of(&shared.path, *fault.0)),
        None => Err(Error::Closed),
    };
    if let Err(error) = &outcome {
        tracing::error!("{error}");
        *shared.database.write() = None;
    }
    outcome
}

fn transact(database: &Database, batch: &mut [Box<dyn Operation>], durable: bool) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
    let mut tables = Tables::open(&transaction)?;
    batch.iter_mut().try_for_each(|operation| operation.apply(&mut tables))?;
    drop(tables);
    Ok(transaction.commit()?)
}
