//! Names in a mesh. A name is a lease at its home, the member that rendezvous hashing gives; its holder's node renews it, and
//! announces it anew where the members have changed and with them the home.
//!
//! [`Directory`] is one node's part, on both sides: [`home::Home`] for the names at home here, [`holder::Holder`] for what
//! coroutines of this node hold and look for. Messages may be lost, doubled or overtaken; nothing is done twice by that.

pub mod clock;
mod held;
pub mod holder;
pub mod home;
pub mod message;

use crate::code::Code;
use crate::ids::{Address, NodeId};
use crate::membership::home::Homes;
use crate::membership::presence::Presence;
use holder::Holder;
use home::Home;
use message::{Message, Name};
use std::collections::VecDeque;

/// One node's part in the names of the mesh. After each call, [`Directory::poll_output`] until it is empty, and a timer at
/// [`Directory::next_deadline`]. Time is the node's clock in nanoseconds.
#[derive(Debug)]
pub struct Directory {
    me: NodeId,
    homes: Homes,
    pub home: Home,
    pub holder: Holder,
    output: VecDeque<Output>,
}

/// What is to be sent or told.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// To another node, over its link; dropped where there is none.
    Send(NodeId, Message),
    /// The end of a `register`.
    Registered(u64, Result<(), Code>),
    /// The end of a `locate`.
    Located(u64, Result<Address, Code>),
    /// Another node's registration was older; told once, to the holder.
    NameLost(Name, Address),
}

impl Directory {
    /// The part of this node; alone until [`Directory::came`].
    pub fn new(me: &Presence) -> Directory {
        let mut homes = Homes::default();
        if !me.dial_out {
            homes.insert(me.node, me.incarnation);
        }
        let (home, holder) = (Home::new(me.node), Holder::new(me.node, me.incarnation));
        Directory { me: me.node, homes, home, holder, output: VecDeque::new() }
    }

    /// Registers a name for a coroutine or channel of this node, and says so under this token: `taken`, `overloaded`, or
    /// `timeout` at the deadline. `wall` is the time of day in milliseconds: the older of two registrations wins a conflict.
    pub fn register(&mut self, now: u64, wall: u64, token: u64, name: Name, holder: Address, deadline: u64) {
        self.holder.register(now, wall, token, name, holder, deadline, &self.homes);
        self.settle(now);
    }

    /// Gives a name back; `false` if this holder has it not.
    pub fn unregister(&mut self, now: u64, name: &Name, holder: &Address) -> bool {
        let had = self.holder.unregister(now, name, holder);
        self.settle(now);
        had
    }

    /// A coroutine or channel has ended: its names are free, and what it asked for is not answered any more.
    pub fn forget(&mut self, now: u64, holder: &Address) {
        self.holder.forget(now, holder);
        self.settle(now);
    }

    /// Looks for a name's holder, and says so under this token: `not-found`, or with `wait` not before the deadline and
    /// then `timeout`.
    pub fn locate(&mut self, now: u64, token: u64, name: Name, wait: bool, deadline: u64) {
        self.holder.locate(now, token, name, wait, deadline, &self.homes);
        self.settle(now);
    }

    /// Looks no longer; nothing is said under this token any more.
    pub fn withdraw(&mut self, now: u64, token: u64) {
        self.holder.withdraw(now, token);
        self.settle(now);
    }

    /// A member is there, or there anew: what membership calls `Joined`.
    pub fn came(&mut self, now: u64, who: &Presence) {
        let first = self.homes.len() <= 1;
        self.home.came(now, who.node, who.incarnation, first);
        if !who.dial_out {
            self.homes.insert(who.node, who.incarnation);
            self.home.hand_over(who.node);
            self.holder.came(now, who.node, &self.homes);
        }
        self.settle(now);
    }

    /// A member has failed or left.
    pub fn went(&mut self, now: u64, who: &Presence) {
        self.homes.remove(who.node);
        self.home.went(now, who.node, who.incarnation);
        self.holder.went(now, who.node, &self.homes);
        self.settle(now);
    }

    /// Others had given this node up (membership's `Renewed`), and its names with it.
    pub fn renewed(&mut self, now: u64) {
        self.home.doubt(now);
        self.holder.announce_all(now);
        self.settle(now);
    }

    /// Takes what another node sent.
    pub fn handle(&mut self, now: u64, from: NodeId, message: Message) {
        match message {
            Message::Request(request) => self.home.handle(now, from, request, &self.homes),
            Message::Response(response) => self.holder.handle(now, from, response),
        }
        self.settle(now);
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.home.next_deadline().into_iter().chain(self.holder.next_deadline()).min()
    }

    pub fn handle_timer(&mut self, now: u64) {
        self.home.handle_timer(now, &self.homes);
        self.holder.handle_timer(now, &self.homes);
        self.settle(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    pub fn homes(&self) -> &Homes {
        &self.homes
    }

    /// Passes on what both sides have to say; what is for this node itself goes from one to the other.
    fn settle(&mut self, now: u64) {
        loop {
            let said = self.home.poll().map(|(to, response)| (to, Message::Response(response)));
            let Some((to, message)) = said.or_else(|| self.holder.poll_request()) else { break };
            if to != self.me {
                self.output.push_back(Output::Send(to, message));
                continue;
            }
            match message {
                Message::Request(request) => self.home.handle(now, to, request, &self.homes),
                Message::Response(response) => self.holder.handle(now, to, response),
            }
        }
        self.output.extend(std::iter::from_fn(|| self.holder.poll_told()));
    }
}

#[cfg(test)]
mod tests;
