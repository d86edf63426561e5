//! Nodes that jobs under one constraint may use, those of them that have room now, and who waits for them. Computations whose
//! jobs have the same constraint share a pool, so there are as many as there are kinds of jobs, not as jobs.

use super::filter::{Constraint, Standing};
use super::offer::{Facts, Node};
use super::selector::Wants;
use super::turns::Turns;
use super::why::Refusals;
use crate::ids::ComputationId;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Pool {
    pub constraint: Constraint,
    pub wants: Wants,
    /// The computation whose jobs an allocation limits; such a pool is not shared.
    pub owner: Option<ComputationId>,
    /// By number of the node.
    members: Vec<Member>,
    /// Numbers of nodes that have room, in no order.
    room: Vec<u32>,
    /// Nodes that may be used now or later.
    possible: usize,
    /// Classes of computations; the pool goes with the last.
    pub classes: usize,
    /// Jobs that wait here, of all tenants.
    pub waiting: usize,
    /// Tenants that have jobs here take turns.
    pub turns: Turns,
    pub lanes: HashMap<u32, Lane>,
    /// What is told where no node is possible; made once.
    pub nowhere: Option<Arc<Refusals>>,
}

/// A tenant's part of a pool.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub classes: usize,
    pub waiting: usize,
    /// Its computations take turns, each by the number of its class.
    pub turns: Turns,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    standing: Standing,
    /// Where it is in `room`.
    at: u32,
}

/// All pools, by number.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: Vec<Option<Pool>>,
    free: Vec<u32>,
    known: HashMap<Constraint, u32>,
    /// Those with room and with jobs that wait: what `poll_placed` has to look at.
    hungry: BTreeSet<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Pool {
    /// Judges a node anew; `None`: it is gone. Says whether it may be used now.
    pub fn judge(&mut self, number: u32, facts: Option<&Facts>) -> bool {
        let standing = facts.map_or(Standing::Never, |facts| self.constraint.standing(facts));
        let at = number as usize;
        if at >= self.members.len() {
            self.members.resize(at + 1, Member { standing: Standing::Never, at: NOWHERE });
        }
        self.possible -= usize::from(self.members[at].standing != Standing::Never);
        self.possible += usize::from(standing != Standing::Never);
        self.members[at].standing = standing;
        self.nowhere = None;
        let may = self.may(number);
        if !may {
            self.set_room(number, false);
        }
        may
    }

    /// Whether a node may be used now, if it has room.
    pub fn may(&self, number: u32) -> bool {
        let standing = self.members.get(number as usize).map(|member| member.standing);
        matches!(standing, Some(Standing::May { .. }))
    }

    /// Whether one more job goes to this node, where so many of the owner's are.
    pub fn takes(&self, number: u32, node: &Node, running: u32) -> bool {
        let standing = self.members.get(number as usize).map(|member| member.standing);
        let Some(Standing::May { limit }) = standing else { return false };
        limit.is_none_or(|limit| running < limit) && node.has_room(&self.wants)
    }

    pub fn set_room(&mut self, number: u32, has: bool) {
        let Some(Member { at, .. }) = self.members.get_mut(number as usize) else { return };
        if has && *at == NOWHERE {
            *at = self.room.len() as u32;
            self.room.push(number);
        } else if !has && *at != NOWHERE {
            let hole = std::mem::replace(at, NOWHERE);
            self.room.swap_remove(hole as usize);
            if let Some(moved) = self.room.get(hole as usize) {
                self.members[*moved as usize].at = hole;
            }
        }
    }

    /// Numbers of the nodes that have room.
    pub fn room(&self) -> &[u32] {
        &self.room
    }

    /// Whether any known node can ever take such a job.
    pub fn is_possible(&self) -> bool {
        self.possible > 0
    }

    fn is_hungry(&self) -> bool {
        self.waiting > 0 && !self.room.is_empty()
    }
}

impl Pools {
    pub fn find(&self, constraint: &Constraint) -> Option<u32> {
        self.known.get(constraint).copied()
    }

    /// One without nodes.
    pub fn add(&mut self, constraint: Constraint, owner: Option<ComputationId>) -> u32 {
        let pool = Pool {
            wants: constraint.wants(),
            constraint: constraint.clone(),
            owner,
            members: Vec::new(),
            room: Vec::new(),
            possible: 0,
            classes: 0,
            waiting: 0,
            turns: Turns::default(),
            lanes: HashMap::new(),
            nowhere: None,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.pools.push(None);
            (self.pools.len() - 1) as u32
        });
        self.pools[number as usize] = Some(pool);
        self.known.insert(constraint, number);
        number
    }

    pub fn remove(&mut self, number: u32) -> Option<Pool> {
        let pool = self.pools.get_mut(number as usize)?.take()?;
        self.known.remove(&pool.constraint);
        self.hungry.remove(&number);
        self.free.push(number);
        Some(pool)
    }

    pub fn get(&self, number: u32) -> Option<&Pool> {
        self.pools.get(number as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Pool> {
        self.pools.get_mut(number as usize)?.as_mut()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Pool)> {
        self.pools.iter_mut().enumerate().filter_map(|(number, pool)| Some((number as u32, pool.as_mut()?)))
    }

    pub fn hungry(&self) -> &BTreeSet<u32> {
        &self.hungry
    }

    /// To be called when a pool's room or its waiting jobs have changed.
    pub fn note(&mut self, number: u32) {
        if self.get(number).is_some_and(Pool::is_hungry) {
            self.hungry.insert(number);
        } else {
            self.hungry.remove(&number);
        }
    }

    /// A job of a class came, or went; so many of it wait now.
    pub fn count(&mut self, number: u32, tenant: u32, class: u32, left: usize, came: bool) {
        let Some(pool) = self.get_mut(number) else { return };
        let Some(lane) = pool.lanes.get_mut(&tenant) else { return };
        if came {
            (pool.waiting, lane.waiting) = (pool.waiting + 1, lane.waiting + 1);
            if left == 1 {
                lane.turns.wait(class);
            }
            if lane.waiting == 1 {
                pool.turns.wait(tenant);
            }
        } else {
            (pool.waiting, lane.waiting) = (pool.waiting - 1, lane.waiting - 1);
            if left == 0 {
                lane.turns.rest(class);
            }
            if lane.waiting == 0 {
                pool.turns.rest(tenant);
            }
        }
        self.note(number);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.known.len()
    }
}
