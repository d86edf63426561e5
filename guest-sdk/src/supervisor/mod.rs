//! Supervision: one coroutine keeps others running. It starts them, is told when one ends, and starts it again, alone or
//! with its neighbours, unless that happens too often. It is a plain loop on `spawn`, `monitor` and `terminate`.
//!
//! ```no_run
//! use corovan_guest::Spawn;
//! use corovan_guest::supervisor::{Child, Restart, Strategy, Supervisor};
//! use std::time::Duration;
//!
//! #[corovan_guest::coroutine]
//! fn main_loop() -> Result<(), corovan_guest::Error> {
//!     Supervisor::new(Strategy::OneForOne)
//!         .at_most(3, Duration::from_secs(5))
//!         .child(Child::new("index", Spawn::new("index")))
//!         .child(Child::new("import", Spawn::new("import").arg("all")).restart(Restart::Transient))
//!         .run(|event| eprintln!("{event}"))
//! }
//! # fn main() {}
//! ```

mod decision;

pub use decision::{Restart, Strategy};

use crate::address::Address;
use crate::error::{Code, Error};
use crate::exit::Exit;
use crate::messaging::{Filter, Kind, Mailbox, Received};
use crate::others;
use crate::spawn::Spawn;
use crate::time::Instant;
use decision::{Decider, Decision};
use std::fmt;
use std::time::Duration;

/// A child that is to be kept running: how it is made, and when it is made again.
#[derive(Clone, Debug)]
#[must_use]
pub struct Child {
    name: String,
    spawn: Spawn,
    restart: Restart,
}

/// Children, in the order in which they are started, and the rules for them.
#[derive(Clone, Debug)]
#[must_use = "nothing is started before `run`"]
pub struct Supervisor {
    strategy: Strategy,
    children: Vec<Child>,
    restarts: usize,
    period: Duration,
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

impl Child {
    /// A child that is always started again. `name` is for events only; how it is spawned is used each time anew, and it is
    /// monitored whether that says so or not.
    pub fn new(name: &str, spawn: Spawn) -> Child {
        Child { name: name.to_owned(), spawn: spawn.monitor(), restart: Restart::Permanent }
    }

    /// When it is started again.
    pub fn restart(mut self, restart: Restart) -> Child {
        self.restart = restart;
        self
    }
}

impl Supervisor {
    /// Without children, and at most 3 restarts in 5 s.
    pub fn new(strategy: Strategy) -> Supervisor {
        Supervisor { strategy, children: Vec::new(), restarts: RESTARTS, period: PERIOD }
    }

    /// Gives up when there were more restarts than this in the last `period`: a child that cannot live is not to be started
    /// for ever.
    pub fn at_most(mut self, restarts: usize, period: Duration) -> Supervisor {
        (self.restarts, self.period) = (restarts, period);
        self
    }

    /// The next child: started after those before it, stopped before them.
    pub fn child(mut self, child: Child) -> Supervisor {
        self.children.push(child);
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
    /// use corovan_guest::Spawn;
    /// use corovan_guest::supervisor::{Child, Strategy, Supervisor};
    ///
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let worker = Child::new("worker", Spawn::new("worker"));
    /// Supervisor::new(Strategy::OneForOne).child(worker).run(|event| println!("{event}"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(self, mut told: impl FnMut(Event<'_>)) -> Result<(), Error> {
        let mut running = Running {
            decider: Decider::new(
                self.strategy,
                self.children.iter().map(|child| child.restart).collect(),
                self.restarts,
                self.period,
            ),
            addresses: vec![None; self.children.len()],
            children: self.children,
            told: &mut told,
        };
        let result = running.keep();
        let all: Vec<usize> = (0..running.children.len()).rev().collect();
        // Also after an error: no child outlives its supervisor.
        let stopped = running.stop(&all);
        result.and(stopped)
    }
}

/// Children as they are now.
struct Running<'a> {
    decider: Decider,
    children: Vec<Child>,
    addresses: Vec<Option<Address>>,
    told: &'a mut dyn FnMut(Event<'_>),
}

impl Running<'_> {
    fn keep(&mut self) -> Result<(), Error> {
        let all: Vec<usize> = (0..self.children.len()).collect();
        self.start(&all)?;
        // Exits have no type of their own: whatever `T` is, none is read as one.
        let mailbox = Mailbox::<()>::new();
        while self.decider.is_needed() {
            let Received::Exit(exit) = mailbox.receive_if(&Filter::ALL.kind(Kind::Exit), None)? else { continue };
            let Some(index) = self.addresses.iter().position(|address| *address == Some(exit.address)) else {
                (self.told)(Event::Stranger { exit: &exit });
                continue;
            };
            self.addresses[index] = None;
            (self.told)(Event::Ended { name: &self.children[index].name, exit: &exit });
            match self.decider.ended(index, exit.is_normal(), Instant::now().since_node_start()) {
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
            let child = &self.children[*index];
            let address = child.spawn.start().map_err(|error| {
                Error::new(error.code, format!("{} cannot be started: {}", child.name, error.detail))
            })?;
            self.addresses[*index] = Some(address);
            (self.told)(Event::Started { name: &child.name, address });
        }
        Ok(())
    }

    /// Terminates those of them that run, all of them whatever happens; the first error is the result.
    fn stop(&mut self, which: &[usize]) -> Result<(), Error> {
        let mut result = Ok(());
        for index in which {
            let Some(address) = self.addresses[*index].take() else { continue };
            (self.told)(Event::Stopping { name: &self.children[*index].name, address });
            // Its end is no news then. Should the notice be there already, it is taken out.
            let _ = others::demonitor(address);
            let terminated = others::terminate(address, None);
            let _ = Mailbox::<()>::new().receive_if(&Filter::ALL.kind(Kind::Exit).sender(address), Duration::ZERO);
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
