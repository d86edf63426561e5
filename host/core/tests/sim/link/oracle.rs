//! What really happened, seen from outside, and what must hold of it.

use corovan_core::link::frame::{Header, LANES, Local};
use std::collections::{HashMap, HashSet};

/// Incarnations of both ends and the number.
pub type Ident = (u32, u32, u64);

#[derive(Default)]
pub struct Oracle {
    pub messages: Vec<Message>,
    pub monitors: Vec<Monitor>,
    /// Mailboxes that each end ever had.
    pub mailboxes: [Vec<Local>; 2],
    /// Of each end's session objects: what was pushed, per lane.
    pushed: HashMap<(usize, u64), Vec<Vec<Header>>>,
    taken: HashMap<(usize, u64), Vec<usize>>,
    objects: HashMap<(usize, Ident), u64>,
    /// The last message of a sender that came to a mailbox.
    last: HashMap<(usize, Local, Local), u64>,
    pub resumed: u64,
    pub ended: u64,
    pub duplicates: u64,
    pub full: u64,
    pub waited: u64,
    pub returned: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    Nothing,
    CertainlyNot,
    Delivered,
}

#[derive(Debug)]
pub struct Message {
    pub told: Told,
    pub arrived: bool,
    pub accepted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Monitor {
    Watching,
    Fired,
    GivenUp,
    /// Whoever watched is no more.
    Void,
}

impl Oracle {
    pub fn message(&mut self) -> u64 {
        self.messages.push(Message { told: Told::Nothing, arrived: false, accepted: false });
        self.messages.len() as u64 - 1
    }

    pub fn told(&mut self, id: u64, told: Told) {
        let message = &mut self.messages[id as usize];
        assert_eq!(message.told, Told::Nothing, "message {id} has one outcome, not {told:?} as well");
        match told {
            Told::CertainlyNot => assert!(!message.accepted, "message {id} arrived and is told not to"),
            Told::Delivered => assert!(message.accepted, "message {id} is told to be delivered and is not"),
            Told::Nothing => {}
        }
        message.told = told;
    }

    /// A session has got its number at an end.
    pub fn begun(&mut self, end: usize, ident: Ident, object: u64) {
        let old = self.objects.insert((end, ident), object);
        assert_eq!(old, None, "session {ident:?} is begun twice at {end}");
    }

    pub fn pushed(&mut self, end: usize, object: u64, number: u64, header: Header) {
        let lanes = self.pushed.entry((end, object)).or_insert_with(|| vec![Vec::new(); LANES]);
        let lane = &mut lanes[usize::from(header.lane())];
        lane.push(header);
        assert_eq!(lane.len() as u64, number, "frames are numbered from 1 without a gap");
    }

    /// An end takes a frame in a session.
    pub fn taken(&mut self, end: usize, ident: Ident, object: u64, lane: u8, number: u64, header: &Header) {
        let sender = self.objects.get(&(1 - end, ident));
        let sender = *sender.unwrap_or_else(|| panic!("{end} takes a frame of {ident:?}, which the other has not"));
        let taken = &mut self.taken.entry((end, object)).or_insert_with(|| vec![0; LANES])[usize::from(lane)];
        *taken += 1;
        assert_eq!(*taken as u64, number, "no duplicate, no gap");
        assert_eq!(&self.pushed[&(1 - end, sender)][usize::from(lane)][*taken - 1], header, "no reordering");
    }

    /// A message comes to a mailbox.
    pub fn arrived(&mut self, end: usize, header: &Header) {
        let id = header.tag;
        let message = &mut self.messages[id as usize];
        assert_ne!(message.told, Told::CertainlyNot, "message {id} was told not to arrive");
        assert!(!std::mem::replace(&mut message.arrived, true), "message {id} arrives twice");
        if let Some(last) = self.last.insert((end, header.from, header.to), id) {
            assert!(last < id, "message {id} comes after {last}");
        }
    }

    pub fn accepted(&mut self, id: u64) {
        let message = &mut self.messages[id as usize];
        assert!(!std::mem::replace(&mut message.accepted, true), "message {id} is accepted twice");
        assert_ne!(message.told, Told::CertainlyNot, "message {id} was told not to arrive");
    }

    pub fn fired(&mut self, monitor: usize) {
        let old = std::mem::replace(&mut self.monitors[monitor], Monitor::Fired);
        assert_eq!(old, Monitor::Watching, "monitor {monitor} fires");
    }

    /// All is over.
    pub fn settled(&self) {
        let watching: HashSet<usize> =
            (0..self.monitors.len()).filter(|at| self.monitors[*at] == Monitor::Watching).collect();
        assert!(watching.is_empty(), "monitors {watching:?} never fired");
    }
}
