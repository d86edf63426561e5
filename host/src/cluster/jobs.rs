//! Jobs of this node that other nodes run: asked for, heard, and told of once, whatever becomes of them. Their values come
//! whole, however large they are.

use super::made::Remotely;
use super::remote::To;
use super::values;
use crate::runtime::abroad::Ear;
use crate::runtime::ports::{Became, End, EndFollower, Observer, SpawnAway, Sprout};
use crate::runtime::stdio::{Input, Output};
use crate::runtime::{Group, Refusal};
use crate::tasks::{TaskKind, Tasks};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::link::call::Call;
use corovan_core::tenancy::quota::{Permit, Resource};
use corovan_core::wire::ExitRecord;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs them, and gives each an address of its own that no coroutine has: what a job says goes in a lane of its own.
pub(super) struct Jobs {
    me: NodeId,
    tasks: Tasks,
    last: AtomicU64,
}

/// A job on its way, there, or over.
struct Away {
    group: Arc<Group>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Nobody wants it any more.
    given_up: CancellationToken,
    /// It has been told what became of it.
    told: CancellationToken,
}

struct State {
    /// Told once.
    over: Option<Over>,
    sprout: Option<Arc<dyn Sprout>>,
    started: bool,
    /// By whom it was ended, why, and how long it has.
    cancelled: Option<(String, String, Duration)>,
}

type Over = Box<dyn FnOnce(Became) + Send + Sync>;

/// Follows its end in a session, and fetches what is too large for that.
struct Ending {
    away: Arc<Away>,
    to: To,
    from: Address,
    tasks: Tasks,
    ear: Arc<Ear>,
    /// The number under which it is told.
    number: Arc<AtomicU64>,
    /// Too large to go with the question for it.
    args: Option<Bytes>,
}

/// Where those addresses begin: the counters of coroutines never get here.
const FIRST: u64 = 1 << 63;

impl Jobs {
    pub fn new(me: NodeId, tasks: Tasks) -> Jobs {
        Jobs { me, tasks, last: AtomicU64::new(FIRST) }
    }

    /// Has it run there, if there is a way.
    pub fn run(
        &self,
        to: Result<To, Refusal>,
        (group, observer): (&Arc<Group>, Arc<dyn Observer>),
        what: SpawnAway,
        over: Over,
    ) -> Arc<dyn Sprout> {
        let state = State { over: Some(over), sprout: None, started: false, cancelled: None };
        let (given_up, told) = (CancellationToken::new(), CancellationToken::new());
        let away = Arc::new(Away { group: Arc::clone(group), observer, state: Mutex::new(state), given_up, told });
        match to {
            Ok(to) => self.begin(to, what, &away),
            Err(refusal) => away.over(Became::Refused(refusal)),
        }
        away
    }

    fn begin(&self, to: To, what: SpawnAway, away: &Arc<Away>) {
        let counter = self.last.fetch_add(1, Ordering::Relaxed);
        let from = Address { node: self.me, counter, ..Address::default() };
        let (away, tasks) = (Arc::clone(away), self.tasks.clone());
        self.tasks.spawn(TaskKind::Stream, "job away", async move {
            let ear = Arc::new(Ear::new(Arc::new(Heard(Arc::clone(&away)))));
            let number = Arc::new(AtomicU64::new(0));
            let args = (what.args.len() > limits::SPAWN_ARGUMENTS).then(|| what.args.clone());
            let (input, deadline) = (what.input.clone(), Duration::from_nanos(what.deadline));
            let ending = Ending {
                away: Arc::clone(&away),
                to: to.clone(),
                from,
                tasks: tasks.clone(),
                ear,
                number: Arc::clone(&number),
                args,
            };
            let over = to.follows(Box::new(ending));
            let made = to.clone().make(from, what, over, values::WHOLE, |over| number.store(over, Ordering::Release));
            tokio::select! {
                made = made => match made {
                    Ok((address, sprout)) => {
                        away.made(address, sprout);
                        if let Some(input) = input {
                            let (to, over) = (to.at(address.into()), number.load(Ordering::Acquire));
                            tasks.spawn(TaskKind::Stream, "job's input", feed(to, from, over, input));
                        }
                        away.watch(deadline).await;
                    }
                    // It was on its way when the node was lost: whether it ran, nobody knows.
                    Err(refusal) if refusal.code == Code::NodeLost => away.over(Became::Lost(refusal)),
                    Err(refusal) => away.over(Became::Refused(refusal)),
                },
                () = away.given_up.cancelled() => {}
            }
            Ok::<(), Infallible>(())
        });
    }
}

impl Away {
    /// It runs, or did: told before anything else of it.
    fn started(&self, address: Address) {
        let first = {
            let mut state = self.state.lock();
            state.over.is_some() && !std::mem::replace(&mut state.started, true)
        };
        if first {
            self.observer.started(address);
        }
    }

