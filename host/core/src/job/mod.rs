//! What a job is, and when a node takes those of others.

pub mod hours;
pub mod manifest;
pub mod retry;
