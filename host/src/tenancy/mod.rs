//! Certificates and the identities they prove.

pub mod ca;
pub mod chain;
mod files;
pub mod grant;
mod issuer;
pub mod kept;
pub mod ledger;
pub mod request;
