//! Supervision: one coroutine keeps others running. It starts them, is told when one ends, and starts it again, alone or
//! with its neighbours, unless that happens too often. It is a plain loop on `spawn`, `monitor` and `terminate`.
//!
//! ```no_run
//! use corovan_guest::spawn;
//! use corovan_guest::supervisor::{Restart, Strategy, Supervisor};
//! use std::time::Duration;
//!
//! #[corovan_guest::coroutine]
//! fn main_supervisor() -> Result<(), corovan_guest::Error> {
//!     Supervisor::new(Strategy::OneForOne)
//!         .intensity(5, Duration::from_secs(10))
//!         .child("store", Restart::Permanent, spawn("store"))
//!         .child("import", Restart::Transient, spawn("import").arg("data.csv"))
//!         .on_event(|event| eprintln!("{event}"))
//!         .run()
//! }
//! # fn main() {}
//! ```

mod decision;

pub use decision::{Restart, Strategy};

use crate::address::Address;
use crate::error::{Code, Error};
use crate::exit::Exit;
use crate::messaging::{Filter, Kind, Mailbox, Received, receive};
use crate::spawn::Spawn;
use crate::time::Instant;
use decision::{Decider, Decision};
use std::fmt;
use std::time::Duration;

/// Children, in the order in which they are started, and the rules for them.
#[must_use = "nothing is started before `run`"]
pub struct Supervisor<'a> {
    strategy: Strategy,
    children: Vec<Child>,
    most: usize,
    period: Duration,
    told: Box<dyn FnMut(Event<'_>) + 'a>,
}

struct Child {
    name: String,
    restart: Restart,
    spawn: Spawn,
    /// While it runs.
    address: Option<Address>,
}

/// What a supervisor does, for whoever wants to log it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A child was started, for the first time or again.
    Started { name: &'a str, address: Address },
    /// A child ended by itself.
    Ended { name: &'a str, exit: &'a Exit },
    /// A child is terminated, since a neighbour ended or the supervisor does.
    Stopping { name: &'a str, address: Address },
    /// Another coroutine that this one monitors ended.
    Stranger { exit: &'a Exit },
}

impl<'a> Supervisor<'a> {
    /// Without children, and at most 3 restarts in 5 s.
    pub fn new(strategy: Strategy) -> Supervisor<'a> {
        Supervisor { strategy, children: Vec::new(), most: RESTARTS, period: PERIOD, told: Box::new(|_| {}) }
    }

    /// Gives up when there were more restarts than `most` in the last `period`: a child that cannot live is not to be
    /// started for ever.
    pub fn intensity(mut self, most: usize, period: Duration) -> Supervisor<'a> {
        (self.most, self.period) = (most, period);
        self
    }

    /// The next child: started after those before it, stopped before them. Each start makes it as `spawn` says; it is
    /// monitored whether that says so or not. Its name is for events.
    pub fn child(mut self, name: &str, restart: Restart, spawn: Spawn) -> Supervisor<'a> {
        self.children.push(Child { name: name.to_owned(), restart, spawn: spawn.monitor(), address: None });
        self
    }

    /// Called with all that happens, to log or count it.
    pub fn on_event(mut self, told: impl FnMut(Event<'_>) + 'a) -> Supervisor<'a> {
        self.told = Box::new(told);
        self
    }

    /// Starts the children and keeps them running. Returns when all have ended and none is to be started again; every other
    /// end terminates those that run, the last first. Messages of other kinds than exits stay in the mailbox.
    ///
    /// # Errors
    /// `overloaded` when children ended too often, with the exit that was too much; `interrupted` when this coroutine is;
    /// what [`Spawn::start`] gives when a child cannot be made.
    ///
    /// ```no_run
    /// use corovan_guest::spawn;
    /// use corovan_guest::supervisor::{Restart, Strategy, Supervisor};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// Supervisor::new(Strategy::OneForOne).child("worker", Restart::Permanent, spawn("worker")).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(mut self) -> Result<(), Error> {
        let result = self.keep();
        let all: Vec<usize> = (0..self.children.len()).rev().collect();
        // Also after an error: no child outlives its supervisor.
        let stopped = self.stop(&all);
        result.and(stopped)
    }

    fn keep(&mut self) -> Result<(), Error> {
        let restarts = self.children.iter().map(|child| child.restart).collect();
        let mut decider = Decider::new(self.strategy, restarts, self.most, self.period);
        let all: Vec<usize> = (0..self.children.len()).collect();
        self.start(&all)?;
        // Exits have no type of their own: whatever `T` is, none is read as one.
        let mailbox = Mailbox::<()>::filtered(Filter::any().kind(Kind::Exit));
        while decider.is_needed() {
            let Received::Exit(exit) = mailbox.receive()? else { continue };
            let Some(index) = self.children.iter().position(|child| child.address == Some(exit.address)) else {
                (self.told)(Event::Stranger { exit: &exit });
                continue;
            };
            self.children[index].address = None;
            (self.told)(Event::Ended { name: &self.children[index].name, exit: &exit });
            match decider.ended(index, exit.is_normal(), Instant::now().since_node_start()) {
                Decision::Leave => {}
                Decision::Restart { stop, start } => {
                    self.stop(&stop)?;
                    self.start(&start)?;
                }
                Decision::GiveUp => {
                    let text = format!("its children were to be started again too often, the last because {exit}");
                    return Err(Error::new(Code::Overloaded, text));
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, which: &[usize]) -> Result<(), Error> {
        for index in which {
            let child = &mut self.children[*index];
            let address = child.spawn.start().map_err(|error| {
                Error::new(error.code, format!("{} cannot be started: {}", child.name, error.detail))
            })?;
            child.address = Some(address);
            (self.told)(Event::Started { name: &child.name, address });
        }
        Ok(())
    }

    /// Terminates those of them that run, all of them whatever happens; the first error is the result.
    fn stop(&mut self, which: &[usize]) -> Result<(), Error> {
        let mut result = Ok(());
        for index in which {
            let child = &mut self.children[*index];
            let Some(address) = child.address.take() else { continue };
            (self.told)(Event::Stopping { name: &child.name, address });
            // Its end is no news then. Should the notice be there already, it is taken out.
            let _ = address.demonitor();
            let terminated = address.terminate(None);
            let _ = receive(&Filter::any().kind(Kind::Exit).sender(address), Duration::ZERO);
            result = result.and(terminated);
        }
        result
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started { name, .. } => write!(f, "{name} started"),
            Event::Ended { name, exit } => write!(f, "{name} ended: {exit}"),
            Event::Stopping { name, .. } => write!(f, "{name} is stopped"),
            Event::Stranger { exit } => write!(f, "no child: {exit}"),
        }
    }
}

/// What Erlang's supervisors take to be usual, and a little patience more.
const RESTARTS: usize = 3;
const PERIOD: Duration = Duration::from_secs(5);
