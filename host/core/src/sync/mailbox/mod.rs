//! A mailbox: bounded, first in first out, with a queue of senders that wait for room and reserved room for what must not
//! be refused. Decides who is to be woken; wakes nobody.
//!
//! `T` is what a letter carries beside its key, `W` what wakes a waiting sender.

pub mod model;

use super::slab_list::{Place, SlabList};
use crate::ids::Address;
use std::collections::{BTreeMap, VecDeque};

/// What a message is; the numbers are those of the host interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Kind {
    /// From a coroutine or client.
    #[default]
    Message = 0,
    /// A monitored coroutine ended.
    Exit = 1,
    /// A timer of the receiver's own.
    Timer = 2,
    NameLost = 3,
    Swap = 4,
    Peers = 5,
    /// A coroutine was made of a service of the receiver's.
    Called = 6,
}

/// One message with what a filter looks at.
#[derive(Clone, Debug)]
pub struct Letter<T> {
    pub kind: Kind,
    pub tag: u64,
    pub sender: Address,
    /// The subscription it came through; 0: none.
    pub via: u64,
    /// Bytes it counts for.
    pub size: usize,
    pub body: T,
}

/// What the bookkeeping looks at when a letter has left.
#[derive(Clone, Copy)]
struct Weight {
    kind: Kind,
    via: u64,
    size: usize,
}

/// Which letters are wanted; what is `None` takes every one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    pub tag: Option<u64>,
    pub kind: Option<Kind>,
    pub sender: Option<Address>,
}

/// How much is taken before senders wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub messages: usize,
    pub bytes: usize,
    /// System messages that may be on their way or unread.
    pub reserved: usize,
}

/// A sender that waits; ordered by when it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// What has become of a letter whose sender waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Waiting,
    Accepted,
    /// The mailbox was closed before there was room.
    Refused,
}

/// There is no room for it: the letter comes back.
#[derive(Debug)]
pub struct Full<T>(pub Letter<T>);

/// What a subscription's letter met.
#[derive(Debug)]
pub struct Via<T> {
    /// The receiver waits for it.
    pub wake: bool,
    /// Older letters that were dropped for it, or the letter itself, or both.
    pub dropped: Vec<Letter<T>>,
    /// The letter was taken.
    pub taken: bool,
}

/// What was in a mailbox when it was closed.
#[derive(Debug)]
pub struct Closed<T, W> {
    pub unread: Vec<Letter<T>>,
    /// Letters of senders that waited.
    pub waited: Vec<(Letter<T>, W)>,
    /// Publishers that waited for room of their subscription.
    pub holding: Vec<W>,
}

/// What is dropped when a subscription has its fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drop {
    Oldest,
    Newest,
}

#[derive(Debug)]
pub struct Mailbox<T, W> {
    bounds: Bounds,
    letters: SlabList<Letter<T>>,
    /// Ordinary letters, and their bytes.
    messages: usize,
    bytes: usize,
    /// Room promised to system messages: on their way, or unread.
    reserved: usize,
    waiting: VecDeque<(Ticket, Letter<T>, W)>,
    next_ticket: u64,
    /// Tickets below this have been accepted, or were withdrawn.
    accepted: u64,
    receiver: Receiver,
    /// Unread letters of each subscription, and the bytes of all these.
    vias: BTreeMap<u64, usize>,
    via_bytes: usize,
    /// Publishers that wait until a subscription has less than so many unread letters. One a subscription: a channel
    /// serves one publisher at a time.
    holding: BTreeMap<u64, (usize, W)>,
    closed: bool,
}

/// Whether the receiver waits, and for which letter. That it waits for any is a case of its own: a filter of eighty bytes
/// is then neither written nor read for each letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiver {
    Elsewhere,
    Any,
    Such(Filter),
}

impl Receiver {
    /// It waited, and waits no longer.
    #[inline]
    fn leave(&mut self) -> bool {
        let waited = !matches!(self, Receiver::Elsewhere);
        *self = Receiver::Elsewhere;
        waited
    }
}

