//! Certificates and the identities they prove.

pub mod ca;
pub mod chain;
mod files;
mod issuer;
pub mod kept;
pub mod ledger;
pub mod request;
