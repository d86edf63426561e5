//! What a job is.

pub mod manifest;
