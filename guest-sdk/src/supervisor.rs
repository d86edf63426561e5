//! Supervision: keep children running, restart those that fail, give up when they fail too often. Erlang/OTP's
//! `supervisor` behaviour (one-for-one, one-for-all, rest-for-one, restart intensity), on monitor and terminate alone.
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
//!         .child("store", Restart::Permanent, || spawn("store").monitor().start())
//!         .child("import", Restart::Transient, || spawn("import").arg("data.csv").monitor().start())
//!         .run()
//! }
//! # fn main() {}
//! ```

use crate::address::Address;
use crate::error::{Code, Error};
use crate::exit::Exit;
use crate::messaging::{Filter, Kind, receive};
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// What is restarted when one child has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// That child alone.
    OneForOne,
    /// All: they depend on each other.
    OneForAll,
    /// That child and those that were added after it: they depend on it.
    RestForOne,
}

/// Which ends of a child it is restarted after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// All.
    Permanent,
    /// Those that are not a return (or exit code 0).
    Transient,
    /// None.
    Temporary,
}

/// Children, and what to do when they end.
pub struct Supervisor<'a> {
    plan: Plan,
    children: Vec<Child<'a>>,
    on_restart: OnRestart<'a>,
}

type OnRestart<'a> = Box<dyn FnMut(&str, &Exit) + 'a>;

struct Child<'a> {
    name: String,
    start: Box<dyn FnMut() -> Result<Address, Error> + 'a>,
    address: Option<Address>,
}

/// The decisions, without coroutines: time is an argument.
#[derive(Debug)]
struct Plan {
    strategy: Strategy,
    restarts: Vec<Restart>,
    most: usize,
    within: Duration,
    /// When the last restarts were.
    history: VecDeque<Instant>,
}

/// What to do after a child has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Decision {
    /// It stays as it is.
    Leave,
    /// Stop these that still run, last first, then start these, first first.
    Restart(std::ops::Range<usize>),
    GiveUp,
}

