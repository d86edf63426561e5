//! What ties a coroutine to others beside its mailbox: who watches it, whom it watches, its resume and reply slots, its
//! timers, a swap that is asked of it. Plain state under one lock; nothing here wakes or sends.

use super::channels::Channel;
use super::control::Control;
use super::link_away::LinkAway;
use super::message::{Letter, Payload};
use super::ports::{Guard, Told};
use super::refusal::Refusal;
use super::services::Service;
use super::swap::{Swap, SwapPoint};
use bytes::Bytes;
use corovan_core::ids::Address;
use corovan_core::sync::timers::TimerId;
use corovan_core::tenancy::quota::Permit;
use corovan_core::wire::ExitRecord;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::Waker;

#[derive(Default)]
pub(super) struct Ties {
    /// An early or awaited resume.
    pub resume: Option<(Bytes, Permit)>,
    pub asked: Option<Asked>,
    next_request: u64,
    /// Who gets a message at its end, by counter; who is terminated by an abnormal one; who waits for it, by number.
    pub monitors: BTreeMap<u64, Weak<Control>>,
    pub links: BTreeMap<u64, Weak<Control>>,
    /// The same with those of other nodes.
    pub links_away: BTreeMap<Address, LinkAway>,
    pub waits: BTreeMap<u64, Waker>,
    next_wait: u64,
    /// Those whose end it is to learn of.
    pub watching: BTreeMap<Address, Watch>,
    /// Other nodes' followers of its end, by number.
    pub followers: BTreeMap<u64, Told>,
    pub timers: BTreeMap<u64, Timed>,
    next_timer: u64,
    /// A swap that is asked of it; one that it has agreed to, until its instance is polled again; why that failed.
    pub swap: Option<Arc<Swap>>,
    pub swap_point: Option<SwapPoint>,
    pub swap_failed: Option<Refusal>,
    /// Channels that it is subscribed to, by the number of the subscription.
    pub subscriptions: BTreeMap<u64, Weak<Channel>>,
    /// Names of the mesh that it has, each with room for the message that it is lost.
    pub lost_names: BTreeMap<String, Permit>,
    /// Functions that it offers, by name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// It has given names, so that they are looked for at its end.
    pub named: bool,
    /// It has ended: whoever comes now is too late.
    pub ended: bool,
    /// How, for so many who waited for that and have not seen it yet: the record may be forgotten before.
    pub owed: Option<(Arc<ExitRecord>, usize)>,
}

/// One whose end this coroutine is to learn of.
pub(super) struct Watch {
    /// What the promised exit message holds.
    pub held: Permit,
    /// Dropped, another node need not tell.
    pub _away: Option<Guard>,
}

/// A request of this coroutine that is under way.
#[derive(Debug)]
pub(super) struct Asked {
    number: u64,
    pub answer: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
    Awaited,
    Given(Payload, Option<Permit>),
    /// None will come: the request was read, or not even that.
    None {
        read: bool,
    },
}

/// A timer whose message waits for its time.
#[derive(Debug)]
pub(super) struct Timed {
    pub shard: usize,
    pub id: Option<TimerId>,
    /// `None`: to itself, in room that is promised.
    pub to: Option<Address>,
    pub letter: Letter,
}

impl fmt::Debug for Ties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ties").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Ties {
    /// A new request; an earlier one is no longer awaited.
    pub fn ask(&mut self) -> u64 {
        self.next_request += 1;
        self.asked = Some(Asked { number: self.next_request, answer: Answer::Awaited });
        self.next_request
    }

    /// `true`: it was awaited, and is here now.
    pub fn answer(&mut self, number: u64, payload: Payload, held: Option<Permit>) -> bool {
        let Some(asked) = self.awaited(number) else { return false };
        asked.answer = Answer::Given(payload, held);
        true
    }

    pub fn leave_unanswered(&mut self, number: u64, read: bool) -> bool {
        let Some(asked) = self.awaited(number) else { return false };
        asked.answer = Answer::None { read };
        true
    }

    /// Adds one who waits for the end; its number, to be taken out of `waits` again.
    pub fn wait_for_end(&mut self, waker: Waker) -> u64 {
        self.next_wait += 1;
        self.waits.insert(self.next_wait, waker);
        self.next_wait
    }

    pub fn next_timer(&mut self) -> u64 {
        self.next_timer += 1;
        self.next_timer
    }

    /// Adds a follower for another node; its number, to be taken out of `followers` again.
    pub fn follow(&mut self, follower: Told) -> u64 {
        self.next_wait += 1;
        self.followers.insert(self.next_wait, follower);
        self.next_wait
    }

    fn awaited(&mut self, number: u64) -> Option<&mut Asked> {
        self.asked.as_mut().filter(|asked| asked.number == number && matches!(asked.answer, Answer::Awaited))
    }
}
