//! Whose turn it is to send through a channel: one at a time, first come first served, so that all subscribers see one
//! order. In the same queue lie messages of parent channels that did not wait for the turn; a pump delivers those.
//!
//! `W` wakes a publisher that waits, `M` is a message of a parent.

use crate::sync::mailbox::Drop;
use std::collections::{BTreeMap, VecDeque};

/// A publisher's place in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// What the end of a turn asks for.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub enum Next<W> {
    Nothing,
    /// It is this publisher's turn.
    Wake(W),
    /// It is the turn of messages: start the pump, which has the turn now.
    Pump,
}

/// What has become of a message.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub enum Posted<M> {
    Taken,
    /// An older one of the same edge was dropped for it.
    Replaced(M),
    Dropped(M),
}

/// See [the module](self).
#[derive(Debug)]
pub struct Turn<W, M> {
    holder: Holder,
    queue: BTreeMap<Ticket, Waiting<W, M>>,
    /// Messages in the queue by the edge they came over.
    posts: BTreeMap<u64, VecDeque<Ticket>>,
    next: u64,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    Nobody,
    /// One who found it free, or a pump.
    Somebody,
    Publisher(Ticket),
}

#[derive(Debug)]
enum Waiting<W, M> {
    Publisher(W),
    Post(u64, M),
}

impl<W, M> Turn<W, M> {
    /// Takes the turn if it is free.
    pub fn try_take(&mut self) -> bool {
        let free = self.holder == Holder::Nobody && !self.closed;
        if free {
            self.holder = Holder::Somebody;
        }
        free
    }

    /// Queues a publisher. Only while the turn is taken.
    pub fn wait(&mut self, publisher: W) -> Ticket {
        let ticket = self.ticket();
        self.queue.insert(ticket, Waiting::Publisher(publisher));
        ticket
    }

    /// Its turn has come.
    pub fn is_of(&self, ticket: Ticket) -> bool {
        self.holder == Holder::Publisher(ticket)
    }

    /// Waits no longer; if its turn has come it ends here.
    pub fn withdraw(&mut self, ticket: Ticket) -> Next<W> {
        if self.is_of(ticket) {
            return self.leave();
        }
        self.queue.remove(&ticket);
        Next::Nothing
    }

    /// The turn is over.
    pub fn leave(&mut self) -> Next<W> {
        self.holder = Holder::Nobody;
        match self.queue.first_entry() {
            None => Next::Nothing,
            Some(first) if matches!(first.get(), Waiting::Post(..)) => {
                self.holder = Holder::Somebody;
                Next::Pump
            }
            Some(first) => {
                self.holder = Holder::Publisher(*first.key());
                match first.remove() {
                    Waiting::Publisher(publisher) => Next::Wake(publisher),
                    Waiting::Post(..) => Next::Nothing,
                }
            }
        }
    }

    /// A message of a parent that does not wait, of which edge at most `cap` lie here. Only while the turn is taken.
    pub fn post(&mut self, edge: u64, message: M, cap: usize, drop: Drop) -> Posted<M> {
        if self.closed {
            return Posted::Dropped(message);
        }
        let mut replaced = None;
        if self.posts.get(&edge).map_or(0, VecDeque::len) >= cap {
            if drop == Drop::Newest {
                return Posted::Dropped(message);
            }
            let oldest = self.posts.get_mut(&edge).and_then(VecDeque::pop_front);
            if let Some(Waiting::Post(_, oldest)) = oldest.and_then(|oldest| self.queue.remove(&oldest)) {
                replaced = Some(oldest);
            }
        }
        let ticket = self.ticket();
        self.posts.entry(edge).or_default().push_back(ticket);
        self.queue.insert(ticket, Waiting::Post(edge, message));
        replaced.map_or(Posted::Taken, Posted::Replaced)
    }

    /// For the pump, which has the turn: the next message, unless it is a publisher's turn or there is none.
    pub fn next_post(&mut self) -> Option<M> {
        let first = self.queue.first_entry().filter(|first| matches!(first.get(), Waiting::Post(..)))?;
        let Waiting::Post(edge, message) = first.remove() else { return None };
        if let Some(tickets) = self.posts.get_mut(&edge) {
            tickets.pop_front();
            if tickets.is_empty() {
                self.posts.remove(&edge);
            }
        }
        Some(message)
    }

    /// The channel has closed: publishers that waited, and messages.
    pub fn close(&mut self) -> (Vec<W>, Vec<M>) {
        self.closed = true;
        self.posts.clear();
        let (mut publishers, mut messages) = (Vec::new(), Vec::new());
        for waiting in std::mem::take(&mut self.queue).into_values() {
            match waiting {
                Waiting::Publisher(publisher) => publishers.push(publisher),
                Waiting::Post(_, message) => messages.push(message),
            }
        }
        (publishers, messages)
    }

    /// Publishers that wait.
    pub fn publishers(&self) -> impl Iterator<Item = &W> {
        self.queue.values().filter_map(|waiting| match waiting {
            Waiting::Publisher(publisher) => Some(publisher),
            Waiting::Post(..) => None,
        })
    }

    pub fn is_free(&self) -> bool {
        self.holder == Holder::Nobody
    }

    /// Publishers and messages that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
}

impl<W, M> Default for Turn<W, M> {
    fn default() -> Self {
        Turn { holder: Holder::Nobody, queue: BTreeMap::new(), posts: BTreeMap::new(), next: 0, closed: false }
    }
}