impl Filter {
    /// Takes every letter.
    pub const ANY: Filter = Filter { tag: None, kind: None, sender: None };

    pub fn takes<T>(&self, letter: &Letter<T>) -> bool {
        self.tag.is_none_or(|tag| tag == letter.tag)
            && self.kind.is_none_or(|kind| kind == letter.kind)
            && self.sender.is_none_or(|sender| sender == letter.sender)
    }

    #[inline]
    pub fn is_any(&self) -> bool {
        self.tag.is_none() && self.kind.is_none() && self.sender.is_none()
    }
}

impl<T> Letter<T> {
    fn weight(&self) -> Weight {
        Weight { kind: self.kind, via: self.via, size: self.size }
    }
}

impl Kind {
    /// It comes in room that is promised, also where there is no other.
    pub fn is_reserved(self) -> bool {
        self != Kind::Message
    }

    pub fn from_number(number: u32) -> Option<Kind> {
        [Kind::Message, Kind::Exit, Kind::Timer, Kind::NameLost, Kind::Swap, Kind::Peers, Kind::Called]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }
}

impl<T, W> Mailbox<T, W> {
    pub fn new(bounds: Bounds) -> Self {
        Mailbox {
            bounds,
            letters: SlabList::default(),
            messages: 0,
            bytes: 0,
            reserved: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            accepted: 0,
            receiver: Receiver::Elsewhere,
            vias: BTreeMap::new(),
            via_bytes: 0,
            holding: BTreeMap::new(),
            closed: false,
        }
    }

    /// Takes a letter if there is room and nobody waits already; `true` when the receiver is to be woken: for the letter, or
    /// because the mailbox is full now without the letter that it waits for.
    #[inline]
    pub fn push(&mut self, letter: Letter<T>) -> Result<bool, Full<T>> {
        match self.takes(letter.size) {
            true => Ok(self.put(letter)),
            false => Err(Full(letter)),
        }
    }

    /// Takes a letter that [`Mailbox::takes`] has just said yes to; `true` when the receiver is to be woken.
    #[inline]
    pub fn put(&mut self, letter: Letter<T>) -> bool {
        self.messages += 1;
        self.bytes += letter.size;
        if letter.via != 0 {
            *self.vias.entry(letter.via).or_default() += 1;
            self.via_bytes += letter.size;
        }
        let is_stuck = !self.has_room(0) && self.receiver.leave();
        self.enqueue(letter) || is_stuck
    }

    /// Messages and bytes that fit beside those that are there and those that wait.
    pub fn free(&self) -> (usize, usize) {
        let messages = self.bounds.messages.saturating_sub(self.messages + self.waiting.len());
        (messages, self.bounds.bytes.saturating_sub(self.bytes))
    }

    /// A letter of this size would be taken now.
    #[inline]
    pub fn takes(&self, size: usize) -> bool {
        !self.closed && self.waiting.is_empty() && self.has_room(size)
    }

