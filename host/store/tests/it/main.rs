//! The journal in real files: what it promises, beside a model, and killed at any moment.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod crash;
mod journal;
mod model;
mod speed;
mod support;
