//! Certificates and the identities they prove.

pub mod ca;
mod files;