    fn made(&self, address: Address, sprout: Arc<Remotely>) {
        self.started(address);
        let cancelled = {
            let mut state = self.state.lock();
            state.sprout = Some(Arc::clone(&sprout) as Arc<dyn Sprout>);
            state.cancelled.clone()
        };
        // Ended in the moment in which it was made.
        cancelled.into_iter().for_each(|(by, reason, grace)| sprout.cancel(&by, &reason, grace));
    }

    /// Until its end is told. The other node keeps to deadlines and orders, and one that does not holds up nobody here.
    async fn watch(&self, deadline: Duration) {
        let ordered = async {
            self.given_up.cancelled().await;
            let grace = self.state.lock().cancelled.as_ref().map_or(limits::TERMINATE_GRACE, |(.., grace)| *grace);
            tokio::time::sleep(grace + limits::END_AWAY).await;
        };
        let what = tokio::select! {
            () = self.told.cancelled() => return,
            () = ordered => "it was told to end the job",
            () = tokio::time::sleep(deadline.saturating_add(limits::END_AWAY)) => {
                self.cancel("node", "its deadline is over", Duration::ZERO);
                "the job's deadline was over"
            }
        };
        let text = format!("its node did not say in time that it has ended: {what}");
        self.over(Became::Lost(Refusal::new(Code::NodeLost, text)));
    }

    fn over(&self, became: Became) {
        let over = self.state.lock().over.take();
        self.told.cancel();
        if let Some(over) = over {
            over(became);
        }
    }
}

impl Sprout for Away {
    /// Where it is not there yet nobody waits until it is: whoever asked for it is told here that it has ended.
    fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let sprout = {
            let mut state = self.state.lock();
            state.cancelled.get_or_insert_with(|| (by.to_owned(), reason.to_owned(), grace));
            state.sprout.clone()
        };
        self.given_up.cancel();
        match sprout {
            Some(sprout) => sprout.cancel(by, reason, grace),
            None => {
                self.over(Became::Cancelled { by: by.to_owned(), reason: reason.to_owned() });
            }
        }
    }
}

impl EndFollower for Ending {
    fn ended(self: Box<Self>, end: Option<End>) {
        let Ending { away, to, from, tasks, number, .. } = *self;
        let Some(End { record, cut, expired }) = end else {
            let text = format!("node {} was lost while the job ran there", to.session.peer);
            return away.over(Became::Lost(Refusal::new(Code::NodeLost, text)));
        };
        if !expired {
            away.started(record.address);
        }
        if !cut {
            return away.over(Became::Ended(record));
        }
        tasks.spawn(TaskKind::Stream, "job's value", async move {
            let number = number.load(Ordering::Acquire);
            let held = Permit::nothing(&away.group.tenant.ledger, Resource::Held);
            let fetched = values::complete(&to.at(record.address.into()), &from, number, (record, held)).await;
            away.over(match fetched {
                Ok(record) => Became::Ended(record),
                Err(refusal) => Became::Lost(refusal),
            });
            Ok::<(), Infallible>(())
        });
    }

    fn ear(&self) -> Option<Arc<Ear>> {
        Some(Arc::clone(&self.ear))
    }

    fn arguments(&self) -> Option<Bytes> {
        self.args.clone()
    }
}

/// Passes standard input on, a part at a time, until its end, or the job's.
async fn feed(to: To, from: Address, over: u64, input: Arc<Input>) -> Result<(), Refusal> {
    loop {
        let part = poll_fn(|cx| input.poll_read(cx, limits::STDIN_BUFFER)).await;
        let end = part.is_empty();
        match to.ask_until_room(&from, &Call::Input { over, end }, part).await {
            Ok(_) if end => return Ok(()),
            Ok(_) => {}
            Err(refusal) => {
                // Nobody reads it any more, so whoever writes it may stop.
                input.finish();
                return Err(refusal);
            }
        }
    }
}

/// What it says goes to the job's observer, after the word that it runs.
struct Heard(Arc<Away>);

impl Observer for Heard {
    fn started(&self, address: Address) {
        self.0.started(address);
    }

    fn progress(&self, done: u64, total: u64, text: String) {
        self.0.observer.progress(done, total, text);
    }

    fn log(&self, level: u8, text: String) {
        self.0.observer.log(level, text);
    }

    fn output(&self) -> &Output {
        self.0.observer.output()
    }

    fn output_ready(&self) {
        self.0.observer.output_ready();
    }

    // Its end is told to the session's follower.
    fn ended(&self, _: &Arc<ExitRecord>) {}

    fn child(&self, daemon: bool) -> Arc<dyn Observer> {
        self.0.observer.child(daemon)
    }

    fn set_daemon(&self, _: bool) {}
}
