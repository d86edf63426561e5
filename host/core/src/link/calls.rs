//! What waits for the other side of a session: calls for their answer, monitors for their exit notice. Each comes to an end exactly
//! once: by what it waits for, by being given up, or with the session.

use crate::limits;
use std::collections::HashMap;

/// Calls, or monitors, of this end. `W` is what is told of the end of one.
#[derive(Debug)]
pub struct Pending<W> {
    waiting: HashMap<u64, W>,
    begun: u64,
    max: usize,
    ended: bool,
}

/// What the other end has asked to be told: monitors by their numbers, which are the other end's. `T` is how to stop.
#[derive(Debug)]
pub struct Watched<T> {
    watched: HashMap<u64, T>,
    ended: bool,
}

/// Why nothing was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// `overloaded`
    #[error("so many wait for the other node already: {0}")]
    TooMany(usize),
    /// `node-lost`
    #[error("the session has ended")]
    Ended,
}

/// What the other side did and may not do. The connection is closed, the session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    #[error("it answers number {0}, which was never asked")]
    NeverAsked(u64),
    #[error("it uses number {0} again")]
    Again(u64),
}

impl<W> Pending<W> {
    /// Calls of a session that begins.
    pub fn calls() -> Self {
        Pending { waiting: HashMap::new(), begun: 0, max: limits::LINK_CALLS, ended: false }
    }

    /// Monitors of a session that begins.
    pub fn monitors() -> Self {
        Pending { max: limits::LINK_MONITORS, ..Pending::calls() }
    }

    /// The number for the frame's `call`; never 0. It is to be [`Pending::take`]n again if that frame is not pushed.
    pub fn begin(&mut self, waiter: W) -> Result<u64, Refused> {
        if self.ended {
            return Err(Refused::Ended);
        }
        if self.waiting.len() >= self.max {
            return Err(Refused::TooMany(self.max));
        }
        self.begun += 1;
        self.waiting.insert(self.begun, waiter);
        Ok(self.begun)
    }

    /// The answer or exit notice has come; nobody, if it was given up meanwhile.
    pub fn answered(&mut self, number: u64) -> Result<Option<W>, Violation> {
        if number == 0 || number > self.begun {
            return Err(Violation::NeverAsked(number));
        }
        Ok(self.waiting.remove(&number))
    }

    /// Who waits under this number.
    pub fn get(&self, number: u64) -> Option<&W> {
        self.waiting.get(&number)
    }

    /// Given up: who waited, unless it came to an end before.
    pub fn take(&mut self, number: u64) -> Option<W> {
        self.waiting.remove(&number)
    }

    /// The session has ended: all who wait get `node-lost`, in the order in which they began.
    pub fn end(&mut self) -> Vec<W> {
        self.ended = true;
        in_order(&mut self.waiting)
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T> Watched<T> {
    /// Of a session that begins.
    pub fn new() -> Self {
        Watched { watched: HashMap::new(), ended: false }
    }

    /// The other end wants to be told under this number. `Ok(Err(_))` is to be answered with its code; `stop` is not kept then.
    pub fn watch(&mut self, number: u64, stop: T) -> Result<Result<(), Refused>, Violation> {
        if self.ended {
            return Ok(Err(Refused::Ended));
        }
        if self.watched.contains_key(&number) {
            return Err(Violation::Again(number));
        }
        if self.watched.len() >= limits::LINK_MONITORS {
            return Ok(Err(Refused::TooMany(limits::LINK_MONITORS)));
        }
        self.watched.insert(number, stop);
        Ok(Ok(()))
    }

    /// The other end waits to be told, or for more of what it was told.
    pub fn contains(&self, number: u64) -> bool {
        self.watched.contains_key(&number)
    }

    /// The coroutine has ended, or the other end gives up: `None` if either came before, and nothing is to be told.
    pub fn take(&mut self, number: u64) -> Option<T> {
        self.watched.remove(&number)
    }

    /// The session has ended: everything that is to be stopped.
    pub fn end(&mut self) -> Vec<T> {
        self.ended = true;
        in_order(&mut self.watched)
    }

    pub fn len(&self) -> usize {
        self.watched.len()
    }

    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Watched::new()
    }
}

/// By number, so that the same run ends in the same order.
fn in_order<V>(table: &mut HashMap<u64, V>) -> Vec<V> {
    let mut all: Vec<(u64, V)> = std::mem::take(table).into_iter().collect();
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_to_an_end_once() {
        let mut calls = Pending::calls();
        let [one, two, three] = ["one", "two", "three"].map(|name| calls.begin(name).unwrap());
        assert_eq!(calls.answered(two), Ok(Some("two")));
        assert_eq!(calls.answered(two), Ok(None));
        assert_eq!(calls.take(one), Some("one"));
        assert_eq!(calls.answered(one), Ok(None), "an answer may come late");
        assert_eq!(calls.answered(three + 1), Err(Violation::NeverAsked(4)));
        assert_eq!(calls.answered(0), Err(Violation::NeverAsked(0)));
        let four = calls.begin("four").unwrap();
        assert_eq!(calls.end(), ["three", "four"]);
        assert_eq!(calls.answered(four), Ok(None));
        assert_eq!(calls.begin("five"), Err(Refused::Ended));
    }

    #[test]
    fn both_sides_are_bounded() {
        let mut calls = Pending::calls();
        let mut watched = Watched::new();
        for number in 1..=limits::LINK_CALLS.max(limits::LINK_MONITORS) as u64 {
            let _ = (calls.begin(()), watched.watch(number, ()));
        }
        assert_eq!(calls.begin(()), Err(Refused::TooMany(limits::LINK_CALLS)));
        assert_eq!(watched.watch(1, ()), Err(Violation::Again(1)));
        assert_eq!(watched.watch(u64::MAX, ()), Ok(Err(Refused::TooMany(limits::LINK_MONITORS))));
        assert_eq!(watched.take(1), Some(()));
        assert_eq!(watched.take(1), None);
        assert_eq!(watched.watch(u64::MAX, ()), Ok(Ok(())));
        assert_eq!(watched.end().len(), limits::LINK_MONITORS);
        assert_eq!(watched.watch(5, ()), Ok(Err(Refused::Ended)));
    }
}