    /// Queues a letter whose sender waits for room; `true` when the receiver is to be woken, since what it waits for finds
    /// no room either.
    pub fn wait(&mut self, letter: Letter<T>, sender: W) -> (Ticket, bool) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push_back((ticket, letter, sender));
        (ticket, self.receiver.leave())
    }

    /// What has become of a ticket that was not withdrawn.
    pub fn fate(&self, ticket: Ticket) -> Fate {
        match ticket.0 < self.accepted {
            true => Fate::Accepted,
            false if self.closed => Fate::Refused,
            false => Fate::Waiting,
        }
    }

    /// The sender waits no longer: its letter, unless it has been accepted or refused. Others behind it may now fit: the
    /// wakers of those, and whether the receiver is to be woken.
    pub fn withdraw(&mut self, ticket: Ticket) -> Option<(Letter<T>, bool, Vec<W>)> {
        let at = self.waiting.binary_search_by_key(&ticket, |(ticket, ..)| *ticket).ok()?;
        let (_, letter, _) = self.waiting.remove(at)?;
        let (wake, senders) = if at == 0 { self.admit() } else { (false, Vec::new()) };
        Some((letter, wake, senders))
    }

    /// Promises room for one system message; `false` when no more can be promised.
    pub fn reserve(&mut self) -> bool {
        let free = self.reserved < self.bounds.reserved && !self.closed;
        self.reserved += usize::from(free);
        free
    }

    /// The promised message will not come.
    pub fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Takes a message for which room was promised; `true` when the receiver is to be woken.
    pub fn push_reserved(&mut self, letter: Letter<T>) -> Result<bool, Full<T>> {
        if self.closed {
            return Err(Full(letter));
        }
        Ok(self.enqueue(letter))
    }

    /// Takes a letter of a subscription, of which at most `cap` may be unread. Nobody waits: where there is no room one
    /// is dropped. As with [`Mailbox::wait`], a receiver also learns that its mailbox is full.
    pub fn push_via(&mut self, letter: Letter<T>, cap: usize, drop: Drop) -> Via<T> {
        if self.has_room_via(letter.via, cap, letter.size) && !self.closed {
            return Via { wake: self.put(letter), dropped: Vec::new(), taken: true };
        }
        let is_full = self.is_full();
        let (mut dropped, mut before) = (Vec::new(), None);
        // One way through the mailbox, however many are dropped.
        while drop == Drop::Oldest
            && let Some(place) = self.letters.find_after(before, |old| old.via == letter.via)
        {
            before = self.letters.before(place);
            let Some(oldest) = self.letters.remove(place) else { break };
            self.forget(oldest.weight());
            dropped.push(oldest);
            // It takes the place of the one that went, also where senders wait: it is not a message more.
            if self.unread(letter.via) < cap && self.has_room(letter.size) {
                let wake = self.put(letter) || is_full && self.receiver.leave();
                return Via { wake, dropped, taken: true };
            }
        }
        dropped.push(letter);
        Via { wake: is_full && self.receiver.leave(), dropped, taken: false }
    }

    /// Whether a letter of this subscription and size would be taken now.
    pub fn has_room_via(&self, via: u64, cap: usize, size: usize) -> bool {
        self.unread(via) < cap && self.waiting.is_empty() && self.has_room(size)
    }

    /// Unread letters of a subscription.
    pub fn unread(&self, via: u64) -> usize {
        self.vias.get(&via).copied().unwrap_or(0)
    }

    /// The publisher is woken when fewer than `cap` letters of the subscription are unread, or the mailbox is closed. For
    /// room in the mailbox itself it then waits as other senders do.
    pub fn hold(&mut self, via: u64, cap: usize, publisher: W) {
        self.holding.insert(via, (cap, publisher));
    }

    /// Nobody waits for this subscription's room any more: who did.
    pub fn let_go(&mut self, via: u64) -> Option<W> {
        self.holding.remove(&via).map(|(_, publisher)| publisher)
    }

    /// Bytes of unread letters that came through subscriptions.
    pub fn via_bytes(&self) -> usize {
        self.via_bytes
    }

    /// The oldest letter that the filter takes.
    pub fn find(&self, filter: &Filter) -> Option<Place> {
        if filter.is_any() { self.letters.first() } else { self.letters.find(|letter| filter.takes(letter)) }
    }

    /// Looks at a letter.
    pub fn get(&self, place: Place) -> Option<&Letter<T>> {
        self.letters.get(place)
    }

    /// Takes a letter, which is read where it lies and then dropped there: what was read, and whom to wake, senders whose
    /// letters now fit.
    #[inline]
    pub fn take<R>(&mut self, place: Place, read: impl FnOnce(&mut Letter<T>) -> R) -> Option<(R, Vec<W>)> {
        let letter = self.letters.get_mut(place)?;
        let result = read(letter);
        let gone = letter.weight();
        self.letters.discard(place);
        Some((result, self.taken(gone)))
    }

    #[inline]
    fn taken(&mut self, gone: Weight) -> Vec<W> {
        self.receiver = Receiver::Elsewhere;
        self.forget(gone);
        let mut senders = if self.waiting.is_empty() { Vec::new() } else { self.admit().1 };
        if !self.holding.is_empty()
            && let Some((cap, _)) = self.holding.get(&gone.via)
            && self.unread(gone.via) < *cap
        {
            senders.extend(self.let_go(gone.via));
        }
        senders
    }

    /// From now on pushing such a letter says that the receiver is to be woken.
    #[inline]
    pub fn await_letter(&mut self, filter: &Filter) {
        self.receiver = if filter.is_any() { Receiver::Any } else { Receiver::Such(*filter) };
    }

    /// There is no letter, and the receiver is to be woken by any.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        matches!(self.receiver, Receiver::Any) && self.letters.is_empty()
    }

    /// The receiver waits no longer.
    pub fn forget_receiver(&mut self) {
        self.receiver = Receiver::Elsewhere;
    }

    /// An ordinary letter, however small, would have to wait.
    pub fn is_full(&self) -> bool {
        !self.waiting.is_empty() || !self.has_room(0)
    }

    /// Unread letters of all kinds.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.letters.len() == 0
    }

    /// Bytes of unread ordinary letters.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Senders that wait.
    pub fn senders(&self) -> usize {
        self.waiting.len()
    }

    /// System messages promised or unread.
    pub fn reserved(&self) -> usize {
        self.reserved
    }

    /// Nothing is taken any more: what was unread, and who waited.
    pub fn close(&mut self) -> Closed<T, W> {
        self.closed = true;
        self.receiver = Receiver::Elsewhere;
        self.vias.clear();
        (self.messages, self.bytes, self.reserved, self.via_bytes) = (0, 0, 0, 0);
        let waiting = std::mem::take(&mut self.waiting);
        Closed {
            unread: std::mem::take(&mut self.letters).into_values(),
            waited: waiting.into_iter().map(|(_, letter, sender)| (letter, sender)).collect(),
            holding: std::mem::take(&mut self.holding).into_values().map(|(_, publisher)| publisher).collect(),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    #[inline]
    fn has_room(&self, size: usize) -> bool {
        // A letter larger than the whole mailbox fits an empty one, so that a bound cannot make a message impossible.
        self.messages == 0 || self.messages < self.bounds.messages && self.bytes + size <= self.bounds.bytes
    }

    #[inline]
    fn enqueue(&mut self, letter: Letter<T>) -> bool {
        let wake = match &self.receiver {
            Receiver::Elsewhere => false,
            Receiver::Any => true,
            Receiver::Such(filter) => filter.takes(&letter),
        };
        if wake {
            self.receiver = Receiver::Elsewhere;
        }
        self.letters.push_back(letter);
        wake
    }

    /// Takes back what a letter that has left counted for.
    #[inline]
    fn forget(&mut self, gone: Weight) {
        if gone.kind.is_reserved() {
            self.reserved = self.reserved.saturating_sub(1);
            return;
        }
        self.messages -= 1;
        self.bytes -= gone.size;
        if gone.via != 0
            && let Some(unread) = self.vias.get_mut(&gone.via)
        {
            self.via_bytes -= gone.size;
            *unread -= 1;
            if *unread == 0 {
                self.vias.remove(&gone.via);
            }
        }
    }

    /// Takes letters of waiting senders, in order, as long as they fit.
    fn admit(&mut self) -> (bool, Vec<W>) {
        let (mut wake, mut senders) = (false, Vec::new());
        while let Some((_, letter, _)) = self.waiting.front() {
            if !self.has_room(letter.size) {
                break;
            }
            let Some((ticket, letter, sender)) = self.waiting.pop_front() else { break };
            self.accepted = ticket.0 + 1;
            wake |= self.put(letter);
            senders.push(sender);
        }
        (wake, senders)
    }
}

#[cfg(test)]
mod tests;