impl<'a> Supervisor<'a> {
    /// At most 3 restarts within 5 seconds, as OTP has it.
    pub fn new(strategy: Strategy) -> Supervisor<'a> {
        let plan =
            Plan { strategy, restarts: Vec::new(), most: 3, within: Duration::from_secs(5), history: VecDeque::new() };
        Supervisor { plan, children: Vec::new(), on_restart: Box::new(|_, _| {}) }
    }

    /// More than `most` restarts within this time are too many: the supervisor gives up.
    pub fn intensity(mut self, most: usize, within: Duration) -> Self {
        (self.plan.most, self.plan.within) = (most, within);
        self
    }

    /// Adds a child. `start` makes it; with [`Spawn::monitor`](crate::Spawn::monitor) or without, it is monitored.
    pub fn child(mut self, name: &str, restart: Restart, start: impl FnMut() -> Result<Address, Error> + 'a) -> Self {
        self.plan.restarts.push(restart);
        self.children.push(Child { name: name.to_owned(), start: Box::new(start), address: None });
        self
    }

    /// Called with the name of a child and how it ended, before it is restarted.
    pub fn on_restart(mut self, call: impl FnMut(&str, &Exit) + 'a) -> Self {
        self.on_restart = Box::new(call);
        self
    }

    /// Starts the children in order and keeps them running; returns when the last has ended and none is to be restarted.
    /// Exit messages are taken from this coroutine's mailbox, also those of others that it monitors; all other messages stay.
    ///
    /// # Errors
    /// `overloaded`: more restarts than the intensity allows; `interrupted`; what making a child gave. The children that still
    /// run are terminated, last first.
    pub fn run(mut self) -> Result<(), Error> {
        let all = 0..self.children.len();
        let outcome = self.start(all.clone()).and_then(|()| self.supervise());
        if outcome.is_err() {
            self.stop(all);
        }
        outcome
    }

    fn supervise(&mut self) -> Result<(), Error> {
        while self.children.iter().any(|child| child.address.is_some()) {
            let message = receive(&Filter::any().kind(Kind::Exit), None)?;
            let exit = Exit::decode(&message.bytes).map_err(|text| Error::new(Code::Invalid, text))?;
            let Some(at) = self.children.iter().position(|child| child.address == Some(exit.address)) else { continue };
            self.children[at].address = None;
            match self.plan.ended(at, exit.is_normal(), Instant::now()) {
                Decision::Leave => {}
                Decision::Restart(which) => {
                    (self.on_restart)(&self.children[at].name, &exit);
                    self.stop(which.clone());
                    self.start(which)?;
                }
                Decision::GiveUp => {
                    let text = format!(
                        "{:?} {}, and {} restarts within {:?} are the most",
                        self.children[at].name, exit.outcome, self.plan.most, self.plan.within
                    );
                    return Err(Error::new(Code::Overloaded, text));
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, which: std::ops::Range<usize>) -> Result<(), Error> {
        for child in &mut self.children[which] {
            let address = (child.start)()?;
            child.address = Some(address);
            address.monitor()?;
        }
        Ok(())
    }

    /// Stops those that run. An interrupt meanwhile does not leave the others running.
    fn stop(&mut self, which: std::ops::Range<usize>) {
        for child in self.children[which].iter_mut().rev() {
            let Some(address) = child.address.take() else { continue };
            // It may have ended just now, which is what is wanted.
            let _ = address.demonitor();
            while address.terminate(None).is_err_and(|error| error.code == Code::Interrupted) {}
        }
    }
}

impl Plan {
    fn ended(&mut self, child: usize, normal: bool, now: Instant) -> Decision {
        let restart = match self.restarts[child] {
            Restart::Permanent => true,
            Restart::Transient => !normal,
            Restart::Temporary => false,
        };
        if !restart {
            return Decision::Leave;
        }
        while self.history.front().is_some_and(|first| now - *first > self.within) {
            self.history.pop_front();
        }
        if self.history.len() >= self.most {
            return Decision::GiveUp;
        }
        self.history.push_back(now);
        Decision::Restart(match self.strategy {
            Strategy::OneForOne => child..child + 1,
            Strategy::OneForAll => 0..self.restarts.len(),
            Strategy::RestForOne => child..self.restarts.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(strategy: Strategy, restarts: &[Restart]) -> Plan {
        Plan {
            strategy,
            restarts: restarts.to_vec(),
            most: 2,
            within: Duration::from_secs(10),
            history: VecDeque::new(),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_node_start(seconds * 1_000_000_000)
    }

    #[test]
    fn the_strategy_says_who_is_restarted_with_a_child() {
        for (strategy, which) in
            [(Strategy::OneForOne, 1..2), (Strategy::OneForAll, 0..3), (Strategy::RestForOne, 1..3)]
        {
            let mut plan = plan(strategy, &[Restart::Permanent; 3]);
            assert_eq!(plan.ended(1, false, at(0)), Decision::Restart(which));
        }
    }

    #[test]
    fn the_kind_of_a_child_says_after_which_ends_it_is_restarted() {
        let cases =
            [(Restart::Permanent, true, true), (Restart::Transient, false, true), (Restart::Temporary, false, false)];
        for (restart, after_normal, after_failure) in cases {
            for (normal, expected) in [(true, after_normal), (false, after_failure)] {
                let decision = plan(Strategy::OneForOne, &[restart]).ended(0, normal, at(0));
                assert_eq!(decision == Decision::Restart(0..1), expected, "{restart:?}, normal: {normal}");
            }
        }
    }

    #[test]
    fn too_many_restarts_in_a_time_end_it_and_old_ones_are_forgotten() {
        let mut plan = plan(Strategy::OneForOne, &[Restart::Permanent]);
        assert_eq!(plan.ended(0, false, at(0)), Decision::Restart(0..1));
        assert_eq!(plan.ended(0, false, at(5)), Decision::Restart(0..1));
        assert_eq!(plan.ended(0, false, at(11)), Decision::Restart(0..1), "the first is 11 s ago");
        assert_eq!(plan.ended(0, false, at(12)), Decision::GiveUp);
    }
}
