//! One attempt to add an edge between channels that may lie on several nodes, as the child's node sees it, which leads: reserve
//! at both ends, walk, have those give way that must, commit at the parent's end and last at the child's. It asks one question
//! after the other and does nothing itself.

use super::graph::Graph;
use super::walk::{Ask, Claim, Direction, Refused, Walk};
use crate::ids::Address;
use crate::limits;
use std::collections::BTreeMap;

/// See [the module](self).
#[derive(Debug)]
pub struct Attempt {
    claim: Claim,
    parent: Address,
    child: Address,
    stage: Stage,
    /// Questions of walks that may still be asked, and walks that may still begin.
    left: usize,
    walks: usize,
}

/// What is asked of the node of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// Of the parent: reserve the edge to this child.
    Reserve {
        claim: Claim,
        child: Address,
    },
    Neighbours(Direction),
    /// Have the claim give way.
    Abort(Claim),
    /// Of the parent.
    Commit(Claim),
}

/// What comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Done,
    /// With the claims of those edges that are only reserved. None of a channel that has gone.
    Neighbours(Vec<(Address, Option<Claim>)>),
    /// Whether it was only reserved, and is not any more.
    Aborted(bool),
    Refused(Refused),
}

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask this of the node of this channel.
    Ask(Address, Question),
    /// Commit at the child's end: the edge may be.
    Commit,
    /// Take back what was reserved: it may not be.
    Refused(Refused),
}

#[derive(Debug)]
enum Stage {
    Reserve,
    Walk {
        walk: Box<Walk>,
        asked: Option<Ask>,
        met: BTreeMap<Claim, Address>,
    },
    /// Those that are still to give way, and whether all did so far.
    Abort {
        outranked: Vec<(Address, Claim)>,
        all: bool,
    },
    Commit,
    Over(Result<(), Refused>),
}

impl Attempt {
    /// Of a claim that is reserved at the child's end.
    pub fn new(claim: Claim, parent: Address, child: Address) -> Attempt {
        let is_away = parent.node != child.node;
        let stage = if is_away { Stage::Reserve } else { walking(claim, parent, child) };
        Attempt { claim, parent, child, stage, left: limits::CHANNEL_WALK, walks: WALKS }
    }

    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// What is to be done next: the same until it is [answered](Attempt::answer).
    pub fn step(&mut self) -> Step {
        loop {
            match &mut self.stage {
                Stage::Reserve => {
                    return Step::Ask(self.parent, Question::Reserve { claim: self.claim, child: self.child });
                }
                Stage::Walk { walk, asked, met } => {
                    let ask = match *asked {
                        Some(ask) => Some(ask),
                        None => walk.next_ask(),
                    };
                    if let Some(ask) = ask {
                        *asked = Some(ask);
                        if ask.channel.node != self.child.node && self.left == 0 {
                            self.stage = Stage::Over(Err(Refused::Full));
                            continue;
                        }
                        return Step::Ask(ask.channel, Question::Neighbours(ask.direction()));
                    }
                    let met = std::mem::take(met);
                    self.stage = self.judged(met);
                }
                Stage::Abort { outranked, all } => {
                    if let Some((at, claim)) = outranked.last() {
                        return Step::Ask(*at, Question::Abort(*claim));
                    }
                    self.stage = match *all {
                        true if self.parent.node == self.child.node => Stage::Over(Ok(())),
                        true => Stage::Commit,
                        // One that could not be aborted is committed, or has made room for another.
                        false if self.walks > 0 => {
                            self.walks -= 1;
                            walking(self.claim, self.parent, self.child)
                        }
                        false => Stage::Over(Err(Refused::Retry)),
                    };
                }
                Stage::Commit => return Step::Ask(self.parent, Question::Commit(self.claim)),
                Stage::Over(Ok(())) => return Step::Commit,
                Stage::Over(Err(refused)) => return Step::Refused(*refused),
            }
        }
    }

    /// The answer to what [`Attempt::step`] asked; one that does not fit refuses.
    pub fn answer(&mut self, answer: Answer) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(Err(Refused::Retry)));
        self.stage = match (stage, answer) {
            (_, Answer::Refused(refused)) => Stage::Over(Err(refused)),
            (Stage::Reserve, Answer::Done) => walking(self.claim, self.parent, self.child),
            (Stage::Walk { mut walk, asked: Some(ask), mut met }, Answer::Neighbours(neighbours)) => {
                self.left = self.left.saturating_sub(usize::from(ask.channel.node != self.child.node));
                for claim in neighbours.iter().filter_map(|(_, claim)| *claim) {
                    met.entry(claim).or_insert(ask.channel);
                }
                walk.answer(ask, neighbours);
                Stage::Walk { walk, asked: None, met }
            }
            (Stage::Abort { mut outranked, all }, Answer::Aborted(gave_way)) => {
                outranked.pop();
                Stage::Abort { outranked, all: all && gave_way }
            }
            (Stage::Commit, Answer::Done) => Stage::Over(Ok(())),
            _ => Stage::Over(Err(Refused::Retry)),
        };
    }

    /// The walk is over.
    fn judged(&mut self, met: BTreeMap<Claim, Address>) -> Stage {
        let over = Stage::Over(Err(Refused::Retry));
        let Stage::Walk { walk, .. } = std::mem::replace(&mut self.stage, over) else {
            return Stage::Over(Err(Refused::Retry));
        };
        match walk.verdict() {
            Err(refused) => Stage::Over(Err(refused)),
            Ok(outranked) => {
                let at = |claim: Claim| met.get(&claim).map(|at| (*at, claim));
                Stage::Abort { outranked: outranked.into_iter().filter_map(at).collect(), all: true }
            }
        }
    }
}

impl Graph {
    /// What a channel of this node says.
    pub fn respond(&mut self, channel: &Address, question: Question) -> Answer {
        let outcome = match question {
            Question::Reserve { claim, child } => self.reserve(claim, *channel, child),
            Question::Commit(claim) => self.commit(claim),
            Question::Abort(claim) => return Answer::Aborted(self.abort(claim)),
            Question::Neighbours(direction) => {
                return Answer::Neighbours(self.neighbours(channel, direction).collect());
            }
        };
        outcome.map_or_else(Answer::Refused, |()| Answer::Done)
    }
}

fn walking(claim: Claim, parent: Address, child: Address) -> Stage {
    Stage::Walk { walk: Box::new(Walk::new(claim, parent, child)), asked: None, met: BTreeMap::new() }
}

/// Walks after the first; then the others are too busy.
const WALKS: usize = 2;
