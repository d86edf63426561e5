//! Placement: where each job of a home runs, who is next where all is full, and why. Decisions on what nodes offer; no I/O, no
//! clock, and the same from the same seed.
//!
//! [`Placer`] is all of it. `filter` has the rules, `score` the choice among nodes that have room, `turns` the fairness; `pool`
//! is what makes the cost of a placement independent of how many nodes there are and jobs wait.

mod accounts;
mod filter;
mod glob;
mod moves;
mod offer;
mod placer;
mod pool;
mod queue;
mod score;
mod selector;
mod size;
mod turns;
mod why;

#[cfg(test)]
mod tests;

pub use accounts::Opening;
pub use filter::{Of, Rule};
pub use offer::{Contact, Facts, Free, Offer};
pub use placer::{Answer, Bounds, Error, Need, Placer, Start};
pub use score::{Policy, Reason};
pub use selector::{Allocation, Error as SelectorError, Selector, Term, Wants};
pub use size::Size;
pub use turns::MAX_WEIGHT;
pub use why::{HAS_ROOM, Refusal, Refusals, Refused, Why};
